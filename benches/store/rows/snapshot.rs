//! The longest that a set takes while a snapshot of a million keys is written.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{MILLION, fill};
use crate::keys::{self, Values};
use crate::limits::{RECORD, RawLog};
use crate::subject::Store;
use crate::table::{Reach, Row, Table, Unit};
use crate::turns::{Turn, in_turns};
use crate::{Bench, Result};

/// What the snapshot may add to the longest set of a time without one.
const PAUSE_MS: f64 = 10.0;

pub(super) fn pauses(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let mut raw = RawLog::create(&bench.scratch.join("raw"))?;
    let store = Store::open_without_snapshots(&bench.scratch.join("store"))?;
    fill(&store, MILLION)?;
    let keys = keys::shuffled(100_000);
    let mut walk = keys.iter().cycle();
    let mut values = Values::new();

    let bare: Turn<'_, 2> = Box::new(|| {
        let set = || {
            raw.write(&[1; RECORD])?;
            raw.sync()
        };
        longest_sets(set, || write_file(&bench.scratch.join("file")))
    });
    let spinney: Turn<'_, 2> = Box::new(|| {
        let set = || walk.next().map_or(Ok(()), |key| store.set(key, &values.next()));
        longest_sets(set, || store.snapshot())
    });
    let [[_, bare], [without, during]] = in_turns(bench.rounds.min(5), [bare, spinney])?;

    table.add(Row {
        what: "longest set during a snapshot of 1M keys; spinney without one".into(),
        unit: Unit::Milliseconds,
        spinney: during.clone(),
        limit: Some(without),
        reach: Reach::MoreAtMost(PAUSE_MS),
    });
    table.add(Row {
        what: "longest set during a snapshot of 1M keys; a bare loop beside a bare write".into(),
        unit: Unit::Milliseconds,
        spinney: during,
        limit: Some(bare),
        reach: Reach::ToCompare,
    });
    Ok(())
}

/// The longest set in milliseconds, first while `burden` is being carried out, then for as long without it. In
/// the result it is the other way round.
fn longest_sets(
    mut set: impl FnMut() -> Result<()>,
    burden: impl FnOnce() -> Result<()> + Send,
) -> Result<[f64; 2]> {
    let is_done = AtomicBool::new(false);
    let start = Instant::now();
    let during = thread::scope(|scope| {
        let burden = scope.spawn(|| {
            let outcome = burden();
            is_done.store(true, Ordering::Release);
            outcome
        });
        let longest = longest_while(&mut set, || !is_done.load(Ordering::Acquire));
        burden.join().map_err(|_| "the burden panicked")??;
        longest
    })?;
    let span = start.elapsed();
    let start = Instant::now();
    let without = longest_while(&mut set, || start.elapsed() < span)?;
    Ok([without, during].map(|longest| longest.as_secs_f64() * 1e3))
}

fn longest_while(set: &mut impl FnMut() -> Result<()>, goes_on: impl Fn() -> bool) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    while goes_on() {
        let start = Instant::now();
        set()?;
        longest = longest.max(start.elapsed());
    }
    Ok(longest)
}

/// As many bytes as a snapshot has, more or less, written and synced without any care for others.
fn write_file(path: &Path) -> Result<()> {
    let chunk = vec![1; 1 << 20];
    let mut file = File::create(path)?;
    for _ in 0..MILLION * RECORD / chunk.len() {
        file.write_all(&chunk)?;
    }
    Ok(file.sync_all()?)
}
