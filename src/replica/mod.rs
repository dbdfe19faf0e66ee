//! A replica: one member's core, log, tree, sessions and watchers, put together without a thread, a clock or a socket.
//!
//! ```text
//!            Moment, Input ──► Replica::step ──► Output, Output, …      carried out by the owner, in order
//!
//!   Propose, Read, Ask ─┐      ┌─► wal: append ……… sync ─► Persisted ─┐      ┌─► Send   after the sync it waits for
//!   Receive, Tick ──────┴► raft┤                                      ├► raft┤
//!   Done, Synced ──────────────┴─► tree: apply ─► hub: publish ───────┘      └─► Answer, Applied
//! ```
//! The owner has the threads, the clock, the sockets, and nothing to decide. It gives inputs as they come, carries out
//! the outputs, and calls [`Replica::flush`] when nothing more waits: then everything that was appended meanwhile is made
//! durable by one sync. What takes long is handed out: a [`SyncJob`] for the thread that syncs, a [`Job`] for another. Each
//! comes back as an input.
//!
//! What the disk does is done here, through the [`Disk`] that was given at the start, in the order that the core asks for.
//! Appending to the log is writing to memory; only jobs wait for the disk.
//!
//! Invariants:
//! - Write-sets are appended in the order of their numbers; after a failure nothing is appended any more.
//! - A message that waits for a write-set leaves after the sync that covers it, or never.
//! - Each proposal, read and question is answered exactly once, unless the replica is dropped before.
//! - Nothing in here reads a clock, sleeps, starts a thread, or depends on the order of a hash.

mod clock;
pub(crate) mod content;
mod jobs;
mod open;
mod proposals;
mod room;
pub(crate) mod run;
mod snapshots;
pub(crate) mod state;
mod step;
pub(crate) mod tree_lock;
mod writes;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use clock::Moment;
pub use jobs::{Done, Job, SyncJob};
pub(crate) use open::load_marked;
pub use open::{Founding, OpenError};
pub use state::State;

use crate::entry::{Entry, EntryId};
use crate::event::Change;
use crate::raft::{self, Denied, Envelope, Granted, Raft, Refusal, Request, Stop};
use crate::tree::Refused;
use crate::types::{BootId, MemberId, Timestamp};
use crate::wal::{Disk, Identity, Wal, WalError, WalSettings};
#[cfg(feature = "cluster")]
use crate::wal::{SnapshotHeader, SnapshotKind};
use crate::watch::HistoryLimits;
#[cfg(feature = "cluster")]
use content::Content;

/// How a replica is set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The core's habits and limits.
    pub raft: raft::Settings,
    /// How the log lays itself out.
    pub wal: WalSettings,
    /// How much is kept of the past for watchers.
    pub history: HistoryLimits,
    /// A snapshot is taken when full segments of the log have this many bytes. Default: 64 MiB.
    pub log_bytes: u64,
    /// And when so many entries were applied since the last. Default: 1,000,000.
    pub log_entries: u64,
    /// What the lives of a member without a log are counted from. Peers turn away all lives but the newest that they know of, so this is
    /// to be more than an earlier life can have had, whose disk was lost. Default: 0.
    pub lives_from: BootId,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            raft: raft::Settings::default(),
            wal: WalSettings::default(),
            history: HistoryLimits::default(),
            log_bytes: 64 << 20,
            log_entries: 1_000_000,
            lives_from: BootId::new(0),
        }
    }
}

/// What the owner tells a replica.
#[derive(Debug)]
pub enum Input {
    /// A tick has passed.
    Tick,
    /// Stand for election now.
    Campaign,
    /// A peer has sent this.
    Receive(Envelope),
    /// The connection to this peer stands.
    Connected(MemberId),
    /// The connection to this peer was closed or reset.
    Disconnected(MemberId),
    /// A caller wants this command of the tree, encoded, to be carried out.
    Propose {
        /// For the answer to repeat.
        token: u64,
        /// The command.
        command: Arc<[u8]>,
    },
    /// The same for several commands, with their tokens, in this order: they are written and sent together.
    ProposeAll(Vec<(u64, Arc<[u8]>)>),
    /// A caller wants to read what is newest.
    Read {
        /// For the answer to repeat.
        token: u64,
    },
    /// A caller wants what only a leader can do.
    Ask {
        /// For the answer to repeat.
        token: u64,
        /// What is wanted.
        request: Request,
    },
    /// The other founders were asked how far they are, since this one is in doubt, and this came of it: see
    /// [`Raft::witnesses`](raft::Raft::witnesses). What is given together was asked together.
    Heard(BTreeMap<MemberId, raft::Witness>),
    /// A [`SyncJob`] has ended.
    Synced(Result<u64, WalError>),
    /// A [`Job`] has ended.
    Done(Done),
}

