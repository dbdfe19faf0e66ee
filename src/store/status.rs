//! How a store is doing.

use crate::member::Engine;
use crate::types::{ClusterId, Index, LogIndex, MemberId};
use crate::wal::Identity;
use crate::watch::WatchStats;

/// How a store is doing, from [`Store::status`](super::Store::status).
///
/// ```
/// let store = spinney::Store::in_memory();
/// store.set("/a", "1")?;
/// let status = store.status();
/// assert_eq!((status.files, status.index.get()), (1, 1));
/// assert!(status.problems.is_empty());
/// # Ok::<(), spinney::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// Which cluster the store belongs to; alone, it is a cluster of its own.
    pub cluster: ClusterId,
    /// Which member of it this is.
    pub member: MemberId,
    /// The index of the newest change.
    pub index: Index,
    /// How many files there are.
    pub files: usize,
    /// How many nodes have a TTL.
    pub timers: usize,
    /// How much memory the keys and values take, roughly, in bytes.
    pub tree_bytes: usize,
    /// The watches.
    pub watches: WatchStats,
    /// How many submitted writes wait.
    pub waiting: usize,
    /// The log; `None` in memory.
    pub log: Option<LogStatus>,
    /// What is wrong, in words; empty when all is well. Of a member of a cluster: no leader, members out of reach or far
    /// behind, a slow or full disk, a clock that differs from the leader's by a second or more.
    pub problems: Vec<String>,
}

/// How a store's log is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogStatus {
    /// How much it takes on disk, in bytes, without snapshots and segments held ready.
    pub bytes: u64,
    /// The position of the newest entry that was applied.
    pub applied: LogIndex,
    /// The position of the newest entry that the newest snapshot covers; 0 when there is none.
    pub saved: LogIndex,
    /// Whether a snapshot is being taken.
    pub is_saving: bool,
}

impl Status {
    pub(super) fn of(member: &Engine) -> Self {
        let Identity { cluster, member: id } = member.identity();
        let (log, problems) = member.log_status();
        let tree = member.tree();
        let (index, files, timers, tree_bytes) =
            (tree.index(), tree.file_count(), tree.timer_count(), tree.bytes());
        drop(tree);
        let (watches, waiting) = (member.state().watch_stats(), member.waiting());
        let log = log.map(|facts| LogStatus {
            bytes: facts.bytes,
            applied: facts.applied.index,
            saved: facts.saved.index,
            is_saving: facts.is_saving,
        });
        Self { cluster, member: id, index, files, timers, tree_bytes, watches, waiting, log, problems }
    }
}
