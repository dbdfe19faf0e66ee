//! The clients: they call, wait, give up, and remember what they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spinney::internals::codec;
use spinney::internals::entry::{Entry, EntryId, Payload};
use spinney::internals::raft::Role;
use spinney::internals::replica::{Answer, Input};
use spinney::internals::tree::Command;
use spinney::{Change, Key, LogIndex};

use super::linear::{self, Call, Operation, Verdict};
use super::network::Place;
use super::plan::{MS, Plan, SECOND, Time};
use super::random::Random;
use super::watching::Watcher;
use super::witness::{Slot, command_of};
use super::workload::{Request, Workload};
use super::world::{Event, World};
use crate::model;

/// Calls under way have these tokens from here on; what administration asks for has smaller ones.
const FIRST_TOKEN: u64 = 1 << 32;

/// All clients, and what they know.
pub(super) struct Clients {
    random: Random,
    workload: Workload,
    think: Time,
    next_token: u64,
    /// Calls that were not answered, and that no crash has ended.
    calls: BTreeMap<u64, Waiting>,
    /// For how many answers each client waits.
    waits: Vec<usize>,
    /// How many each of them waits for at most.
    pipeline: usize,
    /// What each register was asked, with what is known of the answers.
    histories: BTreeMap<u64, Vec<Operation>>,
    /// Writes whose fate nobody knows: their encodings, and where they stand in the histories.
    unknown: Vec<(Arc<[u8]>, Option<InHistory>)>,
    /// Commands that were refused: they never count.
    refused: BTreeSet<Arc<[u8]>>,
    /// Positions of the log that were told to somebody as the answer to a call.
    told: BTreeSet<LogIndex>,
    /// Commands that can be told from all others.
    unique: BTreeMap<Arc<[u8]>, Option<LogIndex>>,
    /// The newest position that was told to anybody, and the newest index of the tree.
    floor: LogIndex,
    index_floor: u64,
    /// New calls are made.
    pub(super) is_open: bool,
    /// The newest call that was answered by what it asked for.
    done: Option<u64>,
}

/// A call that was not answered yet.
struct Waiting {
    client: Option<usize>,
    place: Place,
    called: u64,
    request: Request,
    encoded: Arc<[u8]>,
    /// What had been told to anybody when it was called.
    floor: LogIndex,
    index_floor: u64,
    /// Where it stands in the history of its register.
    operation: Option<InHistory>,
}

/// The number of a register, and which operation of its history.
type InHistory = (u64, usize);

impl Clients {
    pub(super) fn new(plan: &Plan, value_bytes_max: usize) -> Self {
        Self {
            random: Random::stream(plan.seed, "clients"),
            workload: Workload::new(plan.seed, value_bytes_max),
            think: plan.think,
            next_token: FIRST_TOKEN,
            calls: BTreeMap::new(),
            waits: vec![0; plan.clients as usize],
            pipeline: plan.pipeline,
            histories: BTreeMap::new(),
            unknown: Vec::new(),
            refused: BTreeSet::new(),
            told: BTreeSet::new(),
            unique: BTreeMap::new(),
            floor: LogIndex::default(),
            index_floor: 0,
            is_open: true,
            done: None,
        }
    }

    /// How many calls are under way.
    pub(super) fn waiting(&self) -> usize {
        self.calls.len()
    }

    fn record(&mut self, register: u64, called: u64, call: Call) -> InHistory {
        let history = self.histories.entry(register).or_default();
        history.push(Operation { called, answered: None, call });
        (register, history.len() - 1)
    }

    fn operation(&mut self, (register, at): InHistory) -> Option<&mut Operation> {
        self.histories.get_mut(&register)?.get_mut(at)
    }
}

impl World {
    /// A write that is never refused.
    pub(super) fn clients_probe(&mut self) -> Request {
        self.clients.workload.probe()
    }

    /// A write of something that expires.
    pub(super) fn clients_short_lived(&mut self, ttl_ms: u64) -> Request {
        self.clients.workload.short_lived(ttl_ms)
    }

    /// A client makes a call, if it waits for none.
    pub(super) fn client(&mut self, client: usize) {
        if !self.clients.is_open {
            return;
        }
        // While the cluster recovers, they are not what keeps it from it.
        let think = if self.is_calm { self.clients.think.max(20 * MS) } else { self.clients.think };
        let think = 1 + self.clients.random.exponential(think);
        self.after(think, Event::Client(client));
        let waits = self.clients.waits[client];
        if waits >= if self.is_calm { 1 } else { self.clients.pipeline } {
            return;
        }
        let up: Vec<Place> = self
            .machines
            .iter()
            .filter(|m| m.is_up() && m.paused_until <= self.now)
            .map(|m| m.place)
            .collect();
        if up.is_empty() {
            return;
        }
        // Mostly at the same member.
        let place = if self.clients.random.one_in(4) {
            *self.clients.random.pick(&up)
        } else {
            up[client % up.len()]
        };
        // What is in flight together is written blindly: the histories of registers stay as hard to check as clients are many.
        let request = if waits == 0 { self.clients.workload.next() } else { self.clients.workload.write() };
        self.clients.waits[client] += 1;
        self.call(Some(client), place, request);
    }

