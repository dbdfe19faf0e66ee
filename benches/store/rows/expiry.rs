//! How late an expiry's event comes, on a machine that has nothing else to do.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::keys::Random;
use crate::slice::directory;
use crate::subject::{Durability, Store};
use crate::table::{Reach, Row, Table, Unit};
use crate::turns::{Turn, in_turns};
use crate::{Bench, Result};

/// Keys that expire in one turn, spread over so many milliseconds.
const KEYS: usize = 200;
const SPAN_MS: u64 = 1_000;

/// Before the first expires, all have been set.
const LEAD_MS: u64 = 1_000;

pub(super) fn lateness(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let place = directory(bench)?;
    let store = Store::open(place.path(), Durability::Disk)?;
    let mut random = Random::new(3);
    let mut deadlines = || -> Vec<Duration> {
        (0..KEYS).map(|_| Duration::from_millis(LEAD_MS + random.below(SPAN_MS))).collect()
    };
    let (ours, bare) = (deadlines(), deadlines());
    let turns: [Turn<'_, 1>; 2] = [
        Box::new(|| store.as_ref().map(|store| of_store(store, &ours)).transpose()),
        Box::new(|| Ok(Some(of_condvar(&bare)))),
    ];
    let [spinney, limit] = in_turns(bench.rounds, turns)?.map(|series| series.map(|[value]| value));
    table.add(Row {
        what: "an expiry's event after its deadline, p99; a bare timed wait".into(),
        unit: Unit::Milliseconds,
        spinney,
        limit,
        reach: Reach::AtMost(10.0),
    });
    Ok(())
}

fn of_store(store: &Store, ttls: &[Duration]) -> Result<[f64; 1]> {
    let watch = store.watch_below("/expiring")?;
    for (number, &ttl) in ttls.iter().enumerate() {
        store.set_with_ttl(&format!("/expiring/{number}"), ttl)?;
    }
    let mut late = Vec::with_capacity(ttls.len());
    while late.len() < ttls.len() {
        late.extend(watch.next_expiry()?);
    }
    Ok([p99(late)])
}

/// A thread that sleeps until each deadline in turn and looks at the clock: nobody on this machine is earlier.
fn of_condvar(deadlines: &[Duration]) -> [f64; 1] {
    let start = Instant::now();
    let mut deadlines: Vec<_> = deadlines.iter().map(|&after| start + after).collect();
    deadlines.sort_unstable();
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let late = deadlines.iter().map(|&deadline| {
        let left = deadline.saturating_duration_since(Instant::now());
        let guard = mutex.lock().unwrap_or_else(PoisonError::into_inner);
        drop(condvar.wait_timeout_while(guard, left, |()| true));
        deadline.elapsed().as_secs_f64() * 1e3
    });
    [p99(late.collect())]
}

fn p99(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() * 99 / 100]
}
