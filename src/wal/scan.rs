//! Reading a log from its beginning to its end, and finding out what the end is: a torn write, or damage.

use std::collections::VecDeque;

use super::disk::Files;
use super::error::WalError;
use super::log::{Opening, Sealed};
use super::record::{Record, Seal};
use super::segment::{Header, HeaderCopy, Identity, Position, RECORDS_START, name_of, sequence_of};
use super::spares::ZEROS;
use super::state::LogState;
use crate::codec;
use crate::entry::WriteSet;
use crate::types::LogIndex;

/// What is wrong with a segment whose opening record is not whole.
const OPENING_CHECKSUM: &str = "the opening record's checksum";

/// What a log was found to be.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) state: LogState,
    /// Oldest first, each with where it ends.
    pub(super) sealed: VecDeque<(Sealed, u32)>,
    /// The segment that the log ends in.
    pub(super) active: Header,
    /// Where it ends.
    pub(super) end: Position,
    /// Up to where the last record says that the log is durable.
    pub(super) watermark: Position,
    /// The last record is empty and vouches for everything before it.
    pub(super) vouched: bool,
    /// Entries that stand in the log but no longer hold.
    pub(super) overwritten: Overwritten,
    /// Segments after the active one that hold nothing but zeros.
    pub(super) spares: Vec<Header>,
    /// The other segments after the active one.
    pub(super) unfit: Vec<Header>,
    /// What is behind the end.
    pub(super) beyond: Beyond,
}

/// The segments that are in the directory.
#[derive(Debug, Default)]
pub(super) struct Segments {
    /// In order; of consecutive sequences and one identity.
    pub(super) headers: Vec<Header>,
    /// Copies of headers that are bad; the other copy is good.
    pub(super) bad_copies: Vec<(Header, HeaderCopy)>,
    /// What is left of a log whose place this one has taken, in order. It is of no use any more.
    pub(super) replaced: Vec<Header>,
}

impl Segments {
    pub(super) fn read(files: &Files) -> Result<Self, WalError> {
        let mut segments = Self::default();
        for name in files.names()? {
            let Some(sequence) = sequence_of(&name) else { continue };
            if let Some(before) = segments.headers.last()
                && before.sequence + 1 != sequence
            {
                return Err(WalError::SegmentMissing { path: files.path(&name_of(before.sequence + 1)) });
            }
            let (header, bad) = Header::read(files, &name)?;
            let expected = segments.headers.first().map_or(header.identity, |first| first.identity);
            if header.identity != expected {
                if !takes_the_place(files, header, expected)? {
                    let path = files.path(&name);
                    return Err(WalError::OtherLog { path, found: header.identity, expected });
                }
                segments.replaced.append(&mut segments.headers);
                segments.bad_copies.clear();
            }
            segments.headers.push(header);
            segments.bad_copies.extend(bad.map(|copy| (header, copy)));
        }
        Ok(segments)
    }
}

/// Whether the segment begins a log that has taken the place of that of `before`: see [`Opening::begins_a_log`].
fn takes_the_place(files: &Files, header: Header, before: Identity) -> Result<bool, WalError> {
    if header.identity.member != before.member {
        return Ok(false);
    }
    let segment = Segment::load_beginning(files, header)?;
    // It was durable before the segment got its name.
    let Some((_, opening)) = segment.opening(files)? else {
        return Err(segment.damaged(files, RECORDS_START, OPENING_CHECKSUM));
    };
    Ok(opening.begins_a_log())
}

/// One segment in memory.
pub(super) struct Segment {
    header: Header,
    seal: Seal,
    bytes: Vec<u8>,
}

impl Segment {
    /// Reads a segment, into memory that another one no longer needs.
    pub(super) fn load(files: &Files, header: Header, mut bytes: Vec<u8>) -> Result<Self, WalError> {
        bytes.resize(header.bytes as usize, 0);
        files.read(&name_of(header.sequence), 0, &mut bytes)?;
        Ok(Self { header, seal: Seal::new(header.salt), bytes })
    }

    /// Reads only as much as the opening record takes.
    fn load_beginning(files: &Files, header: Header) -> Result<Self, WalError> {
        let mut bytes = vec![0; 2 * RECORDS_START as usize];
        files.read(&name_of(header.sequence), 0, &mut bytes)?;
        Ok(Self { header, seal: Seal::new(header.salt), bytes })
    }

