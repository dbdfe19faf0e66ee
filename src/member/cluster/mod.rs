//! A member among others: the threads, the clock and the sockets around a [`Replica`](crate::replica::Replica).
//!
//! ```text
//!   callers ── write, read, ask ──► inbox ──► crank: Replica::step, flush ──► answers
//!   net ────── what peers say ────►  ▲             │
//!   ticks ─────────────────────────► │             ├──► disk thread: one sync at a time, and what waited for it
//!                                    └─ synced, ───├──► jobs threads: segments, snapshots
//!                                       done       └──► net: written at once, or by the writer of the peer
//! ```
//! Whoever brings something turns the [`crank`] if it is free, a caller as well as a reader of the net: a lone write
//! goes to the disk and to the peers without waking a thread. Who turns decides nothing: it takes what waits, steps the
//! replica with each, lets one sync cover all of it, and carries out what the replica asks for. It never waits for a disk
//! or a socket, so heartbeats do not either.
//!
//! Invariants:
//! - Writes of one caller enter the replica in the order in which they were handed in; see [`waiting`].
//! - Everything that is handed in is answered once: by what came of it, at its deadline, or when the member closes.
//! - Answers are given when the write is applied here and told to the watchers.

pub(crate) mod admission;
mod core;
mod crank;
mod founding;
mod health;
mod inquiry;
mod joining;
mod mail;
mod picture;
mod settings;
mod sync;
mod threads;
mod traffic;
mod waiting;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_utils::sync::ShardedLockReadGuard;
use parking_lot::Mutex;

use super::callbacks::Callbacks;
use super::clock::Clock;
use super::pending::{self, Answer, Outcome, Pending};
use super::slot::Slot;
use super::{Facts, LogFacts, Settings};
use crate::codec;
#[cfg(feature = "http")]
use crate::entry::EntryId;
use crate::error::Error;
use crate::net::{Endpoint, TurnedAway};
use crate::raft::{Denied, Granted, Request};
use crate::replica::{Captured, State};
use crate::tree::{Command, Tree};
use crate::types::Timestamp;
#[cfg(feature = "http")]
use crate::types::{LogIndex, Term};
use crate::wal::{Disk, FileDisk, Identity};
use crate::watch::{Watch, WatchRequest};
pub(crate) use picture::{Head, PeerFacts, Picture};
pub(crate) use settings::ClusterSettings;
use threads::Inbox;
pub use traffic::{Flow, Follower, Latency, Traffic};
use waiting::{Asked, Ticket, Waiter};

/// How long a change of the members waits before it is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// What a write that waits takes in memory besides its command, roughly.
const WAITING_BYTES: usize = 300;

/// What the handle tells the core.
enum Wish {
    Wait(Waiter),
    Capture { ticket: Ticket<Option<Captured>> },
    Save { ticket: Ticket<Result<(), String>> },
    Close,
}

/// One member of a cluster, from when it is opened until [`Clustered::close`].
pub(crate) struct Clustered {
    identity: Identity,
    settings: Settings,
    clock: Clock,
    state: Arc<State>,
    inbox: Arc<Inbox>,
    /// What writes that the core has not taken yet weigh.
    queued: Arc<AtomicUsize>,
    picture: Arc<Picture>,
    callbacks: Arc<Callbacks>,
    endpoint: Arc<Endpoint>,
    request_timeout: Duration,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Clustered {
    /// Opens the member whose directory is at `path`.
    pub(crate) fn open(
        path: &Path,
        settings: Settings,
        cluster: &ClusterSettings,
    ) -> Result<Arc<Self>, Error> {
        settings.check()?;
        cluster.check()?;
        Self::open_on(Arc::new(FileDisk::open(path, true)?), settings, cluster)
    }

    /// Opens the member that `disk` holds.
    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        settings: Settings,
        cluster: &ClusterSettings,
    ) -> Result<Arc<Self>, Error> {
        settings.check()?;
        cluster.check()?;
        founding::open(disk, settings, cluster)
    }

    /// Writes and waits for the answer.
    pub(crate) fn write(&self, command: &Command) -> Answer {
        pending::wait(&*self.hand_in(command)?)
    }

    /// Writes without waiting for the answer. Refuses when too much waits already.
    pub(crate) fn submit<T: Outcome>(&self, command: &Command) -> Pending<T> {
        if self.queued.load(Ordering::Relaxed) > self.settings.queue_bytes {
            return Pending::answered(Err(Error::Busy));
        }
        self.pending(self.hand_in(command))
    }

    fn hand_in(&self, command: &Command) -> Result<Arc<Slot<Answer>>, Error> {
        let limit = self.settings.tree_bytes;
        if !command.is_freeing() && self.tree().bytes() >= limit {
            let taken = self.tree().bytes();
            let what = format!("the tree takes {taken} bytes (setting `tree_bytes`: {limit})");
            return Err(Error::NoSpace { what });
        }
        let command: Arc<[u8]> = codec::encode(command).into();
        self.queued.fetch_add(command.len() + WAITING_BYTES, Ordering::Relaxed);
        let (ticket, slot) = Ticket::new();
        self.wish(Wish::Wait(Waiter::Write { command, ticket }))?;
        Ok(slot)
    }

    fn pending<T: Outcome>(&self, slot: Result<Arc<Slot<Answer>>, Error>) -> Pending<T> {
        match slot {
            Ok(slot) => Pending::new(slot, Some(Arc::clone(&self.callbacks))),
            Err(error) => Pending::answered(Err(error)),
        }
    }

