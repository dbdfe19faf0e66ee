//! Tests of the watches as a whole.

mod lifecycle;
mod matching;
mod race;
mod slow;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::testing::{file, filter, key, limits, set};
use super::{CatchUp, History, Hub, Watch, WatchRequest};
use crate::event::Event;
use crate::key::Key;
use crate::node::Node;
use crate::types::Index;

/// Longer than anything here takes, however busy the machine: running into it is a failure.
const FOREVER: Duration = Duration::from_secs(20);

/// A hub of an empty tree.
fn hub(history: usize) -> Arc<Hub> {
    Hub::new(History::new(limits(history), Index::new(0)))
}

/// A request of `path` alone, from now on.
fn watch(path: &str) -> WatchRequest {
    WatchRequest::new(key(path))
}

fn recursive(path: &str) -> WatchRequest {
    WatchRequest { recursive: true, ..watch(path) }
}

fn since(index: u64, request: WatchRequest) -> WatchRequest {
    WatchRequest { since: Some(Index::new(index)), ..request }
}

fn capacity(capacity: usize, request: WatchRequest) -> WatchRequest {
    WatchRequest { capacity, ..request }
}

/// Begins a watch that need not lag.
fn begin(hub: &Arc<Hub>, request: WatchRequest) -> Watch {
    hub.watch(request).0
}

/// Publishes that the file at `path` was set at `index`.
fn publish(hub: &Hub, path: &str, index: u64) -> CatchUp {
    hub.publish(&set(path, index), None)
}

/// A catch-up on a thread of its own, over a tree whose every file has the value `index`.
fn start_catch_up(hub: &Arc<Hub>, index: impl Fn() -> u64 + Send + 'static) -> JoinHandle<()> {
    let hub = Arc::clone(hub);
    thread::spawn(move || hub.run_catch_up(&|key| content(key, index())))
}

fn content(key: &Key, index: u64) -> (Index, Option<Node>) {
    (Index::new(index), Some(file(key, index)))
}

/// The next event, for which there is no hurry.
fn next(watch: &Watch) -> Event {
    watch.recv_timeout(FOREVER).expect("there is an event to come")
}

/// The indexes of what is queued.
fn queued(watch: &Watch) -> Vec<u64> {
    watch.try_iter().map(|event| event.index().get()).collect()
}

/// Waits for the end of `thread`, which is expected soon.
fn join(thread: JoinHandle<()>) {
    let (sender, ended) = crossbeam_channel::bounded(1);
    let waiter = thread::spawn(move || sender.send(thread.join().is_ok()));
    assert_eq!(ended.recv_timeout(FOREVER), Ok(true), "the thread ends, and well");
    waiter.join().unwrap().unwrap();
}

/// Waits for what another thread is about to bring about.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let pause = Duration::from_millis(2);
    let tries = FOREVER.as_millis() / pause.as_millis();
    assert!(
        (0..tries).any(|_| is_so() || {
            thread::sleep(pause);
            false
        }),
        "{what}"
    );
}
