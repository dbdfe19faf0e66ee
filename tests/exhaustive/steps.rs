//! What can happen next, and what it does.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use spinney::internals::raft::{Change, Input, Message, Request, Role};
use spinney::{LogIndex, MemberId};

use crate::cluster::{Cluster, Event, contact};

/// How often each kind of thing may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// Any member stands; whoever heard a leader has lost it.
    pub(crate) candidacies: u8,
    pub(crate) proposals: u8,
    /// A leader is asked for one of the search's changes.
    pub(crate) changes: u8,
    /// Any member goes down, with any part of what it has not synced. It comes up again at any time.
    pub(crate) crashes: u8,
    pub(crate) losses: u8,
    /// A message comes once more, later.
    pub(crate) doublings: u8,
    pub(crate) snapshots: u8,
    /// Any member goes down, and its disk is lost. It comes up again as a founder that is in doubt.
    pub(crate) disks: u8,
}

impl Budget {
    pub(crate) const NONE: Self = Self {
        candidacies: 0,
        proposals: 0,
        changes: 0,
        crashes: 0,
        losses: 0,
        doublings: 0,
        snapshots: 0,
        disks: 0,
    };

    /// Whether all that was to go wrong has.
    pub(crate) fn is_spent(self) -> bool {
        let Self { candidacies: _, proposals: _, snapshots: _, changes, crashes, losses, doublings, disks } =
            self;
        changes + crashes + losses + doublings + disks == 0
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { candidacies, proposals, changes, crashes, losses, doublings, snapshots, disks } = self;
        write!(
            f,
            "{candidacies} candidacies, {proposals} proposals, {changes} changes, {crashes} crashes, "
        )?;
        write!(f, "{losses} losses, {doublings} doublings, {snapshots} snapshots, {disks} disks")
    }
}

/// A change of the members that a leader may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of whoever is a member, the leader included.
    Remove,
    /// Of a voter.
    Demote,
    /// Of a learner.
    Promote,
    /// Of one more, as a learner.
    Add,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Deliver(usize),
    Lose(usize),
    Double(usize),
    Sync(MemberId),
    Stand(MemberId),
    Propose(MemberId),
    Change(MemberId, Change),
    Crash(MemberId, usize),
    LoseDisk(MemberId),
    /// The second tells the first, which is in doubt, how far it is.
    Testify(MemberId, MemberId),
    Start(MemberId),
    Snapshot(MemberId),
}

/// Every step that is possible now, with the budget that is left after it.
pub(crate) fn possible(cluster: &Cluster, budget: Budget, kinds: &[Kind]) -> Vec<(Step, Budget)> {
    let mut steps = Vec::new();
    let mut links = BTreeSet::new();
    for (place, envelope) in cluster.wire.iter().enumerate() {
        // Messages of one connection come in order.
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
        if budget.disks > 0 {
            steps.push((Step::LoseDisk(member), Budget { disks: budget.disks - 1, ..budget }));
        }
        let witnesses = cluster.witnesses(member).into_iter();
        steps.extend(witnesses.map(|witness| (Step::Testify(member, witness), budget)));
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
            let budget = Budget { changes: budget.changes - 1, ..budget };
            let changes = kinds.iter().flat_map(|kind| changes_of(*kind, cluster, member));
            steps.extend(changes.map(|change| (Step::Change(member, change), budget)));
        }
    }
    steps
}

fn changes_of(kind: Kind, cluster: &Cluster, leader: MemberId) -> Vec<Change> {
    let config = cluster.raft(leader).config();
    match kind {
        Kind::Remove => config.members().map(Change::Remove).collect(),
        Kind::Demote => config.voters.iter().copied().map(Change::Demote).collect(),
        Kind::Promote => config.learners.iter().copied().map(Change::Promote).collect(),
        Kind::Add => vec![Change::Add(contact(newcomer(cluster, leader)))],
    }
}

/// Whom a leader adds next: its id says where in the log it was added.
fn newcomer(cluster: &Cluster, leader: MemberId) -> MemberId {
    MemberId::new((1 << 32) + cluster.raft(leader).last().index.next().get())
}

/// What a member may have promised before it was started is over.
fn outlast_promises(cluster: &mut Cluster, member: MemberId, events: &mut Vec<Event>) {
    for _ in 0..cluster.settings.election_ticks_min {
        cluster.step(member, Input::Tick, events);
    }
}

pub(crate) fn take(cluster: &mut Cluster, step: &Step, events: &mut Vec<Event>) {
    match step {
        &Step::Deliver(place) => {
            let envelope = &cluster.wire[place];
            let (to, is_vote) = (envelope.to, matches!(envelope.message, Message::Vote { .. }));
            if is_vote {
                // Whether it hears from a leader is a matter of time, and time is not a part of this.
                lose_leader(cluster, to, events);
            }
            cluster.deliver(place, events);
        }
        &Step::Lose(place) => drop(cluster.wire.remove(place)),
        &Step::Double(place) => {
            let again = cluster.wire[place].clone();
            cluster.wire.push(again);
        }
        &Step::Sync(member) => cluster.sync(member, 1, events),
        &Step::Stand(member) => {
            lose_leader(cluster, member, events);
            cluster.step(member, Input::Campaign, events);
        }
        &Step::Propose(member) => {
            let command: Arc<[u8]> = cluster.raft(member).last().index.get().to_string().into_bytes().into();
            cluster.step(member, Input::Propose(vec![command]), events);
        }
        Step::Change(leader, change) => {
            if let Change::Add(_) = change {
                cluster.join(newcomer(cluster, *leader));
            }
            let request = Request::Change { changes: vec![change.clone()], expected: None };
            cluster.step(*leader, Input::Ask { token: 0, request }, events);
        }
        &Step::Crash(member, kept) => cluster.crash(member, kept),
        &Step::Start(member) => {
            cluster.start(member);
            outlast_promises(cluster, member, events);
        }
        &Step::LoseDisk(member) => cluster.lose_disk(member),
        &Step::Testify(member, witness) => {
            cluster.testify(member, &[witness], events);
            outlast_promises(cluster, member, events);
        }
        &Step::Snapshot(member) => drop(cluster.snapshot(member, true, events)),
    }
}

/// The connection to whoever leads breaks.
fn lose_leader(cluster: &mut Cluster, member: MemberId, events: &mut Vec<Event>) {
    if let Some(leader) = cluster.raft(member).leader().filter(|&leader| leader != member) {
        cluster.step(member, Input::Disconnected(leader), events);
    }
}

/// Brings a learner into a cluster that is led by `leader`, and lets it catch up.
pub(crate) fn with_learner(cluster: &mut Cluster, leader: MemberId) {
    let mut events = Vec::new();
    take(cluster, &Step::Change(leader, Change::Add(contact(newcomer(cluster, leader)))), &mut events);
    for _ in 0..4 {
        cluster.settle(&mut events);
        cluster.step(leader, Input::Tick, &mut events);
    }
    cluster.settle(&mut events);
    let learner = cluster.raft(leader).config().learners.first().copied();
    let learned = learner.and_then(|learner| cluster.raft(leader).matched(learner));
    assert_eq!(learned, Some(cluster.raft(leader).last().index).filter(|last| *last > LogIndex::default()));
}
