//! The configurations that the log holds: in force from when they are appended, undone when they are truncated.

use std::collections::BTreeMap;

use crate::entry::Config;
use crate::types::LogIndex;

/// Who the members are, from which position on: the newest committed configuration, and those after it, in
/// order. There is always one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Configs(Vec<(LogIndex, Config)>);

impl Configs {
    /// Without any, nobody is a member from the beginning.
    pub(super) fn new(configs: BTreeMap<LogIndex, Config>) -> Self {
        let mut configs: Vec<_> = configs.into_iter().collect();
        if configs.is_empty() {
            configs.push((LogIndex::default(), Config::default()));
        }
        Self(configs)
    }

    fn newest(&self) -> &(LogIndex, Config) {
        self.0.last().expect("there is always one")
    }

    /// The configuration that is in force: the newest, committed or not.
    pub(super) fn current(&self) -> &Config {
        &self.newest().1
    }

    /// Since where it is in force.
    pub(super) fn index(&self) -> LogIndex {
        self.newest().0
    }

    /// How many of them are at positions up to `index`.
    fn count_upto(&self, index: LogIndex) -> usize {
        self.0.partition_point(|(at, _)| *at <= index)
    }

    /// The newest that is committed when the log is up to `committed`, and its position.
    pub(super) fn settled(&self, committed: LogIndex) -> (LogIndex, &Config) {
        let (index, config) = &self.0[self.count_upto(committed).saturating_sub(1)];
        (*index, config)
    }

    /// A new one is appended.
    pub(super) fn push(&mut self, index: LogIndex, config: Config) {
        debug_assert!(index > self.index());
        self.0.push((index, config));
    }

    /// The log is truncated: what was in force before is so again.
    pub(super) fn truncate(&mut self, from: LogIndex) {
        self.0.truncate(self.count_upto(from.previous()));
        debug_assert!(!self.0.is_empty(), "what is committed is not truncated");
    }

    /// The log is committed up to here: what was before the newest committed one is of no use.
    pub(super) fn settle(&mut self, committed: LogIndex) {
        if self.0.len() > 1 {
            self.0.drain(..self.count_upto(committed).saturating_sub(1));
        }
    }

    /// A snapshot takes the place of the log up to `index`; what comes after stays.
    pub(super) fn install(&mut self, index: LogIndex, config: Config) {
        self.0.drain(..self.count_upto(index));
        self.0.insert(0, (index, config));
    }

    /// How many are not committed when the log is up to `committed`.
    pub(super) fn uncommitted(&self, committed: LogIndex) -> usize {
        self.0.len() - self.count_upto(committed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::MemberId;

    fn config(voter: u64) -> Config {
        Config::alone(MemberId::new(voter))
    }

    fn configs(at: &[u64]) -> Configs {
        Configs::new(at.iter().map(|&index| (LogIndex::new(index), config(index))).collect())
    }

    #[test]
    fn the_newest_is_in_force_until_it_is_truncated() {
        let mut configs = configs(&[0]);
        configs.push(LogIndex::new(5), config(5));
        assert_eq!((configs.index(), configs.current()), (LogIndex::new(5), &config(5)));
        assert_eq!(configs.settled(LogIndex::new(4)), (LogIndex::new(0), &config(0)));
        configs.truncate(LogIndex::new(5));
        assert_eq!(configs.current(), &config(0));
    }

    #[test]
    fn what_is_older_than_the_newest_committed_is_forgotten() {
        let mut configs = configs(&[0, 3, 5, 9]);
        configs.settle(LogIndex::new(6));
        assert_eq!(configs, super::tests::configs(&[5, 9]));
        assert_eq!(configs.uncommitted(LogIndex::new(6)), 1);
        configs.truncate(LogIndex::new(7));
        assert_eq!(configs.current(), &config(5));
    }

    #[test]
    fn a_snapshot_brings_its_own() {
        let mut configs = configs(&[3, 5, 9]);
        configs.install(LogIndex::new(7), config(70));
        assert_eq!(configs.settled(LogIndex::new(8)), (LogIndex::new(7), &config(70)));
        assert_eq!(configs.current(), &config(9));
    }
}
