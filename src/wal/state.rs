//! What a log says when it is read from its beginning, without the entries themselves.
//!
//! The same code follows a write-set before it is written and after it is read, so the two cannot differ.

use crate::entry::{EntryId, HardState, WriteSet};
use crate::types::{LogIndex, Term};

/// The term of an entry that is covered by a snapshot and was released; no leader has it.
const UNKNOWN: Term = Term::new(0);

/// The sum of a log's write-sets.
///
/// Invariants: the entries are at consecutive positions from `before.index + 1` to `last().index`; their terms
/// never decrease; the snapshot mark never goes back, and what it covers is never truncated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogState {
    pub(super) hard_state: Option<HardState>,
    pub(super) snapshot: Option<EntryId>,
    /// How far the log is known to be committed, at least.
    pub(super) committed: LogIndex,
    /// The entry before the first one that the log still has.
    before: EntryId,
    /// Which terms the entries are of: each holds from its position up to the next one's.
    terms: Vec<(LogIndex, Term)>,
    last: EntryId,
}

impl LogState {
    /// A log whose first entry, if any, follows `before`.
    pub(super) fn after(before: EntryId, hard_state: Option<HardState>, snapshot: Option<EntryId>) -> Self {
        Self { hard_state, snapshot, committed: LogIndex::default(), before, terms: Vec::new(), last: before }
    }

    /// The position of the first entry, or the one that it will have.
    pub(super) fn first_index(&self) -> LogIndex {
        self.before.index.next()
    }

    /// The last entry; the one before the log, when the log has none.
    pub(super) fn last(&self) -> EntryId {
        self.last
    }

