//! A log that is there, before anything is written to it.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::{Disk, Files, Region};
use super::error::WalError;
use super::files::is_unfinished;
use super::log::{Parts, Wal, WalSettings};
use super::scan::{Found, Segment, Segments, scan};
use super::segment::{EmptySegment, Header, Identity, Position, RECORDS_START, name_of};
use super::spares::Maker;
use crate::entry::{Entry, EntryId, HardState};
use crate::types::{LogIndex, Term};

/// What a log holds, by reading it from beginning to end. Nothing is written before [`Recovery::into_wal`].
#[derive(Debug)]
pub struct Recovery {
    pub(super) files: Files,
    pub(super) segments: Segments,
    pub(super) found: Option<Found>,
}

/// Why entries could not be replayed.
#[derive(Debug)]
pub enum ReplayError<E> {
    /// The log could not be read.
    Log(WalError),
    /// The receiver of the entries refused one.
    Receiver(E),
}

impl<E> From<WalError> for ReplayError<E> {
    fn from(error: WalError) -> Self {
        Self::Log(error)
    }
}

impl<E: fmt::Display> fmt::Display for ReplayError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::Receiver(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for ReplayError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Log(error) => error.source(),
            Self::Receiver(error) => error.source(),
        }
    }
}

impl Recovery {
    /// Reads the log on `disk`.
    ///
    /// # Errors
    ///
    /// When the disk cannot be read, or holds something else than one whole log, at most torn at its end. The
    /// error names file and offset.
    pub fn scan(disk: Arc<dyn Disk>) -> Result<Self, WalError> {
        Self::scan_files(Files(disk))
    }

    pub(super) fn scan_files(files: Files) -> Result<Self, WalError> {
        let segments = Segments::read(&files)?;
        let found = scan(&files, &segments.headers)?;
        Ok(Self { files, segments, found })
    }

    /// Whose log it is; `None` when there is none yet.
    pub fn identity(&self) -> Option<Identity> {
        self.found.as_ref().map(|found| found.active.identity)
    }

    /// The hard state that was written last, if ever.
    pub fn hard_state(&self) -> Option<HardState> {
        self.found.as_ref().and_then(|found| found.state.hard_state)
    }

    /// The entry up to which the newest snapshot covers the log.
    pub fn snapshot_mark(&self) -> Option<EntryId> {
        self.found.as_ref().and_then(|found| found.state.snapshot)
    }

    /// How far the log is known to be committed, at least.
    pub fn committed(&self) -> LogIndex {
        self.found.as_ref().map(|found| found.state.committed).unwrap_or_default()
    }

    /// The position of the first entry that the log has, or that it will have.
    pub fn first_index(&self) -> LogIndex {
        self.found.as_ref().map_or(LogIndex::new(1), |found| found.state.first_index())
    }

    /// The last entry; the one before the log, when the log has none.
    pub fn last(&self) -> EntryId {
        self.found.as_ref().map(|found| found.state.last()).unwrap_or_default()
    }

    /// The file and the offset at which a torn write was found that [`Recovery::into_wal`] will cut.
    pub fn torn(&self) -> Option<(PathBuf, u64)> {
        let found = self.found.as_ref()?;
        found
            .beyond
            .torn
            .then(|| (self.files.path(&name_of(found.end.sequence)), u64::from(found.end.offset)))
    }

    /// Hands the entries from `from` on to `receiver`, in order, without those that were overwritten. One
    /// segment at a time is in memory.
    ///
    /// # Errors
    ///
    /// When the log can no longer be read as it was scanned, or the receiver refuses an entry.
    pub fn replay<E>(
        &self,
        from: LogIndex,
        mut receiver: impl FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), ReplayError<E>> {
        let Some(found) = &self.found else { return Ok(()) };
        let sealed = found.sealed.iter().filter(|(sealed, _)| sealed.last >= from);
        let ends = sealed.map(|(sealed, end)| Position { sequence: sealed.sequence, offset: *end });
        let mut memory = Vec::new();
        for end in ends.chain([found.end]) {
            let segment = Segment::load(&self.files, self.header(end.sequence), memory)?;
            self.replay_segment(found, &segment, end, from, &mut receiver)?;
            memory = segment.into_memory();
        }
        Ok(())
    }

    fn replay_segment<E>(
        &self,
        found: &Found,
        segment: &Segment,
        end: Position,
        from: LogIndex,
        receiver: &mut impl FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), ReplayError<E>> {
        let changed =
            |offset| segment.damaged(&self.files, offset, "the record changed since it was scanned");
        let mut offset = segment.record(RECORDS_START).ok_or_else(|| changed(RECORDS_START))?.end;
        while offset < end.offset {
            let record = segment.record(offset).ok_or_else(|| changed(offset))?;
            let limit = found.overwritten.limit(segment.position(offset));
            for entry in segment.write_set(&self.files, record)?.entries {
                if (from..limit).contains(&entry.id.index) {
                    receiver(entry).map_err(ReplayError::Receiver)?;
                }
            }
            offset = record.end;
        }
        Ok(())
    }

    fn header(&self, sequence: u64) -> Header {
        let first = self.segments.headers[0].sequence;
        self.segments.headers[(sequence - first) as usize]
    }

