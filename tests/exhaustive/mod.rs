//! A search through all that can happen to a cluster of bare cores.

mod steps;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use foldhash::quality::FixedState;
use spinney::internals::raft::{Granted, Input, Settings};
use spinney::{LogIndex, MemberId};

use super::cluster::{Cluster, Event, Machine};
pub(crate) use steps::{Budget, Kind};
use steps::{Step, possible, take};

/// A search: of what, and how far it goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// So many found the cluster; the first leads in the beginning.
    pub(crate) founders: u64,
    /// Whether there is a learner besides, which keeps up.
    pub(crate) has_learner: bool,
    pub(crate) budget: Budget,
    pub(crate) kinds: &'static [Kind],
    /// Disks that sync when the search says so, from the first member on.
    pub(crate) slow_disks: usize,
    /// After so many steps it does not look further; without, it looks at everything that can follow.
    pub(crate) depth: Option<usize>,
}

/// What was met, so that a search which meets nothing is noticed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Met {
    pub(crate) states: usize,
    /// In which nothing can happen any more.
    pub(crate) ends: usize,
    /// Whether it was cut off where something could still happen.
    pub(crate) is_cut: bool,
    /// The longest way.
    pub(crate) longest: usize,
    /// In so many terms somebody has led, at most.
    pub(crate) leaders: usize,
    pub(crate) committed: LogIndex,
    /// Crashes that took something with them which was not synced.
    pub(crate) losing_crashes: u64,
    pub(crate) restarts: u64,
    pub(crate) lost_disks: u64,
    /// Members that were in doubt and are so no more.
    pub(crate) returns: u64,
    pub(crate) doubled: u64,
    pub(crate) truncations: u64,
    pub(crate) changes_begun: u64,
    /// States in which all has gone wrong that was to, and the members are other ones, by a committed configuration.
    pub(crate) all_together: u64,
}

impl Met {
    /// Whether there is nothing more that could happen.
    pub(crate) fn is_whole(&self) -> bool {
        !self.is_cut && self.ends > 0
    }
}

impl fmt::Display for Met {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, ends, is_cut, longest, leaders, committed, .. } = self;
        let whole = if *is_cut { "cut off" } else { "all there are" };
        write!(
            f,
            "{states} states ({whole}), {ends} ends, {longest} steps, {leaders} terms led, committed {committed}; "
        )?;
        let Self { losing_crashes, restarts, lost_disks, returns, doubled, .. } = self;
        let Self { truncations, changes_begun, all_together, .. } = self;
        write!(f, "{losing_crashes} crashes with a loss, {restarts} restarts, ")?;
        write!(f, "{lost_disks} disks lost, {returns} returns, {doubled} doubled, ")?;
        write!(f, "{truncations} truncations, {changes_begun} changes, {all_together} with all of it")
    }
}

/// The same each time.
const HASH: FixedState = FixedState::with_seed(0);

struct Search {
    kinds: &'static [Kind],
    /// States that were seen, and how many steps were left then.
    seen: HashMap<u64, usize>,
    /// Since when the members are who they were in the beginning.
    founded: LogIndex,
    met: Met,
}

/// Explores, and says what was met.
pub(crate) fn explore(scope: &Scope) -> Met {
    let deeper = std::env::var("SPINNEY_DEPTH").unwrap_or_default();
    let depth = scope.depth.filter(|_| deeper != "all").map(|depth| depth + deeper.parse().unwrap_or(0));
    // Nobody stands by itself: a member that comes up waits for longer than it lets pass.
    let settings = Settings {
        heartbeat_ticks: 1,
        election_ticks_min: 2,
        election_ticks_max: 1_000,
        failover_ticks_max: 1,
        ..Settings::default()
    };
    let leader = MemberId::new(1);
    let mut cluster = Cluster::founded(scope.founders, settings);
    let mut events = Vec::new();
    cluster.step(leader, Input::Campaign, &mut events);
    cluster.settle(&mut events);
    if scope.has_learner {
        steps::with_learner(&mut cluster, leader);
    }
    let slow: Vec<MemberId> = cluster.members.keys().copied().take(scope.slow_disks).collect();
    for member in slow {
        cluster.machine(member).is_quick = false;
    }
    let founded = cluster.raft(leader).config_index();
    let mut search = Search { kinds: scope.kinds, seen: HashMap::new(), founded, met: Met::default() };
    let prints = prints(&cluster, None);
    search.explore(&cluster, &prints, scope.budget, depth.unwrap_or(usize::MAX), &mut Vec::new());
    search.met.states = search.seen.len();
    println!("{} {:?}: {}", scope.budget, scope.kinds, search.met);
    search.met
}

