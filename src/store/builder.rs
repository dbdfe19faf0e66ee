//! Settings, and how a store is opened with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(feature = "cluster")]
use std::time::Duration;

use super::Store;
use crate::error::Error;
#[cfg(feature = "cluster")]
use crate::member::{ClusterSettings, Clustered};
use crate::member::{Durability, Engine, Member, Settings};
use crate::wal::Disk;

/// The settings of a store to be, from [`Store::builder`].
///
/// ```
/// use spinney::{Durability, Store};
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("data");
/// let store = Store::builder().dir(&path).durability(Durability::Process).history(10_000).open()?;
/// # Ok::<(), spinney::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is opened until `open` is called"]
pub struct Builder {
    dir: Option<PathBuf>,
    settings: Settings,
    #[cfg(feature = "cluster")]
    pub(super) cluster: ClusterSettings,
}

impl Builder {
    /// Where the data is kept; made if missing. Without it, the store is in memory.
    pub fn dir(mut self, path: impl AsRef<Path>) -> Self {
        self.dir = Some(path.as_ref().to_owned());
        self
    }

    /// When a write counts as done: by default when it is on disk. Without meaning in memory.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// How many changes are kept for watches that begin in the past or fall behind: 1,000 by default, as in
    /// etcd v2, and fewer where [`Builder::history_bytes`] says so.
    pub fn history(mut self, changes: usize) -> Self {
        self.settings.history.changes = changes;
        self
    }

    /// How many bytes the changes that are kept may have: 64 MiB by default. Each counts with the keys and values it
    /// wrote and replaced; they stay in memory as long, and do not count as the tree's.
    ///
    /// ```
    /// # use spinney::{Event, Store};
    /// let store = Store::builder().history_bytes(1000).open()?;
    /// for value in ["first", "second", "third"] {
    ///     store.set("/big", value.repeat(50))?;
    /// }
    /// // The last two do not fit together: whoever begins in the past is told what is there now.
    /// let watch = store.watch("/big").since(1).start()?;
    /// let Some(Event::Resync(resync)) = watch.iter().next() else { panic!("all of history") };
    /// assert_eq!(resync.history_from.get(), 3);
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn history_bytes(mut self, bytes: usize) -> Self {
        self.settings.history.bytes = bytes;
        self
    }

    /// The longest key, in bytes: 4 KiB by default.
    pub fn key_bytes(mut self, bytes: usize) -> Self {
        self.settings.key_bytes = bytes;
        self
    }

    /// The largest value, in bytes: 1 MiB by default. With a key it must fit into a segment of the log, and
    /// so must a value with one to compare with.
    pub fn value_bytes(mut self, bytes: usize) -> Self {
        self.settings.value_bytes = bytes;
        self
    }

    /// The largest transaction, in bytes: 4 MiB by default. It must fit into a segment of the log.
    pub fn transaction_bytes(mut self, bytes: usize) -> Self {
        self.settings.transaction_bytes = bytes;
        self
    }

    /// How much memory all keys and values may take, roughly, in bytes: 2 GiB by default. When it is reached,
    /// writes fail with [`Error::NoSpace`] until something is deleted.
    pub fn tree_bytes(mut self, bytes: usize) -> Self {
        self.settings.tree_bytes = bytes;
        self
    }

    /// How large the log grows before a snapshot replaces it, in bytes: 64 MiB by default. The log never takes
    /// more than four times as much and a segment: writers that outrun the snapshot wait for it, and where none can be
    /// taken, what needs room is refused. Deletes and expiry go on as long as the disk has room.
    pub fn log_bytes(mut self, bytes: u64) -> Self {
        self.settings.log_bytes = bytes;
        self
    }

    /// How large one file of the log is, in bytes: 8 MiB by default; a multiple of 4096 from 64 KiB to 1 GiB.
    pub fn segment_bytes(mut self, bytes: u32) -> Self {
        self.settings.segment_bytes = bytes;
        self
    }

    /// How many bytes of submitted writes may wait: 64 MiB by default. What is submitted beyond that fails with
    /// [`Error::Busy`].
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.settings.queue_bytes = bytes;
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] when the settings make no sense, and those of [`Store::open`].
    pub fn open(self) -> Result<Store, Error> {
        #[cfg(feature = "cluster")]
        if self.cluster.is_wanted() {
            let Some(dir) = self.dir else {
                let reason =
                    "is missing: a member of a cluster must not forget what it has promised".to_owned();
                return Err(Error::InvalidSetting { setting: "dir", reason });
            };
            return Ok(Store::new(Engine::Clustered(Clustered::open(&dir, self.settings, &self.cluster)?)));
        }
        let member = match self.dir {
            Some(dir) => Member::open(&dir, self.settings)?,
            None => Member::in_memory(self.settings)?,
        };
        Ok(Store::new(Engine::Alone(member)))
    }
}

/// Opens a store with these settings on a disk of one's own, such as a simulated one; its directory does not
/// count. It may be a member of a cluster.
///
/// # Errors
///
/// Those of [`Builder::open`].
pub fn open_on(disk: Arc<dyn Disk>, builder: Builder) -> Result<Store, Error> {
    #[cfg(feature = "cluster")]
    if builder.cluster.is_wanted() {
        let member = Clustered::open_on(disk, builder.settings, &builder.cluster)?;
        return Ok(Store::new(Engine::Clustered(member)));
    }
    Ok(Store::new(Engine::Alone(Member::open_on(disk, builder.settings)?)))
}

/// The same settings for a member of a cluster whose wall clock is so far ahead of the machine's.
#[cfg(feature = "cluster")]
pub fn set_clock_ahead(mut builder: Builder, ahead: Duration) -> Builder {
    builder.cluster.clock_ahead = ahead;
    builder
}
