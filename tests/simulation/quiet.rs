//! The life of a world: chaos, then calm; and what has to come of that.

use std::collections::BTreeSet;

use spinney::internals::entry::Config;
use spinney::internals::raft::Role;
use spinney::{LogIndex, MemberId};

use super::Outcome;
use super::invariants::{Image, show};
use super::machine::Condition;
use super::network::Place;
use super::plan::{MS, SECOND, Time};
use super::world::{Event, World};

/// A cluster is whole again within this time of the last fault.
const RECOVERY_MAX: Time = 60 * SECOND;

/// A run with fewer entries than this proves little.
const DULL_ENTRIES: u64 = 30;

impl World {
    /// Lives from beginning to end.
    pub(super) fn live(&mut self) {
        let end = self.now + self.plan.chaos;
        while self.now < end {
            let pause = 500 * MS;
            self.run_until((self.now + pause).min(end));
            self.check_matching();
        }
        self.heal();
        let healed = self.now;
        self.run_until(self.now + 10 * MS);
        if self.plan.is_busy {
            let target = self.witness.last();
            self.wait_until("caught up", |world| world.has_caught_up(target));
            self.coverage.reach("a cluster recovered while clients went on");
            self.clients.is_open = false;
        }
        self.wait_until("whole", Self::is_whole);
        self.report.recovery_ms = (self.now - healed) / MS;
        // Frames that were doubled come late, one that says to stand among them perhaps, and a handover may be under way.
        self.let_pass();
        self.wait_until("whole again", Self::is_whole);
        // What came of the chaos has died away; then the cluster works; and what it did leaves nothing behind, either.
        self.watch_still();
        self.probe();
        self.watch_expiry();
        self.watch_still();
        self.check_end();
    }

