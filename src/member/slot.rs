//! Where an answer is left for one who waits, or who wants to be called.

use std::sync::Arc;
use std::time::Duration;

use super::sync::{self, Mutex, Thread};

/// Runs with the answer, once, on the thread that leaves it, perhaps under its locks: it wakes somebody, and no more.
pub(crate) type Notify<A> = Box<dyn FnOnce(A) + Send>;

/// The place of one answer.
///
/// Whoever comes second finds what the first left: the waiter an answer, or the answerer a waiter.
pub(crate) struct Slot<A>(Mutex<State<A>>);

enum State<A> {
    /// Nobody has come.
    Open,
    /// Somebody sleeps until there is an answer.
    Awaited(Thread),
    /// Somebody wants to be called with it.
    Called(Notify<A>),
    Answered(A),
    /// The answer was taken.
    Over,
}

impl<A> Slot<A> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::Open)))
    }

    /// A slot whose answer is there already.
    pub(crate) fn answered(answer: A) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::Answered(answer))))
    }

    /// Leaves the answer and wakes who waits for it, or calls who wants to be called.
    pub(crate) fn answer(&self, answer: A) {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, State::Over) {
            State::Called(notify) => {
                drop(state);
                notify(answer);
            }
            State::Awaited(thread) => {
                *state = State::Answered(answer);
                drop(state);
                thread.unpark();
            }
            State::Open | State::Answered(_) | State::Over => *state = State::Answered(answer),
        }
    }

    /// Takes the answer, asleep until it is there; `left` says how much longer, `None` for ever.
    pub(crate) fn wait(&self, left: impl Fn() -> Option<Duration>) -> Option<A> {
        loop {
            if let Some(answer) = self.take_or_await() {
                return Some(answer);
            }
            match left() {
                None => sync::park(),
                Some(left) if left.is_zero() => return None,
                Some(left) => sync::park_timeout(left),
            }
        }
    }

    fn take_or_await(&self) -> Option<A> {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, State::Awaited(sync::current())) {
            State::Answered(answer) => {
                *state = State::Over;
                Some(answer)
            }
            _ => None,
        }
    }

    pub(crate) fn is_answered(&self) -> bool {
        matches!(*self.0.lock(), State::Answered(_))
    }

    /// Has `notify` called with the answer: by whoever leaves it, or at once if it is there already.
    pub(crate) fn notify(&self, notify: Notify<A>) {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, State::Over) {
            State::Answered(answer) => {
                drop(state);
                notify(answer);
            }
            _ => *state = State::Called(notify),
        }
    }
}
