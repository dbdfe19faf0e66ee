//! Raft, pure: what is agreed on, without a clock, a disk, a socket or a thread.
//!
//! ```text
//!   Input ──► step ──► Output, Output, …       the order of the outputs is the contract: see `interface`
//!
//!   leader     Propose ──► Send(Append) ──────────────────────────┐
//!                    └───► Persist{7} ··· Persisted{7} ──► commit ─┴─► Apply ··· Flush ──► Send(Committed)
//!   follower   Receive(Append) ──► Persist{4}, Send{AppendAnswer, after: 4} ··· ──► Apply
//!
//!                ┌────────── nobody would elect it, or a leader is heard ─────────┐
//!                ▼                                                                │
//!            Follower ── no word from a leader ──► PreCandidate ── a majority ──► Candidate ── a majority ──► Leader
//!                ▲                                                 would elect it              has voted         │
//!                └──────── a newer term, or a majority is not heard from, or the disk stalls or fails ───────────┘
//! ```
//! The protocol is Raft (Ongaro, "Consensus: Bridging Theory and Practice", 2014) with pre-votes, a leader that
//! steps down when it does not hear from a majority, joint configurations, learners, leadership transfer, and
//! reads that a round of heartbeats confirms. Time is counted in ticks; chance comes from a generator that the
//! core owns; maps are ordered. So a core is a value: cloned, compared and hashed, it can be played again and
//! explored exhaustively.
//!
//! # Rules that everything else relies on
//!
//! - **Durable first.** Nobody sends for a vote, gives one, says that it has entries, or answers a leader in a new term,
//!   before all that this relies on is durable ([`Output::Send`]'s `after`). A leader counts itself only for what is
//!   durable with it.
//! - **One majority meets the next.** Whatever is agreed on needs a majority of the voters and, while they are being
//!   changed, of the old voters too (`quorum`). A configuration is in force from when it is appended, and undone when it is
//!   truncated; at most one is not committed.
//! - **Only the own term commits.** A leader commits by counting only what its own term added; what came before is
//!   committed along with it.
//! - **No conflict, no truncation.** A follower drops entries only where the leader has others, and never committed ones.
//! - **Answers count in their term only**, and reads only in rounds that the leader numbered after they were asked.
//!
//! Invariants, asserted after each step (`invariants` has all of them, and what asserts each):
//! - `before <= applied <= committed <= last`, `applied <= durable` beyond the snapshot, `durable <= last`.
//! - Nobody leads on a vote that is not durable, and what a leader commits is durable on a majority.
//! - Terms never decrease along the log, nor does the log time that a leader gives; term, committed and applied never
//!   decrease at all.
//!
//! # The files
//!
//! | file | what it is about |
//! | --- | --- |
//! | `interface`, `message`, `settings` | the words: what goes in, comes out, goes to peers, can be set |
//! | `election` | standing, voting, winning; who may disturb whom |
//! | `leader` | taking office, the leader's ticks, stepping down |
//! | `replication`, `progress` | sending entries and counting answers |
//! | `follower` | taking entries |
//! | `commit` | from durable to committed to applied |
//! | `proposals`, `reads`, `requests` | what callers want: commands, reads, changes and transfers |
//! | `doubt` | a founder that has nothing: whether it may take part |
//! | `membership`, `configs` | who the members are; what a change makes of it |
//! | `transfer`, `snapshots` | handing over; bringing a member up that is too far behind |
//! | `log`, `writes`, `quorum`, `random` | the parts: pure, small, tested by themselves |

mod commit;
mod configs;
mod doubt;
mod election;
mod follower;
mod interface;
mod invariants;
mod leader;
mod log;
mod membership;
mod message;
mod progress;
mod proposals;
mod quorum;
mod random;
mod reads;
mod replication;
mod requests;
mod settings;
mod snapshots;
mod transfer;
mod writes;

#[cfg(test)]
mod tests;

pub use commit::is_founder;
use configs::Configs;
use doubt::Inquiry;
pub use doubt::Witness;
use election::Election;
pub use interface::{Input, Known, Output, Refusal, Role, Stop};
use leader::Leader;
use log::Log;
pub use membership::Change;
pub use message::{AppendOutcome, Command, Denied, Envelope, Granted, Message, Request};
use proposals::Proposals;
use random::Random;
use reads::Reads;
use requests::Requests;
pub use settings::{BadSetting, Lease, Settings};
use snapshots::Receiving;
use writes::Writes;

