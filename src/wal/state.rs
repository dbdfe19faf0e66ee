//! What a log says when it is read from its beginning, without the entries themselves.
//!
//! The same code follows a write-set before it is written and after it is read, so the two cannot differ.

use crate::entry::{EntryId, HardState, WriteSet};
use crate::types::{LogIndex, Term};

/// The sum of a log's write-sets.
///
/// Invariants: the entries are at consecutive positions from `before.index + 1` to `last().index`; their terms
/// never decrease; the snapshot mark never goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogState {
    pub(super) hard_state: Option<HardState>,
    pub(super) snapshot: Option<EntryId>,
    /// The entry before the first one that the log still has.
    before: EntryId,
    /// Which terms the entries are of: each holds from its position up to the next one's.
    terms: Vec<(LogIndex, Term)>,
    last: EntryId,
}

impl LogState {
    /// A log whose first entry, if any, follows `before`.
    pub(super) fn after(before: EntryId, hard_state: Option<HardState>, snapshot: Option<EntryId>) -> Self {
        Self { hard_state, snapshot, before, terms: Vec::new(), last: before }
    }

    /// The position of the first entry, or the one that it will have.
    pub(super) fn first_index(&self) -> LogIndex {
        self.before.index.next()
    }

    /// The last entry; the one before the log, when the log has none.
    pub(super) fn last(&self) -> EntryId {
        self.last
    }

    /// Follows `set`.
    ///
    /// # Errors
    ///
    /// Says why `set` cannot follow; the state is then as if it had followed a part of it.
    pub(super) fn follow(&mut self, set: &WriteSet) -> Result<(), &'static str> {
        if set.hard_state.is_some() {
            self.hard_state = set.hard_state;
        }
        if let Some(from) = set.truncate_from {
            self.truncate(from)?;
        }
        for entry in &set.entries {
            self.push(entry.id)?;
        }
        if let Some(snapshot) = set.snapshot {
            self.mark(snapshot)?;
        }
        Ok(())
    }

    fn truncate(&mut self, from: LogIndex) -> Result<(), &'static str> {
        if from < self.first_index() || from > self.last.index.next() {
            return Err("a truncation reaches beyond the log");
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
    fn mark(&mut self, snapshot: EntryId) -> Result<(), &'static str> {
        if self.snapshot.is_some_and(|before| before.index > snapshot.index) {
            return Err("a snapshot mark goes back");
        }
        self.snapshot = Some(snapshot);
        if snapshot.index > self.last.index {
            *self = Self::after(snapshot, self.hard_state, self.snapshot);
        }
        Ok(())
    }

    /// Forgets the entries before the one that follows `before`.
    pub(super) fn begin_after(&mut self, before: EntryId) {
        if before.index <= self.before.index || before.index > self.last.index {
            return;
        }
        let keep = self.terms.partition_point(|(first, _)| *first <= before.index.next());
        self.terms.drain(..keep.saturating_sub(1));
        if before.index == self.last.index {
            self.terms.clear();
        } else if let Some((first, _)) = self.terms.first_mut() {
            *first = before.index.next();
        }
        self.before = before;
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
        let entry =
            |&(term, index)| Entry { id: id(term, index), time: Timestamp::new(0), payload: Payload::Noop };
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
        assert!(state.follow(&mark(1, 1)).is_err());
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
            state.begin_after(before);
            assert_eq!((state.first_index(), state.last()), (before.index.next(), id(3, 4)));
            state.follow(&truncation(truncated.index.next().get())).unwrap();
            assert_eq!(state.last(), truncated);
        }
        state.begin_after(id(3, 4));
        assert_eq!((state.first_index(), state.last()), (LogIndex::new(5), id(3, 4)));
        state.follow(&entries(&[(3, 5)])).unwrap();
        state.follow(&truncation(5)).unwrap();
        assert_eq!(state.last(), id(3, 4));
    }
}
