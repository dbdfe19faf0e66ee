//! What must hold after every step. Where going on would lose or fork data, it is asserted in every build; the rest
//! costs releases nothing.
//!
//! | what one member can tell by itself | asserted by |
//! | --- | --- |
//! | `before <= applied <= committed <= last`, `applied <= durable` beyond the snapshot, `durable <= last` | [`Raft::check_invariants`], in every build |
//! | terms never decrease along the log; what is in memory has no gap | `Log::check_invariants` |
//! | `matched < next <= last + 1`; what is under way is counted right | `Progress::check_invariants` |
//! | nobody leads but by its own vote, durable | [`Raft::check_invariants`] |
//! | a leader that knows how far its log is committed has at most one configuration that is not | [`Raft::check_invariants`] |
//! | term, committed, applied and snapshot never go back; what was applied is not applied again | [`Before::check`] |
//! | a vote is changed with the term only, or given where none was; the floor never goes down | [`Before::check`] |
//! | what is durable is lost by a truncation only, and what is committed by none | [`Before::check`] |
//! | a leader truncates nothing, and never gives way to a snapshot | [`Before::check_write`] |
//! | write-sets have no gap in their numbers, and touch nothing that is committed | [`Before::check_write`] |
//! | no entry is written before the term that it is of | [`Before::check_write`] |
//! | a vote, a request for one, an acknowledgement, a promise, a number of this life: nothing is told that a crash can take back | [`Raft::check_letter`] |
//!
//! Two more are so by how they are written: a leader counts as its own acknowledgement what is durable and no other number
//! (`commit`), and to have outgoing voters is what makes a configuration joint. That there is at most one configuration under
//! way cannot be judged by a follower, which hears late how far the log is committed. What takes more than one member to
//! see (one leader a term, matching logs, committed on a majority of disks) the tests check: `tests/cluster`, `tests/simulation`.

use super::{AppendOutcome, Message, Output, Raft, State};
use crate::entry::{EntryId, HardState, WriteSet};
use crate::types::{LogIndex, Timestamp};

/// What a member knew before a step, to see what the step has done to it.
#[derive(Clone, Copy)]
pub(super) struct Before {
    hard_state: HardState,
    committed: LogIndex,
    applied: EntryId,
    saved: EntryId,
    durable: LogIndex,
    next_write: u64,
    is_leader: bool,
    is_stopped: bool,
}

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
            debug_assert!(self.is_hard_state_durable(), "it leads on a vote that a crash can take back");
            debug_assert!(leader.first <= last);
            let changing = self.configs.uncommitted(self.committed);
            debug_assert!(changing <= 1 || !self.knows_commit(), "{changing} changes at once");
            for progress in leader.peers.values() {
                progress.check_invariants(last);
            }
        }
    }

    /// What to compare with after the step that begins now.
    pub(super) fn before_step(&self) -> Before {
        Before {
            hard_state: self.hard_state,
            committed: self.committed,
            applied: self.applied,
            saved: self.saved,
            durable: self.writes.durable(),
            next_write: self.writes.next_sequence(),
            is_leader: matches!(self.state, State::Leader(_)),
            is_stopped: self.is_stopped,
        }
    }

    /// What this step has sent tells nothing that is not durable, or waits until it is.
    fn check_letter(&self, message: &Message, after: Option<u64>) {
        let hard_state = |what| {
            let is_kept =
                self.writes.is_durable(self.hard_state_write) || after >= Some(self.hard_state_write);
            assert!(
                is_kept && !self.is_unwritten,
                "{what} in a term or with a vote that a crash can take back"
            );
        };
        let log = |upto: LogIndex, what| {
            let durable = self.writes.durable_after(after).max(self.saved.index);
            assert!(upto <= durable, "{what} up to {upto}, where only {durable} will be durable");
        };
        match message {
            Message::Vote { last, .. } => {
                hard_state("it asks for votes");
                log(last.index, "it asks for votes with a log");
            }
            Message::VoteAnswer { granted: true, .. } => hard_state("it votes"),
            Message::AppendAnswer { outcome: AppendOutcome::Matched(upto), .. } => {
                hard_state("it acknowledges entries");
                log(*upto, "it acknowledges entries");
            }
            Message::AppendAnswer { promised, .. } if *promised > Timestamp::default() => {
                hard_state("it promises");
            }
            Message::Forward { .. } | Message::ReadIndex { .. } => {
                assert!(self.is_booted(), "it tells of a life that a crash can take back");
            }
            _ => {}
        }
    }
}

impl Before {
    /// What a step has done to `raft`, with `outputs` to follow from it.
    pub(super) fn check(mut self, raft: &Raft, outputs: &[Output]) {
        let HardState { term, vote, boot, floor } = raft.hard_state;
        let was = self.hard_state;
        assert!(term >= was.term, "the term goes back");
        assert!(boot == was.boot, "a life has one number");
        assert!(floor == floor.or_more(was.floor), "the floor goes down");
        let is_same = term == was.term && was.vote.is_some();
        assert!(!is_same || vote == was.vote, "the vote changes within a term");
        assert!(raft.committed >= self.committed, "committed goes back");
        assert!(raft.applied.index >= self.applied.index, "applied goes back");
        assert!(raft.applied.index > self.applied.index || raft.applied == self.applied, "applied twice");
        assert!(raft.saved.index >= self.saved.index, "the snapshot goes back");
        let (had, has) = (self.durable.max(self.saved.index), raft.writes.durable().max(raft.saved.index));
        assert!(has >= had.min(self.committed), "what is committed is durable no more");
        assert!(!self.is_stopped || raft.is_stopped, "it comes back");
        let mut truncates = false;
        for output in outputs {
            match output {
                Output::Persist { sequence, write } => {
                    truncates |= write.truncate_from.is_some();
                    self.check_write(raft, *sequence, write);
                }
                Output::Send { envelope, after } => {
                    assert!(envelope.from == raft.id && envelope.term <= term, "{envelope:?}");
                    raft.check_letter(&envelope.message, *after);
                }
                _ => {}
            }
        }
        assert!(has >= had || truncates, "what was durable is so no more");
    }

    fn check_write(&mut self, raft: &Raft, sequence: u64, write: &WriteSet) {
        assert!(sequence == self.next_write, "write-sets are numbered without gaps");
        self.next_write += 1;
        // A snapshot takes the place of what it covers, and only a follower takes one that is not its own.
        let is_installed = write.snapshot.is_some_and(|snapshot| snapshot.index > self.committed);
        let first = write.entries.first().map(|entry| entry.id.index);
        let touched = write.truncate_from.filter(|_| !is_installed).into_iter().chain(first).min();
        assert!(touched.is_none_or(|touched| touched > self.committed), "it writes over what is committed");
        let is_giving_way = write.truncate_from.is_some() || is_installed;
        assert!(
            !(self.is_leader && is_giving_way && raft.hard_state.term == self.hard_state.term),
            "a leader gives way"
        );
        let newest = write.entries.last().map(|entry| entry.id.term);
        let is_of_this_term = newest == Some(raft.hard_state.term);
        assert!(!is_of_this_term || raft.hard_state_write <= sequence, "an entry before its term");
    }
}
