//! What keeps the log small and quick beside the turning of the crank, each on a thread of its own.
//!
//! ```text
//!   spinney-log        prepares segments ahead of need, or recycles released ones
//!   spinney-sync       Durability::Process: syncs a little after something was written
//!   spinney-snapshot   while one is taken: writes the tree as it stood when the log had grown enough
//! ```

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::turn::Crank;
use super::{Durability, Member, Settings};
use crate::codec;
use crate::entry::{Config, EntryId, WriteSet};
use crate::error::Error;
use crate::replica::content::{Content, Meta};
use crate::session::Sessions;
use crate::types::Timestamp;
use crate::wal::{self, Disk, Reserve, SnapshotHeader, SnapshotKind, SpareJob, Wal, WalError};

/// How long something written may wait for its sync with [`Durability::Process`].
const SYNC_DELAY: Duration = Duration::from_millis(100);

/// How long after a failure a snapshot is tried again.
const SNAPSHOT_PAUSE: Duration = Duration::from_secs(1);

/// What a write takes in a record besides its payload, at most: the entry's id, time, kind and length.
pub(super) const ENTRY_BYTES: usize = 48;

/// The log of a member, with those who look after it.
pub(super) struct Log {
    wal: Wal,
    disk: Arc<dyn Disk>,
    durability: Durability,
    limits: Limits,
    keepers: Option<Keepers>,
    /// While a snapshot is being taken: to call it off.
    saving: Option<Arc<AtomicBool>>,
    /// What the newest snapshot covers.
    saved: EntryId,
    /// Why the last snapshot failed, and when to try again.
    unsaved: Option<(String, Timestamp)>,
    /// The disk had no room for the last that asked.
    is_short: bool,
}

#[derive(Clone, Copy)]
struct Limits {
    /// Full segments of this many bytes call for a snapshot.
    log_bytes: u64,
    log_bytes_max: u64,
}

/// The ways to the threads; they end when these are dropped.
struct Keepers {
    jobs: Sender<SpareJob>,
    /// Holds one signal: something was written that nobody has synced.
    dirty: Sender<()>,
    /// Never sent to: it only ends.
    _open: Sender<Never>,
}

/// What is never said.
#[derive(PartialEq, Eq)]
enum Never {}

/// What the log can tell of itself.
#[derive(Clone, Debug)]
pub(crate) struct LogFacts {
    pub(crate) bytes: u64,
    pub(crate) applied: EntryId,
    pub(crate) saved: EntryId,
    pub(crate) is_saving: bool,
    pub(crate) unsaved: Option<String>,
    pub(crate) is_short: bool,
}

impl Log {
    pub(super) fn new(wal: Wal, disk: Arc<dyn Disk>, settings: &Settings, saved: EntryId) -> Self {
        let limits = Limits { log_bytes: settings.log_bytes, log_bytes_max: settings.log_bytes_max() };
        let durability = settings.durability;
        Self {
            wal,
            disk,
            durability,
            limits,
            keepers: None,
            saving: None,
            saved,
            unsaved: None,
            is_short: false,
        }
    }

    /// Appends `write`, and with [`Durability::Disk`] syncs it.
    pub(super) fn persist(&mut self, write: &WriteSet) -> Result<(), Error> {
        self.wal.append(write)?;
        match (self.durability, &self.keepers) {
            (Durability::Process, Some(keepers)) => {
                let _ = keepers.dirty.try_send(());
                Ok(())
            }
            _ => Ok(self.wal.sync()?),
        }
    }

    /// Whether a turn takes as long as the disk does.
    pub(super) fn waits_for_disk(&self) -> bool {
        self.durability == Durability::Disk
    }

    /// Whether `writes` writes of `bytes` together fit; else what is full.
    pub(super) fn room(&mut self, bytes: usize, writes: usize, reserve: Reserve) -> Result<(), String> {
        if reserve == Reserve::Ordinary && self.is_over_limit() {
            let why = self.unsaved.as_ref().map_or("no snapshot yet", |(why, _)| why);
            return Err(format!("the log has {} bytes and cannot shrink: {why}", self.wal.bytes()));
        }
        let room = self.wal.room(bytes + (writes + 1) * ENTRY_BYTES, reserve);
        self.is_short = room.is_err() || self.is_short && reserve == Reserve::Freeing;
        room.map_err(|error| error.to_string())
    }

