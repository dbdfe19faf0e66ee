//! What goes wrong: each class of faults comes by itself, at its own pace.

use spinney::internals::raft::Role;
use spinney::{LogIndex, MemberId, Term};

use super::invariants::Image;
use super::machine::Condition;
use super::network::Place;
use super::plan::{Fault, MS, SECOND, Time};
use super::world::{Event, World};

/// What a disk writes as one.
const SECTOR_BYTES: usize = 512;

/// The segment that is written to, and those that are ready to follow it.
const SEGMENTS_IN_USE: usize = 3;

/// For so long a member whose disk was put back hears nobody but the leader that knows it.
const NOTICED_MAX: Time = 5 * SECOND;

impl World {
    /// A fault of a class comes, and the next one is on its way.
    pub(super) fn fault(&mut self, fault: Fault) {
        if self.is_calm {
            return;
        }
        let pause = 50 * MS + self.faults.exponential(self.plan.pace_of(fault));
        self.after(pause, Event::Fault(fault));
        if self.now < self.lull_until {
            return;
        }
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
            Fault::Misdirection => self.misdirect(),
            Fault::OldDisk => self.put_disk_back(),
            Fault::Burst => self.burst(),
            Fault::DiskLoss => self.lose_disk(),
            _ => return,
        };
        if made {
            *self.report.faults.entry(fault).or_default() += 1;
        }
    }

    /// Nothing goes wrong for a while: what was begun can come to its end, and those who are behind can catch up.
    pub(super) fn lull(&mut self) {
        if self.is_calm {
            return;
        }
        let (lasts, rest) =
            (SECOND + self.faults.exponential(SECOND), 2 * SECOND + self.faults.exponential(2 * SECOND));
        self.lull_until = self.now + lasts;
        self.network.join();
        self.after(lasts + rest, Event::Lull);
    }

    /// A condition ends.
    pub(super) fn relieve(&mut self, place: Place, fault: Fault) {
        match fault {
            Fault::FullDisk => self.machines[place.0].set_capacity(None),
            Fault::Partition | Fault::Cut => self.network.join(),
            Fault::Upheaval => self.settle_down(place),
            _ => {}
        }
    }

    pub(super) fn any_place(&mut self) -> Place {
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

    /// Two groups that do not hear each other, for a while; or a chain, in which each hears its neighbours only.
    fn partition(&mut self) -> bool {
        let is_chain = self.faults.one_in(4);
        let sides: Vec<u64> = self.machines.iter().map(|_| self.faults.below(2)).collect();
        let ends: Vec<u64> = self.machines.iter().map(|_| self.faults.next()).collect();
        let rank = |place: usize| ends.iter().filter(|end| **end < ends[place]).count();
        self.network.join();
        for one in 0..sides.len() {
            for other in 0..sides.len() {
                let is_apart =
                    if is_chain { rank(one).abs_diff(rank(other)) > 1 } else { sides[one] != sides[other] };
                if is_apart {
                    self.network.cut(Place(one), Place(other));
                }
            }
        }
        if is_chain {
            self.coverage.reach("members heard their neighbours in a chain only");
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
        let until = self.now + self.faults.exponential(SECOND);
        self.machines[place.0].pause(until);
        true
    }

    /// A process stands still, and has all the ticks that it missed at once. Leases count on this never to happen.
    fn burst(&mut self) -> bool {
        let Some(place) = self.running_place() else { return false };
        let lasts = self.faults.exponential(400 * MS);
        let machine = &mut self.machines[place.0];
        if machine.settings.raft.lease.is_some() {
            return false;
        }
        machine.pause(self.now + lasts);
        machine.burst = lasts / machine.tick();
        self.coverage.reach("ticks came in a burst");
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
        let room = self.faults.below(40 << 10);
        let machine = &mut self.machines[place.0];
        machine.set_capacity(Some(machine.disk.bytes() + room));
        let lasts = self.faults.exponential(2 * SECOND);
        self.after(lasts, Event::Relief { place, fault: Fault::FullDisk });
        true
    }

    /// A member whose disk can be lost without anything being lost.
    fn expendable(&mut self) -> Option<Place> {
        let place = self.any_place();
        self.can_spare(place).then_some(place)
    }

    /// A bit of what was durable flips: while the process runs, or before it is started anew.
    fn rot(&mut self) -> bool {
        if self.faults.one_in(2) {
            return self.rot_beneath();
        }
        let Some((place, name)) = self.vouched_file() else { return false };
        let disk = self.machines[place.0].disk.clone();
        let bits = disk.content(&name).len() as u64 * 8;
        if bits > 0 {
            disk.flip_bit(&name, self.faults.below(bits) as usize);
        }
        true
    }

    /// Bits flip under a process that runs on: in a snapshot, or in a segment that is written to no more.
    fn rot_beneath(&mut self) -> bool {
        // A leader reads most, for those that are behind.
        let leads = |place: &Place| {
            self.machines[place.0]
                .replica
                .as_ref()
                .is_some_and(|replica| replica.raft().role() == Role::Leader)
        };
        let leader = (0..self.machines.len()).map(Place).find(leads).filter(|leader| self.can_spare(*leader));
        let anybody = self.expendable();
        let Some(place) = leader.or(anybody).filter(|place| self.machines[place.0].is_up()) else {
            return false;
        };
        let disk = self.machines[place.0].disk.clone();
        let mut names = spinney::internals::wal::Disk::names(&disk).unwrap_or_default();
        names.retain(|name| name.ends_with(".wal") || name.ends_with(".snap"));
        names.sort();
        // The last of the segments are the one that is written to, and those that are ready to follow it.
        let segments = names.iter().filter(|name| name.ends_with(".wal")).count();
        let in_use: Vec<String> = names
            .iter()
            .filter(|name| name.ends_with(".wal"))
            .skip(segments.saturating_sub(SEGMENTS_IN_USE))
            .cloned()
            .collect();
        names.retain(|name| !in_use.contains(name));
        if names.is_empty() {
            return false;
        }
        let name = self.faults.pick(&names).clone();
        let bits = disk.content(&name).len() as u64 * 8;
        // Of a segment a process reads little, and that seldom.
        let flips = if name.ends_with(".wal") { 512 } else { 1 };
        for _ in 0..flips {
            disk.flip_bit(&name, self.faults.below(bits) as usize);
        }
        let machine = &mut self.machines[place.0];
        machine.condition = Condition::Rotten;
        // Whether anybody has noticed or not: it is not to be spared for ever.
        let (life, lasts) = (machine.life, self.faults.exponential(2 * SECOND));
        self.after(lasts, Event::Die { place, life, power: false });
        true
    }

    /// A sector is found where another should be, and where it should be is what was there before.
    fn misdirect(&mut self) -> bool {
        let Some((place, name)) = self.vouched_file() else { return false };
        let disk = self.machines[place.0].disk.clone();
        let content = disk.content(&name);
        // Most of a segment is empty: what is written there is what can go astray.
        let mut used: Vec<usize> = content
            .chunks_exact(SECTOR_BYTES)
            .enumerate()
            .filter(|(_, sector)| sector.iter().any(|byte| *byte != 0))
            .map(|(number, _)| number * SECTOR_BYTES)
            .collect();
        // Of what was written last nobody can tell whether it ever was, when what vouches for it is gone along with it.
        let certain = if name.ends_with(".wal") { used.len().saturating_sub(2) } else { used.len() };
        used.truncate(certain);
        if used.is_empty() {
            return true;
        }
        let (meant, hit) = (*self.faults.pick(&used), *self.faults.pick(&used));
        disk.overwrite(&name, hit, &content[meant..meant + SECTOR_BYTES]);
        if hit != meant {
            disk.overwrite(&name, meant, &[0; SECTOR_BYTES]);
        }
        true
    }

    /// Ends a process whose disk may be spoiled, and picks a file of it.
    fn vouched_file(&mut self) -> Option<(Place, String)> {
        let place = self.expendable()?;
        self.die(place, false);
        let machine = &mut self.machines[place.0];
        // What was written last cannot be told from a torn write until it was vouched for, as opening does.
        let disk: std::sync::Arc<dyn spinney::internals::wal::Disk> =
            std::sync::Arc::new(machine.disk.clone());
        let vouched = spinney::internals::wal::Recovery::scan(disk)
            .and_then(|recovery| recovery.into_wal(machine.settings.wal))
            .map(drop);
        vouched.ok()?;
        let names: Vec<String> = spinney::internals::wal::Disk::names(&machine.disk).unwrap_or_default();
        let name = (!names.is_empty()).then(|| self.faults.pick(&names).clone())?;
        machine.condition = Condition::Rotten;
        Some((place, name))
    }

    /// A disk is gone, and with it its member; or a founder begins anew on an empty one.
    fn lose_disk(&mut self) -> bool {
        let Some(place) = self.expendable() else { return false };
        if self.may_come_back(place) && self.faults.one_in(2) {
            self.empty_disk(place);
        } else {
            self.give_up_disk(place);
        }
        true
    }

    /// A disk is put back as it was some time ago, and its member has forgotten what it said since.
    ///
    /// Only a leader that it said that to can know, and only while it leads: so it is the only one that the member can speak
    /// with until it is found out. Beyond a reign nobody can tell.
    fn put_disk_back(&mut self) -> bool {
        let place = self.any_place();
        let Some(image) = self.images.remove(&place) else {
            // What has begun to rot would be found out by nobody's leader.
            if self.is_dependable(place) {
                let copy = self.machines[place.0].disk.copy();
                self.images.insert(place, copy);
            }
            return false;
        };
        let member = self.machines[place.0].member();
        let Some((leader, term, matched)) = self.knower_of(member) else { return false };
        let has_lost = Image::read(&image).is_ok_and(|image| image.last() < matched);
        if !has_lost || !self.can_spare(place) {
            return false;
        }
        self.die(place, false);
        image.restart();
        image.set_capacity(self.machines[place.0].capacity);
        self.machines[place.0].disk = image;
        self.machines[place.0].condition = Condition::PutBack;
        self.network.confine(place, Some(leader));
        self.knowers.insert(place, (leader, term));
        self.after(NOTICED_MAX, Event::PutBack { place, leader, term });
        true
    }

    /// Who leads, in which term, and how much of the log it knows `member` to have.
    fn knower_of(&self, member: MemberId) -> Option<(Place, Term, LogIndex)> {
        let leads = self.machines.iter().filter_map(|machine| {
            let raft = machine.replica.as_ref()?.raft();
            Some((machine.place, raft.hard_state().term, raft.matched(member)?))
        });
        leads.max_by_key(|(_, term, _)| *term)
    }

    /// Who leads no more cannot tell what it knew: the disks that it alone could find out are given up.
    pub(super) fn forget_knowers(&mut self, place: Place) {
        let replica = self.machines[place.0].replica.as_ref();
        let raft = replica.map(|replica| replica.raft()).filter(|raft| raft.role() == Role::Leader);
        let term = raft.map(|raft| raft.hard_state().term);
        let unknown = |(knower, in_term): &(Place, Term)| *knower == place && term != Some(*in_term);
        while let Some(old) = self.knowers.iter().find(|(_, knows)| unknown(knows)).map(|(old, _)| *old) {
            self.knowers.remove(&old);
            self.network.confine(old, None);
            if self.machines[old.0].condition == Condition::PutBack {
                self.give_up_disk(old);
            }
        }
    }

    /// Whether a disk that was put back was found out. If it could not be, its member is given up.
    pub(super) fn judge_old_disk(&mut self, place: Place, leader: Place, term: Term) {
        // Unless another one was put back here since.
        if self.knowers.remove(&place).is_none() {
            return;
        }
        self.network.confine(place, None);
        if self.machines[place.0].condition != Condition::PutBack {
            return;
        }
        let knower = self.machines[leader.0].member();
        let follows = |machine: &super::machine::Machine| {
            let raft = machine.replica.as_ref().map(|replica| replica.raft());
            raft.is_some_and(|raft| raft.leader() == Some(knower) && raft.hard_state().term == term)
        };
        let unnoticed = follows(&self.machines[place.0]) && follows(&self.machines[leader.0]);
        let member = self.machines[place.0].member();
        self.require(!unnoticed, || format!("{member} follows {knower} on a disk that was put back"));
        self.give_up_disk(place);
    }

    /// The data of a machine is gone, and with it its member.
    pub(super) fn give_up_disk(&mut self, place: Place) {
        if self.machines[place.0].replica.is_some() {
            self.die(place, true);
        }
        let machine = &mut self.machines[place.0];
        machine.condition = Condition::Lost;
        self.admin.condemned.insert(machine.member());
    }
}