/// What a replica asks of its owner, in order.
pub enum Output {
    /// Send this to the member that it names. It may be lost.
    Send(Envelope),
    /// Run this where syncs run, and bring back what came of it as [`Input::Synced`]. There is one at a time.
    Sync(SyncJob),
    /// Run this where it may take long, and bring back what came of it as [`Input::Done`].
    Run(Job),
    /// Tell the caller with this token.
    Answer {
        /// Which caller.
        token: u64,
        /// What came of it.
        answer: Answer,
    },
    /// These entries were applied, for whoever wants to know.
    Applied(Vec<Entry>),
    /// The tree of this snapshot has taken the place of the one before.
    Installed(EntryId),
    /// A snapshot of this member's own was made the beginning of the log, or why it was not.
    Saved(Result<(), String>),
    /// This member takes no part any more.
    Stopped(Stop),
    /// The log can take no more: nothing is promised from here on. The replica is to be opened anew.
    Failed(Arc<WalError>),
    /// A peer says what it cannot say. The connection to it is best closed.
    Fault {
        /// The peer.
        member: MemberId,
        /// What is wrong.
        what: &'static str,
    },
}

/// What came of what a caller wanted.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The command was carried out here, by this entry, or refused by the tree.
    Written {
        /// The entry.
        entry: EntryId,
        /// What changed, in order.
        result: Result<Vec<Arc<Change>>, Refused>,
    },
    /// What is newest can be read here now.
    Readable,
    /// What came of a question to the leader.
    Told(Result<Granted, Denied>),
    /// Nothing was done and nothing will be.
    Refused(Refusal),
    /// Nothing was done: the log has no room for it.
    NoRoom(String),
    /// It may have been done, or may still be: nobody here can know.
    Unknown,
}

/// What is there at one moment, and what a snapshot of it would begin with.
#[cfg(feature = "cluster")]
pub(crate) type Captured = (SnapshotHeader, Content);

/// One member's share of the cluster. The module's documentation says how it is driven.
pub struct Replica {
    identity: Identity,
    settings: Settings,
    disk: Arc<dyn Disk>,
    raft: Raft,
    clock: clock::LogClock,
    wal: Wal,
    writes: writes::Writes,
    state: Arc<State>,
    replicated: state::Replicated,
    proposals: proposals::Proposals,
    snapshots: snapshots::Snapshots,
    held: room::Held,
    /// For an entry of so many bytes the disk has no room, and leaders are told to send none; 0 otherwise.
    short_of: usize,
    /// Why nothing is written any more.
    failure: Option<Arc<WalError>>,
    /// Kept empty between steps, for its memory.
    raft_outputs: Vec<raft::Output>,
}

impl Replica {
    /// Whose replica it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The core, to look at.
    #[must_use]
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The tree and the watchers, for those who read and watch on other threads.
    #[must_use]
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// The newest entry that the tree has applied.
    #[must_use]
    pub fn applied(&self) -> EntryId {
        self.replicated.applied
    }

    /// Whether a sync is under way: what is proposed now waits for the next one.
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        self.writes.is_syncing()
    }

    /// How many bytes the log has.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.wal.bytes()
    }

    /// How many proposals wait for their answers.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.proposals.len() + self.held.len()
    }

    /// Whether some life of `member` has taken part before, as far as is known here.
    #[must_use]
    pub fn has_lived(&self, member: MemberId) -> bool {
        let has_said_what_it_has = self.raft.matched(member).is_some_and(|matched| matched.get() > 0);
        self.replicated.sessions.has_lived(member) || has_said_what_it_has
    }

    /// Whether all members will know, for good, that this life has been there: something that it proposed was applied.
    #[must_use]
    pub fn is_on_record(&self) -> bool {
        self.replicated.sessions.applied(self.identity.member, self.raft.boot()) > 0
    }

    /// What the newest snapshot of this member covers.
    #[must_use]
    pub fn saved(&self) -> EntryId {
        self.snapshots.saved()
    }

    /// Whether a snapshot is being taken.
    #[must_use]
    pub fn is_saving(&self) -> bool {
        self.snapshots.is_saving()
    }

    /// What an entry would be stamped with that is made now: what deadlines are compared with.
    #[must_use]
    pub fn log_time(&self, moment: Moment) -> Timestamp {
        self.raft.log_time(self.clock.now(moment))
    }

    /// Everything as it is now, to be written down elsewhere while this goes on.
    #[cfg(feature = "cluster")]
    pub(crate) fn capture(&self) -> Captured {
        let content = self.replicated.capture(&self.state);
        (self.header(SnapshotKind::Backup, &content), content)
    }

    /// Closes the log, so that what was written last is not taken for a torn write should it go bad.
    ///
    /// # Errors
    ///
    /// When the disk refuses; what is then left is what a crash leaves.
    pub fn close(self) -> Result<(), WalError> {
        self.wal.close()
    }

    /// Why nothing is written any more, if that is so.
    #[must_use]
    pub fn failure(&self) -> Option<&Arc<WalError>> {
        self.failure.as_ref()
    }
}
