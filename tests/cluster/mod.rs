//! A cluster of bare cores: the smallest owner that does all that an owner must, on a disk that is a vector and
//! a network that is another. It is a value, so that a search can branch from it; scripts and random inputs
//! play on it too.
//!
//! What it checks after every step is what Raft promises: one leader a term, one entry at a committed position
//! for ever, nothing committed that is not on the disks of a majority, nothing applied twice or out of order,
//! no read of less than was applied anywhere when it was asked for.

#![allow(dead_code, reason = "each test uses what it needs")]

mod disk;
mod shown;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use spinney::internals::entry::{Config, Contact, Entry, EntryId, Payload, WriteSet};
use spinney::internals::raft::{
    Denied, Envelope, Granted, Input, Known, Message, Output, Raft, Refusal, Role, Settings, Stop, Witness,
};
use spinney::internals::session::{Admission, Sessions};
use spinney::{LogIndex, MemberId, Term, Timestamp};

pub(crate) use disk::{Disk, Snapshot};

/// What happened, for whoever watches.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Role(MemberId, Role, Term),
    Sent(Envelope),
    Lost(Envelope),
    Wrote(MemberId, WriteSet),
    Synced(MemberId, u64),
    Applied(MemberId, Entry, Admission),
    Refused(MemberId, usize, Refusal),
    Ready(MemberId, u64, LogIndex),
    ReadRefused(MemberId, u64, Refusal),
    Answered(MemberId, u64, Result<Granted, Denied>),
    Installed(MemberId, EntryId),
    Stopped(MemberId, Stop),
    Fault(MemberId, MemberId, &'static str),
}

/// Some members and the network between them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cluster {
    pub(crate) settings: Settings,
    /// Shared with the clusters that branch from this one, until one of them changes it.
    pub(crate) members: BTreeMap<MemberId, Arc<Machine>>,
    /// Sent and not delivered, oldest first.
    pub(crate) wire: Vec<Envelope>,
    /// Nothing comes through from the first to the second.
    pub(crate) cuts: BTreeSet<(MemberId, MemberId)>,
    /// Everybody's clock, in milliseconds.
    pub(crate) now: u64,
    /// Who has led in which term.
    leaders: BTreeMap<Term, MemberId>,
    /// What was committed, by anybody's word, and in which term that was first heard.
    committed: BTreeMap<LogIndex, (Entry, Term)>,
    /// Reads under way: what had been applied anywhere when they were asked for, and may have been answered.
    reads: BTreeMap<(MemberId, u64), LogIndex>,
    /// How many there have been, for whoever needs a number for the next.
    pub(crate) reads_asked: u64,
}

/// A member, its disk, and what it has applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Machine {
    /// `None` while it is down.
    pub(crate) raft: Option<Raft>,
    pub(crate) disk: Disk,
    /// The one that it had before, and lost.
    lost: Option<Disk>,
    /// Written, not synced.
    pub(crate) pending: VecDeque<(u64, WriteSet)>,
    /// Not to be sent before that is synced.
    held: Vec<(u64, Envelope)>,
    /// Whether what is written is synced at once.
    pub(crate) is_quick: bool,
    /// What was applied: position and text.
    pub(crate) tree: Vec<(LogIndex, Arc<[u8]>)>,
    pub(crate) sessions: Sessions,
    pub(crate) applied: LogIndex,
    /// Parts of a snapshot that is being received.
    parts: Vec<u8>,
    lives: u64,
}

impl Machine {
    fn new(disk: Disk) -> Arc<Self> {
        Arc::new(Self {
            raft: None,
            disk,
            lost: None,
            pending: VecDeque::new(),
            held: Vec::new(),
            is_quick: true,
            tree: Vec::new(),
            sessions: Sessions::default(),
            applied: LogIndex::default(),
            parts: Vec::new(),
            lives: 0,
        })
    }
}

pub(crate) fn contact(member: MemberId) -> Contact {
    Contact { name: format!("m{member}"), ..Contact::default() }
}

