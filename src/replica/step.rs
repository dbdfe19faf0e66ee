//! One step: an input, and all that follows from it.

use std::sync::Arc;

use super::clock::Moment;
use super::jobs::SyncJob;
use super::state::Outcome;
use super::{Answer, Input, Output, Replica};
use crate::codec;
use crate::entry::{Entry, WriteSet};
use crate::raft;
use crate::tree::Command;
use crate::types::{LogIndex, Timestamp};
use crate::wal::{Identity, WalError};

/// So much is read from the log at once to be applied.
const APPLIED_BYTES: u64 = 1 << 20;

impl Replica {
    /// Takes one input and adds to `outputs` what follows from it.
    pub fn step(&mut self, moment: Moment, input: Input, outputs: &mut Vec<Output>) {
        let now = self.clock.now(moment);
        match input {
            Input::Tick => self.tick(now, outputs),
            Input::Campaign => self.step_raft(now, raft::Input::Campaign, outputs),
            Input::Receive(envelope) => self.receive(now, envelope, outputs),
            Input::Connected(member) => self.step_raft(now, raft::Input::Connected(member), outputs),
            Input::Disconnected(member) => self.step_raft(now, raft::Input::Disconnected(member), outputs),
            Input::Propose { token, command } => self.propose(now, vec![(Some(token), command)], outputs),
            Input::ProposeAll(all) => {
                let all = all.into_iter().map(|(token, command)| (Some(token), command)).collect();
                self.propose(now, all, outputs);
            }
            Input::Read { token } => self.step_raft(now, raft::Input::Read { token }, outputs),
            Input::Ask { token, request } => {
                self.step_raft(now, raft::Input::Ask { token, request }, outputs)
            }
            Input::Heard(answers) => self.step_raft(now, raft::Input::Heard(answers), outputs),
            Input::Synced(Ok(sequence)) => self.synced(now, sequence, outputs),
            Input::Synced(Err(error)) => {
                if let Some(input) = self.fail(error, outputs) {
                    self.step_raft(now, input, outputs);
                }
            }
            Input::Done(done) => {
                if let Some(input) = self.done(done.0, outputs) {
                    self.step_raft(now, input, outputs);
                }
                self.let_go(outputs);
            }
        }
        let leads = self.raft.role() == raft::Role::Leader;
        self.clock.observe(moment, leads);
        if !leads {
            for token in self.proposals.take_unnumbered() {
                answer(Some(token), Answer::Unknown, outputs);
            }
        }
    }

    /// Nothing more waits: lets what was appended be synced, and the log be kept small.
    pub fn flush(&mut self, moment: Moment, outputs: &mut Vec<Output>) {
        self.give_held(self.clock.now(moment), outputs);
        if self.failure.is_none()
            && let Some((sequence, messages)) = self.writes.begin_sync()
        {
            outputs.push(Output::Sync(SyncJob { sequence, syncer: self.wal.syncer(), messages }));
        }
        self.step_raft(self.clock.now(moment), raft::Input::Flush, outputs);
        if let Some(upto) = self.release() {
            self.step_raft(self.clock.now(moment), raft::Input::Released(upto), outputs);
        }
        self.keep_small(outputs);
    }

    fn tick(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        self.snapshots.tick();
        self.step_raft(now, raft::Input::Tick, outputs);
        // Whoever leads lets expire what is due, once for all members.
        if self.raft.role() == raft::Role::Leader
            && !self.proposals.is_expiring()
            && self.state.is_anything_due(self.raft.log_time(now))
        {
            let command = codec::encode(&Command::Expire).into();
            self.propose(now, vec![(None, command)], outputs);
        }
    }

    fn synced(&mut self, now: Timestamp, sequence: u64, outputs: &mut Vec<Output>) {
        self.writes.synced(sequence);
        while let Some(envelope) = self.writes.release() {
            outputs.push(Output::Send(envelope));
        }
        self.step_raft(now, raft::Input::Persisted(sequence), outputs);
        if let Some(saved) = self.writes.take_mark() {
            self.marked(saved, outputs);
        }
    }

    /// Nothing is written any more: what is under way may or may not be found when the disk is opened again.
    fn fail(&mut self, error: WalError, outputs: &mut Vec<Output>) -> Option<raft::Input> {
        if self.failure.is_some() {
            return None;
        }
        let error = Arc::new(error);
        self.failure = Some(Arc::clone(&error));
        for token in self.proposals.take_all() {
            answer(Some(token), Answer::Unknown, outputs);
        }
        self.refuse_held(outputs);
        outputs.push(Output::Failed(error));
        Some(raft::Input::PersistFailed)
    }

    fn persist(&mut self, sequence: u64, write: &WriteSet, outputs: &mut Vec<Output>) -> Option<raft::Input> {
        if self.failure.is_some() {
            return None;
        }
        match self.wal.append(write) {
            Ok(()) => {
                self.writes.appended(sequence, write.snapshot);
                None
            }
            Err(error) => self.fail(error, outputs),
        }
    }

    /// Applies what was agreed on, tells watchers, then those who wait here.
    fn apply(&mut self, entries: Vec<Entry>, outputs: &mut Vec<Output>) -> Option<raft::Input> {
        let proposals = &self.proposals;
        let outcomes = match self.replicated.apply(&self.state, &entries, |entry| proposals.is_ours(entry)) {
            Ok(outcomes) => outcomes,
            Err(_) => {
                let what = "an entry that was agreed on holds no command that is known here";
                return self.fail(WalError::damaged(self.disk.path(""), 0_u64, what), outputs);
            }
        };
        let names: Vec<_> = outcomes
            .iter()
            .map(|outcome| (entries[outcome.entry].id, entries[outcome.entry].session))
            .collect();
        outputs.push(Output::Applied(entries));
        for (Outcome { result, .. }, (id, session)) in outcomes.into_iter().zip(names) {
            if let Some(token) = self.proposals.take(id, session) {
                answer(token, Answer::Written { entry: id, result }, outputs);
            }
        }
        None
    }

