//! Watchers that follow everything from the first change on, each at one member or from one to the next, across whatever
//! happens to those.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;

use crate::client::Client;
use crate::cluster::PATIENCE;
use crate::load::{Alarm, Load, PAUSE};
use crate::support::now;

/// How long nothing may come before the watcher asks anew.
const SILENCE: Duration = Duration::from_secs(1);

/// A change, as a watcher was told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) index: u64,
    pub(crate) action: String,
    pub(crate) key: String,
    pub(crate) value: Option<String>,
}

/// Follows the whole tree at `members`, one after the other where there are several, until it has seen `until`.
///
/// Every change takes an index of its own, so what is told is without a gap, and nothing twice, if it is numbered so.
pub(crate) fn watch(
    load: &Load,
    watcher: usize,
    members: &[SocketAddr],
    until: &(dyn Fn() -> Option<u64> + Sync),
) -> Vec<Told> {
    let _alarm = Alarm(load);
    let mut told: Vec<Told> = Vec::new();
    let mut member = 0;
    let is_over = |told: &[Told]| {
        load.is_lost.load(Ordering::Acquire) || until().is_some_and(|last| told.len() as u64 >= last)
    };
    let (mut seen, mut since) = (0, now());
    while !is_over(&told) {
        if told.len() > seen || until().is_none() {
            (seen, since) = (told.len(), now());
        }
        assert!(since.elapsed() < 6 * PATIENCE, "{seen} of {:?} changes were told, and no more are", until());
        // Broken, or silent: it is asked again, or the next one.
        let _ = follow(members[member % members.len()], &mut told, &is_over, &|index| {
            load.watched[watcher].store(index, Ordering::Relaxed);
        });
        member += 1;
        std::thread::sleep(PAUSE);
    }
    told
}

fn follow(
    member: SocketAddr,
    told: &mut Vec<Told>,
    is_over: &dyn Fn(&[Told]) -> bool,
    seen: &dyn Fn(u64),
) -> io::Result<()> {
    let mut client = Client::new(member)?;
    client.stream().set_read_timeout(Some(SILENCE))?;
    let next = told.len() as u64 + 1;
    let target = format!("/v2/keys/?wait=true&stream=true&recursive=true&waitIndex={next}");
    client.send("GET", &target, &[], None)?;
    let head = client.head()?;
    assert_eq!(head.status, 200, "{member} has lost what came after {next}: {:?}", client.chunk());
    while !is_over(told) {
        let Some(chunk) = client.chunk()? else { return Ok(()) };
        let event: Value = serde_json::from_slice(&chunk)?;
        let node = &event["node"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (Some(action), Some(key), Some(index)) =
            (text(&event["action"]), text(&node["key"]), node["modifiedIndex"].as_u64())
        else {
            panic!("{member} does not tell what came after {}: {event}", told.len());
        };
        assert_eq!(index, told.len() as u64 + 1, "{member} tells of {key} out of turn");
        told.push(Told { index, action, key, value: text(&node["value"]) });
        seen(index);
    }
    Ok(())
}

/// The files that are there after all that was told: their values and when they were changed.
pub(crate) fn files_after(told: &[Told]) -> BTreeMap<String, (String, u64)> {
    let mut files = BTreeMap::new();
    for Told { index, action, key, value } in told {
        match (action.as_str(), value) {
            ("delete" | "compareAndDelete" | "expire", _) => {
                files.remove(key).unwrap_or_else(|| panic!("{key} was removed at {index}, and not there"));
            }
            (_, Some(value)) => {
                files.insert(key.clone(), (value.clone(), *index));
            }
            (_, None) => panic!("{action} of {key} at {index} without a value"),
        }
    }
    files
}
