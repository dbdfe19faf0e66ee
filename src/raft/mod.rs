//! Raft, pure: what is agreed on, without a clock, a disk, a socket or a thread.
//!
//! ```text
//!   Input ──► step ──► Output, Output, …       the order of the outputs is the contract
//!
//!   Propose ──► Persist{1} ─┐                  the owner writes and syncs, then says so
//!   Persisted{1} ───────────┴──► Apply         durable on a majority: committed
//! ```
//! This is the first slice of the protocol (Ongaro and Ousterhout, "In Search of an Understandable Consensus
//! Algorithm", 2014): everything that a cluster of one does. Its single voter is its own majority; elections,
//! votes, write-sets and commitment are the real ones, so that what comes with peers adds inputs and outputs
//! and reroutes nothing.
//!
//! Invariants, asserted after each step:
//! - `applied <= committed <= durable <= last`; terms and log time never decrease along the log.
//! - Nobody leads on a vote that is not durable, and nothing is committed that is not durable on a majority.
//! - A leader commits by counting only what its own term added; what came before is committed along with it.

mod interface;
mod membership;
mod message;
mod quorum;
mod settings;

use std::collections::VecDeque;
use std::sync::Arc;

pub use interface::{Input, Known, Output, Refusal, Role, Stop};
pub use membership::Change;
pub use message::{AppendOutcome, Command, Denied, Envelope, Granted, Message, Request};
pub use settings::{BadSetting, Lease, Settings};

use crate::entry::{Config, Entry, EntryId, HardState, Payload, WriteSet};
use crate::types::{BootId, LogIndex, MemberId, Timestamp};

/// The core of one member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Raft {
    id: MemberId,
    config: Config,
    hard_state: HardState,
    role: Role,
    /// Entries that are not applied, with consecutive positions that end at `last`.
    tail: VecDeque<Entry>,
    last: EntryId,
    /// Log time of the last entry.
    time: Timestamp,
    /// The first entry of this leader's term: counting starts here.
    term_start: LogIndex,
    /// Write-sets that are not durable, oldest first.
    writes: VecDeque<Write>,
    next_sequence: u64,
    /// The last entry that is durable here.
    durable: LogIndex,
    committed: LogIndex,
    applied: EntryId,
}

/// A write-set under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Write {
    sequence: u64,
    /// The last entry of the log once it is durable.
    last: LogIndex,
    hard_state: HardState,
}

impl Raft {
    /// The core of member `id`, a follower. What `known` says is durable; `seed` is drawn at random, so that
    /// members do not wait alike.
    #[must_use]
    pub fn new(id: MemberId, _settings: Settings, known: Known, seed: u64) -> Self {
        let config = known.config();
        let Known { mut hard_state, last, time, applied, .. } = known;
        hard_state.boot = BootId::new(hard_state.boot.get().saturating_add(1 + (seed >> 32)));
        assert!(applied <= last, "a tree cannot be ahead of its log");
        Self {
            id,
            config,
            hard_state,
            role: Role::Follower,
            tail: VecDeque::new(),
            last,
            time,
            term_start: last.index.next(),
            writes: VecDeque::new(),
            next_sequence: 1,
            durable: last.index,
            committed: applied.index,
            applied,
        }
    }

    /// What this member does now.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The term and whom this member voted for.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// Who the members are.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Who leads in this term, as far as is known here.
    #[must_use]
    pub fn leader(&self) -> Option<MemberId> {
        (self.role == Role::Leader).then_some(self.id)
    }

    /// The life of this member: greater than all before. It counts once the first write-set is durable.
    #[must_use]
    pub fn boot(&self) -> BootId {
        self.hard_state.boot
    }

