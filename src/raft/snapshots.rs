//! Snapshots: taking them to save the log, and bringing up a member whose log ends before the leader's begins.
//!
//! ```text
//!   leader                                   follower
//!   SnapshotOffer {snapshot}          ──►    older than what is committed here? AppendAnswer : go on
//!   SendChunk ◄──                     ◄──    SnapshotRequest {offset}      so many bytes are here already
//!   SnapshotChunk {offset, bytes}     ──►    StoreChunk ··· ChunkStored, and so on
//!                                            the last: SnapshotStored ─► Install, Persist {mark}
//!   Probe ◄──                         ◄──    AppendAnswer {matched: snapshot}, once the mark is durable
//! ```
//! The core decides; the bytes are the owner's. Everything is asked for by offset, so that it goes on where it
//! was after a lost message or on another connection; after a restart, too, if the owner has kept what was here.

use std::sync::Arc;

use super::follower::Echo;
use super::progress::Mode;
use super::{Message, Output, Raft, State};
use crate::entry::{Config, EntryId, WriteSet};
use crate::types::{LogIndex, MemberId, Timestamp};

/// A snapshot that is being received.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Receiving {
    snapshot: EntryId,
    /// Who sends it; `None` after a restart. What others made of the same entry may have other bytes.
    from: Option<MemberId>,
    /// So many bytes are here.
    offset: u64,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// The next part was asked for.
    Asking,
    /// A part is being written.
    Writing,
    /// All of it is written, and being checked.
    Checking,
}

impl Raft {
    /// A snapshot of this member's own covers the entries up to `snapshot`.
    pub(super) fn snapshot_saved(&mut self, snapshot: EntryId, outputs: &mut Vec<Output>) {
        let is_newer = snapshot.index > self.saved.index && snapshot.index <= self.applied.index;
        if is_newer && self.log.has(snapshot) && !self.is_stopped {
            self.saved = snapshot;
            self.persist(WriteSet { snapshot: Some(snapshot), ..WriteSet::default() }, outputs);
        }
    }

    /// Up to which position the owner may cut its log: what a snapshot covers and no member needs from the log. With
    /// `is_full`, when the log must not grow any more, only snapshots under way count: what their receivers will need
    /// afterwards must stay, or they would never catch up. Who is not there does not count.
    #[must_use]
    pub fn releasable(&self, is_full: bool) -> LogIndex {
        let State::Leader(leader) = &self.state else { return self.saved.index };
        let needed = leader.peers.values().filter_map(|peer| match peer.mode {
            Mode::Snapshot { .. } if is_full && !peer.is_active(&self.settings) => None,
            Mode::Snapshot { snapshot, .. } => Some(snapshot.index),
            _ if is_full => None,
            _ => Some(peer.matched),
        });
        needed.min().map_or(self.saved.index, |needed| needed.min(self.saved.index))
    }

