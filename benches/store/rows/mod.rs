//! The rows, by group.

mod crowd;
mod durable;
mod expiry;
mod get;
mod memory;
mod open;
mod process;
mod snapshot;
mod ttl;
mod view;
mod watch;

use std::collections::VecDeque;

pub(crate) use ttl::Timers;

use crate::child::Task;
use crate::keys::{self, VALUE, Values};
use crate::subject::{Pending, Store};
use crate::table::Table;
use crate::{Bench, Result};

/// A group measures what belongs together and adds its rows.
type Group = fn(&Bench<'_>, &mut Table) -> Result<()>;

/// Every group by the name that the command line knows it by.
pub(crate) const GROUPS: [(&str, Group); 14] = [
    ("durable", durable::sets),
    ("submit", durable::submits),
    ("device", durable::device_bytes),
    ("process", process::sets),
    ("get", get::gets),
    ("watch", watch::events),
    ("ttl", ttl::timers),
    ("expiry", expiry::lateness),
    ("crowd-expires", crowd::expiries),
    ("crowd-deleted", crowd::deletion),
    ("memory", memory::a_key),
    ("open", open::a_million),
    ("snapshot", snapshot::pauses),
    ("view", view::views),
];

/// What children do, by name.
pub(crate) const CHILDREN: [(&str, Task); 6] = [
    ("memory-map", memory::of_map),
    ("memory-store", memory::of_store),
    ("fill-with-snapshot", open::fill_with_snapshot),
    ("fill-without-snapshot", open::fill_without_snapshot),
    ("open", open::open),
    ("open-without-snapshot", open::open_without_snapshot),
];

/// How many keys the rows of a million keys have.
const MILLION: usize = 1_000_000;

/// How many sets are under way at once when many are submitted.
const IN_FLIGHT: usize = 256;

/// Sets the first `count` keys.
fn fill(store: &Store, count: usize) -> Result<()> {
    let mut in_flight = VecDeque::with_capacity(IN_FLIGHT);
    for number in 0..count {
        if in_flight.len() == IN_FLIGHT
            && let Some(oldest) = in_flight.pop_front()
        {
            Pending::wait(oldest)?;
        }
        in_flight.push_back(store.submit(&keys::key(number), &VALUE));
    }
    in_flight.into_iter().try_for_each(Pending::wait)
}

/// One caller's way to set keys, each to a value that no key has had.
fn setter(store: &Store) -> impl FnMut(&str) -> Result<()> {
    let mut values = Values::new();
    move |key| store.set(key, &values.next())
}
