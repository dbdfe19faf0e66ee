//! Gets of files, by one thread and by two.
//!
//! Everybody looks at the value: a map of shared values has it in the processor's cache once the count of its owners has
//! been raised, a node has not.

use super::{MILLION, fill};
use crate::keys;
use crate::limits::Map;
use crate::slice::per_second;
use crate::subject::Store;
use crate::table::{Reach, Row, Table, Unit};
use crate::turns::in_turns;
use crate::{Bench, Result};

pub(super) fn gets(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    gets_of(100_000, "100k", bench, table)?;
    gets_of(MILLION, "1M", bench, table)
}

fn gets_of(count: usize, label: &str, bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    const BATCH: usize = 64;

    let keys = keys::shuffled(count);
    let map = Map::filled(count);
    let store = Store::in_memory();
    fill(&store, count)?;
    let from_map = |threads| {
        let get = |key: &str| {
            std::hint::black_box(map.get(key).ok_or("a key is missing")?.first());
            Ok(())
        };
        Ok([per_second(&keys, threads, bench.slice, BATCH, || Ok(get))?])
    };
    let from_store =
        |threads| Ok([per_second(&keys, threads, bench.slice, BATCH, || Ok(|key: &str| store.get(key)))?]);
    let [[map_one], [map_two], [one], [two]] = in_turns(
        bench.rounds,
        [
            Box::new(|| from_map(1)),
            Box::new(|| from_map(2)),
            Box::new(|| from_store(1)),
            Box::new(|| from_store(2)),
        ],
    )?;

    let rows = [
        ("1 thread; a bare map", one.clone(), map_one, Reach::TimesAtLeast(0.7)),
        ("2 threads; spinney by 1 thread", two.clone(), one, Reach::TimesAtLeast(1.0)),
        ("2 threads; a bare map", two, map_two, Reach::ToCompare),
    ];
    for (what, spinney, limit, reach) in rows {
        let what = format!("get of {label} keys, {what}");
        table.add(Row { what, unit: Unit::PerSecond, spinney, limit: Some(limit), reach });
    }
    Ok(())
}
