//! Sets that are on the disk when they return, and what they write there.

use std::collections::VecDeque;
use std::process::Command;
use std::time::Instant;

use parking_lot::Mutex;

use super::{IN_FLIGHT, setter};
use crate::device::Device;
use crate::keys::{self, Values};
use crate::limits::{GroupCommit, Pipeline, RECORD, RawLog};
use crate::slice::per_second;
use crate::subject::{Durability, Pending, Store};
use crate::table::{Reach, Row, Table, Unit};
use crate::turns::in_turns;
use crate::{Bench, Result};

const KEYS: usize = 100_000;

/// Sets by 1, 16 and 64 threads, against one thread with a bare file, and the bare group commit beside them.
pub(super) fn sets(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let keys = keys::shuffled(KEYS);
    let raw = Mutex::new(RawLog::create(&bench.scratch.join("raw"))?);
    let group = GroupCommit::create(&bench.scratch.join("group"))?;
    let store = Store::open(&bench.scratch.join("store"), Durability::Disk)?;

    let raw = || Ok([per_second(&keys, 1, bench.slice, 1, || Ok(raw_set(&raw)))?]);
    let group = |threads| {
        let committer = || {
            let mut commit = group.committer();
            Ok(move |_: &str| {
                commit();
                Ok(())
            })
        };
        Ok([per_second(&keys, threads, bench.slice, 1, committer)?])
    };
    let store = |threads| Ok([per_second(&keys, threads, bench.slice, 1, || Ok(setter(&store)))?]);
    let [[raw], [group_16], [group_64], [one], [sixteen], [sixty_four]] = in_turns(
        bench.rounds,
        [
            Box::new(raw),
            Box::new(|| group(16)),
            Box::new(|| group(64)),
            Box::new(|| store(1)),
            Box::new(|| store(16)),
            Box::new(|| store(64)),
        ],
    )?;

    let raw = ("a bare loop", raw);
    let rows = [
        ("1 thread", raw.clone(), one, Reach::TimesAtLeast(0.95)),
        ("16 threads", raw.clone(), sixteen.clone(), Reach::TimesAtLeast(10.0)),
        ("64 threads", raw, sixty_four.clone(), Reach::TimesAtLeast(22.0)),
        ("16 threads", ("a bare group commit", group_16), sixteen, Reach::ToCompare),
        ("64 threads", ("a bare group commit", group_64), sixty_four, Reach::ToCompare),
    ];
    for (threads, (limit_name, limit), spinney, reach) in rows {
        let what = format!("durable set, {threads}; {limit_name}");
        table.add(Row { what, unit: Unit::PerSecond, spinney, limit: Some(limit), reach });
    }
    Ok(())
}

/// One caller that does not wait for each set, but has so many under way.
pub(super) fn submits(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let keys = keys::shuffled(KEYS);
    let mut pipeline = Pipeline::create(&bench.scratch.join("pipeline"))?;
    let store = Store::open(&bench.scratch.join("store"), Durability::Disk)?;

    let bare = || {
        let start = Instant::now();
        let mut count = 0;
        while start.elapsed() < bench.slice {
            for _ in 0..IN_FLIGHT {
                let number = pipeline.submit();
                pipeline.wait(number.saturating_sub(IN_FLIGHT as u64));
            }
            count += IN_FLIGHT;
        }
        Ok([count as f64 / start.elapsed().as_secs_f64()])
    };
    let submit = || {
        let mut values = Values::new();
        let mut in_flight = VecDeque::with_capacity(IN_FLIGHT);
        let start = Instant::now();
        let mut count = 0;
        let mut walk = keys.iter().cycle();
        while start.elapsed() < bench.slice {
            for key in walk.by_ref().take(IN_FLIGHT) {
                if in_flight.len() == IN_FLIGHT
                    && let Some(oldest) = in_flight.pop_front()
                {
                    Pending::wait(oldest)?;
                }
                in_flight.push_back(store.submit(key, &values.next()));
            }
            count += IN_FLIGHT;
        }
        in_flight.into_iter().try_for_each(Pending::wait)?;
        Ok([count as f64 / start.elapsed().as_secs_f64()])
    };
    let [[bare], [spinney]] = in_turns(bench.rounds, [Box::new(bare), Box::new(submit)])?;
    table.add(Row {
        what: format!("durable set, 1 thread, {IN_FLIGHT} in flight; a bare pipelined log"),
        unit: Unit::PerSecond,
        spinney,
        limit: Some(bare),
        reach: Reach::TimesAtLeast(0.4),
    });
    Ok(())
}

/// What the device is made to write for one small set: a page, unless the page cache holds the log in large
/// folios.
pub(super) fn device_bytes(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    const SETS: usize = 200;
    const PAGE: f64 = 4096.0;

    let keys = keys::shuffled(SETS);
    let Some(device) = Device::of(bench.scratch)? else {
        eprintln!("the kernel does not count what is written to {}", bench.scratch.display());
        return Ok(());
    };
    let raw = Mutex::new(RawLog::create(&bench.scratch.join("raw"))?);
    let store = Store::open(&bench.scratch.join("store"), Durability::Disk)?;
    let bytes_a_set = |set: &mut dyn FnMut(&str) -> Result<()>| -> Result<[f64; 1]> {
        // What others have left in the page cache shall not be written just now.
        Command::new("sync").status()?;
        let before = device.bytes_written()?;
        keys.iter().try_for_each(|key| set(key))?;
        let written = device.bytes_written()? - before;
        Ok([written as f64 / SETS as f64])
    };
    let [[raw], [spinney]] = in_turns(
        bench.rounds,
        [Box::new(|| bytes_a_set(&mut raw_set(&raw))), Box::new(|| bytes_a_set(&mut setter(&store)))],
    )?;
    table.add(Row {
        what: "device bytes a lone small set; a bare loop".into(),
        unit: Unit::Bytes,
        spinney,
        limit: Some(raw),
        reach: Reach::AtMost(1.1 * PAGE),
    });
    Ok(())
}

/// One record into the bare file, synced.
fn raw_set(log: &Mutex<RawLog>) -> impl FnMut(&str) -> Result<()> {
    |_| {
        let mut log = log.lock();
        log.write(&[1; RECORD])?;
        log.sync()
    }
}
