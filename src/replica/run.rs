//! Running commands that were agreed on: in pieces, so that readers have their turn and watchers are told in between.

use std::ops::Range;
use std::sync::atomic::Ordering;

use crossbeam_utils::sync::ShardedLockWriteGuard;

use super::state::State;
use crate::event::Action;
use crate::tree::{Command, Effect, Refused, Tree};
use crate::types::Timestamp;
use crate::watch::CatchUp;

/// Readers get their turn after so many commands.
const COMMANDS_PER_LOCK: usize = 64;

/// And after so many small steps of looking at timers, or of letting go what is due.
pub(super) const STEPS_PER_LOCK: usize = 256;

/// A command that is to run, at its entry's time, and whoever waits for what comes of it.
pub(crate) struct Task<W> {
    pub(crate) time: Timestamp,
    pub(crate) command: Command,
    pub(crate) waits: W,
}

/// Who is told, besides those who watch.
pub(crate) trait Audience<W> {
    /// The tree has changed, and wants to be looked at again at this moment.
    fn changed(&mut self, _next_wake: Option<Timestamp>) {}

    /// Watchers may have fallen behind.
    fn lag(&mut self, _catch_up: CatchUp) {}

    /// What a command changed. It can be read by now, and those who watch were told.
    fn done(&mut self, waits: W, result: Result<&[Effect], Refused>);
}

/// What is under way while commands run; empty between times, and kept for its memory.
pub(crate) struct Run<W> {
    effects: Vec<Effect>,
    ran: Vec<(W, Result<Range<usize>, Refused>)>,
}

impl<W> Default for Run<W> {
    fn default() -> Self {
        Self { effects: Vec::new(), ran: Vec::new() }
    }
}

impl<W> Run<W> {
    /// Runs `tasks` in order; after each piece of them watchers are told, then those who wait.
    pub(crate) fn all(
        &mut self,
        state: &State,
        tasks: impl Iterator<Item = Task<W>>,
        audience: &mut impl Audience<W>,
    ) {
        let mut tree = state.tree.write();
        let mut left = COMMANDS_PER_LOCK;
        for Task { time, command, waits } in tasks {
            if left == 0 {
                tree = self.turn(state, tree, audience);
                left = COMMANDS_PER_LOCK;
            }
            left -= 1;
            // Much may be due before it.
            while tree.expire_due(time, STEPS_PER_LOCK, &mut self.effects) {
                tree = self.turn(state, tree, audience);
            }
            let result = tree.apply(time, command, &mut self.effects);
            self.ran.push((waits, result.map(|own| own..self.effects.len())));
        }
        self.tell(state, tree, audience);
    }

    /// Lets others look at the tree, and be told, before it is locked again.
    fn turn<'a>(
        &mut self,
        state: &'a State,
        tree: ShardedLockWriteGuard<'a, Tree>,
        audience: &mut impl Audience<W>,
    ) -> ShardedLockWriteGuard<'a, Tree> {
        self.tell(state, tree, audience);
        state.tree.write_again()
    }

    fn tell(
        &mut self,
        state: &State,
        tree: ShardedLockWriteGuard<'_, Tree>,
        audience: &mut impl Audience<W>,
    ) {
        let next_wake = tree.next_wake();
        drop(tree);
        audience.changed(next_wake);
        for effect in &self.effects {
            if effect.change.action == Action::Expire {
                state.expired.fetch_add(1, Ordering::Relaxed);
            }
            audience.lag(state.hub.publish(&effect.change, effect.removed.as_ref()));
        }
        for (waits, result) in self.ran.drain(..) {
            audience.done(waits, result.map(|own| &self.effects[own]));
        }
        self.effects.clear();
    }
}
