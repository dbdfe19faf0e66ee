//! A member's disk: what is synced, and nothing else.

use std::sync::Arc;

use spinney::internals::codec;
use spinney::internals::entry::{Config, Entry, EntryId, HardState, WriteSet};
use spinney::internals::raft::Known;
use spinney::internals::session::Sessions;
use spinney::{LogIndex, Term, Timestamp};

/// What survives a crash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Disk {
    founded: Known,
    hard_state: HardState,
    committed: LogIndex,
    /// The snapshot that the log is marked with.
    pub(crate) snapshot: Option<Snapshot>,
    /// Those that the log is not marked with yet.
    pub(crate) received: Vec<Snapshot>,
    log: Vec<Entry>,
}

/// What a member had applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Snapshot {
    pub(crate) last: EntryId,
    pub(crate) config: Config,
    pub(crate) time: Timestamp,
    pub(crate) tree: Vec<(LogIndex, Arc<[u8]>)>,
    pub(crate) sessions: Sessions,
}

impl Snapshot {
    pub(crate) fn encoded(&self) -> Vec<u8> {
        let tree: Vec<(LogIndex, Vec<u8>)> =
            self.tree.iter().map(|(index, text)| (*index, text.to_vec())).collect();
        codec::encode(&(self.last, &self.config, self.time, tree, &self.sessions))
    }

    pub(crate) fn decoded(bytes: &[u8]) -> Option<Self> {
        type Parts = (EntryId, Config, Timestamp, Vec<(LogIndex, Vec<u8>)>, Sessions);
        let (last, config, time, tree, sessions): Parts = codec::decode(bytes).ok()?;
        let tree = tree.into_iter().map(|(index, text)| (index, text.into())).collect();
        Some(Self { last, config, time, tree, sessions })
    }
}

impl Disk {
    pub(crate) fn new(founded: Known) -> Self {
        Self {
            founded,
            hard_state: HardState::default(),
            committed: LogIndex::default(),
            snapshot: None,
            received: Vec::new(),
            log: Vec::new(),
        }
    }

    /// It is put back as it was in the beginning.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.founded.clone());
    }

    /// What is there in its place when it is lost: nothing, as before it was founded, and nobody can tell which.
    pub(crate) fn lost(&self) -> Self {
        Self::new(Known::dubious_founder(self.founded.config()))
    }

    /// What a start finds.
    pub(crate) fn known(&self) -> Known {
        let mut known = match &self.snapshot {
            Some(snapshot) => Known::restored(snapshot.last, snapshot.time, snapshot.config.clone()),
            None => self.founded.clone(),
        };
        let first = known.last().index.next();
        self.log.iter().filter(|entry| entry.id.index >= first).for_each(|entry| known.push(entry));
        known.hard_state = self.hard_state;
        known.committed = self.committed.min(known.last().index).max(known.applied.index);
        known
    }

    pub(crate) fn write(&mut self, write: &WriteSet) {
        self.hard_state = write.hard_state.unwrap_or(self.hard_state);
        self.committed = self.committed.max(write.committed);
        if let Some(from) = write.truncate_from {
            self.log.retain(|entry| entry.id.index < from);
        }
        for entry in &write.entries {
            assert!(self.log.is_empty() || entry.id.index == self.last().index.next(), "a gap in the log");
            self.log.push(entry.clone());
        }
        if let Some(mark) = write.snapshot {
            if mark.index > self.last().index {
                self.log.clear();
            }
            let marked = self.received.iter().find(|snapshot| snapshot.last == mark).cloned();
            self.snapshot = marked.or(self.snapshot.take());
            self.received.retain(|snapshot| snapshot.last > mark);
        }
    }

    pub(crate) fn release(&mut self, upto: LogIndex) {
        self.log.retain(|entry| entry.id.index > upto);
    }

    pub(crate) fn last(&self) -> EntryId {
        let covered = self.snapshot.as_ref().map(|snapshot| snapshot.last).unwrap_or_default();
        self.log.last().map_or(covered, |entry| entry.id)
    }

    /// Whether this entry is here, or covered by the snapshot.
    pub(crate) fn holds(&self, id: EntryId) -> bool {
        let covered = self.snapshot.as_ref().map(|snapshot| snapshot.last.index).unwrap_or_default();
        id.index <= covered || self.term_at(id.index) == Some(id.term)
    }

    /// Whether all entries before one that is in both logs are the same.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        let shared = |entry: &&Entry| other.log.iter().find(|own| own.id.index == entry.id.index);
        let pairs: Vec<_> = self.log.iter().filter_map(|entry| Some((entry, shared(&entry)?))).collect();
        let common = pairs.iter().rposition(|(one, two)| one.id == two.id);
        common.is_none_or(|last| pairs[..=last].iter().all(|(one, two)| one == two))
    }

    fn term_at(&self, index: LogIndex) -> Option<Term> {
        let covered = self.snapshot.as_ref().map(|snapshot| snapshot.last);
        let found = self.log.iter().map(|entry| entry.id).chain(covered).find(|id| id.index == index);
        found.map(|id| id.term)
    }

    pub(crate) fn entries(&self, first: LogIndex, last: LogIndex) -> Vec<Entry> {
        self.log.iter().filter(|entry| (first..=last).contains(&entry.id.index)).cloned().collect()
    }
}
