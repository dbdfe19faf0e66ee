//! The core: gives the replica what comes, and carries out what it asks for. Turned by one thread at a time; see
//! [`crank`](super::crank).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::super::clock::Clock;
use super::super::pending::Written;
use super::health::{Health, LAG_MAX};
use super::joining::Joining;
use super::mail;
use super::picture::{PeerFacts, Picture};
use super::threads::{Bell, Hands};
use super::traffic::Counting;
use super::waiting::{Asked, Ticket, Waiter, Waiting, nothing_written};
use super::{WAITING_BYTES, Wish};
use crate::error::Error;
use crate::event::Change;
use crate::net::{self, Endpoint, SessionId};
use crate::raft::{Denied, Envelope, Message, Refusal, Request, Role, Witness};
use crate::replica::{Answer, Done, Input, Output, Replica};
use crate::types::{LogIndex, MemberId, Term};
use crate::wal::WalError;

/// So many events are taken before what they led to is carried out and synced.
const BURST: usize = 1024;

/// So many writes need not wait for more, and so many reads.
const BATCH: usize = 1024;

/// Where so many callers are answered at a time, there is something to be gained by waiting for them to come again.
const CROWD: usize = 2;

/// How long a leader that closes waits for another to take over, and for writes under way.
const HAND_OVER: Duration = Duration::from_millis(300);

/// What the core hears from the threads of its own process.
pub(super) enum Event {
    Wish(Wish),
    Synced(Result<u64, WalError>),
    Done(Done),
    Founders(BTreeMap<MemberId, Witness>),
}

/// What only the one who turns may touch.
pub(super) struct Core {
    pub(super) replica: Replica,
    pub(super) clock: Clock,
    pub(super) events: Receiver<Event>,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) peers: Receiver<net::Event>,
    pub(super) hands: Hands,
    /// Tells the thread that ticks of the end.
    pub(super) bell: Bell,
    pub(super) waiting: Waiting,
    pub(super) queued: Arc<AtomicUsize>,
    pub(super) picture: Arc<Picture>,
    pub(super) joining: Joining,
    /// The thread that asks other founders ends when this is dropped.
    pub(super) asking: Option<Sender<()>>,
    pub(super) health: Health,
    pub(super) traffic: Counting,
    pub(super) outputs: Vec<Output>,
    /// Writes that the replica is to be given together, with their tokens.
    pub(super) batch: Vec<(u64, Arc<[u8]>)>,
    /// Reads that it is to be given together.
    pub(super) reads: Vec<Input>,
    /// The newest session with each peer.
    pub(super) sessions: BTreeMap<MemberId, SessionId>,
    /// Who waits for a snapshot to be saved.
    pub(super) saves: Vec<Ticket<Result<(), String>>>,
    /// The member is closing, and ends at this moment at the latest.
    pub(super) closing: Option<Instant>,
    /// Another one was asked to lead.
    pub(super) has_handed_over: bool,
    /// What the picture shows was last brought up to date for.
    pub(super) shown: Option<Shown>,
}

/// What the picture is made anew for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    role: Role,
    term: Term,
    leader: Option<MemberId>,
    config: LogIndex,
    is_settled: bool,
    has_failed: bool,
}

/// How many callers were answered together.
#[derive(Default)]
struct Answered {
    writers: usize,
    others: usize,
}

impl Answered {
    /// Whether it is worth a moment to see whether they come again. A lone reader brings nothing that others could go with.
    fn is_worth_a_moment(&self) -> bool {
        self.writers > 0 || self.others >= CROWD
    }
}

impl Core {
    /// Takes what waits, and carries out what follows from it. Returns whether more waits.
    pub(super) fn turn(&mut self) -> bool {
        self.turn_with(false)
    }

    /// The same when a tick has passed: one for however long it has been.
    pub(super) fn turn_and_tick(&mut self) -> bool {
        self.turn_with(true)
    }

    fn turn_with(&mut self, is_tick: bool) -> bool {
        let mut has_more = self.take_what_waits();
        if is_tick {
            // After what peers have sent meanwhile.
            self.tick();
        }
        if self.carry_out().is_worth_a_moment() {
            // Most of those who were answered come again at once. Where they have a moment for that, they all come together:
            // in one record, one sync and one message to each peer, instead of the first of them alone and then the rest. And
            // what a writer brings tells the peers how far the log is committed, in place of a message of its own.
            std::thread::yield_now();
            has_more |= self.take_what_waits();
        }
        self.give_reads();
        self.propose_batch();
        self.carry_out();
        let moment = self.clock.moment();
        self.replica.flush(moment, &mut self.outputs);
        self.carry_out();
        self.show(is_tick);
        if self.has_ended() {
            self.bell.ring();
        }
        has_more
    }

