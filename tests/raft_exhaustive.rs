//! The core, explored: every order in which a few things can happen to a small cluster, up to a depth.
//!
//! What can happen is bounded by kind: so many candidacies, proposals, changes, crashes, lost and doubled
//! messages. Messages of one connection come in order, those of different connections in any; a disk syncs at
//! any time. Every state that can be reached is checked by `cluster`. Two states that differ only in when a
//! timer would run out are one.
//!
//! `SPINNEY_DEPTH=N` goes N steps deeper than the tests do by themselves, which takes a few seconds each.

#![allow(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod cluster;

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use cluster::{Cluster, Event};
use spinney::internals::raft::{Change, Input, Request, Role, Settings};
use spinney::{LogIndex, MemberId};

/// How often each kind of thing may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Budget {
    /// Any member stands; whoever heard a leader has lost it.
    candidacies: u8,
    proposals: u8,
    /// Any member asks the leader to remove another.
    changes: u8,
    crashes: u8,
    losses: u8,
    doublings: u8,
    /// Disks that sync when the search says so, from the first member on.
    slow_disks: u8,
    snapshots: u8,
}

#[derive(Clone, Debug)]
enum Step {
    Deliver(usize),
    Lose(usize),
    Double(usize),
    Sync(MemberId),
    Stand(MemberId),
    Propose(MemberId),
    Remove(MemberId, MemberId),
    Crash(MemberId, usize),
    Start(MemberId),
    Snapshot(MemberId),
}

struct Search {
    /// States that were seen, and how many steps were left then.
    seen: HashMap<u64, usize>,
    leaders: u64,
    committed: LogIndex,
}

/// Every step that is possible now, with the budget that is left after it.
fn steps(cluster: &Cluster, budget: Budget) -> Vec<(Step, Budget)> {
    let mut steps = Vec::new();
    let mut links = BTreeSet::new();
    for (place, envelope) in cluster.wire.iter().enumerate() {
        if links.insert((envelope.from, envelope.to)) {
            steps.push((Step::Deliver(place), budget));
            if budget.losses > 0 {
                steps.push((Step::Lose(place), Budget { losses: budget.losses - 1, ..budget }));
            }
            if budget.doublings > 0 {
                steps.push((Step::Double(place), Budget { doublings: budget.doublings - 1, ..budget }));
            }
        }
    }
    for (&member, machine) in &cluster.members {
        if machine.raft.is_none() {
            steps.push((Step::Start(member), budget));
            continue;
        }
        if !machine.pending.is_empty() {
            steps.push((Step::Sync(member), budget));
        }
        let raft = cluster.raft(member);
        if budget.candidacies > 0 && raft.role() != Role::Leader {
            steps.push((Step::Stand(member), Budget { candidacies: budget.candidacies - 1, ..budget }));
        }
        if budget.crashes > 0 {
            for kept in 0..=machine.pending.len() {
                steps.push((Step::Crash(member, kept), Budget { crashes: budget.crashes - 1, ..budget }));
            }
        }
        if raft.role() != Role::Leader {
            continue;
        }
        if budget.proposals > 0 {
            steps.push((Step::Propose(member), Budget { proposals: budget.proposals - 1, ..budget }));
        }
        if budget.snapshots > 0 {
            steps.push((Step::Snapshot(member), Budget { snapshots: budget.snapshots - 1, ..budget }));
        }
        if budget.changes > 0 {
            for &other in cluster.members.keys() {
                steps.push((Step::Remove(member, other), Budget { changes: budget.changes - 1, ..budget }));
            }
        }
    }
    steps
}

fn take(cluster: &mut Cluster, step: &Step) {
    let mut events: Vec<Event> = Vec::new();
    match *step {
        Step::Deliver(place) => cluster.deliver(place, &mut events),
        Step::Lose(place) => drop(cluster.wire.remove(place)),
        Step::Double(place) => {
            let again = cluster.wire[place].clone();
            cluster.wire.push(again);
        }
        Step::Sync(member) => cluster.sync(member, 1, &mut events),
        Step::Stand(member) => {
            let up: Vec<MemberId> = cluster.members.keys().copied().filter(|&m| cluster.is_up(m)).collect();
            for other in up {
                if let Some(leader) = cluster.raft(other).leader().filter(|&leader| leader != other) {
                    cluster.step(other, Input::Disconnected(leader), &mut events);
                }
            }
            cluster.step(member, Input::Campaign, &mut events);
        }
        Step::Propose(member) => {
            let command: Arc<[u8]> = cluster.raft(member).last().index.get().to_string().into_bytes().into();
            cluster.step(member, Input::Propose(vec![command]), &mut events);
        }
        Step::Remove(leader, other) => {
            let request = Request::Change { changes: vec![Change::Remove(other)], expected: None };
            cluster.step(leader, Input::Ask { token: 0, request }, &mut events);
        }
        Step::Crash(member, kept) => cluster.crash(member, kept),
        Step::Start(member) => cluster.start(member),
        Step::Snapshot(member) => {
            cluster.snapshot(member, true, &mut events);
        }
    }
}

