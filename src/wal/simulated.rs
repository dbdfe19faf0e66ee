//! A disk in memory that loses, tears and fails: for tests, and for the simulation of whole clusters.
//!
//! ```text
//!   file        durable content ── unsynced sectors, each with all that it held since ──► present content
//!   directory   durable names   ── unsynced links, renames and removals, in order ──────► present names
//! ```
//! A sync of a file makes its present content durable; a sync of the directory does so for the names. What a
//! process sees is the present; what a loss of power leaves is drawn by [`SimulatedDisk::power_loss`].

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Cursor, Write};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::UNFINISHED;
use super::disk::{Disk, Region, Sink, Source, SyncRegion};
use super::segment::mix;

/// What a disk writes as one, unless the power fails.
const SECTOR_BYTES: usize = 512;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: BTreeMap<FileId, FileState>,
    names: BTreeMap<String, FileId>,
    durable_names: BTreeMap<String, FileId>,
    unsynced_names: Vec<NameChange>,
    next_id: u64,
    faults: Faults,
    /// How many syncs, of files and of the directory, succeeded: what a simulation charges time for.
    syncs: u64,
    /// How many writes there were.
    writes: u64,
    /// While a sync runs that began earlier: how many writes there were then.
    sync_began: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FileId(u64);

#[derive(Clone, Debug)]
enum NameChange {
    Link(String, FileId),
    Rename(String, String, FileId),
    Remove(String),
}

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    /// This many syncs from now, one fails.
    failing_sync: Option<u64>,
    /// This many operations from now, everything stops.
    stop_after: Option<u64>,
    stopped: bool,
    /// How many bytes all files together may have.
    capacity: Option<u64>,
}

#[derive(Clone, Default)]
struct FileState {
    durable: Vec<u8>,
    present: Vec<u8>,
    /// What each sector held since the last sync, the present content last.
    unsynced: BTreeMap<usize, Vec<Version>>,
}

/// What a sector held.
#[derive(Clone)]
struct Version {
    /// The number of the write that made it so.
    write: u64,
    content: Vec<u8>,
}

impl FileState {
    fn holding(content: Vec<u8>) -> Self {
        Self { durable: content.clone(), present: content, unsynced: BTreeMap::new() }
    }

    fn write(&mut self, write: u64, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.present.len() < end {
            self.present.resize(end, 0);
        }
        self.present[offset..end].copy_from_slice(bytes);
        for sector in offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            let content = sector_of(&self.present, sector).to_vec();
            self.unsynced.entry(sector).or_default().push(Version { write, content });
        }
    }

    /// Makes durable what was written up to the write with this number; what came later is as unsynced as before.
    fn sync(&mut self, upto: u64) {
        let durable = &mut self.durable;
        self.unsynced.retain(|sector, held| {
            let covered = held.iter().take_while(|version| version.write <= upto).count();
            if let Some(version) = held.drain(..covered).next_back() {
                let end = sector * SECTOR_BYTES + version.content.len();
                if durable.len() < end {
                    durable.resize(end, 0);
                }
                durable[sector * SECTOR_BYTES..end].copy_from_slice(&version.content);
            }
            !held.is_empty()
        });
    }

    /// What is there after a loss of power. `torn` is the sector that was being written, if of this file.
    fn after_power_loss(&self, random: &mut Random) -> Vec<u8> {
        let mut content = self.durable.clone();
        if self.present.len() > content.len() {
            let grown = random.below(self.present.len() - content.len() + 1);
            content.resize(content.len() + grown, 0);
        }
        let torn = random.below(self.unsynced.len().max(1) * 2);
        for (number, (sector, held)) in self.unsynced.iter().enumerate() {
            // One of what it held since, or what it held before.
            let kept = random.below(held.len() + 1);
            let Some(new) = kept.checked_sub(1).map(|kept| &held[kept].content) else { continue };
            let start = sector * SECTOR_BYTES;
            let end = content.len().min(start + new.len());
            if start < end {
                tear(&mut content[start..end], new, number == torn, random);
            }
        }
        content
    }
}

/// Overwrites `old` by `new`: wholly, or up to some byte, or here and there.
fn tear(old: &mut [u8], new: &[u8], torn: bool, random: &mut Random) {
    let prefix = if torn { random.below(old.len() + 1) } else { old.len() };
    let mixed = torn && random.below(2) == 0;
    for (at, (old, new)) in old.iter_mut().zip(new).enumerate() {
        if at < prefix || mixed && random.below(2) == 0 {
            *old = *new;
        }
    }
}

fn sector_of(content: &[u8], sector: usize) -> &[u8] {
    let start = sector * SECTOR_BYTES;
    &content[start..content.len().min(start + SECTOR_BYTES)]
}

