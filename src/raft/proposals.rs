//! Commands that callers propose: appended by a leader, forwarded to one by everybody else, applied once.
//!
//! A member numbers its proposals and keeps them, in order, until they are applied here. To each new leader it
//! offers them again, from the first that is not. A leader takes those of one member in order only: what is
//! lost on the way makes it wait, not skip. So in every log the proposals of one life of a member stand in
//! order, some perhaps twice.
//!
//! ```text
//!   settled │ waiting: sent … │ not sent …          sent again from `settled` on when the leader changes
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Command, FAR, Message, Output, Raft, Refusal, State};
use crate::entry::{Entry, Payload, Session};
use crate::types::{BootId, MemberId, Timestamp};

/// What a proposal takes in memory besides its command, roughly.
const PROPOSAL_BYTES: u64 = 64;

/// How often at most the time is doubled after which all is sent again.
const REPEATS_MAX: u32 = 3;

/// The proposals of this member's callers that are not applied yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Proposals {
    boot: BootId,
    /// All up to this number are applied.
    settled: u64,
    /// Those that follow, in order.
    waiting: VecDeque<Arc<[u8]>>,
    bytes: u64,
    /// How many of them the present leader was sent.
    sent: usize,
    /// For so many ticks nothing is sent: the leader had no room.
    hold: u32,
    /// Ticks since something was settled or sent.
    idle: u32,
    /// How often all was sent again since something was settled: on a narrow link it is under way for long, and what is sent again
    /// makes that longer.
    repeats: u32,
    /// What the owner has not applied yet, in bytes.
    pub(super) backlog: u64,
}

/// Which proposals of one member a leader has taken in its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Accepted {
    boot: BootId,
    /// The next one.
    next: u64,
}

impl Proposals {
    pub(super) fn new(boot: BootId) -> Self {
        Self {
            boot,
            settled: 0,
            waiting: VecDeque::new(),
            bytes: 0,
            sent: 0,
            hold: 0,
            idle: 0,
            repeats: 0,
            backlog: 0,
        }
    }

    fn add(&mut self, commands: Vec<Arc<[u8]>>) {
        self.bytes += weight(&commands);
        self.waiting.extend(commands);
    }

    /// What was sent may be lost, or not be wanted by another leader: all of it is to be sent again.
    pub(super) fn begin_again(&mut self) {
        self.sent = 0;
        self.hold = 0;
        self.idle = 0;
        self.repeats = 0;
    }

    /// These are applied.
    pub(super) fn settle(&mut self, member: MemberId, entries: &[Entry]) {
        for session in entries.iter().filter_map(|entry| entry.session) {
            if session.member == member && session.boot == self.boot {
                self.settle_upto(session.sequence);
            }
        }
    }

    /// All up to this number are applied.
    pub(super) fn settle_upto(&mut self, sequence: u64) {
        let count = sequence.saturating_sub(self.settled).min(self.waiting.len() as u64) as usize;
        if count > 0 {
            self.bytes -= self.waiting.drain(..count).map(|command| weight(&[command])).sum::<u64>();
            self.sent = self.sent.saturating_sub(count);
            self.settled += count as u64;
            self.idle = 0;
            self.repeats = 0;
        }
    }

    /// A tick has passed. What was sent on its way to a leader may be lost; what `is_leader` has appended is not.
    fn tick(&mut self, patience: u32, is_leader: bool) {
        self.hold = self.hold.saturating_sub(1);
        self.idle = if self.waiting.is_empty() || is_leader { 0 } else { self.idle.saturating_add(1) };
        if self.idle > patience << self.repeats {
            let repeats = REPEATS_MAX.min(self.repeats + 1);
            self.begin_again();
            self.repeats = repeats;
        }
    }

    /// Those that were not sent, up to so many bytes and at least one, and the number of the first.
    fn unsent(&self, bytes: u64) -> (u64, Vec<Arc<[u8]>>) {
        let mut room = bytes;
        let unsent = self.waiting.range(self.sent..).enumerate().take_while(|(nth, command)| {
            let bytes = PROPOSAL_BYTES + command.len() as u64;
            let fits = *nth == 0 || bytes <= room;
            room = room.saturating_sub(bytes);
            fits
        });
        (self.settled + self.sent as u64 + 1, unsent.map(|(_, command)| Arc::clone(command)).collect())
    }

    fn has_unsent(&self) -> bool {
        self.sent < self.waiting.len()
    }

    fn may_send(&self) -> bool {
        self.has_unsent() && self.hold == 0
    }
}

fn weight(commands: &[Arc<[u8]>]) -> u64 {
    commands.iter().map(|command| PROPOSAL_BYTES + command.len() as u64).sum()
}

impl Raft {
    /// Whether what is proposed now gets no number: nobody can take the leadership from this member, so nothing will be
    /// proposed again. What it has numbered before and not appended yet goes first, and what follows that is numbered, too.
    #[must_use]
    pub fn proposes_unnumbered(&self) -> bool {
        matches!(self.state, State::Leader(_))
            && self.configs.current().is_alone(self.id)
            && !self.proposals.has_unsent()
    }

    pub(super) fn propose(&mut self, now: Timestamp, commands: Vec<Arc<[u8]>>, outputs: &mut Vec<Output>) {
        let is_alone = self.configs.current().is_alone(self.id);
        let reason = if self.is_stopped {
            Refusal::Stopped
        } else if is_alone && !matches!(self.state, State::Leader(_)) {
            Refusal::NoLeader
        } else if self.proposes_unnumbered() {
            let payloads = commands.into_iter().map(|command| (None, Payload::Command(command)));
            return self.append(now, payloads, outputs);
        } else if self.proposals.bytes + weight(&commands) > self.settings.uncommitted_bytes
            && !self.proposals.waiting.is_empty()
        {
            Refusal::Busy
        } else {
            // They go out at the end of the step: see `send_proposals`.
            return self.proposals.add(commands);
        };
        outputs.push(Output::Refuse { commands, reason });
    }