impl Search {
    /// Explores all that can follow, `depth` steps deep.
    fn explore(
        &mut self,
        cluster: &Cluster,
        prints: &Prints,
        budget: Budget,
        depth: usize,
        path: &mut Vec<Step>,
    ) {
        // Where there is no end to the depth, it does not matter how many steps are left.
        let left = if depth > usize::MAX / 2 { usize::MAX } else { depth };
        let seen = self.seen.entry(fingerprint(cluster, prints, budget)).or_insert(0);
        if *seen >= left && left > 0 {
            return;
        }
        *seen = left;
        self.note(cluster, budget, path.len());
        let steps = possible(cluster, budget, self.kinds);
        self.met.ends += usize::from(steps.is_empty());
        if depth == 0 {
            self.met.is_cut |= !steps.is_empty();
            return;
        }
        for (step, budget) in steps {
            let mut next = cluster.clone();
            let mut events = Vec::new();
            self.note_step(cluster, &step);
            path.push(step);
            let step = path.last().unwrap();
            let taken = catch_unwind(AssertUnwindSafe(|| {
                take(&mut next, step, &mut events);
                next.check_logs();
            }));
            if taken.is_err() {
                panic!("after {path:#?}\n{}", cluster.status());
            }
            events.iter().for_each(|event| self.note_event(event));
            if let Some(Step::Testify(member, _)) = path.last() {
                self.met.returns += u64::from(!next.raft(*member).is_in_doubt());
            }
            let prints = self::prints(&next, Some((cluster, prints)));
            self.explore(&next, &prints, budget, depth - 1, path);
            path.pop();
        }
    }

    fn note(&mut self, cluster: &Cluster, budget: Budget, steps: usize) {
        let rafts = || {
            cluster
                .members
                .keys()
                .filter(|member| cluster.is_up(**member))
                .map(|member| cluster.raft(*member))
        };
        let is_changed =
            rafts().any(|raft| raft.config_index() > self.founded && raft.config_index() <= raft.committed());
        self.met.all_together += u64::from(is_changed && budget.is_spent());
        self.met.committed = rafts().map(|raft| raft.committed()).fold(self.met.committed, LogIndex::max);
        self.met.leaders = self.met.leaders.max(cluster.count_leaders());
        self.met.longest = self.met.longest.max(steps);
    }

    fn note_step(&mut self, cluster: &Cluster, step: &Step) {
        match step {
            Step::Crash(member, kept) if *kept < cluster.members[member].pending.len() => {
                self.met.losing_crashes += 1
            }
            Step::Start(_) => self.met.restarts += 1,
            Step::LoseDisk(_) => self.met.lost_disks += 1,
            Step::Double(_) => self.met.doubled += 1,
            _ => {}
        }
    }

    fn note_event(&mut self, event: &Event) {
        match event {
            Event::Answered(_, _, Ok(Granted::Change { .. })) => self.met.changes_begun += 1,
            Event::Wrote(_, write) if write.truncate_from.is_some() => self.met.truncations += 1,
            _ => {}
        }
    }
}

/// What tells one member's states apart, for each.
type Prints = BTreeMap<MemberId, u64>;

/// Those of `cluster`; `before` has them of the one that it branched from, with which it shares all members but few.
fn prints(cluster: &Cluster, before: Option<(&Cluster, &Prints)>) -> Prints {
    let known = |member, machine| {
        let (cluster, prints) = before?;
        cluster.members.get(member).filter(|known| Arc::ptr_eq(known, machine))?;
        prints.get(member).copied()
    };
    let print = |machine: &Machine| {
        let mut hasher = HASH.build_hasher();
        machine.raft.as_ref().map(|raft| raft.without_time()).hash(&mut hasher);
        machine.hash_rest(&mut hasher);
        hasher.finish()
    };
    let members = cluster.members.iter();
    members
        .map(|(member, machine)| (*member, known(member, machine).unwrap_or_else(|| print(machine))))
        .collect()
}

fn fingerprint(cluster: &Cluster, prints: &Prints, budget: Budget) -> u64 {
    let mut hasher = HASH.build_hasher();
    (budget, prints).hash(&mut hasher);
    cluster.hash_history(&mut hasher);
    // Only the order on each connection matters.
    let mut wire: Vec<_> = cluster.wire.iter().collect();
    wire.sort_by_key(|envelope| (envelope.from, envelope.to));
    wire.hash(&mut hasher);
    hasher.finish()
}