    /// Calls for something at `place`; gives the token of the call.
    pub(super) fn call(&mut self, client: Option<usize>, place: Place, request: Request) -> u64 {
        let called = self.happened;
        let token = self.clients.next_token;
        self.clients.next_token += 1;
        let (mut encoded, mut operation): (Arc<[u8]>, _) = ([].into(), None);
        match &request {
            Request::Write { command, call } => {
                encoded = codec::encode(command).into();
                if is_unique(command) {
                    self.clients.unique.insert(Arc::clone(&encoded), None);
                }
                operation = call
                    .as_ref()
                    .map(|(register, call)| self.clients.record(*register, called, call.clone()));
            }
            Request::Read { .. } => {}
            Request::LocalRead { key } => {
                self.check_local_read(place, key);
                if let Some(client) = client {
                    self.clients.waits[client] -= 1;
                }
                return token;
            }
        }
        let input = match &request {
            Request::Write { .. } => Input::Propose { token, command: Arc::clone(&encoded) },
            _ => Input::Read { token },
        };
        let (floor, index_floor) = (self.clients.floor, self.clients.index_floor);
        let waiting = Waiting { client, place, called, request, encoded, floor, index_floor, operation };
        self.clients.calls.insert(token, waiting);
        let patience = SECOND + self.clients.random.exponential(3 * SECOND);
        self.after(patience, Event::GiveUp(token));
        self.step(place, input);
        token
    }

    /// Whether the call with this token is still waited for.
    pub(super) fn is_waiting(&self, token: u64) -> bool {
        self.clients.calls.contains_key(&token)
    }

    /// Whether the call with this token was the last one to be answered by what it asked for: not refused, nor lost.
    pub(super) fn is_done(&self, token: u64) -> bool {
        self.clients.done == Some(token)
    }

    /// A client stops waiting. What it asked for may yet be done.
    pub(super) fn give_up(&mut self, token: u64) {
        let Some(waiting) = self.clients.calls.get_mut(&token) else { return };
        if let Some(client) = waiting.client.take() {
            self.clients.waits[client] -= 1;
        }
    }

    /// The process died that these calls were made to.
    pub(super) fn forget_calls(&mut self, place: Place) {
        let lost: Vec<u64> = self
            .clients
            .calls
            .iter()
            .filter(|(_, call)| call.place == place)
            .map(|(token, _)| *token)
            .collect();
        for token in lost {
            self.lose(token);
        }
    }

    fn lose(&mut self, token: u64) {
        let Some(waiting) = self.clients.calls.remove(&token) else { return };
        if let Some(client) = waiting.client {
            self.clients.waits[client] -= 1;
        }
        if let Request::Write { .. } = waiting.request {
            self.report.unknown += 1;
            self.coverage.reach("a call was given up with its outcome unknown");
            self.clients.unknown.push((waiting.encoded, waiting.operation));
        }
    }

    /// A call is answered.
    pub(super) fn answered(&mut self, place: Place, token: u64, answer: Answer) {
        if token < FIRST_TOKEN {
            if let Answer::Told(result) = answer {
                self.told_admin(token, result);
            }
            return;
        }
        if matches!(answer, Answer::Unknown) {
            return self.lose(token);
        }
        let Some(waiting) = self.clients.calls.remove(&token) else {
            return self
                .require(false, || format!("call {token} was answered twice, or never made: {answer:?}"));
        };
        self.report.answered += 1;
        if let Some(client) = waiting.client {
            self.clients.waits[client] -= 1;
        }
        match answer {
            Answer::Written { entry, result } => {
                self.clients.done = Some(token);
                let result = result.map_err(|refused| model::duel::no(&refused));
                self.check_written(&waiting, entry, result);
            }
            Answer::Readable => {
                self.clients.done = Some(token);
                self.check_read(place, &waiting);
            }
            Answer::Refused(_) | Answer::NoRoom(_) => {
                if matches!(answer, Answer::NoRoom(_)) {
                    self.coverage.reach("a write was refused by a full disk");
                } else {
                    self.coverage.reach("a call was refused");
                }
                // It never happened: no history needs to explain it.
                if let Some(at) = waiting.operation
                    && let Some(operation) = self.clients.operation(at)
                {
                    operation.call = Call::Swap { old: 0, new: 0, done: None };
                }
                if self.clients.unique.contains_key(&waiting.encoded) {
                    self.clients.refused.insert(waiting.encoded);
                }
            }
            Answer::Told(_) | Answer::Unknown => {
                self.require(false, || format!("call {token} got the answer to another question"));
            }
        }
    }

