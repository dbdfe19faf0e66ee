//! Recorded answers of etcd's v2 API, replayed over the wire: status, headers and bytes.
//!
//! The cases share nothing, so several are played at a time; most of them wait for a TTL.

#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "a recording that cannot be read fails the test")]

mod http;
mod support;

use std::path::Path;
use std::sync::Mutex;
use std::thread;

use serde_json::Value;
use spinney::Store;

/// What is different on purpose, and the cases that record it.
const DIFFERENT: &[(&str, &[&str])] =
    &[("a stream with an old index stays live here", &["watch-stream-index-past"])];

/// How many cases are played at a time.
const PLAYERS: usize = 24;

/// How often a case is played before it counts as failed: one that waits for a TTL while the machine stands still
/// says nothing.
const TRIES: usize = 3;

#[test]
fn on_fresh_stores() {
    play_all("fresh", |_| Store::in_memory());
}

/// Each player has one store for all its cases, with a past that is longer than history.
#[test]
fn on_stores_with_a_past() {
    play_all("with a past", |store| {
        store.unwrap_or_else(|| {
            let store = Store::in_memory();
            for n in 0..1200 {
                store.set(format!("/past/{}/{}", n % 7, n % 50), n).unwrap();
            }
            store
        })
    });
}

/// Plays all cases, each on the store that `store` gives when handed the one of the player's case before.
fn play_all(title: &str, store: impl Fn(Option<Store>) -> Store + Sync) {
    let mut cases = recorded_cases();
    for (_, names) in DIFFERENT {
        for name in *names {
            let before = cases.len();
            cases.retain(|case| case["name"] != *name);
            assert_eq!(before, cases.len() + 1, "{name} is in the recording, once");
        }
    }
    let count = cases.len();
    let (queue, problems) = (Mutex::new(cases), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..PLAYERS {
            scope.spawn(|| {
                let mut before = None;
                while let Some(case) = { queue.lock().unwrap().pop() } {
                    let store = store(before.take());
                    if let Err(problem) = play(&store, &case) {
                        problems.lock().unwrap().push(format!("{}, {problem}", case["name"]));
                    }
                    before = Some(store);
                }
            });
        }
    });
    println!(
        "{title}: {count} cases; {} left out by name",
        DIFFERENT.iter().map(|(_, names)| names.len()).sum::<usize>()
    );
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{} cases differ:\n{}", problems.len(), problems.join("\n"));
}

fn play(store: &Store, case: &Value) -> Result<(), String> {
    let (_running, address) = http::serve(store);
    let mut tries = (0..TRIES).map(|_| http::replay::play(address, case));
    tries.find(Result::is_ok).unwrap_or_else(|| http::replay::play(address, case))
}

fn recorded_cases() -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let mut files: Vec<_> = directory.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let cases = |path| match serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap() {
        Value::Array(cases) => cases,
        other => panic!("not a list of cases: {other}"),
    };
    files.into_iter().flat_map(cases).collect()
}
