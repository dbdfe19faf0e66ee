//! Who waits for what: writes that are under way, and those that wait for a leader.
//!
//! ```text
//!   handed in ──► under way (a token of the replica) ──► answered
//!        └──► waits for a leader ──┘        └── at its deadline: nobody knows
//! ```
//! A write that the replica refuses because nobody leads waits, and all that come after it queue behind it, so that
//! writes keep their order through an election. What was taken is under way until it is applied here, whoever leads.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::pending::{Answer, Written};
use super::super::slot::Slot;
use crate::error::Error;
use crate::net::JoinRequest;
use crate::raft::{Denied, Granted, Request};
use crate::replica::Input;

/// Why a question got no answer of a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Denied(Denied),
    Unknown,
    Closed,
}

/// Where an answer is to be left. Dropped without one, it says that nobody knows, so that nobody waits for ever.
pub(super) struct Ticket<A: Lost>(Option<Arc<Slot<A>>>);

/// What is answered when nobody is left to answer.
pub(super) trait Lost: Send + 'static {
    fn lost() -> Self;
}

impl Lost for Answer {
    fn lost() -> Self {
        Err(Error::Unavailable { may_have_applied: true, cause: Arc::new(Error::Closed) })
    }
}

impl Lost for Result<Granted, Asked> {
    fn lost() -> Self {
        Err(Asked::Closed)
    }
}

impl Lost for Result<(), String> {
    fn lost() -> Self {
        Err("the store is closed".to_owned())
    }
}

impl<T: Send + 'static> Lost for Option<T> {
    fn lost() -> Self {
        None
    }
}

impl<A: Lost> Ticket<A> {
    /// A ticket, and the place where its answer will be.
    pub(super) fn new() -> (Self, Arc<Slot<A>>) {
        let slot = Slot::new();
        (Self(Some(Arc::clone(&slot))), slot)
    }

    pub(super) fn answer(mut self, answer: A) {
        if let Some(slot) = self.0.take() {
            slot.answer(answer);
        }
    }
}

impl<A: Lost> Drop for Ticket<A> {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.answer(A::lost());
        }
    }
}

/// What somebody waits for.
pub(super) enum Waiter {
    Write {
        command: Arc<[u8]>,
        ticket: Ticket<Answer>,
    },
    /// To read what is newest.
    Latest {
        ticket: Ticket<Answer>,
    },
    /// For what only the leader can do.
    Ask {
        request: Request,
        ticket: Ticket<Result<Granted, Asked>>,
    },
    /// To become a member.
    Join {
        request: Request,
        asked: JoinRequest,
    },
}

impl Waiter {
    /// The time is over, or the member closes, `cause` being why.
    pub(super) fn give_up(self, was_taken: bool, cause: Error) {
        let unavailable =
            |may_have_applied, cause| Err(Error::Unavailable { may_have_applied, cause: Arc::new(cause) });
        match self {
            Self::Write { ticket, .. } => ticket.answer(unavailable(was_taken, cause)),
            Self::Latest { ticket } => ticket.answer(unavailable(false, cause)),
            Self::Ask { ticket, .. } => ticket.answer(Err(match cause {
                Error::Closed => Asked::Closed,
                _ if was_taken => Asked::Unknown,
                _ => Asked::Denied(Denied::NoLeader),
            })),
            // The connection is closed, and whoever asked may ask another member.
            Self::Join { asked, .. } => drop(asked),
        }
    }

    fn reads(&self) -> bool {
        matches!(self, Self::Latest { .. })
    }

    /// What the replica is to be given for it.
    pub(super) fn input(&self, token: u64) -> Input {
        match self {
            Self::Write { command, .. } => Input::Propose { token, command: Arc::clone(command) },
            Self::Latest { .. } => Input::Read { token },
            Self::Ask { request, .. } | Self::Join { request, .. } => {
                Input::Ask { token, request: request.clone() }
            }
        }
    }
}