    /// A disk that was lost, or put back, begins to count lives anew. Where the log says that there was a later one than this, others
    /// count on what that one said, and will not hear this one.
    fn notice_later_life(&self) -> Option<raft::Input> {
        let Identity { member, .. } = self.identity;
        let is_outlived = self.replicated.sessions.has_life_after(member, self.raft.boot());
        (is_outlived && !self.raft.is_stopped()).then_some(raft::Input::Forgotten)
    }

    /// Applies what is in the log alone.
    fn apply_stored(
        &mut self,
        first: LogIndex,
        last: LogIndex,
        outputs: &mut Vec<Output>,
    ) -> Option<raft::Input> {
        let mut next = first;
        while next <= last {
            let entries = match self.wal.entries(next, last, APPLIED_BYTES) {
                Ok(entries) if !entries.is_empty() => entries,
                Ok(_) => {
                    let what = "the log has not got what it is said to have";
                    return self.fail(WalError::damaged(self.disk.path(""), 0_u64, what), outputs);
                }
                Err(error) => return self.fail(error, outputs),
            };
            next = LogIndex::new(next.get() + entries.len() as u64);
            if let Some(input) = self.apply(entries, outputs) {
                return Some(input);
            }
        }
        None
    }

    /// Steps the core and carries out what follows, until nothing does.
    pub(super) fn step_raft(&mut self, now: Timestamp, input: raft::Input, outputs: &mut Vec<Output>) {
        let mut asked = std::mem::take(&mut self.raft_outputs);
        self.raft.step(now, input, &mut asked);
        let mut next = 0;
        while next < asked.len() {
            let output = std::mem::replace(&mut asked[next], raft::Output::Apply(Vec::new()));
            if let Some(input) = self.carry_out(output, outputs) {
                self.raft.step(now, input, &mut asked);
            }
            next += 1;
        }
        asked.clear();
        self.raft_outputs = asked;
    }

    /// Carries out one thing that the core asks for; gives what is to be told to the core at once.
    fn carry_out(&mut self, output: raft::Output, outputs: &mut Vec<Output>) -> Option<raft::Input> {
        use raft::Output as Asked;
        match output {
            // The core goes on as if what it asked for had been done. It was not, so the tree may be behind what the
            // core believes it to be.
            Asked::Apply(_) | Asked::ApplyStored { .. } | Asked::Install { .. } if self.failure.is_some() => {
            }
            Asked::ReadReady { token } if self.failure.is_some() => {
                answer(Some(token), Answer::Refused(raft::Refusal::Stopped), outputs);
            }
            Asked::Persist { sequence, write } => return self.persist(sequence, &write, outputs),
            Asked::Send { envelope, after } => {
                let free = match after {
                    None => Some(envelope),
                    Some(sequence) => self.writes.gate(sequence, envelope),
                };
                outputs.extend(free.map(Output::Send));
            }
            Asked::Apply(entries) => {
                return self.apply(entries, outputs).or_else(|| self.notice_later_life());
            }
            Asked::ApplyStored { first, last } => {
                return self.apply_stored(first, last, outputs).or_else(|| self.notice_later_life());
            }
            Asked::Refuse { commands, reason } => {
                let mut refused: Vec<_> = commands.iter().map(|_| self.proposals.take_newest()).collect();
                // Told in the order in which they were proposed: whoever tries again keeps it.
                refused.reverse();
                refused.into_iter().for_each(|token| answer(token, Answer::Refused(reason), outputs));
            }
            Asked::ReadReady { token } => answer(Some(token), Answer::Readable, outputs),
            Asked::ReadRefused { token, reason } => answer(Some(token), Answer::Refused(reason), outputs),
            Asked::Answer { token, result } => answer(Some(token), Answer::Told(result), outputs),
            Asked::Load { member, first, last, bytes } => {
                return match self.wal.entries(first, last, bytes) {
                    Ok(entries) => Some(raft::Input::Loaded { member, entries }),
                    Err(error) if error.is_damage() => self.fail(error, outputs),
                    // A log that cannot be read now may be later; the core asks again.
                    Err(_) => Some(raft::Input::Loaded { member, entries: Vec::new() }),
                };
            }
            Asked::SendChunk { member, term, snapshot, offset, bytes } => {
                return self.send_chunk(member, term, snapshot, (offset, bytes), outputs);
            }
            Asked::StoreChunk { snapshot, offset, bytes, is_last } => {
                return self.store_chunk(snapshot, offset, &bytes, is_last, outputs);
            }
            Asked::Install { snapshot } => {
                self.install(snapshot, outputs);
                return self.notice_later_life();
            }
            Asked::Stopped(stop) => {
                for token in self.proposals.take_all() {
                    answer(Some(token), Answer::Unknown, outputs);
                }
                self.refuse_held(outputs);
                outputs.push(Output::Stopped(stop));
            }
            Asked::Fault { member, what } => outputs.push(Output::Fault { member, what }),
        }
        None
    }
}

pub(super) fn answer(token: Option<u64>, answer: Answer, outputs: &mut Vec<Output>) {
    outputs.extend(token.map(|token| Output::Answer { token, answer }));
}
