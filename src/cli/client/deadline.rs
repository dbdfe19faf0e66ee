//! How long a command may take in all.

use std::time::{Duration, Instant};

/// A moment after which nothing more is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// The deadline that is `after` from now.
    #[allow(clippy::disallowed_methods, reason = "what a command waits for is no store's time")]
    pub(crate) fn after(after: Duration) -> Self {
        Self(Instant::now().checked_add(after))
    }

    /// No deadline: for watches.
    pub(crate) const NEVER: Self = Self(None);

    /// How much time is left; `None` when there is no end to it.
    #[allow(clippy::disallowed_methods, reason = "what a command waits for is no store's time")]
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}
