//! Linearizable reads, without an entry in the log.
//!
//! A read must see whatever was answered before it began. So the leader notes how far the log is committed,
//! asks a majority whether it still leads, and the reader waits until it has applied up to there. One round of
//! heartbeats answers for all reads that came before it; those that come while it is under way wait for the
//! next.
//!
//! ```text
//!   caller ─► unasked ─► asked {number} ──── ReadIndex ───► leader: waiting ─► round {number, index}
//!                                                                                    │ a majority answers
//!   ReadReady ◄─ applied ◄─ known {index} ◄── ReadIndexAnswer ───────────────────────┘
//! ```
//! Rounds are numbered by the leader, and questions by whoever asks: so no answer that comes late speaks for a question that came
//! after it. One that is asked again, since the answer takes long, is the same one: that answer is still as good.

use std::collections::VecDeque;

use super::quorum::{agreed, is_quorum};
use super::{Message, Output, Raft, Refusal, State};
use crate::types::{BootId, LogIndex, MemberId, Timestamp};

/// What a leader promises itself.
const FOREVER: Timestamp = Timestamp::new(u64::MAX);

/// The reads of this member's callers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Reads {
    /// No leader was asked about them.
    unasked: Vec<u64>,
    /// The leader was asked about these.
    asked: Option<Asked>,
    /// What they must see is known, and not applied: in order.
    known: VecDeque<(LogIndex, Vec<u64>)>,
    /// The number of the newest question.
    number: u64,
    count: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    number: u64,
    tokens: Vec<u64>,
    age: u32,
    /// It is to be sent.
    is_due: bool,
}

/// The rounds of heartbeats that confirm a leader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Rounds {
    /// For the next round.
    waiting: Vec<Reader>,
    /// Under way.
    round: Option<Round>,
    newest: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Round {
    /// Up to where its readers must have applied.
    index: LogIndex,
    readers: Vec<Reader>,
}

/// Who is told what a round has found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Reader {
    /// Callers of this member.
    Here(Vec<u64>),
    /// Another member, about its question.
    Peer { member: MemberId, boot: BootId, number: u64 },
}

impl Rounds {
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }
}

impl Reads {
    /// The leader has changed, or the way to it: it is asked again, under a new number.
    pub(super) fn begin_again(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.unasked.extend(asked.tokens);
        }
    }

    /// This member leads no more, and with it its rounds are void.
    pub(super) fn ask_again(&mut self, rounds: Rounds) {
        let under_way = rounds.round.into_iter().flat_map(|round| round.readers);
        for reader in under_way.chain(rounds.waiting) {
            if let Reader::Here(tokens) = reader {
                self.unasked.extend(tokens);
            }
        }
    }

    pub(super) fn tick(&mut self, patience: u32) {
        if let Some(asked) = &mut self.asked {
            asked.age += 1;
            if asked.age >= patience {
                (asked.age, asked.is_due) = (0, true);
            }
        }
    }

    /// The number of the question that is to be sent now, if any is.
    fn question(&mut self) -> Option<u64> {
        if self.asked.is_none() && !self.unasked.is_empty() {
            self.number += 1;
            let tokens = std::mem::take(&mut self.unasked);
            self.asked = Some(Asked { number: self.number, tokens, age: 0, is_due: true });
        }
        let asked = self.asked.as_mut()?;
        std::mem::take(&mut asked.is_due).then_some(asked.number)
    }

    fn learn(&mut self, index: LogIndex, tokens: Vec<u64>, applied: LogIndex, outputs: &mut Vec<Output>) {
        let index = self.known.back().map_or(index, |(newest, _)| index.max(*newest));
        self.known.push_back((index, tokens));
        self.applied(applied, outputs);
    }

    /// Everything up to `applied` was handed out.
    pub(super) fn applied(&mut self, applied: LogIndex, outputs: &mut Vec<Output>) {
        while self.known.front().is_some_and(|(index, _)| *index <= applied)
            && let Some((_, tokens)) = self.known.pop_front()
        {
            self.count -= tokens.len();
            outputs.extend(tokens.into_iter().map(|token| Output::ReadReady { token }));
        }
    }

    pub(super) fn refuse_all(&mut self, outputs: &mut Vec<Output>) {
        self.begin_again();
        let known = std::mem::take(&mut self.known).into_iter().flat_map(|(_, tokens)| tokens);
        let tokens = std::mem::take(&mut self.unasked).into_iter().chain(known);
        outputs.extend(tokens.map(|token| Output::ReadRefused { token, reason: Refusal::Stopped }));
        self.count = 0;
    }
}

