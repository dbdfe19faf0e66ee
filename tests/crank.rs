//! The crank of a member of a cluster, played in thousands of the orders in which its threads can run: what somebody
//! brings is taken, though everybody who finds the crank taken goes. The file is the crate's own; only the lock and the
//! atomics are shuttle's, which decides who runs next.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

#[path = "../src/member/cluster/crank.rs"]
#[allow(dead_code, unreachable_pub)]
mod crank;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crank::{Crank, Left};

/// How many orders each test tries.
const ORDERS: usize = 3000;

/// What the crank is built from, as `member/cluster/sync.rs` has it: a panic does not poison the lock.
mod sync {
    use std::ops::{Deref, DerefMut};
    use std::sync::{PoisonError, TryLockError};

    pub(crate) use shuttle::sync::atomic::{AtomicBool, Ordering, fence};

    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    pub(crate) struct MutexGuard<'a, T>(shuttle::sync::MutexGuard<'a, T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            match self.0.try_lock() {
                Ok(guard) => Some(MutexGuard(guard)),
                Err(TryLockError::Poisoned(poisoned)) => Some(MutexGuard(poisoned.into_inner())),
                Err(TryLockError::WouldBlock) => None,
            }
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.0
        }
    }
}

/// What is brought, how much a turn takes of it, and what was taken.
struct Turned {
    inbox: Arc<Inbox>,
    at_once: usize,
    taken: Vec<usize>,
}

#[derive(Default)]
struct Inbox {
    waiting: shuttle::sync::Mutex<Vec<usize>>,
    turning: AtomicUsize,
}

impl Turned {
    fn turn(&mut self) -> bool {
        assert_eq!(self.inbox.turning.fetch_add(1, Ordering::SeqCst), 0, "one turns at a time");
        for _ in 0..self.at_once {
            self.taken.extend(self.inbox.waiting.lock().unwrap().pop());
            shuttle::thread::yield_now();
        }
        self.inbox.turning.fetch_sub(1, Ordering::SeqCst);
        !self.inbox.waiting.lock().unwrap().is_empty()
    }
}

/// Each of `threads` brings `each` things; whoever is told that something is left rings, and one who hears that goes on.
fn play(threads: usize, each: usize, at_once: usize) {
    let inbox = Arc::new(Inbox::default());
    let crank = Arc::new(Crank::new());
    crank.begin(Box::new(Turned { inbox: Arc::clone(&inbox), at_once, taken: Vec::new() }));
    let rung = Arc::new(AtomicUsize::new(0));
    let bringing: Vec<_> = (0..threads)
        .map(|thread| {
            let (inbox, crank, rung) = (Arc::clone(&inbox), Arc::clone(&crank), Arc::clone(&rung));
            shuttle::thread::spawn(move || {
                for n in 0..each {
                    inbox.waiting.lock().unwrap().push(thread * each + n);
                    if crank.turn(Turned::turn) == Left::Something {
                        rung.fetch_add(1, Ordering::SeqCst);
                    }
                }
            })
        })
        .collect();
    for thread in bringing {
        thread.join().unwrap();
    }
    // The part of the thread that ticks, and only if it was called.
    while rung.swap(0, Ordering::SeqCst) > 0 {
        crank.wait_and_turn(Turned::turn).unwrap();
        if crank.turn(Turned::turn) == Left::Something {
            rung.fetch_add(1, Ordering::SeqCst);
        }
    }
    let mut taken = crank.end().unwrap().taken;
    taken.sort_unstable();
    assert_eq!(taken, (0..threads * each).collect::<Vec<_>>(), "something lies there that nobody takes");
}

#[test]
fn what_is_brought_is_taken() {
    shuttle::check_random(|| play(3, 3, 100), ORDERS);
}

#[test]
fn a_turn_that_leaves_something_is_not_the_last() {
    shuttle::check_random(|| play(3, 4, 1), ORDERS);
}

#[test]
fn what_panicked_half_way_is_not_turned_again() {
    shuttle::check_random(
        || {
            let crank = Crank::new();
            crank.begin(Box::new(7));
            let turned = catch_unwind(AssertUnwindSafe(|| crank.turn(|_| panic!("half done"))));
            assert!(turned.is_err());
            assert_eq!(crank.turn(|_| true), Left::Nothing);
            assert!(crank.wait_and_turn(|_| true).is_none() && crank.end().is_none());
        },
        1,
    );
}
