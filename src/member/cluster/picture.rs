//! What the core shows of itself, for handles to look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::super::clock::Clock;
use super::traffic::Traffic;
use crate::entry::{Config, EntryId};
use crate::raft::{Role, Stop};
use crate::replica::Replica;
use crate::types::{LogIndex, MemberId, Term, Timestamp};

/// What changes now and then.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) role: Role,
    pub(crate) term: Term,
    pub(crate) leader: Option<MemberId>,
    /// Since when that has been so, and in that term.
    pub(crate) leader_since: Instant,
    pub(crate) config: Arc<Config>,
    pub(crate) config_index: LogIndex,
    /// Whether that is agreed on: until then another leader may take it back.
    pub(crate) is_settled: bool,
    /// This member takes no part any more.
    pub(crate) stopped: Option<Stop>,
    /// Nothing can be written here any more.
    pub(crate) failure: Option<String>,
    /// Those whom this founder, which has nothing, waits to hear from before it takes part.
    pub(crate) waits_for: Vec<MemberId>,
    /// What was sent and received.
    pub(crate) traffic: Arc<Traffic>,
    /// What is known of the others, by whoever leads.
    pub(crate) peers: Vec<PeerFacts>,
    /// What is wrong with this member's disk and clock, in words.
    pub(crate) problems: Vec<String>,
}

impl Head {
    /// What is wrong with this member or, as far as it can tell, with the cluster, in words.
    pub(crate) fn problems(&self, me: MemberId) -> Vec<String> {
        let mut problems = self.problems.clone();
        if let Some(failure) = &self.failure {
            problems.push(format!("nothing can be written here: {failure}"));
        }
        if !self.waits_for.is_empty() {
            let names: Vec<String> = self.waits_for.iter().map(|&member| self.name_of(member)).collect();
            problems.push(format!(
                "this member's directory was empty: it takes no part yet, and waits to hear from {} whether it has lost anything; \
                 where that will never be, empty the directory and let it join as a new member",
                names.join(" and ")
            ));
        }
        match self.stopped {
            Some(Stop::Removed) => problems.push("this member was removed from the cluster".to_owned()),
            Some(Stop::LostData) => problems.push(
                "this member's disk has lost what it had said was durable: empty its directory and let it join as a new member"
                    .to_owned(),
            ),
            Some(Stop::Disowned) => problems.push(
                "this member's directory was empty, and another founder knows it from before, or that the members have changed: \
                 empty it and let it join as a new member"
                    .to_owned(),
            ),
            None if self.leader.is_none() => {
                let reached = self.peers.iter().filter(|peer| peer.is_connected).count() + 1;
                let members = self.config.contacts.len();
                problems.push(format!("no leader is known; {reached} of {members} members are within reach"));
            }
            None => {}
        }
        for peer in self.peers.iter().filter(|peer| !peer.is_connected) {
            let name = self.name_of(peer.member);
            problems.push(match &peer.refusal {
                Some(refusal) => format!("member {name} is there, but no connection comes about: {refusal}"),
                None => format!("member {name} is not within reach"),
            });
        }
        for peer in self.peers.iter().filter(|peer| peer.is_connected && peer.lags) {
            problems.push(format!("member {} lags behind, and is catching up", self.name_of(peer.member)));
        }
        if self.config.is_joint() {
            problems.push("a change of the members is under way".to_owned());
        }
        if self.config.learners.contains(&me) {
            problems.push("this member is a learner: it has no vote yet".to_owned());
        }
        problems
    }

    /// Its name, or its id where it has none.
    pub(crate) fn name_of(&self, member: MemberId) -> String {
        match self.config.contacts.get(&member).map(|contact| contact.name.as_str()) {
            None | Some("") => member.to_string(),
            Some(name) => name.to_owned(),
        }
    }
}

