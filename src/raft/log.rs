//! The log as the core knows it: the term of every entry, and the newest entries themselves.
//!
//! ```text
//!   │ covered by a snapshot │ on disk only            │ in memory, too                    │
//!                     before│                         │first_in_memory               last │
//!   terms             │ 1@1           │ 3@57    │ 4@80                                    │   first entry of each term
//! ```
//! Terms are kept as runs, so what is known of entries on disk costs a few bytes a reign.

use std::collections::VecDeque;

use crate::entry::{Entry, EntryId, Payload};
use crate::types::{LogIndex, Term, Timestamp};

/// What an entry takes besides its command, in memory and in messages, roughly.
const ENTRY_BYTES: u64 = 64;

/// The log of one member.
///
/// Invariants: positions are consecutive from `before` to `last`; terms never decrease along the log; what is in
/// memory ends at `last`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Log {
    /// The entry before the first one that the log has.
    before: EntryId,
    /// The first entry of each term.
    terms: VecDeque<EntryId>,
    last: EntryId,
    /// Log time of the last entry, or a later one.
    time: Timestamp,
    memory: VecDeque<Slot>,
    /// How many bytes all entries had that were ever in memory.
    bytes: u64,
}

/// An entry in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Slot {
    entry: Entry,
    /// How many bytes there were up to and including this entry. Differences measure any stretch of the log, so there
    /// is no count that could drift.
    end: u64,
}

impl Log {
    pub(super) fn new(before: EntryId, terms: Vec<EntryId>, last: EntryId, time: Timestamp) -> Self {
        Self { before, terms: terms.into(), last, time, memory: VecDeque::new(), bytes: 0 }
    }

    /// The entry before the first one; what came before it is covered by a snapshot.
    pub(super) fn before(&self) -> EntryId {
        self.before
    }

    pub(super) fn last(&self) -> EntryId {
        self.last
    }

    pub(super) fn time(&self) -> Timestamp {
        self.time
    }

    /// The first position whose entry is in memory; the one after the last when there is none.
    pub(super) fn first_in_memory(&self) -> LogIndex {
        self.memory.front().map_or(self.last.index.next(), |slot| slot.entry.id.index)
    }

