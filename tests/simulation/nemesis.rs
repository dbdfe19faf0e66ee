//! What goes wrong: each class of faults comes by itself, at its own pace.

use super::machine::Condition;
use super::network::Place;
use super::plan::{Fault, MS, SECOND};
use super::world::{Event, World};

impl World {
    /// A fault of a class comes, and the next one is on its way.
    pub(super) fn fault(&mut self, fault: Fault) {
        if self.is_calm {
            return;
        }
        let pause = 50 * MS + self.faults.exponential(self.plan.pace);
        self.after(pause, Event::Fault(fault));
        let made = match fault {
            Fault::Reset => self.reset_link(),
            Fault::Delay => self.slow_link(),
            Fault::Partition => self.partition(),
            Fault::Cut => self.cut_link(),
            Fault::Crash => self.crash(),
            Fault::PowerLoss => self.cut_power(),
            Fault::Blackout => self.black_out(),
            Fault::Pause => self.pause(),
            Fault::WallStep => self.step_wall(),
            Fault::FailedSync => self.fail_sync(),
            Fault::FullDisk => self.fill_disk(),
            Fault::Rot => self.rot(),
            Fault::DiskLoss => self.lose_disk(),
            // These come with each frame, sync or setting, and not by themselves.
            _ => return,
        };
        if made {
            *self.report.faults.entry(fault).or_default() += 1;
        }
    }

    /// A condition ends.
    pub(super) fn relieve(&mut self, place: Place, fault: Fault) {
        match fault {
            Fault::FullDisk => self.machines[place.0].disk.set_capacity(None),
            Fault::Partition | Fault::Cut => self.network.join(),
            _ => {}
        }
    }

    fn any_place(&mut self) -> Place {
        Place(self.faults.below(self.machines.len() as u64) as usize)
    }

    fn running_place(&mut self) -> Option<Place> {
        let place = self.any_place();
        self.machines[place.0].replica.is_some().then_some(place)
    }

    fn two_places(&mut self) -> Option<(Place, Place)> {
        let (one, other) = (self.any_place(), self.any_place());
        (one != other).then_some((one, other))
    }

    fn reset_link(&mut self) -> bool {
        let Some((one, other)) = self.two_places() else { return false };
        self.break_link(one, other);
        true
    }

    fn slow_link(&mut self) -> bool {
        let Some((one, other)) = self.two_places() else { return false };
        let by = if self.faults.one_in(2) { 0 } else { self.faults.exponential(200 * MS) };
        self.network.slow_down(one, other, by);
        true
    }

    /// Two groups that do not hear each other, for a while.
    fn partition(&mut self) -> bool {
        let sides: Vec<bool> = self.machines.iter().map(|_| self.faults.one_in(2)).collect();
        self.network.join();
        for (one, left) in sides.iter().enumerate() {
            for (other, right) in sides.iter().enumerate() {
                if left != right {
                    self.network.cut(Place(one), Place(other));
                }
            }
        }
        let lasts = self.faults.exponential(2 * SECOND);
        self.after(lasts, Event::Relief { place: Place(0), fault: Fault::Partition });
        true
    }

    /// Some links, in one direction or both: partial and chained graphs come of it.
    fn cut_link(&mut self) -> bool {
        for _ in 0..self.faults.between(1, 4) {
            let Some((one, other)) = self.two_places() else { continue };
            self.network.cut(one, other);
            if self.faults.one_in(2) {
                self.network.cut(other, one);
            }
        }
        let lasts = self.faults.exponential(2 * SECOND);
        self.after(lasts, Event::Relief { place: Place(0), fault: Fault::Cut });
        true
    }

    /// A process dies: now, between two of its outputs, or amid writing to its disk.
    fn crash(&mut self) -> bool {
        let Some(place) = self.running_place() else { return false };
        match self.faults.below(3) {
            0 => self.die(place, false),
            1 => self.machines[place.0].dies_after = Some(self.faults.below(6)),
            _ => {
                let operations = self.faults.below(12);
                self.machines[place.0].disk.stop_after(operations);
            }
        }
        true
    }

