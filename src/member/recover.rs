//! Recovering: the directory of one member, when too few of the others are left, becomes a cluster of its own.
//!
//! ```text
//!   survey: lock, scan, read all ── recover: snapshot, durable ── the log of the new cluster, at once ── old files removed
//!           (changes nothing)                                     └ from here on it is the new one
//! ```
//! Everything that is in the log is kept, also what is not known here to be agreed on: those who were lost may have
//! agreed to it and told somebody so. The index jumps ahead as it does when a backup is restored, since others may
//! have seen changes that never came here.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Settings;
use super::backup::Facts;
use super::open::{Recovered, random, random_cluster, recover};
use crate::codec;
use crate::entry::{Config, EntryId, HardState, Testimony};
use crate::error::Error;
use crate::replica::content::{Content, Meta};
use crate::session::Sessions;
use crate::tree::Tree;
use crate::types::{Index, MemberId};
use crate::wal::{self, Disk, FileDisk, Identity, Recovery, SnapshotHeader, SnapshotKind, WalError};

/// A directory that was looked at: locked, read, and not changed.
pub(crate) struct Survivor {
    disk: Arc<dyn Disk>,
    recovery: Recovery,
    identity: Identity,
    config: Config,
    hard_state: HardState,
    last: EntryId,
    tree: Tree,
    meta: Meta,
}

impl Survivor {
    /// Looks at the directory at `path`.
    pub(crate) fn survey(path: &Path) -> Result<Self, Error> {
        Self::survey_on(Arc::new(FileDisk::open(path, false)?))
    }

    /// Looks at what `disk` holds.
    pub(crate) fn survey_on(disk: Arc<dyn Disk>) -> Result<Self, Error> {
        let recovery = Recovery::scan(Arc::clone(&disk))?;
        let Some(identity) = recovery.identity() else {
            return Err(WalError::NoLog { path: disk.path("") }.into());
        };
        let Recovered { tree, known, .. } = recover(&disk, &recovery, &Settings::default())?;
        let (config, last) = (known.config(), known.last());
        let is_alone = config.is_alone(identity.member);
        // The first entry says who the members are: without one, that is not known.
        if last == EntryId::default() || is_alone {
            let is_alone = is_alone && last != EntryId::default();
            return Err(Error::NothingToRecover { path: disk.path(""), is_alone });
        }
        let meta = Meta { index: tree.index(), time: known.time() };
        let hard_state = known.hard_state;
        Ok(Self { disk, recovery, identity, config, hard_state, last, tree, meta })
    }

    pub(crate) fn facts(&self) -> Facts {
        Facts { identity: self.identity, index: self.meta.index, files: self.tree.file_count() }
    }

    /// Who the members are, as far as is known here.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// How many entries are not known here to be agreed on.
    pub(crate) fn unconfirmed(&self) -> u64 {
        let agreed = self.recovery.committed().max(self.recovery.snapshot_mark().unwrap_or_default().index);
        self.last.index.get().saturating_sub(agreed.get())
    }

    /// Whether the others may have had more than this member: its disk was lost before, and it never got back all of that.
    pub(crate) fn may_lack_more(&self) -> bool {
        self.hard_state.floor.last > self.last
    }

    /// Has the directory be that of a cluster of one with an id of its own, with an index that is ahead by `jump`.
    pub(crate) fn recover(self, jump: u64) -> Result<Facts, Error> {
        let Self { disk, recovery, identity: Identity { member, .. }, config, hard_state, last, tree, meta } =
            self;
        recovery.remove_unfinished()?;
        let identity = Identity { cluster: random_cluster(), member };
        let term = last.term.max(hard_state.term);
        // As if one entry had been written: no snapshot that is there already has its name.
        let last = EntryId { term, index: last.index.next() };
        let config = alone(member, &config);
        let mut sessions = Sessions::default();
        sessions.follow(&config);
        let meta = Meta { index: Index::new(meta.index.get().saturating_add(jump)), ..meta };
        let header = SnapshotHeader {
            kind: SnapshotKind::Snapshot,
            identity,
            last,
            config,
            meta: codec::encode(&meta),
        };
        let files = tree.file_count();
        let content = Content { meta, root: tree.root().clone(), files, history: Vec::new(), sessions };
        wal::save_snapshot(&disk, &header, |writer| content.write(writer, &AtomicBool::new(false)))?;
        let hard_state = HardState { term, vote: None, floor: Testimony::default(), ..hard_state };
        recovery.into_successor(random(), identity, hard_state, last)?.close()?;
        for old in wal::snapshots(&disk)?.into_iter().filter(|index| *index != last.index) {
            wal::remove_snapshot(&disk, old)?;
        }
        Ok(Facts { identity, index: meta.index, files })
    }
}

/// The cluster of one member of `config`, which is called and reached as before.
fn alone(member: MemberId, config: &Config) -> Config {
    let contact = config.contacts.get(&member).cloned().unwrap_or_default();
    Config::founded_by([(member, contact)])
}
