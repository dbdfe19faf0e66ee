//! Mapped files. The one place with `unsafe` code; what it hands out is safe.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::sync::Arc;

use memmap2::MmapRaw;

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
}

impl MappedFile {
    /// Maps all of `file`, which was opened for reading and writing.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let map = MmapRaw::map_raw(&file)?;
        Ok(Self(Arc::new(Mapping { map, file })))
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
        // the handles that `syncer` gives out touch the file but not the memory.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.map.as_mut_ptr().add(offset), bytes.len());
        }
    }

    fn syncer(&self) -> Arc<dyn SyncRegion> {
        Arc::clone(&self.0) as Arc<dyn SyncRegion>
    }
}

impl SyncRegion for Mapping {
    fn sync(&self) -> io::Result<()> {
        // On Linux, pages that were stored to through a map are written back by `fdatasync` like any others.
        // Elsewhere that is not promised.
        if cfg!(not(target_os = "linux")) {
            self.map.flush()?;
        }
        self.file.sync_data()
    }
}
