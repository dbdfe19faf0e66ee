//! A peer, its connections, and which of them counts.
//!
//! ```text
//!   peer ─┬─ messages   one connection, both ways, whoever opened it
//!         ├─ bulk out   opened here when there is something to send
//!         └─ bulk in    opened there
//! ```
//! Both ends of a pair may call each other, since perhaps only one knows an address of the other. So two connections
//! may come up at a time, and both ends must keep the same one: the member with the smaller id numbers the sessions of
//! the pair, and the greatest (boot, number) stays. A bulk connection is numbered by whoever opened it.
//!
//! The *gate* of a peer is held while one of its sessions begins, ends, or hands something to the owner. Hence nothing
//! of an older session comes after a newer one is up. It is held while waiting for room in the owner's channel, so
//! nothing that the owner calls takes it.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::error::{Refusal, Unsent};
use super::event::{Event, SessionId};
use super::handshake::Purpose;
use super::pen::Pen;
use super::queue::{Class, PIECE_BYTES, Queue, messages_in};
use super::settings::Settings;
use super::shared::Shared;
use crate::types::{BootId, MemberId};

/// So much is written at once by whoever sends, about, before it is looked whether anything more urgent has come.
const AT_ONCE_BYTES: usize = PIECE_BYTES;

/// Which of a peer's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Messages,
    BulkOut,
    BulkIn,
}

impl Lane {
    const ALL: [Self; 3] = [Self::Messages, Self::BulkOut, Self::BulkIn];

    /// What its handshake says.
    pub(super) fn purpose(self) -> Purpose {
        match self {
            Self::Messages => Purpose::Messages,
            Self::BulkOut | Self::BulkIn => Purpose::Bulk,
        }
    }
}

/// Which of two sessions of a pair is newer; alike at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) boot: BootId,
    pub(super) number: u64,
}

/// A connection whose handshake is done.
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) lane: Lane,
    /// The peer's life.
    boot: BootId,
    rank: Rank,
    pub(super) socket: Arc<TcpStream>,
    /// A frame has come.
    pub(super) heard: AtomicBool,
}

