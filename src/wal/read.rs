//! Reading entries back from a log that is open: for members that are behind, and for those that catch up with
//! themselves after a restart.

use super::error::WalError;
use super::log::Wal;
use super::scan::Segment;
use super::segment::{Header, RECORDS_START, name_of};
use crate::codec;
use crate::entry::Entry;
use crate::types::LogIndex;

impl Wal {
    /// The entries from `first` on up to `last`, as many as take about `bytes` bytes, and at least one if the log
    /// has it. Segments are read one by one, from the first that can hold any.
    ///
    /// # Errors
    ///
    /// When the disk cannot be read, or does not hold what was written to it.
    pub fn entries(&self, first: LogIndex, last: LogIndex, bytes: u64) -> Result<Vec<Entry>, WalError> {
        let mut reading =
            Reading { next: first, last: last.min(self.last().index), left: bytes, found: Vec::new() };
        if first < self.first_index() || reading.is_done() {
            return Ok(Vec::new());
        }
        let mut memory = Vec::new();
        let mut lost = None;
        for (sequence, end) in self.segments_from(first) {
            let (header, _) = Header::read(self.files(), &name_of(sequence))?;
            let segment = Segment::load(self.files(), header, memory)?;
            let stopped = self.read_segment(&segment, end, &mut reading)?;
            if reading.is_done() {
                break;
            }
            let what = "the log goes on elsewhere than it did when it was written";
            lost.get_or_insert_with(|| segment.damaged(self.files(), stopped, what));
            memory = segment.into_memory();
        }
        match lost {
            // Nothing but entries that came after what was looked for: where the first segment seems to end, it is bad.
            Some(lost) if reading.found.is_empty() => Err(lost),
            _ => Ok(reading.found),
        }
    }

    /// Reads one segment; says where it stopped.
    fn read_segment(
        &self,
        segment: &Segment,
        end: Option<u32>,
        reading: &mut Reading,
    ) -> Result<u32, WalError> {
        let opening = segment.record(RECORDS_START);
        let mut offset = opening
            .ok_or_else(|| segment.damaged(self.files(), RECORDS_START, "the opening record changed"))?
            .end;
        // A sealed segment ends where no record is; all of it was valid when it was left.
        while end.is_none_or(|end| offset < end) {
            let Some(record) = segment.record(offset) else {
                return match end {
                    None => Ok(offset),
                    Some(_) => {
                        Err(segment.damaged(self.files(), offset, "the record changed since it was written"))
                    }
                };
            };
            for entry in segment.write_set(self.files(), record)?.entries {
                // What was overwritten later has another term: nothing else has this place and this name.
                if entry.id.index == reading.next && self.term_at(entry.id.index) == Some(entry.id.term) {
                    reading.take(entry);
                    if reading.is_done() {
                        return Ok(offset);
                    }
                }
            }
            offset = record.end;
        }
        Ok(offset)
    }
}

/// How far a reading has come.
struct Reading {
    next: LogIndex,
    last: LogIndex,
    /// How many bytes may still be taken.
    left: u64,
    found: Vec<Entry>,
}

impl Reading {
    fn is_done(&self) -> bool {
        self.next > self.last || self.left == 0 && !self.found.is_empty()
    }

    fn take(&mut self, entry: Entry) {
        self.left = self.left.saturating_sub(codec::encode(&entry).len() as u64);
        self.next = self.next.next();
        self.found.push(entry);
    }
}