    /// To be waited for before a read that must see whatever was answered to anybody before it began.
    pub(crate) fn latest<T: Outcome>(&self) -> Pending<T> {
        let (ticket, slot) = Ticket::new();
        self.pending(self.wish(Wish::Wait(Waiter::Latest { ticket })).map(|()| slot))
    }

    /// Waits until [`Clustered::latest`] is done.
    pub(crate) fn wait_for_latest(&self) -> Result<(), Error> {
        self.latest::<()>().wait_soon()
    }

    /// Asks the leader for what only a leader can do.
    pub(crate) fn ask(&self, request: Request) -> Result<Granted, Error> {
        let (ticket, slot) = Ticket::new();
        self.wish(Wish::Wait(Waiter::Ask { request, ticket }))?;
        let answer = slot.wait(|| None).expect("there is no end to waiting but an answer");
        answer.map_err(|asked| match asked {
            Asked::Denied(Denied::NoLeader) => Error::NoLeader,
            Asked::Denied(reason) => Error::Denied { reason },
            Asked::Unknown => Error::Unavailable { may_have_applied: true, cause: Arc::new(Error::NoLeader) },
            Asked::Closed => Error::Closed,
        })
    }

    fn wish(&self, wish: Wish) -> Result<(), Error> {
        if self.inbox.bring(core::Event::Wish(wish)) { Ok(()) } else { Err(Error::Closed) }
    }

    pub(crate) fn tree(&self) -> ShardedLockReadGuard<'_, Tree> {
        self.state.tree()
    }

    /// The present moment in log time, as far as this member can tell: never before the newest entry that it applied.
    pub(crate) fn now(&self) -> Timestamp {
        self.picture.log_time(&self.clock).max(self.tree().time())
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
        self.picture.waiting()
    }

    pub(crate) fn picture(&self) -> &Picture {
        &self.picture
    }

    pub(crate) fn watch(&self, request: WatchRequest) -> Watch {
        // The thread that serves laggards looks for them by itself.
        let (watch, _) = self.state.begin_watch(request);
        watch
    }

    /// How the log is doing, and what is wrong, in words.
    pub(crate) fn log_status(&self) -> (Option<LogFacts>, Vec<String>) {
        let picture = &self.picture;
        let facts = LogFacts {
            bytes: picture.log_bytes(),
            applied: picture.applied(),
            saved: picture.saved(),
            is_saving: picture.is_saving(),
            unsaved: None,
            is_short: false,
        };
        (Some(facts), picture.head().problems(self.identity.member))
    }

    /// How far the tree has applied the log, and the term of what it applied last.
    #[cfg(feature = "http")]
    pub(crate) fn position(&self) -> (LogIndex, Term) {
        let EntryId { term, index } = self.picture.applied();
        (index, term)
    }

    /// Where it listens for peers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.endpoint.local_addr()
    }

    /// Whom it has turned away there.
    pub(crate) fn turned_away(&self) -> Vec<TurnedAway> {
        self.endpoint.stats().turned_away
    }

    /// How long this leader has led, or nobody has, as far as is known here.
    #[cfg(feature = "http")]
    pub(crate) fn leader_for(&self) -> Duration {
        Clock::since(self.picture.head().leader_since)
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Waits until what is known of the cluster is as wanted.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`].
    pub(crate) fn wait_for(&self, timeout: Duration, is_wanted: impl Fn(&Head) -> bool) -> Result<(), Error> {
        if self.picture.wait_for(Clock::in_(timeout), is_wanted) { Ok(()) } else { Err(Error::TimedOut) }
    }

    /// The moment that lies `duration` ahead.
    pub(crate) fn in_(&self, duration: Duration) -> Instant {
        Clock::in_(duration)
    }

    /// How long it is until `end`.
    pub(crate) fn until(&self, end: Instant) -> Duration {
        Clock::until(end)
    }

    /// Waits a little, until something is worth being tried again. False when `end` has come.
    pub(crate) fn pause_until(&self, end: Instant) -> bool {
        let pause = Clock::in_(RETRY_PAUSE).min(end);
        self.picture.wait_for(pause, |_| false);
        !Clock::until(end).is_zero()
    }

    /// Takes a snapshot, and returns when it is on disk.
    pub(crate) fn save(&self) -> Result<(), Error> {
        let (ticket, slot) = Ticket::new();
        self.wish(Wish::Save { ticket })?;
        let saved = slot.wait(|| None).expect("there is no end to waiting but an answer");
        saved.map_err(|why| Error::NotSaved { why })
    }

    /// Writes everything as it is here now to `writer`.
    pub(crate) fn backup(&self, writer: impl Write) -> Result<Facts, Error> {
        let (ticket, slot) = Ticket::new();
        self.wish(Wish::Capture { ticket })?;
        let captured = slot.wait(|| None).expect("there is no end to waiting but an answer");
        let (header, content) = captured.ok_or(Error::Closed)?;
        super::backup::write(&header, &content, writer)
    }

    /// Ends the member: who waits is told, a leader hands over, threads stop, connections end. Once is enough.
    pub(crate) fn close(&self) {
        let _ = self.wish(Wish::Close);
        let mut threads = std::mem::take(&mut *self.threads.lock()).into_iter();
        // The core's is the first. When it has ended nothing changes any more: those who watch have been told everything.
        if let Some(core) = threads.next() {
            let _ = core.join();
        }
        self.state.close();
        for thread in threads {
            let _ = thread.join();
        }
        self.callbacks.close();
    }
}