    fn cut_power(&mut self) -> bool {
        let Some(place) = self.running_place() else { return false };
        if self.faults.one_in(2) {
            self.machines[place.0].dies_after = Some(self.faults.below(6));
        } else {
            self.die(place, true);
        }
        true
    }

    fn black_out(&mut self) -> bool {
        self.coverage.reach("all machines lost power at once");
        for at in 0..self.machines.len() {
            if self.machines[at].replica.is_some() {
                self.die(Place(at), true);
            }
        }
        true
    }

    /// A process stands still; often the leader's.
    fn pause(&mut self) -> bool {
        let leader = self.leaders.values().next_back().and_then(|member| self.places.get(member)).copied();
        let place = match leader {
            Some(place) if self.faults.one_in(2) => place,
            _ => self.any_place(),
        };
        self.machines[place.0].paused_until = self.now + self.faults.exponential(SECOND);
        true
    }

    fn step_wall(&mut self) -> bool {
        let place = self.any_place();
        let by = self.faults.exponential(10_000) as i64;
        self.machines[place.0].wall_ms += if self.faults.one_in(2) { by } else { -by };
        true
    }

    fn fail_sync(&mut self) -> bool {
        let Some(place) = self.running_place() else { return false };
        let after = self.faults.below(4);
        self.machines[place.0].disk.fail_sync(after);
        true
    }

    fn fill_disk(&mut self) -> bool {
        let place = self.any_place();
        let disk = &self.machines[place.0].disk;
        disk.set_capacity(Some(disk.bytes() + self.faults.below(40 << 10)));
        let lasts = self.faults.exponential(2 * SECOND);
        self.after(lasts, Event::Relief { place, fault: Fault::FullDisk });
        true
    }

    /// A voter whose disk can be lost without anything being lost: nobody else's is, and no change is under way.
    fn expendable(&mut self) -> Option<Place> {
        let place = self.any_place();
        let member = self.machines[place.0].member();
        let configs: Vec<_> = self
            .machines
            .iter()
            .filter(|machine| !machine.stopped && machine.condition != Condition::Lost)
            .map(|machine| machine.replica.as_ref().map(|replica| replica.raft().config().clone()))
            .collect();
        // Whoever is down may know of a change that nobody else does.
        let known: Option<Vec<_>> = configs.into_iter().collect();
        let known = known?;
        let first = known.first()?;
        let settled = !first.is_joint() && known.iter().all(|config| config == first);
        let alone = self.machines.iter().all(|machine| {
            !first.contains(machine.member()) || machine.condition == Condition::Sound && !machine.stopped
        });
        let enough = first.voters.len() >= 3 && first.voters.contains(&member);
        (settled && alone && enough && self.admin.condemned.is_empty()).then_some(place)
    }

    /// A bit of what was durable flips, and the process is started anew.
    fn rot(&mut self) -> bool {
        let Some(place) = self.expendable() else { return false };
        self.die(place, false);
        let machine = &mut self.machines[place.0];
        // What was written last cannot be told from a torn write until it was vouched for, as opening does.
        let disk: std::sync::Arc<dyn spinney::internals::wal::Disk> =
            std::sync::Arc::new(machine.disk.clone());
        let vouched = spinney::internals::wal::Recovery::scan(disk)
            .and_then(|recovery| recovery.into_wal(machine.settings.wal))
            .map(drop);
        if vouched.is_err() {
            return false;
        }
        let names: Vec<String> = spinney::internals::wal::Disk::names(&machine.disk).unwrap_or_default();
        let Some(name) = (!names.is_empty()).then(|| self.faults.pick(&names).clone()) else { return false };
        let bits = machine.disk.content(&name).len() as u64 * 8;
        if bits == 0 {
            return false;
        }
        let bit = self.faults.below(bits) as usize;
        machine.disk.flip_bit(&name, bit);
        machine.condition = Condition::Rotten;
        true
    }

    /// A disk is gone, and with it its member.
    fn lose_disk(&mut self) -> bool {
        let Some(place) = self.expendable() else { return false };
        self.die(place, true);
        let machine = &mut self.machines[place.0];
        machine.condition = Condition::Lost;
        self.admin.condemned.insert(machine.member());
        true
    }
}