    /// Takes events in the order in which they came; returns whether some are left for the next turn.
    fn take_what_waits(&mut self) -> bool {
        for _ in 0..BURST {
            let heard = self.events.try_recv().map(|event| self.hear(event)).is_ok();
            let told = self.peers.try_recv().map(|event| self.hear_peers(event)).is_ok();
            if !heard && !told {
                return false;
            }
        }
        true
    }

    pub(super) fn step(&mut self, input: Input) {
        let moment = self.clock.moment();
        self.replica.step(moment, input, &mut self.outputs);
    }

    fn tick(&mut self) {
        self.step(Input::Tick);
        let now = Clock::in_(Duration::ZERO);
        let timed_out = || Error::TimedOut;
        self.waiting.expire(now, timed_out, || Error::NoLeader);
        if self.replica.raft().leader().is_some() {
            self.unpark();
        }
        self.joining_tick();
        if self.closing.is_some() {
            self.hand_over();
        }
    }

    /// A leader that closes has another one lead, once no change of the members is under way: in the middle of one the others
    /// may not be a majority without it, and then they cannot complete it until it comes back.
    fn hand_over(&mut self) {
        let raft = self.replica.raft();
        if !self.has_handed_over && raft.role() == Role::Leader && !raft.config().is_joint() {
            self.has_handed_over = true;
            // Nobody waits for the answer: it shows in who leads.
            self.step(Input::Ask { token: 0, request: Request::Transfer(None) });
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Synced(result) => {
                self.health.sync_ends(self.clock.moment().running);
                self.step(Input::Synced(result));
            }
            Event::Done(done) => self.step(Input::Done(done)),
            Event::Founders(heard) => self.hear_founders(heard),
            Event::Wish(Wish::Close) => {
                self.closing.get_or_insert_with(|| Clock::in_(HAND_OVER));
                self.hand_over();
            }
            Event::Wish(Wish::Wait(waiter)) => {
                if let Waiter::Write { command, .. } = &waiter {
                    self.queued.fetch_sub(command.len() + WAITING_BYTES, Ordering::Relaxed);
                }
                self.begin_new(waiter);
            }
            Event::Wish(Wish::Capture { ticket }) => ticket.answer(Some(self.replica.capture())),
            Event::Wish(Wish::Save { ticket }) => {
                self.saves.push(ticket);
                self.replica.save_now(&mut self.outputs);
            }
        }
    }

    pub(super) fn begin_new(&mut self, waiter: Waiter) {
        let now = Clock::in_(Duration::ZERO);
        if self.closing.is_some() {
            waiter.give_up(false, Error::Closed);
        } else if self.waiting.has_parked() {
            self.waiting.park_new(waiter, now);
        } else {
            let input = self.waiting.begin_new(waiter, now);
            self.give(input);
        }
    }

    /// Gives the replica what somebody wants. Writes are kept for a moment: together they take one record of the log, one
    /// sync, and one message to each peer. So are reads, which take a round of messages together.
    fn give(&mut self, input: Input) {
        match input {
            Input::Propose { token, command } => self.batch.push((token, command)),
            Input::Read { .. } => self.reads.push(input),
            _ => self.step(input),
        }
    }

    /// While a round of messages for reads is under way, reads gather: in the replica they would wait for its end, too, and
    /// the next would begin at once, for the few that are there by then.
    fn give_reads(&mut self) {
        let is_under_way = self.waiting.reads() > self.reads.len();
        if is_under_way && self.reads.len() < BATCH {
            return;
        }
        let mut reads = std::mem::take(&mut self.reads);
        reads.drain(..).for_each(|input| self.step(input));
        self.reads = reads;
    }

    /// While a sync runs, writes gather: what is sent one by one costs every member a turn of all its threads.
    fn propose_batch(&mut self) {
        if !self.batch.is_empty() && (!self.replica.is_syncing() || self.batch.len() >= BATCH) {
            let moment = self.clock.moment();
            let batch = std::mem::take(&mut self.batch);
            self.replica.step(moment, Input::ProposeAll(batch), &mut self.outputs);
        }
    }

