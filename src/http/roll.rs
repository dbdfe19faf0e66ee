//! The roll of a lane: who is to be woken there.
//!
//! ```text
//!   worker ─► waker ─► roll ─► the lane, once ─► the tasks of all connections on the roll
//! ```
//! To wake a task of another thread is a system call. One change may concern a thousand clients, and one sync the writes
//! of many: the thread that tells them of it enters them in the rolls of their lanes and wakes each lane once. It is
//! done the sooner, and all lanes write from the start.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::{self, ThreadId};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The roll of a lane that has a thread of its own.
#[derive(Debug)]
pub(super) struct Roll {
    lane: ThreadId,
    /// Those whom other threads have woken. Each is here a few times at most: who wakes a task forgets its waker.
    woken: Mutex<Vec<Waker>>,
    entered: Notify,
}

impl Roll {
    /// That of the thread which this runs on.
    pub(super) fn of_this_thread() -> Arc<Self> {
        Arc::new(Self { lane: thread::current().id(), woken: Mutex::default(), entered: Notify::new() })
    }

    /// `task`, to be spawned on the lane, woken by other threads by way of the roll.
    pub(super) fn enrol<T>(
        self: Arc<Self>,
        task: impl Future<Output = T> + Send,
    ) -> impl Future<Output = T> + Send {
        let mut task = Box::pin(task);
        let mut known: Option<(Waker, Waker)> = None;
        poll_fn(move |context| {
            let own = context.waker();
            let (_, enrolled) = match known.take() {
                Some(pair) if pair.0.will_wake(own) => known.insert(pair),
                _ => {
                    let member = Member { roll: Arc::clone(&self), task: own.clone() };
                    known.insert((own.clone(), Waker::from(Arc::new(member))))
                }
            };
            task.as_mut().poll(&mut Context::from_waker(enrolled))
        })
    }

    /// Wakes whoever is entered. Never ends.
    pub(super) async fn call(&self) {
        loop {
            self.entered.notified().await;
            let woken = std::mem::take(&mut *self.woken.lock());
            woken.into_iter().for_each(Waker::wake);
        }
    }

    fn enter(&self, task: &Waker) {
        let mut woken = self.woken.lock();
        woken.push(task.clone());
        let is_first = woken.len() == 1;
        drop(woken);
        if is_first {
            self.entered.notify_one();
        }
    }
}

/// A task, and where it is entered.
struct Member {
    roll: Arc<Roll>,
    task: Waker,
}

impl Wake for Member {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if thread::current().id() == self.roll.lane {
            self.task.wake_by_ref();
        } else {
            self.roll.enter(&self.task);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::task::Poll;

    use tokio::runtime;
    use tokio::task::{JoinSet, yield_now};

    use super::*;

    const MEMBERS: usize = 100;

    /// What the tasks of a test wait for, and how often they looked.
    #[derive(Default)]
    struct Awaited {
        has_come: AtomicBool,
        wakers: Mutex<Vec<Waker>>,
        looks: AtomicUsize,
    }

    impl Awaited {
        async fn wait(self: Arc<Self>) {
            poll_fn(|context| {
                self.looks.fetch_add(1, Ordering::Relaxed);
                if self.has_come.load(Ordering::Acquire) {
                    return Poll::Ready(());
                }
                self.wakers.lock().push(context.waker().clone());
                Poll::Pending
            })
            .await;
        }

        fn come(&self) {
            self.has_come.store(true, Ordering::Release);
            std::mem::take(&mut *self.wakers.lock()).into_iter().for_each(Waker::wake);
        }
    }

    /// Has everybody wait on this thread, then `come` once they do; returns how many were entered then.
    fn entered(come: impl FnOnce(&Awaited)) -> usize {
        runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let (roll, awaited) = (Roll::of_this_thread(), Arc::new(Awaited::default()));
            let mut members = JoinSet::new();
            for _ in 0..MEMBERS {
                members.spawn(Arc::clone(&roll).enrol(Arc::clone(&awaited).wait()));
            }
            while awaited.looks.load(Ordering::Relaxed) < MEMBERS {
                yield_now().await;
            }
            come(&awaited);
            let entered = roll.woken.lock().len();
            let mut attendants = JoinSet::new();
            attendants.spawn(async move { roll.call().await });
            while members.join_next().await.is_some() {}
            assert_eq!(awaited.looks.load(Ordering::Relaxed), 2 * MEMBERS);
            entered
        })
    }

    #[test]
    fn whom_another_thread_wakes_is_entered_and_called() {
        let elsewhere = |awaited: &Awaited| {
            thread::scope(|scope| _ = scope.spawn(|| awaited.come()));
        };
        assert_eq!(entered(elsewhere), MEMBERS);
    }

    #[test]
    fn the_lane_wakes_its_own_without_the_roll() {
        assert_eq!(entered(Awaited::come), 0);
    }
}
