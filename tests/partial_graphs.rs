//! Networks in which not everybody hears everybody, and that stay so: chains, stars, and all others. Wherever one member
//! is left that hears a majority, itself included, a leader is found, it stays, and writes go on; where none is, nobody
//! leads.
//!
//! All graphs of three and of five members are tried, with the leader of before at every place in them, since it is always
//! member 1; and the same from a cold start. Logs are alike when a network breaks: where all that hear a majority lack
//! what others have committed, no protocol of elections by the log finds a leader before the network is better.

#![allow(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod cluster;

use std::collections::BTreeSet;

use cluster::{Cluster, Event};
use spinney::internals::raft::{Input, Role, Settings};
use spinney::{LogIndex, MemberId, Term};

/// Ticks to a vote: from so many on, and up to twice as many.
const ELECTION: u64 = 10;

/// Within so many ticks a leader is found, whatever the network is like.
const FOUND: u64 = 10 * ELECTION * 2;

/// For so many ticks it is watched then.
const WATCHED: u64 = 10 * ELECTION * 2;

/// Who hears whom, both ways.
type Graph = BTreeSet<(MemberId, MemberId)>;

fn members(count: u64) -> Vec<MemberId> {
    (1..=count).map(MemberId::new).collect()
}

/// Every network of so many.
fn graphs(count: u64) -> impl Iterator<Item = Graph> {
    let members = members(count);
    let pairs: Vec<_> = members.iter().flat_map(|&a| members.iter().map(move |&b| (a, b))).collect();
    let pairs: Vec<_> = pairs.into_iter().filter(|(a, b)| a < b).collect();
    (0..1u32 << pairs.len()).map(move |bits| {
        let is_there = |(place, _): &(usize, &(MemberId, MemberId))| bits >> place & 1 == 1;
        pairs.iter().enumerate().filter(is_there).map(|(_, pair)| *pair).collect()
    })
}

fn hears(graph: &Graph, one: MemberId, other: MemberId) -> bool {
    graph.contains(&(one.min(other), one.max(other)))
}

/// Those who hear a majority, themselves included.
fn well_connected(graph: &Graph, count: u64) -> Vec<MemberId> {
    let degree =
        |member| members(count).into_iter().filter(|&other| hears(graph, member, other)).count() as u64;
    members(count).into_iter().filter(|&member| (degree(member) + 1) * 2 > count).collect()
}

/// A cluster of so many, led by member 1 and writing, if it is not from a cold start; from now on its network is `graph`.
fn broken(graph: &Graph, count: u64, is_cold: bool) -> Cluster {
    let settings = Settings {
        heartbeat_ticks: 2,
        election_ticks_min: ELECTION as u32,
        election_ticks_max: 2 * ELECTION as u32,
        failover_ticks_max: 1,
        ..Settings::default()
    };
    let mut cluster = Cluster::founded(count, settings);
    let first = MemberId::new(1);
    if !is_cold {
        let mut events = Vec::new();
        cluster.step(first, Input::Campaign, &mut events);
        cluster.settle(&mut events);
        cluster.step(first, Input::Propose(vec![b"before".as_slice().into()]), &mut events);
        cluster.settle(&mut events);
        pass(&mut cluster, 4);
    }
    for (one, other) in
        members(count).into_iter().flat_map(|a| members(count).into_iter().map(move |b| (a, b)))
    {
        if one != other && !hears(graph, one, other) {
            cluster.cuts.insert((one, other));
        }
    }
    cluster
}

/// A tick for each, with all that follows, so many times.
fn pass(cluster: &mut Cluster, ticks: u64) {
    let members: Vec<MemberId> = cluster.members.keys().copied().collect();
    let mut events = Vec::new();
    for _ in 0..ticks {
        cluster.now += 10;
        for &member in &members {
            cluster.step(member, Input::Tick, &mut events);
        }
        cluster.settle(&mut events);
    }
}

fn leaders(cluster: &Cluster) -> Vec<(MemberId, Term)> {
    let rafts = cluster.members.keys().map(|&member| cluster.raft(member));
    rafts.filter(|raft| raft.role() == Role::Leader).map(|raft| (raft.id(), raft.hard_state().term)).collect()
}

/// A write at `member` is applied there at once.
fn writes(cluster: &mut Cluster, member: MemberId) {
    let mut events = Vec::new();
    cluster.step(member, Input::Propose(vec![b"now".as_slice().into()]), &mut events);
    cluster.settle(&mut events);
    let is_applied = |event: &Event| matches!(event, Event::Applied(there, ..) if *there == member);
    assert!(events.iter().any(is_applied), "m{member} does not take a write\n{}", cluster.status());
}

/// Demands of a network that it has a leader, the same all along, that it and who hears it take writes; or that it has none.
/// Returns whether it has.
fn try_out(graph: &Graph, count: u64, is_cold: bool) -> bool {
    let mut cluster = broken(graph, count, is_cold);
    let able = well_connected(graph, count);
    pass(&mut cluster, FOUND);
    let found = leaders(&cluster);
    if able.is_empty() {
        assert!(found.is_empty(), "{found:?} leads and hears no majority of {graph:?}");
        return false;
    }
    let &[(leader, term)] = &found[..] else {
        panic!("{found:?} lead in {graph:?}\n{}", cluster.status());
    };
    assert!(able.contains(&leader), "{leader} leads {graph:?}");
    let before = cluster.raft(leader).committed();
    for _ in 0..WATCHED / ELECTION {
        writes(&mut cluster, leader);
        pass(&mut cluster, ELECTION);
        assert_eq!(leaders(&cluster), [(leader, term)], "it does not stay so in {graph:?}");
    }
    for member in members(count).into_iter().filter(|&member| hears(graph, leader, member)) {
        writes(&mut cluster, member);
    }
    assert!(cluster.raft(leader).committed() > LogIndex::new(before.get() + WATCHED / ELECTION - 1));
    true
}

fn try_all(count: u64) -> (usize, usize) {
    let tried = graphs(count).flat_map(|graph| [false, true].map(|is_cold| try_out(&graph, count, is_cold)));
    let (led, lost): (Vec<bool>, Vec<bool>) = tried.partition(|is_led| *is_led);
    println!("{count} members: {} networks with a leader, {} without", led.len(), lost.len());
    (led.len(), lost.len())
}

#[test]
fn three_members_in_every_network() {
    // Whoever hears one other can lead: in all but the empty network, each twice.
    assert_eq!(try_all(3), (14, 2));
}

#[test]
fn five_members_in_every_network() {
    // Too few hear each other where everybody hears one other at most: in 26 of the 1,024.
    assert_eq!(try_all(5), (1_996, 52));
}
