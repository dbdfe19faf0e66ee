//! The write-sets under way to the disk, and how far the log is durable.
//!
//! Write-sets become durable in order, but what one wrote may meanwhile be overwritten by a later one that is
//! not durable. So when a write-set is durable, the log is durable up to its end only as far as no later one
//! takes it back: by position, not by comparing terms.

use std::collections::VecDeque;

use crate::types::LogIndex;

/// The write-sets that are not durable yet, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Writes {
    pending: VecDeque<Write>,
    next_sequence: u64,
    durable: LogIndex,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Write {
    sequence: u64,
    /// The first position that it overwrites.
    truncate_from: Option<LogIndex>,
    /// The last entry of the log once it is durable.
    last: LogIndex,
    /// For how many ticks it has been under way.
    age: u32,
}

impl Writes {
    pub(super) fn new(durable: LogIndex) -> Self {
        Self { pending: VecDeque::new(), next_sequence: 1, durable }
    }

    /// The last entry that is durable here, all before it included.
    pub(super) fn durable(&self) -> LogIndex {
        self.durable
    }

    /// Adds a write-set after which the log ends at `last`; gives its number.
    pub(super) fn push(&mut self, truncate_from: Option<LogIndex>, last: LogIndex) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if let Some(from) = truncate_from {
            self.durable = self.durable.min(from.previous());
        }
        self.pending.push_back(Write { sequence, truncate_from, last, age: 0 });
        sequence
    }

    /// The write-sets up to `sequence` are durable. False if there are no such.
    pub(super) fn confirm(&mut self, sequence: u64) -> bool {
        let mut reached = None;
        while let Some(write) = self.pending.front().filter(|write| write.sequence <= sequence) {
            reached = Some(write.last);
            self.pending.pop_front();
        }
        if let Some(last) = reached {
            let overwritten = self.pending.iter().filter_map(|write| write.truncate_from).min();
            self.durable = overwritten.map_or(last, |from| last.min(from.previous()));
        }
        reached.is_some()
    }

    /// The number of the next write-set.
    pub(super) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// How far the log will be durable as soon as the write-set with this number is, if it is not yet.
    pub(super) fn durable_after(&self, sequence: Option<u64>) -> LogIndex {
        let is_reached = |write: &&Write| Some(write.sequence) <= sequence;
        let Some(reached) = self.pending.iter().take_while(is_reached).last() else { return self.durable };
        let later = self.pending.iter().skip_while(is_reached);
        let overwritten = later.filter_map(|write| write.truncate_from).min();
        overwritten.map_or(reached.last, |from| reached.last.min(from.previous()))
    }

    /// The newest write-set that is not durable.
    pub(super) fn newest(&self) -> Option<u64> {
        self.pending.back().map(|write| write.sequence)
    }

    /// Whether the write-set with this number is durable.
    pub(super) fn is_durable(&self, sequence: u64) -> bool {
        let first_pending = self.pending.front().map_or(self.next_sequence, |write| write.sequence);
        sequence < first_pending
    }

    pub(super) fn tick(&mut self) {
        for write in &mut self.pending {
            write.age = write.age.saturating_add(1);
        }
    }

    /// For how many ticks the oldest has been under way.
    pub(super) fn age(&self) -> u32 {
        self.pending.front().map_or(0, |write| write.age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn index(index: u64) -> LogIndex {
        LogIndex::new(index)
    }

    #[test]
    fn what_is_confirmed_is_durable() {
        let mut writes = Writes::new(index(4));
        assert_eq!((writes.push(None, index(5)), writes.push(None, index(7))), (1, 2));
        assert!(!writes.is_durable(1));
        assert!(writes.confirm(1));
        assert_eq!((writes.durable(), writes.is_durable(1), writes.newest()), (index(5), true, Some(2)));
        assert!(!writes.confirm(1));
        assert!(writes.confirm(2));
        assert_eq!((writes.durable(), writes.newest()), (index(7), None));
    }

    #[test]
    fn a_late_confirmation_does_not_speak_for_what_was_written_over() {
        let mut writes = Writes::new(index(4));
        writes.push(None, index(9));
        writes.push(Some(index(6)), index(9));
        assert_eq!(writes.durable(), index(4));
        writes.confirm(1);
        assert_eq!(writes.durable(), index(5));
        writes.push(Some(index(3)), index(3));
        assert_eq!(writes.durable(), index(2));
        writes.confirm(2);
        assert_eq!(writes.durable(), index(2));
        writes.confirm(3);
        assert_eq!(writes.durable(), index(3));
    }
}
