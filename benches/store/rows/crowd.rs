//! How long readers wait while very much goes at once: keys that expire at one moment, or with the directory above them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{MILLION, fill};
use crate::keys::{self, VALUE};
use crate::subject::Store;
use crate::table::{Reach, Row, Table, Unit};
use crate::turns::{Series, Turn, in_turns};
use crate::{Bench, Result};

/// Keys that expire at one moment; so many moments, to make a million.
const CROWD: usize = MILLION / 4;

/// What that may add to the longest get of a time without it.
const PAUSE_MS: f64 = 10.0;

/// The key that is read meanwhile.
const KEPT: &str = "/kept";

/// How long gets are timed with nothing else going on.
const CALM: Duration = Duration::from_secs(2);

pub(super) fn expiries(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let store = Store::for_large_transactions()?;
    store.set(KEPT, &VALUE)?;
    let turn: Turn<'_, 3> = Box::new(|| {
        for first in (0..MILLION).step_by(CROWD) {
            let keys = (first..first + CROWD).map(keys::key);
            store.set_all_with_ttl(keys, &VALUE, Duration::from_secs(15))?;
        }
        let without = longest_get(&store, |since| since < CALM)?;
        while store.timers() == MILLION {
            thread::sleep(Duration::from_millis(1));
        }
        let start = Instant::now();
        let during = longest_get(&store, |_| store.timers() > 0)?;
        Ok([without, during, nanoseconds_each(start.elapsed())])
    });
    let [measured] = in_turns(bench.rounds.min(3), [turn])?;
    add(table, ["longest get while 1M keys expire at once", "1M keys expiring at once, each"], measured);
    Ok(())
}

pub(super) fn deletion(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let store = Store::in_memory();
    store.set(KEPT, &VALUE)?;
    let turn: Turn<'_, 3> = Box::new(|| {
        fill(&store, MILLION)?;
        let without = longest_get(&store, |since| since < CALM)?;
        let is_done = AtomicBool::new(false);
        let (during, took) = thread::scope(|scope| -> Result<_> {
            let deletes = scope.spawn(|| {
                let start = Instant::now();
                let outcome = store.delete_all("/svc");
                is_done.store(true, Ordering::Release);
                outcome.map(|()| start.elapsed())
            });
            let during = longest_get(&store, |_| !is_done.load(Ordering::Acquire))?;
            Ok((during, deletes.join().map_err(|_| "the delete panicked")??))
        })?;
        Ok([without, during, nanoseconds_each(took)])
    });
    let [measured] = in_turns(bench.rounds.min(3), [turn])?;
    add(table, ["longest get while 1M keys are deleted at once", "1M keys deleted at once, each"], measured);
    Ok(())
}

fn add(table: &mut Table, [longest, each]: [&str; 2], [without, during, took]: [Series; 3]) {
    table.add(Row {
        what: format!("{longest}; spinney without"),
        unit: Unit::Milliseconds,
        spinney: during,
        limit: Some(without),
        reach: Reach::MoreAtMost(PAUSE_MS),
    });
    table.add(Row {
        what: each.into(),
        unit: Unit::Nanoseconds,
        spinney: took,
        limit: None,
        reach: Reach::ToCompare,
    });
}

fn nanoseconds_each(took: Duration) -> f64 {
    took.as_secs_f64() * 1e9 / MILLION as f64
}

/// In milliseconds.
fn longest_get(store: &Store, goes_on: impl Fn(Duration) -> bool) -> Result<f64> {
    let (begin, mut longest) = (Instant::now(), Duration::ZERO);
    // To ask whether it goes on may wait for the writer, too: seldom.
    while goes_on(begin.elapsed()) {
        for _ in 0..10_000 {
            let start = Instant::now();
            store.get(KEPT)?;
            longest = longest.max(start.elapsed());
        }
    }
    Ok(longest.as_secs_f64() * 1e3)
}
