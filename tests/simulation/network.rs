//! The network: bytes on links between machines, late, lost, doubled, overtaken, corrupted, or cut off.
//!
//! A frame comes whole or not at all, as `net` gives it to a member: halves of frames, frames that trickle in, and
//! handshakes with strangers are for `tests/net.rs`, on real sockets. There is one version of the wire's format so far;
//! who speaks another is refused by the handshake.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Fault, MS, Plan, SECOND, Time};
use super::random::Random;

/// A machine's place in the world; a new member gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub usize);

/// Bytes on their way.
#[derive(Clone, Debug)]
pub struct Frame {
    /// From whom.
    pub from: Place,
    /// To whom.
    pub to: Place,
    /// The connection that it was sent over; a new one has a new number.
    pub connection: u64,
    /// Which life of the sender's process sent it.
    pub life: u64,
    /// What is sent, with its checksum.
    pub bytes: Vec<u8>,
}

/// What became of frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// All that were sent.
    pub sent: u64,
    /// Lost, by chance or for want of a way.
    pub lost: u64,
    /// Doubled.
    pub doubled: u64,
    /// Corrupted.
    pub corrupted: u64,
}

/// The links between all machines.
#[derive(Debug)]
pub struct Network {
    random: Random,
    plan: Plan,
    /// Directions in which nothing comes through.
    cuts: BTreeSet<(Place, Place)>,
    /// Machines that only one other hears, and is heard by.
    confined: BTreeMap<Place, Place>,
    /// Links that are slow, by how much.
    slow: BTreeMap<(Place, Place), Time>,
    /// The number of each direction's connection, and when its last frame arrives.
    connections: BTreeMap<(Place, Place), Connection>,
    connections_made: u64,
    calm: bool,
    /// What became of frames.
    pub traffic: Traffic,
}

#[derive(Clone, Copy, Debug, Default)]
struct Connection {
    number: u64,
    last_arrival: Time,
}

impl Network {
    /// The network of `plan`.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            random: Random::stream(plan.seed, "network"),
            plan: plan.clone(),
            cuts: BTreeSet::new(),
            confined: BTreeMap::new(),
            slow: BTreeMap::new(),
            connections: BTreeMap::new(),
            connections_made: 0,
            calm: false,
            traffic: Traffic::default(),
        }
    }

    /// Ends all faults, for good.
    pub fn heal(&mut self) {
        self.calm = true;
        self.cuts.clear();
        self.confined.clear();
        self.slow.clear();
    }

    /// Lets everything through again.
    pub fn join(&mut self) {
        self.cuts.clear();
    }

    /// Lets nothing through from `from` to `to`.
    pub fn cut(&mut self, from: Place, to: Place) {
        self.cuts.insert((from, to));
    }

    /// Lets a machine speak with one other only, whatever else is joined; with all again, for `None`.
    pub fn confine(&mut self, place: Place, with: Option<Place>) {
        match with {
            Some(with) => self.confined.insert(place, with),
            None => self.confined.remove(&place),
        };
    }

    /// Makes a link slow, or quick again with 0.
    pub fn slow_down(&mut self, from: Place, to: Place, by: Time) {
        self.slow.insert((from, to), by);
    }

    /// Whether anything comes through.
    #[must_use]
    pub fn is_cut(&self, from: Place, to: Place) -> bool {
        let is_apart = |one, other| self.confined.get(&one).is_some_and(|with| *with != other);
        self.cuts.contains(&(from, to)) || is_apart(from, to) || is_apart(to, from)
    }

    /// Breaks the connection between two machines: what is under way on it is lost.
    pub fn reset(&mut self, one: Place, other: Place) {
        self.connections.remove(&(one, other));
        self.connections.remove(&(other, one));
    }

    /// The number of the newest connection.
    #[must_use]
    pub fn connections_made(&self) -> u64 {
        self.connections_made
    }

    /// Sends `bytes`; gives what arrives, and when.
    pub fn send(
        &mut self,
        now: Time,
        from: Place,
        to: Place,
        life: u64,
        bytes: Vec<u8>,
    ) -> Vec<(Time, Frame)> {
        self.traffic.sent += 1;
        let has = |fault| !self.calm && self.plan.has(fault);
        if self.is_cut(from, to) || has(Fault::Loss) && self.random.chance(self.plan.loss) {
            self.traffic.lost += 1;
            return Vec::new();
        }
        let slow = self.slow.get(&(from, to)).copied().unwrap_or(0);
        // Once all is calm, it is quick enough for the shortest of election timeouts.
        let latency = if self.calm { self.plan.latency.min(MS) } else { self.plan.latency + slow };
        let mut arrival = now + 20 + self.random.exponential(latency);
        let connections_made = &mut self.connections_made;
        let connection = self.connections.entry((from, to)).or_insert_with(|| {
            *connections_made += 1;
            Connection { number: *connections_made, last_arrival: 0 }
        });
        if !has(Fault::Reordering) {
            arrival = arrival.max(connection.last_arrival + 1);
        }
        connection.last_arrival = arrival.max(connection.last_arrival);
        let mut frame = Frame { from, to, connection: connection.number, life, bytes };
        let mut arrivals = Vec::new();
        if has(Fault::Duplication) && self.random.chance(self.plan.duplication) {
            self.traffic.doubled += 1;
            let late = if self.random.one_in(4) { 2 * SECOND } else { 30 * MS };
            arrivals.push((arrival + self.random.exponential(late), frame.clone()));
        }
        if has(Fault::Corruption)
            && self.random.below(10_000) < self.plan.corruption
            && !frame.bytes.is_empty()
        {
            self.traffic.corrupted += 1;
            let at = self.random.below(frame.bytes.len() as u64) as usize;
            frame.bytes[at] ^= 1 << self.random.below(8);
        }
        arrivals.insert(0, (arrival, frame));
        arrivals
    }
}