/// A small generator of its own, so that a seed means the same for ever.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mix(self.0) % bound as u64) as usize
    }
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        let lengths = state.names.iter().map(|(name, id)| (name, state.files[id].present.len()));
        f.debug_map().entries(lengths).finish()
    }
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk as it may be found after the power failed now, by what `seed` draws. This one stays as it is.
    ///
    /// Of the sectors that were written since the last sync of their file, any may be there, in any state
    /// that they had since then; in one of each file's, old and new bytes may be mixed. Of the changes of
    /// names since the last sync of the directory, the first ones are there, or any of them.
    pub fn power_loss(&self, seed: u64) -> Self {
        let mut random = Random(seed);
        let state = self.0.lock();
        let names = state.names_after_power_loss(&mut random);
        let survivors = names.values().map(|id| {
            let content = state.files[id].after_power_loss(&mut random);
            (*id, FileState::holding(content))
        });
        let files = survivors.collect();
        let next_id = state.next_id;
        let durable_names = names.clone();
        Self(Arc::new(Mutex::new(State { files, names, durable_names, next_id, ..State::default() })))
    }

    /// The disk as it is found if the power fails now and nothing survives but what was synced. This one stays
    /// as it is.
    pub fn durable(&self) -> Self {
        let state = self.0.lock();
        let names = state.durable_names.clone();
        let survivors =
            names.values().map(|id| (*id, FileState::holding(state.files[id].durable.clone()))).collect();
        let (durable_names, next_id) = (names.clone(), state.next_id);
        Self(Arc::new(Mutex::new(State {
            files: survivors,
            names,
            durable_names,
            next_id,
            ..State::default()
        })))
    }

    /// How many writes there were: the moment at which a sync begins, for [`SimulatedDisk::ending_sync`].
    pub fn writes(&self) -> u64 {
        self.0.lock().writes
    }

    /// Runs `sync`, whose syncs of files began when there had been `began` writes and end now: what was written
    /// in between is not covered.
    pub fn ending_sync<T>(&self, began: u64, sync: impl FnOnce() -> T) -> T {
        self.0.lock().sync_began = Some(began);
        let ended = sync();
        self.0.lock().sync_began = None;
        ended
    }

    /// Lets a sync fail: the next one with 0, the one after it with 1. What it was to make durable can still
    /// be read, but is not made durable by later syncs either, unless it is written again.
    pub fn fail_sync(&self, after: u64) {
        self.0.lock().faults.failing_sync = Some(after);
    }

    /// Lets everything stop after so many more operations that change the disk, as if the process were
    /// killed there: what it does then has no effect, and fails where it can.
    pub fn stop_after(&self, operations: u64) {
        self.0.lock().faults.stop_after = Some(operations);
    }

    /// Whether the moment of [`SimulatedDisk::stop_after`] has come.
    pub fn has_stopped(&self) -> bool {
        self.0.lock().faults.stopped
    }

    /// How many bytes all files together have now.
    pub fn bytes(&self) -> u64 {
        let state = self.0.lock();
        state.names.values().map(|id| state.files[id].present.len() as u64).sum()
    }

    /// What a new process finds once it has opened the log: all faults end, and unfinished files are removed.
    pub fn restart(&self) {
        let mut state = self.0.lock();
        state.faults = Faults::default();
        let unfinished = state.names.keys().filter(|name| name.ends_with(UNFINISHED));
        for name in unfinished.cloned().collect::<Vec<_>>() {
            state.change_names(NameChange::Remove(name));
        }
    }

    /// How many bytes all files together may have; beyond that the disk is full.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().faults.capacity = bytes;
    }

    /// How many syncs succeeded so far.
    pub fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// Flips one bit of a file, as rot does.
    ///
    /// # Panics
    ///
    /// When there is no such file or bit.
    pub fn flip_bit(&self, name: &str, bit: usize) {
        self.rot(name, |content| content[bit / 8] ^= 1 << (bit % 8));
    }

    /// Puts other bytes into a file, as rot does.
    ///
    /// # Panics
    ///
    /// When there is no such file or place.
    pub fn overwrite(&self, name: &str, offset: usize, bytes: &[u8]) {
        self.rot(name, |content| content[offset..offset + bytes.len()].copy_from_slice(bytes));
    }

    /// Cuts a file off.
    ///
    /// # Panics
    ///
    /// When there is no such file.
    pub fn truncate(&self, name: &str, bytes: usize) {
        self.rot(name, |content| content.truncate(bytes));
    }

    /// What is in a file now.
    ///
    /// # Panics
    ///
    /// When there is no such file.
    pub fn content(&self, name: &str) -> Vec<u8> {
        let state = self.0.lock();
        state.files[&state.names[name]].present.clone()
    }

    /// A disk of its own with the same present content, all durable.
    pub fn copy(&self) -> Self {
        let state = self.0.lock();
        let copies =
            state.names.values().map(|id| (*id, FileState::holding(state.files[id].present.clone())));
        let files = copies.collect();
        let (names, next_id) = (state.names.clone(), state.next_id);
        let durable_names = names.clone();
        Self(Arc::new(Mutex::new(State { files, names, durable_names, next_id, ..State::default() })))
    }

    fn rot(&self, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let id = state.names[name];
        if let Some(file) = state.files.get_mut(&id) {
            file.sync(u64::MAX);
            change(&mut file.present);
            change(&mut file.durable);
        }
    }
}

