//! A leader sends entries and counts the answers.
//!
//! Every message says which entry comes before what it brings. A heartbeat is one that brings nothing and asks
//! about the last entry that was sent: whoever lost something on the way says so at the next heartbeat at the
//! latest, whatever has become of the answers. Where that waits for entries that are under way, so does the heartbeat; then
//! another one goes ahead of them, about the last entry that the member is known to have.

use super::follower::Echo;
use super::leader::Leader;
use super::log::{Log, weight};
use super::progress::{Mode, Progress};
use super::{AppendOutcome, Message, Output, Pen, Raft, Settings, State};
use crate::entry::{Entry, EntryId};
use crate::types::{LogIndex, MemberId, Timestamp};

/// What all messages of a leader say alike.
#[derive(Clone, Copy)]
struct Desk<'a> {
    pen: Pen,
    log: &'a Log,
    settings: &'a Settings,
    committed: LogIndex,
    round: u64,
    clock: Timestamp,
    /// The newest snapshot that can be sent.
    saved: EntryId,
}

impl Raft {
    /// The leader's state, and what it needs to write to others.
    fn desk(&mut self, now: Timestamp) -> Option<(&mut Leader, Desk<'_>)> {
        let pen = self.pen();
        let State::Leader(leader) = &mut self.state else { return None };
        let desk = Desk {
            pen,
            log: &self.log,
            settings: &self.settings,
            committed: self.committed,
            round: leader.rounds.newest(),
            clock: now,
            saved: self.saved,
        };
        Some((leader, desk))
    }

    /// Sends everybody what it lacks, as far as the limits allow.
    pub(super) fn replicate_to_all(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        let Some((leader, desk)) = self.desk(now) else { return };
        for (&peer, progress) in &mut leader.peers {
            desk.replicate(peer, progress, outputs);
        }
    }

    /// Tells everybody that the leader is there, and asks whether anything was lost.
    pub(super) fn beat(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        let Some((leader, desk)) = self.desk(now) else { return };
        for (&peer, progress) in &mut leader.peers {
            desk.offer_again(peer, progress, outputs);
            desk.go_ahead(peer, progress, outputs);
            desk.beat(peer, progress, outputs);
        }
    }

    /// Asks everybody whether it still follows this leader: one heartbeat each.
    pub(super) fn ask_for_loyalty(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        let Some((leader, desk)) = self.desk(now) else { return };
        for (&peer, progress) in &mut leader.peers {
            if !desk.go_ahead(peer, progress, outputs) {
                desk.offer_again(peer, progress, outputs);
                desk.beat(peer, progress, outputs);
            }
        }
    }

    /// Tells everybody how far the log is committed who was not told with entries meanwhile.
    pub(super) fn tell_commit(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        let Some((leader, desk)) = self.desk(now) else { return };
        for (&peer, progress) in &mut leader.peers {
            desk.tell_commit(peer, progress, outputs);
        }
    }

    /// A member has answered.
    pub(super) fn count_append(
        &mut self,
        now: Timestamp,
        from: MemberId,
        outcome: AppendOutcome,
        echo: Echo,
        room: u64,
        outputs: &mut Vec<Output>,
    ) {
        let last = self.log.last().index;
        let Some((leader, desk)) = self.desk(now) else { return };
        let Some(progress) = leader.peers.get_mut(&from) else { return };
        if echo.round > desk.round {
            return outputs.push(Output::Fault { member: from, what: "it answers what was not asked" });
        }
        progress.silence = 0;
        progress.round = progress.round.max(echo.round);
        progress.promised = progress.promised.max(echo.promised);
        progress.room = room;
        let is_news = match outcome {
            AppendOutcome::Matched(index) if index > last => {
                return outputs.push(Output::Fault { member: from, what: "it has more than was sent" });
            }
            AppendOutcome::Matched(index) => progress.matched(index, desk.log),
            AppendOutcome::Missing { prev, hint } => {
                progress.missing(prev, hint, desk.log);
                false
            }
        };
        if is_news {
            self.count_commit(now, outputs);
            self.hand_out(outputs);
            self.go_on_with_transfer(from, outputs);
        }
        if let Some((leader, desk)) = self.desk(now)
            && let Some(progress) = leader.peers.get_mut(&from)
        {
            desk.replicate(from, progress, outputs);
        }
        self.count_round(now, outputs);
        self.let_go(from);
    }

    /// Entries have been read for a member that is behind.
    pub(super) fn loaded(
        &mut self,
        now: Timestamp,
        member: MemberId,
        entries: Vec<Entry>,
        outputs: &mut Vec<Output>,
    ) {
        let Some((leader, desk)) = self.desk(now) else { return };
        let Some(progress) = leader.peers.get_mut(&member) else { return };
        let Some(first) = progress.loading.take() else { return };
        let follows = |(entry, index): (&Entry, u64)| entry.id.index.get() == index && desk.log.has(entry.id);
        if first != progress.next || progress.mode != Mode::Replicate {
            return;
        }
        if entries.is_empty() || !entries.iter().zip(first.get()..).all(follows) {
            // The log was cut meanwhile, or cannot be read: the next heartbeat finds a way.
            return progress.probe(first);
        }
        desk.send_entries(member, progress, entries, outputs);
        desk.replicate(member, progress, outputs);
    }

    /// The connection to a peer stands: what may have been lost on the one before is asked for.
    pub(super) fn connected(&mut self, member: MemberId, outputs: &mut Vec<Output>) {
        // It may know nobody whom it could ask.
        if !self.is_stopped && self.tell_of_removal(member, outputs) {
            return;
        }
        if self.leader == Some(member) {
            self.proposals.begin_again();
            self.reads.begin_again();
        }
        if let State::Leader(leader) = &mut self.state
            && let Some(progress) = leader.peers.get_mut(&member)
            && let Mode::Snapshot { idle, .. } = &mut progress.mode
        {
            // It is offered again with the next heartbeat, and goes on where it was.
            *idle = u32::MAX;
        }
    }

