//! The core, explored: every order in which a few things can happen to a small cluster.
//!
//! What can happen is bounded by kind: so many candidacies, proposals, changes of the members, crashes, lost and doubled
//! messages (`exhaustive::Budget`). Messages of one connection come in order, those of different connections in any;
//! a disk syncs at any time, and a crash takes with it what it likes of what was not synced. Every state that can be reached is checked
//! by `cluster`, and by the core itself. Two states that differ only in when a timer would run out are one: who stands
//! does so without asking first, and whoever is asked for its vote hears from no leader.
//!
//! Most searches end when there is nothing left that could happen, and demand that they did. Those that would go on for
//! too long are cut off after a number of steps: `SPINNEY_DEPTH=N` goes N steps deeper, `SPINNEY_DEPTH=all` to the end, which takes
//! minutes. Each says how many states there were, and demands that what it is about has happened in them.

#![allow(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod cluster;
mod exhaustive;

use exhaustive::{Budget, Kind, Scope, explore};
use spinney::LogIndex;

/// Three who found the cluster, with disks that sync at once.
const THREE: Scope =
    Scope { founders: 3, has_learner: false, budget: Budget::NONE, kinds: &[], slow_disks: 0, depth: None };

/// Two and a learner that keeps up.
const TWO_AND_A_LEARNER: Scope = Scope { founders: 2, has_learner: true, ..THREE };

/// What goes wrong when everything does once.
const ALL: Budget = Budget { candidacies: 1, changes: 1, crashes: 1, doublings: 1, ..Budget::NONE };

#[test]
fn elections_and_writes() {
    let budget = Budget { candidacies: 2, proposals: 1, losses: 1, ..Budget::NONE };
    let met = explore(&Scope { budget, depth: Some(11), ..THREE });
    assert!(met.leaders > 2 && met.committed > LogIndex::new(2));
}

#[test]
fn a_crash_that_loses_what_was_not_synced() {
    let budget = Budget { candidacies: 2, crashes: 1, ..Budget::NONE };
    let met = explore(&Scope { budget, slow_disks: 1, ..THREE });
    assert!(met.is_whole() && met.losing_crashes > 0 && met.restarts > 0 && met.leaders > 2);
}

#[test]
fn a_crash_and_slow_disks() {
    let budget = Budget { candidacies: 2, proposals: 1, crashes: 1, ..Budget::NONE };
    let met = explore(&Scope { budget, slow_disks: 2, depth: Some(9), ..THREE });
    assert!(met.leaders > 1 && met.losing_crashes > 0);
}

#[test]
fn a_crash_and_a_doubled_message_in_a_write() {
    let budget = Budget { changes: 0, proposals: 1, ..ALL };
    let met = explore(&Scope { budget, ..THREE });
    assert!(met.is_whole() && met.restarts > 0 && met.doubled > 0 && met.truncations > 0);
    assert!(met.leaders > 1 && met.committed > LogIndex::new(3));
}

#[test]
fn a_doubled_and_a_lost_message() {
    let budget = Budget { candidacies: 1, proposals: 2, losses: 1, doublings: 1, ..Budget::NONE };
    let met = explore(&Scope { budget, depth: Some(8), ..THREE });
    assert!(met.doubled > 0 && met.committed > LogIndex::new(2));
}

#[test]
fn a_member_is_removed() {
    let budget = Budget { candidacies: 2, changes: 1, losses: 1, ..Budget::NONE };
    let met = explore(&Scope { budget, kinds: &[Kind::Remove], depth: Some(10), ..THREE });
    assert!(met.leaders > 1 && met.changes_begun > 0);
}

#[test]
fn a_member_is_removed_and_one_loses_what_was_not_synced() {
    let budget = Budget { doublings: 0, ..ALL };
    let met = explore(&Scope { budget, kinds: &[Kind::Remove], slow_disks: 1, ..THREE });
    assert!(met.is_whole() && met.losing_crashes > 0 && met.truncations > 0);
    assert!(met.leaders > 2 && met.all_together > 0);
}

