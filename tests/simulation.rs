//! Whole clusters under everything that can go wrong, by seeds. `examples/simulate.rs` runs as many as one likes.

#[expect(dead_code, clippy::unwrap_used, reason = "the duel of the two trees is another test's")]
mod model;
#[path = "simulation/mod.rs"]
#[allow(unreachable_pub, reason = "it is written to be a public module")]
mod simulation;

use std::hash::{BuildHasher, RandomState};

use simulation::plan::Faults;
use simulation::report::Report;
use simulation::sweep::Sweep;

/// How many seeds each test runs.
const SEEDS: u64 = 100;

/// Seeds that found something, and what. Each has a script or a test of its own, too: a seed means another run once the plans of
/// the simulator have changed.
const FOUND: &[(u64, &str)] = &[
    (800_059, "a leader and a member wait for each other's next number: raft::tests"),
    (800_123, "the same"),
    (5_001_817, "who was removed while it was away is never told: scripts e18 and e19"),
    (5_004_388, "the simulator itself: a leader without ticks counts as running"),
    (5_010_375, "the same"),
    (5_016_167, "the simulator itself: a pause that is cut short by a shorter one"),
    (5_019_265, "the same"),
    (5_004_066, "a vote that is asked for again makes a member forget its leader: script a18"),
    (7_000_882, "a leader sends a member with a full disk the same again with every answer"),
    (8_000_517, "a member with a full disk asks for a snapshot again with every part of it"),
    (
        5_000_581,
        "the simulator itself: a frame that is bad breaks a connection that is broken already, without end",
    ),
    (
        5_003_635,
        "a member that has become the only one tells a caller what another's write did: tests/replica.rs",
    ),
    (5_005_433, "the simulator itself: who was removed wakes up while nothing is to be said"),
    (5_006_954, "an older answer ends the search for where logs part, and all is sent again: script b15"),
    (5_011_958, "the simulator itself: the image of a disk that rots is put back"),
    (5_019_055, "as 5006954"),
    (8_001_468, "the simulator itself: nobody knows any more that a disk was put back"),
    (9_200_066, "whom others wait for does not stand, since it is a learner by its own log: script e26"),
];

fn sweep(first: u64, twice: bool) -> Report {
    sweep_of(first, SEEDS, twice)
}

fn sweep_of(first: u64, seeds: u64, twice: bool) -> Report {
    let sweep = Sweep { first, seeds, faults: Faults::all(), twice, shrinks: true, violations_max: 1 };
    let swept = sweep.run(|_| {});
    println!("{}", swept.report);
    for violation in &swept.violations {
        println!("{violation}");
    }
    assert!(swept.violations.is_empty(), "{} violations", swept.violations.len());
    assert!(!swept.report.is_undecided(), "too many histories were too hard to check");
    swept.report
}

/// The same seeds each time, and each of them twice: chance has to come from the seed alone. And they meet what many seeds must
/// have met, or they prove nothing about it.
#[test]
fn the_same_seeds_hold_and_repeat_themselves() {
    let missing = sweep(1, true).coverage.missing_after(SEEDS);
    assert!(missing.is_empty(), "never met: {missing:?}");
}

#[test]
fn seeds_that_found_something_hold() {
    for (seed, what) in FOUND {
        println!("{seed}: {what}");
        sweep_of(*seed, 1, false);
    }
}

/// Others each time. What fails prints the command that runs it again.
#[test]
fn fresh_seeds_hold() {
    sweep(RandomState::new().hash_one(0u8) >> 20, false);
}
