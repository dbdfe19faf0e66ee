//! A session's two threads: one reads, one writes.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::event::{Event, Frames};
use super::frame::{Decoder, Encoder, Kind, Span};
use super::greet::Greeted;
use super::peer::{Lane, Peer, Session};
use super::queue::{Class, Outgoing, Part};
use super::shared::Shared;

/// How much is read at once; frames that are larger are read as a whole.
const READ_BYTES: usize = 128 << 10;

/// How much is written at once, about: what is urgent waits for no more than that, and for what the kernel holds.
const WRITE_BYTES: usize = 256 << 10;

/// Parts of this size are written from where they are; copying shorter ones is cheaper.
const PART_BYTES: usize = 4 << 10;

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
    let session = match peer.begin(shared, lane, greeted.boot, greeted.rank, socket) {
        Ok(session) => session,
        Err(refusal) => {
            // The other connection of the pair has come up in the meantime.
            shared.counters.say(format!("member {}: {refusal}", peer.member));
            return false;
        }
    };
    if lane != Lane::BulkIn {
        let writer = Writer::new(shared, peer, &session, Encoder::new(greeted.outgoing));
        let name = format!("spinney-to-{}", peer.member);
        if let Err(error) = shared.threads.spawn(name, move || writer.run()) {
            shared.counters.say(format!("cannot start a thread: {error}"));
            session.close();
        }
    }
    let allowed: &[Kind] = match lane {
        Lane::Messages => &[Kind::Urgent, Kind::Data, Kind::Ping],
        Lane::BulkIn => &[Kind::Bulk, Kind::Ping],
        Lane::BulkOut => &[],
    };
    let decoder = Decoder::new(greeted.incoming, allowed, settings.frame_bytes_max);
    if let Err(error) = read(shared, peer, &session, decoder) {
        shared.counters.say(format!("session with member {}: {error}", peer.member));
    }
    peer.end(shared, &session);
    lane == Lane::BulkOut || session.heard.load(Ordering::Relaxed)
}

/// Reads and hands over until the connection ends.
fn read(shared: &Shared, peer: &Peer, session: &Session, mut decoder: Decoder) -> io::Result<()> {
    let mut input = Input { bytes: vec![0; READ_BYTES], filled: 0 };
    let mut spans = Vec::new();
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
        let decoded = decoder.decode(&input.bytes[..input.filled], &mut spans).map_err(|error| {
            shared.counters.broken_frames.add(1);
            io::Error::new(io::ErrorKind::InvalidData, error)
        })?;
        if decoded.taken > 0 {
            session.heard.store(true, Ordering::Relaxed);
        }
        let bytes = input.take(decoded.taken, decoded.wanted);
        if spans.is_empty() {
            continue;
        }
        let Some(frames) = claim(shared, bytes, std::mem::take(&mut spans)) else { return Ok(()) };
        shared.counters.messages_received.add(frames.len());
        let event = Event::Messages { from: peer.member, session: session.id, frames };
        if !peer.deliver(shared, session, event) {
            return Ok(());
        }
    }
}