impl State {
    fn names_after_power_loss(&self, random: &mut Random) -> BTreeMap<String, FileId> {
        let mut names = self.durable_names.clone();
        let journaled = random.below(self.unsynced_names.len() + 1);
        let in_order = random.below(2) == 0;
        for (number, change) in self.unsynced_names.iter().enumerate() {
            let survives = if in_order { number < journaled } else { random.below(2) == 0 };
            if survives {
                change.apply(&mut names);
            }
        }
        names
    }

    fn find(&self, name: &str) -> io::Result<FileId> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }

    /// Counts an operation that changes the disk; an error when there are no more.
    fn operate(&mut self) -> io::Result<()> {
        match &mut self.faults.stop_after {
            Some(0) => self.faults.stopped = true,
            Some(left) => *left -= 1,
            None => {}
        }
        if self.faults.stopped { Err(io::Error::other("the simulated machine stopped")) } else { Ok(()) }
    }

    fn begin_sync(&mut self) -> io::Result<()> {
        self.operate()?;
        match &mut self.faults.failing_sync {
            Some(0) => {
                self.faults.failing_sync = None;
                return Err(io::Error::other("a simulated sync failed"));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        self.syncs += 1;
        Ok(())
    }

    fn sync_file(&mut self, id: FileId) -> io::Result<()> {
        let begun = self.begin_sync();
        let upto = self.sync_began.unwrap_or(self.writes);
        if let Some(file) = self.files.get_mut(&id) {
            match begun {
                Ok(()) => file.sync(upto),
                // The system takes what it could not write for written: the next sync will not try again.
                Err(_) => file.unsynced.clear(),
            }
        }
        begun
    }

    /// Adds `bytes` to the end of a file.
    fn extend(&mut self, id: FileId, bytes: &[u8]) -> io::Result<()> {
        self.operate()?;
        let used: usize = self.names.values().map(|id| self.files[id].present.len()).sum();
        if self.faults.capacity.is_some_and(|capacity| (used + bytes.len()) as u64 > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.writes += 1;
        if let Some(file) = self.files.get_mut(&id) {
            file.write(self.writes, file.present.len(), bytes);
        }
        Ok(())
    }

    /// Writes through a map, which cannot fail.
    fn store(&mut self, id: FileId, offset: usize, bytes: &[u8]) {
        if self.operate().is_err() {
            return;
        }
        self.writes += 1;
        if let Some(file) = self.files.get_mut(&id) {
            file.write(self.writes, offset, bytes);
        }
    }
}

impl NameChange {
    /// Names stand for files in the directory itself: a rename that survives brings the file that it was made
    /// for, whatever else was lost.
    fn apply(&self, names: &mut BTreeMap<String, FileId>) {
        match self {
            Self::Link(name, id) => {
                names.insert(name.clone(), *id);
            }
            Self::Rename(from, to, id) => {
                if names.get(from) == Some(id) {
                    names.remove(from);
                }
                names.insert(to.clone(), *id);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Disk for SimulatedDisk {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("simulated").join(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        let state = self.0.lock();
        let id = state.find(name)?;
        Ok(Box::new(Cursor::new(state.files[&id].present.clone())))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Sink>> {
        let mut state = self.0.lock();
        state.operate()?;
        let id = FileId(state.next_id);
        state.next_id += 1;
        state.files.insert(id, FileState::default());
        state.change_names(NameChange::Link(name.to_owned(), id));
        Ok(Box::new(OpenFile { disk: self.clone(), id, len: 0 }))
    }

    fn map(&self, name: &str) -> io::Result<Box<dyn Region>> {
        let state = self.0.lock();
        let id = state.find(name)?;
        Ok(Box::new(OpenFile { disk: self.clone(), id, len: state.files[&id].present.len() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operate()?;
        let id = state.find(from)?;
        state.change_names(NameChange::Rename(from.to_owned(), to.to_owned(), id));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operate()?;
        state.find(name)?;
        state.change_names(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.begin_sync()?;
        state.durable_names = state.names.clone();
        state.unsynced_names.clear();
        Ok(())
    }
}

/// A file of the simulated disk that is open or mapped.
#[derive(Clone)]
struct OpenFile {
    disk: SimulatedDisk,
    id: FileId,
    /// The length of the map.
    len: usize,
}

impl Write for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.0.lock().extend(self.id, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for OpenFile {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.0.lock().sync_file(self.id)
    }
}

impl Region for OpenFile {
    fn len(&self) -> usize {
        self.len
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.len, "a write within the region");
        self.disk.0.lock().store(self.id, offset, bytes);
    }

    fn syncer(&self) -> Arc<dyn SyncRegion> {
        Arc::new(self.clone())
    }
}

impl SyncRegion for OpenFile {
    fn sync(&self) -> io::Result<()> {
        self.disk.0.lock().sync_file(self.id)
    }
}
