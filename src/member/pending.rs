//! Answers to writes that are under way.

use std::marker::PhantomData;
use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::Duration;

use parking_lot::Mutex;

use super::clock::Clock;
use crate::error::Error;
use crate::event::Change;

/// What a write did.
#[derive(Clone, Debug)]
pub enum Written {
    /// One change: what every command but a transaction makes.
    One(Arc<Change>),
    /// A transaction's changes, in order.
    Many(Vec<Arc<Change>>),
}

/// The answer to one write.
pub(crate) type Answer = Result<Written, Error>;

/// Runs with the answer, on the store's own thread.
pub(crate) type Callback = Box<dyn FnOnce(Answer) + Send>;

/// Where an answer is left, and who is told.
///
/// Whoever comes second finds what the first left: the waiter an answer, or the answerer a waiter.
pub(crate) struct Slot(Mutex<State>);

enum State {
    Open,
    Awaited(Thread),
    Called(Callback),
    Answered(Answer),
    Over,
}

impl Slot {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::Open)))
    }

    /// Leaves the answer and wakes who waits for it. A callback is given back, with the answer it wants: user
    /// code runs when no lock is held.
    #[must_use]
    pub(crate) fn answer(&self, answer: Answer) -> Option<(Callback, Answer)> {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, State::Over) {
            State::Called(callback) => Some((callback, answer)),
            State::Awaited(thread) => {
                *state = State::Answered(answer);
                drop(state);
                thread.unpark();
                None
            }
            State::Open | State::Answered(_) | State::Over => {
                *state = State::Answered(answer);
                None
            }
        }
    }

    /// Waits for the answer, at most until `deadline`.
    pub(crate) fn wait(&self, deadline: Option<std::time::Instant>) -> Option<Answer> {
        // In a callback, on the worker's thread, nobody else would do what is waited for.
        while !self.is_answered() && super::work_while_waiting() {}
        loop {
            {
                let mut state = self.0.lock();
                match std::mem::replace(&mut *state, State::Over) {
                    State::Answered(answer) => return Some(answer),
                    _ => *state = State::Awaited(thread::current()),
                }
            }
            match deadline {
                None => thread::park(),
                Some(deadline) => {
                    let left = Clock::until(deadline);
                    if left.is_zero() {
                        return None;
                    }
                    thread::park_timeout(left);
                }
            }
        }
    }

    fn is_answered(&self) -> bool {
        matches!(*self.0.lock(), State::Answered(_))
    }

    /// Has `callback` called with the answer; at once, with the answer, if it is here already.
    fn call(&self, callback: Callback) {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, State::Over) {
            State::Answered(answer) => {
                drop(state);
                callback(answer);
            }
            _ => *state = State::Called(callback),
        }
    }
}

/// A write that was submitted: on its way to the disk, behind all that were submitted before it.
///
/// Dropping it does not take the write back.
///
/// ```
/// let store = spinney::Store::in_memory();
/// let writes: Vec<_> = (0..100).map(|n| store.put(format!("/n/{n}")).value(n).submit()).collect();
/// for write in writes {
///     write.wait()?; // Durable, visible, and its event with the watchers.
/// }
/// # Ok::<(), spinney::Error>(())
/// ```
#[must_use = "a write that nobody waits for may fail without anybody knowing"]
pub struct Pending<T> {
    slot: Arc<Slot>,
    outcome: PhantomData<fn() -> T>,
}

/// What a [`Pending`] can stand for; implemented by this crate alone.
pub trait Outcome: sealed::FromWritten {}

impl Outcome for Arc<Change> {}
impl Outcome for Vec<Arc<Change>> {}

pub(crate) mod sealed {
    use super::{Arc, Change, Written};

    pub trait FromWritten: Send + 'static {
        fn from_written(written: Written) -> Self;
    }

    impl FromWritten for Arc<Change> {
        fn from_written(written: Written) -> Self {
            match written {
                Written::One(change) => change,
                Written::Many(_) => unreachable!("only transactions make several changes"),
            }
        }
    }

    impl FromWritten for Vec<Arc<Change>> {
        fn from_written(written: Written) -> Self {
            match written {
                Written::One(change) => vec![change],
                Written::Many(changes) => changes,
            }
        }
    }
}

impl<T: Outcome> Pending<T> {
    pub(crate) fn new(slot: Arc<Slot>) -> Self {
        Self { slot, outcome: PhantomData }
    }

    /// One that is answered already.
    pub(crate) fn answered(answer: Answer) -> Self {
        Self::new(Arc::new(Slot(Mutex::new(State::Answered(answer)))))
    }

    /// Waits until the write is durable and applied, or has failed.
    ///
    /// # Errors
    ///
    /// Those of the write.
    pub fn wait(self) -> Result<T, Error> {
        self.slot.wait(None).expect("without a deadline there is an answer").map(T::from_written)
    }

    /// Waits as [`Pending::wait`], but no longer than `timeout`; then the write is given back, still under way.
    ///
    /// # Errors
    ///
    /// The outer one when the time is over; the inner one is that of the write.
    pub fn wait_timeout(self, timeout: Duration) -> Result<Result<T, Error>, Self> {
        match self.slot.wait(Some(Clock::in_(timeout))) {
            Some(answer) => Ok(answer.map(T::from_written)),
            None => Err(self),
        }
    }

    /// Whether [`Pending::wait`] would return at once.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.slot.is_answered()
    }

    /// Has `callback` called with the outcome, on the store's own thread (on this one if it is known already).
    ///
    /// Callbacks run in the order of the writes, one at a time, and keep other waiting writes waiting: be quick.
    /// They may use the store.
    ///
    /// ```
    /// let store = spinney::Store::in_memory();
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// store.put("/a").value("1").submit().on_done(move |outcome| {
    ///     let _ = sender.send(outcome.is_ok());
    /// });
    /// assert!(receiver.recv().unwrap());
    /// ```
    pub fn on_done(self, callback: impl FnOnce(Result<T, Error>) + Send + 'static) {
        self.slot.call(Box::new(move |answer| callback(answer.map(T::from_written))));
    }
}

impl<T> std::fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("done", &self.slot.is_answered()).finish()
    }
}
