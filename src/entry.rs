//! What the replicated log is made of: the words that Raft and the log on disk share.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{LogIndex, MemberId, Term, Timestamp};

/// Names an entry for good: two entries with the same id are the same entry.
///
/// Ordered by term first, as Raft compares logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId {
    /// The term of the leader that made the entry.
    pub term: Term,
    /// Its position.
    pub index: LogIndex,
}

/// A slot of the replicated log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name; terms never decrease along a log.
    pub id: EntryId,
    /// Log time, read by the leader that made the entry; it never decreases along a log.
    pub time: Timestamp,
    /// What it says.
    pub payload: Payload,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: a new leader opens its term with one.
    Noop,
    /// Who the members are from here on.
    Config(Config),
    /// A command of the tree, encoded once; neither Raft nor the log looks inside.
    Command(#[serde(with = "crate::codec::bytes")] Arc<[u8]>),
}

/// Who the members of the cluster are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Those whose durable copies count towards a majority.
    pub voters: BTreeSet<MemberId>,
}

/// What a member must never forget about terms: written before anything that relies on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardState {
    /// The newest term this member has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<MemberId>,
}

/// What is written to the log in one record and made durable by one sync, applied in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteSet {
    /// The new hard state, when it changed.
    pub hard_state: Option<HardState>,
    /// The first position whose entries no longer hold, when a new leader overwrites an old tail.
    pub truncate_from: Option<LogIndex>,
    /// New entries: consecutive positions, following what is left of the log.
    pub entries: Vec<Entry>,
    /// A snapshot that is durable beside the log and covers it up to and including this entry.
    pub snapshot: Option<EntryId>,
}
