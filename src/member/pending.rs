//! Answers to writes that are under way.

use std::marker::PhantomData;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Member;
use super::clock::Clock;
use super::future::Arrival;
use super::slot::{Callback, Slot};
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

/// A write that was submitted: on its way to the disk, behind all that were submitted before it.
///
/// Dropping it does not take the write back. It can be waited for ([`wait`](Pending::wait)), awaited as a future by any
/// async runtime, or given a callback ([`on_done`](Pending::on_done)).
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
    slot: Arc<Slot<Answer>>,
    /// Whose worker runs a callback.
    member: Weak<Member>,
    /// Once it is awaited as a future: where the answer will be left.
    pub(super) arrival: Option<Arc<Arrival>>,
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
    pub(super) fn new(slot: Arc<Slot<Answer>>, member: Weak<Member>) -> Self {
        Self { slot, member, arrival: None, outcome: PhantomData }
    }

    /// One that is answered already.
    pub(crate) fn answered(answer: Answer) -> Self {
        Self::new(Slot::answered(answer), Weak::new())
    }

    /// Waits until the write is durable and applied, or has failed.
    ///
    /// # Errors
    ///
    /// Those of the write.
    pub fn wait(self) -> Result<T, Error> {
        wait(&self.slot).map(T::from_written)
    }

    /// Waits as [`Pending::wait`], but no longer than `timeout`; then the write is given back, still under way.
    ///
    /// # Errors
    ///
    /// The outer one when the time is over; the inner one is that of the write.
    pub fn wait_timeout(self, timeout: Duration) -> Result<Result<T, Error>, Self> {
        let deadline = Clock::in_(timeout);
        help(&self.slot);
        match self.slot.wait(|| Some(Clock::until(deadline))) {
            Some(answer) => Ok(answer.map(T::from_written)),
            None => Err(self),
        }
    }

    /// Whether [`Pending::wait`] would return at once.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.slot.is_answered()
    }

    /// Has `callback` called with the outcome, on the store's own thread; on this one if the store is gone, or never
    /// took the write.
    ///
    /// Callbacks run one at a time, as their writes are done or, where those were done already, as they come. They keep
    /// other waiting writes waiting: be quick. They may use the store.
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
        let callback = Box::new(move |answer: Answer| callback(answer.map(T::from_written)));
        if let Some(call) = self.call(callback) {
            match self.member.upgrade() {
                Some(member) => member.run_later(call),
                None => call.0(call.1),
            }
        }
    }

    /// Has `callback` called with the answer, by the member's worker. It is given back with it if the answer is there
    /// already.
    pub(super) fn call(&self, callback: Callback<Answer>) -> Option<(Callback<Answer>, Answer)> {
        self.slot.call(callback)
    }
}

/// Waits for the answer, however long it takes.
pub(super) fn wait(slot: &Slot<Answer>) -> Answer {
    help(slot);
    slot.wait(|| None).expect("there is no end to waiting but an answer")
}

/// In a callback, on the worker's own thread, nobody else would do what is waited for.
fn help(slot: &Slot<Answer>) {
    while !slot.is_answered() && super::work_while_waiting() {}
}

impl<T> std::fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("done", &self.slot.is_answered()).finish()
    }
}
