//! The world: machines, a network, clients, and one clock that jumps from event to event.

use std::collections::{BTreeMap, BTreeSet};

use spinney::internals::codec;
use spinney::internals::entry::{Config, Contact};
use spinney::internals::raft::{self, Envelope, Message};
use spinney::internals::replica::{
    Founding, HistoryLimits, Input, Job, OpenError, Output, Settings, SyncJob,
};
use spinney::internals::wal::{SimulatedDisk, WalSettings};
use spinney::{ClusterId, Identity, MemberId, Term, WalError};

use super::clients::Clients;
use super::coverage::Coverage;
use super::machine::{Condition, Machine};
use super::network::{Frame, Network, Place};
use super::plan::{Fault, MS, Plan, SECOND, Time};
use super::promises::Said;
use super::random::{Random, mix};
use super::report::Report;
use super::sights::Cue;
use super::witness::Witness;

/// The cluster of every world.
pub const CLUSTER: ClusterId = ClusterId::new(0x5eed);

/// How many events a world may take before it is called stuck.
const EVENTS_MAX: u64 = 5_000_000;

/// Something that happens.
pub(super) enum Event {
    /// A machine's clock ticks.
    Tick { place: Place, life: u64 },
    /// A frame arrives.
    Arrive(Frame),
    /// A sync ends that began when there had been so many writes.
    Sync { place: Place, life: u64, job: SyncJob, began: u64 },
    /// A job ends.
    Job { place: Place, life: u64, job: Job },
    /// A process is started.
    Start(Place),
    /// A process dies.
    Die { place: Place, life: u64, power: bool },
    /// A connection is noticed to be broken, or to stand again.
    Link { place: Place, life: u64, peer: Place, stands: bool },
    /// A client does what it does next.
    Client(usize),
    /// A client gives up waiting.
    GiveUp(u64),
    /// Watchers take what they were sent.
    Watch,
    /// A fault of a class comes.
    Fault(Fault),
    /// Nothing goes wrong for a while.
    Lull,
    /// Somebody changes who the members are.
    Admin,
    /// Whoever leads is asked to change them at once.
    Knock(Place),
    /// By now a disk that was put back has to be noticed, if the leader that knows better still leads.
    PutBack { place: Place, leader: Place, term: Term },
    /// By now the leader of this term has handed over, or given it up.
    HandedOver { place: Place, term: Term },
    /// A condition that was bad for a while ends.
    Relief { place: Place, fault: Fault },
}

/// Everything there is.
pub struct World {
    /// What was planned.
    pub plan: Plan,
    /// The time.
    pub now: Time,
    pub(super) events: BTreeMap<(Time, u64), Event>,
    /// How many events were scheduled so far: tells those of one moment apart.
    scheduled: u64,
    /// How many events have happened.
    pub happened: u64,
    pub(super) network: Network,
    pub(super) machines: Vec<Machine>,
    pub(super) places: BTreeMap<MemberId, Place>,
    pub(super) witness: Witness,
    pub(super) clients: Clients,
    pub(super) coverage: Coverage,
    pub(super) report: Report,
    pub(super) leaders: BTreeMap<Term, MemberId>,
    pub(super) said: Said,
    /// Draws what checks are made.
    pub(super) checks: Random,
    /// One commit in so many is checked on the disks.
    pub(super) check_every: u64,
    /// One message in so many, of those sent while a sync is under way, is the last before a loss of power.
    exposure: u64,
    pub(super) disks: Random,
    pub(super) faults: Random,
    pub(super) admin: super::admin::Admin,
    pub(super) settings: Settings,
    /// What disks held some time ago.
    pub(super) images: BTreeMap<Place, SimulatedDisk>,
    /// Of disks that were put back: who can tell, and in which term.
    pub(super) knowers: BTreeMap<Place, (Place, Term)>,
    /// No fault comes before this time.
    pub(super) lull_until: Time,
    /// Whether faults are over.
    pub(super) is_calm: bool,
    /// What members say to each other.
    pub(super) spoken: super::whole::Spoken,
    /// Whether something was promised to a leader in the present step.
    pub(super) has_promised: bool,
    trace: u64,
}

