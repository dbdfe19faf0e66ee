//! Waking a subscriber that waits as a task, not as a thread: the channel itself wakes threads alone.

use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;

/// Where a task that waits for the next event of one watch leaves its waker.
#[derive(Debug, Default)]
pub(super) struct Bell(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waker: Option<Waker>,
    /// Nothing will be sent any more.
    ended: bool,
}

impl Bell {
    /// Has `waker` woken by what is sent next. Returns whether nothing will be: whatever there was is in the
    /// channel by now.
    pub(super) fn listen(&self, waker: &Waker) -> bool {
        let mut state = self.0.lock();
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        state.ended
    }
}

/// The hub's end of a bell. Dropping it tells the task that nothing will be sent any more.
#[derive(Debug)]
pub(super) struct Ringer(Arc<Bell>);

impl Ringer {
    pub(super) fn new() -> (Self, Arc<Bell>) {
        let bell = Arc::new(Bell::default());
        (Self(Arc::clone(&bell)), bell)
    }

    /// Whom to wake now that something was sent; to be done when the hub is not locked.
    pub(super) fn take(&self) -> Option<Waker> {
        self.0.0.lock().waker.take()
    }
}

impl Drop for Ringer {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.ended = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
