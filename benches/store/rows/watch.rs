//! One event to many watchers in the process: from the set to its return, when all have been handed the event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::keys::{VALUE, Values};
use crate::limits::Callbacks;
use crate::subject::Store;
use crate::table::{Reach, Row, Table, Unit};
use crate::turns::in_turns;
use crate::{Bench, Result};

/// Events a turn.
const EVENTS: usize = 50;

pub(super) fn events(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    events_to(1_000, "1,000", bench, table)?;
    events_to(10_000, "10,000", bench, table)
}

fn events_to(count: usize, label: &str, bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    const KEY: &str = "/watched/key";

    let callbacks = Callbacks::new(count);
    let store = Store::in_memory();
    let watchers = store.watch(KEY, count)?;

    let tell = || {
        let mut spent = Duration::ZERO;
        for _ in 0..EVENTS {
            let event = Arc::from(VALUE);
            let start = Instant::now();
            callbacks.tell(&event);
            spent += start.elapsed();
        }
        Ok([spent.as_nanos() as f64 / EVENTS as f64])
    };
    let set = || {
        let mut values = Values::new();
        let mut spent = Duration::ZERO;
        for _ in 0..EVENTS {
            let start = Instant::now();
            store.set(KEY, &values.next())?;
            spent += start.elapsed();
            // Outside the time, and after every event: nobody may fall behind.
            let delivered = watchers.drain();
            if delivered != count {
                return Err(format!("{delivered} of {count} watchers had the event").into());
            }
        }
        Ok([spent.as_nanos() as f64 / EVENTS as f64])
    };
    let [[tell], [set]] = in_turns(bench.rounds, [Box::new(tell), Box::new(set)])?;
    table.add(Row {
        what: format!("one event to {label} watchers; a bare callback loop"),
        unit: Unit::Nanoseconds,
        spinney: set,
        limit: Some(tell),
        reach: Reach::TimesAtMost(4.0),
    });
    Ok(())
}
