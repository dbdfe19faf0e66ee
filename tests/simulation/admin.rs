//! Who the members are, and who leads: changed by an administrator who never sleeps.

use std::collections::{BTreeMap, BTreeSet};

use spinney::internals::entry::Config;
use spinney::internals::raft::{Change, Denied, Granted, Request, Stop};
use spinney::internals::replica::{Founding, Input};
use spinney::{LogIndex, MemberId, Term};

use super::machine::Condition;
use super::network::Place;
use super::plan::{Fault, MS, Plan, SECOND};
use super::random::Random;
use super::settings::contact;
use super::world::{Event, World};

/// No cluster gets more members than this.
const MEMBERS_MAX: usize = 7;

/// No world gets more machines than this.
const MACHINES_MAX: usize = 14;

/// What the administrator knows.
pub(super) struct Admin {
    random: Random,
    next_token: u64,
    /// What was asked for and not answered.
    asked: BTreeMap<u64, Request>,
    /// Who the members are, as the newest configuration says that was applied anywhere.
    config: Config,
    config_index: LogIndex,
    /// Members whose data is gone, until they are removed.
    pub(super) condemned: BTreeSet<MemberId>,
    /// The term whose leader has begun to hand over, and to whom.
    pub(super) handing_over: Option<(Term, MemberId)>,
}

impl Admin {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            random: Random::stream(plan.seed, "admin"),
            next_token: 1,
            asked: BTreeMap::new(),
            config: Config::default(),
            config_index: LogIndex::default(),
            condemned: BTreeSet::new(),
            handing_over: None,
        }
    }
}

impl World {
    /// The newest configuration that is known to be committed, and its position.
    pub(super) fn newest_config(&self) -> (LogIndex, &Config) {
        (self.admin.config_index, &self.admin.config)
    }

    /// The administrator does something: now and then several things in one breath.
    pub(super) fn administer(&mut self) {
        let is_busy = self.is_calm || self.plan.has(Fault::Membership) || self.plan.has(Fault::Transfer);
        let pause = 50 * MS + self.admin.random.exponential(if is_busy { 200 * MS } else { SECOND });
        self.after(pause, Event::Admin);
        let up: Vec<Place> =
            self.machines.iter().filter(|machine| machine.is_up()).map(|machine| machine.place).collect();
        if up.is_empty() {
            return;
        }
        let place = *self.admin.random.pick(&up);
        let is_hasty = self.plan.has(Fault::Membership) && !self.is_calm && self.admin.random.one_in(4);
        for _ in 0..if is_hasty { 4 } else { 1 } {
            self.ask_for_change(place);
        }
    }

    /// Asks a member for something.
    pub(super) fn ask_for_change(&mut self, place: Place) {
        let Some(request) = self.next_request(place) else { return };
        let token = self.admin.next_token;
        self.admin.next_token += 1;
        self.admin.asked.insert(token, request.clone());
        self.step(place, Input::Ask { token, request });
    }