    /// Lets events happen until it `holds`, as it has to after a while.
    fn wait_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = self.now;
        while !holds(self) {
            self.run_until(self.now + 50 * MS);
            let waited = self.now - began;
            self.require(waited < RECOVERY_MAX, || {
                format!("not {what} after {} s: {}", waited / SECOND, self.why_not_whole())
            });
        }
    }

    /// What happened, all told.
    pub(super) fn outcome(mut self) -> Outcome {
        self.report.seeds = 1;
        self.report.events = self.happened;
        self.report.seconds = self.now / SECOND;
        self.report.entries = self.witness.last().get();
        self.report.entries_each = vec![self.report.entries];
        self.report.dull = u64::from(self.report.entries < DULL_ENTRIES || self.report.elections <= 1);
        self.report.add_traffic(self.network.traffic);
        if self.witness.doubles() > 0 {
            self.coverage.reach("a retry met its own first attempt");
        }
        let trace = self.trace();
        self.report.coverage = self.coverage;
        Outcome { report: self.report, trace }
    }

    /// Ends all faults; a process that was made to stand still does so to the end of its time. Those that are up go on as they
    /// are, or are all started anew.
    fn heal(&mut self) {
        self.is_calm = true;
        self.clients.is_open = self.plan.is_busy;
        self.network.heal();
        for at in 0..self.machines.len() {
            let machine = &mut self.machines[at];
            machine.dies_after = None;
            let (place, life) = (machine.place, machine.life);
            machine.set_capacity(None);
            machine.disk.fail_sync(u64::MAX);
            if machine.condition == Condition::PutBack {
                self.give_up_disk(place);
            } else if self.plan.restarts
                || machine.disk.has_stopped()
                || machine.condition == Condition::Rotten
            {
                self.after(MS, Event::Die { place, life, power: false });
            } else {
                machine.disk.stop_after(u64::MAX);
            }
            self.after(2 * MS, Event::Start(place));
        }
    }

    /// The configuration that the log ends with, if one who leads has agreed on it.
    pub(super) fn settled(&self) -> Option<(Place, Config)> {
        let leads = |machine: &&super::machine::Machine| {
            machine.replica.as_ref().is_some_and(|replica| replica.raft().role() == Role::Leader)
        };
        let leader =
            self.machines.iter().filter(leads).max_by_key(|machine| {
                machine.replica.as_ref().map(|replica| replica.raft().hard_state().term)
            })?;
        let config = leader.replica.as_ref()?.raft().config().clone();
        Some((leader.place, config))
    }

    /// Whether all members have applied what was committed up to `target`, no change is under way, and whoever is lost was
    /// removed. More may be written all the time.
    fn has_caught_up(&self, target: LogIndex) -> bool {
        let Some((_, config)) = self.settled() else { return false };
        let is_there = |member: MemberId| {
            let machine = self.places.get(&member).map(|place| &self.machines[place.0]);
            machine.is_some_and(|machine| {
                machine.condition == Condition::Sound
                    && machine.replica.as_ref().is_some_and(|replica| replica.applied().index >= target)
            })
        };
        !config.is_joint() && config.members().all(is_there)
    }

    /// Whether somebody leads, nobody is behind, no change is under way, nobody waits, no disk is busy, and whoever is lost
    /// was removed.
    fn is_whole(&self) -> bool {
        let Some((leader, config)) = self.settled() else { return false };
        let Some(first) = &self.machines[leader.0].replica else { return false };
        let last = first.raft().last();
        !config.is_joint()
            && first.applied() == last
            && self.clients.waiting() == 0
            && self.admin.condemned.iter().all(|member| !config.contains(*member))
            && config.members().all(|member| {
                let machine = self.places.get(&member).map(|place| &self.machines[place.0]);
                machine.is_some_and(|machine| {
                    machine.condition == Condition::Sound
                        && machine.paused_until <= self.now
                        && machine.sync_since.is_none()
                        && machine.replica.as_ref().is_some_and(|replica| {
                            replica.applied() == last
                                && replica.raft().leader() == Some(self.machines[leader.0].member())
                        })
                })
            })
    }

    pub(super) fn why_not_whole(&self) -> String {
        let mut why = format!("{} calls wait; {:?}", self.clients.waiting(), self.settings);
        for machine in &self.machines {
            let state = match &machine.replica {
                None => format!("down, {:?}, stopped {}", machine.condition, machine.stopped),
                Some(replica) => {
                    let raft = replica.raft();
                    format!(
                        "{:?} of {:?}, last {:?}, committed {}, applied {}, leader {:?}, {} wait, stopped {}, {}",
                        raft.role(),
                        raft.hard_state().term,
                        raft.last(),
                        raft.committed(),
                        replica.applied().index,
                        raft.leader(),
                        replica.waiting(),
                        machine.stopped,
                        show(raft.config())
                    )
                }
            };
            why += &format!("\n  {}: {state}", machine.member());
        }
        why
    }

    /// What was promised is there.
    fn check_end(&mut self) {
        let Some((_, config)) = self.settled() else { return };
        let members: BTreeSet<MemberId> = config.members().collect();
        for member in &members {
            let place = self.places[member];
            let machine = &self.machines[place.0];
            let Some(replica) = &machine.replica else { continue };
            let (applied, last) = (replica.applied().index, self.witness.last());
            self.require(applied == last, || format!("{member} is at {applied}, and the log ends at {last}"));
            let limit = self.settings.log_bytes + 8 * u64::from(self.settings.wal.segment_bytes);
            let bytes = replica.log_bytes();
            // A segment with entries that were overwritten goes when the log is beyond where they were.
            let is_beyond = replica.saved().index >= machine.highest;
            self.require(bytes <= limit || !is_beyond, || format!("the log of {member} has {bytes} bytes"));
            let image = Image::read(&machine.disk);
            self.require_ok(image.map(drop).map_err(|what| format!("the disk of {member}: {what}")));
        }
        self.check_matching();
        self.finish_watchers();
        self.check_histories();
    }
}
