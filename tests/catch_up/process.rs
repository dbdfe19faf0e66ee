//! Members that are processes of their own, without a front: this test program runs itself again, and tells each what to
//! do, line by line.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use spinney::{Error, Event, Store};
use tempfile::TempDir;

use crate::links::Links;
use crate::support::places::free_addresses;
use crate::support::{directory, patiently, wait_until};

/// How large a segment of a member's log is: what one sends together may be more than another writes together.
pub(crate) fn segment_bytes(member: usize) -> u32 {
    256 << 10 << (2 * member)
}

/// Tells the program that it is a member: name, directory, where it listens, log bytes, founders.
const VARIABLE: &str = "SPINNEY_CATCH_UP_MEMBER";

/// What answers begin with, among whatever else is said.
const MARK: &str = "@ ";

/// How many writes are under way at a time.
const UNDER_WAY: usize = 2048;

const VALUE_BYTES: usize = 100;

/// How long an answer may take: a million writes, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(300);

/// How a member is doing.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) is_leader: bool,
    pub(crate) applied: u64,
    /// What the newest snapshot covers.
    pub(crate) saved: u64,
    pub(crate) log_bytes: u64,
    pub(crate) files: usize,
    /// How often a watcher, begun when the member was, was told that it had missed something.
    pub(crate) resyncs: usize,
}

/// Three members, linked.
pub(crate) struct Trio {
    pub(crate) links: Links,
    listening: Vec<SocketAddr>,
    directory: TempDir,
    log_bytes: u64,
    running: Vec<Option<Running>>,
}

struct Running {
    child: Child,
    words: ChildStdin,
    answers: mpsc::Receiver<String>,
}

impl Trio {
    pub(crate) fn start(log_bytes: u64) -> Self {
        let listening = free_addresses(3);
        let links = Links::between(&listening);
        let running = (0..3).map(|_| None).collect();
        let mut trio = Self { links, listening, directory: directory(), log_bytes, running };
        (0..3).for_each(|member| trio.start_member(member));
        trio
    }

    fn data(&self, member: usize) -> PathBuf {
        self.directory.path().join(format!("n{}", member + 1))
    }

    pub(crate) fn start_member(&mut self, member: usize) {
        let founders = (0..3).map(|member| self.links.address(member).to_string());
        let founders = founders.collect::<Vec<_>>().join(" ");
        let (listening, data, log_bytes) = (self.listening[member], self.data(member), self.log_bytes);
        let told = format!("{} {listening} {log_bytes} {} {founders}", member + 1, data.display());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "process::a_member", "--ignored", "--nocapture"]).env(VARIABLE, told);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (words, said) = (child.stdin.take().unwrap(), child.stderr.take().unwrap());
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                match line.strip_prefix(MARK) {
                    Some(answer) => drop(sender.send(answer.to_owned())),
                    None => println!("n{} says: {line}", member + 1),
                }
            }
        });
        self.running[member] = Some(Running { child, words, answers });
        assert_eq!(self.answer(member, "start"), "open");
    }

    /// Has a member do something, and waits for its answer.
    pub(crate) fn ask(&mut self, member: usize, what: &str) -> String {
        writeln!(self.running[member].as_mut().unwrap().words, "{what}").unwrap();
        self.answer(member, what)
    }

    fn answer(&self, member: usize, what: &str) -> String {
        let answers = &self.running[member].as_ref().unwrap().answers;
        let answer = answers.recv_timeout(PATIENCE);
        answer.unwrap_or_else(|error| panic!("member {member} does not answer to {what:?}: {error}"))
    }

    pub(crate) fn facts(&mut self, member: usize) -> Facts {
        let answer = self.ask(member, "facts");
        let numbers: Vec<u64> = answer.split(' ').map(|number| number.parse().unwrap()).collect();
        let [is_leader, applied, saved, log_bytes, files, resyncs] = numbers[..] else { panic!("{answer}") };
        let (files, resyncs) = (files as usize, resyncs as usize);
        Facts { is_leader: is_leader == 1, applied, saved, log_bytes, files, resyncs }
    }

    /// Which of these members leads.
    pub(crate) fn leader(&mut self, members: &[usize]) -> usize {
        let mut leader = None;
        wait_until("a leader", || {
            leader = members.iter().copied().find(|&member| self.facts(member).is_leader);
            leader.is_some()
        });
        leader.unwrap()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self, member: usize) {
        let mut running = self.running[member].take().unwrap();
        running.child.kill().unwrap();
        running.child.wait().unwrap();
    }

    /// How large the newest snapshot of a member is.
    pub(crate) fn snapshot_bytes(&self, member: usize) -> u64 {
        self.file_bytes(member, ".snap")
    }

    /// How much a member has of a snapshot that is on its way.
    pub(crate) fn received_bytes(&self, member: usize) -> u64 {
        self.file_bytes(member, ".snap.received.tmp")
    }

    fn file_bytes(&self, member: usize, ending: &str) -> u64 {
        let files = self.data(member).read_dir().unwrap().filter_map(Result::ok);
        let files = files.filter(|file| file.file_name().to_string_lossy().ends_with(ending));
        files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).max().unwrap_or(0)
    }
}