    /// Removes the files that an interrupted run has left half-made: once it is known that the log can be used.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    pub fn remove_unfinished(&self) -> Result<(), WalError> {
        let names = self.files.names()?;
        names.iter().filter(|name| is_unfinished(name)).try_for_each(|name| self.files.remove(name))
    }

    /// Cuts what a torn write left, makes what was recovered durable, and opens the log for writing.
    ///
    /// Interrupted at any point, it leaves a log that recovers to the same.
    ///
    /// # Errors
    ///
    /// [`WalError::NoLog`] when there is none, and those of the disk.
    pub fn into_wal(self, settings: WalSettings) -> Result<Wal, WalError> {
        let Some(found) = &self.found else {
            return Err(WalError::NoLog { path: self.files.path("") });
        };
        let maker = Maker::new(self.files.clone(), found.active.identity, settings);
        // A run that was interrupted may have named a file without making the name durable.
        self.files.sync_directory()?;
        self.remove_unfinished()?;
        self.remove_replaced()?;
        self.repair_headers()?;
        let spares = self.keep_spares(found, maker.segment_bytes)?;
        let region = self.cut_and_sync(found)?;
        let mut wal = Wal::new(Parts {
            maker,
            state: found.state.clone(),
            sealed: found.sealed.iter().map(|(sealed, _)| *sealed).collect(),
            active: EmptySegment { header: found.active, region },
            end: found.end.offset,
            spares,
            vouched: found.vouched,
        });
        wal.vouch()?;
        Ok(wal)
    }

    /// Maps the spares. Those that are not blank, or have another length than new ones shall have, are removed:
    /// from the last one on, so that no gap opens.
    fn keep_spares(&self, found: &Found, segment_bytes: u32) -> Result<VecDeque<EmptySegment>, WalError> {
        let keep = found.spares.iter().take_while(|spare| spare.bytes == segment_bytes).count();
        let (kept, removed) = found.spares.split_at(keep);
        for header in removed.iter().chain(&found.unfit).rev() {
            self.files.remove(&name_of(header.sequence))?;
        }
        let map = |header: &Header| {
            let region = self.files.map(&name_of(header.sequence))?;
            Ok(EmptySegment { header: *header, region })
        };
        kept.iter().map(map).collect()
    }

    /// Writes the copies of headers anew that have gone bad beside a good one.
    fn repair_headers(&self) -> Result<(), WalError> {
        for (header, copy) in &self.segments.bad_copies {
            let name = name_of(header.sequence);
            let mut region = self.files.map(&name)?;
            header.repair(&mut *region, *copy);
            region.syncer().sync().map_err(self.files.on("sync", &name))?;
        }
        Ok(())
    }

    /// Makes durable what no watermark vouches for, and zeroes what is behind the end.
    ///
    /// What was read may be in memory only. After a failed sync the system may even believe that it has
    /// written it; so it is written again, and then synced.
    fn cut_and_sync(&self, found: &Found) -> Result<Box<dyn Region>, WalError> {
        for (sealed, end) in &found.sealed {
            if sealed.sequence >= found.watermark.sequence {
                let end = Position { sequence: sealed.sequence, offset: *end };
                self.write_again(found.watermark, end, end.offset)?;
            }
        }
        self.write_again(found.watermark, found.end, found.beyond.zeros_from)
    }

    /// Writes what lies between `from` and `end` again, in `end`'s segment, and zeros from there up to
    /// `zeros_to`.
    fn write_again(&self, from: Position, end: Position, zeros_to: u32) -> Result<Box<dyn Region>, WalError> {
        let name = name_of(end.sequence);
        let from = from.max(Position::start_of(end.sequence)).offset;
        let mut bytes = vec![0; (end.offset - from) as usize];
        self.files.read(&name, u64::from(from), &mut bytes)?;
        bytes.resize(bytes.len() + (zeros_to - end.offset) as usize, 0);
        let mut region = self.files.map(&name)?;
        region.write(from as usize, &bytes);
        region.syncer().sync().map_err(self.files.on("sync", &name))?;
        Ok(region)
    }

    /// Whether the log has had no entry, and its member has heard of nothing that comes after the first term has begun while it waited
    /// for others. It may have voted.
    pub fn is_empty(&self) -> bool {
        let floor = self.hard_state().unwrap_or_default().floor;
        let last = self.last().max(self.snapshot_mark().unwrap_or_default()).max(floor.last);
        last == EntryId::default() && floor.term <= Term::new(1)
    }

    /// Removes a log that is empty, so that another can be begun.
    ///
    /// # Errors
    ///
    /// [`WalError::LogExists`] when it is not, and those of the disk.
    pub fn discard_empty(self) -> Result<(), WalError> {
        if self.is_empty() { self.remove_segments() } else { Err(self.is_there()) }
    }

    /// Removes what is left of a log that never got to its beginning.
    pub(super) fn clear_for_new_log(self) -> Result<(), WalError> {
        if self.found.is_none() { self.remove_segments() } else { Err(self.is_there()) }
    }

    fn is_there(&self) -> WalError {
        let first = self.segments.headers.first().map_or(0, |header| header.sequence);
        WalError::LogExists { path: self.files.path(&name_of(first)) }
    }

    /// From the last one on: interrupted, it leaves what is as empty as before.
    fn remove_segments(&self) -> Result<(), WalError> {
        self.remove_unfinished()?;
        for header in self.segments.headers.iter().rev() {
            self.files.remove(&name_of(header.sequence))?;
        }
        Ok(())
    }
}
