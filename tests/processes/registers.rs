//! Clients that read, write, swap and remove a few keys through all members, and whether what they were told can be told
//! in some order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cluster::json;
use crate::linear::{self, Call, Operation, Verdict};
use crate::load::{Alarm, Caller, Load, PAUSE, Said};
use crate::support::Random;
use crate::watchers::Told;

/// How many registers are in use at a time.
const AT_A_TIME: u64 = 2;

/// How many calls are made until others are: a search for an order takes the longer, the longer the history is.
const CALLS: u64 = 120;

/// The registers, and what clients saw of them.
#[derive(Default)]
pub(crate) struct Registers {
    calls: AtomicU64,
    /// Values are never used again.
    values: AtomicU64,
}

/// What one client saw, by register.
pub(crate) type History = BTreeMap<u64, Vec<Operation>>;

impl Registers {
    fn value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A client's life.
    pub(crate) fn use_them(&self, load: &Load, client: usize, seed: u64) -> History {
        let _alarm = Alarm(load);
        let mut random = Random(seed);
        let mut caller = Caller::new(load, client);
        let mut history = History::new();
        let mut last = 0;
        while load.goes_on() {
            let era = self.calls.fetch_add(1, Ordering::Relaxed) / CALLS;
            let register = era * AT_A_TIME + random.below(AT_A_TIME);
            let key = format!("/v2/keys/register/{register}");
            let call = match random.below(10) {
                0..4 => Call::Read(None),
                4..7 => Call::Write(self.value()),
                7..9 => Call::Swap { old: last, new: self.value(), done: None },
                _ => Call::Remove { done: None },
            };
            let called = load.moment();
            let said = match &call {
                Call::Read(_) => caller.call("GET", &format!("{key}?quorum=true"), None),
                Call::Write(value) => caller.call("PUT", &key, Some(&format!("value={value}"))),
                Call::Swap { old, new, .. } => {
                    caller.call("PUT", &key, Some(&format!("value={new}&prevValue={old}")))
                }
                Call::Remove { .. } => caller.call("DELETE", &key, None),
            };
            let answered = load.moment();
            let operation = match said {
                Said::NotHeard => continue,
                Said::Unknown => Operation { called, answered: None, call },
                Said::Answer(reply) => {
                    let told = json(&reply);
                    let is_done = match reply.head.status {
                        200 | 201 => true,
                        404 | 412 => false,
                        status => panic!("{call:?}: {status} {}", reply.text()),
                    };
                    if is_done && !matches!(call, Call::Read(_)) {
                        load.acknowledge(told["node"]["modifiedIndex"].as_u64().unwrap());
                    }
                    let call = match call {
                        Call::Read(_) => {
                            let value = told["node"]["value"].as_str().map(|text| text.parse().unwrap());
                            assert_eq!(value.is_some(), is_done, "{}", reply.text());
                            last = value.unwrap_or(last);
                            Call::Read(value)
                        }
                        Call::Swap { old, new, .. } => Call::Swap { old, new, done: Some(is_done) },
                        Call::Remove { .. } => Call::Remove { done: Some(is_done) },
                        written => written,
                    };
                    Operation { called, answered: Some(answered), call }
                }
            };
            // Nothing is known from a read that was not answered.
            if operation.answered.is_some() || !matches!(operation.call, Call::Read(_)) {
                history.entry(register).or_default().push(operation);
            }
            std::thread::sleep(PAUSE);
        }
        history
    }
}

/// Checks what all clients saw. Of the writes whose fate their clients do not know, watchers do: those that never came to
/// be need no place in the order.
pub(crate) fn check(histories: Vec<History>, told: &[Told]) {
    let written: BTreeSet<&str> = told
        .iter()
        .filter(|told| told.key.starts_with("/register/"))
        .filter_map(|told| told.value.as_deref())
        .collect();
    let mut all = History::new();
    for (register, operations) in histories.into_iter().flatten() {
        all.entry(register).or_default().extend(operations);
    }
    let mut calls = 0;
    for (register, operations) in &mut all {
        operations.retain(|operation| match &operation.call {
            Call::Write(new) | Call::Swap { new, .. } if operation.answered.is_none() => {
                written.contains(new.to_string().as_str())
            }
            _ => true,
        });
        calls += operations.len();
        operations.sort_by_key(|operation| operation.called);
        let verdict = linear::check(operations);
        assert_eq!(verdict, Verdict::Linearizable, "register {register}: {operations:#?}");
    }
    println!("{calls} calls to {} registers are linearizable", all.len());
    assert!(all.len() >= 2, "there is little to check");
}