use crate::entry::{Config, EntryId, HardState, WriteSet};
use crate::types::{BootId, LogIndex, MemberId, Term, Timestamp};

/// No counter that was counted up from 0 gets here: whoever says so is not to be believed.
const FAR: u64 = u64::MAX / 2;

/// By so much at most the number of a life is greater than that of the one before. Owners that count the first from the nanoseconds of a
/// clock have those of a lost disk behind them after a millisecond for each.
const LIFE_STEP_MAX: u32 = 1 << 20;

/// The core of one member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Raft {
    id: MemberId,
    settings: Settings,
    random: Random,
    hard_state: HardState,
    /// The hard state has changed since it was last written.
    is_unwritten: bool,
    /// The write-set that it was last written with.
    hard_state_write: u64,
    log: Log,
    writes: Writes,
    /// `applied <= committed <= last`.
    committed: LogIndex,
    applied: EntryId,
    /// What the newest snapshot of this member covers; `<= applied`.
    saved: EntryId,
    configs: Configs,
    state: State,
    /// Who leads in this term, as far as is known here.
    leader: Option<MemberId>,
    election: Election,
    proposals: Proposals,
    reads: Reads,
    requests: Requests,
    receiving: Option<Receiving>,
    /// While it takes no part yet: see `doubt`.
    inquiry: Option<Inquiry>,
    /// It takes no part any more.
    is_stopped: bool,
}

/// What a member does in its term, and what it must know for that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    Follower,
    PreCandidate(election::Votes),
    Candidate {
        votes: election::Votes,
        /// The write-set with the candidate's own vote.
        write: u64,
    },
    Leader(Box<Leader>),
}

/// Sends in the name of a member, as of its term.
#[derive(Clone, Copy)]
struct Pen {
    from: MemberId,
    term: Term,
}

impl Pen {
    /// Sends `message` at once.
    fn send(self, to: MemberId, message: Message, outputs: &mut Vec<Output>) {
        self.send_after(None, to, message, outputs);
    }

    fn send_after(self, after: Option<u64>, to: MemberId, message: Message, outputs: &mut Vec<Output>) {
        let envelope = Envelope { from: self.from, to, term: self.term, message };
        outputs.push(Output::Send { envelope, after });
    }
}

impl Raft {
    /// The core of member `id`, a follower. What `known` says is durable. `seed` is drawn at random, so that members
    /// do not all wait alike, and so that a life does not get the number of another even if the disk was put back.
    ///
    /// # Panics
    ///
    /// When `known` or `settings` contradict themselves: see [`Settings::check`].
    #[must_use]
    pub fn new(id: MemberId, settings: Settings, known: Known, seed: u64) -> Self {
        settings.check().expect("settings are checked where they are made");
        let inquiry = known.is_in_doubt(id).then(|| Inquiry::new(&known.config(), id));
        let Known { mut hard_state, applied, committed, before, terms, configs, last, time, .. } = known;
        assert!(before.index <= applied.index && applied.index <= last.index, "a tree is within its log");
        let mut random = Random::new(seed);
        // A random step: a member whose disk was put back from an old copy hardly ever gets the number of a life that
        // others have heard from.
        let step = 1 + u64::from(random.between(0, LIFE_STEP_MAX - 1));
        hard_state.boot = BootId::new(hard_state.boot.get().saturating_add(step));
        let mut configs = Configs::new(configs);
        let committed = committed.max(applied.index).min(last.index);
        configs.settle(committed);
        Self {
            id,
            election: Election::new(&settings, &mut random, hard_state.term),
            settings,
            random,
            hard_state,
            is_unwritten: true,
            hard_state_write: 0,
            log: Log::new(before, terms, last, time),
            writes: Writes::new(last.index),
            committed,
            applied,
            saved: before,
            configs,
            state: State::Follower,
            leader: None,
            proposals: Proposals::new(hard_state.boot),
            reads: Reads::default(),
            requests: Requests::default(),
            receiving: None,
            inquiry,
            // A member that has lost what it said was durable must neither vote nor count.
            is_stopped: false,
        }
    }

