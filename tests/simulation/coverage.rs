//! Rare turns of events that a sweep has to have met: one that never meets them proves nothing about them.

use std::collections::BTreeMap;

/// How often each turn of events was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<&'static str, u64>);

/// What a hundred seeds meet over and over.
const OFTEN: &[&str] = &[
    "a leader was elected",
    "a leader stepped down",
    "a member campaigned in vain",
    "an uncommitted tail was truncated",
    "a snapshot was saved",
    "a sync failed and its member was opened again",
    "a write was refused by a full disk",
    "damage was refused",
    "a process was started on a full disk",
    "a disk was lost and its member replaced",
    "a learner was added",
    "a member was removed",
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
    "a cluster recovered while clients went on",
    "a leader answered a read by its lease",
    "a leader that too few answered made way",
    "entries were read from the log for a member that was behind",
];

/// What two thousand seeds meet.
const RARELY: &[&str] = &[
    "a process could not start on a full disk",
    "a snapshot was installed",
    "a torn write was cut",
    "a learner was promoted",
    "a leader was removed",
    "a configuration was joint across an election",
    "leadership was handed over",
    "a disk that was put back was noticed",
    "a snapshot went on where it was",
    "a leader whose disk stalled made way",
    "a configuration was undone with its entry",
    "a log gave way to a snapshot that it did not match",
    "an old snapshot was refused",
    "a handover came to nothing",
    "a member that was removed was told",
    "a founder came back on an empty disk",
    "a founder that had lost its disk was told that it may not come back",
];

/// What ten thousand seeds meet: a process reads what it has written long ago only for those that are far behind.
const SELDOM: &[&str] = &["damage was found by a process that ran"];

impl Coverage {
    /// Takes note of `mark`.
    ///
    /// # Panics
    ///
    /// When nobody expects it: a mark with a slip in its name would never be missed.
    pub fn reach(&mut self, mark: &'static str) {
        debug_assert!(
            [OFTEN, RARELY, SELDOM].iter().any(|marks| marks.contains(&mark)),
            "{mark:?} is no mark"
        );
        *self.0.entry(mark).or_default() += 1;
    }

    /// Adds what another run has met.
    pub fn add(&mut self, other: &Self) {
        for (mark, times) in &other.0 {
            *self.0.entry(mark).or_default() += times;
        }
    }

    /// What has not been met of all that there is.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        [OFTEN, RARELY, SELDOM].into_iter().flat_map(|marks| self.missing_of(marks)).collect()
    }

    /// What has not been met and should have been after so many seeds.
    #[must_use]
    pub fn missing_after(&self, seeds: u64) -> Vec<&'static str> {
        match seeds {
            ..100 => Vec::new(),
            100..2_000 => self.missing_of(OFTEN).collect(),
            2_000..10_000 => self.missing_of(OFTEN).chain(self.missing_of(RARELY)).collect(),
            _ => self.missing(),
        }
    }

    fn missing_of(&self, marks: &'static [&'static str]) -> impl Iterator<Item = &'static str> {
        marks.iter().copied().filter(|mark| !self.0.contains_key(mark))
    }

    /// How often each was met.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(mark, times)| (*mark, *times))
    }
}
