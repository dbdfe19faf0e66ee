//! The log as it is written to.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::disk::{Disk, Files, Region};
use super::error::WalError;
use super::record::{self, Seal};
use super::recovery::Recovery;
use super::segment::{self, EmptySegment, Identity, Position, RECORDS_START};
use super::spares::{Maker, Patience, Pool, SpareJob};
use super::state::LogState;
use super::sync::{Durable, Syncer, Unsynced, sync_all};
use crate::entry::{EntryId, HardState, WriteSet};
use crate::types::{LogIndex, Term};

/// An opening record takes at most so many bytes.
const OPENING_BYTES_MAX: usize = record::size_of(72);

/// What an empty write-set takes. So much is left free in every segment, for the record that closes the log.
const CLOSING_BYTES: usize = record::size_of(4);

/// How the log lays itself out.
#[derive(Clone, Copy, Debug)]
pub struct WalSettings {
    /// The length of new segments; taken up to whole pages, and from 16 KiB to 1 GiB.
    pub segment_bytes: u32,
    /// What salts are made from: should differ each time a log is opened, but need not.
    pub salt_seed: u64,
}

impl Default for WalSettings {
    fn default() -> Self {
        Self { segment_bytes: 8 << 20, salt_seed: 0 }
    }
}

/// What a write is for, which decides whether a full disk may refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserve {
    /// It may add data. It leaves the last spare to what frees space.
    Ordinary,
    /// It frees space, or is needed to go on: deleting, expiry, a new leader's first entry.
    Freeing,
}

/// What every segment begins with, so that it stands on its own when those before it are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Opening {
    /// Where the segment before ends; 0 where a log begins.
    pub(super) previous_end: u32,
    /// The last entry before this segment.
    pub(super) last: EntryId,
    pub(super) hard_state: Option<HardState>,
    pub(super) snapshot: Option<EntryId>,
    pub(super) committed: LogIndex,
}

impl Opening {
    pub(super) fn new(previous_end: u32, state: &LogState) -> Self {
        let LogState { hard_state, snapshot, committed, .. } = *state;
        Self { previous_end, last: state.last(), hard_state, snapshot, committed }
    }

    /// Whether a log begins here: in the first segment that there ever was, or in one that took the place of another
    /// member's log.
    pub(super) fn begins_a_log(&self) -> bool {
        self.previous_end == 0
    }

    /// What a log says that begins here.
    pub(super) fn state(&self) -> LogState {
        let mut state = LogState::after(self.last, self.hard_state, self.snapshot);
        state.committed = self.committed;
        state
    }
}

/// The segment that is written to.
struct Active {
    sequence: u64,
    /// The length of its file.
    bytes: u32,
    seal: Seal,
    region: Box<dyn Region>,
    /// What syncs it.
    unsynced: Unsynced,
    /// Where the next record goes: the end of the log.
    end: u32,
}

impl Active {
    fn new(segment: EmptySegment) -> Self {
        let EmptySegment { header, region } = segment;
        Self {
            sequence: header.sequence,
            bytes: header.bytes,
            seal: Seal::new(header.salt),
            unsynced: Unsynced { sequence: header.sequence, region: region.syncer() },
            region,
            end: RECORDS_START,
        }
    }

    fn position(&self) -> Position {
        Position { sequence: self.sequence, offset: self.end }
    }

    /// Whether such a record leaves enough for the one that closes the log.
    fn fits(&self, payload_bytes: usize) -> bool {
        self.free() >= record::size_of(payload_bytes) + CLOSING_BYTES
    }

    fn free(&self) -> usize {
        (self.bytes - self.end) as usize
    }

    /// Writes the record that is in `buffer`.
    fn write(&mut self, buffer: &mut Vec<u8>, watermark: Position) {
        self.seal.close(buffer, self.end, watermark);
        self.region.write(self.end as usize, buffer);
        self.end += buffer.len() as u32;
    }
}

/// A full segment before the active one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sealed {
    pub(super) sequence: u64,
    pub(super) bytes: u32,
    /// The last entry when it was left. Those that the log still has of this segment, and of those before
    /// it, are at no higher positions.
    pub(super) last: LogIndex,
}

