//! Why a log cannot be used.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::segment::Identity;

/// Why this member's log cannot be used as asked. Never replicated.
///
/// All but [`WalError::NoSpace`] and [`WalError::TooLarge`] want an operator, or at least a reopening.
///
/// ```
/// use spinney::{Error, Store, WalError};
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path();
/// std::fs::write(path.join("letter.txt"), "dear")?;
/// match Store::open(path) {
///     Err(Error::Log(WalError::NotOurs { found, .. })) => assert_eq!(found, "letter.txt"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum WalError {
    /// The operating system refused `action` on `path`.
    Io {
        /// What was being done: a verb, such as `sync`.
        action: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else has the directory open.
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory holds somebody else's files and no log; nothing was written to it.
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// The first name in it that is not ours.
        found: String,
    },
    /// There is no log to open.
    NoLog {
        /// The directory.
        path: PathBuf,
    },
    /// A new log was to begin where there is one already.
    LogExists {
        /// The first file of the log that is there.
        path: PathBuf,
    },
    /// A segment is missing between others.
    SegmentMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// A file with a name of ours does not begin as our files do.
    NotAFileOfOurs {
        /// The file.
        path: PathBuf,
    },
    /// The file is of a format that this version does not know.
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// The version it is of.
        found: u32,
        /// The newest version that is known.
        known: u32,
    },
    /// The file is of another cluster or another member than those before it.
    OtherLog {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: Identity,
        /// Whose it should be.
        expected: Identity,
    },
    /// The file is shorter or longer than it was made.
    WrongLength {
        /// The file.
        path: PathBuf,
        /// How long it is.
        found: u64,
        /// How long it was made.
        expected: u64,
    },
    /// Bytes that were durable are not what was written. Nothing was changed.
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in the file the first unit begins that is bad.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// What this write needs cannot be prepared, mostly since the disk is full. Nothing was written; deleting still works.
    NoSpace {
        /// What could not be made.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The record would be larger than a segment takes.
    TooLarge {
        /// How many bytes its payload has.
        bytes: usize,
        /// How many it may have.
        limit: usize,
    },
    /// An earlier sync failed, so what reached the disk is unknown. Reopen to recover.
    Poisoned,
}

impl WalError {
    /// An error of the operating system; a full disk has a variant of its own.
    pub(crate) fn io(action: &'static str, path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { path, why: source.to_string() }
            }
            _ => Self::Io { action, path, source },
        }
    }

    /// Whether what was written is not there any more: nothing but another copy helps.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::SegmentMissing { .. }
            | Self::NotAFileOfOurs { .. }
            | Self::UnknownVersion { .. }
            | Self::OtherLog { .. }
            | Self::WrongLength { .. }
            | Self::Damaged { .. } => true,
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// What keeps something from being made, without what that is.
    pub(super) fn why(&self) -> String {
        match self {
            Self::NoSpace { why, .. } => why.clone(),
            Self::Io { source, .. } => source.to_string(),
            other => other.to_string(),
        }
    }

    pub(crate) fn damaged(path: PathBuf, offset: impl Into<u64>, what: &'static str) -> Self {
        Self::Damaged { path, offset: offset.into(), what }
    }
}

impl fmt::Display for WalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { action, path, .. } => write!(f, "cannot {action} {}", path.display()),
            Self::InUse { path } => write!(f, "{} is in use by another process or store", path.display()),
            Self::NotOurs { path, found } => {
                write!(f, "{} holds no log but other files, such as {found:?}", path.display())
            }
            Self::NoLog { path } => write!(f, "there is no log in {}", path.display()),
            Self::LogExists { path } => write!(f, "there is a log already: {}", path.display()),
            Self::SegmentMissing { path } => write!(f, "segment {} is missing", path.display()),
            Self::NotAFileOfOurs { path } => {
                write!(f, "{} does not begin as a file of this kind does", path.display())
            }
            Self::UnknownVersion { path, found, known } => {
                write!(f, "{} is of format version {found}, known is {known}", path.display())
            }
            Self::OtherLog { path, found, expected } => {
                write!(f, "{} belongs to {found}, the log to {expected}", path.display())
            }
            Self::WrongLength { path, found, expected } => {
                write!(f, "{} has {found} bytes instead of {expected}", path.display())
            }
            Self::Damaged { path, offset, what } => {
                write!(f, "{} is damaged at offset {offset}: {what}", path.display())
            }
            Self::NoSpace { path, why } => write!(f, "no room for {}: {why}", path.display()),
            Self::TooLarge { bytes, limit } => {
                write!(f, "a record of {bytes} bytes is larger than the {limit} that a segment takes")
            }
            Self::Poisoned => f.write_str("an earlier sync of the log failed; it must be reopened"),
        }
    }
}

impl std::error::Error for WalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
