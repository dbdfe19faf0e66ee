//! A session's two threads: one reads, one writes.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::event::{Event, Frames};
use super::frame::{Decoder, Encoder, FrameError, Kind, Span};
use super::greet::{Failure, Greeted};
use super::peer::{Lane, Peer, Session};
use super::pen::Pen;
use super::queue::{PIECE_BYTES, messages_in};
use super::shared::Shared;
use super::stats::Rejection;

/// How much is read at once; frames that are larger are read as a whole.
const READ_BYTES: usize = 128 << 10;

/// How much is written at once, about, and how much the kernel takes beyond what it can send: what is urgent waits for no more than
/// those two, and for what is on its way.
const WRITE_BYTES: usize = PIECE_BYTES;

/// Makes a session of a connection whose handshake is done, and reads from it until it ends.
///
/// Gives whether anything came of it: the peer spoke, or is not supposed to.
pub(super) fn run(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    lane: Lane,
    greeted: Greeted,
    socket: Arc<TcpStream>,
) -> bool {
    let settings = &shared.settings;
    let silence = (lane != Lane::BulkOut).then_some(settings.silence_timeout);
    let timeouts = socket
        .set_read_timeout(silence)
        .and_then(|()| socket.set_write_timeout(Some(settings.write_timeout)));
    if timeouts.is_err() {
        return false;
    }
    #[cfg(target_os = "linux")]
    if lane == Lane::Messages {
        // Where it is not known, what is urgent waits a little longer.
        let _ = socket2::SockRef::from(&*socket).set_tcp_notsent_lowat(WRITE_BYTES as u32);
    }
    let pen = (lane != Lane::BulkIn).then(|| Pen::new(Encoder::new(greeted.outgoing)));
    let session = match peer.begin(shared, lane, greeted.boot, greeted.rank, socket, pen) {
        Ok(session) => session,
        Err(refusal) => {
            // Mostly since the other connection of the pair has come up in the meantime.
            peer.note(lane, vec![(refusal, Failure::RefusedHere(refusal).to_string())]);
            shared.counters.say(format!("member {}: {refusal}", peer.member));
            return false;
        }
    };
    shared.told();
    if lane != Lane::BulkIn {
        let writer = Writer::new(shared, peer, &session);
        let name = format!("spinney-to-{}", peer.member);
        if let Err(error) = shared.threads.spawn(name, move || writer.run()) {
            shared.counters.say(format!("cannot start a thread: {error}"));
            session.close();
        }
    }
    let allowed: &[Kind] = match lane {
        Lane::Messages => &[Kind::Urgent, Kind::Data, Kind::Part, Kind::Ping],
        Lane::BulkIn => &[Kind::Bulk, Kind::Ping],
        Lane::BulkOut => &[],
    };
    let decoder = Decoder::new(greeted.incoming, allowed, settings.frame_bytes_max);
    if let Err(error) = read(shared, peer, &session, decoder) {
        let words = format!("session with member {}: {error}", peer.member);
        match error.kind() {
            io::ErrorKind::InvalidData => {
                shared.counters.turned_away(Rejection::Nonsense, words);
                shared.counters.broken_frames.add(1);
            }
            _ => shared.counters.say(words),
        }
    }
    peer.end(shared, &session);
    shared.told();
    lane == Lane::BulkOut || session.heard.load(Ordering::Relaxed)
}

/// Reads and hands over until the connection ends.
fn read(shared: &Shared, peer: &Peer, session: &Session, mut decoder: Decoder) -> io::Result<()> {
    let mut input = Input { bytes: vec![0; READ_BYTES], filled: 0 };
    let mut spans = Vec::new();
    let mut pieces = Pieces { bytes: Vec::new(), bytes_max: shared.settings.frame_bytes_max };
    loop {
        let count = match (&*session.socket).read(&mut input.bytes[input.filled..]) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing came for too long"));
            }
            Err(error) => return Err(error),
        };
        input.filled += count;
        shared.counters.bytes_received.add(count);
        let decoded = decoder.decode(&input.bytes[..input.filled], &mut spans).map_err(broken)?;
        if decoded.taken > 0 {
            session.heard.store(true, Ordering::Relaxed);
        }
        let mut bytes = input.take(decoded.taken, decoded.wanted);
        pieces.put_together(&mut bytes, &mut spans).map_err(broken)?;
        if spans.is_empty() {
            continue;
        }
        let Some(frames) = claim(shared, bytes, std::mem::take(&mut spans)) else { return Ok(()) };
        shared.counters.messages_received.add(frames.len());
        let event = Event::Messages { from: peer.member, session: session.id, frames };
        if !peer.deliver(shared, session, event) {
            return Ok(());
        }
        shared.told();
    }
}

