//! What goes in and what comes out: the contract between the core and its owner.
//!
//! # The owner's duties
//!
//! - It steps the core with one input after the other, and carries out the outputs of each step in their order.
//!   It may take several inputs before it carries out anything, as long as the order stays.
//! - [`Output::Persist`]: write-sets are written in order. [`Input::Persisted`] says that one, and so each before it, is
//!   durable. The owner need not wait for that before it goes on to the next output.
//! - [`Output::Send`] with `after: None` is sent at once. With `after: Some(sequence)` it is held back until that
//!   write-set is durable, and dropped if it never is. What is held back may be overtaken. A message may be dropped at
//!   any time, for instance when too many wait for a slow link.
//! - [`Output::Apply`] and [`Output::ApplyStored`] are applied in order, commands of a session through
//!   [`Sessions::admit`](crate::session::Sessions::admit), configurations through
//!   [`Sessions::follow`](crate::session::Sessions::follow). What is applied may not be durable *as applied*: after a
//!   restart it is applied again, onto the tree of the last snapshot.
//! - [`Input::Receive`] gives what a peer has sent, if it is meant for this member and its cluster and comes from the
//!   member that it names. Messages of one connection are given in order; those of an older connection, or an older
//!   life of the peer, are dropped once there is a newer.
//! - [`Input::Tick`] comes when at least a tick has passed since the one before. An owner that was held up gives first
//!   what peers have sent, then one tick; it does not make up for those that it missed.
//! - `now` never goes back while the member leads, and goes on evenly; while it does not lead it is the wall clock. The
//!   leader's entries are stamped from where the log's time was, so a wall clock that is behind stops nothing.
//!
//! # What is in memory, what is on disk
//!
//! The core knows the term and the position of every entry since the snapshot, and holds the entries themselves
//! that are not durable, not committed or not applied, and some that peers may still need. The rest is in the owner's
//! log: it applies [`Output::ApplyStored`] from there by itself, and reads for [`Output::Load`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::FAR;
use super::doubt::Witness;
use super::message::{Denied, Envelope, Granted, Request};
use crate::entry::{Config, Entry, EntryId, HardState, Payload, WriteSet};
use crate::types::{LogIndex, MemberId, Term, Timestamp};

/// What the world tells the core.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A tick has passed.
    Tick,
    /// Stand for election now, without asking first whether it could be won.
    Campaign,
    /// A peer says this.
    Receive(Envelope),
    /// The connection to this peer stands.
    Connected(MemberId),
    /// The connection to this peer was closed or reset. What was under way on it may be lost.
    Disconnected(MemberId),
    /// Callers want these commands in the log, in this order. Each is given the next number of this life (see
    /// [`Session`](crate::entry::Session)) and is applied once, however often leaders change; the caller is to be
    /// answered when an entry with that number is applied here. A member that is a majority alone proposes
    /// without numbers, and its entries are applied in the order in which they were proposed.
    ///
    /// Either all are taken, or all come back in [`Output::Refuse`] in the same step.
    Propose(Vec<Arc<[u8]>>),
    /// A caller wants to read what is newest: all that was answered to anybody before this.
    Read {
        /// For [`Output::ReadReady`] and [`Output::ReadRefused`] to repeat.
        token: u64,
    },
    /// A caller wants what only a leader can do.
    Ask {
        /// For [`Output::Answer`] to repeat.
        token: u64,
        /// What is wanted.
        request: Request,
    },
    /// The write-set with this sequence number, and so each before it, is durable on this member.
    Persisted(u64),
    /// The disk refused: what was not durable may never be. This member leads no more, and votes for nobody.
    PersistFailed,
    /// The other founders were asked how far they are, since this one is in doubt, and this came of it: see
    /// [`Raft::witnesses`](super::Raft::witnesses). What is given together was asked together.
    Heard(BTreeMap<MemberId, Witness>),
    /// The log tells of a later life of this member, which has nothing of it.
    Forgotten,
    /// What [`Output::Load`] asked for: entries from `first` on, at least one, as the log has them.
    Loaded {
        /// For whom.
        member: MemberId,
        /// The entries; none when the log cannot be read.
        entries: Vec<Entry>,
    },
    /// The owner has nothing more for the core at present: what was put off, so that it could go along with something else, is
    /// sent. That is how far the log is committed, which the next entries would have told. Given too early it costs
    /// messages; never given, heartbeats make up for it.
    Flush,
    /// How many bytes of entries were handed out and are not applied yet. An owner that applies at once need not say.
    Backlog(u64),
    /// A snapshot of this member's own making covers the entries up to this one, and is durable.
    Saved(EntryId),
    /// The owner's log begins after this position now; see [`Raft::releasable`](super::Raft::releasable).
    Released(LogIndex),
    /// The chunk of [`Output::SendChunk`] cannot be read. The member is offered a newer snapshot at once, or after a while
    /// the same one again, which the owner has taken anew by then.
    ChunkFailed {
        /// Whom it was for.
        member: MemberId,
    },
    /// What [`Output::StoreChunk`] gave is written; `offset` bytes of the snapshot are here. May also be said
    /// unasked, after a restart, by an owner that has kept a part of a snapshot; `replica` keeps none, and begins again.
    ChunkStored {
        /// Of which.
        snapshot: EntryId,
        /// How many bytes there are; 0 begins again.
        offset: u64,
    },
    /// All of a snapshot is here, was found whole, and is durable, though nothing says yet that it counts. If it is not installed in
    /// the same step, it is of no use.
    SnapshotStored {
        /// Which.
        snapshot: EntryId,
        /// Who the members are as of it.
        config: Config,
        /// The time of the last entry that it covers.
        time: Timestamp,
        /// Up to which number the proposals of this member's present life are applied in it.
        settled: u64,
    },
}

