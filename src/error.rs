//! What can go wrong, grouped by who can act on it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::key::{Key, KeyError};
#[cfg(feature = "cluster")]
use crate::net::NetError;
use crate::node::Node;
use crate::raft::Denied;
use crate::tree::Refused;
use crate::types::Index;
use crate::wal::WalError;

/// Why a call did not do what was asked.
///
/// The first group is the tree's answer, alike on every member, with etcd's [`code`](Error::code); the second is
/// about what the caller passed; the third about what this process could not do just now; the fourth about the
/// data directory.
///
/// ```
/// use spinney::Error;
///
/// let store = spinney::Store::in_memory();
/// match store.get("/missing") {
///     Err(Error::KeyNotFound { key, .. }) => assert_eq!(key, "/missing"),
///     other => panic!("{other:?}"),
/// }
/// assert_eq!(store.get("/missing").unwrap_err().code(), Some(100));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Nothing is at `key`, the first missing part of the way.
    KeyNotFound {
        /// The first missing key.
        key: Key,
        /// The tree's index.
        index: Index,
    },
    /// A condition does not hold. What is there now comes along, so that a retry need not read it.
    CompareFailed {
        /// The key whose condition failed.
        key: Key,
        /// What was expected and what was found, as etcd words it: `[one != two]`.
        cause: String,
        /// What is there; `None` when nothing is.
        current: Option<Node>,
        /// The tree's index.
        index: Index,
    },
    /// A directory is at `key`, where a file is meant.
    NotAFile {
        /// The directory.
        key: Key,
        /// The tree's index.
        index: Index,
    },
    /// A file is at `key`, where a directory is meant.
    NotADirectory {
        /// The file.
        key: Key,
        /// The tree's index.
        index: Index,
    },
    /// Something is at `key` already.
    KeyExists {
        /// What was to be made.
        key: Key,
        /// The tree's index.
        index: Index,
    },
    /// The root cannot be changed.
    RootReadOnly {
        /// The tree's index.
        index: Index,
    },
    /// The directory at `key` has children, and removing them was not asked for.
    DirectoryNotEmpty {
        /// The directory.
        key: Key,
        /// The tree's index.
        index: Index,
    },

    /// The text is no key.
    InvalidKey {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: KeyError,
    },
    /// Something is larger than a setting allows.
    TooLarge {
        /// What is too large, such as `value`.
        what: &'static str,
        /// How large it is, in bytes.
        actual: usize,
        /// How large it may be, in bytes.
        limit: usize,
        /// The setting of [`Builder`](crate::Builder) that says so.
        setting: &'static str,
    },
    /// Parts of a request contradict each other.
    InvalidRequest {
        /// What is wrong.
        reason: &'static str,
    },
    /// A setting makes no sense.
    InvalidSetting {
        /// The setting of [`Builder`](crate::Builder).
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },

    /// More writes wait than the store takes at a time. Nothing was done: try again a little later.
    Busy,
    /// There is no room for more data. Nothing was done; reads and deletes go on, and writes do when there is room.
    NoSpace {
        /// What is full: the file system, or the limit of a setting.
        what: String,
    },
    /// The write cannot be answered for. Unless `may_have_applied`, nothing was done.
    Unavailable {
        /// Whether the write may be found after all, later or by others.
        may_have_applied: bool,
        /// Why.
        cause: Arc<Error>,
    },
    /// The store is closed.
    Closed,
    /// Nobody leads the cluster at present, or nobody is known to: too few of its members reach each other. Nothing was
    /// done.
    NoLeader,
    /// The cluster has not answered in time (setting `request_timeout`).
    TimedOut,
    /// The leader refuses to change who the members are, or to hand over. Nothing was changed.
    Denied {
        /// Why.
        reason: Denied,
    },
    /// No member that was asked has let this one in.
    NotJoined {
        /// What the last of them said.
        why: String,
    },
    /// The directory is empty, and another founder of the cluster knows that this member has been there: what it has
    /// promised is lost, so it cannot go on as who it was. Or the members have changed since, and do not wait for it
    /// any more. It may join as a new one, with `Builder::join` and a directory that is empty again: that it was told so is kept in
    /// this one, with which it does not begin anything any more. Where the others cannot be asked at once, it takes no part before
    /// they have answered: see `Builder::peers`.
    Forgotten {
        /// The member's name.
        member: String,
        /// Who knows it: the other founder's address.
        known_at: String,
    },
    /// This store is no member of a cluster.
    Alone,
    /// What connects members cannot be set up.
    #[cfg(feature = "cluster")]
    Net(NetError),
    /// A snapshot could not be taken. The log keeps what it would have replaced: nothing is lost.
    NotSaved {
        /// Why.
        why: String,
    },

    /// The system has no thread left for the store.
    NoThread {
        /// What it said.
        source: io::Error,
    },
    /// The data directory cannot be used.
    Log(WalError),
    /// There is nothing to recover in the data directory. Nothing was changed.
    NothingToRecover {
        /// The directory.
        path: PathBuf,
        /// It is a cluster of one already; otherwise it has never heard from its cluster, and holds nothing.
        is_alone: bool,
    },
    /// A backup cannot be written, read or restored.
    Backup {
        /// What is wrong.
        what: String,
        /// What the reader or writer said, if it was one of them.
        source: Option<io::Error>,
    },
}