fn broken(error: FrameError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Waits for room for what was read; `None` when stopped.
fn claim(shared: &Shared, bytes: Vec<u8>, spans: Vec<Span>) -> Option<Frames> {
    let held = bytes.capacity() + spans.capacity() * size_of::<Span>();
    let claim = shared.budget.claim(held)?;
    Some(Frames { bytes, spans, _claim: claim })
}

/// The beginning of a large message, of which the rest is still to come.
struct Pieces {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Pieces {
    /// Leaves whole messages: one that ends in `bytes` stands behind them, with a span of its own.
    fn put_together(&mut self, bytes: &mut Vec<u8>, spans: &mut Vec<Span>) -> Result<(), FrameError> {
        let is_whole = |span: &Span| span.kind != Kind::Part;
        if self.bytes.is_empty() && spans.iter().all(is_whole) {
            return Ok(());
        }
        for span in spans.iter_mut() {
            let ends = span.kind == Kind::Data && !self.bytes.is_empty();
            if is_whole(span) && !ends {
                continue;
            }
            let length = self.bytes.len() + span.end - span.start;
            if length > self.bytes_max {
                return Err(FrameError::TooLarge { bytes: u32::try_from(length).unwrap_or(u32::MAX) });
            }
            self.bytes.extend_from_slice(&bytes[span.start..span.end]);
            if ends {
                (span.start, span.end) = (bytes.len(), bytes.len() + length);
                bytes.append(&mut self.bytes);
            }
        }
        spans.retain(is_whole);
        Ok(())
    }
}

/// What was read and not yet handed over.
struct Input {
    bytes: Vec<u8>,
    filled: usize,
}

impl Input {
    /// Takes the first `taken` bytes out and makes room for more. Of the `wanted` bytes of the next frame there is room
    /// for twice what has come: memory follows what was sent, not what was announced.
    fn take(&mut self, taken: usize, wanted: usize) -> Vec<u8> {
        let rest = self.filled - taken;
        let bytes = if 2 * taken >= self.bytes.len() {
            let mut next = vec![0; READ_BYTES.max(rest)];
            next[..rest].copy_from_slice(&self.bytes[taken..self.filled]);
            let mut bytes = std::mem::replace(&mut self.bytes, next);
            bytes.truncate(taken);
            bytes
        } else {
            let bytes = self.bytes[..taken].to_vec();
            self.bytes.copy_within(taken..self.filled, 0);
            bytes
        };
        self.filled = rest;
        if rest == self.bytes.len() {
            self.bytes.resize(wanted.min(2 * rest), 0);
        }
        bytes
    }
}

/// The thread that writes what nobody else could write at once.
struct Writer {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    session: Arc<Session>,
    /// For how long nothing but pings was sent.
    idle: Duration,
}

/// What a writer does next, and with what.
enum Next {
    Write { pen: Pen, has_room: bool },
    Ping { pen: Pen },
    End,
}

impl Writer {
    fn new(shared: &Arc<Shared>, peer: &Arc<Peer>, session: &Arc<Session>) -> Self {
        let (shared, peer, session) = (Arc::clone(shared), Arc::clone(peer), Arc::clone(session));
        Self { shared, peer, session, idle: Duration::ZERO }
    }

    fn run(mut self) {
        let mut batch = Vec::new();
        let written = loop {
            let written = match self.next(&mut batch) {
                Next::Write { pen, has_room } => self.write(pen, &batch).inspect(|()| {
                    if has_room && self.session.lane == Lane::BulkOut {
                        self.shared.emit(Event::Room { member: self.peer.member });
                        self.shared.told();
                    }
                }),
                Next::Ping { mut pen } => pen.ping(&self.session.socket).map(|()| self.put_back(pen)),
                Next::End => break Ok(()),
            };
            batch.clear();
            if written.is_err() {
                break written;
            }
        };
        if let Err(error) = written {
            self.shared.counters.say(format!("writing to member {}: {error}", self.peer.member));
        }
        // The reader does the rest.
        self.session.close();
    }

    /// Waits until there is something to do, and nobody else is doing it.
    fn next(&mut self, batch: &mut Vec<(Kind, Vec<u8>)>) -> Next {
        let is_bulk = self.session.lane == Lane::BulkOut;
        let line = self.peer.line(self.session.lane);
        let mut state = line.state.lock();
        loop {
            if self.shared.stop.is_set() || !state.is_current(&self.session) {
                return Next::End;
            }
            let is_wanted = !state.queue.is_empty() || state.pen.as_ref().is_some_and(Pen::has_unsent);
            if is_wanted && let Some(pen) = state.pen.take() {
                self.idle = Duration::ZERO;
                state.queue.take(if is_bulk { 0 } else { WRITE_BYTES }, batch);
                return Next::Write { pen, has_room: state.queue.has_room_again() };
            }
            let interval = self.shared.settings.ping_interval;
            let has_timed_out = line.writable.wait_for(&mut state, interval).timed_out();
            // The pen may be that of a session which has begun in the meantime.
            if !has_timed_out || !state.queue.is_empty() || !state.is_current(&self.session) {
                continue;
            }
            if std::mem::take(&mut state.was_written) {
                self.idle = Duration::ZERO;
                continue;
            }
            self.idle += interval;
            if is_bulk && self.idle >= self.shared.settings.bulk_idle_timeout {
                return Next::End;
            }
            if let Some(pen) = state.pen.take() {
                return Next::Ping { pen };
            }
        }
    }

    fn write(&self, mut pen: Pen, batch: &[(Kind, Vec<u8>)]) -> io::Result<()> {
        if self.session.lane == Lane::BulkOut {
            self.throttle(&mut pen, batch.iter().map(|(_, message)| message.len()).sum())?;
        }
        let bytes = pen.write(&self.session.socket, batch)?;
        self.put_back(pen);
        self.shared.counters.messages_sent.add(messages_in(batch));
        self.shared.counters.bytes_sent.add(bytes);
        Ok(())
    }

    fn put_back(&self, pen: Pen) {
        let mut state = self.peer.line(self.session.lane).state.lock();
        if state.is_current(&self.session) {
            state.pen = Some(pen);
        }
    }

    /// Waits until the rate allows so many bytes, and says meanwhile that this end is there.
    fn throttle(&self, pen: &mut Pen, bytes: usize) -> io::Result<()> {
        let mut wait = self.shared.bucket.lock().take(bytes, (self.shared.settings.clock)());
        let slice = self.shared.settings.ping_interval;
        while !wait.is_zero() {
            if self.shared.stop.wait(wait.min(slice)) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            wait = wait.saturating_sub(slice);
            if !wait.is_zero() {
                pen.ping(&self.session.socket)?;
            }
        }
        Ok(())
    }
}