    /// A write's answer is what its entry did, and the entry came after all that was told before the call.
    fn check_written(
        &mut self,
        waiting: &Waiting,
        entry: EntryId,
        result: Result<Vec<Arc<Change>>, model::No>,
    ) {
        let slot = self.witness.slot(entry.index).cloned();
        let Some(slot) = slot.filter(|slot| slot.id == entry) else {
            return self
                .require(false, || format!("a write was answered by {entry:?}, which nobody has applied"));
        };
        self.require(carries(&slot, &waiting.encoded), || format!("{entry:?} is not what was written"));
        let done = result.map(|changes| {
            let index = |change: Option<&Arc<Change>>| change.map(|change| change.index().get());
            (index(changes.first()), index(changes.last()))
        });
        let expected =
            slot.result.clone().map(|result| result.map(|(first, last)| (Some(first), Some(last))));
        let is_empty = matches!(done, Ok((None, None)));
        self.require(Some(&done) == expected.as_ref() || is_empty, || {
            format!("{entry:?} was answered by {done:?}, and did {expected:?}")
        });
        let is_first = self.clients.told.insert(entry.index);
        self.require(is_first, || format!("{entry:?} answered two calls"));
        self.require(entry.index > waiting.floor, || {
            format!("a write got {entry:?}, and {} had been told before it was called", waiting.floor)
        });
        self.clients.floor = self.clients.floor.max(entry.index);
        self.clients.index_floor = self.clients.index_floor.max(slot.index);
        let happened = self.happened;
        if let Some(at) = waiting.operation
            && let Some(operation) = self.clients.operation(at)
        {
            operation.answered = Some(happened);
            match &mut operation.call {
                Call::Swap { done: holds, .. } | Call::Remove { done: holds } => *holds = Some(done.is_ok()),
                _ => {}
            }
        }
    }

    /// A linearizable read sees all that was told before it was called.
    fn check_read(&mut self, place: Place, waiting: &Waiting) {
        let Request::Read { key, register } = &waiting.request else {
            return self.require(false, || "a write was answered as a read".to_owned());
        };
        let Some((index, found, leads)) = self.read(place, key) else { return };
        self.coverage.reach(match leads {
            true => "a linearizable read was answered by the leader",
            false => "a linearizable read was answered by a follower",
        });
        let floor = waiting.index_floor;
        self.require(index >= floor, || {
            format!(
                "a linearizable read at {place:?} saw {index}, and {floor} had been told before it was called"
            )
        });
        self.check_found(key, index, found.as_ref());
        self.clients.index_floor = self.clients.index_floor.max(index);
        if let Some(register) = register {
            let value = found
                .and_then(|entry| entry.value)
                .and_then(|value| String::from_utf8(value).ok()?.parse().ok());
            let at = self.clients.record(*register, waiting.called, Call::Read(value));
            let happened = self.happened;
            if let Some(operation) = self.clients.operation(at) {
                operation.answered = Some(happened);
            }
        }
    }

    fn check_local_read(&mut self, place: Place, key: &Key) {
        if let Some((index, found, _)) = self.read(place, key) {
            self.check_found(key, index, found.as_ref());
        }
    }

    /// What is at `key` at a member, the index it is of, and whether the member leads.
    fn read(&self, place: Place, key: &Key) -> Option<(u64, Option<model::Entry>, bool)> {
        let replica = self.machines[place.0].replica.as_ref()?;
        let tree = replica.state().tree();
        let found = tree.get(key).ok().map(model::duel::entry);
        Some((tree.index().get(), found, replica.raft().role() == Role::Leader))
    }

    fn check_found(&self, key: &Key, index: u64, found: Option<&model::Entry>) {
        let expected = self.witness.version(key, index);
        self.require(found == expected, || {
            format!("{key} is {found:?} at {index}, and should be {expected:?}")
        });
    }