    pub(super) fn into_memory(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn position(&self, offset: u32) -> Position {
        Position { sequence: self.header.sequence, offset }
    }

    /// The opening record and what it says; `None` when it is not whole.
    pub(super) fn opening(&self, files: &Files) -> Result<Option<(Record<'_>, Opening)>, WalError> {
        let Some(record) = self.record(RECORDS_START) else { return Ok(None) };
        let opening = codec::decode(record.payload)
            .map_err(|_| self.damaged(files, record.offset, "the opening record cannot be decoded"))?;
        Ok(Some((record, opening)))
    }

    pub(super) fn record(&self, offset: u32) -> Option<Record<'_>> {
        self.seal.read(&self.bytes, offset)
    }

    /// The write-set of a record that is whole.
    pub(super) fn write_set(&self, files: &Files, record: Record<'_>) -> Result<WriteSet, WalError> {
        codec::decode(record.payload)
            .map_err(|_| self.damaged(files, record.offset, "the record cannot be decoded"))
    }

    /// The first place, `from` at the least, that only zeros follow.
    fn zeros_from(&self, from: u32) -> u32 {
        let rest = &self.bytes[from as usize..];
        let nonzero = rest.rchunks(ZEROS.len()).position(|chunk| chunk != &ZEROS[..chunk.len()]);
        nonzero.map_or(from, |chunks| self.header.bytes - (chunks * ZEROS.len()) as u32)
    }

    pub(super) fn damaged(&self, files: &Files, offset: u32, what: &'static str) -> WalError {
        WalError::damaged(files.path(&name_of(self.header.sequence)), offset, what)
    }
}

/// Reads the log that `headers` are of; `None` when it holds nothing, not even that it has begun.
pub(super) fn scan(files: &Files, headers: &[Header]) -> Result<Option<Found>, WalError> {
    let Some((first, later)) = headers.split_first() else { return Ok(None) };
    let segment = Segment::load(files, *first, Vec::new())?;
    let Some((record, opening)) = segment.opening(files)? else {
        return no_beginning(files, segment, later).map(|()| None);
    };
    let scan = Scan {
        files,
        state: opening.state(),
        sealed: VecDeque::new(),
        end: segment.position(record.end),
        watermark: record.watermark,
        vouched: false,
        overwritten: Overwritten::default(),
    };
    let found = scan.walk(segment, later)?;
    if found.state.first_index() > found.state.marked().index.next() {
        let what = "the log does not begin where its snapshot ends";
        return Err(WalError::damaged(files.path(&name_of(first.sequence)), RECORDS_START, what));
    }
    Ok(Some(found))
}

/// A log whose first opening record is not whole has not begun, unless something says otherwise.
fn no_beginning(files: &Files, segment: Segment, later: &[Header]) -> Result<(), WalError> {
    let start = Position::start_of(segment.header.sequence);
    if start.sequence > 1 {
        return Err(segment.damaged(files, start.offset, OPENING_CHECKSUM));
    }
    look_beyond(files, segment, start, later).map(|_| ())
}

/// A scan under way.
struct Scan<'a> {
    files: &'a Files,
    state: LogState,
    sealed: VecDeque<(Sealed, u32)>,
    end: Position,
    watermark: Position,
    vouched: bool,
    overwritten: Overwritten,
}

impl Scan<'_> {
    /// Follows the log from behind the first opening record to its end.
    fn walk(mut self, mut segment: Segment, mut later: &[Header]) -> Result<Found, WalError> {
        loop {
            while let Some(record) = segment.record(self.end.offset) {
                self.follow(&segment, record)?;
                self.end.offset = record.end;
            }
            let Some((next, rest)) = later.split_first() else { break };
            let Some(opened) = self.open_next(*next)? else { break };
            let Position { sequence, offset } = self.end;
            let last = self.state.last().index;
            self.sealed.push_back((Sealed { sequence, bytes: segment.header.bytes, last }, offset));
            self.end = opened;
            segment = Segment::load(self.files, *next, segment.into_memory())?;
            later = rest;
        }
        let active = segment.header;
        let beyond = look_beyond(self.files, segment, self.end, later)?;
        let (spares, unfit) = later.split_at(beyond.blank);
        self.overwritten.complete();
        Ok(Found {
            state: self.state,
            sealed: self.sealed,
            active,
            end: self.end,
            watermark: self.watermark,
            vouched: self.vouched,
            overwritten: self.overwritten,
            spares: spares.to_vec(),
            unfit: unfit.to_vec(),
            beyond,
        })
    }

    fn follow(&mut self, segment: &Segment, record: Record<'_>) -> Result<(), WalError> {
        let here = segment.position(record.offset);
        let damaged = |what| segment.damaged(self.files, record.offset, what);
        if record.watermark < self.watermark || record.watermark > here {
            return Err(damaged("its watermark does not follow"));
        }
        self.watermark = record.watermark;
        let set = segment.write_set(self.files, record)?;
        let replaced = self.state.follow(&set).map_err(damaged)?;
        if let Some(from) = set.truncate_from {
            self.overwritten.add(here, from);
        }
        if replaced {
            self.overwritten.add(segment.position(record.end), LogIndex::default());
        }
        self.vouched = record.watermark == here && set == WriteSet::default();
        Ok(())
    }

    /// Where the log goes on in the segment `next`; `None` when it does not.
    fn open_next(&mut self, next: Header) -> Result<Option<Position>, WalError> {
        let segment = Segment::load_beginning(self.files, next)?;
        let Some((record, opening)) = segment.opening(self.files)? else { return Ok(None) };
        if opening.previous_end > self.end.offset {
            // What stood between is not there: `look_beyond` says whether it ever was, durably.
            return Ok(None);
        }
        let follows =
            self.state.is_last(opening.last) && opening == Opening::new(self.end.offset, &self.state);
        if !follows || record.watermark < self.watermark || record.watermark > self.end {
            return Err(segment.damaged(
                self.files,
                record.offset,
                "the segment does not follow the one before",
            ));
        }
        self.watermark = record.watermark;
        self.vouched = false;
        Ok(Some(segment.position(record.end)))
    }
}

