//! How a member comes to be: from nothing, or from what its directory holds.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use parking_lot::{Condvar, Mutex};

use super::clock::Clock;
use super::keeper::Log;
use super::round::Round;
use super::turn::Crank;
use super::{Member, Settings};
use crate::codec;
use crate::entry::{Config, Entry, EntryId, Payload};
use crate::error::Error;
use crate::raft::{self, Known, Raft};
use crate::replica::{State, load_marked};
use crate::session::{Admission, Sessions};
use crate::tree::{Command, Effect, Tree};
use crate::types::{ClusterId, Index, LogIndex, MemberId};
use crate::wal::{
    self, Disk, FileDisk, Identity, Recovery, ReplayError, SnapshotHeader, Wal, WalError, WalSettings,
};
use crate::watch::History;

/// A member that founds a cluster alone is its first.
pub(super) const FOUNDER: MemberId = MemberId::new(1);

/// What a directory holds, put together.
pub(super) struct Recovered {
    pub(super) tree: Tree,
    pub(super) history: History,
    pub(super) known: Known,
    /// What was proposed twice, when the log was that of a cluster, is applied once.
    sessions: Sessions,
    /// What the newest snapshot covers.
    pub(super) saved: EntryId,
}

impl Member {
    /// A member without a directory.
    pub(crate) fn in_memory(settings: Settings) -> Result<Arc<Self>, Error> {
        settings.check()?;
        let recovered = Recovered::nothing(&settings, FOUNDER);
        let identity = Identity { cluster: random_cluster(), member: FOUNDER };
        Self::start_with(identity, settings, recovered, None)
    }

    /// The member whose directory is at `path`, made if missing.
    pub(crate) fn open(path: &Path, settings: Settings) -> Result<Arc<Self>, Error> {
        settings.check()?;
        Self::open_on(Arc::new(FileDisk::open(path, true)?), settings)
    }

    /// The member that `disk` holds.
    pub(crate) fn open_on(disk: Arc<dyn Disk>, settings: Settings) -> Result<Arc<Self>, Error> {
        settings.check()?;
        let wal_settings = WalSettings { segment_bytes: settings.segment_bytes, salt_seed: random() };
        let mut recovery = Recovery::scan(Arc::clone(&disk))?;
        if recovery.identity().is_some_and(|identity| identity.member == FOUNDER) && recovery.is_empty() {
            // Only entries say whether it was to be a cluster of one. To begin another one is right in any case.
            recovery.discard_empty()?;
            recovery = Recovery::scan(Arc::clone(&disk))?;
        }
        let (identity, recovered, wal) = match recovery.identity() {
            None => {
                if !wal::snapshots(&disk)?.is_empty() {
                    return Err(damaged(
                        disk.path(""),
                        "there is a snapshot but no log; a restore that did not end?",
                    ));
                }
                let identity = Identity { cluster: random_cluster(), member: FOUNDER };
                let wal = Wal::create(Arc::clone(&disk), wal_settings, identity, None)?;
                (identity, Recovered::nothing(&settings, FOUNDER), wal)
            }
            Some(identity) => {
                let recovered = recover(&disk, &recovery, &settings)?;
                let config = recovered.known.config();
                let has_entries = recovered.known.last() != EntryId::default();
                if !has_entries || !config.is_alone(identity.member) {
                    let whose = match (has_entries, config.contacts.len()) {
                        (true, members) => format!("one of {members} members"),
                        (false, _) => "a member that is to be one of several".to_owned(),
                    };
                    let reason = format!("is missing: the directory is that of {whose}");
                    return Err(Error::InvalidSetting { setting: "listen", reason });
                }
                (identity, recovered, recovery.into_wal(wal_settings)?)
            }
        };
        let log = Log::new(wal, disk, &settings, recovered.saved);
        let member = Self::start_with(identity, settings, recovered, Some(log))?;
        let failure = member.round.crank().failure.clone();
        match failure {
            None => Ok(member),
            Some(cause) => {
                member.close();
                Err(Error::Unavailable { may_have_applied: false, cause })
            }
        }
    }

    fn start_with(
        identity: Identity,
        settings: Settings,
        recovered: Recovered,
        log: Option<Log>,
    ) -> Result<Arc<Self>, Error> {
        let Recovered { tree, history, known, .. } = recovered;
        let clock = Clock::start(known.time());
        let raft = Raft::new(identity.member, raft::Settings::default(), known, random());
        let member = Arc::new_cyclic(|me| Self {
            identity,
            settings,
            clock,
            state: State::new(tree, history),
            round: Round::new(Crank::new(raft, log)),
            snapshot_ended: Condvar::new(),
            expire_after: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            term: AtomicU64::new(0),
            is_quick: AtomicBool::new(true),
            callbacks: Arc::default(),
            threads: Mutex::default(),
            worker: Mutex::default(),
            me: me.clone(),
        });
        match member.start_threads() {
            Ok(()) => Ok(member),
            Err(source) => {
                member.close();
                Err(Error::NoThread { source })
            }
        }
    }