impl Cluster {
    /// Founders 1 to `count`, all up.
    pub(crate) fn founded(count: u64, settings: Settings) -> Self {
        let founders: Vec<_> = (1..=count).map(MemberId::new).collect();
        let config = Config::founded_by(founders.iter().map(|&member| (member, contact(member))));
        let mut cluster = Self::empty(settings);
        for member in founders {
            cluster.members.insert(member, Machine::new(Disk::new(Known::founder(config.clone()))));
            cluster.start(member);
        }
        cluster
    }

    fn empty(settings: Settings) -> Self {
        Self {
            settings,
            members: BTreeMap::new(),
            wire: Vec::new(),
            cuts: BTreeSet::new(),
            now: 1_000,
            leaders: BTreeMap::new(),
            committed: BTreeMap::new(),
            reads: BTreeMap::new(),
            reads_asked: 0,
        }
    }

    /// A member that knows nothing comes up.
    pub(crate) fn join(&mut self, member: MemberId) {
        self.members.insert(member, Machine::new(Disk::new(Known::joiner())));
        self.start(member);
    }

    /// A member comes up with what its disk holds.
    pub(crate) fn start(&mut self, member: MemberId) {
        let settings = self.settings.clone();
        let machine = self.machine(member);
        machine.lives += 1;
        let known = machine.disk.known();
        machine.sessions = Sessions::default();
        machine.sessions.follow(&known.config());
        machine.tree.clear();
        machine.applied = LogIndex::default();
        if let Some(snapshot) = machine.disk.snapshot.clone() {
            machine.load(&snapshot);
        }
        // Another for each life of each member: those that joined have ids that begin at 1 << 32.
        let seed = (member.get() << 32 | machine.lives) + (member.get() >> 32 << 20);
        machine.raft = Some(Raft::new(member, settings, known, seed));
    }

    /// A member goes down; of what it has not synced, the first `kept` write-sets are there nevertheless.
    pub(crate) fn crash(&mut self, member: MemberId, kept: usize) {
        self.reads.retain(|(reader, _), _| *reader != member);
        let machine = self.machine(member);
        machine.raft = None;
        machine.held.clear();
        for (_, write) in machine.pending.drain(..).take(kept) {
            machine.disk.write(&write);
        }
        self.wire.retain(|envelope| envelope.to != member);
    }

    /// A member goes down, and with it its disk, for good.
    pub(crate) fn lose_disk(&mut self, member: MemberId) {
        self.crash(member, 0);
        let machine = self.machine(member);
        let empty = machine.disk.lost();
        machine.lost = Some(std::mem::replace(&mut machine.disk, empty));
    }

    /// Those who are up, and have not told `member`, which is in doubt, how far they are.
    pub(crate) fn witnesses(&self, member: MemberId) -> Vec<MemberId> {
        self.raft(member).untold().into_iter().filter(|other| self.is_up(*other)).collect()
    }

    /// These are asked together by a member that is in doubt how far they are: each tells, or cannot be reached.
    pub(crate) fn testify(&mut self, member: MemberId, witnesses: &[MemberId], events: &mut Vec<Event>) {
        let heard = |&witness: &MemberId| {
            let told = self.is_up(witness).then(|| self.raft(witness).testimony_for_founder());
            (witness, told.unwrap_or(Witness::Unreachable))
        };
        let answers = witnesses.iter().map(heard).collect();
        self.step(member, Input::Heard(answers), events);
    }

    pub(crate) fn raft(&self, member: MemberId) -> &Raft {
        self.members[&member].raft.as_ref().expect("it is up")
    }

    pub(crate) fn machine(&mut self, member: MemberId) -> &mut Machine {
        self.find_machine(member).expect("there is such a member")
    }

    pub(crate) fn find_machine(&mut self, member: MemberId) -> Option<&mut Machine> {
        self.members.get_mut(&member).map(Arc::make_mut)
    }

    pub(crate) fn is_up(&self, member: MemberId) -> bool {
        self.members.get(&member).is_some_and(|machine| machine.raft.is_some())
    }