    fn next_request(&mut self, place: Place) -> Option<Request> {
        let replica = self.machines[place.0].replica.as_ref()?;
        let (config, leader) = (replica.raft().config().clone(), replica.raft().leader());
        let one = |change| Some(Request::Change { changes: vec![change], expected: None });
        // Whoever has lost its disk goes first: until then whoever is left may be needed.
        let is_member =
            |member: &&MemberId| config.contains(**member) || self.admin.config.contains(**member);
        if let Some(lost) = self.admin.condemned.iter().find(is_member) {
            return one(Change::Remove(*lost));
        }
        // Nor may anybody go while somebody may be lost who was not given up yet: a vote may be missed.
        let is_sound =
            |member: MemberId| self.places.get(&member).is_none_or(|place| self.can_be_counted_on(*place));
        if self.is_calm || !self.admin.config.members().all(is_sound) {
            return None;
        }
        let voters: Vec<MemberId> = config.voters.iter().copied().collect();
        let learners: Vec<MemberId> = config.learners.iter().copied().collect();
        let random = &mut self.admin.random;
        if self.plan.has(Fault::Transfer) && random.one_in(3) && !voters.is_empty() {
            let to = (!random.one_in(3)).then(|| *random.pick(&voters));
            return Some(Request::Transfer(to));
        }
        // Without churn of its own, a cluster that has lost a disk still gets a new member for it.
        let is_short = (voters.len() as u64) < self.plan.founders;
        if !self.plan.has(Fault::Membership) && !is_short {
            return None;
        }
        // Whoever was added is to become a voter, most of all.
        if !learners.is_empty() && random.one_in(2) {
            return one(Change::Promote(*random.pick(&learners)));
        }
        match random.below(6) {
            0 | 1 if config.members().count() < MEMBERS_MAX && self.machines.len() < MACHINES_MAX => {
                let name =
                    contact(MemberId::new(1_000 + self.machines.len() as u64 * 100 + random.below(100)));
                one(Change::Add(name))
            }
            2 if !voters.is_empty() && self.plan.has(Fault::Membership) => {
                // Often the one that leads.
                let leader = leader.filter(|leader| voters.contains(leader) && random.one_in(2));
                one(Change::Remove(leader.unwrap_or(*random.pick(&voters))))
            }
            3 if !voters.is_empty() && self.plan.has(Fault::Membership) => {
                // Several at once: one leaves, and a learner takes its place.
                let mut changes = vec![Change::Demote(*random.pick(&voters))];
                changes.extend(learners.first().map(|learner| Change::Promote(*learner)));
                Some(Request::Change { changes, expected: None })
            }
            _ => None,
        }
    }

    /// What came of something that was asked for. What it has changed shows in the log.
    pub(super) fn told_admin(&mut self, token: u64, result: Result<Granted, Denied>) {
        let asked = self.admin.asked.remove(&token);
        if let (Some(_), Ok(Granted::Transfer { to })) = (asked, result) {
            self.expect_handover(to);
        }
    }

    /// A configuration was applied by somebody: new members are started, once it is known that they are some.
    pub(super) fn reconfigured(&mut self, index: LogIndex, config: &Config) {
        if index <= self.admin.config_index {
            return;
        }
        self.admin.config_index = index;
        let before = std::mem::replace(&mut self.admin.config, config.clone());
        if before.voters.is_empty() {
            return;
        }
        self.report.membership_changes += 1;
        for member in config.members().filter(|member| !before.contains(*member)) {
            self.coverage.reach("a learner was added");
            self.require(!self.places.contains_key(&member), || format!("the id {member} is used again"));
            self.add_machine(member, Founding::Joining);
        }
        for member in before.members() {
            if !before.is_voter(member) && config.is_voter(member) {
                self.coverage.reach("a learner was promoted");
            }
            if config.contains(member) {
                continue;
            }
            self.coverage.reach("a member was removed");
            if self.leaders.values().next_back() == Some(&member) {
                self.coverage.reach("a leader was removed");
            }
            if self.admin.condemned.remove(&member) {
                self.coverage.reach("a disk was lost and its member replaced");
            }
        }
    }

    /// A member takes no part any more.
    pub(super) fn stopped(&mut self, place: Place, stop: Stop) {
        let machine = &mut self.machines[place.0];
        let (member, condition) = (machine.member(), machine.condition);
        machine.stopped = true;
        match stop {
            Stop::Removed => {}
            Stop::LostData | Stop::Disowned => {
                let may_have_lost =
                    stop == Stop::Disowned || condition != Condition::Sound || machine.has_lost_disk;
                self.require(may_have_lost, || {
                    format!("{member} says that it has lost data, and its disk is sound")
                });
                if condition == Condition::PutBack {
                    self.coverage.reach("a disk that was put back was noticed");
                }
                self.machines[place.0].condition = Condition::Lost;
                self.admin.condemned.insert(member);
            }
        }
    }
}