    /// Gives the replica what somebody waits for, until `deadline`.
    pub(super) fn begin(&mut self, waiter: Waiter, deadline: Instant) {
        let input = self.waiting.begin(waiter, deadline);
        self.step(input);
    }

    /// There is a leader: those who waited for one go on, in order.
    fn unpark(&mut self) {
        while let Some(input) = self.waiting.begin_parked() {
            self.give(input);
        }
    }

    fn hear_peers(&mut self, event: net::Event) {
        match event {
            net::Event::Connected { member, session, .. } => {
                // A session that takes the place of another one ends it: what was under way there may be lost.
                if self.sessions.insert(member, session).is_some() {
                    self.step(Input::Disconnected(member));
                }
                self.step(Input::Connected(member));
            }
            net::Event::Disconnected { member, session } => {
                if self.sessions.get(&member) == Some(&session) {
                    self.sessions.remove(&member);
                }
                self.traffic.disconnected(member);
                self.step(Input::Disconnected(member));
            }
            net::Event::Messages { from, frames, .. } => {
                let me = self.replica.identity().member;
                for (_, bytes) in frames.iter() {
                    let Some(envelope) = mail::open(bytes, from, me) else {
                        self.endpoint.pass_over(from, "a message that this version does not understand");
                        continue;
                    };
                    let clock = self.clock;
                    self.traffic.received(from, &envelope.message, bytes.len(), || clock.moment().running);
                    if let Message::Append { clock, .. } = &envelope.message {
                        self.health.compare(*clock, self.clock.moment().wall);
                    }
                    self.step(Input::Receive(envelope));
                }
            }
            net::Event::Join(request) => self.hear_join(request),
            // A chunk that was not taken is asked for again.
            net::Event::Room { .. } => {}
        }
    }

    /// Carries out what the replica has asked for, in order. Says who was answered.
    fn carry_out(&mut self) -> Answered {
        let mut answered = Answered::default();
        let mut outputs = std::mem::take(&mut self.outputs);
        for output in outputs.drain(..) {
            match output {
                Output::Send(envelope) => self.send(&envelope),
                Output::Sync(job) => {
                    self.health.sync_begins(self.clock.moment().running);
                    let _ = self.hands.syncs.send(job);
                }
                Output::Run(job) => {
                    let _ = self.hands.jobs.send(job);
                }
                Output::Answer { token, answer } => {
                    let is_write = matches!(answer, Answer::Written { .. });
                    *(if is_write { &mut answered.writers } else { &mut answered.others }) += 1;
                    self.answer(token, answer);
                }
                Output::Applied(_) => self.picture.apply(self.replica.applied()),
                Output::Installed(snapshot) => self.picture.apply(snapshot),
                Output::Saved(result) => {
                    for ticket in self.saves.drain(..) {
                        ticket.answer(result.clone());
                    }
                }
                Output::Stopped(stop) => self.picture.change(|head| head.stopped = Some(stop)),
                Output::Failed(error) => {
                    self.picture.change(|head| head.failure = Some(error.to_string()));
                }
                // The connection is trusted to say who it is, so this is a bug over there, or another version.
                Output::Fault { member, what } => self.endpoint.pass_over(member, what),
            }
        }
        debug_assert!(self.outputs.is_empty(), "nothing that is carried out steps the replica");
        self.outputs = outputs;
        answered
    }

    fn send(&mut self, envelope: &Envelope) {
        let bytes = mail::send(&self.endpoint, envelope);
        let clock = self.clock;
        self.traffic.sent(envelope.to, &envelope.message, bytes, || clock.moment().running);
    }