    /// Advances the protocol by one input, adding what follows from it to `outputs`. `now` is the owner's clock: see
    /// the owner's duties in `interface`.
    pub fn step(&mut self, now: Timestamp, input: Input, outputs: &mut Vec<Output>) {
        let before = cfg!(debug_assertions).then(|| (self.before_step(), outputs.len()));
        match input {
            Input::Tick => self.tick(now, outputs),
            Input::Campaign => self.stand_unasked(outputs),
            Input::Receive(envelope) => self.receive(now, envelope, outputs),
            Input::Connected(member) => self.connected(member, outputs),
            Input::Disconnected(member) => self.disconnected(member),
            Input::Propose(commands) => self.propose(now, commands, outputs),
            Input::Read { token } => self.read(token, outputs),
            Input::Ask { token, request } => self.ask(now, token, request, outputs),
            Input::Persisted(sequence) => self.persisted(now, sequence, outputs),
            Input::PersistFailed => self.stop(None, outputs),
            Input::Heard(answers) => self.hear_witnesses(answers, outputs),
            Input::Forgotten => self.stop(Some(Stop::LostData), outputs),
            Input::Loaded { member, entries } => self.loaded(now, member, entries, outputs),
            Input::Backlog(bytes) => self.proposals.backlog = bytes,
            Input::Flush => self.tell_commit(now, outputs),
            Input::Saved(snapshot) => self.snapshot_saved(snapshot, outputs),
            Input::Released(upto) => self.log.release(upto.min(self.saved.index)),
            Input::ChunkFailed { member } => self.chunk_failed(member, outputs),
            Input::ChunkStored { snapshot, offset } => self.chunk_stored(snapshot, offset, outputs),
            Input::SnapshotStored { snapshot, config, time, settled } => {
                self.snapshot_stored(snapshot, config, time, settled, outputs);
            }
        }
        self.serve_callers(now, outputs);
        self.write_hard_state(outputs);
        self.check_invariants();
        if let Some((before, first)) = before {
            before.check(self, &outputs[first..]);
        }
    }

    fn receive(&mut self, now: Timestamp, envelope: Envelope, outputs: &mut Vec<Output>) {
        let Envelope { from, to, term, message } = envelope;
        if self.is_stopped {
            return;
        }
        if let Err(what) = self.check_envelope(from, to, term, &message) {
            return outputs.push(Output::Fault { member: from, what });
        }
        if self.is_in_doubt() {
            return self.overhear(from, term, outputs);
        }
        // Who is behind may be asked whether it would vote, and answers as of its own term; and a member that was removed
        // is so in every term.
        let is_answer_from_behind =
            matches!(message, Message::PreVoteAnswer { .. } | Message::Removed { .. });
        if term < self.hard_state.term && !is_answer_from_behind {
            return self.answer_from_newer_term(from, message, outputs);
        }
        if term > self.hard_state.term && !self.follow_newer_term(from, term, &message) {
            return;
        }
        // The terms agree now, or it is a question that does not depend on them.
        match message {
            Message::PreVote { term, last } => self.answer_pre_vote(from, term, last, outputs),
            Message::PreVoteAnswer { term, granted } => self.count_pre_vote(from, term, granted, outputs),
            Message::Vote { boot, last, is_transfer } => {
                self.answer_vote(from, boot, last, is_transfer, outputs);
            }
            Message::VoteAnswer { boot, granted } => self.count_vote(now, from, boot, granted, outputs),
            Message::Append { prev, entries, committed, matched, round, clock } => {
                if self.follow_leader(from, outputs) {
                    let echo = follower::Echo { round, promised: self.promise(clock) };
                    self.take_entries(from, prev, entries, committed, matched, echo, outputs);
                }
            }
            Message::AppendAnswer { outcome, round, promised, room } => {
                let echo = follower::Echo { round, promised };
                self.count_append(now, from, outcome, echo, room, outputs);
            }
            Message::Forward { boot, first, settled, commands } => {
                self.take_forwarded(now, from, boot, first, settled, commands, outputs);
            }
            Message::ForwardAnswer { boot, next } => self.forward_again(from, boot, next),
            Message::ReadIndex { boot, number } => self.read_for(from, boot, number),
            Message::ReadIndexAnswer { boot, number, index } => {
                self.read_confirmed(from, boot, number, index, outputs);
            }
            Message::SnapshotOffer { snapshot } => {
                if self.follow_leader(from, outputs) {
                    self.consider_snapshot(from, snapshot, outputs);
                }
            }
            Message::SnapshotRequest { snapshot, offset } => {
                self.send_chunk(from, snapshot, offset, outputs);
            }
            Message::SnapshotChunk { snapshot, offset, bytes, is_last } => {
                if self.follow_leader(from, outputs) {
                    self.take_chunk(snapshot, offset, bytes, is_last, outputs);
                }
            }
            Message::TimeoutNow { last } => {
                if self.follow_leader(from, outputs) {
                    self.take_over(last, outputs);
                }
            }
            Message::Ask { token, request } => self.ask_for(now, from, token, request, outputs),
            Message::Answer { token, result } => self.answered(from, token, result, outputs),
            Message::Removed { committed } => self.told_of_removal(committed, outputs),
            Message::Committed { upto } => {
                if self.follow_leader(from, outputs) {
                    self.learn_commit(upto, outputs);
                }
            }
        }
    }

