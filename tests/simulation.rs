//! Whole clusters under everything that can go wrong, by seeds.

#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

#[expect(dead_code, reason = "the duel of the two trees is another test's")]
mod model;
#[path = "simulation/mod.rs"]
#[allow(unreachable_pub, reason = "it is written to be a public module")]
mod simulation;

use simulation::plan::Faults;

#[test]
fn one() {
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    let faults = std::env::var("ONLY").map_or(Faults::all(), |only| only.parse().unwrap());
    match simulation::run(seed, &faults) {
        Ok(outcome) => println!("{}", outcome.report),
        Err(violation) => panic!("{violation}"),
    }
}