    pub(super) fn disconnected(&mut self, member: MemberId) {
        if self.is_stopped {
            return;
        }
        if let State::Leader(leader) = &mut self.state
            && let Some(progress) = leader.peers.get_mut(&member)
            && progress.mode == Mode::Replicate
        {
            progress.probe(progress.matched.next());
        }
        if self.leader == Some(member) {
            self.lose_leader();
        }
    }
}

impl Desk<'_> {
    /// Sends what the member lacks, as far as the limits allow.
    fn replicate(self, peer: MemberId, progress: &mut Progress, outputs: &mut Vec<Output>) {
        while progress.next <= self.log.last().index && progress.may_send(self.settings) {
            if self.log.term_at(progress.next.previous()).is_none() {
                return self.offer(peer, progress, outputs);
            }
            if progress.next >= self.log.first_in_memory() {
                let entries = self.log.batch(progress.next, self.settings.message_bytes);
                self.send_entries(peer, progress, entries, outputs);
            } else if progress.mode == Mode::Replicate {
                return self.load(peer, progress, outputs);
            } else {
                // To find where the logs part, nothing needs to be read.
                progress.sent(progress.next.previous(), 0);
                return self.beat(peer, progress, outputs);
            }
        }
    }

    /// Asks the owner for entries that are not in memory.
    fn load(self, peer: MemberId, progress: &mut Progress, outputs: &mut Vec<Output>) {
        progress.loading = Some(progress.next);
        outputs.push(Output::Load {
            member: peer,
            first: progress.next,
            last: self.log.first_in_memory().previous(),
            bytes: self.settings.message_bytes,
        });
    }

    fn send_entries(
        self,
        peer: MemberId,
        progress: &mut Progress,
        entries: Vec<Entry>,
        outputs: &mut Vec<Output>,
    ) {
        let (Some(prev), Some(last)) = (self.log.id_at(progress.next.previous()), entries.last()) else {
            return;
        };
        let (last, bytes) = (last.id.index, entries.iter().map(|entry| weight(&entry.payload)).sum());
        let matched = progress.matched;
        progress.sent(last, bytes);
        progress.told = progress.told.max(self.committed.min(last));
        self.send(peer, prev, entries, matched, outputs);
    }

    /// Asks about the last entry that was sent.
    fn beat(self, peer: MemberId, progress: &mut Progress, outputs: &mut Vec<Output>) {
        let is_snapshot = matches!(progress.mode, Mode::Snapshot { .. });
        let prev = self.log.id_at(progress.next.previous()).filter(|_| !is_snapshot);
        // Where the log was cut before that, only the beginning is common for sure.
        let prev = prev.unwrap_or_default();
        progress.told = progress.told.max(self.committed.min(prev.index));
        self.send(peer, prev, Vec::new(), progress.matched, outputs);
    }

    /// A heartbeat that need not wait for the entries that are under way, if there are any: see [`Message::goes_ahead`].
    fn go_ahead(self, peer: MemberId, progress: &mut Progress, outputs: &mut Vec<Output>) -> bool {
        let prev = self.log.id_at(progress.matched).filter(|_| progress.has_under_way());
        if let Some(prev) = prev {
            progress.told = progress.told.max(self.committed.min(prev.index));
            self.send(peer, prev, Vec::new(), progress.matched, outputs);
        }
        prev.is_some()
    }

    /// Tells a member how far what it has is committed; others learn it with what they are sent.
    fn tell_commit(self, peer: MemberId, progress: &mut Progress, outputs: &mut Vec<Output>) {
        let upto = self.committed.min(progress.matched);
        if progress.mode != Mode::Replicate || progress.told >= upto {
            return;
        }
        if progress.is_leaving {
            // It is let go when it has answered.
            return self.beat(peer, progress, outputs);
        }
        if let Some(upto) = self.log.id_at(upto) {
            progress.told = upto.index;
            self.pen.send(peer, Message::Committed { upto }, outputs);
        }
    }

    fn send(
        self,
        peer: MemberId,
        prev: EntryId,
        entries: Vec<Entry>,
        matched: LogIndex,
        outputs: &mut Vec<Output>,
    ) {
        let (round, clock) = (self.round, self.clock);
        let message = Message::Append { prev, entries, committed: self.committed, matched, round, clock };
        self.pen.send(peer, message, outputs);
    }

    /// The member's log ends before this one begins: only a snapshot helps.
    fn offer(self, peer: MemberId, progress: &mut Progress, outputs: &mut Vec<Output>) {
        progress.begin_snapshot(self.saved);
        self.pen.send(peer, Message::SnapshotOffer { snapshot: self.saved }, outputs);
    }

    /// Offers the newest snapshot when nothing came of the one before; lets a member that was probed be probed again.
    fn offer_again(self, peer: MemberId, progress: &mut Progress, outputs: &mut Vec<Output>) {
        match &mut progress.mode {
            Mode::Snapshot { idle, .. } if *idle > 2 * self.settings.election_ticks_max => {
                self.offer(peer, progress, outputs);
            }
            Mode::Probe { is_waiting } => *is_waiting = false,
            _ => {}
        }
        let is_cut_off = self.log.term_at(progress.next.previous()).is_none();
        if is_cut_off && !matches!(progress.mode, Mode::Snapshot { .. }) {
            self.offer(peer, progress, outputs);
        }
    }
}
