//! Whoever leads is hit at the worst moments.
//!
//! What goes wrong with a consensus protocol mostly takes two leaders in short succession, and something that the first
//! left half done: an entry that few have, a change of the members that it alone knows of, a vote that was given and not
//! kept. These moments last for milliseconds, and chance alone rarely finds them. Here they are sought out.

use super::network::Place;
use super::plan::{Fault, MS, SECOND};
use super::world::{Event, World};

impl World {
    /// Somebody has taken office, or begun a change.
    pub(super) fn upheave(&mut self, place: Place) {
        if self.is_calm || !self.plan.has(Fault::Upheaval) || self.faults.one_in(3) {
            return;
        }
        *self.report.faults.entry(Fault::Upheaval).or_default() += 1;
        match self.faults.below(6) {
            0 => self.machines[place.0].dies_after = Some(self.faults.below(8)),
            1 => {
                let life = self.machines[place.0].life;
                let power = self.plan.has(Fault::PowerLoss) && self.faults.one_in(2);
                let soon = self.faults.exponential(20 * MS);
                self.after(soon, Event::Die { place, life, power });
            }
            2 => self.isolate(place, true),
            3 => self.isolate(place, false),
            4 => self.muffle(place),
            _ => {
                self.isolate(place, true);
                let until = self.now + self.faults.exponential(600 * MS);
                self.machines[place.0].pause(until);
            }
        }
    }

    /// Power was lost just as this machine was told something that counts: often it is out of reach, too, so that
    /// others go on without it.
    pub(super) fn forsake(&mut self, place: Place) {
        if self.faults.one_in(2) {
            self.isolate(place, false);
        }
    }

    /// Nobody hears a machine, and it hears nobody, for a while; now and then somebody is cut off with it. When it
    /// `breaks`, the connections are closed, and all know at once.
    fn isolate(&mut self, place: Place, breaks: bool) {
        self.coverage.reach("a leader was cut off as it took office or began a change");
        let companion = self.faults.one_in(3).then(|| self.any_place());
        let others = self.others(place).into_iter().filter(|other| Some(*other) != companion);
        for other in others {
            for one in [Some(place), companion].into_iter().flatten() {
                self.network.cut(one, other);
                self.network.cut(other, one);
                if breaks {
                    self.break_link(one, other);
                }
            }
        }
        let lasts = 100 * MS + self.faults.exponential(SECOND);
        self.after(lasts, Event::Relief { place, fault: Fault::Upheaval });
    }

    /// Nobody hears a machine, and what others say comes to it late.
    fn muffle(&mut self, place: Place) {
        let late = self.faults.between(50, 600) * MS;
        for other in self.others(place) {
            self.network.cut(place, other);
            self.network.slow_down(other, place, late);
        }
        let lasts = 100 * MS + self.faults.exponential(SECOND);
        self.after(lasts, Event::Relief { place, fault: Fault::Upheaval });
    }

    /// The others hear it again.
    pub(super) fn settle_down(&mut self, place: Place) {
        self.network.join();
        for other in self.others(place) {
            self.network.slow_down(other, place, 0);
        }
    }

    fn others(&self, place: Place) -> Vec<Place> {
        self.machines.iter().map(|machine| machine.place).filter(|other| *other != place).collect()
    }
}
