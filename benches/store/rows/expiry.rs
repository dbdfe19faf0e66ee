//! How late a watcher is told that a key has expired, while nobody else does anything.

use std::time::{Duration, Instant};

use crate::keys::{Random, VALUE};
use crate::limits::TimedWait;
use crate::subject::{Durability, Pending, Store};
use crate::table::{Reach, Row, Table, Unit};
use crate::turns::{Turn, in_turns};
use crate::{Bench, Result};

/// Keys that expire in one turn, spread over so many milliseconds.
const KEYS: usize = 200;
const SPAN_MS: u64 = 1_000;

/// Before the first expires, all have been set.
const LEAD_MS: u64 = 500;

pub(super) fn lateness(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let store = Store::open(&bench.scratch.join("store"), Durability::Disk)?;
    let mut random = Random::new(3);
    let mut ttl = || Duration::from_millis(LEAD_MS + random.below(SPAN_MS));
    let ttls: Vec<Duration> = (0..KEYS).map(|_| ttl()).collect();
    let turns: [Turn<'_, 1>; 2] =
        [Box::new(|| Ok([p99(of_timed_waits(&ttls))])), Box::new(|| Ok([p99(of_events(&store, &ttls)?)]))];
    // A turn takes as long as the last key lives.
    let [[limit], [spinney]] = in_turns(bench.rounds.min(5), turns)?;
    table.add(Row {
        what: "an expiry's event after its deadline, p99; a bare timed wait".into(),
        unit: Unit::Milliseconds,
        spinney,
        limit: Some(limit),
        reach: Reach::AtMost(10.0),
    });
    Ok(())
}

/// In milliseconds.
fn of_events(store: &Store, ttls: &[Duration]) -> Result<Vec<f64>> {
    let watcher = store.watch_below("/expiring")?;
    let submit = |(number, &ttl)| store.submit_with_ttl(&format!("/expiring/{number}"), &VALUE, ttl);
    let in_flight: Vec<Pending> = ttls.iter().enumerate().map(submit).collect();
    in_flight.into_iter().try_for_each(Pending::wait)?;
    let mut late = Vec::with_capacity(ttls.len());
    while late.len() < ttls.len() {
        late.extend(watcher.next_expiry()?);
    }
    Ok(late)
}

/// In milliseconds.
fn of_timed_waits(ttls: &[Duration]) -> Vec<f64> {
    let start = Instant::now();
    let mut deadlines: Vec<Instant> = ttls.iter().map(|&ttl| start + ttl).collect();
    deadlines.sort_unstable();
    let wait = TimedWait::default();
    let late = deadlines.into_iter().map(|deadline| {
        wait.until(deadline);
        deadline.elapsed().as_secs_f64() * 1e3
    });
    late.collect()
}

fn p99(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() * 99 / 100]
}