    /// Gives a member an input, and does what it asks for.
    pub(crate) fn step(&mut self, member: MemberId, input: Input, events: &mut Vec<Event>) {
        if let Input::Read { token } = input {
            let newest = self.committed.last_key_value().map(|(index, _)| *index).unwrap_or_default();
            self.reads.insert((member, token), newest);
            self.reads_asked += 1;
        }
        let mut inputs = VecDeque::from([input]);
        let mut is_flushed = false;
        while let Some(input) = inputs.pop_front().or_else(|| (!is_flushed).then_some(Input::Flush)) {
            is_flushed = matches!(input, Input::Flush);
            let now = Timestamp::new(self.now);
            let Some(machine) = self.find_machine(member) else { return };
            let Some(raft) = &mut machine.raft else { return };
            let role = (raft.role(), raft.hard_state().term);
            let applied = raft.applied().index;
            let mut outputs = Vec::new();
            raft.step(now, input, &mut outputs);
            if (raft.role(), raft.hard_state().term) != role {
                events.push(Event::Role(member, raft.role(), raft.hard_state().term));
            }
            for output in outputs {
                self.carry_out(member, output, &mut inputs, events);
            }
            self.check(member, applied);
        }
    }

    fn carry_out(
        &mut self,
        member: MemberId,
        output: Output,
        inputs: &mut VecDeque<Input>,
        events: &mut Vec<Event>,
    ) {
        let machine = self.machine(member);
        match output {
            Output::Persist { sequence, write } => {
                events.push(Event::Wrote(member, write.clone()));
                machine.pending.push_back((sequence, write));
                if machine.is_quick {
                    inputs.extend(self.synced(member, sequence, events));
                }
            }
            Output::Send { envelope, after } => {
                let pending = machine.pending.iter().any(|(sequence, _)| Some(*sequence) <= after);
                match after {
                    Some(after) if pending => machine.held.push((after, envelope)),
                    _ => self.send(envelope, events),
                }
            }
            Output::Apply(entries) => {
                for entry in entries {
                    self.apply(member, entry, events);
                }
            }
            Output::ApplyStored { first, last } => {
                for entry in machine.disk.entries(first, last) {
                    self.apply(member, entry, events);
                }
            }
            Output::Refuse { commands, reason } => {
                events.push(Event::Refused(member, commands.len(), reason))
            }
            Output::ReadReady { token } => {
                let applied = machine.applied;
                let newest = self.reads.remove(&(member, token)).expect("each read is answered once");
                assert!(applied >= newest, "m{member} reads at {applied} what was {newest} before it asked");
                events.push(Event::Ready(member, token, applied));
            }
            Output::ReadRefused { token, reason } => {
                self.reads.remove(&(member, token));
                events.push(Event::ReadRefused(member, token, reason));
            }
            Output::Answer { token, result } => events.push(Event::Answered(member, token, result)),
            Output::Load { member: reader, first, last, bytes } => {
                let mut entries = machine.disk.entries(first, last);
                // What is not synced is not on this disk yet; a reader of the log would see it.
                entries.truncate(1.max((bytes / 100) as usize));
                inputs.push_back(Input::Loaded { member: reader, entries });
            }
            Output::SendChunk { member: to, term, snapshot, offset, bytes } => {
                let stored = machine.disk.snapshot.as_ref().filter(|stored| stored.last == snapshot);
                let Some(stored) = stored.map(Snapshot::encoded).filter(|all| offset <= all.len() as u64)
                else {
                    return inputs.push_back(Input::ChunkFailed { member: to });
                };
                let rest = &stored[offset as usize..];
                let part = &rest[..rest.len().min(bytes as usize)];
                let is_last = part.len() == rest.len();
                let message = Message::SnapshotChunk { snapshot, offset, bytes: part.into(), is_last };
                self.send(Envelope { from: member, to, term, message }, events);
            }
            Output::StoreChunk { snapshot, offset, bytes, is_last } => {
                machine.parts.truncate(offset as usize);
                machine.parts.extend_from_slice(&bytes);
                let boot = machine.raft.as_ref().map(Raft::boot).unwrap_or_default();
                inputs.push_back(match Snapshot::decoded(&machine.parts).filter(|_| is_last) {
                    None if is_last => Input::ChunkStored { snapshot, offset: 0 },
                    None => Input::ChunkStored { snapshot, offset: machine.parts.len() as u64 },
                    Some(Snapshot { config, time, sessions, .. }) => {
                        let settled = sessions.applied(member, boot);
                        Input::SnapshotStored { snapshot, config, time, settled }
                    }
                });
            }
            Output::Install { snapshot } => {
                let stored =
                    Snapshot::decoded(&machine.parts).filter(|stored| stored.last == snapshot).unwrap();
                machine.load(&stored);
                machine.disk.received.push(stored);
                events.push(Event::Installed(member, snapshot));
            }
            Output::Stopped(stop) => events.push(Event::Stopped(member, stop)),
            Output::Fault { member: peer, what } => events.push(Event::Fault(member, peer, what)),
        }
    }

