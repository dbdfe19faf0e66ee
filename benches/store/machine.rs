//! What we ask the machine for: a directory on a real disk, and how much memory this process has.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::Result;

/// A directory in `parent` that goes when it is dropped.
///
/// # Errors
///
/// When `parent` is in memory: there, a sync costs nothing, and the numbers would mean nothing.
pub(crate) fn scratch(parent: &Path) -> Result<tempfile::TempDir> {
    let file_system = file_system(parent)?;
    if matches!(file_system.as_deref(), Some("tmpfs" | "ramfs")) {
        return Err(format!("{} is not on a disk: choose another with --dir", parent.display()).into());
    }
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(parent)?)
}

/// The major and minor number of the device that `path` lies on, as the kernel writes them: `254:0`.
pub(crate) fn device_number(path: &Path) -> Result<String> {
    let device = fs::metadata(path)?.dev();
    let major = (device >> 8) & 0xfff | (device >> 32) & !0xfff;
    let minor = device & 0xff | (device >> 12) & 0xfff_ff00;
    Ok(format!("{major}:{minor}"))
}

/// The type of the file system that `path` lies on, where the kernel tells.
fn file_system(path: &Path) -> Result<Option<String>> {
    let device = device_number(path)?;
    // A line: mount id, parent id, device, …, a lone dash, type, source, options.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some(&device));
    let after_dash = mount.and_then(|line| line.split_once(" - ")).map(|(_, rest)| rest);
    Ok(after_dash.and_then(|rest| rest.split(' ').next()).map(str::to_owned))
}

/// What of this process is resident, in bytes.
pub(crate) struct Memory {
    /// Its own: heap and stacks.
    pub(crate) own: u64,
    /// Pages of files that it has mapped. The kernel can take them back.
    pub(crate) mapped: u64,
}

impl Memory {
    pub(crate) fn now() -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let bytes = |field: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let kilobytes = line.and_then(|rest| rest.split_whitespace().next());
            Ok(kilobytes.ok_or("the kernel does not say")?.parse::<u64>()? * 1024)
        };
        Ok(Self { own: bytes("RssAnon:")?, mapped: bytes("RssFile:")? + bytes("RssShmem:")? })
    }

    /// By how much this process has grown since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self { own: self.own.saturating_sub(before.own), mapped: self.mapped.saturating_sub(before.mapped) }
    }
}
