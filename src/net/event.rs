//! What an endpoint tells its owner.

use std::fmt;
use std::sync::Arc;

use crossbeam_channel::Sender;
use parking_lot::{Condvar, Mutex};

use super::frame::Span;
use super::queue::Class;
use crate::types::{BootId, MemberId};

/// A session with a peer: one connection, from the end of its handshake on. Greater than those before on this endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(super) u64);

impl SessionId {
    /// The plain number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What an endpoint tells its owner.
///
/// For each peer: `Connected`, `Messages` of that session, and then `Disconnected`, or the next `Connected`, which
/// replaces the session without a `Disconnected` in between. No message of a session comes after that. Bulk messages
/// come in sessions of their own, which are not announced; those of an earlier life of the peer do not come after the
/// `Connected` of a later one.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A connection is up.
    Connected {
        /// With whom.
        member: MemberId,
        /// In which of its lives.
        boot: BootId,
        /// The session that begins.
        session: SessionId,
    },
    /// Messages have come: all that could be read at once.
    Messages {
        /// From whom. The handshake, and a secret if there is one, vouch for it.
        from: MemberId,
        /// In which session.
        session: SessionId,
        /// The messages.
        frames: Frames,
    },
    /// The connection has ended: at once when the peer's process did.
    Disconnected {
        /// With whom.
        member: MemberId,
        /// The session that has ended.
        session: SessionId,
    },
    /// Bulk messages, which were refused since too many waited, can be sent again: what waited was sent, or dropped
    /// with the connection.
    Room {
        /// To whom.
        member: MemberId,
    },
    /// Somebody wants to join.
    Join(JoinRequest),
}

/// Messages that came together, in order.
///
/// They count towards [`Settings::incoming_bytes_max`](super::Settings::incoming_bytes_max) until this is dropped.
pub struct Frames {
    pub(super) bytes: Vec<u8>,
    pub(super) spans: Vec<Span>,
    pub(super) _claim: Claim,
}

impl Frames {
    /// The messages, each with its class.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Class, &[u8])> {
        self.spans.iter().map(|span| {
            // Connections allow no other kinds here; the class of one that carries none would not matter.
            (Class::of(span.kind).unwrap_or(Class::Data), &self.bytes[span.start..span.end])
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none, which never happens to those in an [`Event`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} frames in {} bytes", self.spans.len(), self.bytes.len())
    }
}

/// Somebody who is no member yet wants to become one.
pub struct JoinRequest {
    pub(super) bytes: Vec<u8>,
    pub(super) answer: Sender<Vec<u8>>,
}

impl JoinRequest {
    /// What it says.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Answers it. Never blocks; whether the answer arrives is not known. Dropping the request closes the connection.
    pub fn answer(self, bytes: Vec<u8>) {
        // Whoever asked may have given up: then there is nobody to tell.
        let _ = self.answer.try_send(bytes);
    }
}

impl fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a request to join of {} bytes", self.bytes.len())
    }
}

/// How many bytes the owner holds, of how many.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_max: usize,
    state: Mutex<BudgetState>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct BudgetState {
    held: usize,
    closed: bool,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, state: Mutex::default(), freed: Condvar::new() })
    }

    /// Waits until there is room for `bytes`, or nothing is held at all; `None` once closed.
    pub(super) fn claim(self: &Arc<Self>, bytes: usize) -> Option<Claim> {
        let mut state = self.state.lock();
        while !state.closed && state.held > 0 && state.held.saturating_add(bytes) > self.bytes_max {
            self.freed.wait(&mut state);
        }
        if state.closed {
            return None;
        }
        state.held += bytes;
        Some(Claim { bytes, budget: Arc::clone(self) })
    }

    /// Lets nobody wait any more.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.freed.notify_all();
    }

    pub(super) fn held(&self) -> usize {
        self.state.lock().held
    }
}

/// A part of the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    bytes: usize,
    budget: Arc<Budget>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.budget.state.lock().held -= self.bytes;
        self.budget.freed.notify_all();
    }
}
