//! A million timers: all inserted, all moved, all expired.

use std::time::Instant;

use super::MILLION;
use crate::keys::Random;
use crate::limits::{Heap, Wheel};
use crate::table::{Reach, Row, Table, Unit};
use crate::turns::{Turn, in_turns};
use crate::{Bench, Result, subject};

/// Deadlines lie within ten minutes, in milliseconds.
const SPAN_MS: u64 = 600_000;

/// How far the clock goes from one look to the next.
const STEP_MS: u64 = 10;

/// What keeps deadlines. Timers are numbered from 0, in the order in which they are inserted.
pub(crate) trait Timers {
    fn insert(&mut self, timer: u32, deadline: u64);
    fn move_to(&mut self, timer: u32, deadline: u64);
    /// Takes out what is due at `now` and returns how many timers that were.
    fn expire(&mut self, now: u64) -> usize;
    /// How many entries are kept, whether they still mean anything or not.
    fn entries(&self) -> usize;
}

impl Timers for Wheel {
    fn insert(&mut self, timer: u32, deadline: u64) {
        Self::insert(self, timer, deadline);
    }

    fn move_to(&mut self, timer: u32, deadline: u64) {
        Self::move_to(self, timer, deadline);
    }

    fn expire(&mut self, now: u64) -> usize {
        Self::expire(self, now)
    }

    fn entries(&self) -> usize {
        self.len()
    }
}

impl Timers for Heap {
    fn insert(&mut self, timer: u32, deadline: u64) {
        Self::insert(self, timer, deadline);
    }

    fn move_to(&mut self, timer: u32, deadline: u64) {
        Self::move_to(self, timer, deadline);
    }

    fn expire(&mut self, now: u64) -> usize {
        Self::expire(self, now)
    }

    fn entries(&self) -> usize {
        self.len()
    }
}

/// Nanoseconds a timer for insert, move and expire, their sum, and entries kept a timer after the moves.
type Measured = [f64; 5];

pub(super) fn timers(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let deadlines = Deadlines::new();
    let turns: [Turn<'_, 5>; 3] = [
        Box::new(|| deadlines.play(&mut Wheel::default())),
        Box::new(|| deadlines.play(&mut Heap::default())),
        Box::new(|| deadlines.play(&mut subject::timer_wheel())),
    ];
    let [wheel, heap, spinney] = in_turns(bench.rounds, turns)?;

    for (place, doing) in ["insert", "move", "expire"].into_iter().enumerate() {
        table.add(Row {
            what: format!("1M TTLs, {doing}, each; a bare wheel"),
            unit: Unit::Nanoseconds,
            spinney: spinney[place].clone(),
            limit: Some(wheel[place].clone()),
            reach: Reach::TimesAtMost(2.0),
        });
    }
    let ([.., sum, entries], [.., heap_sum, heap_entries]) = (spinney, heap);
    table.add(Row {
        what: "1M TTLs, insert + move + expire; a binary heap".into(),
        unit: Unit::Nanoseconds,
        spinney: sum,
        limit: Some(heap_sum),
        reach: Reach::TimesAtMost(1.0),
    });
    table.add(Row {
        what: "1M TTLs, entries kept a TTL after a refresh; a binary heap".into(),
        unit: Unit::Plain,
        spinney: entries,
        limit: Some(heap_entries),
        reach: Reach::AtMost(1.0),
    });
    Ok(())
}

/// The same for everybody, drawn before any clock runs.
struct Deadlines {
    first: Vec<u64>,
    /// After the refresh: a later one for each. Refreshes come in the order of the inserts, as they do where
    /// everybody refreshes now and again.
    second: Vec<u64>,
}

impl Deadlines {
    fn new() -> Self {
        let mut random = Random::new(1);
        let mut draw = |from| (0..MILLION).map(|_| from + random.below(SPAN_MS)).collect();
        Self { first: draw(1), second: draw(SPAN_MS + 1) }
    }

    fn play(&self, timers: &mut dyn Timers) -> Result<Measured> {
        let insert = nanoseconds_a_timer(|| {
            for (timer, &deadline) in self.first.iter().enumerate() {
                timers.insert(timer as u32, deadline);
            }
        });
        let refresh = nanoseconds_a_timer(|| {
            for (timer, &deadline) in self.second.iter().enumerate() {
                timers.move_to(timer as u32, deadline);
            }
        });
        let entries = timers.entries() as f64 / MILLION as f64;
        let mut expired = 0;
        let expire = nanoseconds_a_timer(|| {
            for now in (STEP_MS..=2 * SPAN_MS + STEP_MS).step_by(STEP_MS as usize) {
                expired += timers.expire(now);
            }
        });
        if expired != MILLION {
            return Err(format!("{expired} of {MILLION} timers expired").into());
        }
        Ok([insert, refresh, expire, insert + refresh + expire, entries])
    }
}

fn nanoseconds_a_timer(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64 / MILLION as f64
}
