//! What must hold after every step. Where going on would lose or fork data, it is asserted in every build.

use super::{Raft, State};

impl Raft {
    pub(super) fn check_invariants(&self) {
        let (before, last) = (self.log.before().index, self.log.last().index);
        let (durable, applied) = (self.writes.durable(), self.applied.index);
        assert!(before <= applied, "the snapshot is ahead of the tree");
        assert!(applied <= self.committed, "applied what is not committed");
        assert!(self.committed <= last, "committed past the end of the log");
        assert!(applied <= durable.max(self.saved.index), "applied what is not durable here");
        assert!(durable <= last, "durable past the end of the log");
        debug_assert!(before <= self.saved.index && self.saved.index <= applied);
        debug_assert!(self.log.last().term <= self.hard_state.term, "an entry of a term to come");
        debug_assert!(self.configs.index() <= last);
        self.log.check_invariants();
        if let State::Leader(leader) = &self.state {
            debug_assert!(self.leader == Some(self.id) && self.hard_state.vote == Some(self.id));
            debug_assert!(leader.first <= last);
            for progress in leader.peers.values() {
                progress.check_invariants(last);
            }
        }
    }
}