/// What the core asks of the world, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Write this to the log and make it durable; write-sets are numbered without gaps, and are written in order.
    Persist {
        /// To be told in [`Input::Persisted`].
        sequence: u64,
        /// What to write.
        write: WriteSet,
    },
    /// Send this to its receiver.
    Send {
        /// What to send.
        envelope: Envelope,
        /// Not before this write-set is durable; it was asked for by an output before this one.
        after: Option<u64>,
    },
    /// These entries are committed and durable here: run them, in order. Each entry comes once.
    Apply(Vec<Entry>),
    /// So are those at these positions, which the owner has in its log.
    ApplyStored {
        /// The first.
        first: LogIndex,
        /// The last.
        last: LogIndex,
    },
    /// These proposals were not taken: nothing of them is or will be in the log.
    Refuse {
        /// All that were proposed together.
        commands: Vec<Arc<[u8]>>,
        /// Why.
        reason: Refusal,
    },
    /// Everything that the read must see was handed out to be applied by outputs before this one.
    ReadReady {
        /// As in [`Input::Read`].
        token: u64,
    },
    /// The read cannot be answered now.
    ReadRefused {
        /// As in [`Input::Read`].
        token: u64,
        /// Why.
        reason: Refusal,
    },
    /// What came of [`Input::Ask`].
    Answer {
        /// As in [`Input::Ask`].
        token: u64,
        /// What came of it.
        result: Result<Granted, Denied>,
    },
    /// Read entries from the log, for a member that is behind: from `first` up to `last`, up to about so many
    /// bytes and at least one. [`Input::Loaded`] brings them; only one such question per member is open at a
    /// time.
    Load {
        /// For whom.
        member: MemberId,
        /// The first.
        first: LogIndex,
        /// The last.
        last: LogIndex,
        /// So many bytes are enough.
        bytes: u64,
    },
    /// Send this member a [`Message::SnapshotChunk`](super::Message::SnapshotChunk) of the snapshot, beginning
    /// at `offset`, of up to `bytes` bytes, in an envelope of this term. The owner may take its time, so that
    /// snapshots do not crowd out everything else.
    SendChunk {
        /// To whom.
        member: MemberId,
        /// The term of the envelope.
        term: Term,
        /// Of which snapshot.
        snapshot: EntryId,
        /// From where.
        offset: u64,
        /// How many bytes at most.
        bytes: u64,
    },
    /// Write this part of a snapshot that is being received; a part at offset 0 begins a new file, and whatever was
    /// received of another snapshot may go. [`Input::ChunkStored`] says that it is done, and after the last part
    /// [`Input::SnapshotStored`]; a snapshot that is not whole, or has no room, begins again when it is
    /// offered again: `ChunkStored` with offset 0 says so.
    StoreChunk {
        /// Of which snapshot.
        snapshot: EntryId,
        /// From where.
        offset: u64,
        /// The part.
        bytes: Arc<[u8]>,
        /// Whether the snapshot ends with it.
        is_last: bool,
    },
    /// Make the received snapshot the beginning of everything: put its tree in the place of the present one; tell watchers. After
    /// a restart it is that if the mark of it is found that the next [`Output::Persist`] has.
    Install {
        /// Which.
        snapshot: EntryId,
    },
    /// This member takes no part any more. What becomes of the proposals that it has taken and not handed out
    /// is not known here.
    Stopped(Stop),
    /// A peer says what it cannot say; the message was dropped. The connection is best closed.
    Fault {
        /// The peer.
        member: MemberId,
        /// What is wrong.
        what: &'static str,
    },
}

