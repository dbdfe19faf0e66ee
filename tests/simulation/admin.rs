//! Who the members are, and who leads: changed by an administrator who never sleeps.

use std::collections::{BTreeMap, BTreeSet};

use spinney::internals::entry::EntryId;
use spinney::internals::raft::{Change, Denied, Granted, Request, Stop};
use spinney::internals::replica::{Founding, Input};
use spinney::{LogIndex, MemberId};

use super::machine::Condition;
use super::network::Place;
use super::plan::{Fault, MS, Plan, SECOND};
use super::random::Random;
use super::world::{Event, World, contact};

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
    /// What was granted and may not be committed: new members, who are started when it is.
    granted: Vec<(EntryId, Option<MemberId>, Vec<Change>)>,
    /// Members whose data is gone, until they are removed.
    pub(super) condemned: BTreeSet<MemberId>,
}

impl Admin {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            random: Random::stream(plan.seed, "admin"),
            next_token: 1,
            asked: BTreeMap::new(),
            granted: Vec::new(),
            condemned: BTreeSet::new(),
        }
    }
}

impl World {
    /// The administrator does something.
    pub(super) fn administer(&mut self) {
        let pause = 50 * MS + self.admin.random.exponential(if self.is_calm { 200 * MS } else { SECOND });
        self.after(pause, Event::Admin);
        self.welcome();
        let up: Vec<Place> =
            self.machines.iter().filter(|machine| machine.is_up()).map(|machine| machine.place).collect();
        if up.is_empty() {
            return;
        }
        let place = *self.admin.random.pick(&up);
        let Some(request) = self.next_request(place) else { return };
        let token = self.admin.next_token;
        self.admin.next_token += 1;
        self.admin.asked.insert(token, request.clone());
        self.step(place, Input::Ask { token, request });
    }

    fn next_request(&mut self, place: Place) -> Option<Request> {
        let replica = self.machines[place.0].replica.as_ref()?;
        let config = replica.raft().config().clone();
        let one = |change| Some(Request::Change { changes: vec![change], expected: None });
        // Whoever has lost its disk goes first: until then nobody else may be lost.
        if let Some(lost) = self.admin.condemned.iter().find(|member| config.contains(**member)) {
            return one(Change::Remove(*lost));
        }
        if self.is_calm {
            return None;
        }
        let voters: Vec<MemberId> = config.voters.iter().copied().collect();
        let learners: Vec<MemberId> = config.learners.iter().copied().collect();
        let random = &mut self.admin.random;
        if self.plan.has(Fault::Transfer) && random.one_in(3) && !voters.is_empty() {
            let to = (!random.one_in(3)).then(|| *random.pick(&voters));
            return Some(Request::Transfer(to));
        }
        let replaces = self.plan.has(Fault::Rot) || self.plan.has(Fault::DiskLoss);
        if !self.plan.has(Fault::Membership) && !(replaces && (voters.len() as u64) < self.plan.founders) {
            return None;
        }
        match random.below(6) {
            0 | 1 if config.members().count() < MEMBERS_MAX && self.machines.len() < MACHINES_MAX => {
                let name =
                    contact(MemberId::new(1_000 + self.machines.len() as u64 * 100 + random.below(100)));
                one(Change::Add(name))
            }
            2 if !voters.is_empty() && self.plan.has(Fault::Membership) => {
                one(Change::Remove(*random.pick(&voters)))
            }
            3 if !voters.is_empty() && self.plan.has(Fault::Membership) => {
                // Several at once: one leaves, and a learner takes its place.
                let mut changes = vec![Change::Demote(*random.pick(&voters))];
                changes.extend(learners.first().map(|learner| Change::Promote(*learner)));
                Some(Request::Change { changes, expected: None })
            }
            _ if !learners.is_empty() => one(Change::Promote(*random.pick(&learners))),
            _ => None,
        }
    }

    /// What came of something that was asked for.
    pub(super) fn told_admin(&mut self, token: u64, result: Result<Granted, Denied>) {
        let Some(request) = self.admin.asked.remove(&token) else { return };
        match (result, request) {
            (Ok(Granted::Change { entry, added }), Request::Change { changes, .. }) => {
                self.admin.granted.push((entry, added, changes));
            }
            (Ok(Granted::Transfer { .. }), _) => {
                self.report.transfers += 1;
                self.coverage.reach("leadership was handed over");
            }
            _ => {}
        }
    }

    /// New members whose configuration is committed are started; what did not come to be is forgotten.
    fn welcome(&mut self) {
        for (entry, added, changes) in std::mem::take(&mut self.admin.granted) {
            let Some(slot) = self.witness.slot(entry.index) else {
                self.admin.granted.push((entry, added, changes));
                continue;
            };
            if slot.id != entry {
                continue;
            }
            self.report.membership_changes += 1;
            for change in &changes {
                self.note_change(change, entry.index);
            }
            if let Some(member) = added {
                self.require(!self.places.contains_key(&member), || format!("the id {member} is used again"));
                self.add_machine(member, Founding::Joining);
            }
        }
    }

    fn note_change(&mut self, change: &Change, _: LogIndex) {
        match change {
            Change::Add(_) => self.coverage.reach("a learner was added"),
            Change::Promote(_) => self.coverage.reach("a learner was promoted"),
            Change::Remove(member) => {
                self.coverage.reach("a member was removed");
                let led = self.leaders.values().next_back() == Some(member);
                if led {
                    self.coverage.reach("a leader was removed");
                }
                if self.admin.condemned.remove(member) {
                    self.coverage.reach("a disk was lost and its member replaced");
                }
            }
            _ => {}
        }
    }

    /// A member takes no part any more.
    pub(super) fn stopped(&mut self, place: Place, stop: Stop) {
        let machine = &mut self.machines[place.0];
        let (member, condition) = (machine.member(), machine.condition);
        machine.stopped = true;
        self.forget_calls(place);
        match stop {
            Stop::Removed => {}
            Stop::LostData => {
                self.require(condition != Condition::Sound, || {
                    format!("{member} says that it has lost data, and its disk is sound")
                });
                self.machines[place.0].condition = Condition::Lost;
                self.admin.condemned.insert(member);
            }
        }
    }
}
