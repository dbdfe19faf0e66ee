//! How late a watcher is told that a key has expired, while nobody else does anything; and how long readers wait while
//! very many keys expire at once.

use std::time::{Duration, Instant};

use super::MILLION;
use crate::keys::{self, Random, VALUE};
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

/// Keys that expire at one moment; so many moments, to make a million.
const CROWD: usize = MILLION / 4;

/// What the expiry may add to the longest get of a time without one.
const PAUSE_MS: f64 = 10.0;

pub(super) fn pauses(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let store = Store::for_large_transactions()?;
    let kept = "/kept";
    store.set(kept, &VALUE)?;
    let get = || store.get(kept);
    let turn: Turn<'_, 3> = Box::new(|| {
        for first in (0..MILLION).step_by(CROWD) {
            let keys = (first..first + CROWD).map(keys::key);
            store.set_all_with_ttl(keys, &VALUE, Duration::from_secs(15))?;
        }
        let without = longest(get, |since| since < Duration::from_secs(2))?;
        while store.timers() == MILLION {
            std::thread::sleep(Duration::from_millis(1));
        }
        let start = Instant::now();
        let during = longest(get, |_| store.timers() > 0)?;
        Ok([without, during, start.elapsed().as_secs_f64() * 1e9 / MILLION as f64])
    });
    let [[without, during, each]] = in_turns(bench.rounds.min(3), [turn])?;
    table.add(Row {
        what: "longest get while 1M keys expire at once; spinney without".into(),
        unit: Unit::Milliseconds,
        spinney: during,
        limit: Some(without),
        reach: Reach::MoreAtMost(PAUSE_MS),
    });
    table.add(Row {
        what: "1M keys expiring at once, each".into(),
        unit: Unit::Nanoseconds,
        spinney: each,
        limit: None,
        reach: Reach::ToCompare,
    });
    Ok(())
}

/// In milliseconds.
fn longest(get: impl Fn() -> Result<()>, goes_on: impl Fn(Duration) -> bool) -> Result<f64> {
    let (begin, mut longest) = (Instant::now(), Duration::ZERO);
    // To ask whether it goes on waits for the writer, too: seldom.
    while goes_on(begin.elapsed()) {
        for _ in 0..10_000 {
            let start = Instant::now();
            get()?;
            longest = longest.max(start.elapsed());
        }
    }
    Ok(longest.as_secs_f64() * 1e3)
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
