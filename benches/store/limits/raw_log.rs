//! A file whose blocks are written, written again: what a log costs at the very least.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::Result;

/// A small set with its header, more or less.
pub(crate) const RECORD: usize = 128;

const LOG_BYTES: usize = 8 << 20;

/// The file, and where the next record goes. It starts over at its end.
pub(crate) struct RawLog {
    file: File,
    position: usize,
}

impl RawLog {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let mut file = File::create_new(path)?;
        // In small writes: large ones leave large folios in the page cache, and then every sync of a record
        // writes a whole one back.
        for _ in 0..LOG_BYTES / 4096 {
            file.write_all(&[0; 4096])?;
        }
        file.sync_all()?;
        Ok(Self { file, position: 0 })
    }

    /// Writes `records` in one go.
    pub(crate) fn write(&mut self, records: &[u8]) -> Result<()> {
        if self.position + records.len() > LOG_BYTES {
            self.position = 0;
        }
        self.file.write_all_at(records, self.position as u64)?;
        self.position += records.len();
        Ok(())
    }

    /// Waits until what was written is on the device.
    pub(crate) fn sync(&self) -> Result<()> {
        Ok(self.file.sync_data()?)
    }
}
