//! A slice of work: some threads do one thing for a while, and we count.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// Operations a second of `threads` threads together that do nothing else for `duration`.
///
/// Each thread has an operation of its own from `operations` and walks the keys from a place of its own. The
/// clock is read every `batch` operations: often enough to stop in time, rarely enough not to be what is
/// measured.
pub(crate) fn per_second<Operation>(
    keys: &[String],
    threads: usize,
    duration: Duration,
    batch: usize,
    operations: impl Fn() -> Result<Operation> + Sync,
) -> Result<f64>
where
    Operation: FnMut(&str) -> Result<()>,
{
    let together = Barrier::new(threads);
    let run = |thread: usize| -> Result<f64> {
        let mut operation = operations();
        let mut walk = keys.iter().cycle().skip(thread * keys.len() / threads);
        // Everyone gets here, whatever happened, or the others would wait for ever.
        together.wait();
        let operation = operation.as_mut().map_err(|error| error.to_string())?;
        let start = Instant::now();
        let mut count = 0;
        while start.elapsed() < duration {
            for key in walk.by_ref().take(batch) {
                operation(key)?;
            }
            count += batch;
        }
        Ok(count as f64 / start.elapsed().as_secs_f64())
    };
    let run = &run;
    thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        handles.into_iter().map(|handle| handle.join().map_err(|_| "a thread panicked")?).sum()
    })
}
