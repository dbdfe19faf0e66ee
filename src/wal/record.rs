//! A record: one write-set, framed so that nothing else is ever taken for it.
//!
//! ```text
//!   │ tag u32 │ length u32 │ crc32 u32 │ synced offset u32 │ synced sequence u64 │ payload │ zeros │
//!   0         4            8           12                  16                    24        to a multiple of 8
//! ```
//! The tag is a mix of the segment's salt and the record's offset: it makes looking for records that may be
//! anywhere cheap. The checksum covers salt, offset, length, what is synced, and the payload. So bytes that
//! the file held under another salt, or that landed in the wrong place, match neither. A length of 0 ends the
//! log.
//!
//! *Synced* is the watermark: up to where the log was durable when this record was written. A record that is
//! whole thereby vouches for everything before that place.

use serde::Serialize;

use super::segment::{Position, field};
use crate::codec;

/// What stands before the payload.
pub(super) const HEADER_BYTES: usize = 24;

/// Records begin at multiples of this.
const ALIGNMENT: usize = 8;

/// How many bytes a record with such a payload takes.
pub(super) const fn size_of(payload_bytes: usize) -> usize {
    (HEADER_BYTES + payload_bytes).next_multiple_of(ALIGNMENT)
}

/// Makes `buffer` a record with `value` for its payload. [`Seal::close`] fills in the header.
pub(super) fn encode(buffer: &mut Vec<u8>, value: &impl Serialize) {
    buffer.clear();
    buffer.resize(HEADER_BYTES, 0);
    codec::encode_into(value, buffer);
}

/// A whole record, as it was found in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Where it begins.
    pub(super) offset: u32,
    /// Where the next one begins.
    pub(super) end: u32,
    /// Up to where the log was durable when it was written.
    pub(super) watermark: Position,
    /// The encoded write-set.
    pub(super) payload: &'a [u8],
}

/// What ties records to their segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seal {
    salt: u64,
    /// The checksum of the salt, which that of every record goes on from.
    salt_crc: u32,
}

impl Seal {
    pub(super) fn new(salt: u64) -> Self {
        Self { salt, salt_crc: crc32fast::hash(&salt.to_le_bytes()) }
    }

