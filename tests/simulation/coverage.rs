//! Rare turns of events that a sweep has to have met: one that never meets them proves nothing about them.

use std::collections::BTreeMap;

/// How often each turn of events was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<&'static str, u64>);

/// What every long sweep must have met at least once.
pub const MARKS: &[&str] = &[
    "a leader was elected",
    "a leader stepped down",
    "a member campaigned in vain",
    "an uncommitted tail was truncated",
    "a snapshot was saved",
    "a snapshot was installed",
    "a torn write was cut",
    "a sync failed and its member was opened again",
    "a write was refused by a full disk",
    "damage was refused",
    "a disk was lost and its member replaced",
    "a learner was added",
    "a learner was promoted",
    "a member was removed",
    "a leader was removed",
    "a configuration was joint across an election",
    "leadership was handed over",
    "a member was down when leadership changed",
    "a linearizable read was answered by a follower",
    "a linearizable read was answered by the leader",
    "a call was refused",
    "a call was given up with its outcome unknown",
    "a retry met its own first attempt",
    "a key expired",
    "a watcher was told to start over",
    "a corrupt frame was refused",
    "a frame of an older connection was dropped",
    "all machines lost power at once",
    "a leader was cut off as it took office or began a change",
    "members heard their neighbours in a chain only",
    "ticks came in a burst",
    "a disk that was put back was noticed",
    "a snapshot went on where it was",
    "a cluster recovered while clients went on",
];

impl Coverage {
    /// Takes note of `mark`.
    ///
    /// # Panics
    ///
    /// When it is not in [`MARKS`]: a mark with a slip in its name would never be missed.
    pub fn reach(&mut self, mark: &'static str) {
        debug_assert!(MARKS.contains(&mark), "{mark:?} is no mark");
        *self.0.entry(mark).or_default() += 1;
    }

    /// Adds what another run has met.
    pub fn add(&mut self, other: &Self) {
        for (mark, times) in &other.0 {
            *self.0.entry(mark).or_default() += times;
        }
    }

    /// What has not been met.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        MARKS.iter().copied().filter(|mark| !self.0.contains_key(mark)).collect()
    }

    /// How often each was met.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(mark, times)| (*mark, *times))
    }
}
