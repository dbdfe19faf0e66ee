//! A log that takes the place of another one, in the same directory: the same data, from now on somebody else's.
//!
//! ```text
//!   0…03.wal   0…04.wal                        0…05.wal
//!   │ sealed │ │ active ┊ …      the other's   │ header │ opening record: begins a log │      of the new identity
//! ```
//! All there is to know of the new log is in one file, complete and durable before it gets a segment's name: that
//! name is what changes whose log it is, at once or not at all. The segments before it are of no use from then on. Whoever opens
//! the log next removes what an interrupted run has left of them.

use std::collections::VecDeque;

use super::error::WalError;
use super::log::{Opening, Parts, Wal, WalSettings};
use super::recovery::Recovery;
use super::scan::Found;
use super::segment::{Identity, name_of};
use super::spares::Maker;
use super::state::LogState;
use crate::entry::{EntryId, HardState};

impl Recovery {
    /// Begins the log of `identity` in place of this one, with this hard state, after the snapshot that covers everything
    /// up to `snapshot` and is durable already. Its segments are as large as this one's last.
    ///
    /// Interrupted at any point, it leaves either log whole.
    ///
    /// # Errors
    ///
    /// [`WalError::NoLog`] when there is none to take the place of, and those of the disk.
    ///
    /// # Panics
    ///
    /// When `identity` is not another cluster's for the same member, or the snapshot does not cover the log.
    pub fn into_successor(
        self,
        salt_seed: u64,
        identity: Identity,
        hard_state: HardState,
        snapshot: EntryId,
    ) -> Result<Wal, WalError> {
        let Some(found) = &self.found else {
            return Err(WalError::NoLog { path: self.files.path("") });
        };
        let Identity { cluster, member } = found.active.identity;
        assert!(identity.cluster != cluster && identity.member == member, "the same member elsewhere");
        assert!(snapshot > found.state.last(), "what takes the place of a log is ahead of it");
        self.files.sync_directory()?;
        self.remove_later(found)?;
        let settings = WalSettings { segment_bytes: found.active.bytes, salt_seed };
        let maker = Maker::new(self.files.clone(), identity, settings);
        let state = LogState::after(snapshot, Some(hard_state), Some(snapshot));
        let sequence = found.end.sequence + 1;
        let (active, end) = maker.make_first(sequence, &Opening::new(0, &state))?;
        self.remove_replaced()?;
        let sealed = found.sealed.iter().map(|(sealed, _)| sealed.sequence);
        for old in sealed.chain([found.end.sequence]) {
            self.files.remove(&name_of(old))?;
        }
        let (sealed, spares) = (VecDeque::new(), VecDeque::new());
        let mut wal = Wal::new(Parts { maker, state, sealed, active, end, spares, vouched: false });
        wal.vouch()?;
        Ok(wal)
    }

    /// Makes room for a segment after the active one, from the last one on, so that no gap opens.
    fn remove_later(&self, found: &Found) -> Result<(), WalError> {
        let mut later = found.spares.iter().chain(&found.unfit).rev().map(|header| name_of(header.sequence));
        later.try_for_each(|name| self.files.remove(&name))
    }

    /// Removes what is left of a log whose place this one has taken, from the first one on.
    pub(super) fn remove_replaced(&self) -> Result<(), WalError> {
        let mut replaced = self.segments.replaced.iter().map(|header| name_of(header.sequence));
        replaced.try_for_each(|name| self.files.remove(&name))
    }
}
