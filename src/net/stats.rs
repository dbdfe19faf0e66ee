//! What an endpoint counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::error::Refusal;
use super::event::SessionId;
use crate::types::MemberId;

/// What an endpoint has counted since it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that others opened.
    pub accepted: u64,
    /// Those of them that were closed at once, since too many were in the handshake.
    pub crowded_out: u64,
    /// Callers that spoke something else, or broke off, or took too long.
    pub garbage: u64,
    /// Callers that were refused, by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// Calls of this endpoint that failed, for whatever reason.
    pub dial_failures: u64,
    /// Sessions that ended because something came that is no frame, or not the next one.
    pub broken_frames: u64,
    /// Messages and bulk messages received.
    pub messages_received: u64,
    /// Bytes received in sessions.
    pub bytes_received: u64,
    /// Messages written.
    pub messages_sent: u64,
    /// Bytes written in sessions.
    pub bytes_sent: u64,
    /// Messages not taken, or dropped with the connection.
    pub messages_dropped: u64,
    /// Bytes that the owner holds in [`Frames`](super::Frames), those in the channel included.
    pub incoming_bytes: usize,
    /// The last refusal or failure, in words.
    pub last_refusal: Option<String>,
    /// Why callers and members were turned away, each reason once, in the order in which they first came up.
    pub turned_away: Vec<TurnedAway>,
    /// Each peer, and each stranger that was here.
    pub peers: BTreeMap<MemberId, PeerStats>,
}

/// What was turned away for one reason: there is at most one of these for each.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurnedAway {
    /// The reason.
    pub rejection: Rejection,
    /// How many there were.
    pub count: u64,
    /// Who the first one was, or where it called from, and what was wrong with it.
    pub first: String,
}

/// Why something was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// A caller was refused.
    Refused(Refusal),
    /// A caller spoke something else, or broke off, or took too long.
    Garbage,
    /// A member whose connection stood sent what makes no sense: a frame that is none, which ended the connection, or a message
    /// that was passed over.
    Nonsense,
}

/// What there is to know about one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStats {
    /// The session that is up.
    pub session: Option<SessionId>,
    /// Bytes that wait to be sent to it, with what keeping them costs.
    pub waiting_bytes: usize,
    /// Messages that wait.
    pub waiting_messages: usize,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) accepted: Counter,
    pub(super) crowded_out: Counter,
    pub(super) dial_failures: Counter,
    pub(super) broken_frames: Counter,
    pub(super) messages_received: Counter,
    pub(super) bytes_received: Counter,
    pub(super) messages_sent: Counter,
    pub(super) bytes_sent: Counter,
    pub(super) messages_dropped: Counter,
    words: Mutex<Words>,
}

#[derive(Debug, Default)]
struct Words {
    turned_away: Vec<TurnedAway>,
    last: Option<String>,
}

impl Counters {
    /// Counts what was turned away. Of each kind the first is kept in words, so that it can be told once, and what many say
    /// takes no more room than what one does.
    pub(super) fn turned_away(&self, rejection: Rejection, words: String) {
        let mut state = self.words.lock();
        match state.turned_away.iter_mut().find(|known| known.rejection == rejection) {
            Some(known) => known.count += 1,
            None => state.turned_away.push(TurnedAway { rejection, count: 1, first: words.clone() }),
        }
        state.last = Some(words);
    }

    /// Keeps what went wrong, in words.
    pub(super) fn say(&self, words: String) {
        self.words.lock().last = Some(words);
    }

    /// All but what is known elsewhere.
    pub(super) fn stats(&self) -> Stats {
        let words = self.words.lock();
        let mut refused = BTreeMap::new();
        let mut garbage = 0;
        for known in &words.turned_away {
            match known.rejection {
                Rejection::Refused(refusal) => _ = refused.insert(refusal, known.count),
                Rejection::Garbage => garbage = known.count,
                Rejection::Nonsense => {}
            }
        }
        Stats {
            accepted: self.accepted.get(),
            crowded_out: self.crowded_out.get(),
            garbage,
            refused,
            dial_failures: self.dial_failures.get(),
            broken_frames: self.broken_frames.get(),
            messages_received: self.messages_received.get(),
            bytes_received: self.bytes_received.get(),
            messages_sent: self.messages_sent.get(),
            bytes_sent: self.bytes_sent.get(),
            messages_dropped: self.messages_dropped.get(),
            incoming_bytes: 0,
            last_refusal: words.last.clone(),
            turned_away: words.turned_away.clone(),
            peers: BTreeMap::new(),
        }
    }
}

/// A number that many threads add to.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
