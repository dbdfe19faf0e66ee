//! Many seeds, on as many threads as there are cores.

use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::plan::Faults;
use super::report::Report;
use super::{Violation, run, shrink};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The first seed.
    pub first: u64,
    /// How many.
    pub seeds: u64,
    /// The faults that are allowed.
    pub faults: Faults,
    /// Whether each seed is run twice, to see whether it does the same again.
    pub twice: bool,
    /// Whether a seed that fails is tried again with fewer faults.
    pub shrinks: bool,
    /// After so many violations no new seed is begun.
    pub violations_max: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Swept {
    /// All runs together.
    pub report: Report,
    /// What was found, each with as few faults as it takes.
    pub violations: Vec<Violation>,
}

impl Sweep {
    /// Runs all seeds. `progress` is told, now and then, how many are done and what was found so far.
    pub fn run(&self, progress: impl Fn(&Swept) + Sync) -> Swept {
        // One sweep at a time: the hook is the whole process's.
        static SWEEPING: Mutex<()> = Mutex::new(());
        let _sweeping = SWEEPING.lock().unwrap_or_else(PoisonError::into_inner);
        // What a run finds is told in its result; the panics that carry it are nobody's news.
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|_| {}));
        let (next, swept) = (AtomicU64::new(0), Mutex::new(Swept::default()));
        let threads = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| self.work(&next, &swept, &progress));
            }
        });
        panic::set_hook(hook);
        swept.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, next: &AtomicU64, swept: &Mutex<Swept>, progress: &(impl Fn(&Swept) + Sync)) {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let found = swept.lock().unwrap_or_else(PoisonError::into_inner).violations.len();
            if number >= self.seeds || found >= self.violations_max {
                return;
            }
            let ran = self.run_one(self.first + number);
            let mut swept = swept.lock().unwrap_or_else(PoisonError::into_inner);
            match ran {
                Ok(report) => swept.report.add(&report),
                Err(violation) => swept.violations.push(violation),
            }
            progress(&swept);
        }
    }

    fn run_one(&self, seed: u64) -> Result<Report, Violation> {
        let first =
            run(seed, &self.faults).map_err(|found| if self.shrinks { shrink(found) } else { found })?;
        if self.twice {
            let again = run(seed, &self.faults)?;
            if again.trace != first.trace {
                let what = "two runs of this seed are not the same".to_owned();
                return Err(Violation { seed, faults: self.faults.clone(), what });
            }
        }
        Ok(first.report)
    }
}
