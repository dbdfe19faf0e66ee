//! Founders with empty disks: in the beginning, and when they have lost what they had.

use std::collections::BTreeMap;

use spinney::internals::entry::{EntryId, HardState};
use spinney::internals::raft::Witness;
use spinney::internals::replica::{Founding, Input, Replica};
use spinney::internals::wal::SimulatedDisk;
use spinney::{LogIndex, MemberId, Term};

use super::invariants::Image;
use super::machine::{Condition, Kept};
use super::network::Place;
use super::plan::{MS, Time};
use super::world::{Event, World};

/// How long a founder waits before it asks again.
const PAUSE: Time = 30 * MS;

/// Whether whoever starts with this disk knows that it is not the beginning.
fn knows_more_than_the_beginning(disk: &SimulatedDisk) -> bool {
    let HardState { term, floor, .. } = Kept::on(disk).hard_state;
    let has_entries = Image::read(disk).is_ok_and(|image| image.last() > LogIndex::default());
    has_entries || floor.last != EntryId::default() || term.max(floor.term) > Term::new(1)
}

impl World {
    /// Whether the member of a machine may begin anew on an empty disk: when it is one of several founders, and with it those that
    /// know of nothing but the beginning are no majority, that could take this for it. One that founded alone would begin another
    /// cluster.
    pub(super) fn may_come_back(&self, place: Place) -> bool {
        let Founding::InDoubt(founders) = &self.machines[place.0].founding else { return false };
        let member = self.machines[place.0].member();
        let others = || founders.members().filter(|founder| *founder != member);
        let knows_more = |founder: &MemberId| {
            let machine = &self.machines[self.places[founder].0];
            matches!(machine.condition, Condition::Sound | Condition::Doubtful)
                && knows_more_than_the_beginning(&machine.disk.durable())
        };
        let know_no_more = 1 + others().filter(|founder| !knows_more(founder)).count();
        others().next().is_some() && know_no_more <= founders.members().count() / 2
    }

    /// A machine loses power, and when it comes back it has an empty disk. What it has sent is still on its way.
    pub(super) fn empty_disk(&mut self, place: Place) {
        if self.machines[place.0].replica.is_some() {
            self.die(place, true);
        }
        self.images.remove(&place);
        self.forget_own_votes(self.machines[place.0].member());
        self.machines[place.0].lose_disk();
    }

    /// A founder that is in doubt asks the others.
    pub(super) fn inquire(&mut self, place: Place, life: u64) {
        if !self.is_life(place, life) {
            return;
        }
        let Some(event) = self.unless_paused(place, Event::Inquire { place, life }) else { return };
        let Some(replica) = &self.machines[place.0].replica else { return };
        let mut answers = BTreeMap::new();
        for founder in replica.raft().witnesses() {
            let Some(heard) = self.told_by(self.places[&founder], place) else {
                return self.give_up_disk(place);
            };
            if heard == Witness::Disowned {
                self.coverage.reach("a founder that had lost its disk was told that it may not come back");
            }
            answers.insert(founder, heard);
        }
        self.step(place, Input::Heard(answers));
        if !self.is_life(place, life) {
            return;
        }
        let machine = &mut self.machines[place.0];
        let Some(raft) = machine.replica.as_ref().map(Replica::raft) else { return };
        let (term, floor) = (raft.hard_state().term, raft.hard_state().floor);
        if term == Term::default() {
            return self.after(PAUSE, event);
        }
        if term > Term::new(1) || floor.last.index.get() > 0 {
            // What it may have promised holds for so long.
            machine.quiet = machine.ticks + u64::from(machine.settings.raft.election_ticks_min);
        }
        if floor.last.index.get() > 0 {
            self.coverage.reach("a founder came back on an empty disk");
        }
    }

    /// What `witness` says to the founder at `place`, if it can be reached; more often than not. `None` when nobody will ever
    /// answer.
    fn told_by(&mut self, witness: Place, place: Place) -> Option<Witness> {
        let founder = self.machines[place.0].member();
        let is_cut = self.network.is_cut(witness, place) || self.network.is_cut(place, witness);
        let machine = &self.machines[witness.0];
        if machine.condition == Condition::Lost || machine.stopped {
            return None;
        }
        let Some(replica) = machine.replica.as_ref().filter(|_| machine.paused_until <= self.now && !is_cut)
        else {
            return Some(Witness::Unreachable);
        };
        let told = match replica.has_lived(founder) {
            true => Witness::Disowned,
            false => replica.raft().testimony_for_founder(),
        };
        if self.faults.one_in(4) {
            return Some(if self.faults.one_in(2) { Witness::Silent } else { Witness::Unreachable });
        }
        Some(told)
    }

    /// A disk that was doubtful is like any other from when its member takes part and has all that it may have had.
    pub(super) fn trust(&mut self, place: Place) {
        let machine = &mut self.machines[place.0];
        let Some(replica) = &machine.replica else { return };
        let raft = replica.raft();
        if machine.condition == Condition::Doubtful
            && !raft.is_in_doubt()
            && raft.last() == raft.testimony().last
            && Kept::on(&machine.disk.durable()).hard_state.term > Term::default()
        {
            machine.condition = Condition::Sound;
        }
    }
}
