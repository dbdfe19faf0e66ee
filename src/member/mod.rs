//! A member: the owner of tree, watches, Raft and log. It has the only threads and the only clock.
//!
//! ```text
//!   write ──► lone caller ─────────────┐
//!   submit ─► queue ──► worker ────────┴──► the crank: one turn at a time
//!
//!   a turn:  take what waits ─► raft: propose ─► log: append, one sync ─► raft: persisted ─► tree: apply
//!                 answers and callbacks ◄─ hub: publish ◄──────────────────────────────────────┘
//! ```
//! Alone, a caller that finds the crank free and nobody waiting turns it itself: a hand-over to another thread
//! costs a tenth of a sync. Everybody else leaves the write in the queue for the worker, and while a sync runs the
//! queue fills: group commit follows by itself. The worker also wakes when a key is due, and for nothing else. Callbacks
//! have a thread of their own, once there are any.
//!
//! Locks, in the order in which they may be taken: crank, queue, tree. The hub's lock stands alone: it is taken
//! while the crank is held, never while the tree is. No callback runs under any of them.
//!
//! Invariants:
//! - Writes enter the log in the order of the queue; see [`round`].
//! - A write is answered after it is durable, applied and published. Each is answered, whatever happens.
//! - After a failure of the log nothing is acknowledged any more; reads go on.

mod backup;
mod callbacks;
mod clock;
#[cfg(feature = "cluster")]
mod cluster;
mod engine;
mod future;
mod keeper;
mod open;
mod pending;
mod recover;
mod round;
mod settings;
mod slot;
mod sync;
mod turn;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_utils::sync::ShardedLockReadGuard;
use parking_lot::{Condvar, Mutex};

use crate::error::Error;
use crate::raft::Role;
use crate::replica::State;
use crate::tree::{Command, Tree};
use crate::types::Timestamp;
#[cfg(feature = "http")]
use crate::types::{LogIndex, Term};
use crate::wal::Identity;
use crate::watch::{CatchUp, Watch, WatchRequest};
pub(crate) use backup::{Facts, restore, verify_backup, verify_directory};
use callbacks::Callbacks;
use clock::Clock;
#[cfg(feature = "cluster")]
pub(crate) use cluster::admission;
#[cfg(feature = "cluster")]
pub(crate) use cluster::{ClusterSettings, Clustered, Head, PeerFacts};
#[cfg(feature = "cluster")]
pub use cluster::{Flow, Follower, Latency, Traffic};
pub(crate) use engine::Engine;
#[cfg(feature = "http")]
use keeper::Log;
pub(crate) use keeper::LogFacts;
pub(crate) use pending::Answer;
pub(crate) use pending::sealed::FromWritten;
pub use pending::{Outcome, Pending};
pub(crate) use recover::Survivor;
use round::{Closed, Round};
pub use settings::Durability;
pub(crate) use settings::Settings;
use slot::Slot;
use turn::{Crank, Proposal, Reply};

/// How long the worker leaves expiry alone when the log had no room for it.
const EXPIRY_PAUSE: Duration = Duration::from_millis(500);

/// A turn that takes no longer than this, in the clock's milliseconds, is quick.
const QUICK: Duration = Duration::from_millis(2);

/// A turn takes no more than this at once, so that one sync does not keep the first waiting for the last.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_WRITES: usize = 1024;

/// What a write that waits takes in memory besides its payload, roughly: more than it takes besides in a record, so
/// that what is taken by this weight fits into one.
const WAITING_BYTES: usize = 300;
const _: () = assert!(WAITING_BYTES >= keeper::ENTRY_BYTES);

/// One member, from when it is opened until [`Member::close`].
pub(crate) struct Member {
    identity: Identity,
    settings: Settings,
    clock: Clock,
    state: State,
    round: Round<Crank, Proposal>,
    /// Tells whoever waits for room in the log that a snapshot has ended. Goes with the crank.
    snapshot_ended: Condvar,
    /// Before this moment of log time nothing expires: the log could not take it.
    expire_after: AtomicU64,
    /// How far the tree has applied the log, and in which term.
    applied: AtomicU64,
    term: AtomicU64,
    /// Whether the last turn was over soon enough for a thread that has other things to do.
    is_quick: AtomicBool,
    callbacks: Arc<Callbacks>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// The thread that turns the crank for all who wait.
    worker: Mutex<Option<JoinHandle<()>>>,
    /// For the threads that are started later.
    me: Weak<Self>,
}

impl From<Closed> for Error {
    fn from(Closed: Closed) -> Self {
        Self::Closed
    }
}

impl Member {
    /// Writes and waits for the answer.
    pub(crate) fn write(&self, command: Command) -> Answer {
        let proposal = Proposal::new(command, Reply::turner());
        if let Some(mut crank) = self.round.try_crank() {
            self.wait_for_log_room(&mut crank);
            if self.round.is_idle(&mut crank)? {
                crank.batch.push(proposal);
                return self.turn(&mut crank).expect("a turn answers all it took");
            }
        }
        let slot = Slot::new();
        self.add(proposal.answered_to(&slot))?;
        pending::wait(&slot)
    }

    /// Writes without waiting for the answer. Refuses when too much waits already.
    pub(crate) fn submit<T: Outcome>(&self, command: Command) -> Pending<T> {
        let (_, bytes) = self.round.waiting();
        if bytes > self.settings.queue_bytes {
            return Pending::answered(Err(Error::Busy));
        }
        let slot = Slot::new();
        match self.add(Proposal::new(command, Reply::to(&slot))) {
            Ok(()) => Pending::new(slot, Some(Arc::clone(&self.callbacks))),
            Err(Closed) => Pending::answered(Err(Error::Closed)),
        }
    }