impl World {
    /// The world of `plan`, before anything happens.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let settings = settings_of(&plan);
        let founders: BTreeSet<MemberId> = (1..=plan.founders).map(MemberId::new).collect();
        let config = Config::founded_by(founders.iter().map(|member| (*member, contact(*member))));
        let mut world = Self {
            now: SECOND,
            events: BTreeMap::new(),
            scheduled: 0,
            happened: 0,
            network: Network::new(&plan),
            machines: Vec::new(),
            places: BTreeMap::new(),
            witness: Witness::default(),
            clients: Clients::new(&plan, value_bytes_max(&settings)),
            coverage: Coverage::default(),
            report: Report::default(),
            leaders: BTreeMap::new(),
            said: Said::default(),
            checks: Random::stream(plan.seed, "checks"),
            check_every: 8,
            exposure: [20, 100, 1_000][(plan.seed % 3) as usize],
            disks: Random::stream(plan.seed, "disks"),
            faults: Random::stream(plan.seed, "faults"),
            admin: super::admin::Admin::new(&plan),
            settings,
            images: BTreeMap::new(),
            knowers: BTreeMap::new(),
            lull_until: 0,
            is_calm: false,
            spoken: super::whole::Spoken::default(),
            has_promised: false,
            trace: mix(plan.seed),
            plan,
        };
        for member in founders {
            world.add_machine(member, Founding::Together(config.clone()));
        }
        world.schedule_all();
        world
    }

    fn schedule_all(&mut self) {
        for client in 0..self.plan.clients as usize {
            self.after(client as u64 * MS, Event::Client(client));
        }
        self.after(5 * MS, Event::Watch);
        self.after(SECOND, Event::Admin);
        for fault in self.plan.faults.0.clone().into_iter().filter(|fault| fault.comes_by_itself()) {
            let first = self.faults.exponential(self.plan.pace_of(fault));
            self.after(first, Event::Fault(fault));
        }
        let lull = SECOND + self.faults.exponential(2 * SECOND);
        self.after(lull, Event::Lull);
    }

    /// Adds a machine for `member`, whose process starts soon.
    pub(super) fn add_machine(&mut self, member: MemberId, founding: Founding) {
        let place = Place(self.machines.len());
        let identity = Identity { cluster: CLUSTER, member };
        let settings = settings_of_one(&self.settings, &self.plan, place);
        let mut machine = Machine::new(place, identity, founding, settings);
        if self.plan.has(Fault::Drift) {
            machine.speed = 1_000 + self.faults.between(0, 2 * self.plan.drift) - self.plan.drift;
        }
        machine.wall_ms = self.faults.below(200) as i64 - 100;
        self.machines.push(machine);
        self.places.insert(member, place);
        let soon = self.faults.below(50 * MS);
        self.after(soon, Event::Start(place));
    }

    pub(super) fn after(&mut self, delay: Time, event: Event) {
        self.scheduled += 1;
        self.events.insert((self.now + delay, self.scheduled), event);
    }

    /// Lets events happen up to the moment `until`.
    pub fn run_until(&mut self, until: Time) {
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((time, number), event) = entry.remove_entry();
            self.now = time.max(self.now);
            self.happened += 1;
            self.require(self.happened < EVENTS_MAX, || "there is no end of events".to_owned());
            self.note(time ^ number.rotate_left(32));
            self.happen(event);
        }
        self.now = self.now.max(until);
    }

    /// Mixes `what` into the trace: two runs of one seed have the same.
    pub(super) fn note(&mut self, what: u64) {
        self.trace = mix(self.trace ^ what);
    }

    /// The sum of all that happened.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// # Panics
    ///
    /// When `holds` is false, saying `why` and where.
    #[track_caller]
    pub(super) fn require(&self, holds: bool, why: impl FnOnce() -> String) {
        assert!(holds, "event {} at {} ms: {}", self.happened, self.now / MS, why());
    }

    /// # Panics
    ///
    /// When a checker says what is wrong.
    #[track_caller]
    pub(super) fn require_ok(&self, checked: Result<(), String>) {
        if let Err(what) = checked {
            self.require(false, || what);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Tick { place, life } => self.tick(place, life),
            Event::Arrive(frame) => self.arrive(frame),
            Event::Sync { place, life, job, began } => self.end_sync(place, life, job, began),
            Event::Job { place, life, job } => self.end_job(place, life, job),
            Event::Start(place) => self.start(place),
            Event::Die { place, life, power } => {
                if self.machines[place.0].life == life && self.machines[place.0].replica.is_some() {
                    self.die(place, power);
                }
            }
            Event::Link { place, life, peer, stands } => self.link(place, life, peer, stands),
            Event::Client(client) => self.client(client),
            Event::GiveUp(token) => self.give_up(token),
            Event::Watch => self.watch(),
            Event::Fault(fault) => self.fault(fault),
            Event::Lull => self.lull(),
            Event::Admin => self.administer(),
            Event::Knock(place) => self.ask_for_change(place),
            Event::PutBack { place, leader, term } => self.judge_old_disk(place, leader, term),
            Event::HandedOver { place, term } => self.judge_handover(place, term),
            Event::Relief { place, fault } => self.relieve(place, fault),
        }
    }

    /// Puts `event` off when the machine's process stands still; gives it back otherwise.
    fn unless_paused(&mut self, place: Place, event: Event) -> Option<Event> {
        let until = self.machines[place.0].paused_until;
        if until <= self.now {
            return Some(event);
        }
        self.after(until - self.now, event);
        None
    }

    fn is_life(&self, place: Place, life: u64) -> bool {
        let machine = &self.machines[place.0];
        machine.replica.is_some() && machine.life == life
    }

    fn tick(&mut self, place: Place, life: u64) {
        if !self.is_life(place, life) {
            return;
        }
        let Some(event) = self.unless_paused(place, Event::Tick { place, life }) else { return };
        let machine = &mut self.machines[place.0];
        let (tick, ticks) = (machine.tick(), 1 + std::mem::take(&mut machine.burst));
        self.after(tick, event);
        for _ in 0..ticks {
            if self.is_life(place, life) {
                self.machines[place.0].ticks += 1;
                self.step(place, Input::Tick);
            }
        }
    }

    fn arrive(&mut self, frame: Frame) {
        let place = frame.to;
        if self.machines[place.0].replica.is_none() {
            return;
        }
        let Some(Event::Arrive(frame)) = self.unless_paused(place, Event::Arrive(frame)) else { return };
        let machine = &mut self.machines[place.0];
        if frame.connection <= machine.deaf_until {
            return;
        }
        let newest = machine.newest.entry(frame.from).or_default();
        if (frame.life, frame.connection) < *newest {
            return self.coverage.reach("a frame of an older connection was dropped");
        }
        *newest = (frame.life, frame.connection);
        self.note(u64::from(crc32fast::hash(&frame.bytes)));
        let Some(envelope) = open_frame(&frame.bytes) else {
            // Whoever sends such bytes is not to be trusted with the next ones.
            self.coverage.reach("a corrupt frame was refused");
            return self.break_link(frame.from, place);
        };
        let (leader, term) = (frame.from, envelope.term);
        let is_word = is_word_of_leader(&envelope, self.plan.has(Fault::FullDisk));
        self.has_promised = false;
        self.step(place, Input::Receive(envelope));
        if is_word {
            self.note_heard(place, leader, term);
        }
    }

    fn end_sync(&mut self, place: Place, life: u64, job: SyncJob, began: u64) {
        if !self.is_life(place, life) {
            return;
        }
        let paused = self.unless_paused(place, Event::Sync { place, life, job, began });
        let Some(Event::Sync { job, .. }) = paused else { return };
        let mut told = Vec::new();
        let result =
            self.machines[place.0].disk.ending_sync(began, || job.run(|envelope| told.push(envelope)));
        for envelope in told {
            self.send(place, life, &envelope);
        }
        self.machines[place.0].sync_since = None;
        self.report.syncs += 1;
        self.step(place, Input::Synced(result));
    }

    fn end_job(&mut self, place: Place, life: u64, job: Job) {
        if !self.is_life(place, life) {
            return;
        }
        let Some(Event::Job { job, .. }) = self.unless_paused(place, Event::Job { place, life, job }) else {
            return;
        };
        if job.name() == "save a snapshot" {
            self.coverage.reach("a snapshot was saved");
            self.report.snapshots_saved += 1;
        }
        let done = job.run();
        self.step(place, Input::Done(done));
    }

    fn link(&mut self, place: Place, life: u64, peer: Place, stands: bool) {
        if !self.is_life(place, life) {
            return;
        }
        let event = Event::Link { place, life, peer, stands };
        if self.unless_paused(place, event).is_none() {
            return;
        }
        let member = self.machines[peer.0].member();
        if !stands {
            self.note_cut_off(place, member);
        }
        let input = if stands { Input::Connected(member) } else { Input::Disconnected(member) };
        self.step(place, input);
    }

    /// Starts a process on the machine's disk.
    pub(super) fn start(&mut self, place: Place) {
        let machine = &mut self.machines[place.0];
        if machine.replica.is_some() || machine.condition == Condition::Lost || machine.stopped {
            return;
        }
        let seed = self.disks.next();
        let had_torn = spinney::internals::wal::Recovery::scan(std::sync::Arc::new(machine.disk.clone()))
            .is_ok_and(|recovery| recovery.torn().is_some());
        match machine.start(seed) {
            Ok(()) => {}
            Err(OpenError::Log(error @ (WalError::NoSpace { .. } | WalError::Io { .. }))) => {
                machine.kill();
                if matches!(error, WalError::NoSpace { .. }) {
                    self.coverage.reach("a process could not start on a full disk");
                }
                return self.after(SECOND, Event::Start(place));
            }
            // Whatever is wrong with it: what matters is that it is not taken for what it was.
            Err(OpenError::Log(_)) if machine.condition == Condition::Rotten => {
                machine.condition = Condition::Lost;
                self.admin.condemned.insert(machine.member());
                return self.coverage.reach("damage was refused");
            }
            Err(error) => {
                let member = machine.member();
                return self.require(false, || format!("{member} cannot be opened: {error:?}"));
            }
        }
        self.check_kept(place);
        if had_torn {
            self.coverage.reach("a torn write was cut");
        }
        let machine = &mut self.machines[place.0];
        if machine.condition == Condition::Rotten {
            machine.condition = Condition::Sound;
        }
        let (life, tick) = (machine.life, machine.tick());
        self.after(tick, Event::Tick { place, life });
        self.open_links(place);
        self.machines[place.0].ticks += 1;
        self.step(place, Input::Tick);
    }

    /// Peers and the new process find each other.
    fn open_links(&mut self, place: Place) {
        let peers: Vec<(Place, u64)> = self
            .machines
            .iter()
            .filter(|peer| peer.place != place && peer.replica.is_some())
            .map(|peer| (peer.place, peer.life))
            .collect();
        let life = self.machines[place.0].life;
        for (peer, peer_life) in peers {
            let delay = self.faults.below(20 * MS);
            self.after(delay, Event::Link { place, life, peer, stands: true });
            self.after(delay, Event::Link { place: peer, life: peer_life, peer: place, stands: true });
        }
    }

    /// Breaks the connection between two machines; both notice, and connect again.
    pub(super) fn break_link(&mut self, one: Place, other: Place) {
        self.network.reset(one, other);
        for (place, peer) in [(one, other), (other, one)] {
            let life = self.machines[place.0].life;
            let noticed = self.faults.below(2 * MS);
            self.after(noticed, Event::Link { place, life, peer, stands: false });
            let again = noticed + MS + self.faults.below(50 * MS);
            self.after(again, Event::Link { place, life, peer, stands: true });
        }
    }

    /// Ends a process.
    pub(super) fn die(&mut self, place: Place, power: bool) {
        let seed = self.disks.next();
        self.forget_calls(place);
        let machine = &mut self.machines[place.0];
        if power {
            machine.lose_power(seed);
        } else {
            machine.kill();
        }
        machine.deaf_until = self.network.connections_made();
        self.forget_knowers(place);
        self.report.crashes += 1;
        let peers: Vec<(Place, u64)> = self
            .machines
            .iter()
            .filter(|peer| peer.place != place)
            .map(|peer| (peer.place, peer.life))
            .collect();
        for (peer, life) in peers {
            self.network.reset(place, peer);
            // A process that is killed closes its connections; a machine without power says nothing.
            if !power {
                let noticed = self.faults.below(2 * MS);
                self.after(noticed, Event::Link { place: peer, life, peer: place, stands: false });
            }
        }
        // Sometimes it is back before anybody has missed it.
        let rest = match self.is_calm {
            true => MS,
            false if self.faults.one_in(3) => self.faults.below(20 * MS),
            false => 5 * MS + self.faults.exponential(800 * MS),
        };
        self.after(rest, Event::Start(place));
    }

    /// Gives a process an input, and carries out what it asks for.
    pub(super) fn step(&mut self, place: Place, input: Input) {
        let now = self.now;
        let machine = &mut self.machines[place.0];
        let moment = machine.moment(now);
        let Some(replica) = &mut machine.replica else { return };
        let cue = Cue::of(&input);
        let mut outputs = Vec::new();
        replica.step(moment, input, &mut outputs);
        replica.flush(moment, &mut outputs);
        if machine.disk.has_stopped() {
            // It died at some point in there; nobody heard of what came after it.
            return self.die(place, false);
        }
        self.watch_step(place, cue, &outputs);
        self.expose(place, &outputs);
        for output in outputs {
            if let Some(left) = &mut self.machines[place.0].dies_after {
                if *left == 0 {
                    let power = self.faults.one_in(2) && self.plan.has(Fault::PowerLoss);
                    return self.die(place, power);
                }
                *left -= 1;
            }
            self.carry_out(place, cue, output);
            if self.machines[place.0].replica.is_none() {
                return;
            }
        }
        self.check(place);
        self.forget_knowers(place);
    }

    /// The moment at which most can be lost: something was said, and what it relies on is on its way to the disk. Above
    /// all a vote.
    fn expose(&mut self, place: Place, outputs: &[Output]) {
        if !self.plan.has(Fault::PowerLoss) || self.is_calm || self.machines[place.0].sync_since.is_none() {
            return;
        }
        let sent = || {
            outputs
                .iter()
                .filter_map(|output| if let Output::Send(sent) = output { Some(sent) } else { None })
        };
        let vote = sent().find(|sent| matches!(sent.message, Message::VoteAnswer { granted: true, .. }));
        let vote = vote.filter(|_| self.plan.has(Fault::Upheaval));
        let odds = if vote.is_some() { 2 } else { self.exposure };
        if sent().next().is_none() || !self.faults.one_in(odds) {
            return;
        }
        let count = outputs.len() as u64;
        self.machines[place.0].dies_after =
            Some(if vote.is_some() { count } else { self.faults.below(count + 2) });
        if let Some(candidate) = vote.and_then(|vote| self.places.get(&vote.to)) {
            self.forsake(*candidate);
        }
    }

    fn carry_out(&mut self, place: Place, cue: Cue, output: Output) {
        let life = self.machines[place.0].life;
        match output {
            Output::Send(envelope) => {
                self.check_answer(place, &envelope.message);
                let is_request = matches!(envelope.message, Message::SnapshotRequest { offset: 1.., .. });
                if is_request && matches!(cue, Cue::Offer(_)) {
                    self.coverage.reach("a snapshot went on where it was");
                }
                self.send(place, life, &envelope);
            }
            Output::Sync(job) => {
                let began = self.machines[place.0].disk.writes();
                self.machines[place.0].sync_since = Some(self.machines[place.0].ticks);
                let is_slow =
                    !self.is_calm && self.plan.has(Fault::SlowSync) && self.disks.chance(self.plan.slow_sync);
                let usual = if self.is_calm { self.plan.sync.min(2 * MS) } else { self.plan.sync };
                let takes = if is_slow { 2 * SECOND } else { usual };
                let delay = 10 + self.disks.exponential(takes);
                self.after(delay, Event::Sync { place, life, job, began });
            }
            Output::Run(job) => {
                let takes = if self.is_calm { self.plan.job.min(20 * MS) } else { self.plan.job };
                let delay = 10 + self.disks.exponential(takes);
                self.after(delay, Event::Job { place, life, job });
            }
            Output::Answer { token, answer } => self.answered(place, token, answer),
            Output::Applied(entries) => {
                let replica = self.machines[place.0].replica.as_ref();
                let term = replica.map(|replica| replica.raft().hard_state().term).unwrap_or_default();
                for entry in &entries {
                    let noted = self.witness.applied(entry, term);
                    let member = self.machines[place.0].member();
                    self.require_ok(noted.map_err(|what| format!("{member}: {what}")));
                }
                self.applied(&entries);
            }
            Output::Installed(_) => {
                self.report.snapshots_installed += 1;
                self.coverage.reach("a snapshot was installed");
            }
            Output::Saved(_) => {}
            Output::Stopped(stop) => self.stopped(place, stop),
            Output::Failed(_) => {
                self.coverage.reach("a sync failed and its member was opened again");
                let delay = self.disks.below(MS);
                self.after(delay, Event::Die { place, life, power: false });
            }
            Output::Fault { member, what } => {
                let by = self.machines[place.0].member();
                self.require(false, || format!("{by} finds that {member} says what it cannot say: {what}"));
            }
        }
    }

    fn send(&mut self, from: Place, life: u64, envelope: &Envelope) {
        let Some(&to) = self.places.get(&envelope.to) else { return };
        self.report.messages += 1;
        self.spoken.note(&envelope.message);
        self.check_said(from, envelope);
        for (time, frame) in self.network.send(self.now, from, to, life, frame_of(envelope)) {
            let delay = time - self.now;
            self.after(delay, Event::Arrive(frame));
        }
    }
}

