//! Founders with empty disks: in the beginning, and when they have lost what they had.

use spinney::internals::raft::Testimony;
use spinney::internals::replica::{Founding, Input};
use spinney::{MemberId, Term};

use super::invariants::Image;
use super::machine::{Condition, Kept};
use super::network::Place;
use super::plan::{MS, Time};
use super::world::{Event, World};

/// How long a founder waits before it asks again.
const PAUSE: Time = 30 * MS;

/// What became of a question.
enum Told {
    Testimony(Testimony),
    /// It may come back as a new member only.
    Refused,
    Nothing,
    /// Nobody will ever answer.
    Lost,
}

impl World {
    /// Whether the member of a machine may begin anew on an empty disk: when it is one of several founders, and each other one
    /// has entries, so that none takes this for the beginning. One that founded alone would begin another cluster.
    pub(super) fn may_come_back(&self, place: Place) -> bool {
        let Founding::InDoubt(founders) = &self.machines[place.0].founding else { return false };
        let member = self.machines[place.0].member();
        let has_entries = |founder: MemberId| {
            let machine = &self.machines[self.places[&founder].0];
            machine.condition == Condition::Sound
                && Image::read(&machine.disk.durable()).is_ok_and(|image| image.last().get() > 0)
        };
        !founders.is_alone(member)
            && founders.members().all(|founder| founder == member || has_entries(founder))
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

    /// A founder that is in doubt asks whoever has not answered.
    pub(super) fn inquire(&mut self, place: Place, life: u64) {
        if !self.is_life(place, life) {
            return;
        }
        let Some(event) = self.unless_paused(place, Event::Inquire { place, life }) else { return };
        let silent: Vec<MemberId> =
            self.machines[place.0].inquiry.iter().flat_map(|inquiry| inquiry.silent()).collect();
        for witness in silent {
            let told = self.told_by(self.places[&witness], place);
            let Some(inquiry) = &mut self.machines[place.0].inquiry else { return };
            match told {
                Told::Testimony(testimony) => inquiry.answered(witness, testimony),
                Told::Nothing => inquiry.did_not_answer(witness),
                Told::Refused => {
                    self.machines[place.0].inquiry = None;
                    self.coverage
                        .reach("a founder that had lost its disk was told that it may not come back");
                    return self.step(place, Input::Forgotten);
                }
                Told::Lost => return self.give_up_disk(place),
            }
        }
        let Some(inquiry) = &self.machines[place.0].inquiry else { return };
        let Some(testimony) = inquiry.verdict() else { return self.after(PAUSE, event) };
        let machine = &mut self.machines[place.0];
        machine.inquiry = None;
        if testimony.term > Term::new(1) || testimony.last.index.get() > 0 {
            // What it may have promised holds for so long.
            machine.quiet = machine.ticks + u64::from(machine.settings.raft.election_ticks_min);
        }
        if testimony.last.index.get() > 0 {
            self.coverage.reach("a founder came back on an empty disk");
        }
        self.step(place, Input::OutOfDoubt(testimony));
    }

    /// What `witness` says to the founder at `place`, if it can be reached; more often than not.
    fn told_by(&mut self, witness: Place, place: Place) -> Told {
        let founder = self.machines[place.0].member();
        let is_cut = self.network.is_cut(witness, place) || self.network.is_cut(place, witness);
        let machine = &self.machines[witness.0];
        if machine.condition == Condition::Lost || machine.stopped {
            return Told::Lost;
        }
        let Some(replica) = machine.replica.as_ref().filter(|_| machine.paused_until <= self.now && !is_cut)
        else {
            return Told::Nothing;
        };
        let told = replica.raft().testimony_for(founder).filter(|_| !replica.has_lived(founder));
        if self.faults.one_in(4) {
            return Told::Nothing;
        }
        told.map_or(Told::Refused, Told::Testimony)
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