    /// As [`Member::submit`], but writes at once, on this thread, where nobody else is at it and turns have been quick of
    /// late.
    #[cfg(feature = "http")]
    pub(crate) fn write_or_submit<T: Outcome>(&self, command: Command) -> Pending<T> {
        if self.is_quick.load(Ordering::Relaxed)
            && let Some(mut crank) = self.round.try_crank()
            && !crank.log.as_ref().is_some_and(Log::is_over_limit)
            && self.round.is_idle(&mut crank) == Ok(true)
        {
            crank.batch.push(Proposal::new(command, Reply::turner()));
            return Pending::answered(self.turn(&mut crank).expect("a turn answers all it took"));
        }
        self.submit(command)
    }

    fn add(&self, proposal: Proposal) -> Result<(), Closed> {
        let weight = proposal.payload.len() + WAITING_BYTES;
        self.round.add(proposal, weight)
    }

    /// The tree, to read.
    pub(crate) fn tree(&self) -> ShardedLockReadGuard<'_, Tree> {
        self.state.tree()
    }

    /// The present moment in log time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// What there is to read and to watch.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// How many writes wait.
    pub(crate) fn waiting(&self) -> usize {
        self.round.waiting().0
    }

    /// How the log is doing, if there is one, and what is wrong with writing, in words.
    pub(crate) fn log_status(&self) -> (Option<LogFacts>, Vec<String>) {
        let crank = self.round.crank();
        let facts = crank.log.as_ref().map(|log| log.facts(crank.raft.applied()));
        let unsaved = facts.as_ref().and_then(|facts| facts.unsaved.as_ref());
        let mut problems: Vec<String> =
            unsaved.iter().map(|why| format!("the last snapshot failed: {why}")).collect();
        if crank.raft.role() != Role::Leader && crank.failure.is_none() {
            problems.push("the disk has no room for anything: the store can only be read".to_owned());
        } else if facts.as_ref().is_some_and(|facts| facts.is_short) {
            problems.push("the disk has no room for more than deletes".to_owned());
        }
        if self.tree().bytes() >= self.settings.tree_bytes {
            problems.push("the tree is full (setting `tree_bytes`): only deletes are taken".to_owned());
        }
        if let Some(failure) = &crank.failure {
            problems.push(format!("nothing can be written: {failure}"));
        }
        (facts, problems)
    }

    pub(crate) fn watch(self: &Arc<Self>, request: WatchRequest) -> Watch {
        let (watch, catch_up) = self.state.begin_watch(request);
        self.serve(catch_up);
        watch
    }

    /// The worker's life: a turn whenever something waits or is due, until the member is closed.
    fn work(&self) {
        while self.round.sleep(|| self.next_expiry()) {
            self.turn_as_worker();
        }
    }

    fn next_expiry(&self) -> Option<Instant> {
        let wake = self.tree().next_wake()?;
        let after = Timestamp::new(self.expire_after.load(Ordering::Relaxed));
        Some(self.clock.instant_of(wake.max(after)))
    }

    /// Takes what waits and turns the crank once.
    fn turn_as_worker(&self) {
        let mut crank = self.round.crank();
        self.wait_for_log_room(&mut crank);
        let mut batch = std::mem::take(&mut crank.batch);
        let bytes = BATCH_BYTES.min(self.settings.segment_bytes as usize / 4);
        self.round.take(&mut crank, BATCH_WRITES, bytes, &mut batch);
        if batch.is_empty() && self.state.is_anything_due(self.now()) {
            batch.push(Proposal::new(Command::Expire, Reply::nobody()));
        }
        crank.batch = batch;
        if !crank.batch.is_empty() {
            self.turn(&mut crank);
        }
    }

    /// How far the tree has applied the log, and the term of what it applied last.
    #[cfg(feature = "http")]
    pub(crate) fn position(&self) -> (LogIndex, Term) {
        let (index, term) = (self.applied.load(Ordering::Relaxed), self.term.load(Ordering::Relaxed));
        (LogIndex::new(index), Term::new(term))
    }

    /// Starts the thread that serves lagging watchers, when it is asked for.
    fn serve(&self, catch_up: CatchUp) {
        if catch_up == CatchUp::Start {
            let run = |member: &Arc<Self>| member.state.run_catch_up();
            if self.start("spinney-watch", run).is_err() {
                self.state.catch_up_not_started();
            }
        }
    }

    /// Starts a thread of the member's, to be waited for when it is closed.
    fn start(&self, name: &str, run: impl FnOnce(&Arc<Self>) + Send + 'static) -> io::Result<()> {
        let thread = self.spawn(name, run)?;
        let mut threads = self.threads.lock();
        // Those that have ended keep their stacks for as long as somebody may join them.
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    fn spawn(&self, name: &str, run: impl FnOnce(&Arc<Self>) + Send + 'static) -> io::Result<JoinHandle<()>> {
        let member = self.me.upgrade().ok_or_else(|| io::Error::other("the store is being closed"))?;
        thread::Builder::new().name(name.to_owned()).spawn(move || run(&member))
    }

    /// Ends the member: what waits is written and told, streams end, threads stop, the log is closed. Once is enough.
    pub(crate) fn close(&self) {
        self.round.close();
        if let Some(worker) = self.worker.lock().take() {
            let _ = worker.join();
        }
        self.callbacks.close();
        // Nothing changes from here on: those who watch have been told everything, and need not wait for more.
        self.state.close();
        self.stop_keeping();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            let _ = thread.join();
        }
        self.close_log();
    }
}
