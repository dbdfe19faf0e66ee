//! Cores under random inputs: honest clusters under every fault that a network, a disk and a process have, and single
//! cores under messages that nobody would send.

#![allow(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod cluster;

use std::sync::Arc;

use cluster::{Cluster, Event, contact};
use proptest::prelude::*;
use spinney::internals::BootId;
use spinney::internals::entry::{Config, Entry, EntryId, Payload, Session};
use spinney::internals::raft::{
    AppendOutcome, Change, Command, Denied, Envelope, Granted, Input, Lease, Message, Output, Request, Role,
    Settings,
};
use spinney::{LogIndex, MemberId, Term, Timestamp};

/// How many cases each test tries: `SPINNEY_CASES`, or enough for a second or two.
fn cases() -> u32 {
    std::env::var("SPINNEY_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1_000)
}

/// What happens next: a kind, and numbers that it makes something of.
type Draw = (u8, u8, u8, u64);

fn draws(count: usize) -> impl Strategy<Value = Vec<Draw>> {
    proptest::collection::vec(any::<Draw>(), 0..count)
}

/// Limits so tight that every one of them is met.
fn settings(bits: u8) -> Settings {
    Settings {
        heartbeat_ticks: 1,
        election_ticks_min: 4,
        election_ticks_max: 8,
        failover_ticks_max: 1,
        message_bytes: if bits & 1 > 0 { 1 } else { 300 },
        inflight_messages: if bits & 2 > 0 { 1 } else { 3 },
        inflight_bytes: 500,
        uncommitted_bytes: if bits & 4 > 0 { 500 } else { 5_000 },
        cache_bytes: if bits & 8 > 0 { 0 } else { 400 },
        reads: 4,
        chunk_bytes: if bits & 16 > 0 { 7 } else { 100 },
        lease: (bits & 32 > 0).then_some(Lease { tick_ms: 10, drift_percent: 10 }),
    }
}

fn pick<T>(of: &[T], number: u64) -> Option<&T> {
    of.get(usize::try_from(number).unwrap_or(0) % of.len().max(1))
}

/// One thing happens to an honest cluster.
fn happen(cluster: &mut Cluster, (kind, a, b, number): Draw, events: &mut Vec<Event>) {
    let members: Vec<MemberId> = cluster.members.keys().copied().collect();
    let member = *pick(&members, u64::from(a)).unwrap();
    let other = *pick(&members, u64::from(b)).unwrap();
    let leads = |member: &&MemberId| cluster.is_up(**member) && cluster.raft(**member).role() == Role::Leader;
    let leader = members.iter().find(leads).copied().unwrap_or(member);
    match kind % 36 {
        0..=9 if !cluster.wire.is_empty() => {
            // Mostly in order.
            let place = if b < 200 { 0 } else { number as usize % cluster.wire.len() };
            cluster.deliver(place, events);
        }
        10..=15 => {
            cluster.now += 10;
            for member in members {
                if number & 1 << (member.get() % 8) == 0 {
                    cluster.step(member, Input::Tick, events);
                }
            }
        }
        16..=18 => {
            let command: Arc<[u8]> = number.to_string().into_bytes().into();
            cluster.step(member, Input::Propose(vec![command; usize::from(b % 3) + 1]), events);
        }
        19 => {
            // Everywhere: one of them may be a leader that was replaced and does not know.
            for member in members {
                let token = cluster.reads_asked;
                cluster.step(member, Input::Read { token }, events);
            }
        }
        20 => cluster.machine(member).is_quick = b < 128,
        21 => cluster.sync(member, usize::from(b % 4) + 1, events),
        22 if !cluster.wire.is_empty() => drop(cluster.wire.remove(number as usize % cluster.wire.len())),
        23 if !cluster.wire.is_empty() => {
            let again = cluster.wire[number as usize % cluster.wire.len()].clone();
            cluster.wire.push(again);
        }
        24 if cluster.is_up(member) => cluster.crash(member, usize::from(b % 4)),
        24 => cluster.start(member),
        25 => drop(cluster.cuts.insert((member, other))),
        26 => cluster.cuts.clear(),
        27 => {
            cluster.step(member, Input::Disconnected(other), events);
            cluster.step(other, Input::Disconnected(member), events);
        }
        28 => {
            cluster.snapshot(member, b < 128, events);
        }
        29 => {
            let change = match number % 4 {
                0 => {
                    let mut contact = contact(member);
                    contact.peer_addresses = vec![number.to_string()];
                    Change::Add(contact)
                }
                1 => Change::Promote(other),
                2 => Change::Demote(other),
                _ => Change::Remove(other),
            };
            let request = Request::Change { changes: vec![change], expected: None };
            cluster.step(leader, Input::Ask { token: number, request }, events);
        }
        30 => {
            let request = Request::Transfer((b < 128).then_some(other));
            cluster.step(member, Input::Ask { token: number, request }, events);
        }
        32..=33 => {
            // A quiet while, in which those who can talk do.
            for _ in 0..b % 16 {
                cluster.now += 10;
                for &member in &members {
                    cluster.step(member, Input::Tick, events);
                }
                cluster.settle(events);
            }
        }
        _ => {
            // A member that was added comes up.
            let configs = members.iter().filter(|&&member| cluster.is_up(member));
            let known = configs.flat_map(|&member| cluster.raft(member).config().contacts.clone());
            let missing =
                known.map(|(member, _)| member).find(|member| !cluster.members.contains_key(member));
            if let Some(member) = missing {
                cluster.join(member);
            }
        }
    }
}

/// Everything is repaired; whoever is a member is up.
fn heal(cluster: &mut Cluster, events: &mut Vec<Event>) {
    cluster.cuts.clear();
    for member in cluster.members.keys().copied().collect::<Vec<_>>() {
        if !cluster.is_up(member) {
            cluster.start(member);
        }
        cluster.machine(member).is_quick = true;
        cluster.sync(member, usize::MAX, events);
    }
}

/// The leader, if all members of its configuration follow it and have applied all it has.
fn agreement(cluster: &Cluster) -> Option<MemberId> {
    let is_leader = |member: &&MemberId| cluster.raft(**member).role() == Role::Leader;
    let leader =
        *cluster.members.keys().filter(is_leader).max_by_key(|m| cluster.raft(**m).hard_state().term)?;
    let raft = cluster.raft(leader);
    let is_even = |member: MemberId| {
        cluster.members.contains_key(&member)
            && cluster.raft(member).leader() == Some(leader)
            && cluster.raft(member).applied() == raft.last()
    };
    let is_whole = !raft.config().is_joint() && raft.config().members().all(is_even);
    is_whole.then_some(leader)
}

fn play(bits: u8, members: u64, draws: &[Draw]) {
    let mut cluster = Cluster::founded(members, settings(bits));
    let mut events = Vec::new();
    for &draw in draws {
        happen(&mut cluster, draw, &mut events);
        if cluster.wire.len() > 500 {
            cluster.wire.truncate(100);
        }
    }
    heal(&mut cluster, &mut events);
    for round in 0..600 {
        cluster.now += 10;
        for member in cluster.members.keys().copied().collect::<Vec<_>>() {
            cluster.step(member, Input::Tick, &mut events);
        }
        cluster.settle(&mut events);
        let Some(leader) = agreement(&cluster) else {
            assert!(round < 599, "no agreement:\n{}", cluster.status());
            // Those who were added meanwhile come up.
            happen(&mut cluster, (31, 0, 0, 0), &mut events);
            continue;
        };
        let trees: Vec<_> =
            cluster.raft(leader).config().members().map(|m| &cluster.members[&m].tree).collect();
        assert!(trees.iter().all(|tree| *tree == trees[0]), "equal logs, different trees");
        break;
    }
    assert!(!events.iter().any(|event| matches!(event, Event::Fault(..))), "honest members find no fault");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn clusters_stay_safe_and_recover(bits: u8, members in 1u64..=5, draws in draws(400)) {
        play(bits, members, &draws);
    }

    #[test]
    fn nothing_that_a_peer_says_breaks_a_core(bits: u8, honest in draws(60), lies in draws(200)) {
        let mut cluster = Cluster::founded(3, settings(bits));
        let mut events = Vec::new();
        for draw in honest {
            happen(&mut cluster, draw, &mut events);
        }
        let Some(member) = cluster.members.keys().copied().find(|member| cluster.is_up(*member)) else { return Ok(()) };
        let raft = cluster.machine(member).raft.as_mut().unwrap();
        let mut outputs = Vec::new();
        for draw in lies {
            let input = lie(raft.id(), draw);
            raft.step(Timestamp::new(2_000), input, &mut outputs);
            for output in std::mem::take(&mut outputs) {
                let follow_up = match output {
                    Output::Persist { sequence, .. } if draw.1 < 200 => Input::Persisted(sequence),
                    Output::StoreChunk { snapshot, .. } => {
                        let (config, time) = (config(draw.3), Timestamp::new(draw.3));
                        Input::SnapshotStored { snapshot, config, time, settled: u64::from(draw.1) }
                    }
                    _ => continue,
                };
                raft.step(Timestamp::new(2_000), follow_up, &mut outputs);
            }
            outputs.clear();
        }
    }
}

fn config(bits: u64) -> Config {
    let mut config = Config::founded_by((1..6).filter(|bit| bits & 1 << bit > 0).map(|n| {
        let member = MemberId::new(n);
        (member, contact(member))
    }));
    config.outgoing = (1..6).filter(|bit| bits >> 8 & 1 << bit > 0).map(MemberId::new).collect();
    config
}

/// Something that a peer might say if it had lost its mind.
fn lie(me: MemberId, (kind, a, b, number): Draw) -> Input {
    // Mostly small and plausible, now and then out of the world.
    let value = |shift: u32| match number >> shift & 15 {
        15 => u64::MAX >> (number >> 60),
        small => small,
    };
    let id = |shift: u32| EntryId { term: Term::new(value(shift)), index: LogIndex::new(value(shift + 4)) };
    let boot = BootId::new(value(20));
    let entries = |count: u8| {
        let first = value(4);
        let payload = match b % 3 {
            0 => Payload::Noop,
            1 => Payload::Config(Box::new(config(number))),
            _ => Payload::Command(vec![b; usize::from(b)].into()),
        };
        let session = Some(Session { member: MemberId::new(value(8)), boot, sequence: value(12) });
        let entry = |n| Entry {
            id: EntryId { term: Term::new(value(16)), index: LogIndex::new(first.saturating_add(n + 1)) },
            time: Timestamp::new(value(24)),
            session,
            payload: payload.clone(),
        };
        (0..u64::from(count % 4)).map(entry).collect::<Vec<_>>()
    };
    let message = match kind % 24 {
        0 => Message::PreVote { term: Term::new(value(0)), last: id(8) },
        1 => Message::PreVoteAnswer { term: Term::new(value(0)), granted: b % 2 > 0 },
        2 => Message::Vote { boot, last: id(0), is_transfer: b % 2 > 0 },
        3 => Message::VoteAnswer { boot, granted: b % 2 > 0 },
        4..=9 => Message::Append {
            prev: EntryId { term: Term::new(value(0)), index: LogIndex::new(value(4)) },
            entries: entries(b),
            committed: LogIndex::new(value(28)),
            matched: LogIndex::new(if b < 250 { 0 } else { value(32) }),
            round: value(36),
            clock: Timestamp::new(value(40)),
        },
        10..=12 => Message::AppendAnswer {
            outcome: match b % 2 {
                0 => AppendOutcome::Matched(LogIndex::new(value(0))),
                _ => AppendOutcome::Missing { prev: LogIndex::new(value(0)), hint: id(8) },
            },
            round: value(16),
            promised: Timestamp::new(value(24)),
            room: value(28),
        },
        13 => Message::Forward {
            boot,
            first: value(0),
            settled: value(4),
            commands: vec![Command(vec![b; usize::from(b)].into()); usize::from(b % 4)],
        },
        14 => Message::ForwardAnswer { boot, next: (b % 2 > 0).then_some(value(0)) },
        15 => Message::ReadIndex { boot, number: value(0) },
        16 => Message::ReadIndexAnswer { boot, number: value(0), index: LogIndex::new(value(4)) },
        17 => Message::SnapshotOffer { snapshot: id(0) },
        18 => Message::SnapshotRequest { snapshot: id(0), offset: value(8) },
        19 => Message::SnapshotChunk {
            snapshot: id(0),
            offset: value(8),
            bytes: vec![b].into(),
            is_last: b % 2 > 0,
        },
        20 => Message::TimeoutNow { last: id(0) },
        21 => Message::Ask {
            token: value(0),
            request: match b % 3 {
                0 => Request::Transfer(Some(MemberId::new(value(4)))),
                _ => {
                    Request::Change { changes: vec![Change::Remove(MemberId::new(value(4)))], expected: None }
                }
            },
        },
        22 => Message::Answer {
            token: value(0),
            result: match b % 2 {
                0 => Err(Denied::NotNow),
                _ => Ok(Granted::Change { entry: id(4), added: None }),
            },
        },
        23 if b >= 64 => Message::Committed { upto: id(0) },
        _ if b == 0 => Message::Removed { committed: LogIndex::new(value(0)) },
        _ => return if b < 128 { Input::Tick } else { Input::Campaign },
    };
    let from = MemberId::new(u64::from(a % 6));
    Input::Receive(Envelope { from, to: me, term: Term::new(value(56)), message })
}
