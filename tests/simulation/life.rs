//! Processes and the connections between them: how they begin, stand still, and end.

use std::sync::Arc;

use spinney::internals::replica::{Founding, Input, OpenError};
use spinney::internals::wal::Recovery;
use spinney::{Identity, MemberId, WalError};

use super::machine::{Condition, Machine};
use super::network::Place;
use super::plan::{Fault, MS, SECOND, Time};
use super::settings;
use super::world::{CLUSTER, Event, World};

/// Within this time both ends of a connection notice that it is broken.
const NOTICED_MAX: Time = 2 * MS;

impl World {
    /// Adds a machine for `member`, whose process starts soon.
    pub(super) fn add_machine(&mut self, member: MemberId, founding: Founding) {
        let place = Place(self.machines.len());
        let identity = Identity { cluster: CLUSTER, member };
        let settings = settings::of_one(&self.settings, &self.plan, place);
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

    /// Puts `event` off when the machine's process stands still; gives it back otherwise.
    pub(super) fn unless_paused(&mut self, place: Place, event: Event) -> Option<Event> {
        let until = self.machines[place.0].paused_until;
        if until <= self.now {
            return Some(event);
        }
        self.after(until - self.now, event);
        None
    }

    pub(super) fn is_life(&self, place: Place, life: u64) -> bool {
        let machine = &self.machines[place.0];
        machine.replica.is_some() && machine.life == life
    }

    pub(super) fn tick(&mut self, place: Place, life: u64) {
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

    /// Starts a process on the machine's disk.
    pub(super) fn start(&mut self, place: Place) {
        let machine = &mut self.machines[place.0];
        if machine.replica.is_some() || machine.condition == Condition::Lost || machine.stopped {
            return;
        }
        let seed = self.disks.next();
        let had_torn =
            Recovery::scan(Arc::new(machine.disk.clone())).is_ok_and(|recovery| recovery.torn().is_some());
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
        let replica = self.machines[place.0].replica.as_ref();
        if replica.is_some_and(|replica| replica.raft().is_in_doubt()) {
            let soon = self.faults.below(20 * MS);
            self.after(soon, Event::Inquire { place, life });
        }
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

    /// Breaks the connection between two machines; both notice, and connect again. Until they have, there is none to break:
    /// members send each other everything again on a new connection, and if each bad frame of all that made another one,
    /// there would be no end to it.
    pub(super) fn break_link(&mut self, one: Place, other: Place) {
        self.network.reset(one, other);
        let pair = (one.min(other), one.max(other));
        if self.broken.get(&pair).is_some_and(|until| self.now < *until) {
            return;
        }
        let again = NOTICED_MAX + MS + self.faults.below(50 * MS);
        self.broken.insert(pair, self.now + again);
        for (place, peer) in [(one, other), (other, one)] {
            let life = self.machines[place.0].life;
            let noticed = self.faults.below(NOTICED_MAX);
            self.after(noticed, Event::Link { place, life, peer, stands: false });
            self.after(again, Event::Link { place, life, peer, stands: true });
        }
    }

    pub(super) fn link(&mut self, place: Place, life: u64, peer: Place, stands: bool) {
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
}
