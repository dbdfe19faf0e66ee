//! How far the log is durable, and making it so.

use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{Files, SyncRegion};
use super::error::WalError;
use super::segment::{Position, name_of};

/// How far the log is durable: shared by the log and those who sync it.
#[derive(Debug)]
pub(super) struct Durable(Mutex<Progress>);

#[derive(Debug)]
struct Progress {
    upto: Position,
    /// A sync failed. The system may have dropped what it could not write and say nothing of it the next
    /// time, so no later sync can be believed.
    poisoned: bool,
}

impl Durable {
    pub(super) fn new(upto: Position) -> Self {
        Self(Mutex::new(Progress { upto, poisoned: false }))
    }

    /// The watermark: everything before it is durable.
    pub(super) fn watermark(&self) -> Result<Position, WalError> {
        let progress = self.0.lock();
        if progress.poisoned { Err(WalError::Poisoned) } else { Ok(progress.upto) }
    }

    fn advance(&self, upto: Position) -> Result<(), WalError> {
        let mut progress = self.0.lock();
        if progress.poisoned {
            return Err(WalError::Poisoned);
        }
        progress.upto = progress.upto.max(upto);
        Ok(())
    }

    fn poison(&self) {
        self.0.lock().poisoned = true;
    }
}

/// A segment that has something to sync.
#[derive(Clone)]
pub(super) struct Unsynced {
    pub(super) sequence: u64,
    pub(super) region: Arc<dyn SyncRegion>,
}

/// Makes what had been appended when it was made durable, on whatever thread runs it.
pub struct Syncer {
    pub(super) files: Files,
    /// In the order of the log.
    pub(super) segments: Vec<Unsynced>,
    /// Where the log ended.
    pub(super) upto: Position,
    pub(super) durable: Arc<Durable>,
}

impl Syncer {
    /// Syncs, and tells the log how far it is durable now.
    ///
    /// # Errors
    ///
    /// When a sync fails, or one had failed before; the log is then poisoned.
    pub fn run(self) -> Result<(), WalError> {
        self.durable.watermark()?;
        sync_all(&self.files, self.segments.iter(), self.upto, &self.durable)
    }
}

/// Syncs `segments`, which hold all that is not durable before `upto`.
pub(super) fn sync_all<'a>(
    files: &Files,
    segments: impl Iterator<Item = &'a Unsynced>,
    upto: Position,
    durable: &Durable,
) -> Result<(), WalError> {
    for segment in segments {
        segment.region.sync().map_err(|source| {
            durable.poison();
            WalError::Io { action: "sync", path: files.path(&name_of(segment.sequence)), source }
        })?;
    }
    durable.advance(upto)
}