    /// What a member has written up to `sequence` is durable.
    pub(crate) fn synced(
        &mut self,
        member: MemberId,
        sequence: u64,
        events: &mut Vec<Event>,
    ) -> Option<Input> {
        let machine = self.machine(member);
        while machine.pending.front().is_some_and(|(number, _)| *number <= sequence)
            && let Some((_, write)) = machine.pending.pop_front()
        {
            machine.disk.write(&write);
        }
        events.push(Event::Synced(member, sequence));
        let (free, held) =
            std::mem::take(&mut machine.held).into_iter().partition(|(after, _)| *after <= sequence);
        machine.held = held;
        let free: Vec<(u64, Envelope)> = free;
        for (_, envelope) in free {
            self.send(envelope, events);
        }
        Some(Input::Persisted(sequence))
    }

    /// Syncs what a member has written, or the oldest write-sets of it.
    pub(crate) fn sync(&mut self, member: MemberId, count: usize, events: &mut Vec<Event>) {
        if let Some(&(sequence, _)) = self.members[&member].pending.iter().take(count).next_back()
            && let Some(input) = self.synced(member, sequence, events)
        {
            self.step(member, input, events);
        }
    }

    fn send(&mut self, envelope: Envelope, events: &mut Vec<Event>) {
        let is_cut = self.cuts.contains(&(envelope.from, envelope.to));
        if is_cut || !self.is_up(envelope.to) {
            events.push(Event::Lost(envelope));
        } else {
            events.push(Event::Sent(envelope.clone()));
            self.wire.push(envelope);
        }
    }

    /// Delivers the message at this place of the wire.
    pub(crate) fn deliver(&mut self, place: usize, events: &mut Vec<Event>) {
        let envelope = self.wire.remove(place);
        self.step(envelope.to, Input::Receive(envelope), events);
    }

    /// Delivers everything, and what follows from it, until nothing does.
    pub(crate) fn settle(&mut self, events: &mut Vec<Event>) {
        for _ in 0..100_000 {
            if self.wire.is_empty() {
                return;
            }
            self.deliver(0, events);
        }
        panic!("it never settles: {:?}", self.wire);
    }

    fn apply(&mut self, member: MemberId, entry: Entry, events: &mut Vec<Event>) {
        let index = entry.id.index;
        let term = self.raft(member).hard_state().term;
        let (agreed, known_in) = self.committed.entry(index).or_insert_with(|| (entry.clone(), term));
        *known_in = term.min(*known_in);
        assert_eq!(*agreed, entry, "{member} has another entry at a committed position");
        let machine = self.machine(member);
        assert_eq!(index, machine.applied.next(), "{member} applies out of order");
        machine.applied = index;
        let admission = machine.sessions.admit(entry.session);
        match &entry.payload {
            Payload::Command(text) if admission == Admission::Fresh => {
                machine.tree.push((index, Arc::clone(text)))
            }
            Payload::Config(config) => machine.sessions.follow(config),
            _ => {}
        }
        if let (Admission::Refused, Some(session)) = (admission, entry.session) {
            let origin = self.members.get(&session.member).and_then(|machine| machine.raft.as_ref());
            let lives = origin.is_some_and(|raft| raft.boot() == session.boot && !raft.is_stopped());
            let is_member = self.members[&member].sessions.knows(session.member);
            assert!(!(lives && is_member), "m{member} drops {session:?}, whose caller waits");
        }
        events.push(Event::Applied(member, entry, admission));
    }

