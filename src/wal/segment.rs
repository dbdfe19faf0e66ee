//! A segment: its name, its header, and positions in the log.
//!
//! ```text
//!   0                512              1024       4096                                    length
//!   │ header copy    │ header copy    │ zeros    │ opening record │ record │ record │ … │
//!
//!   header copy, 64 bytes:
//!   │ magic 8 │ version u32 │ crc32 u32 │ cluster u128 │ member u64 │ salt u64 │ sequence u64 │ length u64 │
//! ```
//! The checksum covers the fields that follow it. The copies lie in separate sectors and either suffices. The
//! header is durable before the file gets a segment's name; it is written again only to repair a copy.

use std::fmt;

use super::disk::{Files, Region};
use super::error::WalError;
use crate::types::{ClusterId, MemberId};

/// What every segment begins with.
const MAGIC: [u8; 8] = *b"SPINNEY\0";

/// The version of all that is in a segment.
pub(super) const VERSION: u32 = 4;

/// Where the first record is.
pub(super) const RECORDS_START: u32 = 4096;

/// How many bytes a copy has.
const HEADER_BYTES: usize = 64;

/// Where the fields that the checksum covers begin.
const CHECKED_FROM: usize = 16;

/// Segments are at least this large: a header and room for a few records.
const SEGMENT_BYTES_MIN: u32 = 16 << 10;

/// Segments are at most this large, since a scan holds one in memory.
const SEGMENT_BYTES_MAX: u32 = 1 << 30;

/// Whose log it is, and so whose data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The member of it whose log this is.
    pub member: MemberId,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {} of cluster {}", self.member, self.cluster)
    }
}

/// A place in the log: between records, unless said otherwise. Ordered as the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// The segment.
    pub(super) sequence: u64,
    /// The offset in its file.
    pub(super) offset: u32,
}

impl Position {
    /// Where the first record of a segment begins.
    pub(super) const fn start_of(sequence: u64) -> Self {
        Self { sequence, offset: RECORDS_START }
    }
}

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) identity: Identity,
    /// Tells this segment's records from all others, those that the file held before included.
    pub(super) salt: u64,
    pub(super) sequence: u64,
    /// The length of the whole file.
    pub(super) bytes: u32,
}

impl Header {
    /// The header of a new segment.
    ///
    /// A file that is used again gets a greater sequence each time, so the salt differs from all that it had,
    /// and from that of any other segment.
    pub(super) fn new(identity: Identity, sequence: u64, bytes: u32, seed: u64) -> Self {
        Self { identity, salt: mix(seed ^ mix(sequence)), sequence, bytes }
    }

