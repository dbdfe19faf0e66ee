//! Memory at a million keys, all in: by how much a process grows.

use std::path::Path;

use super::{MILLION, fill};
use crate::child::ask;
use crate::limits::Map;
use crate::machine::Memory;
use crate::subject::{Durability, Store};
use crate::table::{Reach, Row, Table, Unit};
use crate::turns::{Series, in_turns};
use crate::{Bench, Result};

pub(super) fn a_key(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let mut fresh = 0;
    let store = || {
        fresh += 1;
        let directory = bench.scratch.join(format!("store-{fresh}"));
        let bytes = ask("memory-store", &directory)?;
        std::fs::remove_dir_all(&directory)?;
        Ok(bytes)
    };
    // It hardly differs from round to round, and filling takes its time.
    let rounds = bench.rounds.min(3);
    let [[map_own, map_mapped], [own, mapped]] =
        in_turns(rounds, [Box::new(|| ask("memory-map", bench.scratch)), Box::new(store)])?;
    let sum = |own: &Series, mapped| own.with(mapped, |own, mapped| own + mapped);
    let rows = [
        ("all in", sum(&own, &mapped), sum(&map_own, &map_mapped), Reach::AtMost(350.0)),
        ("without the mapped log", own, map_own, Reach::ToCompare),
    ];
    for (what, spinney, limit, reach) in rows {
        let what = format!("memory a key at 1M keys, {what}; a bare map");
        table.add(Row { what, unit: Unit::Bytes, spinney, limit: Some(limit), reach });
    }
    Ok(())
}

/// Child: a bare map.
pub(super) fn of_map(_: &Path) -> Result<Vec<f64>> {
    let before = Memory::now()?;
    let map = Map::filled(MILLION);
    let grown = bytes_a_key(&before)?;
    drop(map);
    Ok(grown)
}

/// Child: a store on a disk.
pub(super) fn of_store(directory: &Path) -> Result<Vec<f64>> {
    let before = Memory::now()?;
    let store = Store::open(directory, Durability::Process)?;
    fill(&store, MILLION)?;
    bytes_a_key(&before)
}

/// Its own, and mapped.
fn bytes_a_key(before: &Memory) -> Result<Vec<f64>> {
    let grown = Memory::now()?.since(before);
    Ok([grown.own, grown.mapped].map(|bytes| bytes as f64 / MILLION as f64).to_vec())
}
