//! How a replica comes to be: from nothing, or from what its disk holds.

use std::fmt;
use std::sync::Arc;

use super::clock::LogClock;
use super::content::{self, Loaded, Meta};
use super::proposals::Proposals;
use super::room::Held;
use super::snapshots::Snapshots;
use super::state::{Replicated, State};
use super::writes::Writes;
use super::{Replica, Settings};
use crate::entry::{Config, EntryId, HardState};
use crate::raft::{Known, Raft};
use crate::session::Sessions;
use crate::tree::Tree;
use crate::types::{Index, Timestamp};
use crate::wal::{self, Disk, Identity, Recovery, ReplayError, SnapshotHeader, SnapshotKind, Wal, WalError};
use crate::watch::History;

/// How the cluster of a replica began, for one whose log does not say it yet.
#[derive(Clone, Debug)]
pub enum Founding {
    /// These members found it together; each of them is told the same. One that has nothing is new.
    Together(Config),
    /// The same, but one that has nothing may be one that has lost it: until it has heard from the others it takes
    /// no part. See [`Testimony`](crate::entry::Testimony).
    InDoubt(Config),
    /// It is there already, and this member was added to it.
    Joining,
}

/// Why a replica cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The disk cannot be used, or what it holds cannot be relied on. Nothing was changed.
    Log(WalError),
    /// The disk belongs to somebody else.
    OtherMember {
        /// Whose it is.
        found: Identity,
    },
}

impl From<WalError> for OpenError {
    fn from(error: WalError) -> Self {
        Self::Log(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::OtherMember { found } => write!(f, "the directory belongs to {found}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Log(error) => error.source(),
            Self::OtherMember { .. } => None,
        }
    }
}

/// What snapshot and log say together.
struct Recovered {
    known: Known,
    tree: Tree,
    history: History,
    replicated: Replicated,
}

impl Replica {
    /// Opens the replica of `identity` on `disk`; begins a log where there is none. `seed` is drawn at random.
    ///
    /// What is known to be committed is applied in the first steps, and more once a leader is heard.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(
        disk: Arc<dyn Disk>,
        settings: Settings,
        identity: Identity,
        founding: Founding,
        seed: u64,
    ) -> Result<Self, OpenError> {
        let recovery = Recovery::scan(Arc::clone(&disk))?;
        if let Some(found) = recovery.identity().filter(|found| *found != identity) {
            return Err(OpenError::OtherMember { found });
        }
        let recovered = recover(&disk, &recovery, &settings, founding)?;
        let wal = match recovery.identity() {
            None => Wal::create(Arc::clone(&disk), settings.wal, identity, None)?,
            Some(_) => recovery.into_wal(settings.wal)?,
        };
        let saved = recovered.replicated.applied;
        remove_other_snapshots(&disk, saved)?;
        let Recovered { known, tree, history, replicated } = recovered;
        let raft = Raft::new(identity.member, settings.raft.clone(), known, seed);
        Ok(Self {
            identity,
            disk: Arc::clone(&disk),
            proposals: Proposals::new(identity.member, raft.boot()),
            snapshots: Snapshots::new(saved),
            held: Held::default(),
            short_of: 0,
            raft,
            clock: LogClock::default(),
            wal,
            writes: Writes::default(),
            state: Arc::new(State::new(tree, history)),
            replicated,
            failure: None,
            raft_outputs: Vec::new(),
            settings,
        })
    }
}

/// Reads the snapshot that the log has a mark of, and what the log says after it. No other snapshot counts: one that
/// the log has no mark of may be ahead of what it knows.
fn recover(
    disk: &Arc<dyn Disk>,
    recovery: &Recovery,
    settings: &Settings,
    founding: Founding,
) -> Result<Recovered, WalError> {
    let mut recovered = match recovery.snapshot_mark() {
        Some(mark) => load(disk, recovery, mark, settings)?,
        None => {
            let known = match founding {
                Founding::Together(config) => Known::founder(config),
                Founding::InDoubt(config) => Known::dubious_founder(config),
                Founding::Joining => Known::joiner(),
            };
            let (config, history) = (known.config(), History::new(settings.history, Index::default()));
            let replicated =
                Replicated::new(Sessions::default(), config, EntryId::default(), Timestamp::default());
            Recovered { known, tree: Tree::new(), history, replicated }
        }
    };
    let next = recovered.replicated.applied.index.next();
    if recovery.first_index() > next {
        let what = "the log goes on from a snapshot that is missing";
        return Err(WalError::damaged(disk.path(""), 0_u64, what));
    }
    let known = &mut recovered.known;
    let replayed = recovery.replay(next, |entry| {
        known.push(&entry);
        Ok::<(), std::convert::Infallible>(())
    });
    replayed.map_err(|error| match error {
        ReplayError::Log(error) => error,
        ReplayError::Receiver(never) => match never {},
    })?;
    let first_life = HardState { boot: settings.lives_from, ..HardState::default() };
    known.hard_state = recovery.hard_state().unwrap_or(first_life);
    if let Some(what) = known.contradiction() {
        return Err(WalError::damaged(disk.path(""), 0_u64, what));
    }
    // A hint from before a truncation may be ahead of a log that was cut since.
    known.committed = recovery.committed().clamp(known.committed, known.last().index);
    Ok(recovered)
}

fn load(
    disk: &Arc<dyn Disk>,
    recovery: &Recovery,
    mark: EntryId,
    settings: &Settings,
) -> Result<Recovered, WalError> {
    let (header, meta, loaded) = load_marked(disk, recovery, mark)?;
    let known = Known::restored(mark, meta.time, header.config.clone());
    let history = History::restore(settings.history, meta.index, loaded.history);
    let replicated = Replicated::new(loaded.sessions, header.config, mark, meta.time);
    Ok(Recovered { known, tree: loaded.tree, history, replicated })
}

/// Reads the snapshot that the log has a mark of. In a cluster it may have come from another member.
///
/// # Errors
///
/// Those of the disk, and when it is another snapshot than that, or another cluster's.
pub(crate) fn load_marked(
    disk: &Arc<dyn Disk>,
    recovery: &Recovery,
    mark: EntryId,
) -> Result<(SnapshotHeader, Meta, Loaded), WalError> {
    let snapshot = wal::open_snapshot(disk, mark.index)?;
    let path = || wal::snapshot_path(disk, mark.index);
    let &SnapshotHeader { kind, identity: found, last, .. } = snapshot.header();
    if let Some(expected) = recovery.identity().filter(|expected| expected.cluster != found.cluster) {
        return Err(WalError::OtherLog { path: path(), found, expected });
    }
    if kind != SnapshotKind::Snapshot || last != mark {
        return Err(WalError::damaged(path(), 0_u64, "it is not the snapshot that the log has a mark of"));
    }
    content::open(snapshot)
}

fn remove_other_snapshots(disk: &Arc<dyn Disk>, saved: EntryId) -> Result<(), WalError> {
    for index in wal::snapshots(disk)?.into_iter().filter(|index| *index != saved.index) {
        wal::remove_snapshot(disk, index)?;
    }
    Ok(())
}