/// What is known of another member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerFacts {
    pub(crate) member: MemberId,
    /// Whether a connection stands.
    pub(crate) is_connected: bool,
    /// Why none comes about though it can be reached, in words.
    pub(crate) refusal: Option<String>,
    /// Up to where its log is known to be durable; only the leader knows.
    pub(crate) matched: Option<LogIndex>,
    /// It lacks so much that it is worth a word.
    pub(crate) lags: bool,
}

/// The core's newest view.
#[derive(Debug)]
pub(crate) struct Picture {
    head: Mutex<Head>,
    changed: Condvar,
    waiting: AtomicUsize,
    log_bytes: AtomicU64,
    applied: AtomicU64,
    applied_term: AtomicU64,
    committed: AtomicU64,
    saved: AtomicU64,
    saved_term: AtomicU64,
    is_saving: AtomicBool,
    /// Milliseconds that log time is ahead of this member's own clock, or behind it.
    ahead: AtomicU64,
}

impl Picture {
    pub(super) fn new(head: Head) -> Self {
        Self {
            head: Mutex::new(head),
            changed: Condvar::new(),
            waiting: AtomicUsize::new(0),
            log_bytes: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            applied_term: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            saved: AtomicU64::new(0),
            saved_term: AtomicU64::new(0),
            is_saving: AtomicBool::new(false),
            ahead: AtomicU64::new(0),
        }
    }

    pub(crate) fn head(&self) -> Head {
        self.head.lock().clone()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Head)) {
        let mut head = self.head.lock();
        let before = (head.leader, head.term);
        change(&mut head);
        if before != (head.leader, head.term) {
            head.leader_since = Clock::in_(Duration::ZERO);
        }
        drop(head);
        self.changed.notify_all();
    }

    /// Waits until the head is as wanted; returns whether it was in time.
    pub(crate) fn wait_for(&self, end: Instant, is_wanted: impl Fn(&Head) -> bool) -> bool {
        let mut head = self.head.lock();
        while !is_wanted(&head) {
            if self.changed.wait_until(&mut head, end).timed_out() {
                return is_wanted(&head);
            }
        }
        true
    }

    /// Notes what changes all the time.
    pub(super) fn count(&self, waiting: usize, replica: &Replica) {
        self.waiting.store(waiting, Ordering::Relaxed);
        self.log_bytes.store(replica.log_bytes(), Ordering::Relaxed);
        self.committed.store(replica.raft().committed().get(), Ordering::Relaxed);
        self.is_saving.store(replica.is_saving(), Ordering::Relaxed);
        let EntryId { term, index } = replica.saved();
        self.saved.store(index.get(), Ordering::Relaxed);
        self.saved_term.store(term.get(), Ordering::Relaxed);
    }

    pub(super) fn apply(&self, applied: EntryId) {
        self.applied.store(applied.index.get(), Ordering::Relaxed);
        self.applied_term.store(applied.term.get(), Ordering::Relaxed);
    }

    /// Notes how log time goes beside `clock`.
    pub(super) fn observe(&self, clock: &Clock, log_time: Timestamp) {
        let ahead = log_time.get().wrapping_sub(clock.now().get());
        self.ahead.store(ahead, Ordering::Relaxed);
    }

    pub(super) fn log_time(&self, clock: &Clock) -> Timestamp {
        Timestamp::new(clock.now().get().wrapping_add(self.ahead.load(Ordering::Relaxed)))
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn applied(&self) -> EntryId {
        EntryId {
            index: LogIndex::new(self.applied.load(Ordering::Relaxed)),
            term: Term::new(self.applied_term.load(Ordering::Relaxed)),
        }
    }

    pub(crate) fn committed(&self) -> LogIndex {
        LogIndex::new(self.committed.load(Ordering::Relaxed))
    }

    pub(crate) fn saved(&self) -> EntryId {
        EntryId {
            index: LogIndex::new(self.saved.load(Ordering::Relaxed)),
            term: Term::new(self.saved_term.load(Ordering::Relaxed)),
        }
    }

    pub(crate) fn is_saving(&self) -> bool {
        self.is_saving.load(Ordering::Relaxed)
    }
}