    /// Takes a snapshot of what a member has applied, and cuts its log: up to where, is returned.
    pub(crate) fn snapshot(&mut self, member: MemberId, is_full: bool, events: &mut Vec<Event>) -> LogIndex {
        let machine = self.machine(member);
        let Some(raft) = &machine.raft else { return LogIndex::default() };
        let snapshot = Snapshot {
            last: raft.applied(),
            config: raft.applied_config().clone(),
            time: raft.log_time(Timestamp::default()),
            tree: machine.tree.clone(),
            sessions: machine.sessions.clone(),
        };
        let last = snapshot.last;
        machine.disk.received.push(snapshot);
        self.step(member, Input::Saved(last), events);
        self.sync(member, usize::MAX, events);
        let upto = self.raft(member).releasable(is_full);
        self.machine(member).disk.release(upto);
        self.step(member, Input::Released(upto), events);
        upto
    }

    /// In how many terms somebody has led.
    pub(crate) fn count_leaders(&self) -> usize {
        self.leaders.len()
    }

    /// What the checks remember of what has happened.
    pub(crate) fn hash_history(&self, hasher: &mut impl Hasher) {
        (&self.leaders, &self.committed).hash(hasher);
    }

    /// Logs that share an entry share all before it.
    pub(crate) fn check_logs(&self) {
        let disks: Vec<&Disk> = self.members.values().map(|machine| &machine.disk).collect();
        for (place, one) in disks.iter().enumerate() {
            for other in &disks[..place] {
                assert!(
                    one.agrees_with(other),
                    "logs that share an entry differ before it: {one:?} {other:?}"
                );
            }
        }
    }

    /// What Raft promises, as far as it concerns this member, which had applied up to `before` a step ago.
    fn check(&mut self, member: MemberId, before: LogIndex) {
        let Some(raft) = &self.members[&member].raft else { return };
        if raft.role() != Role::Leader {
            return;
        }
        let term = raft.hard_state().term;
        let leader = *self.leaders.entry(term).or_insert(member);
        assert_eq!(leader, member, "two members lead in term {term}");
        let (config, applied) = (raft.config(), raft.applied());
        for half in [&config.voters, &config.outgoing].into_iter().filter(|half| !half.is_empty()) {
            let holders = half
                .iter()
                .filter(|voter| self.members.get(voter).is_some_and(|machine| machine.has_held(applied)));
            let count = holders.count();
            let is_held = applied.index == before || count * 2 > half.len();
            assert!(
                is_held,
                "m{member} has committed {applied:?}, which only {count} of {half:?} have had on disk"
            );
        }
        // Whoever is still led by an earlier term may lack what a newer one has committed.
        let newer = self.committed.range(raft.last().index.next()..).next();
        assert!(newer.is_none_or(|(_, (_, known))| *known > term), "m{member} leads without {newer:?}");
    }
}

impl Machine {
    /// All but the core.
    pub(crate) fn hash_rest(&self, hasher: &mut impl Hasher) {
        let Self { raft: _, disk, lost, pending, held, .. } = self;
        (disk, lost, pending, held).hash(hasher);
        let Self { is_quick, tree, sessions, applied, parts, .. } = self;
        (is_quick, tree, sessions, applied, parts).hash(hasher);
    }

    /// Whether an entry is on its disk, or was on the one that was lost.
    fn has_held(&self, id: EntryId) -> bool {
        self.disk.holds(id) || self.lost.as_ref().is_some_and(|lost| lost.holds(id))
    }

    fn load(&mut self, snapshot: &Snapshot) {
        self.tree.clone_from(&snapshot.tree);
        self.sessions.clone_from(&snapshot.sessions);
        self.applied = snapshot.last.index;
    }
}
