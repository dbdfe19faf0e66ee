//! What can be set, and what it is unless somebody does.

use crate::error::Error;
use crate::watch::HistoryLimits;

/// The limits and habits of one member.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) durability: Durability,
    /// How much is kept of the past for watches.
    pub(crate) history: HistoryLimits,
    /// The longest key, in bytes.
    pub(crate) key_bytes: usize,
    /// The largest value, in bytes.
    pub(crate) value_bytes: usize,
    /// The largest transaction, encoded, in bytes.
    pub(crate) transaction_bytes: usize,
    /// How much the nodes may take, roughly, in bytes of memory.
    pub(crate) tree_bytes: usize,
    /// How large the log grows before a snapshot replaces it, in bytes.
    pub(crate) log_bytes: u64,
    /// How large one file of the log is, in bytes.
    pub(crate) segment_bytes: u32,
    /// How many submitted writes may wait, in bytes.
    pub(crate) queue_bytes: usize,
}

/// When a write counts as done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// When it is on disk: it survives the loss of power. The default.
    #[default]
    Disk,
    /// When the operating system has it: it survives the end of this process, however sudden, but of the last
    /// tenth of a second before a loss of power nothing may be left.
    Process,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            durability: Durability::Disk,
            history: HistoryLimits::default(),
            key_bytes: 4 << 10,
            value_bytes: 1 << 20,
            transaction_bytes: 4 << 20,
            tree_bytes: 2 << 30,
            log_bytes: 64 << 20,
            segment_bytes: 8 << 20,
            queue_bytes: 64 << 20,
        }
    }
}

/// What a command adds to the bytes of its keys and values once it is encoded, at most; and what is left of a
/// segment for records, at least. Generous: it decides what may be set, not what is written.
const OVERHEAD_BYTES: usize = 16 << 10;

impl Settings {
    /// What the log may never exceed: with a snapshot under way, writers run ahead of it by this much at most.
    pub(crate) fn log_bytes_max(&self) -> u64 {
        self.log_bytes.saturating_mul(4)
    }

    /// How many bytes of values one write may have, a value to compare with included: so that it fits into a record.
    pub(crate) fn values_bytes_max(&self) -> usize {
        self.record_bytes_max() - self.key_bytes
    }

    /// What one record holds, at least, of what callers bring.
    pub(crate) fn record_bytes_max(&self) -> usize {
        (self.segment_bytes as usize - OVERHEAD_BYTES).min(crate::codec::ENCODED_BYTES_MAX / 2)
    }

    /// # Errors
    ///
    /// [`Error::InvalidSetting`] where settings make no sense, alone or together.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse =
            |setting, reason: &str| Err(Error::InvalidSetting { setting, reason: reason.to_owned() });
        if self.key_bytes < 1 {
            return refuse("key_bytes", "leaves no room for any key");
        }
        if self.segment_bytes < 64 << 10
            || self.segment_bytes > 1 << 30
            || !self.segment_bytes.is_multiple_of(4096)
        {
            return refuse("segment_bytes", "must be a multiple of 4096 from 64 KiB to 1 GiB");
        }
        let room = self.record_bytes_max();
        if self.transaction_bytes > room {
            return refuse("transaction_bytes", "does not fit into a segment");
        }
        if self.value_bytes.saturating_add(self.key_bytes) > room {
            return refuse("value_bytes", "does not fit, with a key, into a segment");
        }
        if self.log_bytes < u64::from(self.segment_bytes) {
            return refuse("log_bytes", "is less than one segment");
        }
        Ok(())
    }
}