impl Raft {
    /// A caller wants to read.
    pub(super) fn read(&mut self, token: u64, outputs: &mut Vec<Output>) {
        let reason = if self.is_stopped {
            Refusal::Stopped
        } else if self.reads.count >= self.settings.reads {
            Refusal::Busy
        } else {
            // It is asked about at the end of the step: see `send_reads`.
            self.reads.count += 1;
            return self.reads.unasked.push(token);
        };
        outputs.push(Output::ReadRefused { token, reason });
    }

    /// Another member asks for its callers.
    pub(super) fn read_for(&mut self, member: MemberId, boot: BootId, number: u64) {
        let is_member = self.configs.current().contains(member);
        if let State::Leader(leader) = &mut self.state
            && is_member
        {
            // One question a member: a newer one takes the place of what it has given up.
            leader
                .rounds
                .waiting
                .retain(|reader| !matches!(reader, Reader::Peer { member: m, .. } if *m == member));
            leader.rounds.waiting.push(Reader::Peer { member, boot, number });
        }
    }

    /// Asks about those reads that nobody was asked about, and begins the next round.
    pub(super) fn send_reads(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        let is_booted = self.is_booted();
        match (&mut self.state, self.leader) {
            (State::Leader(leader), _) => {
                if !self.reads.unasked.is_empty() {
                    leader.rounds.waiting.push(Reader::Here(std::mem::take(&mut self.reads.unasked)));
                }
                // Those whose answers a round waited for may be no voters any more.
                if !self.count_round(now, outputs) {
                    self.begin_round(now, outputs);
                }
            }
            (_, Some(leader)) if is_booted => {
                if let Some(number) = self.reads.question() {
                    let boot = self.hard_state.boot;
                    self.pen().send(leader, Message::ReadIndex { boot, number }, outputs);
                }
            }
            _ => {}
        }
    }

    fn begin_round(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        let State::Leader(leader) = &self.state else { return };
        let is_wanted = !leader.rounds.waiting.is_empty() && leader.rounds.round.is_none();
        // Until something of this term is committed, the leader may not know of all that was answered before.
        if !is_wanted || !self.knows_commit() {
            return;
        }
        let index = self.committed;
        let has_lease = self.has_lease(now);
        let State::Leader(leader) = &mut self.state else { return };
        let readers = std::mem::take(&mut leader.rounds.waiting);
        if has_lease {
            return self.answer_readers(index, readers, outputs);
        }
        leader.rounds.newest += 1;
        leader.rounds.round = Some(Round { index, readers });
        if !self.count_round(now, outputs) {
            self.ask_for_loyalty(now, outputs);
        }
    }

    /// Ends the round under way if a majority has confirmed it; returns whether it has.
    pub(super) fn count_round(&mut self, now: Timestamp, outputs: &mut Vec<Output>) -> bool {
        let (me, config) = (self.id, self.configs.current());
        let State::Leader(leader) = &mut self.state else { return false };
        let newest = leader.rounds.newest;
        let confirms =
            |member| member == me || leader.peers.get(&member).is_some_and(|peer| peer.round >= newest);
        if leader.rounds.round.is_none() || !is_quorum(config, confirms) {
            return false;
        }
        if let Some(Round { index, readers }) = leader.rounds.round.take() {
            self.answer_readers(index, readers, outputs);
        }
        self.begin_round(now, outputs);
        true
    }

    fn answer_readers(&mut self, index: LogIndex, readers: Vec<Reader>, outputs: &mut Vec<Output>) {
        for reader in readers {
            match reader {
                Reader::Here(tokens) => self.reads.learn(index, tokens, self.applied.index, outputs),
                Reader::Peer { member, boot, number } => {
                    self.pen().send(member, Message::ReadIndexAnswer { boot, number, index }, outputs);
                }
            }
        }
    }

    /// The leader has answered a question.
    pub(super) fn read_confirmed(
        &mut self,
        from: MemberId,
        boot: BootId,
        number: u64,
        index: LogIndex,
        outputs: &mut Vec<Output>,
    ) {
        let is_ours = self.leader == Some(from) && boot == self.hard_state.boot;
        if let Some(asked) = self.reads.asked.take_if(|asked| is_ours && asked.number == number) {
            self.reads.learn(index, asked.tokens, self.applied.index, outputs);
        }
    }

    /// Whether nobody else can have been elected, by what a majority has promised when it last answered.
    fn has_lease(&self, now: Timestamp) -> bool {
        let (Some(_), State::Leader(leader)) = (self.settings.lease, &self.state) else { return false };
        let promised = agreed(self.configs.current(), |member| match leader.peers.get(&member) {
            _ if member == self.id => FOREVER,
            Some(peer) => peer.promised,
            None => Timestamp::default(),
        });
        !leader.has_asked_to_stand && now < promised
    }
}
