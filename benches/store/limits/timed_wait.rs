//! A bare timed wait: nobody on this machine is told earlier that a moment has come.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// What a thread waits at that nobody will ever wake.
#[derive(Default)]
pub(crate) struct TimedWait {
    mutex: Mutex<()>,
    condvar: Condvar,
}

impl TimedWait {
    /// Returns when `deadline` has come.
    pub(crate) fn until(&self, deadline: Instant) {
        let mut guard = self.mutex.lock();
        while !self.condvar.wait_until(&mut guard, deadline).timed_out() {}
    }
}
