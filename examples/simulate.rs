//! Lets whole clusters live through everything that can go wrong, seed by seed, and says what was found.
//!
//! ```text
//! cargo run --profile sweep --example simulate -- --seeds 1000 [--seed FIRST] [--only net,disk,crash,…]
//!
//!   --twice        each seed twice, to see whether it does the same again
//!   --keep-going   do not stop at the third violation
//!   --first        stop at the first, and do not look for the fewest faults that it takes
//! ```
//! The profile is a release that keeps what the core asserts of itself; `--release` leaves half of that out, and is hardly faster.

#[path = "../tests/model/mod.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "the duel of the two trees is another test's")]
mod model;
#[path = "../tests/simulation/mod.rs"]
#[allow(unreachable_pub, reason = "it is written to be a public module")]
mod simulation;

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use simulation::plan::{Fault, Faults};
use simulation::sweep::Sweep;

/// A line of progress is written after so many seeds.
const PROGRESS_SEEDS: u64 = 100;

fn main() -> ExitCode {
    let sweep = match sweep_from(std::env::args().skip(1)) {
        Ok(sweep) => sweep,
        Err(what) => {
            eprintln!(
                "{what}\n\nsimulate [--seeds N] [--seed FIRST] [--only FAULTS] [--twice] [--keep-going] [--first]\nfaults:"
            );
            for fault in Fault::ALL {
                eprintln!("  {:<12} in the group {}", fault.word(), fault.group());
            }
            return ExitCode::from(2);
        }
    };
    let told = AtomicUsize::new(0);
    let swept = sweep.run(|swept| {
        let (report, violations) = (&swept.report, swept.violations.len());
        if told.swap(violations, Ordering::Relaxed) < violations {
            swept.violations.iter().last().inspect(|violation| eprintln!("\n{violation}\n"));
        }
        if report.seeds.is_multiple_of(PROGRESS_SEEDS) && report.seeds > 0 {
            eprintln!(
                "{} seeds, {} events, {} elections, {} crashes, {violations} violations",
                report.seeds, report.events, report.elections, report.crashes
            );
        }
    });
    println!("{}", swept.report);
    println!("violations           {:>12}", swept.violations.len());
    for violation in &swept.violations {
        println!("\n{violation}");
    }
    // What a long sweep never meets is not tested by it.
    let missing = swept.report.coverage.missing_after(sweep.seeds);
    let is_blind = sweep.faults == Faults::all() && !missing.is_empty();
    if is_blind {
        println!("so many seeds should have met: {}", missing.join(", "));
    }
    let is_undecided = swept.report.is_undecided();
    if is_undecided {
        println!("too many histories were too hard to check");
    }
    if swept.violations.is_empty() && !is_blind && !is_undecided {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn sweep_from(mut words: impl Iterator<Item = String>) -> Result<Sweep, String> {
    let mut sweep =
        Sweep { first: 1, seeds: 100, faults: Faults::all(), twice: false, shrinks: true, violations_max: 3 };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match &*word {
            "--seeds" => sweep.seeds = number(&value()?)?,
            "--seed" => sweep.first = number(&value()?)?,
            "--only" => sweep.faults = value()?.parse()?,
            "--twice" => sweep.twice = true,
            "--first" => (sweep.violations_max, sweep.shrinks) = (1, false),
            "--keep-going" => sweep.violations_max = usize::MAX,
            _ => return Err(format!("{word:?} means nothing here")),
        }
    }
    Ok(sweep)
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}
