//! What all threads of an endpoint share, and how they end.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, select};
use parking_lot::{Condvar, Mutex};

use super::bucket::Bucket;
use super::event::{Budget, Event};
use super::peer::Peer;
use super::secret::Secret;
use super::settings::{Settings, Speaker};
use super::stats::Counters;
use crate::types::MemberId;

/// What all threads of an endpoint share.
pub(super) struct Shared {
    pub(super) speaker: Speaker,
    pub(super) secret: Option<Secret>,
    pub(super) settings: Settings,
    /// Everybody who is a peer, or has been here. Locked for moments only.
    pub(super) peers: Mutex<BTreeMap<MemberId, Arc<Peer>>>,
    pub(super) counters: Counters,
    pub(super) budget: Arc<Budget>,
    pub(super) bucket: Mutex<Bucket>,
    pub(super) stop: Stop,
    pub(super) sockets: Arc<Sockets>,
    pub(super) threads: Arc<Threads>,
    /// Callers in the handshake.
    pub(super) handshakes: AtomicUsize,
    events: Sender<Event>,
    /// The owner's, see [`told`](Self::told).
    on_told: Box<dyn Fn() + Send + Sync>,
    last_number: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        speaker: Speaker,
        secret: Option<Secret>,
        settings: Settings,
        events: Sender<Event>,
        on_told: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            speaker,
            secret,
            peers: Mutex::default(),
            counters: Counters::default(),
            budget: Budget::new(settings.incoming_bytes_max),
            bucket: Mutex::new(Bucket::new(settings.bulk_bytes_per_second)),
            stop: Stop::new(),
            sockets: Arc::default(),
            threads: Arc::default(),
            handshakes: AtomicUsize::new(0),
            events,
            on_told: Box::new(on_told),
            last_number: AtomicU64::new(0),
            settings,
        }
    }

    /// A number greater than those before, for sessions.
    pub(super) fn next_number(&self) -> u64 {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Puts something into the owner's channel, once it has room; whether it did. Not when stopped, or when the owner listens no more.
    pub(super) fn emit(&self, event: Event) -> bool {
        select! {
            send(self.events, event) -> sent => sent.is_ok(),
            recv(self.stop.closed) -> _ => false,
        }
    }

    /// The owner is to look into its channel. No lock is held here: it may send, and do as it likes.
    pub(super) fn told(&self) {
        (self.on_told)();
    }
}

/// The end of an endpoint: told to threads that ask, and to those that wait.
pub(super) struct Stop {
    stopped: AtomicBool,
    /// Disconnected when stopped.
    closed: Receiver<()>,
    keep: Mutex<Option<Sender<()>>>,
}

impl Stop {
    fn new() -> Self {
        let (keep, closed) = crossbeam_channel::bounded(0);
        Self { stopped: AtomicBool::new(false), closed, keep: Mutex::new(Some(keep)) }
    }

    /// Whether this is the first call.
    pub(super) fn set(&self) -> bool {
        let first = !self.stopped.swap(true, Ordering::SeqCst);
        self.keep.lock().take();
        first
    }

    pub(super) fn is_set(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Waits for so long, or until stopped; whether it was stopped.
    pub(super) fn wait(&self, duration: Duration) -> bool {
        // Nothing is ever sent: it either times out or is disconnected.
        let _ = self.closed.recv_timeout(duration);
        self.is_set()
    }

    /// Disconnected when stopped, for use in `select!`.
    pub(super) fn closed(&self) -> &Receiver<()> {
        &self.closed
    }
}

/// The open connections, so that stopping can end them all: it wakes whoever reads or writes.
#[derive(Default)]
pub(super) struct Sockets {
    state: Mutex<SocketsState>,
}

#[derive(Default)]
struct SocketsState {
    open: BTreeMap<u64, Arc<TcpStream>>,
    last: u64,
    closed: bool,
}

impl Sockets {
    /// Keeps the connection until what is returned is dropped; `None` when stopped.
    pub(super) fn keep(self: &Arc<Self>, socket: &Arc<TcpStream>) -> Option<KeptSocket> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        state.last += 1;
        let key = state.last;
        state.open.insert(key, Arc::clone(socket));
        Some(KeptSocket { sockets: Arc::clone(self), key })
    }

    /// Ends all, and all that come.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        for socket in state.open.values() {
            // One that is closed already is what is wanted.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// A connection that stopping ends.
pub(super) struct KeptSocket {
    sockets: Arc<Sockets>,
    key: u64,
}

impl Drop for KeptSocket {
    fn drop(&mut self) {
        self.sockets.state.lock().open.remove(&self.key);
    }
}

/// How many threads there are, so that stopping can wait for their end.
#[derive(Default)]
pub(super) struct Threads {
    running: Mutex<usize>,
    ended: Condvar,
}

impl Threads {
    /// Runs `work` on a thread of its own.
    pub(super) fn spawn(
        self: &Arc<Self>,
        name: String,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        *self.running.lock() += 1;
        let running = Running(Arc::clone(self));
        // Dropped unrun when the thread cannot be made, and then counted out again.
        thread::Builder::new().name(name).spawn(move || {
            let _running = running;
            work();
        })?;
        Ok(())
    }

    /// Waits until all have ended, or for so long.
    pub(super) fn wait(&self, timeout: Duration) {
        let mut running = self.running.lock();
        while *running > 0 && !self.ended.wait_for(&mut running, timeout).timed_out() {}
    }
}

struct Running(Arc<Threads>);

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.running.lock() -= 1;
        self.0.ended.notify_all();
    }
}
