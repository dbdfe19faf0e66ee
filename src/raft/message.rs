//! What members say to each other.
//!
//! ```text
//!   candidate ──► PreVote, Vote             ◄── PreVoteAnswer, VoteAnswer
//!   leader    ──► Append (empty: heartbeat) ◄── AppendAnswer: matched, or where the logs part
//!             ──► Committed                 no answer: the next Append says it again
//!   leader    ──► SnapshotOffer             ◄── SnapshotRequest {offset}
//!             ──► SnapshotChunk             ◄── SnapshotRequest {next offset}, at last AppendAnswer
//!   leader    ──► TimeoutNow, Removed
//!   member    ──► Forward, ReadIndex, Ask   ◄── ForwardAnswer, ReadIndexAnswer, Answer      to the leader
//! ```
//! A message may be lost, doubled, late or out of order, and the next of its kind makes up for it. What the answers
//! report is counted only in the term that they were sent in, so one from another reign changes nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::membership::Change;
use crate::entry::{Entry, EntryId};
use crate::types::{BootId, LogIndex, MemberId, Term, Timestamp};

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Envelope {
    /// Who sends it. The owner vouches for it: it must be the member at the other end of the connection.
    pub from: MemberId,
    /// Whom it is for.
    pub to: MemberId,
    /// The sender's term when it was sent.
    pub term: Term,
    /// What it says.
    pub message: Message,
}

/// What one member says to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Would you vote for me in the term after mine? Asked before a candidacy, so that a member who cannot win
    /// disturbs nobody.
    PreVote {
        /// The term that would begin.
        term: Term,
        /// The last entry of the sender's log.
        last: EntryId,
    },
    /// The answer to [`Message::PreVote`]. A refusal tells, by its envelope, the term to catch up with.
    PreVoteAnswer {
        /// The term that was asked about.
        term: Term,
        /// Whether the vote would be given.
        granted: bool,
    },
    /// Vote for me in my term. Sent when the sender's term, vote and log are durable.
    Vote {
        /// The life of the candidate: a vote for an earlier one does not count.
        boot: BootId,
        /// The last entry of the sender's log.
        last: EntryId,
        /// The leader asked for it, so that having heard from the leader is no reason to refuse.
        is_transfer: bool,
    },
    /// The answer to [`Message::Vote`]; one that grants it is sent when the vote is durable.
    VoteAnswer {
        /// As in the question.
        boot: BootId,
        /// Whether the vote is given.
        granted: bool,
    },
    /// Entries for the follower's log; without any, a heartbeat.
    Append {
        /// The entry before the first of `entries`, which the follower must have.
        prev: EntryId,
        /// Consecutive entries.
        entries: Vec<Entry>,
        /// How far the leader's log is committed.
        committed: LogIndex,
        /// How far the follower has said that its log is durable and the leader's. It cannot have less.
        matched: LogIndex,
        /// The newest round of reads: an answer that repeats it confirms the leader for these.
        round: u64,
        /// The leader's clock when it sent this: what the answer promises counts from there.
        clock: Timestamp,
    },
    /// The answer to [`Message::Append`], sent when what it reports is durable.
    AppendAnswer {
        /// What became of the entries.
        outcome: AppendOutcome,
        /// As in the question.
        round: u64,
        /// Until when, by the leader's clock, the follower votes for nobody else; 0 if it promises nothing.
        promised: Timestamp,
        /// How many bytes of entries the follower can take beyond those.
        room: u64,
    },
    /// Commands that a follower's callers propose, in order.
    Forward {
        /// The life of the sender that counts them.
        boot: BootId,
        /// The number of the first of them.
        first: u64,
        /// All up to this number are applied.
        settled: u64,
        /// The commands, numbered from `first` on.
        commands: Vec<Command>,
    },
    /// The leader did not take all of a [`Message::Forward`]: too much is under way, or something is missing.
    ForwardAnswer {
        /// The life that counts.
        boot: BootId,
        /// The number that the leader waits for; `None` when it knows none and takes whatever follows `settled`.
        next: Option<u64>,
    },
    /// Up to where must I have applied to answer a read that begins now?
    ReadIndex {
        /// The life of the sender that counts these questions.
        boot: BootId,
        /// Which question it is.
        number: u64,
    },
    /// The answer to [`Message::ReadIndex`], given when a majority has confirmed the leader.
    ReadIndexAnswer {
        /// As in the question.
        boot: BootId,
        /// As in the question.
        number: u64,
        /// Up to where.
        index: LogIndex,
    },
    /// Your log ends before mine begins: take a snapshot.
    SnapshotOffer {
        /// What it covers.
        snapshot: EntryId,
    },
    /// Send of this snapshot what begins at this offset.
    SnapshotRequest {
        /// Which one.
        snapshot: EntryId,
        /// How many bytes the follower has.
        offset: u64,
    },
    /// A part of a snapshot.
    SnapshotChunk {
        /// Which one.
        snapshot: EntryId,
        /// Where the part begins.
        offset: u64,
        /// The part.
        #[serde(with = "crate::codec::bytes")]
        bytes: Arc<[u8]>,
        /// Whether the snapshot ends with it.
        is_last: bool,
    },
    /// Stand for election at once: the leader hands over.
    TimeoutNow {
        /// The last entry of the leader's log. Who does not have it does not stand.
        last: EntryId,
    },
    /// A request that only a leader can carry out, from a member that does not lead.
    Ask {
        /// For the answer to repeat.
        token: u64,
        /// What is asked for.
        request: Request,
    },
    /// The answer to [`Message::Ask`].
    Answer {
        /// As in the question.
        token: u64,
        /// What came of it.
        result: Result<Granted, Denied>,
    },
    /// You are no member any more: the configuration that left you out is committed.
    Removed {
        /// Up to where the sender knows who the members are.
        committed: LogIndex,
    },
    /// The log is committed up to this entry, which the follower has said that it has.
    Committed {
        /// The entry.
        upto: EntryId,
    },
}