/// Waits for room for what was read; `None` when stopped.
fn claim(shared: &Shared, bytes: Vec<u8>, spans: Vec<Span>) -> Option<Frames> {
    let held = bytes.capacity() + spans.capacity() * size_of::<Span>();
    let claim = shared.budget.claim(held)?;
    Some(Frames { bytes, spans, _claim: claim })
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

/// The thread that writes.
struct Writer {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    session: Arc<Session>,
    encoder: Encoder,
    /// For how long nothing but pings was sent.
    idle: Duration,
}

/// What a writer does next.
enum Next {
    Write { has_room: bool },
    Ping,
    End,
}

impl Writer {
    fn new(shared: &Arc<Shared>, peer: &Arc<Peer>, session: &Arc<Session>, encoder: Encoder) -> Self {
        let (shared, peer, session) = (Arc::clone(shared), Arc::clone(peer), Arc::clone(session));
        Self { shared, peer, session, encoder, idle: Duration::ZERO }
    }

    fn run(mut self) {
        let mut batch = Vec::new();
        let written = loop {
            let written = match self.next(&mut batch) {
                Next::Write { has_room } => self.write(&batch).inspect(|()| {
                    if has_room && self.session.lane == Lane::BulkOut {
                        self.shared.emit(Event::Room { member: self.peer.member });
                    }
                }),
                Next::Ping => self.ping(),
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

    /// Waits until there is something to do.
    fn next(&mut self, batch: &mut Vec<(Class, Outgoing)>) -> Next {
        let is_bulk = self.session.lane == Lane::BulkOut;
        let line = self.peer.line(self.session.lane);
        let mut state = line.state.lock();
        loop {
            if self.shared.stop.is_set() || !state.is_current(&self.session) {
                return Next::End;
            }
            if !state.queue.is_empty() {
                self.idle = Duration::ZERO;
                state.queue.take(if is_bulk { 0 } else { WRITE_BYTES }, batch);
                return Next::Write { has_room: state.queue.has_room_again() };
            }
            let interval = self.shared.settings.ping_interval;
            if line.writable.wait_for(&mut state, interval).timed_out() && state.queue.is_empty() {
                self.idle += interval;
                let is_over = is_bulk && self.idle >= self.shared.settings.bulk_idle_timeout;
                return if is_over { Next::End } else { Next::Ping };
            }
        }
    }

    fn write(&mut self, batch: &[(Class, Outgoing)]) -> io::Result<()> {
        if self.session.lane == Lane::BulkOut {
            self.throttle(batch.iter().map(|(_, message)| message.bytes()).sum())?;
        }
        let chunks = encode(&mut self.encoder, batch);
        let bytes = write_chunks(&self.session.socket, &chunks)?;
        self.shared.counters.messages_sent.add(batch.len());
        self.shared.counters.bytes_sent.add(bytes);
        Ok(())
    }

    fn ping(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.encoder.encode(Kind::Ping, &[], &mut bytes);
        (&*self.session.socket).write_all(&bytes)
    }

    /// Waits until the rate allows so many bytes, and says meanwhile that this end is there.
    fn throttle(&mut self, bytes: usize) -> io::Result<()> {
        let mut wait = self.shared.bucket.lock().take(bytes, (self.shared.settings.clock)());
        let slice = self.shared.settings.ping_interval;
        while !wait.is_zero() {
            if self.shared.stop.wait(wait.min(slice)) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            wait = wait.saturating_sub(slice);
            if !wait.is_zero() {
                self.ping()?;
            }
        }
        Ok(())
    }
}

/// Bytes to write: runs of short parts, copied together, and long parts where they are.
enum Chunk<'a> {
    Copied(Vec<u8>),
    InPlace(&'a [u8]),
}

/// The frames of a batch.
fn encode<'a>(encoder: &mut Encoder, batch: &'a [(Class, Outgoing)]) -> Vec<Chunk<'a>> {
    let mut chunks = Vec::new();
    let mut copied = Vec::with_capacity(4096);
    let mut check = Vec::with_capacity(32);
    for (class, message) in batch {
        check.clear();
        let parts = message.parts();
        let header = encoder.frame(class.kind(), parts.iter().map(Part::as_slice), &mut check);
        copied.extend_from_slice(&header);
        for part in parts.iter().map(Part::as_slice) {
            if part.len() < PART_BYTES {
                copied.extend_from_slice(part);
            } else {
                chunks.push(Chunk::Copied(std::mem::take(&mut copied)));
                chunks.push(Chunk::InPlace(part));
            }
        }
        copied.extend_from_slice(&check);
    }
    chunks.push(Chunk::Copied(copied));
    chunks
}

/// Writes all; gives how many bytes that were.
fn write_chunks(mut socket: &TcpStream, chunks: &[Chunk<'_>]) -> io::Result<usize> {
    let mut slices: Vec<IoSlice<'_>> = chunks
        .iter()
        .map(|chunk| match chunk {
            Chunk::Copied(bytes) => IoSlice::new(bytes),
            Chunk::InPlace(bytes) => IoSlice::new(bytes),
        })
        .collect();
    let bytes = slices.iter().map(|slice| slice.len()).sum();
    let mut left = &mut slices[..];
    // Empty ones would make a write of nothing look like the end.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match socket.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut left, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing for too long"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}