    /// The salt was drawn well, so that one multiplication is enough to spread the offset over it.
    const fn tag(self, offset: u32) -> u32 {
        ((self.salt ^ offset as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
    }

    /// `checked` is all of the record that follows the checksum.
    fn crc(self, offset: u32, length: u32, checked: &[u8]) -> u32 {
        let mut place = [0; 8];
        place[0..4].copy_from_slice(&offset.to_le_bytes());
        place[4..8].copy_from_slice(&length.to_le_bytes());
        let mut hasher = crc32fast::Hasher::new_with_initial(self.salt_crc);
        hasher.update(&place);
        hasher.update(checked);
        hasher.finalize()
    }

    /// Completes the record that [`encode`] began, to stand at `offset`.
    pub(super) fn close(self, record: &mut Vec<u8>, offset: u32, watermark: Position) {
        let length = u32::try_from(record.len() - HEADER_BYTES).expect("a record fits a segment");
        assert!(length > 0, "a length of 0 would end the log");
        record[0..4].copy_from_slice(&self.tag(offset).to_le_bytes());
        record[4..8].copy_from_slice(&length.to_le_bytes());
        record[12..16].copy_from_slice(&watermark.offset.to_le_bytes());
        record[16..24].copy_from_slice(&watermark.sequence.to_le_bytes());
        let crc = self.crc(offset, length, &record[12..]);
        record[8..12].copy_from_slice(&crc.to_le_bytes());
        record.resize(record.len().next_multiple_of(ALIGNMENT), 0);
    }

    /// The record at `offset`; `None` when there is no whole one of this segment.
    pub(super) fn read(self, segment: &[u8], offset: u32) -> Option<Record<'_>> {
        let record = segment.get(offset as usize..)?;
        if record.len() < HEADER_BYTES || u32::from_le_bytes(field(record, 0)) != self.tag(offset) {
            return None;
        }
        let length = u32::from_le_bytes(field(record, 4));
        let end = HEADER_BYTES.checked_add(length as usize).filter(|end| *end <= record.len())?;
        if length == 0 || u32::from_le_bytes(field(record, 8)) != self.crc(offset, length, &record[12..end]) {
            return None;
        }
        Some(Record {
            offset,
            end: offset + u32::try_from(size_of(length as usize)).ok()?,
            watermark: Position {
                sequence: u64::from_le_bytes(field(record, 16)),
                offset: u32::from_le_bytes(field(record, 12)),
            },
            payload: &record[HEADER_BYTES..end],
        })
    }

    /// All places from `from` on where a record of this segment began, each with what it vouches for if it is
    /// whole.
    pub(super) fn traces(self, segment: &[u8], from: u32) -> impl Iterator<Item = Option<Position>> + '_ {
        let rest = segment.get(from as usize..).unwrap_or_default();
        let places = rest.chunks_exact(ALIGNMENT).zip((from..).step_by(ALIGNMENT));
        places.filter_map(move |(place, offset)| {
            let began = u32::from_le_bytes(field(place, 0)) == self.tag(offset) && place[4..8] != [0; 4];
            began.then(|| self.read(segment, offset).map(|record| record.watermark))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATERMARK: Position = Position { sequence: 3, offset: 4096 };

    fn segment_with(seal: Seal, offset: u32, payload: &str) -> Vec<u8> {
        let mut record = Vec::new();
        encode(&mut record, &payload);
        seal.close(&mut record, offset, WATERMARK);
        let mut segment = vec![0; 512];
        segment[offset as usize..][..record.len()].copy_from_slice(&record);
        segment
    }

    #[test]
    fn golden_bytes() {
        let segment = segment_with(Seal::new(0x1122_3344_5566_7788), 64, "abc");
        let golden: [u8; 32] = [
            0x8b, 0xea, 0x63, 0x02, // tag
            4, 0, 0, 0, // length
            0xb4, 0xad, 0x7c, 0xb4, // crc32
            0, 16, 0, 0, // synced offset
            3, 0, 0, 0, 0, 0, 0, 0, // synced sequence
            3, b'a', b'b', b'c', // payload
            0, 0, 0, 0, // to a multiple of 8
        ];
        assert_eq!(segment[64..96], golden);
        assert!(segment[96..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_record_is_read_where_it_stands_under_its_salt_only() {
        let seal = Seal::new(7);
        let segment = segment_with(seal, 64, "payload");
        let record = seal.read(&segment, 64).unwrap();
        assert_eq!((record.offset, record.end, record.watermark), (64, 96, WATERMARK));
        assert_eq!(codec::decode::<String>(record.payload).unwrap(), "payload");
        assert_eq!(Seal::new(8).read(&segment, 64), None);
        let mut moved = vec![0; 8];
        moved.extend_from_slice(&segment);
        assert_eq!(seal.read(&moved, 72), None);
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let seal = Seal::new(7);
        let segment = segment_with(seal, 64, "abc");
        for bit in 64 * 8..(64 + HEADER_BYTES + 4) * 8 {
            let mut flipped = segment.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(seal.read(&flipped, 64), None, "bit {bit}");
        }
    }

    #[test]
    fn traces_are_found_whole_or_not() {
        let seal = Seal::new(7);
        let mut segment = segment_with(seal, 64, "abc");
        let found = |segment: &[u8]| seal.traces(segment, 8).collect::<Vec<_>>();
        assert_eq!(found(&segment), [Some(WATERMARK)]);
        segment[90] ^= 1;
        assert_eq!(found(&segment), [None]);
        assert_eq!(seal.traces(&segment, 72).count(), 0);
    }
}
