//! The disk as the log needs it: one flat directory of files. Two implement it, [`FileDisk`] and
//! [`SimulatedDisk`].
//!
//! [`FileDisk`]: super::FileDisk
//! [`SimulatedDisk`]: super::SimulatedDisk

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::error::WalError;

/// A directory that the log, and nobody else, keeps its files in.
///
/// What was written to a file is durable after a sync of the file; that a name stands for a file, or for
/// none, is durable after [`Disk::sync_directory`].
pub trait Disk: fmt::Debug + Send + Sync {
    /// The full path of the file called `name`, for messages; of the directory, when `name` is empty.
    fn path(&self, name: &str) -> PathBuf;

    /// The names of all files, in order.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Opens a file for ordinary reads.
    fn open(&self, name: &str) -> io::Result<Box<dyn Source>>;

    /// Makes a new, empty file to be written from the front, in place of one that has the name.
    fn create(&self, name: &str) -> io::Result<Box<dyn Sink>>;

    /// Maps a whole file for writing, the length it has.
    fn map(&self, name: &str) -> io::Result<Box<dyn Region>>;

    /// Gives a file another name, in place of one that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all that was created, renamed and removed so far durable.
    fn sync_directory(&self) -> io::Result<()>;
}

/// A file that is being read.
pub trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

/// A file that is being written from the front.
pub trait Sink: Write + Send {
    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is mapped for writing. Its length never changes, and nobody else writes to it.
#[allow(clippy::len_without_is_empty, reason = "a region that is empty is no region")]
pub trait Region: Send {
    /// How many bytes it has.
    fn len(&self) -> usize;

    /// Puts `bytes` at `offset`: from now on they survive the process, but not a loss of power.
    ///
    /// # Panics
    ///
    /// When they do not lie within the region.
    fn write(&mut self, offset: usize, bytes: &[u8]);

    /// A handle that makes what was written durable, also from another thread.
    fn syncer(&self) -> Arc<dyn SyncRegion>;
}

/// The part of a [`Region`] that other threads may hold.
pub trait SyncRegion: Send + Sync {
    /// Makes what was written to the region before this call durable.
    fn sync(&self) -> io::Result<()>;
}

/// The disk with errors that name the file: what the log itself speaks to.
#[derive(Clone, Debug)]
pub(super) struct Files(pub(super) Arc<dyn Disk>);

impl Files {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    pub(super) fn names(&self) -> Result<Vec<String>, WalError> {
        self.0.names().map_err(self.on("list", ""))
    }

    pub(super) fn open(&self, name: &str) -> Result<Box<dyn Source>, WalError> {
        self.0.open(name).map_err(self.on("open", name))
    }

    pub(super) fn create(&self, name: &str) -> Result<Box<dyn Sink>, WalError> {
        self.0.create(name).map_err(self.on("create", name))
    }

    pub(super) fn map(&self, name: &str) -> Result<Box<dyn Region>, WalError> {
        self.0.map(name).map_err(self.on("map", name))
    }

    /// The new name is durable on return.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), WalError> {
        self.0.rename(from, to).map_err(self.on("rename", from))?;
        self.sync_directory()
    }

    /// The file stays away, whatever comes, on return.
    pub(super) fn remove(&self, name: &str) -> Result<(), WalError> {
        self.0.remove(name).map_err(self.on("remove", name))?;
        self.sync_directory()
    }

    /// Removes what is only in the way; what cannot be removed now is when the disk is opened again.
    pub(super) fn discard(&self, name: &str) {
        let _ = self.0.remove(name);
    }

    pub(super) fn sync_directory(&self) -> Result<(), WalError> {
        self.0.sync_directory().map_err(self.on("sync", ""))
    }

    /// The length of the file called `name`.
    pub(super) fn length(&self, name: &str) -> Result<u64, WalError> {
        self.open(name)?.seek(SeekFrom::End(0)).map_err(self.on("read", name))
    }

    /// Fills `bytes` with what the file called `name` has from `offset` on; a file that is too short is an
    /// error like any other.
    pub(super) fn read(&self, name: &str, offset: u64, bytes: &mut [u8]) -> Result<(), WalError> {
        let mut source = self.open(name)?;
        source
            .seek(SeekFrom::Start(offset))
            .and_then(|_| source.read_exact(bytes))
            .map_err(self.on("read", name))
    }

    /// Turns an error of the system into one that says what could not be done to which file.
    pub(super) fn on(&self, action: &'static str, name: &str) -> impl FnOnce(io::Error) -> WalError {
        move |source| WalError::io(action, self.path(name), source)
    }
}
