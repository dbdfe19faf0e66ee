//! What clients and watchers share, and clients that add in-order keys through whichever member answers.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Client, Reply};
use crate::cluster::json;
use crate::support::{now, wait_until};

/// Between two calls of one client.
pub(crate) const PAUSE: Duration = Duration::from_millis(4);

/// How long a call may take before another member is asked.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many changes a watcher may lag behind before writers wait for it: less than history keeps, so that whoever comes
/// back misses nothing.
const LAG_MAX: u64 = 400;

/// What all clients share.
pub(crate) struct Load {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) has_ended: AtomicBool,
    /// The test has failed: nothing is waited for any more.
    pub(crate) is_lost: AtomicBool,
    /// How many writes were acknowledged.
    pub(crate) acknowledged: AtomicUsize,
    /// The newest index that was acknowledged.
    newest: AtomicU64,
    /// How far each watcher is.
    pub(crate) watched: Vec<AtomicU64>,
    begun: Instant,
}

/// Ends the load when the test is over, however it ends.
pub(crate) struct Ending<'a>(pub(crate) &'a Load);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Release);
        drop(Alarm(self.0));
    }
}

/// Tells all others when its owner has found what must not be.
pub(crate) struct Alarm<'a>(pub(crate) &'a Load);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.0.is_lost.fetch_or(std::thread::panicking(), Ordering::AcqRel);
    }
}

/// An in-order key that was acknowledged.
pub(crate) struct Acknowledged {
    pub(crate) value: String,
    pub(crate) key: String,
    pub(crate) index: u64,
}

impl Load {
    pub(crate) fn new(addresses: Vec<SocketAddr>, watchers: usize) -> Self {
        Self {
            addresses,
            has_ended: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
            acknowledged: AtomicUsize::new(0),
            newest: AtomicU64::new(0),
            watched: (0..watchers).map(|_| AtomicU64::new(0)).collect(),
            begun: now(),
        }
    }

    pub(crate) fn goes_on(&self) -> bool {
        !self.has_ended.load(Ordering::Acquire)
    }

    /// The time since the beginning: the same clock for all clients.
    pub(crate) fn moment(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }

    /// Notes a write that was acknowledged, and waits until no watcher is far behind it.
    pub(crate) fn acknowledge(&self, index: u64) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        self.newest.fetch_max(index, Ordering::Relaxed);
        let is_behind = |watched: &AtomicU64| {
            watched.load(Ordering::Relaxed) + LAG_MAX < self.newest.load(Ordering::Relaxed)
        };
        while self.goes_on() && self.watched.iter().any(is_behind) {
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until so many more writes were acknowledged.
    pub(crate) fn progress(&self, writes: usize, what: &str) {
        let wanted = self.acknowledged.load(Ordering::Relaxed) + writes;
        wait_until(format!("{writes} writes {what}"), || {
            assert!(!self.is_lost.load(Ordering::Acquire), "somebody found what must not be, {what}");
            self.acknowledged.load(Ordering::Relaxed) >= wanted
        });
    }

    /// Adds in-order keys, each with a value that is tried once: what was acknowledged. A client begins with the member
    /// of its number, and changes when one does not answer.
    pub(crate) fn write(&self, client: usize) -> Vec<Acknowledged> {
        let _alarm = Alarm(self);
        let mut acknowledged = Vec::new();
        let mut caller = Caller::new(self, client);
        for number in 0.. {
            if !self.goes_on() {
                break;
            }
            let value = format!("{client}-{number}");
            match caller.call("POST", "/v2/keys/queue", Some(&format!("value={value}"))) {
                Said::Answer(reply) if reply.head.status == 201 => {
                    let node = &json(&reply)["node"];
                    let key = node["key"].as_str().unwrap().to_owned();
                    let index = node["createdIndex"].as_u64().unwrap();
                    acknowledged.push(Acknowledged { value, key, index });
                    self.acknowledge(index);
                }
                Said::Answer(reply) => panic!("{}: {}", reply.head.status, reply.text()),
                Said::Unknown | Said::NotHeard => {}
            }
            std::thread::sleep(PAUSE);
        }
        acknowledged
    }
}

/// What came of a call.
pub(crate) enum Said {
    Answer(Reply),
    /// Nobody knows whether it was done.
    Unknown,
    /// Nobody heard it.
    NotHeard,
}

/// A client that asks one member until that does not answer, or has nobody to agree with, and then the next.
pub(crate) struct Caller<'a> {
    load: &'a Load,
    member: usize,
    client: Option<Client>,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(load: &'a Load, member: usize) -> Self {
        Self { load, member: member % load.addresses.len(), client: None }
    }

    pub(crate) fn call(&mut self, method: &str, target: &str, form: Option<&str>) -> Said {
        let client = self.client.take().map_or_else(|| self.connect(), Ok);
        let Ok(mut client) = client else {
            self.change();
            return Said::NotHeard;
        };
        match client.call(method, target, form) {
            // A member without a quorum: the write may be done yet.
            Ok(reply) if reply.head.status == 500 && json(&reply)["errorCode"] == 300 => self.change(),
            Ok(reply) => {
                self.client = Some(client);
                return Said::Answer(reply);
            }
            Err(_) => self.change(),
        }
        Said::Unknown
    }

    fn connect(&self) -> io::Result<Client> {
        let client = Client::new(self.load.addresses[self.member])?;
        client.stream().set_read_timeout(Some(PATIENCE))?;
        Ok(client)
    }

    fn change(&mut self) {
        self.member = (self.member + 1) % self.load.addresses.len();
        std::thread::sleep(PAUSE);
    }
}