    /// One copy of the header.
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.identity.cluster.get().to_le_bytes());
        bytes[32..40].copy_from_slice(&self.identity.member.get().to_le_bytes());
        bytes[40..48].copy_from_slice(&self.salt.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[56..64].copy_from_slice(&u64::from(self.bytes).to_le_bytes());
        let crc = crc32fast::hash(&bytes[CHECKED_FROM..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// All that stands before the records.
    pub(super) fn encode_block(&self) -> [u8; RECORDS_START as usize] {
        let mut block = [0; RECORDS_START as usize];
        for copy in HeaderCopy::BOTH {
            block[copy.offset()..][..HEADER_BYTES].copy_from_slice(&self.encode());
        }
        block
    }

    fn decode(copy: &[u8; HEADER_BYTES]) -> Result<Self, BadCopy> {
        if copy[0..8] != MAGIC {
            return Err(BadCopy::NoMagic);
        }
        let version = u32::from_le_bytes(field(copy, 8));
        if version != VERSION {
            return Err(BadCopy::Version(version));
        }
        if u32::from_le_bytes(field(copy, 12)) != crc32fast::hash(&copy[CHECKED_FROM..]) {
            return Err(BadCopy::Checksum);
        }
        let bytes = u64::from_le_bytes(field(copy, 56));
        Ok(Self {
            identity: Identity {
                cluster: ClusterId::new(u128::from_le_bytes(field(copy, 16))),
                member: MemberId::new(u64::from_le_bytes(field(copy, 32))),
            },
            salt: u64::from_le_bytes(field(copy, 40)),
            sequence: u64::from_le_bytes(field(copy, 48)),
            bytes: u32::try_from(bytes).map_err(|_| BadCopy::Checksum)?,
        })
    }

    /// Reads and checks the header of the segment called `name`. Also says which copy of it is bad, if one is.
    pub(super) fn read(files: &Files, name: &str) -> Result<(Self, Option<HeaderCopy>), WalError> {
        let found = files.length(name)?;
        let wrong_length = |expected| WalError::WrongLength { path: files.path(name), found, expected };
        if found < u64::from(SEGMENT_BYTES_MIN) {
            return Err(wrong_length(u64::from(SEGMENT_BYTES_MIN)));
        }
        let mut block = [0; RECORDS_START as usize];
        files.read(name, 0, &mut block)?;
        let (header, bad) = Self::from_block(&block).map_err(|bad| match bad {
            BadCopy::NoMagic => WalError::NotAFileOfOurs { path: files.path(name) },
            BadCopy::Version(found) => {
                WalError::UnknownVersion { path: files.path(name), found, known: VERSION }
            }
            BadCopy::Checksum => WalError::damaged(files.path(name), 0_u64, "the header's checksum"),
        })?;
        if found != u64::from(header.bytes) {
            return Err(wrong_length(u64::from(header.bytes)));
        }
        if name_of(header.sequence) != name {
            return Err(WalError::damaged(
                files.path(name),
                0_u64,
                "it is another segment than it is called",
            ));
        }
        Ok((header, bad))
    }

    fn from_block(block: &[u8; RECORDS_START as usize]) -> Result<(Self, Option<HeaderCopy>), BadCopy> {
        let [first, second] = HeaderCopy::BOTH.map(|copy| Self::decode(&field(block, copy.offset())));
        match (first, second) {
            (Ok(header), Ok(_)) => Ok((header, None)),
            (Ok(header), Err(_)) => Ok((header, Some(HeaderCopy::Second))),
            (Err(_), Ok(header)) => Ok((header, Some(HeaderCopy::First))),
            (Err(first), Err(second)) => Err(first.max(second)),
        }
    }

    /// Writes one copy anew.
    pub(super) fn repair(&self, region: &mut dyn Region, copy: HeaderCopy) {
        region.write(copy.offset(), &self.encode());
    }
}

/// Which copy of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderCopy {
    First,
    Second,
}

impl HeaderCopy {
    const BOTH: [Self; 2] = [Self::First, Self::Second];

    const fn offset(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => 512,
        }
    }
}

/// What is wrong with a copy of the header; the greater says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum BadCopy {
    NoMagic,
    Checksum,
    Version(u32),
}

/// The `N` bytes at `offset`, which the caller knows to be there.
pub(super) fn field<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes[offset..offset + N].try_into().expect("a slice of N bytes is an array of N bytes")
}

/// Spreads every bit of `number` over all bits (the finalizer of SplitMix64).
pub(super) const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// What the segment is called.
pub(super) fn name_of(sequence: u64) -> String {
    format!("{sequence:016x}.wal")
}

/// Which segment is called `name`, if any.
pub(super) fn sequence_of(name: &str) -> Option<u64> {
    number_of(name, ".wal").filter(|sequence| *sequence > 0)
}

/// The number that, in 16 lower-case hexadecimal digits before `ending`, makes up `name`.
pub(super) fn number_of(name: &str, ending: &str) -> Option<u64> {
    let digits = name.strip_suffix(ending)?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (format!("{number:016x}") == digits).then_some(number)
}

/// The length that a segment gets when `bytes` are asked for: whole pages, within limits.
pub(super) const fn rounded(bytes: u32) -> u32 {
    let bytes = if bytes < SEGMENT_BYTES_MIN { SEGMENT_BYTES_MIN } else { bytes };
    let bytes = if bytes > SEGMENT_BYTES_MAX { SEGMENT_BYTES_MAX } else { bytes };
    bytes.next_multiple_of(RECORDS_START)
}

/// A segment whose header is durable and that holds no record yet.
pub(super) struct EmptySegment {
    pub(super) header: Header,
    pub(super) region: Box<dyn Region>,
}
