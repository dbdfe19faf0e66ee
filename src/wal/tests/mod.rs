//! The log from outside: what was acknowledged is there again, whatever happened in between.

mod cuts;
mod files;
mod full;
mod golden;
mod life;
mod power;
mod snapshots;
mod succession;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::entry::{Entry, EntryId, HardState, Payload, Testimony, WriteSet};
use crate::types::{ClusterId, LogIndex, MemberId, Term, Timestamp};

const IDENTITY: Identity = Identity { cluster: ClusterId::new(0xc1), member: MemberId::new(0xa) };

/// The smallest segments that there are.
const SETTINGS: WalSettings = WalSettings { segment_bytes: 16 << 10, salt_seed: 1 };

fn id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term::new(term), index: LogIndex::new(index) }
}

fn entry(term: u64, index: u64, payload: &[u8]) -> Entry {
    Entry {
        id: id(term, index),
        time: Timestamp::new(index),
        session: None,
        payload: Payload::Command(payload.into()),
    }
}

/// One entry of term 1 with so many bytes.
fn set_of(index: u64, bytes: usize) -> WriteSet {
    WriteSet { entries: vec![entry(1, index, &vec![index as u8; bytes])], ..WriteSet::default() }
}

fn mark(snapshot: EntryId) -> WriteSet {
    WriteSet { snapshot: Some(snapshot), ..WriteSet::default() }
}

fn arc(disk: &SimulatedDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn create(disk: &SimulatedDisk) -> Wal {
    Wal::create(arc(disk), SETTINGS, IDENTITY, None).unwrap()
}

fn scan(disk: &SimulatedDisk) -> Result<Recovery, WalError> {
    Recovery::scan(arc(disk))
}

fn reopen(disk: &SimulatedDisk) -> Wal {
    scan(disk).unwrap().into_wal(SETTINGS).unwrap()
}

/// Runs the jobs that are due.
fn keep_house(wal: &mut Wal) {
    while let Some(job) = wal.spare_wanted() {
        if job.run().is_err() {
            return;
        }
    }
}

/// What a log should say, found out the plain way.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    hard_state: Option<HardState>,
    snapshot: Option<EntryId>,
    last: EntryId,
    entries: BTreeMap<LogIndex, Entry>,
}

impl Model {
    fn follow(&mut self, set: &WriteSet) {
        self.hard_state = set.hard_state.or(self.hard_state);
        if let Some(from) = set.truncate_from {
            self.entries.split_off(&from);
            self.last = self.entries.last_key_value().map_or(EntryId::default(), |(_, entry)| entry.id);
        }
        for entry in &set.entries {
            self.entries.insert(entry.id.index, entry.clone());
            self.last = entry.id;
        }
        self.snapshot = set.snapshot.or(self.snapshot);
        if let Some(snapshot) = set.snapshot
            && snapshot.index > self.last.index
        {
            self.entries.clear();
            self.last = snapshot;
        }
    }

    /// What the log on a disk says. Entries that are not held in full are those of `recovery.first_index()`.
    fn of(recovery: &Recovery) -> Self {
        let mut entries = BTreeMap::new();
        let collected = recovery.replay(LogIndex::default(), |entry| {
            let index = entry.id.index;
            assert!(entries.last_key_value().is_none_or(|(last, _): (&LogIndex, _)| last.next() == index));
            entries.insert(index, entry);
            Ok::<(), ()>(())
        });
        collected.unwrap();
        Self {
            hard_state: recovery.hard_state(),
            snapshot: recovery.snapshot_mark(),
            last: recovery.last(),
            entries,
        }
    }

    /// Whether a log that was released up to `released` may say `found`.
    fn allows(&self, found: &Self, first: LogIndex, released: LogIndex) -> bool {
        let kept: Vec<_> = self.entries.range(first..).collect();
        (found.hard_state, found.snapshot, found.last) == (self.hard_state, self.snapshot, self.last)
            && (first <= released.next() || kept.len() == self.entries.len())
            && kept == found.entries.iter().collect::<Vec<_>>()
    }
}

/// A small generator; a seed means the same for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^ (mixed >> 33)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}
