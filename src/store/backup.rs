//! Backups, and proof that data is whole.

use std::io::{Read, Write};
use std::path::Path;

use super::Store;
use crate::error::Error;
use crate::member;
use crate::types::{ClusterId, Index};

/// How far the index jumps when a backup is restored: further than anybody can have written since it was made.
///
/// So no watcher of the lost store ever sees an index twice: whoever resumes is told by a
/// [`Resync`](crate::Resync).
pub const RESTORE_INDEX_JUMP: u64 = 1_000_000_000;

/// What a backup or a data directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupInfo {
    /// The cluster it is of, or that it was restored as.
    pub cluster: ClusterId,
    /// The index of its newest change.
    pub index: Index,
    /// How many files it has.
    pub files: usize,
}

impl From<member::Facts> for BackupInfo {
    fn from(facts: member::Facts) -> Self {
        Self { cluster: facts.identity.cluster, index: facts.index, files: facts.files }
    }
}

impl Store {
    /// Writes everything as it is at one moment to `writer`, while reads and writes go on.
    ///
    /// The format is that of the snapshots: framed, checksummed, versioned.
    ///
    /// # Errors
    ///
    /// [`Error::Backup`] when `writer` fails.
    ///
    /// ```
    /// # use spinney::Store;
    /// let store = Store::in_memory();
    /// store.set("/a", "1")?;
    /// let mut backup = Vec::new();
    /// store.backup(&mut backup)?;
    ///
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("restored");
    /// Store::verify_backup(&backup[..])?;
    /// Store::restore(&backup[..], &path)?;
    /// let restored = Store::open(&path)?;
    /// assert_eq!(restored.get("/a")?.text(), Some("1"));
    /// assert!(restored.index() > store.index());
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn backup(&self, writer: impl Write) -> Result<BackupInfo, Error> {
        Ok(self.member().backup(writer)?.into())
    }

    /// Reads all of a backup and says what it holds. [`Store::backup`] has an example.
    ///
    /// # Errors
    ///
    /// [`Error::Log`] or [`Error::Backup`] when it is not a backup, not whole, or damaged anywhere.
    pub fn verify_backup(reader: impl Read) -> Result<BackupInfo, Error> {
        Ok(member::verify_backup(reader)?.into())
    }

    /// Makes a data directory at `path` from a backup; it must be empty or missing. The index jumps ahead by
    /// [`RESTORE_INDEX_JUMP`], and the store becomes a cluster with a new id. [`Store::backup`] has an example.
    ///
    /// # Errors
    ///
    /// Those of [`Store::verify_backup`], before anything is written, and those of [`Store::open`].
    pub fn restore(reader: impl Read, path: impl AsRef<Path>) -> Result<BackupInfo, Error> {
        Ok(member::restore(reader, path.as_ref(), RESTORE_INDEX_JUMP)?.into())
    }

    /// Reads all of the data directory at `path`, which no handle may have open, and says what it holds. Changes
    /// nothing: a torn tail that opening would cut is not damage.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`].
    ///
    /// ```
    /// # use spinney::Store;
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("data");
    /// Store::open(&path)?.set("/a", "1")?;
    /// let info = Store::verify(&path)?;
    /// assert_eq!((info.files, info.index.get()), (1, 1));
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn verify(path: impl AsRef<Path>) -> Result<BackupInfo, Error> {
        Ok(member::verify_directory(path.as_ref())?.into())
    }
}
