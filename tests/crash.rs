//! kill -9, in mid-write, a hundred times: real processes on real files. Everything that was acknowledged is there
//! when the directory is opened again, and nothing is there that could not be.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use spinney::{Durability, Error, Pending, Store, WalError};

const ROUNDS: u64 = 100;
const CHILD: &str = "SPINNEY_CRASH_CHILD";
const WRITERS: usize = 3;

fn open(path: &Path) -> Store {
    // Small, so that segments are left and snapshots taken every few hundred writes.
    let builder = Store::builder().dir(path).segment_bytes(64 << 10).log_bytes(128 << 10).history(50);
    let builder = builder.key_bytes(256).value_bytes(4096).transaction_bytes(16 << 10);
    // The kernel keeps what a killed process has written: `Process` promises the same here.
    let process = std::env::var(CHILD).is_ok_and(|mode| mode == "process");
    builder.durability(if process { Durability::Process } else { Durability::Disk }).open().expect("it opens")
}

/// The child: says `writer number index` of each write that was acknowledged, until it is killed.
#[test]
fn child() {
    let Ok(path) = std::env::var("SPINNEY_CRASH_PATH") else { return };
    let store = open(Path::new(&path));
    println!("open {} .", store.index());
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || {
                let key = format!("/writer/{writer}");
                let last = store.get(&key).ok().and_then(|node| node.parse()).unwrap_or(0u64);
                let padding = "x".repeat(writer * 400);
                let write = |n: u64| {
                    let txn =
                        store.txn().set(&key, n).set(format!("{key}-{}", n % 7), format!("{n} {padding}"));
                    txn.put(format!("{key}-ttl"), |put| put.value(n).ttl(Duration::from_millis(n % 9)))
                        .submit()
                };
                let mut under_way: std::collections::VecDeque<(u64, Pending<_>)> =
                    (last + 1..last + 4).map(|n| (n, write(n))).collect();
                for n in last + 4.. {
                    under_way.push_back((n, write(n)));
                    let (n, pending) = under_way.pop_front().expect("there are four");
                    let index = pending.wait().expect("it is written")[0].index();
                    let line = format!("ack {writer} {n} {index} .\n");
                    std::io::stdout().write_all(line.as_bytes()).expect("the parent reads");
                }
            });
        }
    });
}

/// What one child acknowledged before it was killed.
#[derive(Default)]
struct Heard {
    opened_at: Option<u64>,
    /// For each writer, its newest number and that one's index.
    acknowledged: BTreeMap<usize, (u64, u64)>,
}

/// Runs a child, and kills it when it has acknowledged `lines` writes, while it is busy with others.
fn run_child(path: &Path, mode: &str, lines: u64) -> Heard {
    let mut child = Command::new(std::env::current_exe().expect("this is a program"))
        .args(["--exact", "child", "--nocapture"])
        .env("SPINNEY_CRASH_PATH", path)
        .env(CHILD, mode)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut output = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    let mut heard = Heard::default();
    output.by_ref().filter(|line| heard.hear(line)).take(lines as usize).for_each(drop);
    child.kill().expect("it can be killed");
    for line in output {
        heard.hear(&line);
    }
    child.wait().expect("it ends");
    heard
}

impl Heard {
    /// Takes in a line; whether it was an acknowledgement.
    fn hear(&mut self, line: &str) -> bool {
        // The test harness of the child speaks on the same line at first.
        let Some(at) = line.find("open ").or_else(|| line.find("ack ")) else { return false };
        let words: Vec<&str> = line[at..].split(' ').collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
        match (words[0], words.last(), number(1), number(2), number(3)) {
            ("open", Some(&"."), Some(index), ..) => self.opened_at = Some(index),
            ("ack", Some(&"."), Some(writer), Some(n), Some(index)) => {
                self.acknowledged.insert(writer as usize, (n, index));
                return true;
            }
            // Cut off in the middle by the kill.
            _ => {}
        }
        false
    }
}

fn rounds(mode: &str, rounds: u64) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("there is room");
    let mut index = 0;
    let mut writes = 0;
    for round in 0..rounds {
        let heard = run_child(directory.path(), mode, round * 37 % 101);
        match Store::verify(directory.path()) {
            // Killed before there was anything.
            Err(Error::Log(WalError::NoLog { .. })) if heard.opened_at.is_none() && index == 0 => {}
            verified => drop(verified.expect("what a kill leaves is whole")),
        }
        let store = open(directory.path());
        assert!(heard.opened_at.is_none_or(|at| at >= index), "round {round}: the index went back");
        index = store.index().get();
        for (writer, &(n, at)) in &heard.acknowledged {
            let node = store.get(format!("/writer/{writer}")).expect("what was acknowledged is there");
            let last: u64 = node.parse().expect("it is a number");
            assert!(last >= n, "round {round}: writer {writer} lost {n}, the last is {last}");
            assert!(
                last <= n + 4,
                "round {round}: writer {writer} had {n}, four more were under way, not {last}"
            );
            assert!(node.modified().get() >= at && index >= at, "round {round}: an index came twice");
            for n in last.saturating_sub(6).max(1)..=last {
                let detail =
                    store.get(format!("/writer/{writer}-{}", n % 7)).expect("a transaction is whole");
                assert!(detail.text().is_some_and(|text| text.starts_with(&format!("{n} "))), "{detail:?}");
            }
            writes += 1;
        }
        drop(store);
    }
    assert!(writes > rounds, "the children hardly came to write: {writes}");
}

#[test]
fn every_acknowledged_write_survives_kill_9() {
    rounds("disk", ROUNDS);
}

#[test]
fn with_process_durability_too() {
    rounds("process", ROUNDS / 4);
}
