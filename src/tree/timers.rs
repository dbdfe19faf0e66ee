//! When which node expires: the wheel, and where in it each node's timer is.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::wheel::{TimerId, Wheel};
use crate::key::Key;
use crate::types::Timestamp;

/// One timer for each node that has a deadline. Derived from the nodes: rebuilt, not stored.
pub(super) struct Timers {
    wheel: Wheel<Key>,
    /// Never iterated.
    ids: HashMap<Key, TimerId, RandomState>,
}

impl Timers {
    pub(super) fn new() -> Self {
        Self { wheel: Wheel::new(Timestamp::default()), ids: HashMap::default() }
    }

    /// Gives the node at `key` the timer it should have, in place of any it had.
    pub(super) fn set(&mut self, key: &Key, deadline: Option<Timestamp>) {
        match (deadline, self.ids.get(key)) {
            (Some(deadline), Some(&id)) => self.wheel.reschedule(id, deadline),
            (Some(deadline), None) => {
                let id = self.wheel.insert(deadline, key.clone());
                self.ids.insert(key.clone(), id);
            }
            (None, Some(_)) => self.cancel(key),
            (None, None) => {}
        }
    }

    /// Takes away the timer of the node at `key`, if it has one.
    pub(super) fn cancel(&mut self, key: &str) {
        if let Some(id) = self.ids.remove(key) {
            self.wheel.cancel(id);
        }
    }

    /// As [`Wheel::take_due`].
    pub(super) fn take_due(
        &mut self,
        now: Timestamp,
        budget: &mut usize,
        due: &mut Vec<(Timestamp, Key)>,
    ) -> bool {
        let before = due.len();
        let any = self.wheel.take_due(now, budget, due);
        for (_, key) in &due[before..] {
            self.ids.remove(key);
        }
        any
    }

    /// As [`Wheel::refine`].
    pub(super) fn refine(&mut self, now: Timestamp, budget: usize) -> bool {
        self.wheel.refine(now, budget)
    }

    /// When to look again: never after the first deadline; `None` when there is none.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.wheel.next_wake()
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}
