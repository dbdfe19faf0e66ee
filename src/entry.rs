//! What the replicated log is made of: the words that Raft, the log on disk and the peers share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{BootId, LogIndex, MemberId, Term, Timestamp};

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
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Its name; terms never decrease along a log.
    pub id: EntryId,
    /// Log time, read by the leader that made the entry; it never decreases along a log.
    pub time: Timestamp,
    /// Who proposed it. `None` where nobody will ask again: what leaders add by themselves, and what a
    /// member proposes that is a majority alone, so that nobody can take its leadership from it.
    pub session: Option<Session>,
    /// What it says.
    pub payload: Payload,
}

/// The number of a proposal: each member counts those of each of its lives from 1, without gaps.
///
/// A proposal whose fate is not known is proposed again under the same number, and the members skip
/// what they have applied already: see [`Sessions`](crate::session::Sessions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Session {
    /// The member whose caller it serves.
    pub member: MemberId,
    /// The life of the member that it was proposed in.
    pub boot: BootId,
    /// Which proposal of that life it is.
    pub sequence: u64,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: a new leader opens its term with one.
    Noop,
    /// Who the members are from here on. Rare, so that it does not make every entry as large as it is.
    Config(Box<Config>),
    /// A command of the tree, encoded once; neither Raft nor the log looks inside.
    Command(#[serde(with = "crate::codec::bytes")] Arc<[u8]>),
}

/// Who the members of the cluster are.
///
/// While a change of the voters is under way, the configuration is *joint*: what is agreed on needs a majority
/// of `voters` and one of `outgoing`.
///
/// A member is in `contacts` exactly if it is in one of the sets. A voter is no learner; a member that stops
/// being a voter may be in `outgoing` and in `learners`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Config {
    /// Those whose durable copies count towards a majority.
    pub voters: BTreeSet<MemberId>,
    /// The voters before the change that is under way; empty when there is none.
    pub outgoing: BTreeSet<MemberId>,
    /// Those who get everything and decide nothing, to catch up before they become voters.
    pub learners: BTreeSet<MemberId>,
    /// How each of them is called and reached.
    pub contacts: BTreeMap<MemberId, Contact>,
    /// Somebody has joined, left, or got or lost its vote since the founding.
    pub was_changed: bool,
}

/// How a member is called and reached: text that Raft carries and does not look into.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Contact {
    /// Its name, for people.
    pub name: String,
    /// Where its peers reach it.
    pub peer_addresses: Vec<String>,
    /// Where its clients reach it, if it serves any.
    pub client_addresses: Vec<String>,
}

/// What a member must never forget: written before anything that relies on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HardState {
    /// The newest term this member has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<MemberId>,
    /// The newest of its lives.
    pub boot: BootId,
    /// How far it may have been before its disk was lost. It votes for no log that is less.
    pub floor: Testimony,
}

/// How far a member is, or has been: what one that may have lost its disk hears from the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Testimony {
    /// The newest term that it has been in.
    pub term: Term,
    /// The last entry that it has, or has had.
    pub last: EntryId,
}

impl Testimony {
    /// The more of both.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        Self { term: self.term.max(other.term), last: self.last.max(other.last) }
    }
}

/// What is written to the log in one record and made durable by one sync, applied in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WriteSet {
    /// The new hard state, when it changed.
    pub hard_state: Option<HardState>,
    /// The first position whose entries no longer hold, when a new leader overwrites an old tail.
    pub truncate_from: Option<LogIndex>,
    /// New entries: consecutive positions, following what is left of the log.
    pub entries: Vec<Entry>,
    /// A snapshot that is durable beside the log and covers it up to and including this entry.
    pub snapshot: Option<EntryId>,
    /// How far the log was known to be committed when this was written; 0 says nothing. A hint that never asks
    /// for a sync of its own: after a restart, what it covers can be applied before any leader is heard.
    pub committed: LogIndex,
}

impl Config {
    /// A cluster of these voters, as it is founded.
    #[must_use]
    pub fn founded_by(founders: impl IntoIterator<Item = (MemberId, Contact)>) -> Self {
        let contacts: BTreeMap<_, _> = founders.into_iter().collect();
        Self { voters: contacts.keys().copied().collect(), contacts, ..Self::default() }
    }

    /// The cluster of one voter that nobody needs to reach.
    #[must_use]
    pub fn alone(member: MemberId) -> Self {
        Self::founded_by([(member, Contact::default())])
    }

    /// Whether a change of the voters is under way.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether `member` has a say in what is agreed on.
    #[must_use]
    pub fn is_voter(&self, member: MemberId) -> bool {
        self.voters.contains(&member) || self.outgoing.contains(&member)
    }

    /// Whether `member` is part of the cluster, in whatever way.
    #[must_use]
    pub fn contains(&self, member: MemberId) -> bool {
        self.is_voter(member) || self.learners.contains(&member)
    }

    /// All members, each once, in order.
    pub fn members(&self) -> impl Iterator<Item = MemberId> + '_ {
        let all: BTreeSet<_> =
            self.voters.iter().chain(&self.outgoing).chain(&self.learners).copied().collect();
        all.into_iter()
    }

    /// Whether `member` is the only one who decides and the only one who listens.
    #[must_use]
    pub fn is_alone(&self, member: MemberId) -> bool {
        self.voters.len() == 1
            && self.voters.contains(&member)
            && self.outgoing.is_empty()
            && self.learners.is_empty()
    }
}
