//! A binary heap of deadlines. Moving one leaves the old entry behind, to be skipped when it comes up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Timers by their number.
#[derive(Default)]
pub(crate) struct Heap {
    entries: BinaryHeap<Reverse<(u64, u32)>>,
    /// What is true of each timer; an entry that says otherwise is garbage.
    deadlines: Vec<u64>,
}

impl Heap {
    /// Adds the next timer: numbers count up from 0.
    pub(crate) fn insert(&mut self, timer: u32, deadline: u64) {
        self.deadlines.push(deadline);
        self.entries.push(Reverse((deadline, timer)));
    }

    pub(crate) fn move_to(&mut self, timer: u32, deadline: u64) {
        self.deadlines[timer as usize] = deadline;
        self.entries.push(Reverse((deadline, timer)));
    }

    /// Takes out all that is due, in order, and returns how many that are.
    pub(crate) fn expire(&mut self, now: u64) -> usize {
        let mut count = 0;
        while let Some(entry) = self.entries.peek()
            && entry.0.0 <= now
        {
            let Some(Reverse((deadline, timer))) = self.entries.pop() else { break };
            if self.deadlines[timer as usize] == deadline {
                // Never again, should another entry say the same.
                self.deadlines[timer as usize] = u64::MAX;
                count += 1;
            }
        }
        count
    }

    /// How many entries there are, garbage and all.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}
