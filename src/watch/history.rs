//! The last changes, for watches that begin in the past or fell behind.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::Change;
use crate::types::Index;

/// How many changes are kept unless a setting says otherwise, as in etcd v2.
pub(crate) const HISTORY_CAPACITY_DEFAULT: usize = 1_000;

/// A ring of the last changes.
///
/// ```text
///   index     first ……………………… last    next push
///   changes   │ oldest │ … │ newest │
/// ```
/// Invariants: what is kept is contiguous and ends at `last`, so that the place of an index is arithmetic;
/// `changes.len() <= capacity`; when nothing is kept, the first index is the one after `last`.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// How many changes are kept at most; 0 keeps none.
    capacity: usize,
    /// The index of the newest change there was, kept or not.
    last: Index,
    /// What is kept, oldest first.
    changes: VecDeque<Arc<Change>>,
}

impl History {
    /// A history that knows nothing of the changes up to `last`: that of a new tree, or of one whose index
    /// has jumped.
    pub(crate) fn new(capacity: usize, last: Index) -> Self {
        Self { capacity, last, changes: VecDeque::new() }
    }

    /// The history of a tree at index `last`, of which `changes` were saved, oldest first.
    ///
    /// They come from a disk or a peer: what does not lead up to `last` without a gap is left out.
    pub(crate) fn restore(capacity: usize, last: Index, changes: Vec<Arc<Change>>) -> Self {
        let newest_first = changes.iter().rev().take(capacity);
        let wanted = (0..=last.get()).rev().map(Index::new);
        let usable = newest_first.zip(wanted).take_while(|(change, index)| change.index() == *index).count();

        let mut changes = VecDeque::from(changes);
        changes.drain(..changes.len() - usable);
        Self { capacity, last, changes }
    }

    /// Adds the next change, and forgets the oldest when the ring is full.
    ///
    /// # Panics
    ///
    /// When the index of `change` is not the next one: from then on, every lookup would find the wrong change.
    pub(crate) fn push(&mut self, change: Arc<Change>) {
        assert_eq!(change.index(), self.last.next(), "changes come in the order of their indexes");
        self.last = change.index();
        if self.changes.len() == self.capacity {
            self.changes.pop_front();
        }
        if self.capacity > 0 {
            self.changes.push_back(change);
        }
    }

    /// The index of the oldest change that is kept; the one after [`History::last_index`] when none is.
    pub(crate) fn first_index(&self) -> Index {
        self.changes.front().map_or(self.last.next(), |change| change.index())
    }

    /// The index of the newest change there was, kept or not.
    pub(crate) fn last_index(&self) -> Index {
        self.last
    }

    /// What is kept of the changes from `index` on, oldest first.
    pub(crate) fn from(&self, index: Index) -> impl Iterator<Item = &Arc<Change>> {
        let skipped = index.get().saturating_sub(self.first_index().get());
        let start = usize::try_from(skipped).map_or(self.changes.len(), |skip| skip.min(self.changes.len()));
        self.changes.range(start..)
    }

    /// What is kept, oldest first: what a snapshot saves.
    pub(crate) fn to_vec(&self) -> Vec<Arc<Change>> {
        self.changes.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::watch::testing::set;

    fn indexes(history: &History, from: u64) -> Vec<u64> {
        history.from(Index::new(from)).map(|change| change.index().get()).collect()
    }

    #[test]
    fn a_new_history_reaches_back_to_nothing() {
        let history = History::new(3, Index::new(7));
        assert_eq!((history.first_index(), history.last_index()), (Index::new(8), Index::new(7)));
        assert!(indexes(&history, 0).is_empty() && indexes(&history, 8).is_empty());
    }

    #[test]
    fn without_capacity_only_the_index_is_kept() {
        let mut history = History::new(0, Index::new(0));
        history.push(set("/a", 1));
        history.push(set("/a", 2));
        assert_eq!((history.first_index(), history.last_index()), (Index::new(3), Index::new(2)));
        assert!(history.to_vec().is_empty());
    }

    #[test]
    #[should_panic(expected = "in the order of their indexes")]
    fn a_gap_is_not_taken() {
        History::new(3, Index::new(7)).push(set("/a", 9));
    }

    #[test]
    fn restoring_leaves_out_what_does_not_lead_up_to_the_last_index() {
        let kept = |capacity, last, saved: &[u64]| {
            let changes = saved.iter().map(|&index| set("/a", index)).collect();
            let history = History::restore(capacity, Index::new(last), changes);
            assert_eq!(history.last_index(), Index::new(last));
            indexes(&history, 0)
        };
        assert_eq!(kept(9, 5, &[3, 4, 5]), [3, 4, 5]);
        assert_eq!(kept(2, 5, &[3, 4, 5]), [4, 5], "more were saved than are to be kept");
        assert_eq!(kept(9, 5, &[2, 4, 5]), [4, 5], "a gap");
        assert_eq!(kept(9, 5, &[3, 4]), [0_u64; 0], "the newest is missing");
        assert_eq!(kept(9, 5, &[4, 5, 6]), [0_u64; 0], "newer than the tree");
        assert_eq!(kept(9, 1, &[1, 0, 1]), [0, 1], "no index lies before 0");
        assert_eq!(kept(0, 5, &[4, 5]), [0_u64; 0]);
    }

    proptest! {
        /// Whatever is pushed, the ring answers as a list of everything would that was cut at its front.
        #[test]
        fn finds_what_a_list_of_everything_would(
            capacity in 0_usize..8,
            start in 0_u64..5,
            pushes in 0_u64..30,
            from in 0_u64..40,
        ) {
            let mut history = History::new(capacity, Index::new(start));
            let mut everything = Vec::new();
            for index in start + 1..=start + pushes {
                history.push(set("/a", index));
                everything.push(index);
            }
            let kept = &everything[everything.len().saturating_sub(capacity)..];
            let wanted: Vec<u64> = kept.iter().copied().filter(|&index| index >= from).collect();

            prop_assert_eq!(indexes(&history, from), wanted);
            prop_assert_eq!(history.last_index().get(), start + pushes);
            prop_assert_eq!(history.first_index().get(), kept.first().copied().unwrap_or(start + pushes + 1));
            let restored = History::restore(capacity, history.last_index(), history.to_vec());
            prop_assert_eq!(restored.to_vec(), history.to_vec());
        }
    }
}
