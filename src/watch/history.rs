//! The last changes, for watches that begin in the past or fell behind.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::Change;
use crate::types::Index;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// How many changes; 0 keeps none. Default: 1,000, as in etcd v2.
    pub changes: usize,
    /// How many bytes of keys and values all of them may have. Default: 64 MiB.
    pub bytes: usize,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self { changes: 1_000, bytes: 64 << 20 }
    }
}

/// A ring of the last changes.
///
/// ```text
///   index     first ……………………… last    next push
///   changes   │ oldest │ … │ newest │
/// ```
/// Invariants: what is kept is contiguous and ends at `last`, so that the place of an index is arithmetic;
/// it is as long as `limits` allow, so what is kept of given changes is the same whether they were pushed or restored; when
/// nothing is kept, the first index is the one after `last`.
#[derive(Clone, Debug)]
pub(crate) struct History {
    limits: HistoryLimits,
    /// What the kept changes count for, by [`bytes_of`].
    bytes: usize,
    /// The index of the newest change there was, kept or not.
    last: Index,
    /// What is kept, oldest first.
    changes: VecDeque<Arc<Change>>,
}

impl History {
    /// A history that knows nothing of the changes up to `last`: that of a new tree, or of one whose index
    /// has jumped.
    pub(crate) fn new(limits: HistoryLimits, last: Index) -> Self {
        Self { limits, bytes: 0, last, changes: VecDeque::new() }
    }

    /// The history of a tree at index `last`, of which `changes` were saved, oldest first.
    ///
    /// They come from a disk or a peer: what does not lead up to `last` without a gap is left out.
    pub(crate) fn restore(limits: HistoryLimits, last: Index, changes: Vec<Arc<Change>>) -> Self {
        let wanted = (0..=last.get()).rev().map(Index::new);
        let leading = changes.iter().rev().zip(wanted).take_while(|(change, index)| change.index() == *index);
        let usable = leading.count();

        let mut changes = VecDeque::from(changes);
        changes.drain(..changes.len() - usable);
        let bytes = changes.iter().map(|change| bytes_of(change)).sum();
        let mut history = Self { limits, bytes, last, changes };
        history.trim();
        history
    }

    /// Adds the next change, and forgets the oldest for which there is no room any more.
    ///
    /// # Panics
    ///
    /// When the index of `change` is not the next one: from then on, every lookup would find the wrong change.
    pub(crate) fn push(&mut self, change: Arc<Change>) {
        assert_eq!(change.index(), self.last.next(), "changes come in the order of their indexes");
        self.last = change.index();
        self.bytes += bytes_of(&change);
        self.changes.push_back(change);
        self.trim();
    }

    fn trim(&mut self) {
        while (self.changes.len() > self.limits.changes || self.bytes > self.limits.bytes)
            && let Some(oldest) = self.changes.pop_front()
        {
            self.bytes -= bytes_of(&oldest);
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

/// The keys and values that a change holds on to, in bytes; those that others hold as well, too.
fn bytes_of(change: &Change) -> usize {
    let nodes = std::iter::once(&change.node).chain(&change.prev_node);
    nodes.map(|node| node.key().len() + node.value().len()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::watch::testing::{limits, remove, set};

    fn indexes(history: &History, from: u64) -> Vec<u64> {
        history.from(Index::new(from)).map(|change| change.index().get()).collect()
    }

    #[test]
    fn a_new_history_reaches_back_to_nothing() {
        let history = History::new(limits(3), Index::new(7));
        assert_eq!((history.first_index(), history.last_index()), (Index::new(8), Index::new(7)));
        assert!(indexes(&history, 0).is_empty() && indexes(&history, 8).is_empty());
    }

    #[test]
    fn without_capacity_only_the_index_is_kept() {
        let mut history = History::new(limits(0), Index::new(0));
        history.push(set("/a", 1));
        history.push(set("/a", 2));
        assert_eq!((history.first_index(), history.last_index()), (Index::new(3), Index::new(2)));
        assert!(history.to_vec().is_empty());
    }

    #[test]
    #[should_panic(expected = "in the order of their indexes")]
    fn a_gap_is_not_taken() {
        History::new(limits(3), Index::new(7)).push(set("/a", 9));
    }

    #[test]
    fn restoring_leaves_out_what_does_not_lead_up_to_the_last_index() {
        let kept = |wanted, last, saved: &[u64]| {
            let changes = saved.iter().map(|&index| set("/a", index)).collect();
            let history = History::restore(limits(wanted), Index::new(last), changes);
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

    #[test]
    fn a_change_counts_with_the_keys_and_values_it_holds() {
        assert_eq!(bytes_of(&set("/a", 100)), 5);
        assert_eq!(bytes_of(&remove("/a", 100)), 8, "what is gone counts as well");
        let mut history = History::new(HistoryLimits { changes: 9, bytes: 10 }, Index::new(98));
        (99..=100).for_each(|index| history.push(set("/a", index)));
        assert_eq!(indexes(&history, 0), [99, 100], "4 and 5 bytes");
        history.push(set("/a", 101));
        assert_eq!(indexes(&history, 0), [100, 101]);
        history.push(set("/more_than_fits", 102));
        assert_eq!((history.first_index(), history.last_index()), (Index::new(103), Index::new(102)));
        history.push(set("/a", 103));
        assert_eq!(
            indexes(&history, 0),
            [103],
            "what did not fit is no gap: it has only pushed out what was before"
        );
    }

    proptest! {
        /// Whatever is pushed, the ring answers as a list of everything would that was cut at its front.
        #[test]
        fn finds_what_a_list_of_everything_would(
            changes in 0_usize..8,
            bytes in 0_usize..60,
            start in 0_u64..5,
            paths in proptest::collection::vec(0_usize..20, 0..30),
            from in 0_u64..40,
        ) {
            let limits = HistoryLimits { changes, bytes };
            let mut history = History::new(limits, Index::new(start));
            let mut everything = Vec::new();
            for (index, length) in (start + 1..).zip(paths) {
                let change = set(&format!("/{}", "a".repeat(length + 1)), index);
                history.push(Arc::clone(&change));
                everything.push((index, bytes_of(&change)));
            }
            let last = everything.last().map_or(start, |&(index, _)| index);
            let mut room = bytes;
            let fitting = everything.iter().rev().take(changes).map_while(|&(index, bytes)| {
                room = room.checked_sub(bytes)?;
                Some(index)
            });
            let mut kept: Vec<u64> = fitting.collect();
            kept.reverse();
            let wanted: Vec<u64> = kept.iter().copied().filter(|&index| index >= from).collect();

            prop_assert_eq!(indexes(&history, from), wanted);
            prop_assert_eq!(history.last_index().get(), last);
            prop_assert_eq!(history.first_index().get(), kept.first().copied().unwrap_or(last + 1));
            let restored = History::restore(limits, history.last_index(), history.to_vec());
            prop_assert_eq!((restored.to_vec(), restored.bytes), (history.to_vec(), history.bytes));
        }
    }
}
