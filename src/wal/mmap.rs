//! Mapped files. The one place with `unsafe` code; what it hands out is safe.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::MmapRaw;
#[cfg(target_os = "linux")]
use memmap2::UncheckedAdvice;

use super::disk::{Region, SyncRegion};

/// A file that is mapped for writing.
///
/// Nothing here ever reads through the map: a page that cannot be read is then an error of `read`, never a
/// SIGBUS. A store to a page that was dropped from memory and cannot be read back from a dying disk still is
/// one; the log's segments are written in full before they are mapped, so a full disk is not.
pub(super) struct MappedFile(Arc<Mapping>);

/// What [`MappedFile`] and its sync handles share.
struct Mapping {
    map: MmapRaw,
    file: File,
    /// Where the last write ended.
    written: AtomicUsize,
    /// Where that was when it was last synced.
    #[cfg(target_os = "linux")]
    synced: AtomicUsize,
}

/// From so many bytes on it is cheaper to let go of pages that were written than to have each of them looked at: where a page
/// has 4 KiB, from two or three of them on.
#[cfg(target_os = "linux")]
const LET_GO_BYTES: usize = 8 << 10;

/// As pages are mostly; with larger ones, one that is stored to again is let go, too.
#[cfg(target_os = "linux")]
const PAGE_BYTES: usize = 4 << 10;

impl MappedFile {
    /// Maps all of `file`, which was opened for reading and writing.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let map = MmapRaw::map_raw(&file)?;
        Ok(Self(Arc::new(Mapping {
            map,
            file,
            written: 0.into(),
            #[cfg(target_os = "linux")]
            synced: 0.into(),
        })))
    }
}

impl Region for MappedFile {
    fn len(&self) -> usize {
        self.0.map.len()
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset.checked_add(bytes.len());
        assert!(end.is_some_and(|end| end <= self.len()), "a write within the region");
        // SAFETY: The destination lies within the map (asserted above), which lives as long as `self`.
        // `bytes` cannot overlap it: no reference into the map is ever made. Nobody else in this process
        // writes there at the same time: `self` is borrowed exclusively, a file is mapped once at a time, and
        // the handles that `syncer` gives out read and write no memory.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.map.as_mut_ptr().add(offset), bytes.len());
        }
        // Records come one after the other; only this one handle writes.
        self.0.written.store(offset + bytes.len(), Ordering::Relaxed);
    }

    fn syncer(&self) -> Arc<dyn SyncRegion> {
        Arc::clone(&self.0) as Arc<dyn SyncRegion>
    }
}

impl Mapping {
    /// Drops the pages from the map that were written since the last sync, if they are many. They stay in the page cache
    /// as they are.
    ///
    /// A page that is written back while it is mapped must be made unwritable first, which interrupts the processors
    /// where others of this process run: page by page. For all of them together, once is enough.
    #[cfg(target_os = "linux")]
    fn let_go(&self) {
        let written = self.written.load(Ordering::Relaxed);
        let synced = self.synced.swap(written, Ordering::Relaxed);
        if written.saturating_sub(synced) < LET_GO_BYTES {
            return;
        }
        // The last one is stored to again.
        let [from, upto] = [synced, written].map(|end| end - end % PAGE_BYTES);
        // SAFETY: The range lies within the map; the pages that it touches go. The map is shared, so they are those of the
        // file: none loses what was stored to it, and the next store finds it again. No reference into the map is ever made.
        let let_go = unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, from, upto - from) };
        // Should it be refused, they stay mapped, which is slower and no more.
        let _ = let_go;
    }
}

impl SyncRegion for Mapping {
    fn sync(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        self.let_go();
        // On Linux, pages that were stored to through a map are written back by `fdatasync` like any others.
        // Elsewhere that is not promised.
        if cfg!(not(target_os = "linux")) {
            self.map.flush()?;
        }
        self.file.sync_data()
    }
}
