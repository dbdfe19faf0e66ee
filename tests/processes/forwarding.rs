//! Writes by way of a member that never leads, while those that do are killed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use spinney::{Pending, Store};

use crate::cluster::Cluster;
use crate::support::places::{free_address, own_host};
use crate::support::{directory, wait_until};

const WRITERS: usize = 4;

/// How many writes of one writer are under way at a time.
const UNDER_WAY: usize = 8;

/// How often whoever leads is killed.
const KILLS: usize = 8;

/// How many more writes are to be answered after each step.
const PROGRESS: usize = 100;

/// An election may take a while where there is little to run it on; what is lost for good is never answered.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the writers share.
#[derive(Default)]
struct Shared {
    answered: AtomicUsize,
    has_ended: AtomicBool,
}

impl Shared {
    fn progress(&self, what: &str) {
        let wanted = self.answered.load(Ordering::Relaxed) + PROGRESS;
        wait_until(format!("{PROGRESS} writes {what}"), || self.answered.load(Ordering::Relaxed) >= wanted);
    }

    /// Adds in-order keys, several at a time: each value that was tried, and the key that it has.
    fn write(&self, asked: &Store, writer: usize) -> Vec<(String, String)> {
        let mut written = Vec::new();
        while !self.has_ended.load(Ordering::Acquire) {
            let values: Vec<_> = (0..UNDER_WAY).map(|n| format!("{writer}-{}", written.len() + n)).collect();
            let pending: Vec<Pending<_>> =
                values.iter().map(|value| asked.put("/queue").value(value).in_order().submit()).collect();
            for (value, pending) in values.into_iter().zip(pending) {
                let change = pending.wait().unwrap_or_else(|error| panic!("{value}: {error}"));
                written.push((value, change.key().to_string()));
                self.answered.fetch_add(1, Ordering::Relaxed);
            }
        }
        written
    }
}

/// Ends the writing, however the test ends.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Release);
    }
}

/// The leader may have written what was forwarded or not, told a majority or not, and told the one that was asked or not:
/// that one offers it to the next leader under the same number, and answers when it has applied it itself.
#[test]
fn what_is_forwarded_is_answered_and_done_once_though_leaders_are_killed_in_the_middle() {
    let mut cluster = Cluster::of_three(&[]);
    let directory = directory();
    let listen = free_address(&own_host()).to_string();
    let learner = Store::builder().dir(directory.path()).member("asked").listen(listen).learner();
    let asked = learner.join(cluster.members[0].peers.to_string()).request_timeout(PATIENCE).open().unwrap();
    let shared = Shared::default();
    let written: Vec<_> = thread::scope(|scope| {
        let ending = Ending(&shared);
        let (asked, shared) = (&asked, &shared);
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || shared.write(asked, writer))).collect();
        for _ in 0..KILLS {
            shared.progress("before a kill");
            let leader = cluster.leader(&[0, 1, 2]);
            cluster.kill(leader);
            shared.progress("without it");
            cluster.start(leader, "new");
            cluster.wait_until_well();
        }
        drop(ending);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });

    let queue = asked.get_latest("/queue").unwrap();
    let count: usize = written.iter().map(Vec::len).sum();
    assert_eq!(queue.children().count(), count, "something was done twice");
    for writes in &written {
        assert!(writes.windows(2).all(|pair| pair[0].1 < pair[1].1), "out of order");
        for (value, key) in writes {
            assert_eq!(asked.get(key.as_str()).unwrap().text(), Some(value.as_str()), "{key}");
        }
    }
}