    /// Gives the leader what it was not given, when there is one.
    pub(super) fn send_proposals(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        if !self.proposals.may_send() {
            return;
        }
        match (&self.state, self.leader) {
            (State::Leader(_), _) => self.append_own(now, outputs),
            (_, Some(leader)) if self.is_booted() => self.forward(leader, outputs),
            _ => {}
        }
    }

    fn append_own(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        // Others might know of this life by the entries before this member knows that it is durable.
        if !self.takes_proposals() || !self.is_booted() {
            return;
        }
        let (first, commands) = self.proposals.unsent(self.uncommitted_room());
        self.proposals.sent += commands.len();
        let session = self.session_of(self.id, self.proposals.boot);
        let payloads = commands.into_iter().zip(first..);
        let payloads: Vec<_> = payloads.map(|(command, n)| (session(n), Payload::Command(command))).collect();
        self.append(now, payloads.into_iter(), outputs);
    }

    fn forward(&mut self, leader: MemberId, outputs: &mut Vec<Output>) {
        while self.proposals.may_send() {
            let (first, commands) = self.proposals.unsent(self.settings.message_bytes);
            self.proposals.sent += commands.len();
            self.proposals.idle = 0;
            let Proposals { boot, settled, .. } = self.proposals;
            let commands = commands.into_iter().map(Command).collect();
            self.pen().send(leader, Message::Forward { boot, first, settled, commands }, outputs);
        }
    }

    /// A leader takes what a member forwards: in order, and each once in this term.
    #[expect(clippy::too_many_arguments, reason = "they are the message's fields")]
    pub(super) fn take_forwarded(
        &mut self,
        now: Timestamp,
        from: MemberId,
        boot: BootId,
        first: u64,
        settled: u64,
        commands: Vec<Command>,
        outputs: &mut Vec<Output>,
    ) {
        let is_member = self.configs.current().contains(from);
        let State::Leader(leader) = &self.state else { return };
        let accepted = leader.accepted.get(&from).filter(|accepted| accepted.boot >= boot);
        if !is_member || accepted.is_some_and(|accepted| accepted.boot > boot) {
            return;
        }
        let known = accepted.map(|accepted| accepted.next);
        // What it has seen applied is in this log already: taken in this term, or left by an earlier one.
        let next = known.unwrap_or_default().max(settled.min(FAR) + 1);
        if first > next || !self.takes_proposals() {
            return self.pen().send(from, Message::ForwardAnswer { boot, next: known }, outputs);
        }
        let mut room = self.uncommitted_room();
        let is_idle = self.log.bytes_after(self.committed) == 0;
        let session = self.session_of(from, boot);
        let mut taken = Vec::new();
        let mut is_full = false;
        for (Command(command), number) in commands.into_iter().zip(first..).skip_while(|(_, n)| *n < next) {
            let bytes = PROPOSAL_BYTES + command.len() as u64;
            is_full = bytes > room && !(is_idle && taken.is_empty());
            if is_full {
                break;
            }
            room = room.saturating_sub(bytes);
            taken.push((session(number), Payload::Command(command)));
        }
        let next = next + taken.len() as u64;
        let State::Leader(leader) = &mut self.state else { return };
        leader.accepted.insert(from, Accepted { boot, next });
        if is_full {
            self.pen().send(from, Message::ForwardAnswer { boot, next: Some(next) }, outputs);
        }
        if !taken.is_empty() {
            self.append(now, taken.into_iter(), outputs);
        }
    }

    /// The leader did not take all, or misses some: it is sent again from there, a little later.
    pub(super) fn forward_again(&mut self, from: MemberId, boot: BootId, next: Option<u64>) {
        if self.leader != Some(from) || boot != self.proposals.boot {
            return;
        }
        let taken = next.map_or(0, |next| next.saturating_sub(self.proposals.settled + 1));
        self.proposals.sent = self.proposals.sent.min(usize::try_from(taken).unwrap_or(usize::MAX));
        self.proposals.hold = self.settings.heartbeat_ticks;
    }

    pub(super) fn tick_callers(&mut self) {
        let is_leader = matches!(self.state, State::Leader(_));
        self.proposals.tick(self.settings.election_ticks_max, is_leader);
        self.reads.tick(self.settings.election_ticks_min);
        self.requests.tick();
    }

    /// What callers wait for, and what follows from what this step has changed.
    pub(super) fn serve_callers(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        if !self.is_stopped {
            self.send_proposals(now, outputs);
            self.send_reads(now, outputs);
        }
        self.give_up_requests(outputs);
    }

    /// Nothing that callers wait for will come.
    pub(super) fn refuse_all(&mut self, outputs: &mut Vec<Output>) {
        self.reads.refuse_all(outputs);
    }

    /// How many bytes of proposals a leader takes beyond those that are not committed.
    fn uncommitted_room(&self) -> u64 {
        self.settings.uncommitted_bytes.saturating_sub(self.log.bytes_after(self.committed))
    }

    /// While it hands over, a leader adds nothing: the other would never catch up.
    fn takes_proposals(&self) -> bool {
        let State::Leader(leader) = &self.state else { return false };
        let is_full = self.uncommitted_room() == 0;
        leader.transfer.is_none() && !is_full
    }

    fn session_of(&self, member: MemberId, boot: BootId) -> impl Fn(u64) -> Option<Session> + use<> {
        move |sequence| Some(Session { member, boot, sequence })
    }
}