    /// The snapshots that others are being sent: the owner keeps their files, even when there are newer ones.
    pub fn snapshots_under_way(&self) -> impl Iterator<Item = EntryId> + '_ {
        let leader = if let State::Leader(leader) = &self.state { Some(leader) } else { None };
        leader.into_iter().flat_map(|leader| leader.peers.values()).filter_map(|peer| match peer.mode {
            Mode::Snapshot { snapshot, .. } => Some(snapshot),
            _ => None,
        })
    }

    /// A member asks for the next part of a snapshot.
    pub(super) fn send_chunk(
        &mut self,
        from: MemberId,
        wanted: EntryId,
        offset: u64,
        outputs: &mut Vec<Output>,
    ) {
        let term = self.hard_state.term;
        let State::Leader(leader) = &mut self.state else { return };
        let Some(progress) = leader.peers.get_mut(&from) else { return };
        progress.silence = 0;
        if let Mode::Snapshot { snapshot, idle } = &mut progress.mode
            && *snapshot == wanted
        {
            *idle = 0;
            let (snapshot, bytes) = (*snapshot, self.settings.chunk_bytes);
            outputs.push(Output::SendChunk { member: from, term, snapshot, offset, bytes });
        }
    }

    /// A part cannot be read: the snapshot is gone, and there is a newer one, or there will be. Offered at once, the same one
    /// would be asked for and fail as fast as messages can go.
    pub(super) fn chunk_failed(&mut self, member: MemberId, outputs: &mut Vec<Output>) {
        let (pen, newest) = (self.pen(), self.saved);
        let State::Leader(leader) = &mut self.state else { return };
        if let Some(progress) = leader.peers.get_mut(&member)
            && matches!(progress.mode, Mode::Snapshot { snapshot, .. } if snapshot != newest)
        {
            progress.begin_snapshot(newest);
            pen.send(member, Message::SnapshotOffer { snapshot: newest }, outputs);
        }
    }

    /// The leader offers a snapshot.
    pub(super) fn consider_snapshot(
        &mut self,
        leader: MemberId,
        snapshot: EntryId,
        outputs: &mut Vec<Output>,
    ) {
        if snapshot.index <= self.committed {
            // It would bring back what was. The leader may not know how far this member is.
            self.receiving = None;
            return self.answer_matched(leader, self.committed, false, Echo::default(), outputs);
        }
        let known = self
            .receiving
            .take_if(|known| known.snapshot == snapshot && known.from.is_none_or(|from| from == leader));
        let new = Receiving { snapshot, from: None, offset: 0, step: Step::Asking };
        let receiving = Receiving { from: Some(leader), ..known.unwrap_or(new) };
        self.receiving = Some(receiving);
        self.ask_for_chunk(outputs);
    }

    fn ask_for_chunk(&self, outputs: &mut Vec<Output>) {
        if let (Some(receiving), Some(leader)) = (&self.receiving, self.leader)
            && receiving.step == Step::Asking
            && receiving.from == Some(leader)
        {
            let Receiving { snapshot, offset, .. } = *receiving;
            self.pen().send(leader, Message::SnapshotRequest { snapshot, offset }, outputs);
        }
    }

    /// The leader sends a part.
    pub(super) fn take_chunk(
        &mut self,
        snapshot: EntryId,
        offset: u64,
        bytes: Arc<[u8]>,
        is_last: bool,
        outputs: &mut Vec<Output>,
    ) {
        let Some(receiving) = &mut self.receiving else { return };
        let is_next = receiving.snapshot == snapshot && receiving.offset == offset;
        if !is_next || receiving.step != Step::Asking || receiving.from != self.leader {
            return;
        }
        receiving.step = if is_last { Step::Checking } else { Step::Writing };
        outputs.push(Output::StoreChunk { snapshot, offset, bytes, is_last });
    }

    /// The owner has so many bytes of a snapshot.
    pub(super) fn chunk_stored(&mut self, snapshot: EntryId, offset: u64, outputs: &mut Vec<Output>) {
        if self.is_stopped {
            return;
        }
        match &mut self.receiving {
            Some(receiving) if receiving.snapshot == snapshot => {
                receiving.offset = offset;
                if offset == 0 {
                    // There was no room for it, or it was not whole. It begins again when it is offered again, and not before:
                    // or all of it would come again and again as fast as it can.
                    receiving.step = Step::Asking;
                } else if receiving.step != Step::Checking {
                    receiving.step = Step::Asking;
                    self.ask_for_chunk(outputs);
                }
            }
            None if snapshot.index > self.committed => {
                self.receiving = Some(Receiving { snapshot, from: None, offset, step: Step::Asking });
            }
            _ => {}
        }
    }

    /// A snapshot is here, whole and durable. It is installed unless the log has gone on beyond it meanwhile.
    pub(super) fn snapshot_stored(
        &mut self,
        snapshot: EntryId,
        config: Config,
        time: Timestamp,
        settled: u64,
        outputs: &mut Vec<Output>,
    ) {
        let is_awaited = self.receiving.as_ref().is_some_and(|receiving| receiving.snapshot == snapshot);
        if self.is_stopped || !is_awaited {
            return;
        }
        self.receiving = None;
        // What is committed here stays, and a leader's log is what the others follow.
        if snapshot.index <= self.committed || !matches!(self.state, State::Follower) {
            return;
        }
        outputs.push(Output::Install { snapshot });
        let truncate_from = self.begin_with(snapshot, config, time);
        self.committed = snapshot.index;
        self.applied = snapshot;
        self.configs.settle(snapshot.index);
        self.persist(WriteSet { truncate_from, snapshot: Some(snapshot), ..WriteSet::default() }, outputs);
        self.saved = snapshot;
        self.proposals.settle_upto(settled);
        self.reads.applied(snapshot.index, outputs);
        if let Some(leader) = self.leader {
            self.answer_matched(leader, snapshot.index, true, Echo::default(), outputs);
        }
    }

    /// Puts a snapshot in the place of the log's beginning. If the log has the same entry there, what follows
    /// it stays. Otherwise it is another leader's, and all of it goes. Returns from where.
    fn begin_with(&mut self, snapshot: EntryId, config: Config, time: Timestamp) -> Option<LogIndex> {
        let first_unsaved = self.saved.index.next();
        if self.log.has(snapshot) {
            self.log.release(snapshot.index);
            self.configs.install(snapshot.index, config);
            return None;
        }
        let had_entries = self.log.last().index >= first_unsaved;
        self.log.reset(snapshot, time);
        self.configs = super::Configs::new([(snapshot.index, config)].into());
        had_entries.then_some(first_unsaved)
    }
}