/// Everybody who waits.
pub(super) struct Waiting {
    timeout: Duration,
    next_token: u64,
    /// How many of those under way read.
    reads: usize,
    under_way: HashMap<u64, (Waiter, Instant), foldhash::fast::RandomState>,
    /// The deadlines of those under way, in the order in which they began; some have been answered.
    deadlines: VecDeque<(Instant, u64)>,
    /// Those that wait for a leader, by the order in which they were handed in.
    parked: BTreeMap<u64, (Waiter, Instant)>,
    next_place: u64,
}

impl Waiting {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            next_token: 1,
            reads: 0,
            under_way: HashMap::default(),
            deadlines: VecDeque::new(),
            parked: BTreeMap::new(),
            next_place: 1,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.under_way.len() + self.parked.len()
    }

    /// How many reads are under way.
    pub(super) fn reads(&self) -> usize {
        self.reads
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether others wait for a leader, so that who comes now has to queue behind them.
    pub(super) fn has_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    /// Somebody new waits behind those that wait for a leader.
    pub(super) fn park_new(&mut self, waiter: Waiter, now: Instant) {
        self.park(waiter, now + self.timeout);
    }

    /// One that the replica has refused waits for a leader.
    pub(super) fn park(&mut self, waiter: Waiter, deadline: Instant) {
        self.parked.insert(self.next_place, (waiter, deadline));
        self.next_place += 1;
    }

    /// What the replica is to be given for the next of those that wait for a leader.
    pub(super) fn begin_parked(&mut self) -> Option<Input> {
        let (_, (waiter, deadline)) = self.parked.pop_first()?;
        Some(self.begin(waiter, deadline))
    }

    /// What the replica is to be given now for somebody new.
    pub(super) fn begin_new(&mut self, waiter: Waiter, now: Instant) -> Input {
        self.begin(waiter, now + self.timeout)
    }

    /// What the replica is to be given now for somebody who waits until `deadline`.
    pub(super) fn begin(&mut self, waiter: Waiter, deadline: Instant) -> Input {
        let token = self.next_token;
        self.next_token += 1;
        let input = waiter.input(token);
        self.reads += usize::from(waiter.reads());
        self.under_way.insert(token, (waiter, deadline));
        self.deadlines.push_back((deadline, token));
        input
    }

    /// Takes out who has this token; nobody if the time was over.
    pub(super) fn take(&mut self, token: u64) -> Option<(Waiter, Instant)> {
        let taken = self.under_way.remove(&token)?;
        self.reads -= usize::from(taken.0.reads());
        Some(taken)
    }

    /// Gives up for those whose time is over.
    pub(super) fn expire(
        &mut self,
        now: Instant,
        timed_out: impl Fn() -> Error,
        no_leader: impl Fn() -> Error,
    ) {
        debug_assert_eq!(self.reads, self.under_way.values().filter(|(waiter, _)| waiter.reads()).count());
        while let Some(&(deadline, token)) = self.deadlines.front() {
            if deadline > now && self.under_way.contains_key(&token) {
                break;
            }
            self.deadlines.pop_front();
            if let Some((waiter, _)) = self.take(token) {
                waiter.give_up(true, timed_out());
            }
        }
        while let Some(first) = self.parked.first_entry().filter(|first| first.get().1 <= now) {
            first.remove().0.give_up(false, no_leader());
        }
    }

    /// Gives up for all.
    pub(super) fn close(&mut self) {
        self.reads = 0;
        for (_, (waiter, _)) in self.under_way.drain() {
            waiter.give_up(true, Error::Closed);
        }
        for (waiter, _) in std::mem::take(&mut self.parked).into_values() {
            waiter.give_up(false, Error::Closed);
        }
    }
}

/// What a read that may begin is answered with.
pub(super) fn nothing_written() -> Answer {
    Ok(Written::Many(Vec::new()))
}