    /// Whether the log has grown as far as it may.
    pub(super) fn is_over_limit(&self) -> bool {
        self.wal.sealed_bytes() >= self.limits.log_bytes_max
    }

    /// Whether a snapshot is being taken.
    pub(super) fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    pub(super) fn facts(&self, applied: EntryId) -> LogFacts {
        LogFacts {
            bytes: self.wal.bytes(),
            applied,
            saved: self.saved,
            is_saving: self.is_saving(),
            unsaved: self.unsaved.as_ref().map(|(why, _)| why.clone()),
            is_short: self.is_short,
        }
    }

    /// Hands out work that need not be done between two writes.
    fn hand_out(&mut self) {
        if let (Some(job), Some(keepers)) = (self.wal.spare_wanted(), &self.keepers) {
            let _ = keepers.jobs.send(job);
        }
    }

    fn wants_snapshot(&self, now: impl Fn() -> Timestamp) -> bool {
        let full = self.wal.sealed_bytes();
        // On a disk smaller than the log may grow, what it has is all that can be given back.
        let is_due = full >= self.limits.log_bytes || self.is_short && full > 0;
        is_due
            && !self.is_saving()
            && self.keepers.is_some()
            && self.unsaved.as_ref().is_none_or(|(_, after)| *after <= now())
    }

    /// Makes a finished snapshot the beginning of the log.
    fn adopt(&mut self, covered: EntryId) -> Result<(), WalError> {
        self.wal.append(&WriteSet { snapshot: Some(covered), ..WriteSet::default() })?;
        self.wal.sync()?;
        self.wal.release(covered.index);
        self.saved = covered;
        self.unsaved = None;
        Ok(())
    }
}

