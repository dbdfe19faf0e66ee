//! Taking office, the leader's ticks, stepping down.

use std::collections::BTreeMap;

use super::log::weight;
use super::progress::Progress;
use super::proposals::Accepted;
use super::quorum::is_quorum;
use super::reads::Rounds;
use super::transfer::Transfer;
use super::{Output, Raft, State};
use crate::entry::{Entry, EntryId, Payload, Session, WriteSet};
use crate::types::{LogIndex, MemberId, Timestamp};

/// What a member knows while it leads, in one term. When it steps down all of it is gone, so nothing that was
/// counted in one reign is counted in another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leader {
    /// The first entry of the term. Until it is committed, how far the log is committed is not known for sure.
    pub(super) first: LogIndex,
    /// The other members.
    pub(super) peers: BTreeMap<MemberId, Progress>,
    /// By how much log time is ahead of the owner's clock: log time went on from the last entry when the wall
    /// clock was behind that.
    pub(super) clock_ahead_ms: u64,
    pub(super) rounds: Rounds,
    /// Which proposals of which member were taken in this term.
    pub(super) accepted: BTreeMap<MemberId, Accepted>,
    pub(super) transfer: Option<Transfer>,
    /// A member was told to stand for election in this term: whatever others have promised, it may be elected
    /// any time.
    pub(super) has_asked_to_stand: bool,
    heartbeat_elapsed: u32,
}

impl Raft {
    /// Takes office: the first entry of the term commits, with itself, all that earlier terms left behind. A log
    /// that is still empty begins with who the members are.
    pub(super) fn take_office(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        self.become_follower(self.hard_state.term, Some(self.id));
        self.election.take_office();
        let last = self.log.last();
        let peers = self.configs.current().members().filter(|&member| member != self.id);
        self.state = State::Leader(Box::new(Leader {
            first: last.index.next(),
            peers: peers.map(|peer| (peer, Progress::new(last.index))).collect(),
            clock_ahead_ms: self.log.time().get().saturating_sub(now.get()),
            rounds: Rounds::default(),
            accepted: BTreeMap::new(),
            transfer: None,
            has_asked_to_stand: false,
            heartbeat_elapsed: 0,
        }));
        let config = Box::new(self.configs.current().clone());
        let is_new = last == EntryId::default();
        let first = if is_new { Payload::Config(config) } else { Payload::Noop };
        self.append(now, [(None, first)].into_iter(), outputs);
    }

    /// Adds entries to the log, and sends them out: in write-sets that are no larger than messages are, since a log
    /// takes records up to some size only.
    pub(super) fn append(
        &mut self,
        now: Timestamp,
        payloads: impl Iterator<Item = (Option<Session>, Payload)>,
        outputs: &mut Vec<Output>,
    ) {
        let mut payloads = payloads.peekable();
        while payloads.peek().is_some() {
            let mut room = self.settings.message_bytes;
            let mut is_first = true;
            let together = std::iter::from_fn(|| {
                let next = payloads.next_if(|(_, payload)| is_first || weight(payload) <= room)?;
                room = room.saturating_sub(weight(&next.1));
                is_first = false;
                Some(next)
            });
            self.append_together(now, together, outputs);
        }
    }

    fn append_together(
        &mut self,
        now: Timestamp,
        payloads: impl Iterator<Item = (Option<Session>, Payload)>,
        outputs: &mut Vec<Output>,
    ) {
        let time = self.log_time(now);
        let first = self.log.last().index.next();
        let mut entries = Vec::new();
        for (session, payload) in payloads {
            let id = EntryId { term: self.hard_state.term, index: self.log.last().index.next() };
            let entry = Entry { id, time, session, payload };
            if let Payload::Config(config) = &entry.payload {
                self.configs.push(id.index, (**config).clone());
            }
            self.log.push(entry.clone());
            entries.push(entry);
        }
        if self.configs.index() >= first {
            self.meet_members();
        }
        // Sent before it is written: the leader's disk and those of the others work side by side.
        self.replicate_to_all(now, outputs);
        self.persist(WriteSet { entries, ..WriteSet::default() }, outputs);
    }

    pub(super) fn tick_leader(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        let State::Leader(leader) = &mut self.state else { return };
        let last = self.log.last().index;
        for progress in leader.peers.values_mut() {
            progress.tick(last, &self.settings);
        }
        // Who was removed and does not answer will be told when it asks for votes.
        leader.peers.retain(|_, peer| !peer.is_leaving || peer.silence <= self.settings.election_ticks_max);
        leader.heartbeat_elapsed += 1;
        let is_beat = leader.heartbeat_elapsed >= self.settings.heartbeat_ticks;
        if is_beat {
            leader.heartbeat_elapsed = 0;
        }
        if !self.is_heard_by_majority() {
            return self.step_down();
        }
        self.tick_transfer(outputs);
        if is_beat && let State::Leader(_) = self.state {
            self.beat(now, outputs);
        }
    }

    /// Whether a majority, itself included, has been heard from within an election timeout.
    fn is_heard_by_majority(&self) -> bool {
        let State::Leader(leader) = &self.state else { return false };
        is_quorum(self.configs.current(), |member| {
            member == self.id || leader.peers.get(&member).is_some_and(|peer| peer.is_active(&self.settings))
        })
    }

    /// Whether a majority of these would be within reach, as voters. Whoever has not answered since its connection broke
    /// is not, though it was heard from lately.
    pub(super) fn can_reach(&self, voters: impl ExactSizeIterator<Item = MemberId>) -> bool {
        let State::Leader(leader) = &self.state else { return false };
        let count = voters.len();
        let reached = voters.filter(|member| {
            let is_reached = |peer: &Progress| peer.is_active(&self.settings) && !peer.is_probed();
            *member == self.id || leader.peers.get(member).is_some_and(is_reached)
        });
        reached.count() * 2 > count
    }

    /// Leads no more, in the same term: others will elect another.
    pub(super) fn step_down(&mut self) {
        self.become_follower(self.hard_state.term, None);
    }

    /// What goes with the office: reads under way are asked for again, what was promised to others is void.
    pub(super) fn leave_office(&mut self) {
        if let State::Leader(leader) = &mut self.state {
            let rounds = std::mem::take(&mut leader.rounds);
            self.reads.ask_again(rounds);
            self.leader = None;
            self.proposals.begin_again();
        }
    }
}
