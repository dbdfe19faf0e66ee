//! The world: machines, a network, clients, and one clock that jumps from event to event.

use std::collections::{BTreeMap, BTreeSet};

use spinney::internals::entry::Config;
use spinney::internals::replica::{Founding, Job, Settings, SyncJob};
use spinney::internals::wal::SimulatedDisk;
use spinney::{ClusterId, MemberId, Term};

use super::clients::Clients;
use super::coverage::Coverage;
use super::machine::Machine;
use super::network::{Frame, Network, Place};
use super::plan::{Fault, MS, Plan, SECOND, Time};
use super::promises::Said;
use super::random::{Random, mix};
use super::report::Report;
use super::settings;
use super::witness::Witness;

/// The cluster of every world.
pub const CLUSTER: ClusterId = ClusterId::new(0x5eed);

/// How many events a world may take before it is called stuck.
const EVENTS_MAX: u64 = 5_000_000;

/// How many frames may be under way at once before members are said to talk each other to death: answers that beget answers.
const FRAMES_MAX: u64 = 50_000;

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
    /// A founder that is in doubt asks the others how far they are.
    Inquire { place: Place, life: u64 },
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
    /// How many frames are under way.
    under_way: u64,
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
    pub(super) exposure: u64,
    pub(super) disks: Random,
    pub(super) faults: Random,
    pub(super) admin: super::admin::Admin,
    pub(super) settings: Settings,
    /// Pairs whose connection is broken, and until when.
    pub(super) broken: BTreeMap<(Place, Place), Time>,
    /// What disks held some time ago.
    pub(super) images: BTreeMap<Place, SimulatedDisk>,
    /// Of disks that were put back: who can tell, and in which term.
    pub(super) knowers: BTreeMap<Place, (Place, Term)>,
    /// No fault comes before this time.
    pub(super) lull_until: Time,
    /// Whether faults are over.
    pub(super) is_calm: bool,
    /// Jobs that were begun before may take until then.
    pub(super) slow_jobs_until: Time,
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
        let settings = settings::of(&plan);
        let founders: BTreeSet<MemberId> = (1..=plan.founders).map(MemberId::new).collect();
        let config = Config::founded_by(founders.iter().map(|member| (*member, settings::contact(*member))));
        let mut world = Self {
            now: SECOND,
            events: BTreeMap::new(),
            scheduled: 0,
            under_way: 0,
            happened: 0,
            network: Network::new(&plan),
            machines: Vec::new(),
            places: BTreeMap::new(),
            witness: Witness::default(),
            clients: Clients::new(&plan, settings::value_bytes_max(&settings)),
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
            broken: BTreeMap::new(),
            images: BTreeMap::new(),
            knowers: BTreeMap::new(),
            lull_until: 0,
            is_calm: false,
            slow_jobs_until: 0,
            spoken: super::whole::Spoken::default(),
            has_promised: false,
            trace: mix(plan.seed),
            plan,
        };
        for member in founders {
            world.add_machine(member, Founding::InDoubt(config.clone()));
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

    pub(super) fn after(&mut self, delay: Time, event: Event) {
        self.scheduled += 1;
        if let Event::Arrive(_) = event {
            self.under_way += 1;
            self.report.under_way_max = self.report.under_way_max.max(self.under_way);
            self.require(self.under_way < FRAMES_MAX, || "a storm of messages".to_owned());
        }
        self.events.insert((self.now + delay, self.scheduled), event);
    }

    /// Lets events happen up to the moment `until`.
    pub fn run_until(&mut self, until: Time) {
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((time, number), event) = entry.remove_entry();
            self.now = time.max(self.now);
            self.happened += 1;
            if let Event::Arrive(_) = event {
                self.under_way -= 1;
            }
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
            Event::Inquire { place, life } => self.inquire(place, life),
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
}
