//! Whoever brings something turns the crank.
//!
//! ```text
//!   caller ── a write, a read ──┐
//!   reader ── messages ─────────┤
//!   disk ──── synced ───────────┼──► is the crank free? ── yes ──► turns until nothing waits
//!   jobs ──── done ─────────────┤            └── no ──► goes: who has the crank looks again afterwards
//!   ticks ─── a tick ───────────┘
//! ```
//! To hand something over to a thread that sleeps costs a good part of what a sync costs, and a write would pass through
//! four of them. So there is no thread that all others hand things to; there is one place that only one of them has at a
//! time.
//!
//! Invariants:
//! - What was brought before [`Crank::turn`] was called is taken by somebody after that, without waiting for a tick: who
//!   leaves since the crank is taken has said before that it is wanted, and who lets go of it looks at that afterwards.
//! - Nobody turns for others for ever: after a few turns a thread goes back to its own business, and says so.
//! - If a turn panics, what was turned is gone, and nobody turns what is half done.

use super::sync::{AtomicBool, Mutex, MutexGuard, Ordering, fence};

/// So many turns does a thread that came for one of them.
const TURNS_MAX: usize = 8;

/// The place of what one thread at a time may turn.
pub(super) struct Crank<T> {
    place: Mutex<Option<Box<T>>>,
    /// Something was brought since a turn last began.
    is_wanted: AtomicBool,
}

/// What a thread that has turned leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing, or somebody else has the crank.
    Nothing,
    /// Something waits, and another thread is to go on with it.
    Something,
}

impl<T> Crank<T> {
    /// A crank with nothing to turn yet.
    pub(super) fn new() -> Self {
        Self { place: Mutex::new(None), is_wanted: AtomicBool::new(false) }
    }

    /// Puts in what is to be turned.
    pub(super) fn begin(&self, turned: Box<T>) {
        *self.place.lock() = Some(turned);
    }

    /// Something was brought: has it taken, by this thread or by who has the crank. `turn` says whether more waits than
    /// it took.
    pub(super) fn turn(&self, turn: impl Fn(&mut T) -> bool) -> Left {
        self.is_wanted.store(true, Ordering::SeqCst);
        for _ in 0..TURNS_MAX {
            // Between saying and trying here, and between letting go and looking below: of two threads at least one sees
            // what the other did.
            fence(Ordering::SeqCst);
            if !self.is_wanted.load(Ordering::SeqCst) {
                return Left::Nothing;
            }
            let Some(place) = self.place.try_lock() else { return Left::Nothing };
            if self.turn_once(place, &turn).is_none() {
                return Left::Nothing;
            }
        }
        fence(Ordering::SeqCst);
        if self.is_wanted.load(Ordering::SeqCst) { Left::Something } else { Left::Nothing }
    }

    /// Turns once, after whoever turns now. `None` if there is nothing to turn any more. What was brought meanwhile is
    /// still to be taken by [`Crank::turn`].
    pub(super) fn wait_and_turn(&self, turn: impl Fn(&mut T) -> bool) -> Option<()> {
        self.turn_once(self.place.lock(), &turn)
    }

    fn turn_once(
        &self,
        mut place: MutexGuard<'_, Option<Box<T>>>,
        turn: &impl Fn(&mut T) -> bool,
    ) -> Option<()> {
        self.is_wanted.store(false, Ordering::SeqCst);
        // Not in its place while it turns: a panic leaves none.
        let mut turned = place.take()?;
        if turn(&mut turned) {
            self.is_wanted.store(true, Ordering::SeqCst);
        }
        *place = Some(turned);
        Some(())
    }

    /// Takes out what was turned, for good.
    pub(super) fn end(&self) -> Option<Box<T>> {
        self.place.lock().take()
    }
}
