//! Clients that write and watch through whichever member answers, and remember what they were told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::client::Client;
use crate::cluster::{call, json};

/// Between two writes of one client, so that a watcher that changes members stays within history.
const PAUSE: Duration = Duration::from_millis(4);

/// What all clients share.
pub(crate) struct Load {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) has_ended: AtomicBool,
    pub(crate) acknowledged: AtomicUsize,
}

/// An in-order key that was acknowledged.
pub(crate) struct Acknowledged {
    pub(crate) value: String,
    pub(crate) key: String,
    pub(crate) index: u64,
}

/// What a watcher was told.
#[derive(Default)]
pub(crate) struct Seen {
    /// Indexes and keys, in the order in which they came.
    pub(crate) events: Vec<(u64, String)>,
    /// From where to where it was told that it had missed something.
    pub(crate) gaps: Vec<(u64, u64)>,
}

impl Load {
    pub(crate) fn new(addresses: Vec<SocketAddr>) -> Self {
        Self { addresses, has_ended: AtomicBool::new(false), acknowledged: AtomicUsize::new(0) }
    }

    fn goes_on(&self) -> bool {
        !self.has_ended.load(Ordering::Acquire)
    }

    /// Adds in-order keys, each with a value that is tried once, and counts in a key of its own: what was acknowledged.
    /// A client begins with the member of its number, and changes when one does not answer.
    pub(crate) fn write(&self, client: usize) -> Vec<Acknowledged> {
        let mut acknowledged = Vec::new();
        let mut member = client;
        for number in 0.. {
            if !self.goes_on() {
                break;
            }
            let to = self.addresses[member % self.addresses.len()];
            let value = format!("{client}-{number}");
            match call(to, "POST", "/v2/keys/queue", Some(&format!("value={value}"))) {
                Ok(reply) if reply.head.status == 201 => {
                    let node = &json(&reply)["node"];
                    let key = node["key"].as_str().unwrap().to_owned();
                    let index = node["createdIndex"].as_u64().unwrap();
                    acknowledged.push(Acknowledged { value, key, index });
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                // Done or not: nobody knows.
                _ => member += 1,
            }
            std::thread::sleep(PAUSE);
        }
        acknowledged
    }

    /// Follows the queue from the first index on, at one member after the other, until it has seen `until`.
    pub(crate) fn watch(&self, until: &dyn Fn() -> Option<u64>) -> Seen {
        let mut seen = Seen::default();
        let mut next = 1;
        let mut member = 0;
        while until().is_none_or(|last| next <= last) {
            let to = self.addresses[member % self.addresses.len()];
            // Broken, or silent: another one is asked.
            let _ = follow(to, &mut next, &mut seen, until);
            member += 1;
        }
        seen
    }
}

fn follow(
    to: SocketAddr,
    next: &mut u64,
    seen: &mut Seen,
    until: &dyn Fn() -> Option<u64>,
) -> std::io::Result<()> {
    let mut client = Client::new(to)?;
    client.stream().set_read_timeout(Some(Duration::from_millis(500)))?;
    let target = format!("/v2/keys/queue?wait=true&stream=true&recursive=true&waitIndex={next}");
    client.send("GET", &target, &[], None)?;
    let head = client.head()?;
    if head.status == 400 {
        // Outdated: what is there now is asked for, and what came before is a gap that was told.
        let index = head.header("X-Etcd-Index").and_then(|index| index.parse::<u64>().ok()).unwrap_or(0);
        seen.gaps.push((*next, index));
        *next = index.max(*next) + 1;
        return Ok(());
    }
    while until().is_none_or(|last| *next <= last) {
        let Some(chunk) = client.chunk()? else { return Ok(()) };
        let event: serde_json::Value = serde_json::from_slice(&chunk)?;
        let (Some(index), Some(key)) =
            (event["node"]["modifiedIndex"].as_u64(), event["node"]["key"].as_str())
        else {
            // The watch ends with word of a gap: the next one is told where.
            return Ok(());
        };
        assert!(index >= *next, "{index} after {next}");
        seen.events.push((index, key.to_owned()));
        *next = index + 1;
    }
    Ok(())
}
