//! Snapshots: taken here, sent to peers, received from them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::content::Content;
use super::jobs::{Arrived, Ended, Job, Work};
use super::state::Replicated;
use super::{Answer, Output, Replica};
use crate::codec;
use crate::entry::EntryId;
use crate::raft::{self, Envelope, Message};
use crate::types::{LogIndex, MemberId, Term};
use crate::wal::{self, ReceivedSnapshot, SnapshotHeader, SnapshotKind};
use crate::watch::History;

/// How many ticks after a failure a snapshot is tried again.
const RETRY_TICKS: u64 = 100;

/// What is under way.
pub(super) struct Snapshots {
    /// What the newest one covers.
    saved: EntryId,
    is_saving: bool,
    /// Its file is not what was written, as it seems. What it says is in memory, so it is taken anew.
    is_doubted: bool,
    /// Who was sent all of which one.
    sent: BTreeSet<(MemberId, EntryId)>,
    is_preparing: bool,
    /// Why the last attempt has failed, if it has.
    unsaved: Option<String>,
    /// The tick before which no new attempt is made.
    retry_at: u64,
    ticks: u64,
    receiving: Option<(EntryId, ReceivedSnapshot)>,
    /// One that has come is being checked, and its file is not to be touched.
    is_checking: bool,
    /// Received and checked, for the core to install at once or never.
    arrived: Option<(EntryId, Box<Arrived>)>,
}

impl Snapshots {
    pub(super) fn new(saved: EntryId) -> Self {
        Self {
            saved,
            is_saving: false,
            is_doubted: false,
            sent: BTreeSet::new(),
            is_preparing: false,
            unsaved: None,
            retry_at: 0,
            ticks: 0,
            receiving: None,
            is_checking: false,
            arrived: None,
        }
    }

    pub(super) fn saved(&self) -> EntryId {
        self.saved
    }

    pub(super) fn is_saving(&self) -> bool {
        self.is_saving
    }

    /// Why there is no snapshot, if the last attempt at one has failed.
    pub(super) fn why_unsaved(&self) -> Option<&str> {
        self.unsaved.as_deref()
    }

    pub(super) fn tick(&mut self) {
        self.ticks += 1;
    }
}

impl Replica {
    /// What follows from the log having grown: work for another thread, and now and then a snapshot.
    pub(super) fn keep_small(&mut self, outputs: &mut Vec<Output>) {
        if self.failure.is_some() {
            return;
        }
        if !self.snapshots.is_preparing
            && let Some(job) = self.wal.spare_wanted()
        {
            self.snapshots.is_preparing = true;
            outputs.push(Output::Run(Job(Work::Spare(job))));
        }
        let applied = self.replicated.applied;
        let entries = applied.index.get() - self.snapshots.saved.index.get();
        let is_due =
            self.wal.sealed_bytes() >= self.settings.log_bytes || entries >= self.settings.log_entries;
        if (is_due && entries > 0 || self.snapshots.is_doubted)
            && !self.snapshots.is_saving
            && self.snapshots.ticks >= self.snapshots.retry_at
        {
            self.save(outputs);
        }
    }

    fn save(&mut self, outputs: &mut Vec<Output>) {
        self.snapshots.is_saving = true;
        let content = self.replicated.capture(&self.state);
        let header = self.header(SnapshotKind::Snapshot, &content);
        outputs.push(Output::Run(Job(Work::Save { disk: Arc::clone(&self.disk), header, content })));
    }

    /// Takes a snapshot now, unless one is being taken: [`Output::Saved`] says when it is done.
    pub fn save_now(&mut self, outputs: &mut Vec<Output>) {
        if !self.snapshots.is_saving {
            self.save(outputs);
        }
    }

    pub(super) fn header(&self, kind: SnapshotKind, content: &Content) -> SnapshotHeader {
        SnapshotHeader {
            kind,
            identity: self.identity,
            last: self.replicated.applied,
            config: self.replicated.config.clone(),
            meta: codec::encode(&content.meta),
        }
    }

    /// What follows from a job having ended.
    pub(super) fn done(&mut self, ended: Ended, outputs: &mut Vec<Output>) -> Option<raft::Input> {
        let retry_at = self.snapshots.ticks + RETRY_TICKS;
        match ended {
            Ended::Spare(result) => {
                self.snapshots.is_preparing = false;
                // What failed is tried again by whoever needs it; the log remembers.
                drop(result);
                None
            }
            Ended::Saved(result) => {
                self.snapshots.is_saving = false;
                self.snapshots.unsaved = result.as_ref().err().map(ToString::to_string);
                if result.is_ok() {
                    self.snapshots.is_doubted = false;
                    self.snapshots.sent.clear();
                }
                match result {
                    // One that has come from a leader meanwhile may be newer.
                    Ok(saved) if saved.index > self.snapshots.saved.index => {
                        self.snapshots.saved = saved;
                        Some(raft::Input::Saved(saved))
                    }
                    Ok(_) => {
                        outputs.push(Output::Saved(Ok(())));
                        None
                    }
                    Err(error) => {
                        self.snapshots.retry_at = retry_at;
                        outputs.push(Output::Saved(Err(error.to_string())));
                        None
                    }
                }
            }
            Ended::Cleared => None,
            Ended::Checked(snapshot, Ok(arrived)) => {
                self.snapshots.is_checking = false;
                let (config, time) = (arrived.header.config.clone(), arrived.meta.time);
                let settled = arrived.loaded.sessions.applied(self.identity.member, self.raft.boot());
                self.snapshots.arrived = Some((snapshot, arrived));
                Some(raft::Input::SnapshotStored { snapshot, config, time, settled })
            }
            Ended::Checked(snapshot, Err(_)) => {
                self.snapshots.is_checking = false;
                Some(raft::Input::ChunkStored { snapshot, offset: 0 })
            }
        }
    }

