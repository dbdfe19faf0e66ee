//! A follower takes entries.

use super::{AppendOutcome, FAR, Message, Output, Raft, State};
use crate::entry::{Entry, EntryId, Payload, WriteSet};
use crate::raft::interface::Stop;
use crate::types::{LogIndex, MemberId, Term, Timestamp};

/// What an answer to a leader repeats, and what it promises.
#[derive(Clone, Copy, Default)]
pub(super) struct Echo {
    pub(super) round: u64,
    pub(super) promised: Timestamp,
}

/// The answer that nothing was taken.
pub(super) fn refusal(prev: LogIndex, hint: EntryId, echo: Echo, room: u64) -> Message {
    let Echo { round, promised } = echo;
    Message::AppendAnswer { outcome: AppendOutcome::Missing { prev, hint }, round, promised, room }
}

/// Whether a leader of `term` can have sent these entries.
pub(super) fn check_entries(prev: EntryId, entries: &[Entry], term: Term) -> Result<(), &'static str> {
    let mut before = prev;
    if prev.index.get() > FAR || prev.term > term {
        return Err("no leader of this term has such an entry");
    }
    for Entry { id, .. } in entries {
        if id.index != before.index.next() || id.term < before.term || id.term > term {
            return Err("the entries do not follow each other");
        }
        before = *id;
    }
    let is_sorted = entries.is_sorted_by_key(|entry| entry.time);
    if is_sorted { Ok(()) } else { Err("log time goes back") }
}

impl Raft {
    /// Follows the leader of this term. False, with a fault, when that cannot be the leader.
    pub(super) fn follow_leader(&mut self, leader: MemberId, outputs: &mut Vec<Output>) -> bool {
        let is_other = self.leader.is_some_and(|known| known != leader);
        if is_other || matches!(self.state, State::Leader(_)) {
            outputs.push(Output::Fault { member: leader, what: "another leads in this term" });
            return false;
        }
        if self.leader.is_none() || !matches!(self.state, State::Follower) {
            self.become_follower(self.hard_state.term, Some(leader));
        }
        self.election.heard(&self.settings, &mut self.random);
        true
    }

    /// Takes the entries that follow `prev`, if this log has that one.
    #[expect(clippy::too_many_arguments, reason = "they are the message's fields")]
    pub(super) fn take_entries(
        &mut self,
        leader: MemberId,
        prev: EntryId,
        mut entries: Vec<Entry>,
        committed: LogIndex,
        matched: LogIndex,
        echo: Echo,
        outputs: &mut Vec<Output>,
    ) {
        if matched > self.log.last().index {
            // This member has said that it has these entries, in this term, in which nobody can have taken them back.
            return self.stop(Some(Stop::LostData), outputs);
        }
        let before = self.log.before().index;
        if prev.index < before {
            // The leader does not know that it needs nothing of what the snapshot covers.
            return self.answer_matched(leader, before, false, echo, outputs);
        }
        if !self.log.has(prev) {
            let hint = self.log.newest_common(prev);
            return self.answer(leader, refusal(prev.index, hint, echo, self.room()), true, outputs);
        }
        let upto = entries.last().map_or(prev, |entry| entry.id).index;
        let has_entries = !entries.is_empty();
        // A message may be late and short: what is here already stays, and so does what follows it.
        let known = entries.iter().take_while(|entry| self.log.has(entry.id)).count();
        entries.drain(..known);
        if !self.take_new(leader, entries, committed.min(upto), outputs) {
            return;
        }
        self.answer_matched(leader, upto, has_entries, echo, outputs);
        self.hand_out(outputs);
    }

    /// Takes entries that this log does not have, in the place of those that it has there. False, with a fault, when
    /// these are committed.
    fn take_new(
        &mut self,
        leader: MemberId,
        entries: Vec<Entry>,
        committed: LogIndex,
        outputs: &mut Vec<Output>,
    ) -> bool {
        let first = entries.first().map(|entry| entry.id.index);
        let truncate_from = first.filter(|first| *first <= self.log.last().index);
        if let Some(from) = truncate_from {
            if from <= self.committed {
                let what = "it would overwrite what is committed";
                outputs.push(Output::Fault { member: leader, what });
                return false;
            }
            self.log.truncate(from);
            self.configs.truncate(from);
        }
        for entry in &entries {
            if let Payload::Config(config) = &entry.payload {
                self.configs.push(entry.id.index, (**config).clone());
            }
            self.log.push(entry.clone());
        }
        self.commit_to(committed);
        if !entries.is_empty() {
            self.persist(WriteSet { truncate_from, entries, ..WriteSet::default() }, outputs);
        }
        true
    }

    /// Says that this log is the leader's up to `upto`: once that is durable, or as far as it is.
    pub(super) fn answer_matched(
        &mut self,
        leader: MemberId,
        upto: LogIndex,
        is_worth_waiting: bool,
        echo: Echo,
        outputs: &mut Vec<Output>,
    ) {
        let Echo { round, promised } = echo;
        let durable = self.writes.durable();
        let matched = if is_worth_waiting { upto } else { upto.min(durable) };
        let outcome = AppendOutcome::Matched(matched);
        let answer = Message::AppendAnswer { outcome, round, promised, room: self.room() };
        self.answer(leader, answer, matched <= durable, outputs);
    }

    /// Answers the leader: heartbeats never behind a disk, but not in a term that a crash may take back. The answer holds this
    /// member to the term: its promise, and that what it has said it has is not another leader's to overwrite.
    fn answer(&mut self, leader: MemberId, answer: Message, is_durable: bool, outputs: &mut Vec<Output>) {
        if is_durable && self.is_hard_state_durable() {
            self.pen().send(leader, answer, outputs);
        } else {
            self.send_when_durable(leader, answer, outputs);
        }
    }

    /// How many bytes of entries this member can take. What waits to be applied counts; what is not committed
    /// does not: it may take more to commit it, and the leader bounds it.
    fn room(&self) -> u64 {
        self.settings.uncommitted_bytes.saturating_sub(self.proposals.backlog)
    }
}
