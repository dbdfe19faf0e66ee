//! The one place that reads a clock.
#![allow(clippy::disallowed_methods, reason = "this is the file that may")]

use std::time::{Duration, Instant, SystemTime};

#[cfg(feature = "cluster")]
use crate::replica::Moment;
#[cfg(feature = "cluster")]
use crate::types::BootId;
use crate::types::Timestamp;

/// As far ahead as anybody waits: a thousand years.
const FAR: Duration = Duration::from_secs(1000 * 365 * 24 * 3600);

/// Log time: the wall clock when it was started, plus the time that has passed since.
///
/// The wall clock is read once. Whatever it does later, log time neither jumps nor goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    base: Timestamp,
    started: Instant,
    /// How far the wall clock is set ahead of the machine's: not at all, but where a test says so.
    #[cfg(feature = "cluster")]
    ahead: Duration,
}

impl Clock {
    /// A clock that goes on from the wall clock, but not from before `newest`, the time of the last entry.
    pub(crate) fn start(newest: Timestamp) -> Self {
        Self {
            base: Self::wall().max(newest),
            started: Instant::now(),
            #[cfg(feature = "cluster")]
            ahead: Duration::ZERO,
        }
    }

    /// The same clock on a machine whose wall clock is so far ahead.
    #[cfg(feature = "cluster")]
    pub(crate) fn set_ahead(self, ahead: Duration) -> Self {
        Self { ahead, ..self }
    }

    /// The wall clock.
    fn wall() -> Timestamp {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp::default().after(wall)
    }

    /// What the lives of a member are counted from when it has nothing: the wall clock, in nanoseconds. A life is longer than what
    /// it adds to its number, so one that follows the loss of a disk is greater than those before, unless the clock was set back. From
    /// the year 2262 on all are counted from the same.
    #[cfg(feature = "cluster")]
    pub(crate) fn lives_from() -> BootId {
        BootId::new(Self::wall().get().saturating_mul(1_000_000).min(u64::MAX / 2))
    }

    /// What both clocks show.
    #[cfg(feature = "cluster")]
    pub(crate) fn moment(&self) -> Moment {
        Moment { wall: Self::wall().after(self.ahead), running: self.started.elapsed() }
    }

    /// The present moment in log time.
    pub(crate) fn now(&self) -> Timestamp {
        self.base.after(self.started.elapsed())
    }

    /// When log time reaches `moment`.
    pub(crate) fn instant_of(&self, moment: Timestamp) -> Instant {
        self.started + moment.since(self.base).min(FAR)
    }

    /// The instant that lies `duration` ahead.
    pub(crate) fn in_(duration: Duration) -> Instant {
        Instant::now() + duration.min(FAR)
    }

    /// How long it has been since `instant`.
    #[cfg(all(feature = "cluster", feature = "http"))]
    pub(crate) fn since(instant: Instant) -> Duration {
        Instant::now().saturating_duration_since(instant)
    }

    /// How long it is until `instant`; zero when it has passed.
    pub(crate) fn until(instant: Instant) -> Duration {
        instant.saturating_duration_since(Instant::now())
    }
}
