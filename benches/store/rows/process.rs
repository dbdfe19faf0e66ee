//! Sets that survive the end of the process when they return, but not yet a power loss.

use parking_lot::Mutex;

use super::setter;
use crate::keys;
use crate::limits::{RECORD, RawLog};
use crate::slice::per_second;
use crate::subject::{Durability, Store};
use crate::table::{Reach, Row, Table, Unit};
use crate::turns::in_turns;
use crate::{Bench, Result};

/// One thread that sets, against one that hands a record to the operating system.
pub(super) fn sets(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let keys = keys::shuffled(100_000);
    let raw = Mutex::new(RawLog::create(&bench.scratch.join("raw"))?);
    let store = Store::open(&bench.scratch.join("store"), Durability::Process)?;

    let write = || {
        let write = |_: &str| raw.lock().write(&[1; RECORD]);
        Ok([per_second(&keys, 1, bench.slice, 16, || Ok(write))?])
    };
    let set = || Ok([per_second(&keys, 1, bench.slice, 16, || Ok(setter(&store)))?]);
    let [[write], [set]] = in_turns(bench.rounds, [Box::new(write), Box::new(set)])?;
    table.add(Row {
        what: "set with Durability::Process, 1 thread; a bare write".into(),
        unit: Unit::PerSecond,
        spinney: set,
        limit: Some(write),
        reach: Reach::AtLeast(1e6),
    });
    Ok(())
}
