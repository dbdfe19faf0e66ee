//! What was appended and is not durable yet, and what waits for that.

use std::collections::VecDeque;

use crate::entry::EntryId;
use crate::raft::Envelope;

/// Write-sets on their way to the disk.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// The number of the newest that was appended.
    appended: u64,
    /// The number up to which a sync is under way.
    syncing: Option<u64>,
    /// The number up to which all are durable.
    durable: u64,
    /// Messages that wait for a write-set, in the order of its number.
    waiting: VecDeque<(u64, Envelope)>,
    /// Snapshots that a write-set marks.
    marks: VecDeque<(u64, EntryId)>,
}

impl Writes {
    pub(super) fn appended(&mut self, sequence: u64, mark: Option<EntryId>) {
        assert!(sequence == self.appended + 1, "write-sets are numbered without gaps");
        self.appended = sequence;
        self.marks.extend(mark.map(|mark| (sequence, mark)));
    }

    /// Keeps `envelope` back until write-set `after` is durable; gives it back if it is.
    pub(super) fn gate(&mut self, after: u64, envelope: Envelope) -> Option<Envelope> {
        if after <= self.durable {
            return Some(envelope);
        }
        // Later ones rarely wait for less, and then not by much.
        let place = self.waiting.iter().rposition(|(other, _)| *other <= after).map_or(0, |place| place + 1);
        self.waiting.insert(place, (after, envelope));
        None
    }

    /// Begins a sync, if there is something to sync and none is under way: up to which number, and what may be sent
    /// as soon as it has ended.
    pub(super) fn begin_sync(&mut self) -> Option<(u64, Vec<Envelope>)> {
        if self.syncing.is_some() || self.appended == self.durable {
            return None;
        }
        self.syncing = Some(self.appended);
        let covered = self.waiting.partition_point(|(after, _)| *after <= self.appended);
        Some((self.appended, self.waiting.drain(..covered).map(|(_, envelope)| envelope).collect()))
    }

    pub(super) fn is_syncing(&self) -> bool {
        self.syncing.is_some()
    }

    /// Ends the sync of all up to `sequence`.
    pub(super) fn synced(&mut self, sequence: u64) {
        self.syncing = None;
        self.durable = self.durable.max(sequence);
    }

    /// The next message that need not wait any more.
    pub(super) fn release(&mut self) -> Option<Envelope> {
        self.waiting.front().filter(|(after, _)| *after <= self.durable)?;
        self.waiting.pop_front().map(|(_, envelope)| envelope)
    }

    /// The newest snapshot whose mark has become durable.
    pub(super) fn take_mark(&mut self) -> Option<EntryId> {
        let marked = self.marks.iter().take_while(|(sequence, _)| *sequence <= self.durable).count();
        self.marks.drain(..marked).next_back().map(|(_, mark)| mark)
    }
}
