//! Opening a store that has a million keys, from a snapshot and from the log alone.

use std::path::Path;
use std::time::Instant;

use super::{MILLION, fill};
use crate::child::ask;
use crate::keys;
use crate::limits::Map;
use crate::subject::{Durability, Store};
use crate::table::{Reach, Row, Table, Unit};
use crate::turns::in_turns;
use crate::{Bench, Result};

pub(super) fn a_million(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let with_snapshot = bench.scratch.join("with-snapshot");
    let log_alone = bench.scratch.join("log-alone");
    ask::<0>("fill-with-snapshot", &with_snapshot)?;
    ask::<0>("fill-without-snapshot", &log_alone)?;
    let build_map = || {
        let start = Instant::now();
        let map = Map::filled(MILLION);
        let spent = start.elapsed();
        drop(map);
        Ok([spent.as_secs_f64() * 1e3])
    };
    let [[map], [snapshot], [log]] = in_turns(
        bench.rounds.min(5),
        [
            Box::new(build_map),
            Box::new(|| ask("open", &with_snapshot)),
            Box::new(|| ask("open-without-snapshot", &log_alone)),
        ],
    )?;
    let rows = [("from a snapshot", snapshot, 1_000.0), ("from the log alone", log, 2_000.0)];
    for (from, spinney, most) in rows {
        table.add(Row {
            what: format!("open with 1M keys, {from}; building a bare map"),
            unit: Unit::Milliseconds,
            spinney,
            limit: Some(map.clone()),
            reach: Reach::AtMost(most),
        });
    }
    Ok(())
}

/// Child: a directory with a snapshot of all keys.
pub(super) fn fill_with_snapshot(directory: &Path) -> Result<Vec<f64>> {
    let store = Store::open(directory, Durability::Process)?;
    fill(&store, MILLION)?;
    store.snapshot()?;
    Ok(Vec::new())
}

/// Child: a directory with all keys in the log.
pub(super) fn fill_without_snapshot(directory: &Path) -> Result<Vec<f64>> {
    fill(&Store::open_without_snapshots(directory)?, MILLION)?;
    Ok(Vec::new())
}

/// Child: opens what has a snapshot.
pub(super) fn open(directory: &Path) -> Result<Vec<f64>> {
    time_to_first_get(|| Store::open(directory, Durability::Disk))
}

/// Child: opens what has none, and must not get one by being opened.
pub(super) fn open_without_snapshot(directory: &Path) -> Result<Vec<f64>> {
    time_to_first_get(|| Store::open_without_snapshots(directory))
}

fn time_to_first_get(open: impl FnOnce() -> Result<Store>) -> Result<Vec<f64>> {
    let start = Instant::now();
    let store = open()?;
    store.get(&keys::key(MILLION - 1))?;
    Ok(vec![start.elapsed().as_secs_f64() * 1e3])
}