    fn start_threads(&self) -> io::Result<()> {
        let mut crank = self.round.crank();
        self.start_keeping(&mut crank)?;
        // Where the disk has no room even for that, everything can still be read.
        let _ = self.take_office(&mut crank);
        *self.worker.lock() = Some(self.spawn("spinney", |member| member.work())?);
        Ok(())
    }
}

impl Recovered {
    fn nothing(settings: &Settings, founder: MemberId) -> Self {
        let history = History::new(settings.history, Index::default());
        let known = Known::founder(Config::alone(founder));
        Self { tree: Tree::new(), history, known, sessions: Sessions::default(), saved: EntryId::default() }
    }
}

/// Puts together what the snapshot that the log has a mark of and the log after it hold.
///
/// A member that is its own majority agreed to everything that is in its log: all of it is applied.
pub(super) fn recover(
    disk: &Arc<dyn Disk>,
    recovery: &Recovery,
    settings: &Settings,
) -> Result<Recovered, Error> {
    let founder = recovery.identity().map_or(FOUNDER, |identity| identity.member);
    let mut recovered = Recovered::nothing(settings, founder);
    let mark = recovery.snapshot_mark();
    for index in wal::snapshots(disk)? {
        match mark.filter(|mark| mark.index == index) {
            Some(mark) => recovered.load(disk, mark, recovery, settings)?,
            None => check_other(disk, index, recovery)?,
        }
    }
    // A log that begins later than it should has lost what came before.
    let next = recovered.saved.index.next();
    if recovery.first_index() > next || mark.unwrap_or_default() > recovered.saved {
        return Err(damaged(disk.path(""), "the log goes on from a snapshot that is missing"));
    }
    let mut effects = Vec::new();
    let replayed = recovery.replay(next, |entry| recovered.apply(disk, entry, &mut effects));
    replayed.map_err(|error| match error {
        ReplayError::Log(error) => Error::from(error),
        ReplayError::Receiver(error) => error,
    })?;
    recovered.known.hard_state = recovery.hard_state().unwrap_or_default();
    if let Some(what) = recovered.known.contradiction() {
        return Err(damaged(disk.path(""), what));
    }
    Ok(recovered)
}

/// A snapshot that the log has no mark of is of no use: it may be of another log, or have come from a peer when it was
/// interrupted. But one of this member's own was written when the log was durable up to there.
fn check_other(disk: &Arc<dyn Disk>, index: LogIndex, recovery: &Recovery) -> Result<(), Error> {
    let snapshot = wal::open_snapshot(disk, index)?;
    let SnapshotHeader { identity, last, .. } = snapshot.header();
    if recovery.identity() == Some(*identity) && *last > recovery.last() {
        return Err(damaged(wal::snapshot_path(disk, index), "the snapshot is ahead of the log's end"));
    }
    Ok(())
}

fn damaged(path: PathBuf, what: &'static str) -> Error {
    Error::Log(WalError::damaged(path, 0_u64, what))
}

impl Recovered {
    /// Begins with the snapshot that the log has a mark of.
    fn load(
        &mut self,
        disk: &Arc<dyn Disk>,
        mark: EntryId,
        recovery: &Recovery,
        settings: &Settings,
    ) -> Result<(), Error> {
        let (header, meta, loaded) = load_marked(disk, recovery, mark)?;
        self.tree = loaded.tree;
        self.history = History::restore(settings.history, meta.index, loaded.history);
        self.known = Known::restored(mark, meta.time, header.config);
        self.sessions = loaded.sessions;
        self.saved = mark;
        Ok(())
    }

    fn apply(&mut self, disk: &Arc<dyn Disk>, entry: Entry, effects: &mut Vec<Effect>) -> Result<(), Error> {
        self.known.push(&entry);
        let Entry { id, time, session, payload } = entry;
        match payload {
            Payload::Noop => {}
            Payload::Config(config) => self.sessions.follow(&config),
            Payload::Command(_) if self.sessions.admit(session) != Admission::Fresh => {}
            Payload::Command(bytes) => {
                let command: Command = codec::decode(&bytes)
                    .map_err(|_| damaged(disk.path(""), "the log has an entry that holds no command"))?;
                // What was refused then is refused now: that is part of the answer, not an error.
                let _ = self.tree.apply(time, command, effects);
                for effect in effects.drain(..) {
                    self.history.push(effect.change);
                }
            }
        }
        self.known.applied = id;
        Ok(())
    }
}

/// A number that nobody could have guessed or will see again: the standard library's hash keys are drawn from the
/// system's randomness.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0u8)
}

pub(super) fn random_cluster() -> ClusterId {
    ClusterId::new(u128::from(random()) << 64 | u128::from(random()))
}