    /// The term of the entry at `index`, if the log goes there and was not cut.
    pub(super) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.last.index {
            return Some(self.last.term);
        }
        if index == self.before.index {
            return Some(self.before.term);
        }
        if index < self.before.index || index > self.last.index {
            return None;
        }
        let later = self.terms.partition_point(|first| first.index <= index);
        self.terms.get(later.checked_sub(1)?).map(|first| first.term)
    }

    /// The name of the entry at `index`, if it is known.
    pub(super) fn id_at(&self, index: LogIndex) -> Option<EntryId> {
        self.term_at(index).map(|term| EntryId { term, index })
    }

    /// Whether the log has this entry.
    pub(super) fn has(&self, id: EntryId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// The newest entry that another log may share which has `other`: not after it, and of no newer term. The
    /// beginning of the log, which is committed, may always be shared.
    pub(super) fn newest_common(&self, other: EntryId) -> EntryId {
        if other.index <= self.before.index {
            return other;
        }
        let later = self.terms.partition_point(|first| first.term <= other.term);
        let end = self.terms.get(later).map_or(self.last.index, |first| first.index.previous());
        self.id_at(end.min(other.index)).unwrap_or(self.before)
    }

    /// Adds the next entry.
    pub(super) fn push(&mut self, entry: Entry) {
        debug_assert!(entry.id.index == self.last.index.next() && entry.id.term >= self.last.term);
        if entry.id.term != self.last.term || self.terms.is_empty() {
            self.terms.push_back(entry.id);
        }
        self.last = entry.id;
        self.time = self.time.max(entry.time);
        self.bytes += weight(&entry.payload);
        self.memory.push_back(Slot { entry, end: self.bytes });
    }

    /// Drops the entries from `from` on, where a new leader has others.
    pub(super) fn truncate(&mut self, from: LogIndex) {
        debug_assert!(from > self.before.index && from <= self.last.index);
        let kept = from.get().saturating_sub(self.first_in_memory().get());
        self.memory.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        self.last = self.id_at(from.previous()).unwrap_or(self.before);
        while self.terms.back().is_some_and(|first| first.index >= from) {
            self.terms.pop_back();
        }
    }

    /// The entries from `first` on that are in memory, in order; `first` must be.
    pub(super) fn from(&self, first: LogIndex) -> impl Iterator<Item = &Entry> {
        let skipped = first.get().saturating_sub(self.first_in_memory().get());
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX).min(self.memory.len());
        self.memory.range(skipped..).map(|slot| &slot.entry)
    }

    /// Entries from `first` on, which is in memory: up to `bytes` bytes, but at least one.
    pub(super) fn batch(&self, first: LogIndex, bytes: u64) -> Vec<Entry> {
        let mut room = bytes;
        let fits = |entry: &&Entry| {
            let weight = weight(&entry.payload);
            let fits = weight <= room || entry.id.index == first;
            room = room.saturating_sub(weight);
            fits
        };
        self.from(first).take_while(fits).cloned().collect()
    }

    /// How many bytes the entries after `index` have that are in memory.
    pub(super) fn bytes_after(&self, index: LogIndex) -> u64 {
        let Some(first) = self.memory.front() else { return 0 };
        let until = index.get().checked_sub(first.entry.id.index.get());
        let slot = until.and_then(|slot| self.memory.get(usize::try_from(slot).ok()?));
        match (until, slot) {
            (Some(_), Some(slot)) => self.bytes - slot.end,
            (Some(_), None) => 0,
            (None, _) => self.bytes - (first.end - weight(&first.entry.payload)),
        }
    }

    /// Takes the entries up to `upto` out of memory.
    pub(super) fn take(&mut self, upto: LogIndex) -> Vec<Entry> {
        let count = (upto.get() + 1).saturating_sub(self.first_in_memory().get());
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.memory.len());
        self.memory.drain(..count).map(|slot| slot.entry).collect()
    }

    /// Forgets entries up to `upto` until no more than `bytes` bytes of them are in memory.
    pub(super) fn evict(&mut self, upto: LogIndex, bytes: u64) {
        while let Some(first) = self.memory.front()
            && first.entry.id.index <= upto
            && self.bytes - first.end + weight(&first.entry.payload) > bytes + self.bytes_after(upto)
        {
            self.memory.pop_front();
        }
    }

    /// Forgets all about the entries up to `upto`, which a snapshot covers; nothing if the log begins later anyway.
    pub(super) fn release(&mut self, upto: LogIndex) {
        let Some(before) = self.id_at(upto).filter(|id| id.index > self.before.index) else { return };
        self.before = before;
        while self.memory.front().is_some_and(|slot| slot.entry.id.index <= upto) {
            self.memory.pop_front();
        }
        let first = upto.next();
        while self.terms.get(1).is_some_and(|second| second.index <= first) {
            self.terms.pop_front();
        }
        if first > self.last.index {
            self.terms.clear();
        } else if let Some(run) = self.terms.front_mut().filter(|run| run.index < first) {
            run.index = first;
        }
    }

    /// Begins anew after a snapshot: it has nothing in common with what was here.
    pub(super) fn reset(&mut self, snapshot: EntryId, time: Timestamp) {
        let time = self.time.max(time);
        *self = Self { bytes: self.bytes, ..Self::new(snapshot, Vec::new(), snapshot, time) };
    }

    /// What must hold between any two calls.
    pub(super) fn check_invariants(&self) {
        assert!(self.before.index <= self.last.index, "the log ends before it begins");
        debug_assert!(self.terms.front().is_none_or(|first| first.index == self.before.index.next()));
        debug_assert_eq!(self.terms.is_empty(), self.before.index == self.last.index);
        debug_assert!(self.terms.iter().is_sorted_by(|a, b| a.term < b.term && a.index < b.index));
        debug_assert!(self.memory.back().is_none_or(|slot| slot.entry.id == self.last));
        let count = self.last.index.next().get() - self.first_in_memory().get();
        debug_assert_eq!(self.memory.len() as u64, count, "what is in memory has a gap");
    }
}

/// How many bytes an entry has, roughly, that brings `payload`.
pub(super) fn weight(payload: &Payload) -> u64 {
    ENTRY_BYTES
        + match payload {
            Payload::Noop => 0,
            Payload::Config(config) => 64 * config.contacts.len() as u64,
            Payload::Command(command) => command.len() as u64,
        }
}