    /// Entries were applied: commands that can be told from all others are applied once, and never if refused.
    pub(super) fn applied(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let Payload::Config(config) = &entry.payload {
                self.reconfigured(entry.id.index, config);
            }
            let Some(bytes) = command_of(entry) else { continue };
            let ran = self.witness.slot(entry.id.index).is_some_and(|slot| slot.result.is_some());
            if !ran {
                continue;
            }
            if let Some(first) = self.clients.unique.get_mut(bytes) {
                let first = *first.get_or_insert(entry.id.index);
                self.require(first == entry.id.index, || {
                    format!("one call took effect at {first} and at {:?}", entry.id)
                });
            }
            self.require(!self.clients.refused.contains(bytes), || {
                format!("a call that was refused took effect at {:?}", entry.id)
            });
        }
    }

    /// Watchers take some of what they were sent; now and then there is a new one.
    pub(super) fn watch(&mut self) {
        let pause = 1 + self.clients.random.exponential(20 * MS);
        self.after(pause, Event::Watch);
        for at in 0..self.machines.len() {
            let Some(replica) = &self.machines[at].replica else { continue };
            let state = Arc::clone(replica.state());
            state.serve_watchers();
            if self.machines[at].watchers.len() < 3 && self.clients.random.one_in(3) {
                let key = *self.clients.random.pick(&["/", "/a", "/a/x", "/queue", "/register", "/c"]);
                let key = Key::parse(key).expect("a key");
                let recursive = self.clients.random.one_in(2);
                let index = state.tree().index();
                let back = self.clients.random.below(20);
                let since = if self.clients.random.one_in(2) {
                    None
                } else {
                    Some((index.get() + 1).saturating_sub(back).max(1))
                };
                let capacity = *self.clients.random.pick(&[1, 3, 100]);
                let watch = state.watch(key.clone(), recursive, since.map(spinney::Index::new), capacity);
                let next = since.unwrap_or(index.get() + 1);
                self.machines[at].watchers.push(Watcher::new(watch, key, recursive, next));
            }
            let mut watchers = std::mem::take(&mut self.machines[at].watchers);
            for watcher in &mut watchers {
                let most = self.clients.random.below(10) as usize;
                let taken = watcher.take(&self.witness, most, &mut self.coverage);
                self.require_ok(taken);
            }
            // Whoever has seen enough goes.
            if self.clients.random.one_in(50) {
                watchers.pop().inspect(|watcher| self.report.told += watcher.told());
            }
            self.machines[at].watchers = watchers;
        }
    }

    /// Everybody watching has been told everything, when all have had their time.
    pub(super) fn finish_watchers(&mut self) {
        for at in 0..self.machines.len() {
            let Some(replica) = &self.machines[at].replica else { continue };
            let state = Arc::clone(replica.state());
            let index = state.tree().index().get();
            let mut watchers = std::mem::take(&mut self.machines[at].watchers);
            for _ in 0..=index {
                state.serve_watchers();
                let before: u64 = watchers.iter().map(Watcher::told).sum();
                for watcher in &mut watchers {
                    let taken = watcher.take(&self.witness, usize::MAX, &mut self.coverage);
                    self.require_ok(taken);
                }
                if watchers.iter().map(Watcher::told).sum::<u64>() == before {
                    break;
                }
            }
            for mut watcher in watchers {
                let done = watcher.finish(&self.witness, index, &mut self.coverage);
                self.require_ok(done);
                self.report.told += watcher.told();
            }
        }
    }

    /// What clients saw of each register can be told in some order.
    pub(super) fn check_histories(&mut self) {
        // Of the writes whose fate their callers do not know, the log does: those that never came to be need no
        // place in the order.
        let never: BTreeSet<InHistory> = self
            .clients
            .unknown
            .iter()
            .filter(|(encoded, _)| self.clients.unique.get(encoded) == Some(&None))
            .filter_map(|(_, operation)| *operation)
            .collect();
        for (register, history) in &self.clients.histories {
            let history: Vec<Operation> = history
                .iter()
                .enumerate()
                .filter(|(at, operation)| {
                    !never.contains(&(*register, *at))
                        && operation.call != Call::Swap { old: 0, new: 0, done: None }
                })
                .map(|(_, operation)| operation.clone())
                .collect();
            self.report.histories += 1;
            self.report.operations += history.len() as u64;
            match linear::check(&history) {
                Verdict::Linearizable => {}
                Verdict::Unknown => self.report.undecided += 1,
                Verdict::Impossible => {
                    self.require(false, || {
                        format!("no order explains what clients saw of register {register}")
                    });
                }
            }
        }
    }
}

/// Whether no other call can have the same command: all but those that write no value.
fn is_unique(command: &Command) -> bool {
    match command {
        Command::Put(_) | Command::CreateInOrder(_) => true,
        Command::Transaction(transaction) => !transaction.operations.is_empty(),
        Command::Delete(_) | Command::Expire => false,
    }
}

fn carries(slot: &Slot, command: &[u8]) -> bool {
    codec::decode::<Entry>(&slot.encoded).is_ok_and(|entry| command_of(&entry) == Some(command))
}
