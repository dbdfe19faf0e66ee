//! The pulse of a server: whether one client alone asks, one thing after the other.
//!
//! Such a client gets little work done and waits for wake-ups: of a thread that sleeps until the next request comes, of
//! another that is to sync a write, and of the first one again. All of it together takes longer than the work. So for
//! a client that is alone, a thread of the server's own does everything itself, and looks for the next request a few
//! times before it goes to sleep. That costs others nothing where there are none; with the first one that comes, it
//! ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio::task::yield_now;

/// So many requests in a row make a client be taken for alone.
const ALONE_AFTER: u32 = 4;

/// Where there were others, so many requests go by before it is looked again.
const CROWD_REQUESTS: u32 = 64;

/// How often a thread looks for the next request before it sleeps: some 30 us in all.
const LOOKS: u32 = 64;

/// A thread that has looked in vain so often sleeps at once, and tries again with every so many-th answer.
const VAIN_MAX: u32 = 4;
const TRY_AGAIN: u32 = 64;

/// Who else asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// Nobody, of late, and the thread is the server's: it may be held for as long as a sync takes.
    Nobody,
    Others,
}

/// A connection, to tell it from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asker(u64);

/// What the threads of one server know together.
#[derive(Debug, Default)]
pub(super) struct Shared {
    askers: AtomicU64,
    /// Who asked last, as far as anybody looked.
    last: AtomicU64,
}

/// The pulse of one thread.
#[derive(Debug)]
pub(super) struct Pulse {
    shared: Arc<Shared>,
    /// How many requests in a row came from one asker.
    streak: AtomicU32,
    /// How many requests go by before it is looked again who asks.
    crowd: AtomicU32,
    /// How many requests came.
    requests: AtomicU64,
    answered: Notify,
}

impl Pulse {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            streak: AtomicU32::new(0),
            crowd: AtomicU32::new(0),
            requests: AtomicU64::new(0),
            answered: Notify::new(),
        }
    }

    pub(super) fn asker(&self) -> Asker {
        Asker(self.shared.askers.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// A request has come. Nothing here is exact, and nothing needs to be: each thread writes what is its own.
    pub(super) fn asked(&self, Asker(asker): Asker) -> Company {
        let crowd = self.crowd.load(Ordering::Relaxed);
        if crowd > 0 {
            self.crowd.store(crowd - 1, Ordering::Relaxed);
            return Company::Others;
        }
        self.requests.store(self.requests.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        let streak = self.streak.load(Ordering::Relaxed);
        if self.shared.last.load(Ordering::Relaxed) == asker {
            self.streak.store(streak.saturating_add(1), Ordering::Relaxed);
            return if streak >= ALONE_AFTER { Company::Nobody } else { Company::Others };
        }
        self.shared.last.store(asker, Ordering::Relaxed);
        self.streak.store(0, Ordering::Relaxed);
        self.crowd.store(CROWD_REQUESTS, Ordering::Relaxed);
        Company::Others
    }

    /// A request of one who is alone is answered: the next one may be there soon.
    pub(super) fn answered(&self) {
        self.answered.notify_one();
    }

    /// Keeps the thread of the runtime that this runs on from sleeping while the next request may come soon. Never ends.
    pub(super) async fn stay_awake(&self) {
        let (mut seen, mut vain, mut skipped) = (0, 0, 0);
        loop {
            self.answered.notified().await;
            let requests = || self.requests.load(Ordering::Relaxed);
            let came = requests();
            if came == seen {
                // It was answered while the thread was awake for the one before.
                continue;
            }
            seen = came;
            if vain >= VAIN_MAX {
                skipped += 1;
                if skipped % TRY_AGAIN != 0 {
                    continue;
                }
            }
            let mut looks = 0;
            while looks < LOOKS {
                yield_now().await;
                looks += 1;
                if requests() != seen {
                    (seen, looks, vain) = (requests(), 0, 0);
                }
            }
            vain += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(pulse: &Pulse, asker: Asker, times: usize) -> Company {
        (0..times).map(|_| pulse.asked(asker)).last().expect("it was asked")
    }

    #[test]
    fn one_who_goes_on_asking_is_alone_until_somebody_else_comes() {
        let shared = Arc::default();
        let (pulse, elsewhere) = (Pulse::new(&shared), Pulse::new(&shared));
        let [one, other] = [pulse.asker(), elsewhere.asker()];
        assert_ne!(one, other);
        assert_eq!(ask(&pulse, one, 10), Company::Others);
        assert_eq!(ask(&pulse, one, 100), Company::Nobody);
        // Also on another thread.
        assert_eq!(ask(&elsewhere, other, 1), Company::Others);
        assert_eq!(ask(&pulse, one, 1), Company::Others);
        assert_eq!(ask(&pulse, one, 100), Company::Nobody);
    }

    #[test]
    fn of_several_who_take_turns_nobody_is_ever_alone() {
        let pulse = Pulse::new(&Arc::default());
        let askers = [pulse.asker(), pulse.asker(), pulse.asker()];
        for turn in 0..10_000 {
            assert_eq!(pulse.asked(askers[turn % 3]), Company::Others);
        }
    }
}
