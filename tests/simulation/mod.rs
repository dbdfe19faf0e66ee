//! A simulator of whole clusters: real members over a network, disks, clocks and processes that are made up, and that
//! fail in every way that real ones do.
//!
//! ```text
//!   seed ─► Plan ─► World ─┬─ Machine: Replica (core, log, recovery, snapshots, tree, sessions, watchers)
//!                          │     SimulatedDisk, clocks, process
//!                          ├─ Network, Clients, Admin, and what goes wrong: nemesis
//!                          └─ checkers: Witness, invariants, promises, linear, watching
//!
//!   chaos ─► heal ─► whole again within a bound ─► what was promised is there
//! ```
//! One thread, one clock that jumps from event to event, and all chance from the seed: a seed that fails, fails again,
//! event by event. [`run`] runs one, [`shrink`] finds out which faults it takes.

mod admin;
mod budget;
mod clients;
pub mod coverage;
mod doubt;
mod invariants;
mod life;
#[path = "../support/linear.rs"]
pub mod linear;
mod machine;
mod nemesis;
mod network;
pub mod plan;
mod promises;
mod quiet;
mod random;
pub mod report;
mod sessions;
mod settings;
mod sights;
mod steps;
pub mod sweep;
mod upheaval;
mod watching;
mod whole;
mod witness;
mod workload;
mod world;

use std::panic::{self, AssertUnwindSafe};

use plan::{Faults, Plan};
use report::Report;
use world::World;

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What happened.
    pub report: Report,
    /// Two runs of one seed have the same.
    pub trace: u64,
}

/// What a run found that must not be.
#[derive(Clone, Debug)]
pub struct Violation {
    /// In which run.
    pub seed: u64,
    /// With which faults allowed.
    pub faults: Faults,
    /// What it was.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        write!(
            f,
            "replay: cargo run --profile sweep --example simulate -- --seed {} --seeds 1 --only {}",
            self.seed, self.faults
        )
    }
}

/// Runs one seed with the faults that are allowed.
///
/// # Errors
///
/// What was violated.
pub fn run(seed: u64, allowed: &Faults) -> Result<Outcome, Violation> {
    let plan = Plan::of(seed, allowed);
    let faults = plan.faults.clone();
    let ran = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(plan);
        world.live();
        world.outcome()
    }));
    ran.map_err(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        let text = text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Violation { seed, faults, what: text.unwrap_or_else(|| "a panic without words".to_owned()) }
    })
}

/// Turns off one class of faults after the other, as long as the seed goes on failing.
#[must_use]
pub fn shrink(violation: Violation) -> Violation {
    let mut smallest = violation;
    for fault in smallest.faults.0.clone() {
        let mut fewer = smallest.faults.clone();
        fewer.0.remove(&fault);
        if let Err(again) = run(smallest.seed, &fewer) {
            smallest = Violation { faults: fewer, ..again };
        }
    }
    smallest
}