/// The log of one member, open for writing.
///
/// Dropping it leaves the log as after a crash of the process, without losing anything that was appended;
/// [`Wal::close`] also guards what was written last against going bad unnoticed.
pub struct Wal {
    files: Files,
    identity: Identity,
    state: LogState,
    /// Oldest first.
    sealed: VecDeque<Sealed>,
    active: Active,
    /// Sealed segments that may not be durable yet, oldest first.
    unsynced: Vec<Unsynced>,
    durable: Arc<Durable>,
    pool: Pool,
    payload_bytes_max: usize,
    /// Entries up to here are no longer needed, once the log is durable up to there.
    released: (LogIndex, Position),
    /// The last record is empty and vouches for everything before it.
    vouched: bool,
    /// The record that is being made.
    buffer: Vec<u8>,
}

/// What a log is opened with, however it was come by.
pub(super) struct Parts {
    pub(super) maker: Maker,
    pub(super) state: LogState,
    pub(super) sealed: VecDeque<Sealed>,
    pub(super) active: EmptySegment,
    /// The end of the log in the active segment; all before it is durable.
    pub(super) end: u32,
    pub(super) spares: VecDeque<EmptySegment>,
    pub(super) vouched: bool,
}

impl Wal {
    /// Begins a new log: at position 1, or after the snapshot that it goes on from, whose term its member is then in.
    ///
    /// # Errors
    ///
    /// [`WalError::LogExists`] when there is one already, and those of the disk.
    pub fn create(
        disk: Arc<dyn Disk>,
        settings: WalSettings,
        identity: Identity,
        snapshot: Option<EntryId>,
    ) -> Result<Self, WalError> {
        let files = Files(disk);
        Recovery::scan_files(files.clone())?.clear_for_new_log()?;
        let maker = Maker::new(files, identity, settings);
        let active = maker.make(1)?;
        let hard_state = snapshot.map(|covered| HardState { term: covered.term, ..HardState::default() });
        let state = LogState::after(snapshot.unwrap_or_default(), hard_state, snapshot);
        let mut wal = Self::new(Parts {
            maker,
            state,
            sealed: VecDeque::new(),
            active,
            end: RECORDS_START,
            spares: VecDeque::new(),
            vouched: false,
        });
        wal.write_opening(0, Position::start_of(1));
        wal.sync()?;
        Ok(wal)
    }

    pub(super) fn new(parts: Parts) -> Self {
        let Parts { maker, state, sealed, active, end, spares, vouched } = parts;
        let active = Active { end, ..Active::new(active) };
        let (files, identity) = (maker.files.clone(), maker.identity);
        let segment_room = maker.segment_bytes - RECORDS_START;
        let payload_room = segment_room as usize - OPENING_BYTES_MAX - CLOSING_BYTES;
        Self {
            files,
            identity,
            state,
            sealed,
            durable: Arc::new(Durable::new(active.position())),
            pool: Pool::new(maker, spares, active.sequence + 1),
            released: (LogIndex::default(), active.position()),
            active,
            unsynced: Vec::new(),
            payload_bytes_max: payload_room - record::HEADER_BYTES,
            vouched,
            buffer: Vec::new(),
        }
    }

    /// Adds `set`. It survives this process from now on, and a loss of power after [`Wal::sync`].
    ///
    /// # Errors
    ///
    /// When nothing was written, [`WalError::TooLarge`], [`WalError::NoSpace`] or another of the disk's: the
    /// same call may succeed later. [`WalError::Poisoned`] after a failed sync.
    ///
    /// # Panics
    ///
    /// When `set` does not follow the log: to go on would be to lose or to fork data.
    pub fn append(&mut self, set: &WriteSet) -> Result<(), WalError> {
        let watermark = self.durable.watermark()?;
        record::encode(&mut self.buffer, set);
        let payload_bytes = self.buffer.len() - record::HEADER_BYTES;
        self.check_size(payload_bytes)?;
        if !self.active.fits(payload_bytes) {
            self.activate_spare(watermark)?;
            record::encode(&mut self.buffer, set);
        }
        if let Err(reason) = self.state.follow(set) {
            panic!("{reason}: {:?} after {:?}", set, self.state.last());
        }
        self.active.write(&mut self.buffer, watermark);
        self.vouched = false;
        Ok(())
    }