    /// Follows `set`; says whether a snapshot takes the place of all entries, those in `set` included.
    ///
    /// # Errors
    ///
    /// Says why `set` cannot follow; the state is then as if it had followed a part of it.
    pub(super) fn follow(&mut self, set: &WriteSet) -> Result<bool, &'static str> {
        if set.hard_state.is_some() {
            self.hard_state = set.hard_state;
        }
        if let Some(from) = set.truncate_from {
            self.truncate(from)?;
        }
        for entry in &set.entries {
            self.push(entry.id)?;
        }
        self.committed = self.committed.max(set.committed);
        set.snapshot.map_or(Ok(false), |snapshot| self.mark(snapshot))
    }

    fn truncate(&mut self, from: LogIndex) -> Result<(), &'static str> {
        if from <= self.marked().index || from > self.last.index.next() {
            return Err("a truncation reaches beyond the log or into its snapshot");
        }
        if from < self.first_index() {
            // The segments before this one were released, and the entry that it names as the last one of
            // those was overwritten. What took its place follows here.
            self.before = match self.marked() {
                marked if marked.index == from.previous() => marked,
                _ => EntryId { term: UNKNOWN, index: from.previous() },
            };
        }
        self.terms.retain(|(first, _)| *first < from);
        self.last = match self.terms.last() {
            Some((_, term)) => EntryId { term: *term, index: from.previous() },
            None => self.before,
        };
        Ok(())
    }

    fn push(&mut self, id: EntryId) -> Result<(), &'static str> {
        if id.index != self.last.index.next() || id.term < self.last.term {
            return Err("an entry does not follow the one before");
        }
        if self.terms.last().is_none_or(|(_, term)| *term != id.term) {
            self.terms.push((id.index, id.term));
        }
        self.last = id;
        Ok(())
    }

    /// A snapshot beyond the last entry takes the place of all entries: the log goes on after it.
    fn mark(&mut self, snapshot: EntryId) -> Result<bool, &'static str> {
        if self.marked().index > snapshot.index {
            return Err("a snapshot mark goes back");
        }
        if self.term_at(snapshot.index).is_some_and(|term| term != snapshot.term) {
            return Err("a snapshot mark names another entry than the log has there");
        }
        self.snapshot = Some(snapshot);
        let replaces = snapshot.index > self.last.index;
        if replaces {
            let committed = self.committed;
            *self = Self { committed, ..Self::after(snapshot, self.hard_state, self.snapshot) };
        }
        Ok(replaces)
    }

    /// The entry up to which a snapshot covers the log; the one before all when there is none.
    pub(super) fn marked(&self) -> EntryId {
        self.snapshot.unwrap_or_default()
    }

    /// The term of the entry at `index`, if the log has it.
    pub(super) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index < self.first_index() || index > self.last.index {
            return None;
        }
        let later = self.terms.partition_point(|(first, _)| *first <= index);
        self.terms[..later].last().map(|(_, term)| *term)
    }

    /// Learns the id of the last entry from elsewhere; false when that cannot be it.
    pub(super) fn is_last(&mut self, last: EntryId) -> bool {
        if self.last.term == UNKNOWN && self.last.index == last.index && self.last == self.before {
            (self.before, self.last) = (last, last);
        }
        self.last == last
    }

    /// Forgets the entries up to `index`, if the log has more.
    pub(super) fn begin_after(&mut self, index: LogIndex) {
        let Some(term) = self.term_at(index) else { return };
        self.before = EntryId { term, index };
        if index == self.last.index {
            self.terms.clear();
            return;
        }
        let first = index.next();
        let later = self.terms.partition_point(|(start, _)| *start <= first);
        self.terms.drain(..later.saturating_sub(1));
        if let Some((start, _)) = self.terms.first_mut() {
            *start = first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Entry, Payload};
    use crate::types::Timestamp;

    fn id(term: u64, index: u64) -> EntryId {
        EntryId { term: Term::new(term), index: LogIndex::new(index) }
    }

    fn entries(ids: &[(u64, u64)]) -> WriteSet {
        let entry = |&(term, index)| Entry {
            id: id(term, index),
            time: Timestamp::new(0),
            session: None,
            payload: Payload::Noop,
        };
        WriteSet { entries: ids.iter().map(entry).collect(), ..WriteSet::default() }
    }

    fn truncation(from: u64) -> WriteSet {
        WriteSet { truncate_from: Some(LogIndex::new(from)), ..WriteSet::default() }
    }

    fn mark(term: u64, index: u64) -> WriteSet {
        WriteSet { snapshot: Some(id(term, index)), ..WriteSet::default() }
    }

    fn new() -> LogState {
        LogState::after(EntryId::default(), None, None)
    }

    #[test]
    fn knows_the_last_entry_through_truncations() {
        let mut state = new();
        state.follow(&entries(&[(1, 1), (1, 2), (3, 3), (3, 4)])).unwrap();
        assert_eq!(state.last(), id(3, 4));
        state.follow(&truncation(4)).unwrap();
        assert_eq!(state.last(), id(3, 3));
        state.follow(&truncation(2)).unwrap();
        assert_eq!(state.last(), id(1, 1));
        state.follow(&entries(&[(4, 2)])).unwrap();
        state.follow(&truncation(1)).unwrap();
        assert_eq!(state.last(), EntryId::default());
    }

    #[test]
    fn refuses_what_cannot_follow() {
        let mut state = new();
        state.follow(&entries(&[(2, 1), (2, 2)])).unwrap();
        state.follow(&mark(2, 2)).unwrap();
        for set in [entries(&[(2, 2)]), entries(&[(2, 4)]), entries(&[(1, 3)]), truncation(0), truncation(4)]
        {
            assert!(state.clone().follow(&set).is_err(), "{set:?}");
        }
    }

    #[test]
    fn a_beginning_that_was_overwritten_is_followed() {
        let mut state = LogState::after(id(3, 9), None, None);
        state.follow(&truncation(6)).unwrap();
        assert_eq!(state.first_index(), LogIndex::new(6));
        assert!(!state.clone().is_last(id(2, 4)));
        assert!(state.clone().is_last(id(2, 5)));
        state.follow(&entries(&[(2, 6), (2, 7)])).unwrap();
        assert_eq!(state.last(), id(2, 7));
        state.follow(&mark(2, 6)).unwrap();
        state.begin_after(LogIndex::new(6));
        state.follow(&truncation(7)).unwrap();
        assert_eq!(state.last(), id(2, 6));
    }

    #[test]
    fn a_snapshot_beyond_the_end_begins_the_log_anew() {
        let mut state = new();
        state.follow(&entries(&[(1, 1), (1, 2)])).unwrap();
        state.follow(&mark(1, 1)).unwrap();
        assert_eq!((state.first_index(), state.last()), (LogIndex::new(1), id(1, 2)));
        state.follow(&mark(4, 9)).unwrap();
        assert_eq!((state.first_index(), state.last()), (LogIndex::new(10), id(4, 9)));
        state.follow(&entries(&[(4, 10)])).unwrap();
    }

    #[test]
    fn a_beginning_can_be_forgotten() {
        let mut state = new();
        state.follow(&entries(&[(1, 1), (1, 2), (3, 3), (3, 4)])).unwrap();
        for (before, truncated) in [(id(1, 1), id(1, 2)), (id(1, 2), id(1, 2)), (id(3, 3), id(3, 3))] {
            let mut state = state.clone();
            state.begin_after(before.index);
            assert_eq!((state.first_index(), state.last()), (before.index.next(), id(3, 4)));
            state.follow(&truncation(truncated.index.next().get())).unwrap();
            assert_eq!(state.last(), truncated);
        }
        state.begin_after(LogIndex::new(4));
        assert_eq!((state.first_index(), state.last()), (LogIndex::new(5), id(3, 4)));
        state.follow(&entries(&[(3, 5)])).unwrap();
        state.follow(&truncation(5)).unwrap();
        assert_eq!(state.last(), id(3, 4));
    }
}
