//! The log: what a member must not forget, in checksummed segments that are written through a map.
//!
//! ```text
//!   Recovery::scan ──► into_wal ──► Wal ── append ──► sync ──►         appended: survives the process
//!        (reads)      (cuts)         │  └─ Syncer, on another thread   synced:   survives a loss of power
//!                                    └──── SpareJob, on another thread
//!
//!   0…01.wal   0…02.wal   0…03.wal          0…04.wal             0…05.wal
//!   │ sealed │ │ sealed │ │ sealed ┊ rest │ │ active ┊ free    │ │ spare           │
//!   └─ released ─┘ once a snapshot covers them: made into spares, or removed
//!
//!   segment    │ header, twice │ opening record │ record │ record │ … │ free │      see `segment`
//!   record     │ tag │ length │ crc │ watermark │ payload │ zeros │                  see `record`
//!   snapshot   │ header │ chunk │ chunk │ … │ end │                                 see `snapshot`
//! ```
//! All integers are little-endian. A payload is a [`WriteSet`](crate::entry::WriteSet); one record is one write-set and is made
//! durable by one sync. The *opening record* comes first in every segment and restates what must not go with
//! the segments before it: hard state, snapshot mark, the last entry, and where the segment before ends.
//!
//! # What is assumed
//!
//! A sync that returned is durable. A write that is torn by a loss of power touches only bytes that were
//! written after the last sync; of those, any part may be old or new, in any order.
//!
//! # Invariants
//!
//! - A file gets a segment's name when its header and full length are durable, and sequences have no gaps: so
//!   a header that is bad, a length that is wrong and a segment that is missing are damage, never a torn write.
//! - Once the log was opened, there are only zeros behind its end, in the active segment and in the spares. So
//!   no old record comes back to life behind a new one, whole or patched up by a torn write. What is left of
//!   the old content of a segment that is used again is under another salt.
//! - The end of the log is where no valid record is. It is damage if a record further on says that this place
//!   was durable when it was written, and a torn write otherwise. Damage is reported and nothing is changed.
//! - The last thing in a log that was closed, or opened to be written, is an empty record that vouches for
//!   everything before it.
//! - A segment is released only when all its entries are covered and the next opening record is durable.
//! - All segments are one member's, but for those that are left of a log whose place another one took: see `successor`.
//!
//! What remains: bytes that the very last sync made durable, and that rot before anything else is written
//! behind them, look like a torn write. Closing the log, or opening it after a crash, ends that.

mod disk;
mod error;
mod files;
mod log;
mod mmap;
mod read;
mod received;
mod record;
mod recovery;
mod scan;
mod segment;
mod simulated;
mod snapshot;
mod spares;
mod state;
mod successor;
mod sync;

#[cfg(test)]
mod tests;

pub use disk::{Disk, Region, Sink, Source, SyncRegion};
pub use error::WalError;
pub use files::FileDisk;
pub use log::{Reserve, Wal, WalSettings};
pub use received::{ReceivedSnapshot, install_snapshot, read_snapshot_part};
pub use recovery::{Recovery, ReplayError};
pub use segment::Identity;
pub use simulated::SimulatedDisk;
pub use snapshot::{
    SnapshotHeader, SnapshotKind, SnapshotReader, SnapshotWriter, open_snapshot, remove_snapshot,
    remove_snapshots_before, save_snapshot, snapshot_path, snapshots,
};
pub use spares::SpareJob;
pub use sync::Syncer;

/// What is added to a file's name until the file is complete.
const UNFINISHED: &str = ".tmp";

/// What is added before that to the name of a snapshot that comes from a peer.
const RECEIVED: &str = ".received";