impl Error {
    /// etcd's error code, where it has one: 100 for a missing key and so on.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        self.etcd().map(|(code, _)| code)
    }

    /// etcd's message for the code, such as `Key not found`.
    #[must_use]
    pub fn message(&self) -> Option<&'static str> {
        self.etcd().map(|(_, message)| message)
    }

    fn etcd(&self) -> Option<(u16, &'static str)> {
        Some(match self {
            Self::KeyNotFound { .. } => (100, "Key not found"),
            Self::CompareFailed { .. } => (101, "Compare failed"),
            Self::NotAFile { .. } => (102, "Not a file"),
            Self::NotADirectory { .. } => (104, "Not a directory"),
            Self::KeyExists { .. } => (105, "Key already exists"),
            Self::RootReadOnly { .. } => (107, "Root is read only"),
            Self::DirectoryNotEmpty { .. } => (108, "Directory not empty"),
            Self::Busy
            | Self::NoSpace { .. }
            | Self::Unavailable { .. }
            | Self::NoLeader
            | Self::TimedOut => (300, "Raft Internal Error"),
            _ => return None,
        })
    }

    /// What etcd gives as the cause of a refusal: mostly the key; empty where it gives none.
    #[must_use]
    pub fn cause(&self) -> &str {
        match self {
            // As in v2: a compare-and-delete of the root, the only way here with the root, says nothing.
            Self::NotAFile { key, .. } if key.is_root() => "",
            Self::KeyNotFound { key, .. }
            | Self::NotAFile { key, .. }
            | Self::NotADirectory { key, .. }
            | Self::KeyExists { key, .. }
            | Self::DirectoryNotEmpty { key, .. } => key,
            Self::RootReadOnly { .. } => "/",
            Self::CompareFailed { cause, .. } => cause,
            _ => "",
        }
    }

    /// The tree's index when it refused; `None` when it was not the tree.
    #[must_use]
    pub fn index(&self) -> Option<Index> {
        match self {
            Self::KeyNotFound { index, .. }
            | Self::CompareFailed { index, .. }
            | Self::NotAFile { index, .. }
            | Self::NotADirectory { index, .. }
            | Self::KeyExists { index, .. }
            | Self::RootReadOnly { index }
            | Self::DirectoryNotEmpty { index, .. } => Some(*index),
            _ => None,
        }
    }

    /// Whether the same call may succeed a little later without anybody changing it.
    ///
    /// Not so where the write may have been applied: look before repeating it.
    ///
    /// ```
    /// use spinney::{Error, Store};
    ///
    /// let store = Store::builder().tree_bytes(1).open()?;
    /// store.set("/a", "1")?;
    /// let full = store.set("/b", "2").unwrap_err();
    /// assert!(matches!(full, Error::NoSpace { .. }) && full.is_retryable());
    /// store.delete("/a")?;
    /// store.set("/b", "2")?;
    /// assert!(!store.get("/a").unwrap_err().is_retryable());
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy | Self::NoSpace { .. } | Self::NoLeader | Self::Log(WalError::InUse { .. }) => true,
            Self::Denied { reason } => {
                matches!(reason, Denied::NotNow | Denied::NotCaughtUp | Denied::NoLeader)
            }
            Self::Unavailable { may_have_applied, cause } => !may_have_applied && cause.is_retryable(),
            _ => false,
        }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::KeyNotFound { key, index } => Self::KeyNotFound { key, index },
            Refused::CompareFailed { key, mismatch, current, index } => {
                let cause = String::from_utf8_lossy(&mismatch.cause()).into_owned();
                Self::CompareFailed { key, cause, current, index }
            }
            Refused::NotAFile { key, index } => Self::NotAFile { key, index },
            Refused::NotADirectory { key, index } => Self::NotADirectory { key, index },
            Refused::KeyExists { key, index } => Self::KeyExists { key, index },
            Refused::RootReadOnly { index } => Self::RootReadOnly { index },
            Refused::DirectoryNotEmpty { key, index } => Self::DirectoryNotEmpty { key, index },
            Refused::TooDeep { key, index } => {
                let text = format!("{key}/{:020}", index.next().get());
                Self::InvalidKey { text, reason: KeyError::TooDeep }
            }
        }
    }
}