    fn answer(&mut self, token: u64, answer: Answer) {
        let Some((waiter, deadline)) = self.waiting.take(token) else { return };
        match (waiter, answer) {
            (waiter, Answer::Refused(Refusal::NoLeader)) if self.closing.is_none() => {
                self.waiting.park(waiter, deadline);
            }
            (waiter, Answer::Refused(Refusal::Busy)) => waiter.give_up(false, Error::Busy),
            (waiter, Answer::Refused(Refusal::NoLeader | Refusal::Stopped)) => {
                waiter.give_up(false, Error::NoLeader);
            }
            (waiter, Answer::Unknown) => waiter.give_up(true, Error::NoLeader),
            (Waiter::Write { ticket, .. }, Answer::Written { result, .. }) => {
                ticket.answer(result.map(written).map_err(Error::from));
            }
            (Waiter::Write { ticket, .. }, Answer::NoRoom(what)) => {
                ticket.answer(Err(Error::NoSpace { what }))
            }
            (Waiter::Latest { ticket }, Answer::Readable) => ticket.answer(nothing_written()),
            (waiter @ Waiter::Ask { .. }, Answer::Told(Err(Denied::NoLeader))) if self.closing.is_none() => {
                self.waiting.park(waiter, deadline);
            }
            (waiter @ Waiter::Ask { .. }, Answer::Told(Err(Denied::Unanswered))) => {
                waiter.give_up(true, Error::NoLeader);
            }
            (Waiter::Ask { ticket, .. }, Answer::Told(result)) => {
                ticket.answer(result.map_err(Asked::Denied))
            }
            (Waiter::Join { request, asked }, Answer::Told(result)) => {
                self.welcome(request, asked, result, deadline);
            }
            (waiter, _) => waiter.give_up(true, Error::NoLeader),
        }
    }

    /// Calls those who are members now.
    pub(super) fn connect(&mut self) {
        let contacts = &self.replica.raft().config().contacts;
        let me = self.replica.identity().member;
        let peers = contacts
            .iter()
            .filter(|(member, _)| **member != me)
            .map(|(member, contact)| (*member, contact.peer_addresses.clone()))
            .collect();
        self.endpoint.set_peers(&peers);
    }

    /// Brings the picture up to date.
    fn show(&mut self, is_tick: bool) {
        let raft = self.replica.raft();
        let shown = Shown {
            role: raft.role(),
            term: raft.hard_state().term,
            leader: raft.leader(),
            config: raft.config_index(),
            is_settled: raft.committed() >= raft.config_index(),
            has_failed: self.replica.failure().is_some(),
        };
        let moment = self.clock.moment();
        self.picture.observe(&self.clock, self.replica.log_time(moment));
        self.picture.count(self.waiting.len(), &self.replica);
        if self.shown == Some(shown) && !is_tick {
            return;
        }
        let before = self.shown.replace(shown);
        let has_members_changed = before.is_none_or(|before| before.config != shown.config);
        if has_members_changed {
            self.connect();
        }
        if before.is_none_or(|before| before.leader != shown.leader) {
            self.health.forget_leader();
        }
        let raft = self.replica.raft();
        let (peers, problems) = (self.peer_facts(), self.health.problems(moment.running));
        let traffic = self.traffic.show(moment.running);
        self.picture.change(|head| {
            (head.role, head.term, head.leader) = (shown.role, shown.term, shown.leader);
            (head.config_index, head.is_settled) = (shown.config, shown.is_settled);
            if has_members_changed {
                head.config = Arc::new(raft.config().clone());
            }
            (head.peers, head.problems) = (peers, problems);
            head.waits_for = raft.untold();
            head.traffic = Arc::new(traffic);
        });
        if before.is_none_or(|before| before.leader != shown.leader) && shown.leader.is_some() {
            self.unpark();
        }
    }

    fn peer_facts(&self) -> Vec<PeerFacts> {
        let raft = self.replica.raft();
        let me = self.replica.identity().member;
        let others = raft.config().members().filter(|member| *member != me);
        let facts_of = |member| {
            let (is_connected, matched) = (self.sessions.contains_key(&member), raft.matched(member));
            PeerFacts {
                member,
                is_connected,
                refusal: if is_connected { None } else { self.endpoint.refusal(member) },
                matched,
                lags: matched.is_some_and(|matched| raft.last().index.get() > matched.get() + LAG_MAX),
            }
        };
        others.map(facts_of).collect()
    }

    /// Whether there is no reason to go on.
    pub(super) fn has_ended(&self) -> bool {
        let Some(at_the_latest) = self.closing else { return false };
        let leads_others =
            self.replica.raft().role() == Role::Leader && self.replica.raft().config().voters.len() > 1;
        self.waiting.is_empty() && !leads_others || Clock::until(at_the_latest).is_zero()
    }

    pub(super) fn end(mut self) {
        self.waiting.close();
        // Before the log is let go of: no peer is to hear from a member that has none.
        self.endpoint.stop();
        let _ = self.replica.close();
    }
}

fn written(mut changes: Vec<Arc<Change>>) -> Written {
    match changes.len() {
        1 => Written::One(changes.remove(0)),
        _ => Written::Many(changes),
    }
}