    /// Makes everything that was appended durable.
    ///
    /// # Errors
    ///
    /// When the disk refuses: the log is poisoned then, and what it holds is known only after a reopening.
    pub fn sync(&mut self) -> Result<(), WalError> {
        let end = self.active.position();
        if self.durable.watermark()? == end {
            return Ok(());
        }
        let segments = self.unsynced.iter().chain([&self.active.unsynced]);
        sync_all(&self.files, segments, end, &self.durable)?;
        self.unsynced.clear();
        Ok(())
    }

    /// Something that makes what was appended so far durable, on another thread.
    pub fn syncer(&mut self) -> Syncer {
        self.forget_synced();
        let mut segments = self.unsynced.clone();
        segments.push(self.active.unsynced.clone());
        Syncer {
            files: self.files.clone(),
            segments,
            upto: self.active.position(),
            durable: Arc::clone(&self.durable),
        }
    }

    /// Whether a write with so large a payload can be appended, before it is proposed.
    ///
    /// A spare that is needed and not ready is made now, or waited for.
    ///
    /// # Errors
    ///
    /// [`WalError::NoSpace`], [`WalError::TooLarge`] and [`WalError::Poisoned`].
    pub fn room(&mut self, payload_bytes: usize, reserve: Reserve) -> Result<(), WalError> {
        self.durable.watermark()?;
        self.check_size(payload_bytes)?;
        self.pool.settle(Patience::None);
        if self.has_spares_for(payload_bytes, reserve) {
            return Ok(());
        }
        // Whatever keeps a spare from being made is the same to the caller: this write has no room now.
        let _ = self.pool.ensure_one();
        if self.has_spares_for(payload_bytes, reserve) { Ok(()) } else { Err(self.pool.no_space()) }
    }

    /// The same for one who waits for no disk: false when there is no room yet, but [`Wal::spare_wanted`] has or had the work
    /// that makes some.
    ///
    /// # Errors
    ///
    /// Those of [`Wal::room`].
    pub fn room_now(&mut self, payload_bytes: usize, reserve: Reserve) -> Result<bool, WalError> {
        self.durable.watermark()?;
        self.check_size(payload_bytes)?;
        self.pool.settle(Patience::None);
        // Half a segment is left to what is written without asking, such as a vote.
        let is_coming = !self.pool.has_failed();
        let has_spares =
            self.has_spares_for(payload_bytes, if is_coming { Reserve::Ordinary } else { reserve });
        if has_spares || is_coming { Ok(has_spares) } else { Err(self.pool.no_space()) }
    }

    /// While spares can be made, half a segment is kept for what frees space until the next one is ready.
    /// Once they cannot, a whole one is, or what is left of the active one if that was the last.
    fn has_spares_for(&self, payload_bytes: usize, reserve: Reserve) -> bool {
        let moves = !self.active.fits(payload_bytes);
        let needed = match reserve {
            Reserve::Freeing => usize::from(moves),
            Reserve::Ordinary if self.pool.has_failed() => 1 + usize::from(moves),
            Reserve::Ordinary => usize::from(moves || self.active.end > self.active.bytes / 2),
        };
        self.pool.ready() >= needed
    }

    /// The largest payload that a record may have.
    pub fn payload_bytes_max(&self) -> usize {
        self.payload_bytes_max
    }

    /// Work to be run on another thread so that appending need not do it: a spare to be made, a released
    /// segment to be used again or removed. Cheap when there is none.
    ///
    /// After a failure each call asks for another attempt; so it should come at the pace of those.
    pub fn spare_wanted(&mut self) -> Option<SpareJob> {
        self.retire_released();
        self.pool.job()
    }

    /// Gives up the entries up to `upto`, which a durable snapshot covers that the log has a mark of. Segments
    /// with no others go as soon as the mark is durable; [`Wal::spare_wanted`] has the work.
    pub fn release(&mut self, upto: LogIndex) {
        self.released = (upto.min(self.state.marked().index), self.active.position());
    }