    /// The last entry of the log.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.last
    }

    /// How far the log is known to be committed.
    #[must_use]
    pub fn committed(&self) -> LogIndex {
        self.committed
    }

    /// What an entry would be stamped with that is made at `now`: to be compared with deadlines.
    #[must_use]
    pub fn log_time(&self, now: Timestamp) -> Timestamp {
        self.time.max(now)
    }

    /// Up to which position the owner may cut the log once a snapshot covers it, if nobody is to be sent that snapshot
    /// for the sake of it. It may cut more where the log grows too large.
    #[must_use]
    pub fn releasable(&self) -> LogIndex {
        self.applied.index
    }

    /// The newest entry handed out to apply.
    #[must_use]
    pub fn applied(&self) -> EntryId {
        self.applied
    }

    /// Advances the protocol by one input, adding what follows from it to `outputs`. `now` is log time, for the
    /// entries that this step makes.
    pub fn step(&mut self, now: Timestamp, input: Input, outputs: &mut Vec<Output>) {
        match input {
            Input::Campaign => self.campaign(outputs),
            Input::Propose(commands) => self.propose(now, commands, outputs),
            Input::Persisted(sequence) => self.persisted(now, sequence, outputs),
            Input::PersistFailed => self.role = Role::Follower,
            // Peers are still to come.
            _ => {}
        }
        self.check_invariants();
    }

    fn campaign(&mut self, outputs: &mut Vec<Output>) {
        if self.role != Role::Follower || !self.config.voters.contains(&self.id) {
            return;
        }
        self.role = Role::Candidate;
        self.hard_state =
            HardState { term: self.hard_state.term.next(), vote: Some(self.id), ..self.hard_state };
        self.persist(WriteSet { hard_state: Some(self.hard_state), ..WriteSet::default() }, outputs);
    }

    /// Takes office: the first entry of the term commits, with itself, all that earlier terms left behind. A log
    /// that is still empty begins with who the members are.
    fn lead(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        self.role = Role::Leader;
        self.term_start = self.last.index.next();
        let config = self.config.clone();
        let first = self.last.index == LogIndex::default();
        self.append(now, [if first { Payload::Config(config) } else { Payload::Noop }].into_iter(), outputs);
    }

    fn propose(&mut self, now: Timestamp, commands: Vec<Arc<[u8]>>, outputs: &mut Vec<Output>) {
        match self.role {
            Role::Leader => self.append(now, commands.into_iter().map(Payload::Command), outputs),
            _ => outputs.push(Output::Refuse { commands, reason: Refusal::Stopped }),
        }
    }

    fn append(
        &mut self,
        now: Timestamp,
        payloads: impl ExactSizeIterator<Item = Payload>,
        outputs: &mut Vec<Output>,
    ) {
        self.time = self.time.max(now);
        let mut entries = Vec::with_capacity(payloads.len());
        for payload in payloads {
            self.last = EntryId { term: self.hard_state.term, index: self.last.index.next() };
            entries.push(Entry { id: self.last, time: self.time, session: None, payload });
        }
        self.tail.extend(entries.iter().cloned());
        self.persist(WriteSet { entries, ..WriteSet::default() }, outputs);
    }

    fn persist(&mut self, write: WriteSet, outputs: &mut Vec<Output>) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.writes.push_back(Write { sequence, last: self.last.index, hard_state: self.hard_state });
        outputs.push(Output::Persist { sequence, write });
    }

    fn persisted(&mut self, now: Timestamp, sequence: u64, outputs: &mut Vec<Output>) {
        while let Some(write) = self.writes.front().filter(|write| write.sequence <= sequence).cloned() {
            self.writes.pop_front();
            self.durable = write.last;
            let voted = write.hard_state == self.hard_state && self.hard_state.vote == Some(self.id);
            if self.role == Role::Candidate && voted && quorum::is_majority(&self.config, [self.id]) {
                self.lead(now, outputs);
            }
        }
        if self.role == Role::Leader {
            self.commit(outputs);
        }
    }

    fn commit(&mut self, outputs: &mut Vec<Output>) {
        let agreed = quorum::committed(&self.config, |member| {
            if member == self.id { self.durable } else { LogIndex::default() }
        });
        if agreed <= self.committed || agreed < self.term_start {
            return;
        }
        self.committed = agreed;
        let count = self.tail.iter().take_while(|entry| entry.id.index <= agreed).count();
        let entries: Vec<Entry> = self.tail.drain(..count).collect();
        self.applied = entries.last().map_or(self.applied, |entry| entry.id);
        outputs.push(Output::Apply(entries));
    }

    fn check_invariants(&self) {
        assert!(self.applied.index <= self.committed, "applied what is not committed");
        assert!(self.committed <= self.durable, "committed what is not durable here");
        assert!(self.durable <= self.last.index, "durable past the end of the log");
        debug_assert!(self.tail.back().is_none_or(|entry| entry.id == self.last));
        debug_assert!(self.tail.front().is_none_or(|entry| entry.id.index == self.applied.index.next()));
        debug_assert!(self.tail.iter().is_sorted_by_key(|entry| (entry.id, entry.time)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Term;

    const ME: MemberId = MemberId::new(1);

    fn alone(known: Known) -> Raft {
        Raft::new(ME, Settings::default(), known, 1)
    }

    fn founder() -> Known {
        Known::founder(Config::alone(ME))
    }

    fn step(raft: &mut Raft, now: u64, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        raft.step(Timestamp::new(now), input, &mut outputs);
        outputs
    }

    fn leader() -> Raft {
        let mut raft = alone(founder());
        step(&mut raft, 10, Input::Campaign);
        step(&mut raft, 10, Input::Persisted(1));
        step(&mut raft, 10, Input::Persisted(2));
        assert_eq!(raft.role(), Role::Leader);
        raft
    }

    fn command(text: &str) -> Arc<[u8]> {
        text.as_bytes().into()
    }

    #[test]
    fn leads_only_once_its_own_vote_is_durable() {
        let mut raft = alone(founder());
        let outputs = step(&mut raft, 10, Input::Campaign);
        let hard_state = HardState { term: Term::new(1), vote: Some(ME), boot: BootId::new(1) };
        let write = WriteSet { hard_state: Some(hard_state), ..WriteSet::default() };
        assert_eq!(outputs, [Output::Persist { sequence: 1, write }]);
        assert_eq!(raft.role(), Role::Candidate);
        let refused = step(&mut raft, 10, Input::Propose(vec![command("a")]));
        assert_eq!(refused, [Output::Refuse { commands: vec![command("a")], reason: Refusal::Stopped }]);
        step(&mut raft, 10, Input::Persisted(1));
        assert_eq!(raft.role(), Role::Leader);
    }

    #[test]
    fn a_new_log_begins_with_the_members() {
        let mut raft = alone(founder());
        step(&mut raft, 10, Input::Campaign);
        let outputs = step(&mut raft, 10, Input::Persisted(1));
        let [Output::Persist { write, .. }] = &outputs[..] else { panic!("{outputs:?}") };
        assert!(matches!(&write.entries[..], [Entry { payload: Payload::Config(_), .. }]));
    }

    #[test]
    fn commits_what_is_durable_and_no_more() {
        let mut raft = leader();
        assert!(matches!(
            step(&mut raft, 20, Input::Propose(vec![command("a")]))[..],
            [Output::Persist { sequence: 3, .. }]
        ));
        step(&mut raft, 21, Input::Propose(vec![command("b"), command("c")]));
        let outputs = step(&mut raft, 22, Input::Persisted(3));
        let [Output::Apply(entries)] = &outputs[..] else { panic!("{outputs:?}") };
        assert_eq!(
            entries.iter().map(|entry| &entry.payload).collect::<Vec<_>>(),
            [&Payload::Command(command("a"))]
        );
        let outputs = step(&mut raft, 23, Input::Persisted(4));
        let [Output::Apply(entries)] = &outputs[..] else { panic!("{outputs:?}") };
        assert_eq!(entries.len(), 2);
        assert_eq!(raft.applied().index, LogIndex::new(4));
    }

    #[test]
    fn log_time_never_goes_back() {
        let mut raft = leader();
        step(&mut raft, 50, Input::Propose(vec![command("a")]));
        let outputs = step(&mut raft, 40, Input::Propose(vec![command("b")]));
        let [Output::Persist { write, .. }] = &outputs[..] else { panic!("{outputs:?}") };
        assert_eq!(write.entries[0].time, Timestamp::new(50));
    }

    #[test]
    fn what_earlier_terms_left_is_committed_with_the_first_entry_of_the_new_one() {
        let last = EntryId { term: Term::new(3), index: LogIndex::new(7) };
        let mut known = Known::restored(last, Timestamp::default(), Config::alone(ME));
        known.hard_state.term = Term::new(3);
        let mut raft = alone(known);
        step(&mut raft, 10, Input::Campaign);
        let outputs = step(&mut raft, 10, Input::Persisted(1));
        let [Output::Persist { write, .. }] = &outputs[..] else { panic!("{outputs:?}") };
        assert_eq!(write.entries[0].id, EntryId { term: Term::new(4), index: LogIndex::new(8) });
        assert_eq!(write.entries[0].payload, Payload::Noop);
    }

    #[test]
    fn a_failed_disk_ends_the_reign() {
        let mut raft = leader();
        step(&mut raft, 20, Input::Propose(vec![command("a")]));
        assert_eq!(step(&mut raft, 20, Input::PersistFailed), []);
        let refused = step(&mut raft, 20, Input::Propose(vec![command("b")]));
        assert_eq!(refused, [Output::Refuse { commands: vec![command("b")], reason: Refusal::Stopped }]);
    }

    #[test]
    fn a_majority_is_not_reached_alone_among_three() {
        let voters = [1, 2, 3].map(MemberId::new).into();
        let mut raft = alone(Known::founder(Config { voters, ..Config::default() }));
        step(&mut raft, 10, Input::Campaign);
        assert_eq!(step(&mut raft, 10, Input::Persisted(1)), []);
        assert_eq!(raft.role(), Role::Candidate);
    }
}
