//! What reached the device, as the kernel counts it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::machine;

/// The kernel's unit here, whatever the device's sectors are.
const SECTOR: u64 = 512;

/// The block device under a directory.
pub(crate) struct Device {
    stat: PathBuf,
}

impl Device {
    /// The one that `path` lies on; `None` where that is not a block device or the kernel does not count.
    pub(crate) fn of(path: &Path) -> Result<Option<Self>> {
        let device = Self { stat: format!("/sys/dev/block/{}/stat", machine::device_number(path)?).into() };
        Ok(device.bytes_written().is_ok().then_some(device))
    }

    /// All that was ever written to it, by anybody.
    pub(crate) fn bytes_written(&self) -> Result<u64> {
        // Reads, merged, sectors, time; then the same of writes.
        let stat = fs::read_to_string(&self.stat)?;
        let sectors = stat.split_whitespace().nth(6).ok_or("the kernel does not say")?;
        Ok(sectors.parse::<u64>()? * SECTOR)
    }
}