    pub(crate) fn retire_released(&mut self) {
        let (upto, marked_before) = self.released;
        let Some(watermark) = self.durable.watermark().ok().filter(|watermark| *watermark >= marked_before)
        else {
            return;
        };
        while let Some(oldest) = self.sealed.front() {
            // The next opening record restates what goes with this segment: it must be durable before.
            let opening = Position::start_of(oldest.sequence + 1);
            if oldest.last > upto || watermark <= opening {
                return;
            }
            self.state.begin_after(oldest.last);
            self.pool.retire(oldest.sequence, oldest.bytes);
            self.sealed.pop_front();
        }
    }

    /// How many bytes the segments have that hold the log.
    pub fn bytes(&self) -> u64 {
        self.sealed_bytes() + u64::from(self.active.bytes)
    }

    /// How many of them are in full segments: what a snapshot can give back.
    pub fn sealed_bytes(&self) -> u64 {
        self.sealed.iter().map(|segment| u64::from(segment.bytes)).sum()
    }

    /// Whether a sync has failed: nothing can be appended any more.
    pub fn is_poisoned(&self) -> bool {
        self.durable.watermark().is_err()
    }

    /// The position of the first entry that the log still has, or that it will have.
    pub fn first_index(&self) -> LogIndex {
        self.state.first_index()
    }

    /// The last entry; the one before the log, when the log has none.
    pub fn last(&self) -> EntryId {
        self.state.last()
    }

    /// The term of the entry at `index`, if the log has it.
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        self.state.term_at(index)
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    /// The segments that can hold entries from `index` on, in order; the active one comes last, with where it ends.
    pub(super) fn segments_from(&self, index: LogIndex) -> impl Iterator<Item = (u64, Option<u32>)> + '_ {
        let sealed = self.sealed.iter().filter(move |segment| segment.last >= index);
        sealed.map(|segment| (segment.sequence, None)).chain([(self.active.sequence, Some(self.active.end))])
    }

    /// Whose log it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Syncs, and adds a record that says so: should the last of what was written go bad, it will not be
    /// taken for a torn write.
    ///
    /// # Errors
    ///
    /// Those of [`Wal::sync`].
    pub fn close(mut self) -> Result<(), WalError> {
        self.sync()?;
        self.vouch()
    }

    /// Adds a record that vouches for all before it, which is durable.
    pub(super) fn vouch(&mut self) -> Result<(), WalError> {
        let watermark = self.durable.watermark()?;
        if self.vouched || self.active.free() < CLOSING_BYTES {
            return Ok(());
        }
        record::encode(&mut self.buffer, &WriteSet::default());
        self.active.write(&mut self.buffer, watermark);
        self.vouched = true;
        self.sync()
    }

    fn check_size(&self, payload_bytes: usize) -> Result<(), WalError> {
        let limit = self.payload_bytes_max;
        if payload_bytes <= limit { Ok(()) } else { Err(WalError::TooLarge { bytes: payload_bytes, limit }) }
    }

    /// Leaves the active segment for the next spare. Nothing has changed when this fails.
    fn activate_spare(&mut self, watermark: Position) -> Result<(), WalError> {
        let next = Active::new(self.pool.take()?);
        let full = std::mem::replace(&mut self.active, next);
        self.forget_synced();
        self.unsynced.push(full.unsynced);
        let last = self.state.last().index;
        self.sealed.push_back(Sealed { sequence: full.sequence, bytes: full.bytes, last });
        self.write_opening(full.end, watermark);
        Ok(())
    }

    fn write_opening(&mut self, previous_end: u32, watermark: Position) {
        record::encode(&mut self.buffer, &Opening::new(previous_end, &self.state));
        self.active.write(&mut self.buffer, watermark);
        debug_assert!(self.active.end as usize <= RECORDS_START as usize + OPENING_BYTES_MAX);
    }

    /// Drops the sealed segments that have become durable through a [`Syncer`].
    fn forget_synced(&mut self) {
        if let Ok(watermark) = self.durable.watermark() {
            self.unsynced.retain(|segment| segment.sequence >= watermark.sequence);
        }
    }
}

impl Maker {
    pub(super) fn new(files: Files, identity: Identity, settings: WalSettings) -> Self {
        let segment_bytes = segment::rounded(settings.segment_bytes);
        Self { files, identity, segment_bytes, salt_seed: settings.salt_seed }
    }
}
