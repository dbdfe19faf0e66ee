//! The real disk, whose syncs take as long as a test says.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use spinney::internals::wal::{Disk, FileDisk, Region, Sink, Source, SyncRegion};

/// How long syncs take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Syncs {
    /// As long as the machine's disk needs.
    #[default]
    AsTheyCome,
    /// So much longer than that.
    Take(Duration),
    /// They do not come back until they are told otherwise.
    StandStill,
}

/// What a test has to say about a disk.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    paces: Mutex<Paces>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Paces {
    snapshots: Syncs,
    others: Syncs,
}

impl Pace {
    /// How long the syncs of all files take.
    pub(crate) fn set(&self, syncs: Syncs) {
        self.change(Paces { snapshots: syncs, others: syncs });
    }

    /// How long those of snapshots take, taken here or received, where all else is as quick as the disk.
    pub(crate) fn set_snapshots(&self, snapshots: Syncs) {
        self.change(Paces { snapshots, others: Syncs::AsTheyCome });
    }

    fn change(&self, paces: Paces) {
        *self.paces.lock().unwrap() = paces;
        self.changed.notify_all();
    }

    fn wait(&self, is_snapshot: bool) {
        let of = |paces: &Paces| if is_snapshot { paces.snapshots } else { paces.others };
        let paces = self.paces.lock().unwrap();
        if let Syncs::Take(time) = of(&paces) {
            drop(paces);
            return std::thread::sleep(time);
        }
        let stands_still = |paces: &mut Paces| matches!(of(paces), Syncs::StandStill);
        drop(self.changed.wait_while(paces, stands_still).unwrap());
    }
}

/// A directory, and how long its syncs take.
#[derive(Debug)]
pub(crate) struct SlowDisk {
    files: FileDisk,
    pace: Arc<Pace>,
}

/// What is synced, and how long that takes.
struct Slow<T> {
    inner: T,
    is_snapshot: bool,
    pace: Arc<Pace>,
}

impl SlowDisk {
    pub(crate) fn open(directory: &Path, pace: Arc<Pace>) -> Self {
        Self { files: FileDisk::open(directory, true).unwrap(), pace }
    }

    fn slow<T>(&self, name: &str, inner: T) -> Slow<T> {
        Slow { inner, is_snapshot: name.contains(".snap"), pace: Arc::clone(&self.pace) }
    }
}

impl Disk for SlowDisk {
    fn path(&self, name: &str) -> PathBuf {
        self.files.path(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.files.names()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        self.files.open(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Sink>> {
        Ok(Box::new(self.slow(name, self.files.create(name)?)))
    }

    fn map(&self, name: &str) -> io::Result<Box<dyn Region>> {
        Ok(Box::new(self.slow(name, self.files.map(name)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.pace.wait(false);
        self.files.sync_directory()
    }
}

impl Write for Slow<Box<dyn Sink>> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Sink for Slow<Box<dyn Sink>> {
    fn sync(&mut self) -> io::Result<()> {
        self.pace.wait(self.is_snapshot);
        self.inner.sync()
    }
}

impl Region for Slow<Box<dyn Region>> {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.inner.write(offset, bytes);
    }

    fn syncer(&self) -> Arc<dyn SyncRegion> {
        let (is_snapshot, pace) = (self.is_snapshot, Arc::clone(&self.pace));
        Arc::new(Slow { inner: self.inner.syncer(), is_snapshot, pace })
    }
}

impl SyncRegion for Slow<Arc<dyn SyncRegion>> {
    fn sync(&self) -> io::Result<()> {
        self.pace.wait(self.is_snapshot);
        self.inner.sync()
    }
}