    /// Whether a message can come from a member that follows the protocol, as far as that can be told from itself.
    fn check_envelope(
        &self,
        from: MemberId,
        to: MemberId,
        term: Term,
        message: &Message,
    ) -> Result<(), &'static str> {
        if to != self.id || from == self.id {
            return Err("it is not for this member");
        }
        if term.get() > FAR {
            return Err("nobody can have reached this term");
        }
        match message {
            Message::Append { prev, entries, .. } => follower::check_entries(*prev, entries, term),
            Message::Committed { upto } => follower::check_entries(*upto, &[], term),
            Message::PreVote { term, .. } if term.get() > FAR => Err("nobody can have reached this term"),
            Message::Forward { first, .. } if *first == 0 || *first > FAR => Err("proposals count from 1"),
            Message::SnapshotOffer { snapshot } | Message::SnapshotChunk { snapshot, .. }
                if snapshot.index.get() > FAR || snapshot.term > term =>
            {
                Err("there can be no such snapshot in this term")
            }
            Message::SnapshotChunk { offset, .. } if *offset > FAR => Err("no snapshot is as long"),
            _ => Ok(()),
        }
    }

    /// Follows a message from a newer term, if it is a reason to; returns whether to go on with it.
    fn follow_newer_term(&mut self, from: MemberId, term: Term, message: &Message) -> bool {
        match message {
            // Asking does not begin a term.
            Message::PreVote { .. } => return true,
            // Whoever hears from a leader, or may have promised to one before it was restarted, disturbs it for nobody.
            Message::Vote { is_transfer: false, .. } if self.is_loyal() => return false,
            Message::Append { .. }
            | Message::Committed { .. }
            | Message::SnapshotOffer { .. }
            | Message::SnapshotChunk { .. }
            | Message::TimeoutNow { .. } => self.become_follower(term, Some(from)),
            _ => self.become_follower(term, None),
        }
        true
    }

    /// Tells whoever is behind what term it is. So a leader that was replaced steps down, and a candidate catches up.
    fn answer_from_newer_term(&self, from: MemberId, message: Message, outputs: &mut Vec<Output>) {
        let answer = match message {
            Message::PreVote { term, .. } => Message::PreVoteAnswer { term, granted: false },
            Message::Vote { boot, .. } => Message::VoteAnswer { boot, granted: false },
            Message::Append { .. } | Message::SnapshotOffer { .. } | Message::SnapshotChunk { .. } => {
                follower::refusal(LogIndex::default(), EntryId::default(), follower::Echo::default(), 0)
            }
            _ => return,
        };
        self.pen().send(from, answer, outputs);
    }

    /// Becomes a follower of `leader`, if known, in this term or a newer one.
    fn become_follower(&mut self, term: Term, leader: Option<MemberId>) {
        debug_assert!(term >= self.hard_state.term);
        if term > self.hard_state.term {
            self.hard_state = HardState { term, vote: None, ..self.hard_state };
            self.is_unwritten = true;
        }
        if !matches!(self.state, State::Follower) {
            self.leave_office();
            self.state = State::Follower;
        }
        if self.leader != leader {
            self.leader = leader;
            self.proposals.begin_again();
            self.reads.begin_again();
        }
        self.election.restart(&self.settings, &mut self.random);
    }

    fn persisted(&mut self, now: Timestamp, sequence: u64, outputs: &mut Vec<Output>) {
        if !self.writes.confirm(sequence) {
            return;
        }
        self.take_part();
        self.count_own_vote(now, outputs);
        if let State::Leader(_) = self.state {
            self.count_commit(now, outputs);
        }
        self.hand_out(outputs);
    }

    /// Adds `write` to the log's write-sets, the hard state along with it if it has changed.
    fn persist(&mut self, mut write: WriteSet, outputs: &mut Vec<Output>) -> u64 {
        let has_hard_state = std::mem::take(&mut self.is_unwritten);
        if has_hard_state {
            write.hard_state = Some(self.hard_state);
        }
        if !self.configs.current().is_alone(self.id) {
            write.committed = self.committed;
        }
        let sequence = self.writes.push(write.truncate_from, self.log.last().index);
        if has_hard_state {
            self.hard_state_write = sequence;
        }
        outputs.push(Output::Persist { sequence, write });
        sequence
    }

    fn write_hard_state(&mut self, outputs: &mut Vec<Output>) {
        if self.is_unwritten && !self.is_stopped {
            self.persist(WriteSet::default(), outputs);
        }
    }

    /// Sends `message` once everything that this member has decided so far is durable.
    fn send_when_durable(&mut self, to: MemberId, message: Message, outputs: &mut Vec<Output>) {
        self.write_hard_state(outputs);
        self.pen().send_after(self.writes.newest(), to, message, outputs);
    }

    /// Whether term and vote are durable as they are.
    fn is_hard_state_durable(&self) -> bool {
        !self.is_unwritten && self.writes.is_durable(self.hard_state_write)
    }

    fn pen(&self) -> Pen {
        Pen { from: self.id, term: self.hard_state.term }
    }

    /// Takes no part any more: leads no more, votes for nobody, answers nobody.
    fn stop(&mut self, why: Option<Stop>, outputs: &mut Vec<Output>) {
        if self.is_stopped {
            return;
        }
        self.is_stopped = true;
        self.leave_office();
        self.state = State::Follower;
        self.leader = None;
        self.receiving = None;
        self.inquiry = None;
        outputs.extend(why.map(Output::Stopped));
        self.refuse_all(outputs);
    }

    /// Whether the number of this life is durable: before that, nobody else may hear of it. The first write-set
    /// has it.
    fn is_booted(&self) -> bool {
        self.writes.is_durable(1)
    }

    /// What this member does now.
    #[must_use]
    pub fn role(&self) -> Role {
        match self.state {
            State::Follower => Role::Follower,
            State::PreCandidate(_) => Role::PreCandidate,
            State::Candidate { .. } => Role::Candidate,
            State::Leader(_) => Role::Leader,
        }
    }

    /// Who this is.
    #[must_use]
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// Who leads in this term, as far as is known here.
    #[must_use]
    pub fn leader(&self) -> Option<MemberId> {
        self.leader
    }

    /// The term, whom this member voted for in it, and which of its lives this is.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// The life of this member: greater than all before. Others hear of it once the first write-set is durable.
    #[must_use]
    pub fn boot(&self) -> BootId {
        self.hard_state.boot
    }

    /// Who the members are, as the newest configuration says, committed or not: those to be connected with.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.configs.current()
    }

    /// Since which position that configuration is in force: what [`Request::Change`] may expect.
    #[must_use]
    pub fn config_index(&self) -> LogIndex {
        self.configs.index()
    }

    /// The configuration as of the newest applied entry: what a snapshot is to hold.
    #[must_use]
    pub fn applied_config(&self) -> &Config {
        self.configs.settled(self.applied.index).1
    }

    /// The last entry of the log.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.log.last()
    }

    /// Up to where the log is durable here.
    #[must_use]
    pub fn durable(&self) -> LogIndex {
        self.writes.durable()
    }

    /// How far the log is known to be committed.
    #[must_use]
    pub fn committed(&self) -> LogIndex {
        self.committed
    }

    /// The newest entry handed out to apply.
    #[must_use]
    pub fn applied(&self) -> EntryId {
        self.applied
    }

    /// Up to where the log of another member is known to be durable; only a leader knows.
    #[must_use]
    pub fn matched(&self, member: MemberId) -> Option<LogIndex> {
        match &self.state {
            State::Leader(leader) => leader.peers.get(&member).map(|progress| progress.matched),
            _ => None,
        }
    }

    /// Whether this member takes no part any more.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// This core as if every timer had just been started, to compare it with another: a search that lets things
    /// happen at any time does not tell apart when they would.
    #[must_use]
    pub fn without_time(&self) -> Self {
        let mut timeless = self.clone();
        timeless.random = Random::new(0);
        timeless.election = Election::new(&self.settings, &mut timeless.random, Term::default());
        timeless.proposals.begin_again();
        timeless
    }

    /// What an entry would be stamped with that is made at `now`: to be compared with deadlines.
    #[must_use]
    pub fn log_time(&self, now: Timestamp) -> Timestamp {
        let ahead = if let State::Leader(leader) = &self.state { leader.clock_ahead_ms } else { 0 };
        self.log.time().max(Timestamp::new(now.get().saturating_add(ahead)))
    }
}
