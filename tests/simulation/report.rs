//! What a run, or many, amounted to.

use std::collections::BTreeMap;
use std::fmt;

use super::coverage::Coverage;
use super::network::Traffic;
use super::plan::Fault;

/// No more than one history in so many may be too hard to check.
const HISTORIES_DECIDED: u64 = 1_000;

/// Counts of what happened.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many seeds were run.
    pub seeds: u64,
    /// How many events happened.
    pub events: u64,
    /// How much virtual time has passed, in seconds.
    pub seconds: u64,
    /// How many messages members sent each other.
    pub messages: u64,
    /// How many frames were lost, doubled, corrupted.
    pub lost: u64,
    /// See above.
    pub doubled: u64,
    /// See above.
    pub corrupted: u64,
    /// How many frames were under way at once, at most.
    pub under_way_max: u64,
    /// How many entries were committed.
    pub entries: u64,
    /// How many in each run.
    pub entries_each: Vec<u64>,
    /// In how many runs there was hardly any life: few entries, or one leader all along.
    pub dull: u64,
    /// How many calls of clients were answered.
    pub answered: u64,
    /// How many were given up.
    pub unknown: u64,
    /// How many elections were won.
    pub elections: u64,
    /// How many processes died.
    pub crashes: u64,
    /// How many syncs there were.
    pub syncs: u64,
    /// How many snapshots were saved.
    pub snapshots_saved: u64,
    /// How many were installed.
    pub snapshots_installed: u64,
    /// How many changes of the members were committed.
    pub membership_changes: u64,
    /// How often the leadership was handed over on request.
    pub transfers: u64,
    /// How often what was committed was looked for on the disks.
    pub quorums_checked: u64,
    /// How many histories of registers were checked, and how many operations they had.
    pub histories: u64,
    /// See above.
    pub operations: u64,
    /// How many histories were too hard to check.
    pub undecided: u64,
    /// How many events watchers were told.
    pub told: u64,
    /// How often each fault was made.
    pub faults: BTreeMap<Fault, u64>,
    /// What was met.
    pub coverage: Coverage,
    /// The longest that a cluster took to be whole again after the last fault, in milliseconds.
    pub recovery_ms: u64,
}

impl Report {
    /// Takes over what the network counted.
    pub fn add_traffic(&mut self, traffic: Traffic) {
        self.lost += traffic.lost;
        self.doubled += traffic.doubled;
        self.corrupted += traffic.corrupted;
    }

    /// Whether so many histories were too hard to check that it is not known whether clients were told the truth.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        self.undecided * HISTORIES_DECIDED > self.histories
    }

    fn entries_median(&self) -> u64 {
        let mut entries = self.entries_each.clone();
        entries.sort_unstable();
        entries.get(entries.len() / 2).copied().unwrap_or(0)
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        macro_rules! sum {
            ($($field:ident)*) => { $(self.$field += other.$field;)* };
        }
        sum!(seeds dull events seconds messages lost doubled corrupted entries answered unknown elections crashes syncs
            snapshots_saved snapshots_installed membership_changes transfers quorums_checked histories operations
            undecided told);
        self.entries_each.extend(&other.entries_each);
        self.recovery_ms = self.recovery_ms.max(other.recovery_ms);
        self.under_way_max = self.under_way_max.max(other.under_way_max);
        for (fault, times) in &other.faults {
            *self.faults.entry(*fault).or_default() += times;
        }
        self.coverage.add(&other.coverage);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seeds                {:>12}", self.seeds)?;
        writeln!(f, "events               {:>12}   in {} s of virtual time", self.events, self.seconds)?;
        writeln!(
            f,
            "messages             {:>12}   {} lost, {} doubled, {} corrupted; {} under way at most",
            self.messages, self.lost, self.doubled, self.corrupted, self.under_way_max
        )?;
        writeln!(
            f,
            "entries committed    {:>12}   {} in the median run; {} runs were dull",
            self.entries,
            self.entries_median(),
            self.dull
        )?;
        writeln!(f, "calls answered       {:>12}   {} given up or unknown", self.answered, self.unknown)?;
        writeln!(f, "elections            {:>12}", self.elections)?;
        writeln!(f, "crashes              {:>12}", self.crashes)?;
        writeln!(f, "syncs                {:>12}", self.syncs)?;
        writeln!(
            f,
            "snapshots            {:>12}   {} installed",
            self.snapshots_saved, self.snapshots_installed
        )?;
        writeln!(f, "membership changes   {:>12}   {} transfers", self.membership_changes, self.transfers)?;
        writeln!(f, "commits on disks     {:>12}   looked for and found", self.quorums_checked)?;
        writeln!(
            f,
            "register histories   {:>12}   {} operations, {} too hard",
            self.histories, self.operations, self.undecided
        )?;
        writeln!(f, "watch events         {:>12}", self.told)?;
        writeln!(f, "longest recovery     {:>12} ms", self.recovery_ms)?;
        let faults: Vec<String> =
            self.faults.iter().map(|(fault, times)| format!("{fault} {times}")).collect();
        writeln!(f, "faults               {}", faults.join(", "))?;
        writeln!(f, "met")?;
        for (mark, times) in self.coverage.iter() {
            writeln!(f, "  {times:>10}  {mark}")?;
        }
        for mark in self.coverage.missing() {
            writeln!(f, "       never  {mark}")?;
        }
        Ok(())
    }
}