/// A message as it is on the wire: its encoding, and a checksum.
fn frame_of(envelope: &Envelope) -> Vec<u8> {
    let mut bytes = codec::encode(envelope);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// What a frame holds; `None` if it was corrupted.
pub(super) fn open_frame(bytes: &[u8]) -> Option<Envelope> {
    let (content, crc) = bytes.split_last_chunk::<4>()?;
    (crc32fast::hash(content) == u32::from_le_bytes(*crc)).then(|| codec::decode(content).ok()).flatten()
}

/// Whether this is word from a leader, that the member that it is for takes in any case: of entries there may be too many for
/// a disk that `may_be_full`.
fn is_word_of_leader(envelope: &Envelope, may_be_full: bool) -> bool {
    match &envelope.message {
        Message::Append { entries, .. } => entries.is_empty() || !may_be_full,
        Message::SnapshotOffer { .. } => true,
        _ => false,
    }
}

/// How a member is called and reached.
#[must_use]
pub fn contact(member: MemberId) -> Contact {
    Contact { name: format!("m{member}"), peer_addresses: vec![format!("p{member}")], ..Contact::default() }
}

/// How one replica is set: not all promise the same, so no leader may count on what it would promise itself.
fn settings_of_one(all: &Settings, plan: &Plan, place: Place) -> Settings {
    let mut random = Random::stream(plan.seed, &format!("settings of {}", place.0));
    let mut settings = all.clone();
    if settings.raft.lease.is_some() {
        match random.below(4) {
            0 => settings.raft.lease = None,
            1 => {
                settings.raft.election_ticks_min *= 2;
                settings.raft.election_ticks_max *= 2;
            }
            _ => {}
        }
    }
    settings
}

/// How all replicas of a plan are set.
fn settings_of(plan: &Plan) -> Settings {
    let mut random = Random::stream(plan.seed, "settings");
    let ends = plan.has(Fault::Degenerate);
    // Leases count on clocks whose speeds differ by no more than this: here by a tenth at the very most.
    let lease = random.one_in(3).then_some(raft::Lease { tick_ms: 10, drift_percent: 15 });
    let mut pick = |choices: &[u64], usual: u64| {
        let drawn = *random.pick(choices);
        if ends { drawn } else { usual }
    };
    let raft = raft::Settings {
        heartbeat_ticks: 5,
        election_ticks_min: pick(&[10, 30, 100], 30) as u32,
        election_ticks_max: 0,
        message_bytes: pick(&[1, 200, 2_000, 8_000], 4_000),
        inflight_messages: pick(&[1, 2, 64], 8) as usize,
        inflight_bytes: pick(&[1, 1_000, 100_000], 100_000),
        uncommitted_bytes: pick(&[1_000, 100_000], 1 << 20),
        cache_bytes: pick(&[0, 500, 100_000], 20_000),
        reads: pick(&[1, 4, 100], 100) as usize,
        chunk_bytes: pick(&[64, 500, 10_000], 4_000),
        ..raft::Settings::default()
    };
    let raft = raft::Settings { election_ticks_max: raft.election_ticks_min * 2, lease, ..raft };
    let short = plan.has(Fault::Compaction);
    Settings {
        raft,
        wal: WalSettings { segment_bytes: 16 << 10, salt_seed: plan.seed },
        history: HistoryLimits {
            changes: pick(&[0, 3, 30, 1_000], 100) as usize,
            ..HistoryLimits::default()
        },
        log_bytes: if short { 16 << 10 } else { 256 << 10 },
        log_entries: if short { pick(&[3, 20, 100], 50) } else { 10_000 },
    }
}

/// How long a value may be so that any entry fits into a segment.
fn value_bytes_max(settings: &Settings) -> usize {
    settings.wal.segment_bytes as usize / 8
}
