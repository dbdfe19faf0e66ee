//! A token bucket: how much may be sent by when.

use std::time::{Duration, Instant};

/// Lets bytes through at a rate, with bursts of a tenth of a second.
///
/// What is taken may exceed what is there: the debt is waited for afterwards, so that a frame larger than any burst
/// gets through too.
#[derive(Debug)]
pub(super) struct Bucket {
    bytes_per_second: u64,
    /// Until when what was taken uses up the rate.
    spent_until: Option<Instant>,
}

/// How much of the rate may be saved up.
const BURST: Duration = Duration::from_millis(100);

impl Bucket {
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, spent_until: None }
    }

    /// Takes `bytes` at the moment `now`; gives how long to wait before sending them.
    pub(super) fn take(&mut self, bytes: usize, now: Instant) -> Duration {
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let from = self.spent_until.map_or(earliest, |until| until.max(earliest));
        let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(COST_MAX);
        self.spent_until = Some(from + cost);
        from.saturating_duration_since(now)
    }
}

/// A rate of a byte a second is no reason to overflow the clock.
const COST_MAX: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has to begin somewhere")]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_rate_holds_after_the_burst() {
        let start = Instant::now() + Duration::from_secs(1);
        let mut bucket = Bucket::new(1000);
        assert_eq!(bucket.take(100, start), Duration::ZERO);
        assert_eq!(bucket.take(50, start), Duration::ZERO);
        assert_eq!(bucket.take(10, start), 50 * MS);
        assert_eq!(bucket.take(10, start + 20 * MS), 40 * MS);
    }

    #[test]
    fn what_is_larger_than_a_burst_gets_through_and_is_waited_for_afterwards() {
        let start = Instant::now() + Duration::from_secs(1);
        let mut bucket = Bucket::new(1000);
        assert_eq!(bucket.take(2100, start), Duration::ZERO);
        assert_eq!(bucket.take(1, start), 2000 * MS);
    }

    #[test]
    fn idle_time_saves_up_no_more_than_a_burst() {
        let start = Instant::now() + Duration::from_secs(1);
        let mut bucket = Bucket::new(1000);
        let later = start + Duration::from_secs(3600);
        bucket.take(1, start);
        assert_eq!(bucket.take(100, later), Duration::ZERO);
        assert_eq!(bucket.take(1, later), Duration::ZERO);
        assert_eq!(bucket.take(1, later), MS);
    }
}
