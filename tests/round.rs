//! The hand-made round, played in thousands of the orders in which its threads can run: who turns the crank, who
//! is answered. The files are the crate's own; only the locks are shuttle's, which decides who runs next, and
//! which sees a deadlock when nobody can.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

#[path = "../src/member/round.rs"]
#[allow(dead_code, unreachable_pub)]
mod round;
#[path = "../src/member/slot.rs"]
#[allow(dead_code, unreachable_pub)]
mod slot;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use round::Round;
use slot::Slot;

/// How many orders each test tries.
const ORDERS: usize = 3000;

/// What the round and the slot are built from, as `member/sync.rs` has it.
mod sync {
    use std::ops::{Deref, DerefMut};
    use std::time::{Duration, Instant};

    pub(crate) use shuttle::thread::{Thread, current, park};

    pub(crate) fn park_timeout(_: Duration) {
        shuttle::thread::yield_now();
    }

    #[derive(Debug)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    pub(crate) struct MutexGuard<'a, T>(Option<shuttle::sync::MutexGuard<'a, T>>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().unwrap()))
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok().map(|guard| MutexGuard(Some(guard)))
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().unwrap()
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().unwrap()
        }
    }

    #[derive(Debug)]
    pub(crate) struct Condvar(shuttle::sync::Condvar);

    pub(crate) struct TimedOut;

    impl TimedOut {
        pub(crate) fn timed_out(&self) -> bool {
            true
        }
    }

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self(shuttle::sync::Condvar::new())
        }

        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let inner = guard.0.take().unwrap();
            guard.0 = Some(self.0.wait(inner).unwrap());
        }

        /// Every alarm has gone off already: time is not what is tested.
        pub(crate) fn wait_until<T>(&self, _: &mut MutexGuard<'_, T>, _: Instant) -> TimedOut {
            TimedOut
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }
    }
}

/// A write of the toy member: who wrote, which of its writes it is, and where the answer goes.
struct Write {
    writer: usize,
    number: usize,
    reply: Option<Arc<Slot<usize>>>,
}

/// What one of the threads does.
type Writer = Box<dyn FnOnce(&Round<Log, Write>) + Send>;

/// The toy member's log: what was written, in order. An answer is the position.
type Log = Vec<(usize, usize)>;

fn turn(log: &mut Log, batch: &mut Vec<Write>) -> Option<usize> {
    let mut own = None;
    for write in batch.drain(..) {
        log.push((write.writer, write.number));
        let position = log.len();
        match write.reply {
            None => own = Some(position),
            Some(slot) => slot.answer(position),
        }
    }
    own
}

/// Writes as `Member::write` does; `None` when the round is closed.
fn write(round: &Round<Log, Write>, writer: usize, number: usize) -> Option<usize> {
    if let Some(mut log) = round.try_crank()
        && round.is_idle(&mut log).ok()?
    {
        return turn(&mut log, &mut vec![Write { writer, number, reply: None }]);
    }
    submit(round, writer, number)?.wait(|| None)
}

fn submit(round: &Round<Log, Write>, writer: usize, number: usize) -> Option<Arc<Slot<usize>>> {
    let slot = Slot::new();
    round.add(Write { writer, number, reply: Some(Arc::clone(&slot)) }, 1).ok()?;
    Some(slot)
}

fn work(round: &Round<Log, Write>, alarms: &AtomicUsize) {
    let alarm = || {
        let goes_off =
            alarms.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        #[allow(clippy::disallowed_methods, reason = "the moment does not matter")]
        goes_off.then(Instant::now)
    };
    while round.sleep(alarm) {
        let mut log = round.crank();
        let mut batch = Vec::new();
        round.take(&mut log, 2, 100, &mut batch);
        turn(&mut log, &mut batch);
    }
}

/// Runs `writers` beside a worker, closes the round after them, and gives the log.
fn play(alarms: usize, writers: Vec<Writer>) -> Log {
    let round = Arc::new(Round::new(Log::new()));
    let alarms = Arc::new(AtomicUsize::new(alarms));
    let worker = {
        let round = Arc::clone(&round);
        shuttle::thread::spawn(move || work(&round, &alarms))
    };
    let writers: Vec<_> = writers
        .into_iter()
        .map(|writer| {
            let round = Arc::clone(&round);
            shuttle::thread::spawn(move || writer(&round))
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    round.close();
    worker.join().unwrap();
    std::mem::take(&mut *round.crank())
}

/// Each writer's writes stand in the log once, in the order in which it made them.
fn check(log: &Log, expected: &[usize]) {
    for (writer, count) in expected.iter().enumerate() {
        let numbers: Vec<_> = log.iter().filter(|write| write.0 == writer).map(|write| write.1).collect();
        assert_eq!(numbers, (0..*count).collect::<Vec<_>>(), "writer {writer} in {log:?}");
    }
}

#[test]
fn every_write_is_done_once_and_answered() {
    shuttle::check_random(
        || {
            let writer = |writer| -> Writer {
                Box::new(move |round| {
                    let positions: Vec<_> =
                        (0..2).map(|number| write(round, writer, number).unwrap()).collect();
                    assert!(positions.is_sorted());
                })
            };
            check(&play(0, (0..3).map(writer).collect()), &[2, 2, 2]);
        },
        ORDERS,
    );
}

#[test]
fn a_lone_write_never_overtakes_what_was_submitted_before_it() {
    shuttle::check_random(
        || {
            let writer = |writer| -> Writer {
                Box::new(move |round| {
                    let first = submit(round, writer, 0).unwrap();
                    let second = submit(round, writer, 1).unwrap();
                    let third = write(round, writer, 2).unwrap();
                    let (first, second) = (first.wait(|| None).unwrap(), second.wait(|| None).unwrap());
                    assert!(first < second && second < third);
                })
            };
            check(&play(1, (0..2).map(writer).collect()), &[3, 3]);
        },
        ORDERS,
    );
}

#[test]
fn what_was_taken_is_done_even_when_the_round_closes() {
    shuttle::check_random(
        || {
            let round = Arc::new(Round::new(Log::new()));
            let worker = {
                let round = Arc::clone(&round);
                shuttle::thread::spawn(move || work(&round, &AtomicUsize::new(0)))
            };
            let writer = {
                let round = Arc::clone(&round);
                shuttle::thread::spawn(move || (0..3).filter_map(|n| write(&round, 0, n)).count())
            };
            round.close();
            let written = writer.join().unwrap();
            worker.join().unwrap();
            assert_eq!(round.crank().len(), written, "all that were answered are there, and no others");
        },
        ORDERS,
    );
}

#[test]
fn a_callback_comes_once_whoever_is_first() {
    shuttle::check_random(
        || {
            let slot = Slot::new();
            let calls = Arc::new(AtomicUsize::new(0));
            let answerer = {
                let slot = Arc::clone(&slot);
                shuttle::thread::spawn(move || {
                    slot.answer(7);
                })
            };
            let counter = Arc::clone(&calls);
            let callback = Box::new(move |answer| {
                assert_eq!(answer, 7);
                counter.fetch_add(1, Ordering::SeqCst);
            });
            slot.notify(callback);
            answerer.join().unwrap();
            assert_eq!(calls.load(Ordering::SeqCst), 1);
        },
        ORDERS,
    );
}
