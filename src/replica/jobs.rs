//! What takes long: for the owner to run elsewhere.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::content::{self, Content, Loaded, Meta};
use crate::entry::EntryId;
use crate::raft::Envelope;
use crate::types::{ClusterId, LogIndex};
use crate::wal::{self, Disk, ReceivedSnapshot, SnapshotHeader, SnapshotKind, SpareJob, Syncer, WalError};

/// Makes what was appended durable, and says so to those who wait for it.
pub struct SyncJob {
    pub(super) sequence: u64,
    pub(super) syncer: Syncer,
    /// What may be sent as soon as it is durable.
    pub(super) messages: Vec<Envelope>,
}

impl SyncJob {
    /// Syncs, and gives `send` what waited for that: whoever has synced tells others without asking the owner first. The
    /// result is for [`Input::Synced`](super::Input::Synced).
    ///
    /// # Errors
    ///
    /// When the disk refuses; then nothing is sent.
    pub fn run(self, send: impl FnMut(Envelope)) -> Result<u64, WalError> {
        self.syncer.run()?;
        self.messages.into_iter().for_each(send);
        Ok(self.sequence)
    }
}

/// Work beside the turning of the core.
pub struct Job(pub(super) Work);

pub(super) enum Work {
    /// Prepare a segment, or clear one away.
    Spare(SpareJob),
    /// Write a snapshot.
    Save { disk: Arc<dyn Disk>, header: SnapshotHeader, content: Content },
    /// Remove snapshots that are older than this.
    Clear { disk: Arc<dyn Disk>, before: LogIndex },
    /// Check a snapshot that has come, read it, and give it its final name.
    Check { disk: Arc<dyn Disk>, received: ReceivedSnapshot, snapshot: EntryId, cluster: ClusterId },
    /// Take out of memory one that came too late.
    LetGo(Box<Arrived>),
}

/// What came of a [`Job`].
#[derive(Debug)]
pub struct Done(pub(super) Ended);

pub(super) enum Ended {
    Spare(Result<(), WalError>),
    Saved(Result<EntryId, WalError>),
    /// What is no longer wanted is gone.
    Cleared,
    /// A snapshot that has come is whole and has its name, or is not.
    Checked(EntryId, Result<Box<Arrived>, WalError>),
}

/// A snapshot that has come, whole and durable. It counts when the log has a mark of it, and not before.
pub(super) struct Arrived {
    pub(super) header: SnapshotHeader,
    pub(super) meta: Meta,
    pub(super) loaded: Loaded,
}

impl Job {
    /// What is to be done, in a word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.0 {
            Work::Spare(_) => "prepare a segment",
            Work::Save { .. } => "save a snapshot",
            Work::Clear { .. } => "clear snapshots away",
            Work::Check { .. } => "check a snapshot",
            Work::LetGo(_) => "let go of a snapshot",
        }
    }

    /// Does it. The result is for [`Input::Done`](super::Input::Done).
    #[must_use]
    pub fn run(self) -> Done {
        Done(match self.0 {
            Work::Spare(job) => Ended::Spare(job.run()),
            Work::Save { disk, header, content } => {
                let never = AtomicBool::new(false);
                let saved = wal::save_snapshot(&disk, &header, |writer| content.write(writer, &never));
                Ended::Saved(saved.map(|_| header.last))
            }
            Work::Clear { disk, before } => {
                // What cannot be removed now is when the next one is marked, or when the disk is opened again.
                let _ = wal::remove_snapshots_before(&disk, before);
                Ended::Cleared
            }
            Work::Check { disk, received, snapshot, cluster } => {
                let checked = check(received, snapshot, cluster).and_then(|arrived| {
                    wal::install_snapshot(&disk, snapshot.index)?;
                    Ok(Box::new(arrived))
                });
                Ended::Checked(snapshot, checked)
            }
            Work::LetGo(arrived) => {
                drop(arrived);
                Ended::Cleared
            }
        })
    }
}

/// Whether what has come is all of this cluster's `snapshot`, and what it holds.
fn check(received: ReceivedSnapshot, snapshot: EntryId, cluster: ClusterId) -> Result<Arrived, WalError> {
    let reader = received.finish()?;
    let (header, meta, loaded) = content::open(reader)?;
    let is_it = header.kind == SnapshotKind::Snapshot && header.last == snapshot;
    if !is_it || header.identity.cluster != cluster {
        return Err(WalError::io(
            "read",
            "snapshot".into(),
            io::Error::new(io::ErrorKind::InvalidData, "another snapshot has come than was offered"),
        ));
    }
    Ok(Arrived { header, meta, loaded })
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Spare(result) => f.debug_tuple("Spare").field(result).finish(),
            Self::Saved(result) => f.debug_tuple("Saved").field(result).finish(),
            Self::Cleared => f.write_str("Cleared"),
            Self::Checked(snapshot, result) => {
                f.debug_tuple("Checked").field(snapshot).field(&result.as_ref().err()).finish()
            }
        }
    }
}
