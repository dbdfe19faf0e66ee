//! From durable to committed, from committed to applied.

use super::quorum::agreed;
use super::{Output, Raft, State, Stop};
use crate::entry::{Config, Entry, EntryId};
use crate::types::{LogIndex, MemberId, Timestamp};

impl Raft {
    /// Counts up to where a majority has the leader's log on its disks.
    pub(super) fn count_commit(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        let State::Leader(leader) = &self.state else { return };
        let durable = self.writes.durable();
        let agreed = agreed(self.configs.current(), |member| match leader.peers.get(&member) {
            _ if member == self.id => durable,
            Some(progress) => progress.matched,
            None => LogIndex::default(),
        });
        // What an earlier term left may be overwritten in spite of a majority, until something of this term is above it.
        if agreed <= self.committed || agreed < leader.first {
            return;
        }
        self.commit_to(agreed);
        self.go_on_with_change(now, outputs);
    }

    /// The log is committed up to `index`, or further already.
    pub(super) fn commit_to(&mut self, index: LogIndex) {
        if index > self.committed {
            self.committed = index;
            self.configs.settle(index);
        }
    }

    /// The leader's log is committed up to this entry. Where this log does not have it, an [`Append`](super::Message::Append)
    /// was lost or is late, and the next one tells.
    pub(super) fn learn_commit(&mut self, upto: EntryId, outputs: &mut Vec<Output>) {
        if self.log.has(upto) {
            self.commit_to(upto.index);
            self.hand_out(outputs);
        }
    }

    /// Hands out what is committed and durable here, once; and leaves, if that says so.
    pub(super) fn hand_out(&mut self, outputs: &mut Vec<Output>) {
        self.apply(outputs);
        // A snapshot may have said it, or what was applied before a restart.
        if !self.configs.current().contains(self.id) && self.is_removed(self.id) {
            self.stop(Some(Stop::Removed), outputs);
        }
    }

    fn apply(&mut self, outputs: &mut Vec<Output>) {
        let upto = self.committed.min(self.writes.durable());
        let Some(last) = self.log.id_at(upto).filter(|last| last.index > self.applied.index) else { return };
        let first = self.applied.index.next();
        let first_in_memory = self.log.first_in_memory();
        self.applied = last;
        if first < first_in_memory {
            outputs.push(Output::ApplyStored { first, last: upto.min(first_in_memory.previous()) });
        }
        if first_in_memory <= upto {
            let entries = self.take_committed(first.max(first_in_memory), upto);
            self.proposals.settle(self.id, &entries);
            outputs.push(Output::Apply(entries));
        }
        self.reads.applied(upto, outputs);
    }

    /// The entries from `first` to `upto`. Those that no peer can need are no longer kept.
    fn take_committed(&mut self, first: LogIndex, upto: LogIndex) -> Vec<Entry> {
        if self.configs.current().is_alone(self.id) {
            let mut entries = self.log.take(upto);
            entries.drain(..entries.iter().take_while(|entry| entry.id.index < first).count());
            return entries;
        }
        let entries = self.log.from(first).take_while(|entry| entry.id.index <= upto).cloned().collect();
        self.log.evict(upto, self.settings.cache_bytes);
        entries
    }

    /// Whether something of the leader's own term is committed: then it knows how far the log is.
    pub(super) fn knows_commit(&self) -> bool {
        matches!(&self.state, State::Leader(leader) if self.committed >= leader.first)
    }

    /// Whether `member` was left out for good, as of a configuration that is committed and applied here.
    pub(super) fn is_removed(&self, member: MemberId) -> bool {
        let (index, config) = self.configs.settled(self.applied.index);
        joined_at(member) <= index && !config.contains(member) && *config != Config::default()
    }
}

/// Members that join get an id that begins here and tells where.
const FIRST_JOINER: u64 = 1 << 32;

/// Whether this is the id of one of those who founded its cluster.
#[must_use]
pub const fn is_founder(member: MemberId) -> bool {
    member.get() < FIRST_JOINER
}

/// The id of a member that the configuration at `index` adds: nobody else ever had or will have it.
pub(super) const fn joiner(index: LogIndex) -> MemberId {
    MemberId::new(FIRST_JOINER + index.get())
}

/// The position of the configuration that added `member`; 0 for a founder.
pub(super) fn joined_at(member: MemberId) -> LogIndex {
    LogIndex::new(member.get().saturating_sub(FIRST_JOINER))
}