impl Member {
    /// Starts the threads that look after the log, if there is one.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub(super) fn start_keeping(&self, crank: &mut Crank) -> io::Result<()> {
        let Some(log) = &mut crank.log else { return Ok(()) };
        let (jobs, todo) = unbounded();
        let (dirty, written) = bounded(1);
        let (open, closing) = bounded(0);
        log.keepers = Some(Keepers { jobs, dirty, _open: open });
        self.start("spinney-log", move |member| member.prepare(&todo))?;
        if log.durability == Durability::Process {
            self.start("spinney-sync", move |member| member.sync_behind(&written, &closing))?;
        }
        log.hand_out();
        Ok(())
    }

    /// What follows from the log having grown: work for the keepers, and now and then a snapshot.
    pub(super) fn keep(&self, crank: &mut Crank) {
        let Some(log) = &mut crank.log else { return };
        log.hand_out();
        if log.wants_snapshot(|| self.now()) && crank.failure.is_none() {
            self.start_snapshot(crank);
        }
    }

    fn start_snapshot(&self, crank: &mut Crank) {
        let (content, covered, config) = self.capture(crank);
        let Some(log) = &mut crank.log else { return };
        let stop = Arc::new(AtomicBool::new(false));
        log.saving = Some(Arc::clone(&stop));
        let disk = Arc::clone(&log.disk);
        // A snapshot that is ahead of a log whose end was lost would leave a gap between the two.
        let syncer = log.wal.syncer();
        let runs = self.start("spinney-snapshot", move |member| {
            let header = member.snapshot_header(SnapshotKind::Snapshot, covered, config, content.meta);
            let write = || wal::save_snapshot(&disk, &header, |writer| content.write(writer, &stop));
            let saved = syncer.run().and_then(|()| write());
            // Old versions of nodes that only the snapshot held go here, not under anybody's lock.
            drop(content);
            member.end_snapshot(&disk, covered, saved.map(drop));
        });
        if let (Err(error), Some(log)) = (runs, &mut crank.log) {
            log.saving = None;
            log.unsaved = Some((format!("no thread: {error}"), self.now().after(SNAPSHOT_PAUSE)));
        }
    }

    /// Takes a snapshot of what is there now, and returns when it is on disk and the log begins after it.
    pub(crate) fn save(&self) -> Result<(), Error> {
        let mut crank = self.round.crank();
        // One that is under way may be of an earlier moment.
        while crank.log.as_ref().is_some_and(Log::is_saving) {
            self.snapshot_ended.wait(&mut crank);
        }
        let Some(log) = &crank.log else { return Ok(()) };
        if log.keepers.is_none() {
            return Err(Error::Closed);
        }
        let wanted = crank.raft.applied();
        self.start_snapshot(&mut crank);
        while crank.log.as_ref().is_some_and(Log::is_saving) {
            self.snapshot_ended.wait(&mut crank);
        }
        match &crank.log {
            Some(log) if log.saved < wanted => {
                let why = log.unsaved.as_ref().map_or("called off", |(why, _)| why);
                Err(Error::NotSaved { why: why.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// The tree and its history as they are now, up to which entry, and who the members are.
    pub(super) fn capture(&self, crank: &Crank) -> (Content, EntryId, Config) {
        // Whoever has the crank is the one who publishes: history is of the same moment.
        let content = self.state.capture(Sessions::default(), Timestamp::default());
        (content, crank.raft.applied(), crank.raft.config().clone())
    }

    pub(super) fn snapshot_header(
        &self,
        kind: SnapshotKind,
        covered: EntryId,
        config: Config,
        meta: Meta,
    ) -> SnapshotHeader {
        SnapshotHeader { kind, identity: self.identity, last: covered, config, meta: codec::encode(&meta) }
    }

    fn end_snapshot(&self, disk: &Arc<dyn Disk>, covered: EntryId, saved: Result<(), WalError>) {
        let mut crank = self.round.crank();
        let Some(log) = &mut crank.log else { return };
        log.saving = None;
        let is_saved = saved.is_ok();
        let adopted = saved.and_then(|()| log.adopt(covered));
        match adopted {
            // The mark is durable: what is older is not needed again.
            Ok(()) => log.hand_out(),
            Err(error) => {
                log.unsaved = Some((error.to_string(), self.now().after(SNAPSHOT_PAUSE)));
                // No write was in that sync, but no later one can be believed.
                if log.wal.is_poisoned() {
                    crank.failure.get_or_insert(Arc::new(error.into()));
                }
            }
        }
        drop(crank);
        self.snapshot_ended.notify_all();
        // Whole and under its name it takes the place of older ones, whether the log has a mark of it or not.
        if is_saved {
            let _ = wal::remove_snapshots_before(disk, covered.index);
        }
    }

    /// Tells the keepers to end, and a snapshot under way to give up.
    pub(super) fn stop_keeping(&self) {
        if let Some(log) = &mut self.round.crank().log {
            log.keepers = None;
            if let Some(stop) = &log.saving {
                stop.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Closes the log; nothing can be written from now on.
    pub(super) fn close_log(&self) {
        let mut crank = self.round.crank();
        crank.failure.get_or_insert_with(|| Arc::new(Error::Closed));
        if let Some(log) = crank.log.take() {
            // What a failure here leaves behind is what a crash would: the next to open it recovers.
            let _ = log.wal.close();
        }
    }

    /// Syncs a little after something was written, for as long as somebody may write.
    fn sync_behind(&self, written: &Receiver<()>, closing: &Receiver<Never>) {
        while written.recv().is_ok() {
            // More will come: one sync for all of it. Writers find the signal given and need not give it again.
            let wait = closing.recv_timeout(SYNC_DELAY);
            let _ = written.try_recv();
            self.sync_now();
            if wait == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }

    fn sync_now(&self) {
        let syncer = match &mut self.round.crank().log {
            Some(log) => log.wal.syncer(),
            None => return,
        };
        if let Err(error) = syncer.run() {
            self.round.crank().failure.get_or_insert(Arc::new(error.into()));
        }
    }

    /// Does the jobs, one by one; the log learns from each what came of it.
    fn prepare(&self, jobs: &Receiver<SpareJob>) {
        for job in jobs {
            // One leads to the next, or released segments would stay for as long as nobody writes. What failed
            // is tried again at the pace of those who do.
            if job.run().is_ok()
                && let Some(log) = &mut self.round.crank().log
            {
                log.hand_out();
            }
        }
    }
}
