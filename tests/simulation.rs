//! Whole clusters under everything that can go wrong, by seeds. `examples/simulate.rs` runs as many as one likes.

#[expect(dead_code, clippy::unwrap_used, reason = "the duel of the two trees is another test's")]
mod model;
#[path = "simulation/mod.rs"]
#[allow(unreachable_pub, reason = "it is written to be a public module")]
mod simulation;

use std::hash::{BuildHasher, RandomState};

use simulation::plan::Faults;
use simulation::sweep::Sweep;

/// How many seeds each test runs.
const SEEDS: u64 = 100;

fn sweep(first: u64, twice: bool) {
    let sweep = Sweep { first, seeds: SEEDS, faults: Faults::all(), twice, shrinks: true, violations_max: 1 };
    let swept = sweep.run(|_| {});
    println!("{}", swept.report);
    for violation in &swept.violations {
        println!("{violation}");
    }
    assert!(swept.violations.is_empty(), "{} violations", swept.violations.len());
}

/// The same seeds each time, and each of them twice: chance has to come from the seed alone.
#[test]
fn the_same_seeds_hold_and_repeat_themselves() {
    sweep(1, true);
}

/// Others each time. What fails prints the command that runs it again.
#[test]
fn fresh_seeds_hold() {
    sweep(RandomState::new().hash_one(0u8) >> 20, false);
}