#[test]
fn a_member_is_removed_and_a_message_doubled() {
    let budget = Budget { crashes: 0, ..ALL };
    let met = explore(&Scope { budget, kinds: &[Kind::Remove], ..THREE });
    assert!(met.is_whole() && met.doubled > 0 && met.truncations > 0);
    assert!(met.leaders > 2 && met.all_together > 0);
}

#[test]
fn a_member_is_removed_or_demoted_with_a_crash_and_a_doubled_message() {
    // Nobody stands unasked; but a leader that is left out hands over.
    let budget = Budget { candidacies: 0, ..ALL };
    let met = explore(&Scope { budget, kinds: &[Kind::Remove, Kind::Demote], ..THREE });
    assert!(met.is_whole() && met.restarts > 0 && met.doubled > 0 && met.all_together > 0);
    let met = explore(&Scope { budget: ALL, kinds: &[Kind::Remove], depth: Some(7), ..THREE });
    assert!(met.restarts > 0 && met.doubled > 0 && met.changes_begun > 0);
}

#[test]
fn two_become_one_or_one_more_with_everything() {
    let two = Scope { founders: 2, budget: ALL, ..THREE };
    let met = explore(&Scope { kinds: &[Kind::Remove, Kind::Demote], ..two });
    assert!(met.is_whole() && met.leaders > 2 && met.all_together > 0);
    let met = explore(&Scope { kinds: &[Kind::Add], ..two });
    assert!(met.is_whole() && met.leaders > 1 && met.all_together > 0);
}

#[test]
fn a_learner_is_promoted_with_a_crash_or_a_doubled_message() {
    let scope = Scope { kinds: &[Kind::Promote], ..TWO_AND_A_LEARNER };
    let met = explore(&Scope { budget: Budget { doublings: 0, ..ALL }, ..scope });
    assert!(met.is_whole() && met.restarts > 0 && met.leaders > 1 && met.all_together > 0);
    let met = explore(&Scope { budget: Budget { crashes: 0, ..ALL }, ..scope });
    assert!(met.is_whole() && met.doubled > 0 && met.leaders > 1 && met.all_together > 0);
}

#[test]
fn a_learner_is_promoted_with_a_crash_and_a_doubled_message() {
    let scope = Scope { kinds: &[Kind::Promote], ..TWO_AND_A_LEARNER };
    let met = explore(&Scope { budget: Budget { candidacies: 0, ..ALL }, ..scope });
    assert!(met.is_whole() && met.restarts > 0 && met.doubled > 0 && met.all_together > 0);
    let met = explore(&Scope { budget: ALL, depth: Some(11), ..scope });
    assert!(met.restarts > 0 && met.doubled > 0 && met.leaders > 1);
}

#[test]
fn a_disk_is_lost_with_what_was_written() {
    let budget = Budget { candidacies: 1, proposals: 1, disks: 1, ..Budget::NONE };
    let met = explore(&Scope { budget, ..THREE });
    assert!(met.is_whole() && met.lost_disks > 0 && met.returns > 0 && met.truncations > 0);
    assert!(met.leaders > 1 && met.committed > LogIndex::new(3));
}

#[test]
fn a_disk_is_lost_with_a_vote() {
    let budget = Budget { candidacies: 2, crashes: 1, disks: 1, ..Budget::NONE };
    let met = explore(&Scope { budget, depth: Some(13), ..THREE });
    assert!(met.lost_disks > 0 && met.returns > 0 && met.restarts > 0 && met.leaders > 2);
}

#[test]
fn snapshots_and_elections() {
    let budget = Budget { candidacies: 1, proposals: 1, losses: 2, snapshots: 1, ..Budget::NONE };
    let met = explore(&Scope { budget, depth: Some(10), ..THREE });
    assert!(met.leaders > 1 && met.committed > LogIndex::new(1));
}
