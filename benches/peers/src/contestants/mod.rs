//! The contestants, and what each must be able to do.

mod fjall;
mod lmdb;
mod raw;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod sled;
mod spinney;
mod sqlite;

use std::path::Path;
use std::str::FromStr;

use crate::Result;
use crate::report::Row;

/// Whether a set that returned survives a power loss.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Every set waits for the device.
    Each,
    /// No set waits for the device. Where there is a choice, what returned still survives the end of the
    /// process: it has reached the operating system.
    Never,
}

/// A store that is open on a directory. Threads share it; dropping it closes it.
pub trait Contestant: Send + std::marker::Sync {
    /// Sets every key to [`VALUE`](crate::keys::VALUE), in the store's own way of loading many. They are
    /// durable at the latest when it is dropped.
    fn load(&self, keys: &mut dyn Iterator<Item = String>) -> Result<()>;

    /// Sets one key, in a transaction of its own. As durable as asked for when this returns.
    fn set(&self, key: &str, value: &[u8]) -> Result<()>;

    /// What one thread reads through.
    fn reader(&self) -> Result<Box<dyn Reader + '_>>;
}

/// One thread's way to read.
pub trait Reader {
    /// The length of the value, found by looking at the value itself, as it is at this moment: every get sees
    /// the latest set. Values are not copied where the store need not.
    fn get(&mut self, key: &str) -> Result<Option<usize>>;
}

/// Looks at both ends of a value: finding it is not enough, a caller wants to read it.
fn look_at(value: &[u8]) -> usize {
    std::hint::black_box((value.first(), value.last()));
    value.len()
}

/// Who takes part, in the order in which they are printed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Raw,
    Spinney,
    Sqlite,
    Lmdb,
    Redb,
    Fjall,
    Sled,
    #[cfg(feature = "rocksdb")]
    Rocksdb,
}

impl Kind {
    /// Everyone who was built in.
    pub fn all() -> &'static [Self] {
        &[
            Self::Raw,
            Self::Spinney,
            Self::Sqlite,
            Self::Lmdb,
            Self::Redb,
            Self::Fjall,
            Self::Sled,
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb,
        ]
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Spinney => "spinney",
            Self::Sqlite => "sqlite",
            Self::Lmdb => "lmdb",
            Self::Redb => "redb",
            Self::Fjall => "fjall",
            Self::Sled => "sled",
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb => "rocksdb",
        }
    }

    /// What a reader of the table must know about this number.
    pub fn note(self, row: Row) -> &'static str {
        match (self, row) {
            (Self::Sled, Row::Durable1 | Row::Durable16 | Row::Durable64) => {
                "does not flush the device: not comparable"
            }
            (Self::Sled, Row::Unsynced) => "loses up to 0.5 s when the process ends",
            (Self::Redb, Row::Unsynced) => "loses all since the last sync when the process ends",
            _ => "",
        }
    }

    /// Opens this contestant on `directory`, which exists and is either empty or its own.
    pub fn open(self, directory: &Path, sync: Sync) -> Result<Box<dyn Contestant>> {
        Ok(match self {
            Self::Raw => Box::new(raw::Raw::open(directory, sync)?),
            Self::Spinney => Box::new(spinney::Spinney::open(directory, sync)?),
            Self::Sqlite => Box::new(sqlite::Sqlite::open(directory, sync)?),
            Self::Lmdb => Box::new(lmdb::Lmdb::open(directory, sync)?),
            Self::Redb => Box::new(redb::Redb::open(directory, sync)?),
            Self::Fjall => Box::new(fjall::Fjall::open(directory, sync)?),
            Self::Sled => Box::new(sled::Sled::open(directory, sync)?),
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb => Box::new(rocksdb::Rocksdb::open(directory, sync)?),
        })
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let found = Self::all().iter().find(|kind| kind.name() == text);
        found.copied().ok_or_else(|| format!("there is no contestant {text} in this build"))
    }
}