    /// What the core did not install when it was told of it: the log has gone on beyond it meanwhile. Its file goes with the next
    /// snapshot that is marked, and to take it out of memory takes long where there is much of it.
    pub(super) fn let_go(&mut self, outputs: &mut Vec<Output>) {
        outputs
            .extend(self.snapshots.arrived.take().map(|(_, arrived)| Output::Run(Job(Work::LetGo(arrived)))));
    }

    /// The mark of `saved` is durable: what is older goes, and so does the beginning of the log.
    pub(super) fn marked(&mut self, saved: EntryId, outputs: &mut Vec<Output>) {
        outputs.push(Output::Saved(Ok(())));
        let under_way = self.raft.snapshots_under_way().map(|snapshot| snapshot.index);
        let pinned = under_way.min().unwrap_or(saved.index);
        let (disk, before) = (Arc::clone(&self.disk), pinned.min(saved.index));
        outputs.push(Output::Run(Job(Work::Clear { disk, before })));
    }

    /// Gives the log's beginning up as far as the core has no use for it.
    pub(super) fn release(&mut self) -> Option<LogIndex> {
        let before = self.wal.first_index();
        // A member that is behind may keep the log up to twice as long, and has to take a snapshot then.
        let is_full = self.wal.sealed_bytes() >= 2 * self.settings.log_bytes;
        let needed = self.raft.releasable(is_full);
        // One that takes a snapshot keeps what it will need afterwards, but not for ever.
        let saved = self.snapshots.saved.index;
        self.wal.release(if self.is_log_too_long_to_keep() { saved } else { needed.min(saved) });
        self.wal.retire_released();
        let first = self.wal.first_index();
        (first > before).then(|| first.previous())
    }

    /// Sends a part of a snapshot. What a file holds is checked by whoever has received all of it: if that one begins
    /// again, the file is no good, and neither is one that cannot be read.
    pub(super) fn send_chunk(
        &mut self,
        member: MemberId,
        term: Term,
        snapshot: EntryId,
        (offset, bytes): (u64, u64),
        outputs: &mut Vec<Output>,
    ) -> Option<raft::Input> {
        let was_refused = offset == 0 && self.snapshots.sent.contains(&(member, snapshot));
        let part = wal::read_snapshot_part(&self.disk, snapshot.index, offset, bytes);
        match part.ok().filter(|_| !was_refused) {
            Some((part, is_last)) => {
                if is_last {
                    self.snapshots.sent.insert((member, snapshot));
                }
                let message = Message::SnapshotChunk { snapshot, offset, bytes: part.into(), is_last };
                outputs.push(Output::Send(Envelope {
                    from: self.identity.member,
                    to: member,
                    term,
                    message,
                }));
                None
            }
            None => {
                self.snapshots.is_doubted |= snapshot == self.snapshots.saved;
                Some(raft::Input::ChunkFailed { member })
            }
        }
    }

    /// Writes a part of a snapshot that comes from a peer.
    pub(super) fn store_chunk(
        &mut self,
        snapshot: EntryId,
        offset: u64,
        bytes: &[u8],
        is_last: bool,
        outputs: &mut Vec<Output>,
    ) -> Option<raft::Input> {
        if self.snapshots.is_checking {
            // Another leader may have one up to the same entry, and would write it over what is being checked.
            return Some(raft::Input::ChunkStored { snapshot, offset: 0 });
        }
        let mut received = match self.snapshots.receiving.take() {
            Some((of, received)) if of == snapshot && received.offset() == offset => received,
            _ if offset == 0 => match ReceivedSnapshot::create(&self.disk, snapshot.index) {
                Ok(received) => received,
                Err(_) => return Some(raft::Input::ChunkStored { snapshot, offset: 0 }),
            },
            // A part of what was given up meanwhile: it begins again.
            _ => return Some(raft::Input::ChunkStored { snapshot, offset: 0 }),
        };
        if received.write(bytes).is_err() {
            // A full disk, for one. The leader will offer it again.
            return Some(raft::Input::ChunkStored { snapshot, offset: 0 });
        }
        let offset = received.offset();
        if is_last {
            self.snapshots.is_checking = true;
            let (disk, cluster) = (Arc::clone(&self.disk), self.identity.cluster);
            outputs.push(Output::Run(Job(Work::Check { disk, received, snapshot, cluster })));
        } else {
            self.snapshots.receiving = Some((snapshot, received));
        }
        Some(raft::Input::ChunkStored { snapshot, offset })
    }

    /// Makes a snapshot that has come the beginning of everything.
    pub(super) fn install(&mut self, snapshot: EntryId, outputs: &mut Vec<Output>) {
        let arrived = self.snapshots.arrived.take().filter(|(of, _)| *of == snapshot);
        let (_, arrived) = arrived.expect("the core installs what it was told is stored");
        self.snapshots.saved = snapshot;
        let Arrived { header, meta, loaded } = *arrived;
        let history = History::restore(self.settings.history, meta.index, loaded.history);
        let replicated = Replicated::new(loaded.sessions, header.config, snapshot, meta.time);
        self.replicated.replace(&self.state, replicated, loaded.tree, history);
        for token in self.proposals.take_skipped(&self.replicated.sessions) {
            outputs.push(Output::Answer { token, answer: Answer::Unknown });
        }
        outputs.push(Output::Installed(snapshot));
    }
}
