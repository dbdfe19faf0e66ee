//! Snapshots that come from a peer, part by part.
//!
//! ```text
//!   0…7.snap.received.tmp ── write, write, … ── finish: synced, checked ── install: renamed ──► 0…7.snap
//! ```
//! Until it is renamed it has a name that goes when the disk is opened again; and so it does afterwards, until the log has a mark of
//! it. So what a crash interrupts is sent anew.

use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use super::disk::{Disk, Files, Sink};
use super::error::WalError;
use super::snapshot::{SnapshotReader, name_of};
use super::{RECEIVED, UNFINISHED};
use crate::types::LogIndex;

/// A snapshot of which the first `offset` bytes have come.
pub struct ReceivedSnapshot {
    files: Files,
    index: LogIndex,
    sink: Box<dyn Sink>,
    offset: u64,
}

impl ReceivedSnapshot {
    /// Begins to receive the snapshot up to `index`, in place of what was received of it before.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    pub fn create(disk: &Arc<dyn Disk>, index: LogIndex) -> Result<Self, WalError> {
        let files = Files(Arc::clone(disk));
        let sink = files.create(&received_name(index))?;
        Ok(Self { files, index, sink, offset: 0 })
    }

    /// How many bytes have come.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Adds what comes next.
    ///
    /// # Errors
    ///
    /// Those of the disk. What was received is of no use then.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WalError> {
        let name = received_name(self.index);
        self.sink.write_all(bytes).map_err(self.files.on("write", &name))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Makes it durable, and opens it. It is whole if it can be read to its end.
    ///
    /// # Errors
    ///
    /// Those of the disk, and of [`SnapshotReader::new`].
    pub fn finish(mut self) -> Result<SnapshotReader<Box<dyn super::Source>>, WalError> {
        let name = received_name(self.index);
        self.sink.sync().map_err(self.files.on("sync", &name))?;
        drop(self.sink);
        self.files.sync_directory()?;
        SnapshotReader::new(self.files.open(&name)?, self.files.path(&name))
    }
}

/// Gives the received snapshot up to `index` its final name, durably.
///
/// # Errors
///
/// Those of the disk.
pub fn install_snapshot(disk: &Arc<dyn Disk>, index: LogIndex) -> Result<(), WalError> {
    Files(Arc::clone(disk)).rename(&received_name(index), &name_of(index))
}

/// Reads up to `bytes` bytes of the snapshot up to `index`, from `offset` on, as they stand in its file; and whether it
/// ends with them.
///
/// # Errors
///
/// Those of the disk: such as when there is no such snapshot any more.
pub fn read_snapshot_part(
    disk: &Arc<dyn Disk>,
    index: LogIndex,
    offset: u64,
    bytes: u64,
) -> Result<(Vec<u8>, bool), WalError> {
    let files = Files(Arc::clone(disk));
    let name = name_of(index);
    let mut source = files.open(&name)?;
    let mut read = || {
        let length = source.seek(SeekFrom::End(0))?;
        source.seek(SeekFrom::Start(offset))?;
        let mut part = Vec::new();
        (&mut source).take(bytes).read_to_end(&mut part)?;
        let is_last = offset + part.len() as u64 >= length;
        Ok((part, is_last))
    };
    read().map_err(files.on("read", &name))
}

/// What the snapshot up to `index` is called while it comes.
fn received_name(index: LogIndex) -> String {
    name_of(index) + RECEIVED + UNFINISHED
}