impl Message {
    /// Whether this is a heartbeat about an entry that the follower has said to have: it may overtake entries. Any other one looks
    /// like a gap if it overtakes those that it speaks of.
    #[must_use]
    pub fn goes_ahead(&self) -> bool {
        matches!(self, Self::Append { prev, entries, matched, .. } if entries.is_empty() && prev.index <= *matched)
    }
}

/// A command as it is forwarded, encoded once by the member that proposes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Command(#[serde(with = "crate::codec::bytes")] pub Arc<[u8]>);

/// What became of the entries of a [`Message::Append`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AppendOutcome {
    /// The follower's log is durable and the leader's up to here.
    Matched(LogIndex),
    /// The follower has no such entry before them.
    Missing {
        /// The position that was asked about.
        prev: LogIndex,
        /// The newest entry that may be common, as far as the follower can tell: the last one not after `prev`
        /// whose term is not newer than that of `prev`.
        hint: EntryId,
    },
}

/// What only the leader can do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Request {
    /// Change who the members are.
    Change {
        /// The changes, made together.
        changes: Vec<Change>,
        /// The position of the configuration that they are meant for; any, if `None`.
        expected: Option<LogIndex>,
    },
    /// Hand the leadership over to this member, or to the one that is best prepared.
    Transfer(Option<MemberId>),
}

/// What came of a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Granted {
    /// The change is in the log under this name. It stands once an entry with this name is applied and a
    /// configuration that is not joint; it has failed if another entry is applied at its position.
    Change {
        /// The entry.
        entry: EntryId,
        /// The id of the one who was added.
        added: Option<MemberId>,
    },
    /// The leader has begun to hand over. It has succeeded once another leads.
    Transfer {
        /// To whom.
        to: MemberId,
    },
}

/// Why what only a leader can do was not done, such as to change who the members are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Denied {
    /// Nobody is known to lead, or whoever was asked does not: nothing was done.
    NoLeader,
    /// A change, or a new leader's first entry, is not committed yet. Try again.
    NotNow,
    /// The members are no longer those that the change was meant for.
    Outdated,
    /// Nobody of this id is a member, or it is no voter where one is needed.
    NoSuchMember,
    /// Another member has this address already, or the member is a voter already.
    Exists,
    /// The learner has not caught up: as a voter it would hold everybody up. Try again.
    NotCaughtUp,
    /// Too few of those who would decide afterwards are heard from.
    WouldLoseQuorum,
    /// The change would leave nobody, or changes nothing.
    Pointless,
    /// The leader was asked, and has not answered for long, or leads no more: whether it was done is not known.
    Unanswered,
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoLeader => "there is no leader that could answer",
            Self::NotNow => "another change, or an election, is not complete",
            Self::Outdated => "the members have changed meanwhile",
            Self::NoSuchMember => "there is no such member, or it is no voter",
            Self::Exists => "another member has this address, or it is a voter already",
            Self::NotCaughtUp => "the learner has not caught up",
            Self::WouldLoseQuorum => "too few of the voters would be within reach",
            Self::Pointless => "nothing would change, or nobody would be left",
            Self::Unanswered => "the leader has not answered",
        })
    }
}

impl std::error::Error for Denied {}
