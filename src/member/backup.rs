//! Backups: a snapshot written to anything, and a directory made from one.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::open::{FOUNDER, random, random_cluster, recover};
use super::{Member, Settings};
use crate::codec;
use crate::entry::{Config, EntryId};
use crate::error::Error;
use crate::replica::content::{self, Content, Meta};
use crate::session::Sessions;
use crate::types::{Index, LogIndex};
use crate::wal::{
    self, Disk, FileDisk, Identity, Recovery, SnapshotHeader, SnapshotKind, SnapshotReader, SnapshotWriter,
    Wal, WalSettings,
};

/// What a tree held when it was written down or checked.
pub(crate) struct Facts {
    pub(crate) identity: Identity,
    pub(crate) index: Index,
    pub(crate) files: usize,
}

impl Member {
    /// Writes everything as it is now to `writer`, while others go on writing.
    pub(crate) fn backup(&self, writer: impl Write) -> Result<Facts, Error> {
        let (content, covered, config) = self.capture(&self.round.crank());
        let header = self.snapshot_header(SnapshotKind::Backup, covered, config, content.meta);
        write(&header, &content, writer)
    }
}

/// Writes what was captured.
pub(super) fn write(header: &SnapshotHeader, content: &Content, writer: impl Write) -> Result<Facts, Error> {
    let written = SnapshotWriter::new(writer, header).and_then(|mut backup| {
        content.write(&mut backup, &AtomicBool::new(false))?;
        backup.finish()?.flush()
    });
    written.map_err(|source| Error::Backup { what: "cannot be written".to_owned(), source: Some(source) })?;
    Ok(Facts { identity: header.identity, index: content.meta.index, files: content.files })
}

/// Reads all of a backup.
pub(crate) fn verify_backup(reader: impl Read) -> Result<Facts, Error> {
    let (header, _, content::Loaded { tree, .. }) = content::open(SnapshotReader::new(reader, "backup")?)?;
    Ok(Facts { identity: header.identity, index: tree.index(), files: tree.file_count() })
}

/// Makes a data directory at `path`, which must be empty or missing, from a backup. The tree's index jumps ahead
/// by `jump`, and the cluster gets a new id.
///
/// The log is made last: a directory without one is no data directory yet, whatever else is in it.
pub(crate) fn restore(reader: impl Read, path: &Path, jump: u64) -> Result<Facts, Error> {
    let (_, meta, content::Loaded { tree, .. }) = content::open(SnapshotReader::new(reader, "backup")?)?;
    // As if one entry had been written: the snapshot covers it, and the log begins after.
    let last = EntryId { term: 1.into(), index: LogIndex::new(1) };
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(path, true)?);
    // What an interrupted restore leaves may be written again.
    let is_empty = wal::snapshots(&disk)?.iter().all(|&index| index == last.index);
    if !is_empty || Recovery::scan(Arc::clone(&disk))?.identity().is_some() {
        let what = format!("{} holds a store already", path.display());
        return Err(Error::Backup { what, source: None });
    }
    let identity = Identity { cluster: random_cluster(), member: FOUNDER };
    let index = Index::new(meta.index.get().saturating_add(jump));
    let header = SnapshotHeader {
        kind: SnapshotKind::Snapshot,
        identity,
        last,
        config: Config::alone(FOUNDER),
        meta: codec::encode(&Meta { index, ..meta }),
    };
    let files = tree.file_count();
    let content = content::Content {
        meta,
        root: tree.root().clone(),
        files,
        history: Vec::new(),
        sessions: Sessions::default(),
    };
    wal::save_snapshot(&disk, &header, |writer| content.write(writer, &AtomicBool::new(false)))?;
    let settings = WalSettings { segment_bytes: Settings::default().segment_bytes, salt_seed: random() };
    Wal::create(disk, settings, identity, Some(last))?.close()?;
    Ok(Facts { identity, index, files })
}

/// Reads all of the data directory at `path`, changing nothing.
pub(crate) fn verify_directory(path: &Path) -> Result<Facts, Error> {
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open_read_only(path)?);
    let recovery = Recovery::scan(Arc::clone(&disk))?;
    let Some(identity) = recovery.identity() else {
        return Err(Error::Log(wal::WalError::NoLog { path: path.to_owned() }));
    };
    let tree = recover(&disk, &recovery, &Settings::default())?.tree;
    Ok(Facts { identity, index: tree.index(), files: tree.file_count() })
}