fn fingerprint(cluster: &Cluster, budget: Budget) -> u64 {
    let mut hasher = DefaultHasher::new();
    budget.hash(&mut hasher);
    for machine in cluster.members.values() {
        machine.raft.as_ref().map(|raft| raft.without_time()).hash(&mut hasher);
        machine.hash_rest(&mut hasher);
    }
    // Only the order on each connection matters.
    let mut wire: Vec<_> = cluster.wire.iter().collect();
    wire.sort_by_key(|envelope| (envelope.from, envelope.to));
    wire.hash(&mut hasher);
    hasher.finish()
}

impl Search {
    /// Explores all that can follow, `depth` steps deep.
    fn explore(&mut self, cluster: &Cluster, budget: Budget, depth: usize, path: &mut Vec<Step>) {
        let seen = self.seen.entry(fingerprint(cluster, budget)).or_insert(0);
        if depth == 0 || *seen >= depth {
            return;
        }
        *seen = depth;
        for (step, budget) in steps(cluster, budget) {
            let mut next = cluster.clone();
            path.push(step);
            let step = path.last().unwrap();
            let taken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                take(&mut next, step);
                next.check_logs();
            }));
            if taken.is_err() {
                panic!("after {path:#?}\n{}", cluster.status());
            }
            let raft = |member: &MemberId| next.is_up(*member).then(|| next.raft(*member));
            let rafts = next.members.keys().filter_map(raft);
            self.committed = rafts.map(|raft| raft.committed()).max().unwrap_or_default().max(self.committed);
            self.leaders = self.leaders.max(next.count_leaders() as u64);
            self.explore(&next, budget, depth - 1, path);
            path.pop();
        }
    }
}

/// Explores a cluster of three; member 1 leads in the beginning. Returns what was found.
fn explore(budget: Budget, depth: usize) -> Search {
    let deeper = std::env::var("SPINNEY_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(0);
    let settings =
        Settings { heartbeat_ticks: 1, election_ticks_min: 2, election_ticks_max: 3, ..Settings::default() };
    let settings = Settings { failover_ticks_max: 1, ..settings };
    let mut cluster = Cluster::founded(3, settings);
    let mut events = Vec::new();
    cluster.step(MemberId::new(1), Input::Campaign, &mut events);
    cluster.settle(&mut events);
    for machine in cluster.members.values_mut().take(usize::from(budget.slow_disks)) {
        machine.is_quick = false;
    }
    let mut search = Search { seen: HashMap::new(), leaders: 0, committed: LogIndex::default() };
    search.explore(&cluster, budget, depth + deeper, &mut Vec::new());
    println!("{} states, {} leaders, committed {}", search.seen.len(), search.leaders, search.committed);
    search
}

#[test]
fn elections_and_writes() {
    let budget = Budget { candidacies: 2, proposals: 1, losses: 1, ..Budget::default() };
    let search = explore(budget, 11);
    assert!(search.leaders > 2 && search.committed > LogIndex::new(2));
}

#[test]
fn a_crash_and_slow_disks() {
    let budget = Budget { candidacies: 2, proposals: 1, crashes: 1, slow_disks: 2, ..Budget::default() };
    let search = explore(budget, 9);
    assert!(search.leaders > 1);
}

#[test]
fn a_doubled_and_a_lost_message() {
    let budget = Budget { candidacies: 1, proposals: 2, losses: 1, doublings: 1, ..Budget::default() };
    let search = explore(budget, 8);
    assert!(search.committed > LogIndex::new(2));
}

#[test]
fn a_member_is_removed() {
    let budget = Budget { candidacies: 2, changes: 1, losses: 1, ..Budget::default() };
    let search = explore(budget, 10);
    assert!(search.leaders > 1);
}

#[test]
fn snapshots_and_elections() {
    let budget = Budget { candidacies: 1, proposals: 1, losses: 2, snapshots: 1, ..Budget::default() };
    let search = explore(budget, 10);
    assert!(search.committed > LogIndex::new(1));
}
