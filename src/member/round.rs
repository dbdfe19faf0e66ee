//! Who turns the crank: a lone caller, or the worker for all that wait.
//!
//! ```text
//!   caller ── the crank is free and nobody waits? ──► turns it itself
//!      └───── else: queue ──► worker, woken if it sleeps ──► takes the crank, then what waits, and turns
//! ```
//! Invariants:
//! - What enters the queue is taken in that order, and by the worker alone.
//! - A lone caller goes ahead of nobody: it looks at the queue with the crank in its hands, and the worker takes
//!   the crank before it takes from the queue.
//! - While something waits, the worker is awake: who adds to the queue wakes it under the queue's lock.
//! - A closed round takes nothing more; what it took before, the worker still does.
//!
//! Lock order: crank, then queue.

use std::collections::VecDeque;
use std::time::Instant;

use super::sync::{Condvar, Mutex, MutexGuard};

/// The crank `C`, and work `W` that waits for it.
pub(super) struct Round<C, W> {
    crank: Mutex<C>,
    queue: Mutex<Queue<W>>,
    /// Goes with `queue`: tells the worker of work, of an earlier alarm, and of the end.
    news: Condvar,
}

struct Queue<W> {
    waiting: VecDeque<(W, usize)>,
    /// What that weighs.
    weight: usize,
    closed: bool,
    /// While the worker sleeps: until when at most.
    sleeps_until: Option<Option<Instant>>,
}

/// The round takes no more work.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

impl<C, W> Round<C, W> {
    pub(super) fn new(crank: C) -> Self {
        let queue = Queue { waiting: VecDeque::new(), weight: 0, closed: false, sleeps_until: None };
        Self { crank: Mutex::new(crank), queue: Mutex::new(queue), news: Condvar::new() }
    }

    /// The crank, for whoever needs what only its holder may touch.
    pub(super) fn crank(&self) -> MutexGuard<'_, C> {
        self.crank.lock()
    }

    /// The crank, if it is free.
    pub(super) fn try_crank(&self) -> Option<MutexGuard<'_, C>> {
        self.crank.try_lock()
    }

    /// Whether a caller that has the crank goes ahead of nobody.
    pub(super) fn is_idle(&self, _crank: &mut C) -> Result<bool, Closed> {
        let queue = self.queue.lock();
        if queue.closed { Err(Closed) } else { Ok(queue.waiting.is_empty()) }
    }

    /// Leaves `work` for the worker.
    pub(super) fn add(&self, work: W, weight: usize) -> Result<(), Closed> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(Closed);
        }
        queue.weight += weight;
        queue.waiting.push_back((work, weight));
        self.wake(queue);
        Ok(())
    }

    /// Takes what waits, in order: at least one if there is any, and no more than `count` or `weight`.
    pub(super) fn take(&self, _crank: &mut C, count: usize, weight: usize, taken: &mut Vec<W>) {
        let mut queue = self.queue.lock();
        let mut total = 0;
        while let Some(&(_, next)) = queue.waiting.front() {
            total += next;
            if !taken.is_empty() && (taken.len() >= count || total > weight) {
                return;
            }
            queue.weight -= next;
            taken.extend(queue.waiting.pop_front().map(|(work, _)| work));
        }
    }

    /// How much waits, in number and weight.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let queue = self.queue.lock();
        (queue.waiting.len(), queue.weight)
    }

    /// For the worker: sleeps until there is work or `alarm` says it is time, which is asked anew on every news.
    /// Returns false when the round is closed and nothing waits.
    pub(super) fn sleep(&self, alarm: impl Fn() -> Option<Instant>) -> bool {
        let mut queue = self.queue.lock();
        loop {
            if !queue.waiting.is_empty() {
                return true;
            }
            if queue.closed {
                return false;
            }
            // Asked with the queue locked: who moves the alarm forward looks at `sleeps_until` afterwards.
            let until = alarm();
            queue.sleeps_until = Some(until);
            let time_is_up = match until {
                None => {
                    self.news.wait(&mut queue);
                    false
                }
                Some(until) => self.news.wait_until(&mut queue, until).timed_out(),
            };
            queue.sleeps_until = None;
            if time_is_up {
                return true;
            }
        }
    }

    /// Wakes the worker if it would sleep past `alarm`.
    pub(super) fn alarm(&self, alarm: Instant) {
        let queue = self.queue.lock();
        if queue.sleeps_until.is_some_and(|until| until.is_none_or(|until| alarm < until)) {
            self.wake(queue);
        }
    }

    /// Takes no more work from now on; the worker ends when it has done what waits.
    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        self.wake(queue);
    }

    fn wake(&self, mut queue: MutexGuard<'_, Queue<W>>) {
        // Once is enough: until it has run it needs no further news.
        if queue.sleeps_until.take().is_some() {
            drop(queue);
            self.news.notify_one();
        }
    }
}
