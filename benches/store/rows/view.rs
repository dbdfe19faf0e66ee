//! Views of everything, and what the first change after one costs.

use std::time::{Duration, Instant};

use super::{MILLION, fill};
use crate::keys::{self, VALUE, Values};
use crate::subject::Store;
use crate::table::{Reach, Row, Table, Unit};
use crate::turns::{Turn, in_turns};
use crate::{Bench, Result};

/// Views a turn.
const VIEWS: usize = 10_000;

/// First changes a turn.
const CHANGES: usize = 200;

/// Children of the wide directory.
const WIDE: usize = 100_000;

pub(super) fn views(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let (small, large, wide) = (Store::in_memory(), Store::in_memory(), Store::in_memory());
    fill(&small, 1_000)?;
    fill(&large, MILLION)?;
    for number in 0..WIDE {
        wide.set(&wide_key(number), &VALUE)?;
    }
    let turns: [Turn<'_, 1>; 3] = [
        Box::new(|| Ok(nanoseconds_a_view(&small))),
        Box::new(|| Ok(nanoseconds_a_view(&large))),
        Box::new(|| nanoseconds_a_first_change(&wide)),
    ];
    let [[small], [large], [first_change]] = in_turns(bench.rounds, turns)?;

    let rows = [
        ("view of 1M keys", large.clone(), None, Reach::AtMost(1_000.0)),
        ("view of 1M keys; spinney's of 1,000", large, Some(small), Reach::TimesAtMost(2.0)),
        ("first set after a view into 100k siblings", first_change, None, Reach::AtMost(100_000.0)),
    ];
    for (what, spinney, limit, reach) in rows {
        table.add(Row { what: what.into(), unit: Unit::Nanoseconds, spinney, limit, reach });
    }
    Ok(())
}

fn wide_key(number: usize) -> String {
    format!("/wide/{number:06}")
}

/// Taken and dropped.
fn nanoseconds_a_view(store: &Store) -> [f64; 1] {
    let start = Instant::now();
    for _ in 0..VIEWS {
        drop(std::hint::black_box(store.view()));
    }
    [start.elapsed().as_nanos() as f64 / VIEWS as f64]
}

/// With the view still held, so that nothing that it shows may be changed in place.
fn nanoseconds_a_first_change(store: &Store) -> Result<[f64; 1]> {
    let mut values = Values::new();
    let mut random = keys::Random::new(2);
    let mut spent = Duration::ZERO;
    for _ in 0..CHANGES {
        let key = wide_key(random.below(WIDE as u64) as usize);
        let view = store.view();
        let start = Instant::now();
        store.set(&key, &values.next())?;
        spent += start.elapsed();
        drop(view);
    }
    Ok([spent.as_nanos() as f64 / CHANGES as f64])
}