/// What stands behind the end of the log.
///
/// It need not be a record to be dangerous. Of a record that was torn, all may be there but its tag; and the
/// next one in its place, torn in turn, may bring just that, since under one salt a place has one tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beyond {
    /// A write was torn: records began there.
    pub(super) torn: bool,
    /// In the active segment there are only zeros from here on.
    pub(super) zeros_from: u32,
    /// In so many of the later segments there are only zeros.
    blank: usize,
}

/// Looks for records behind the `end` of the log, which lies in `segment`.
///
/// # Errors
///
/// When one of them says that more had been durable: then the end is not where the writing stopped.
fn look_beyond(files: &Files, segment: Segment, end: Position, later: &[Header]) -> Result<Beyond, WalError> {
    let mut torn = false;
    for trace in segment.seal.traces(&segment.bytes, end.offset) {
        if trace.is_some_and(|watermark| watermark > end) {
            return Err(segment.damaged(files, end.offset, "no valid record where one was durable"));
        }
        torn = true;
    }
    let zeros_from = segment.zeros_from(end.offset);
    let mut blank = later.len();
    let mut memory = segment.into_memory();
    for (index, header) in later.iter().enumerate() {
        let segment = Segment::load(files, *header, memory)?;
        for trace in segment.seal.traces(&segment.bytes, RECORDS_START) {
            let Some(watermark) = trace.filter(|watermark| *watermark > end) else {
                torn = true;
                continue;
            };
            return Err(missing(files, end, watermark, later));
        }
        if segment.zeros_from(RECORDS_START) > RECORDS_START {
            blank = blank.min(index);
        }
        memory = segment.into_memory();
    }
    Ok(Beyond { torn, zeros_from, blank })
}

/// Damage at the end of the log or, if the log had gone on in the next segment and that one's opening record
/// is bad, there.
fn missing(files: &Files, end: Position, watermark: Position, later: &[Header]) -> WalError {
    let what = "no valid record where one was durable";
    if watermark.sequence > end.sequence
        && let Some(next) = later.first()
        && let Ok(segment) = Segment::load_beginning(files, *next)
        && segment.record(RECORDS_START).is_none()
    {
        return segment.damaged(files, RECORDS_START, what);
    }
    WalError::damaged(files.path(&name_of(end.sequence)), end.offset, what)
}

/// Which entries that stand in the log no longer hold, because of what stands further on.
#[derive(Debug, Default)]
pub(super) struct Overwritten {
    /// From each place on, the entries before it at this position and above do not hold. In order; once it is
    /// complete, the positions do not decrease either.
    cuts: Vec<(Position, LogIndex)>,
}

impl Overwritten {
    fn add(&mut self, place: Position, from: LogIndex) {
        self.cuts.push((place, from));
    }

    /// Lets each place know of the cuts that follow.
    fn complete(&mut self) {
        let mut lowest = LogIndex::new(u64::MAX);
        for (_, from) in self.cuts.iter_mut().rev() {
            lowest = lowest.min(*from);
            *from = lowest;
        }
    }

    /// Entries in the record at `place` hold below this position.
    pub(super) fn limit(&self, place: Position) -> LogIndex {
        let next = self.cuts.partition_point(|(cut, _)| *cut <= place);
        self.cuts.get(next).map_or(LogIndex::new(u64::MAX), |(_, from)| *from)
    }
}
