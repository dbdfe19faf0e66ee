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

use std::io::{self, Write};
use std::net::TcpStream;

use super::frame::{Encoder, Kind};
use super::queue::PIECE_BYTES;

/// So much memory a pen keeps for what comes next.
const KEPT_BYTES: usize = 2 * PIECE_BYTES;

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
    pub(super) fn write_now(&mut self, socket: &TcpStream, batch: &[(Kind, Vec<u8>)]) -> io::Result<usize> {
        debug_assert!(!self.has_unsent(), "what was left is the writer's");
        let count = self.encode(batch);
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let taken = loop {
            match socket2::SockRef::from(socket).send_with_flags(&self.unsent, flags) {
                Ok(taken) => break taken,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break 0,
                Err(error) => return Err(error),
            }
        };
        self.unsent.drain(..taken);
        Ok(count)
    }

    /// Writes what was left and then the batch, however long that takes; gives how many bytes the batch has.
    pub(super) fn write(&mut self, socket: &TcpStream, batch: &[(Kind, Vec<u8>)]) -> io::Result<usize> {
        let count = self.encode(batch);
        self.write_all(socket)?;
        Ok(count)
    }

    /// Says nothing, to say that this end is there.
    pub(super) fn ping(&mut self, socket: &TcpStream) -> io::Result<()> {
        self.encoder.encode(Kind::Ping, &[], &mut self.unsent);
        self.write_all(socket)
    }

    /// Makes the frames of a batch; gives how many bytes they have.
    fn encode(&mut self, batch: &[(Kind, Vec<u8>)]) -> usize {
        let before = self.unsent.len();
        for (kind, message) in batch {
            self.encoder.encode(*kind, message, &mut self.unsent);
        }
        self.unsent.len() - before
    }

    fn write_all(&mut self, mut socket: &TcpStream) -> io::Result<()> {
        socket.write_all(&self.unsent).map_err(in_words)?;
        self.unsent.clear();
        // What one large message took is not kept for the small ones.
        self.unsent.shrink_to(KEPT_BYTES);
        Ok(())
    }
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
