//! Who writes to a connection: whoever holds its pen.
//!
//! ```text
//!   send ──► queue ──► is the pen there? ── yes ──► writes at once, as much as the kernel takes
//!                              └── no, or too much ──► the connection's writer does, and waits if it must
//! ```
//! To wake a thread for a message costs as much as to write it, so a sender that finds the pen writes itself. It never
//! waits: what the kernel has no room for stays with the pen, and the writer goes on with it.
//!
//! The pen numbers the frames. There is one for each connection, so frames leave in the order of their numbers.

use std::io::{self, IoSlice, Write};
use std::net::TcpStream;

use super::frame::{Encoder, Kind};
use super::queue::{Outgoing, Part};

/// Parts of this size are written from where they are; copying shorter ones is cheaper.
const PART_BYTES: usize = 4 << 10;

/// What makes frames of one connection, and what it has made that is not written yet.
pub(super) struct Pen {
    encoder: Encoder,
    unsent: Vec<u8>,
}

impl Pen {
    pub(super) fn new(encoder: Encoder) -> Self {
        Self { encoder, unsent: Vec::new() }
    }

    /// Whether frames were made that the kernel has not taken.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Writes the batch as far as the kernel takes it without waiting; gives how many bytes it has. What is left is the
    /// writer's.
    #[cfg(target_os = "linux")]
    pub(super) fn write_now(&mut self, socket: &TcpStream, batch: &[(Kind, Outgoing)]) -> io::Result<usize> {
        debug_assert!(!self.has_unsent(), "what was left is the writer's");
        let mut bytes = std::mem::take(&mut self.unsent);
        for chunk in encode(&mut self.encoder, batch) {
            bytes.extend_from_slice(chunk.as_slice());
        }
        let count = bytes.len();
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let taken = loop {
            match socket2::SockRef::from(socket).send_with_flags(&bytes, flags) {
                Ok(taken) => break taken,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break 0,
                Err(error) => return Err(error),
            }
        };
        bytes.drain(..taken);
        self.unsent = bytes;
        Ok(count)
    }

    /// Writes what was left and then the batch, however long that takes; gives how many bytes the batch has.
    pub(super) fn write(&mut self, mut socket: &TcpStream, batch: &[(Kind, Outgoing)]) -> io::Result<usize> {
        socket.write_all(&self.unsent).map_err(in_words)?;
        self.unsent.clear();
        write_chunks(socket, &encode(&mut self.encoder, batch))
    }

    /// Says nothing, to say that this end is there.
    pub(super) fn ping(&mut self, mut socket: &TcpStream) -> io::Result<()> {
        self.encoder.encode(Kind::Ping, &[], &mut self.unsent);
        socket.write_all(&self.unsent).map_err(in_words)?;
        self.unsent.clear();
        Ok(())
    }
}

/// Bytes to write: runs of short parts, copied together, and long parts where they are.
enum Chunk<'a> {
    Copied(Vec<u8>),
    InPlace(&'a [u8]),
}

impl Chunk<'_> {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::InPlace(bytes) => bytes,
        }
    }
}

/// The frames of a batch.
fn encode<'a>(encoder: &mut Encoder, batch: &'a [(Kind, Outgoing)]) -> Vec<Chunk<'a>> {
    let mut chunks = Vec::new();
    let mut copied = Vec::with_capacity(4096);
    let mut check = Vec::with_capacity(32);
    for (kind, message) in batch {
        check.clear();
        let parts = message.parts();
        let header = encoder.frame(*kind, parts.iter().map(Part::as_slice), &mut check);
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
    let mut slices: Vec<IoSlice<'_>> = chunks.iter().map(|chunk| IoSlice::new(chunk.as_slice())).collect();
    let bytes = slices.iter().map(|slice| slice.len()).sum();
    let mut left = &mut slices[..];
    // Empty ones would make a write of nothing look like the end.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match socket.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut left, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(in_words(error)),
        }
    }
    Ok(bytes)
}

/// A socket says of a timeout that it would block.
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => {
            io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing for too long")
        }
        _ => error,
    }
}
