//! Answers to writes that are under way.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::callbacks::Callbacks;
use super::clock::Clock;
use super::future::Arrival;
use super::slot::{Notify, Slot};
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

/// So often others may run before a thread that expects its answer soon falls asleep.
#[cfg(feature = "cluster")]
const YIELDS: usize = 4;

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
    /// Who runs a callback; nobody for a write that was never taken.
    callbacks: Option<Arc<Callbacks>>,
    /// Once it is awaited as a future: where the answer will be left.
    pub(super) arrival: Option<Arc<Arrival>>,
    outcome: PhantomData<fn() -> T>,
}

/// What a [`Pending`] can stand for; implemented by this crate alone.
pub trait Outcome: sealed::FromWritten {}

impl Outcome for Arc<Change> {}
impl Outcome for () {}
impl Outcome for Vec<Arc<Change>> {}

pub(crate) mod sealed {
    use super::{Arc, Change, Written};

    pub trait FromWritten: Send + 'static {
        fn from_written(written: Written) -> Self;
    }

    impl FromWritten for () {
        fn from_written(_: Written) -> Self {}
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
    pub(super) fn new(slot: Arc<Slot<Answer>>, callbacks: Option<Arc<Callbacks>>) -> Self {
        Self { slot, callbacks, arrival: None, outcome: PhantomData }
    }

    /// One that is answered already.
    pub(crate) fn answered(answer: Answer) -> Self {
        Self::new(Slot::answered(answer), None)
    }

    /// Waits until the write is durable and applied, or has failed.
    ///
    /// # Errors
    ///
    /// Those of the write.
    pub fn wait(self) -> Result<T, Error> {
        wait(&self.slot).map(T::from_written)
    }

    /// Waits for what comes without a sync. Where many wait, giving way a few times takes as long as the answer does: then
    /// nobody falls asleep, and nobody has to be woken, which would cost more than all else.
    #[cfg(feature = "cluster")]
    pub(super) fn wait_soon(self) -> Result<T, Error> {
        for _ in 0..YIELDS {
            if self.is_done() {
                break;
            }
            std::thread::yield_now();
        }
        self.wait()
    }

    /// Waits as [`Pending::wait`], but no longer than `timeout`; then the write is given back, still under way.
    ///
    /// # Errors
    ///
    /// The outer one when the time is over; the inner one is that of the write.
    pub fn wait_timeout(self, timeout: Duration) -> Result<Result<T, Error>, Self> {
        let deadline = Clock::in_(timeout);
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

    /// Has `callback` called with the outcome, on a thread that the store keeps for callbacks; on this one if the store is
    /// gone, or never took the write.
    ///
    /// Callbacks run one at a time, in the order in which their writes are done or, where those were done already, as
    /// they come. They keep nobody waiting but the callbacks after them, and may use the store.
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
        let callbacks = self.callbacks.clone().unwrap_or_default();
        if self.callbacks.is_some() {
            callbacks.start();
        }
        self.notify(Box::new(move |answer| {
            callbacks.run(Box::new(move || callback(answer.map(T::from_written))));
        }));
    }

    /// Has `notify` called with the answer, wherever it comes from.
    pub(super) fn notify(&self, notify: Notify<Answer>) {
        self.slot.notify(notify);
    }
}

/// Waits for the answer, however long it takes.
pub(super) fn wait(slot: &Slot<Answer>) -> Answer {
    slot.wait(|| None).expect("there is no end to waiting but an answer")
}

impl<T> std::fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("done", &self.slot.is_answered()).finish()
    }
}