/// Why proposals or reads are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Too many wait already. Try again.
    Busy,
    /// The leader has changed or is lost. Try again.
    NoLeader,
    /// This member takes no part any more: its disk has failed, it was removed, or its data is damaged.
    Stopped,
}

/// Why a member takes no part any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// Others have agreed to go on without it. Its id is never used again.
    Removed,
    /// It had said that entries are durable which it does not have: its disk lost them, or was put back from an
    /// old copy. As this member it can do only harm; it can come back as a new one.
    LostData,
    /// It is a founder that had nothing, and may have had something: another founder knows it from before, or that the members have
    /// changed. It can come back as a new one.
    Disowned,
}

/// What a member does in its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether it would be elected.
    PreCandidate,
    /// Asks for votes; its own counts once it is durable.
    Candidate,
    /// Orders the entries.
    Leader,
}

/// What a member knows when it starts: what its snapshot and its log say.
///
/// Begin with [`Known::founder`], [`Known::dubious_founder`] or [`Known::joiner`], or with [`Known::restored`] from a snapshot; then
/// [`Known::push`] each entry of the log after that, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Known {
    /// Term, vote, boot and floor.
    pub hard_state: HardState,
    /// Whether a founder that has nothing may have had something: its owner cannot tell, and asks the others.
    pub(super) is_dubious: bool,
    /// The newest entry that the tree has applied.
    pub applied: EntryId,
    /// A position up to which the log is known to be committed; it may be committed further.
    pub committed: LogIndex,
    /// The entry before the first one of the log: what the snapshot covers.
    pub(super) before: EntryId,
    /// The first entry of each term that the log has.
    pub(super) terms: Vec<EntryId>,
    /// Who the members are, from which position on.
    pub(super) configs: BTreeMap<LogIndex, Config>,
    /// The last entry.
    pub(super) last: EntryId,
    /// The time of the last entry.
    pub(super) time: Timestamp,
}

impl Known {
    /// What a member knows that founds a cluster, alone or with others who know the same.
    #[must_use]
    pub fn founder(config: Config) -> Self {
        Self { configs: [(LogIndex::default(), config)].into(), ..Self::default() }
    }

    /// The same of one that may have founded it before, and lost all that it had: see [`Testimony`](crate::entry::Testimony).
    #[must_use]
    pub fn dubious_founder(config: Config) -> Self {
        Self { is_dubious: true, ..Self::founder(config) }
    }

    /// Whether `member`, that knows this, may have said what it knows nothing of, and others count on.
    pub(super) fn is_in_doubt(&self, member: MemberId) -> bool {
        let has_nothing = self.hard_state.term == Term::default() && self.last == EntryId::default();
        let config = self.config();
        self.is_dubious && has_nothing && config.is_voter(member) && !config.is_alone(member)
    }

    /// What a member knows that joins a cluster: nothing. A leader will tell it.
    #[must_use]
    pub fn joiner() -> Self {
        Self::founder(Config::default())
    }

    /// What a member knows from its snapshot.
    #[must_use]
    pub fn restored(snapshot: EntryId, time: Timestamp, config: Config) -> Self {
        Self {
            applied: snapshot,
            committed: snapshot.index,
            before: snapshot,
            configs: [(snapshot.index, config)].into(),
            last: snapshot,
            time,
            ..Self::default()
        }
    }

    /// Learns of the next entry of the log.
    ///
    /// # Panics
    ///
    /// When it does not follow the one before: such a log is not to be gone on with.
    pub fn push(&mut self, entry: &Entry) {
        assert!(entry.id.index == self.last.index.next(), "the log has a gap");
        if entry.id.term != self.last.term || self.terms.is_empty() {
            assert!(entry.id.term >= self.last.term, "terms never decrease along a log");
            self.terms.push(entry.id);
        }
        if let Payload::Config(config) = &entry.payload {
            self.configs.insert(entry.id.index, (**config).clone());
        }
        self.last = entry.id;
        self.time = self.time.max(entry.time);
    }

    /// The last entry of log or snapshot.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.last
    }

    /// What is wrong with it, if no member can have come to know it: there is no going on from that.
    #[must_use]
    pub fn contradiction(&self) -> Option<&'static str> {
        let (EntryId { term, index }, own) = (self.last, self.hard_state.term);
        if index.get() > FAR || term.max(own).get() > FAR {
            Some("the log has positions or terms that nobody can have reached")
        } else if term > own {
            Some("the log has entries of a term that its member was never in")
        } else {
            None
        }
    }

    /// The time of the last entry.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Who the members are, as the newest configuration says.
    #[must_use]
    pub fn config(&self) -> Config {
        self.configs.last_key_value().map(|(_, config)| config.clone()).unwrap_or_default()
    }
}