impl Drop for Trio {
    fn drop(&mut self) {
        for running in self.running.iter_mut().flatten() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}

/// Not a test, but the member.
#[test]
#[ignore = "the member that the tests here start"]
fn a_member() {
    let Ok(told) = std::env::var(VARIABLE) else { return };
    let told: Vec<&str> = told.split(' ').collect();
    let [number, listening, log_bytes, data, ref founders @ ..] = told[..] else { panic!("{told:?}") };
    let founders = (1..).zip(founders).map(|(n, address)| (format!("n{n}"), (*address).to_owned()));
    let builder = Store::builder().dir(data).member(format!("n{number}")).listen(listening).peers(founders);
    let builder = builder
        .segment_bytes(segment_bytes(number.parse::<usize>().unwrap() - 1))
        .log_bytes(log_bytes.parse().unwrap());
    let builder = builder.value_bytes(64 << 10).transaction_bytes(128 << 10);
    let store = patiently(|| builder.clone().open()).unwrap();

    let resyncs = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&resyncs);
    let _watch = store.watch("/").recursive().start().unwrap().on_event(move |event| {
        counting.fetch_add(usize::from(matches!(event, Event::Resync(_))), Ordering::Relaxed);
    });
    eprintln!("{MARK}open");
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["write", below, writes, keys] => {
                write(&store, below, writes.parse().unwrap(), keys.parse().unwrap());
                eprintln!("{MARK}done");
            }
            ["digest"] => eprintln!("{MARK}{}", digest(&store)),
            ["facts"] => {
                let (status, cluster) = (store.status(), store.cluster().unwrap());
                let log = status.log.unwrap();
                let (leads, resyncs) = (u8::from(cluster.is_leader()), resyncs.load(Ordering::Relaxed));
                let (applied, saved) = (log.applied.get(), log.saved.get());
                eprintln!("{MARK}{leads} {applied} {saved} {} {} {resyncs}", log.bytes, status.files);
            }
            _ => panic!("{line}"),
        }
    }
}

/// Sets so many keys, one after the other and again from the first, with many writes under way.
fn write(store: &Store, below: &str, writes: usize, keys: usize) {
    let mut under_way = VecDeque::new();
    for n in 0..writes {
        let key = format!("/{below}/{:03}/{:06}", n % keys % 1000, n % keys);
        let value = format!("{n:0VALUE_BYTES$}");
        under_way.push_back((n, key.clone(), store.put(key).value(value).submit()));
        let left = if n + 1 == writes { 0 } else { UNDER_WAY };
        while under_way.len() > left {
            let (n, key, pending) = under_way.pop_front().unwrap();
            pending
                .wait()
                .unwrap_or_else(|error| panic!("write {n} of {key}: {error:?}, {:?}", store.status()));
        }
    }
}

/// All that is there, when it was made and changed, as one number; what was written before the question is in it.
fn digest(store: &Store) -> String {
    let latest = |store: &Store| store.get_latest("/");
    while let Err(Error::Unavailable { .. } | Error::NoLeader) = latest(store) {}
    let view = store.view();
    let mut hash = DefaultHasher::new();
    for node in view.root().descendants_with_hidden() {
        (node.key().as_str(), node.text(), node.created().get(), node.modified().get()).hash(&mut hash);
    }
    format!("{} {}", view.index().get(), hash.finish())
}