impl Session {
    /// Ends the connection, which wakes whoever reads or writes.
    pub(super) fn close(&self) {
        // One that is closed already is what is wanted.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Another member.
pub(super) struct Peer {
    pub(super) member: MemberId,
    /// It was named by the owner; otherwise it came by itself.
    pub(super) is_named: AtomicBool,
    /// The newest life that was heard of. Written with the gate held.
    newest_boot: AtomicU64,
    gate: Mutex<()>,
    lines: [Line; 3],
}

/// One of a peer's connections, or the place for it.
pub(super) struct Line {
    pub(super) state: Mutex<LineState>,
    /// There is something to send, or the session is over.
    pub(super) writable: Condvar,
    /// There is a reason to call, or to stop calling.
    pub(super) callable: Condvar,
}

/// The state of a [`Line`]. Locked for moments only.
pub(super) struct LineState {
    pub(super) queue: Queue,
    pub(super) session: Option<Arc<Session>>,
    /// The session's, unless somebody writes with it.
    pub(super) pen: Option<Pen>,
    /// Something was written since the writer looked last.
    pub(super) was_written: bool,
    /// Where the peer may be called; nowhere if empty.
    pub(super) addresses: Vec<String>,
    /// A thread does the calling.
    pub(super) has_dialler: bool,
    /// Why the last call came to nothing, if it was refused at either end.
    pub(super) refusal: Option<String>,
}

impl LineState {
    pub(super) fn is_current(&self, session: &Session) -> bool {
        self.session.as_ref().is_some_and(|current| current.id == session.id)
    }
}

impl Peer {
    pub(super) fn new(member: MemberId, settings: &Settings) -> Self {
        let line = || Line {
            state: Mutex::new(LineState {
                queue: Queue::new(settings.outgoing_bytes_max, settings.outgoing_messages_max),
                session: None,
                pen: None,
                was_written: false,
                addresses: Vec::new(),
                has_dialler: false,
                refusal: None,
            }),
            writable: Condvar::new(),
            callable: Condvar::new(),
        };
        Self {
            member,
            is_named: AtomicBool::new(false),
            newest_boot: AtomicU64::new(0),
            gate: Mutex::new(()),
            lines: [line(), line(), line()],
        }
    }

    pub(super) fn line(&self, lane: Lane) -> &Line {
        &self.lines[lane as usize]
    }

    /// Takes a message to be sent, and sends it if that can be done at once.
    pub(super) fn send(&self, shared: &Shared, class: Class, message: Vec<u8>) -> Result<Sending, Unsent> {
        let lane = if class == Class::Bulk { Lane::BulkOut } else { Lane::Messages };
        let line = self.line(lane);
        let mut state = line.state.lock();
        let can_call = lane == Lane::BulkOut && !state.addresses.is_empty();
        if state.session.is_none() && !can_call {
            return Err(Unsent::NotConnected);
        }
        state.queue.push(class, message)?;
        if let Some(session) = state.session.clone() {
            if lane == Lane::Messages {
                self.write_now(shared, &session, state);
            } else {
                line.writable.notify_one();
            }
            return Ok(Sending::Queued);
        }
        if state.has_dialler {
            return Ok(Sending::Queued);
        }
        state.has_dialler = true;
        Ok(Sending::WantsDialler)
    }

    /// Writes what waits, if nobody else does, as far as that goes without waiting. The rest is the writer's.
    fn write_now<'a>(&'a self, shared: &Shared, session: &Session, mut state: MutexGuard<'a, LineState>) {
        let line = self.line(session.lane);
        let mut batch = Vec::new();
        while cfg!(target_os = "linux")
            && state.queue.bytes_of_next().is_some_and(|bytes| bytes <= AT_ONCE_BYTES)
            && let Some(mut pen) = state.pen.take_if(|pen| !pen.has_unsent())
        {
            state.queue.take(AT_ONCE_BYTES, &mut batch);
            drop(state);
            let written = pen.write_now(&session.socket, &batch);
            state = line.state.lock();
            let Ok(bytes) = written else {
                // The reader does the rest.
                return session.close();
            };
            if !state.is_current(session) {
                return;
            }
            state.pen = Some(pen);
            state.was_written = true;
            shared.counters.messages_sent.add(messages_in(&batch));
            shared.counters.bytes_sent.add(bytes);
            batch.clear();
        }
        // Where somebody else writes, the queue is looked at afterwards.
        let is_left = !state.queue.is_empty() || state.pen.as_ref().is_some_and(Pen::has_unsent);
        if is_left && state.pen.is_some() {
            line.writable.notify_one();
        }
    }

    /// Wakes all threads that wait for something to do.
    pub(super) fn wake(&self) {
        for line in &self.lines {
            // With the lock, so that nobody is between looking and waiting.
            let _state = line.state.lock();
            line.writable.notify_all();
            line.callable.notify_all();
        }
    }

    /// Ends the sessions that are up.
    pub(super) fn disconnect(&self) {
        for line in &self.lines {
            if let Some(session) = &line.state.lock().session {
                session.close();
            }
        }
    }

    /// Whether a session of this rank, of this life of the peer, would be newer than what is up.
    pub(super) fn admit(&self, lane: Lane, boot: BootId, rank: Rank) -> Result<(), Refusal> {
        if boot.get() < self.newest_boot.load(Ordering::Relaxed) {
            return Err(Refusal::OldBoot);
        }
        let state = self.line(lane).state.lock();
        match &state.session {
            Some(current) if current.rank >= rank => Err(Refusal::OldSession),
            _ => Ok(()),
        }
    }

    /// Notes why a call came to nothing: what was refused at its addresses, in words as well.
    pub(super) fn note(&self, lane: Lane, refusals: Vec<(Refusal, String)>) {
        let mut state = self.line(lane).state.lock();
        // One that passes says nothing about those that do not.
        if refusals.iter().all(|(refusal, _)| !refusal.is_passing()) {
            state.refusal = None;
        }
        if let Some((_, words)) = refusals.into_iter().find(|(refusal, _)| !refusal.is_passing()) {
            state.refusal = Some(words);
        }
    }

    /// Makes the connection the one that counts, and tells the owner.
    pub(super) fn begin(
        &self,
        shared: &Shared,
        lane: Lane,
        boot: BootId,
        rank: Rank,
        socket: Arc<TcpStream>,
        pen: Option<Pen>,
    ) -> Result<Arc<Session>, Refusal> {
        let gate = self.gate.lock();
        self.admit(lane, boot, rank)?;
        if boot.get() > self.newest_boot.load(Ordering::Relaxed) {
            self.newest_boot.store(boot.get(), Ordering::Relaxed);
            self.end_earlier_lives(shared, &gate, boot);
        }
        let id = SessionId(shared.next_number());
        let session = Arc::new(Session { id, lane, boot, rank, socket, heard: AtomicBool::new(false) });
        let line = self.line(lane);
        {
            let mut state = line.state.lock();
            if let Some(older) = state.session.replace(Arc::clone(&session)) {
                older.close();
                // What waits was meant for the session that is replaced.
                shared.counters.messages_dropped.add(state.queue.clear());
            }
            state.pen = pen;
            state.refusal = None;
            line.writable.notify_all();
            line.callable.notify_all();
        }
        if lane == Lane::Messages {
            shared.emit(Event::Connected { member: self.member, boot, session: id });
        }
        Ok(session)
    }

    /// Hands something of a session to the owner, unless the session is over.
    pub(super) fn deliver(&self, shared: &Shared, session: &Session, event: Event) -> bool {
        let _gate = self.gate.lock();
        let is_current = self.line(session.lane).state.lock().is_current(session);
        is_current && shared.emit(event)
    }

    /// Ends a session, and tells the owner if it was the one that counts.
    pub(super) fn end(&self, shared: &Shared, session: &Session) {
        session.close();
        let gate = self.gate.lock();
        let is_current = self.line(session.lane).state.lock().is_current(session);
        if is_current {
            self.clear(shared, &gate, session.lane);
        }
    }

    /// Drops what waits to be sent in bulk since there is no way to the peer.
    pub(super) fn give_up_bulk(&self, shared: &Shared) {
        let gate = self.gate.lock();
        if self.line(Lane::BulkOut).state.lock().session.is_none() {
            self.clear(shared, &gate, Lane::BulkOut);
        }
    }

    /// A later life is there: nothing of earlier ones may come any more.
    fn end_earlier_lives(&self, shared: &Shared, gate: &MutexGuard<'_, ()>, boot: BootId) {
        for lane in Lane::ALL {
            let earlier = self.line(lane).state.lock().session.clone().filter(|session| session.boot < boot);
            if let Some(session) = earlier {
                session.close();
                self.clear(shared, gate, lane);
            }
        }
    }

    /// Forgets the session of a line, and what waits for it.
    fn clear(&self, shared: &Shared, _gate: &MutexGuard<'_, ()>, lane: Lane) {
        let line = self.line(lane);
        let (session, has_room) = {
            let mut state = line.state.lock();
            shared.counters.messages_dropped.add(state.queue.clear());
            line.writable.notify_all();
            line.callable.notify_all();
            state.pen = None;
            (state.session.take(), state.queue.has_room_again())
        };
        if let (Lane::Messages, Some(session)) = (lane, session) {
            shared.emit(Event::Disconnected { member: self.member, session: session.id });
        }
        if has_room && lane == Lane::BulkOut {
            shared.emit(Event::Room { member: self.member });
        }
    }
}

/// What became of a message that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// Somebody takes care of it.
    Queued,
    /// Somebody has to call the peer first: the caller sees to it.
    WantsDialler,
}
