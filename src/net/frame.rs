//! A frame: what a connection carries once its handshake is done.
//!
//! ```text
//!   │ length u32 │ kind u8 │ header check u24 │ payload, `length` bytes │ check: crc32, or 16 bytes of a keyed hash │
//! ```
//! All integers are little-endian. The check covers the frame's number (u64, not sent: both ends count the frames of
//! each direction from 0), the header and the payload. So a frame that was lost, doubled, moved or taken from another
//! connection does not pass, and under a [`Seal`](Check::Seal) none that somebody else made.
//!
//! The header check is the low 24 bits of the crc32 of the number, the length and the kind. Without it a length in which a bit
//! has flipped would be believed until so many bytes have come: heartbeats would trickle into that frame, and be heard by
//! nobody. The length is held against the limit before anything else is done with it.

use super::secret::Check;

/// How many bytes stand before the payload.
pub const HEADER_BYTES: usize = 8;

/// What a frame carries. The numbers are those on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A message that overtakes data.
    Urgent = 1,
    /// A message.
    Data = 2,
    /// A message on a connection of its own.
    Bulk = 3,
    /// Nothing, to say that the sender is there.
    Ping = 4,
    /// A request to join.
    JoinRequest = 5,
    /// The answer to it.
    JoinAnswer = 6,
    /// The beginning of a [`Data`](Self::Data) message, or more of it; the frame of that kind ends it. What is urgent may come between.
    Part = 7,
}

/// Why bytes are not frames. The connection they came on is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The payload would be larger than is allowed.
    TooLarge {
        /// How large.
        bytes: u32,
    },
    /// No frame is of this kind, or none on this connection.
    Kind,
    /// A ping with a payload.
    Ping,
    /// The check does not fit the frame, or that of the header the header.
    Check,
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge { bytes } => write!(f, "a frame of {bytes} bytes"),
            Self::Kind => f.write_str("a frame of an unknown kind"),
            Self::Ping => f.write_str("a ping that says something"),
            Self::Check => f.write_str("a frame whose check fails"),
        }
    }
}

impl std::error::Error for FrameError {}

/// The header of the frame with this number in its direction.
pub(super) fn header_of(number: u64, length: u32, kind: u8) -> [u8; HEADER_BYTES] {
    let [l0, l1, l2, l3] = length.to_le_bytes();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(&[l0, l1, l2, l3, kind]);
    let [c0, c1, c2, _] = hasher.finalize().to_le_bytes();
    [l0, l1, l2, l3, kind, c0, c1, c2]
}

/// Makes the frames of one direction of a connection.
#[derive(Clone, Debug)]
pub struct Encoder {
    check: Check,
    number: u64,
}

impl Encoder {
    /// Frames from the first on.
    #[must_use]
    pub fn new(check: Check) -> Self {
        Self { check, number: 0 }
    }

    /// Adds the next frame to `bytes`.
    ///
    /// # Panics
    ///
    /// When the payload has 4 GiB or more: limits are checked where messages are taken.
    pub fn encode(&mut self, kind: Kind, payload: &[u8], bytes: &mut Vec<u8>) {
        let length = u32::try_from(payload.len());
        let length = length.expect("messages are held against the limit when they are taken");
        let begins = bytes.len();
        bytes.reserve(HEADER_BYTES + payload.len() + self.check.bytes());
        bytes.extend_from_slice(&header_of(self.number, length, kind as u8));
        bytes.extend_from_slice(payload);
        self.check.write(self.number, begins, bytes);
        self.number += 1;
    }
}

/// Where a frame's payload is in the bytes that were decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// What it carries.
    pub kind: Kind,
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// Reads the frames of one direction of a connection.
#[derive(Clone, Debug)]
pub struct Decoder {
    check: Check,
    number: u64,
    allowed: &'static [Kind],
    bytes_max: usize,
}

/// What bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// How many bytes are complete frames.
    pub taken: usize,
    /// How many bytes there are to be until the next frame is complete, counted from the end of those; at least a
    /// header.
    pub wanted: usize,
}

impl Decoder {
    /// Frames from the first on, of the `allowed` kinds, with payloads of at most `bytes_max`.
    #[must_use]
    pub fn new(check: Check, allowed: &'static [Kind], bytes_max: usize) -> Self {
        Self { check, number: 0, allowed, bytes_max }
    }

    /// Adds to `spans` all frames that are complete in `bytes`, pings left out.
    ///
    /// # Errors
    ///
    /// When something there is no frame, or not the next one. The decoder is of no use afterwards.
    pub fn decode(&mut self, bytes: &[u8], spans: &mut Vec<Span>) -> Result<Decoded, FrameError> {
        let mut taken = 0;
        loop {
            let rest = &bytes[taken..];
            let Some(header) = rest.first_chunk::<HEADER_BYTES>() else {
                return Ok(Decoded { taken, wanted: HEADER_BYTES });
            };
            let (kind, payload_bytes) = self.header(*header)?;
            let checked_bytes = HEADER_BYTES + payload_bytes;
            let frame_bytes = checked_bytes + self.check.bytes();
            let Some(frame) = rest.get(..frame_bytes) else {
                return Ok(Decoded { taken, wanted: frame_bytes });
            };
            let (checked, check) = frame.split_at(checked_bytes);
            if !self.check.verify(self.number, checked, check) {
                return Err(FrameError::Check);
            }
            self.number += 1;
            if kind != Kind::Ping {
                spans.push(Span { kind, start: taken + HEADER_BYTES, end: taken + checked_bytes });
            }
            taken += frame_bytes;
        }
    }

    /// What comes, and how large it is.
    fn header(&self, header: [u8; HEADER_BYTES]) -> Result<(Kind, usize), FrameError> {
        let [l0, l1, l2, l3, kind, ..] = header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if header != header_of(self.number, length, kind) {
            return Err(FrameError::Check);
        }
        let kind =
            self.allowed.iter().find(|&&known| known as u8 == kind).copied().ok_or(FrameError::Kind)?;
        if kind == Kind::Ping && length != 0 {
            return Err(FrameError::Ping);
        }
        match usize::try_from(length) {
            Ok(payload_bytes) if payload_bytes <= self.bytes_max => Ok((kind, payload_bytes)),
            _ => Err(FrameError::TooLarge { bytes: length }),
        }
    }
}