/// A log that is full says so as everything else does that is full.
impl From<WalError> for Error {
    fn from(error: WalError) -> Self {
        match error {
            WalError::NoSpace { .. } => Self::NoSpace { what: error.to_string() },
            error => Self::Log(error),
        }
    }
}

#[cfg(feature = "cluster")]
impl From<NetError> for Error {
    fn from(error: NetError) -> Self {
        Self::Net(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyNotFound { key, .. } => write!(f, "key not found: {key}"),
            Self::CompareFailed { key, cause, .. } if cause.is_empty() => write!(f, "compare failed: {key}"),
            Self::CompareFailed { key, cause, .. } => write!(f, "compare failed: {key} {cause}"),
            Self::NotAFile { key, .. } => write!(f, "not a file: {key}"),
            Self::NotADirectory { key, .. } => write!(f, "not a directory: {key}"),
            Self::KeyExists { key, .. } => write!(f, "key already exists: {key}"),
            Self::RootReadOnly { .. } => f.write_str("the root is read only"),
            Self::DirectoryNotEmpty { key, .. } => write!(f, "directory not empty: {key}"),
            Self::InvalidKey { text, reason } => write!(f, "key {text:?} {reason}"),
            Self::TooLarge { what, actual, limit, setting } => {
                write!(f, "{what} of {actual} bytes exceeds the limit of {limit} (setting `{setting}`)")
            }
            Self::InvalidRequest { reason } => f.write_str(reason),
            Self::InvalidSetting { setting, reason } => write!(f, "setting `{setting}` {reason}"),
            Self::Busy => f.write_str("too many writes are waiting"),
            Self::NoSpace { what } => write!(f, "no space: {what}"),
            Self::Unavailable { may_have_applied: true, .. } => {
                f.write_str("the write cannot be answered for; it may have been applied")
            }
            Self::Unavailable { .. } => f.write_str("the store cannot take writes"),
            Self::Closed => f.write_str("the store is closed"),
            Self::NoLeader => f.write_str("no member leads the cluster at present"),
            Self::TimedOut => f.write_str("the cluster has not answered in time"),
            Self::Denied { reason } => write!(f, "the leader refuses: {reason}"),
            Self::NotJoined { why } => write!(f, "no member has let this one in: {why}"),
            Self::Forgotten { member, known_at } => {
                write!(
                    f,
                    "it was empty, and {known_at} knows {member} from before, or that the members have changed: it may join as a new one only, emptied"
                )
            }
            Self::Alone => f.write_str("this store is no member of a cluster"),
            #[cfg(feature = "cluster")]
            Self::Net(error) => error.fmt(f),
            Self::NotSaved { why } => write!(f, "no snapshot was taken: {why}"),
            Self::NoThread { .. } => f.write_str("no thread can be started"),
            Self::Log(error) => error.fmt(f),
            Self::NothingToRecover { path, is_alone: true } => {
                write!(f, "there is nothing to recover in {}: it is a cluster of one already", path.display())
            }
            Self::NothingToRecover { path, is_alone: false } => {
                write!(
                    f,
                    "there is nothing to recover in {}: it has never heard from its cluster",
                    path.display()
                )
            }
            Self::Backup { what, .. } => write!(f, "the backup: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoThread { source } => Some(source),
            Self::Log(error) => error.source(),
            #[cfg(feature = "cluster")]
            Self::Net(error) => error.source(),
            Self::Backup { source: Some(source), .. } => Some(source),
            Self::Unavailable { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

const _: () = {
    const fn thread_safe<T: Send + Sync + 'static>() {}
    thread_safe::<Error>();
};
