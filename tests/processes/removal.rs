//! A member is removed for good.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::strangers::{metric, turned_away};
use crate::support::wait_until;

/// Has `other` remove a member.
fn remove(cluster: &Cluster, other: usize, member: usize) {
    let name = &cluster.members[member].name;
    let listed = cluster.listed(other);
    let (_, id) = listed.iter().find(|(listed, _)| listed == name).unwrap();
    let mut status = 0;
    wait_until("the member is removed", || {
        let reply = cluster.ask(other, "DELETE", &format!("/v2/members/{id}"), None);
        status = reply.map_or(0, |reply| reply.head.status);
        matches!(status, 204 | 404)
    });
}

/// Waits until a member ends for this reason, which it says after `before`.
fn end(cluster: &mut Cluster, member: usize, before: usize, why: &str) {
    assert_eq!(cluster.ended(member), Some(1), "{}", cluster.said(member));
    let said = cluster.said(member)[before..].to_owned();
    assert!(said.contains(why), "{said}");
}

const REMOVED: &str = "n3 has been removed from its cluster for good";

#[test]
fn a_member_that_is_removed_ends_and_says_so_and_so_it_does_whenever_it_is_started() {
    let mut cluster = Cluster::of_three(&[]);
    assert!(cluster.set(0, "/a", "1"));
    remove(&cluster, 0, 2);
    end(&mut cluster, 2, 0, REMOVED);
    for _ in 0..2 {
        let before = cluster.said(2).len();
        cluster.start(2, "new");
        end(&mut cluster, 2, before, REMOVED);
    }
    // It disturbs nobody, and comes back as somebody else.
    let listed = cluster.listed(0);
    assert!(cluster.set(1, "/a", "2") && listed.len() == 2, "{listed:?}");
    fs::remove_dir_all(cluster.data(2)).unwrap();
    cluster.start(2, "existing");
    cluster.wait_until_whole(2);
    assert_eq!(cluster.value(2, "/a?quorum=true").as_deref(), Some("2"));
    let after = cluster.listed(0);
    assert!(after.len() == 3 && listed.iter().all(|member| after.contains(member)), "{after:?}");
}

#[test]
fn a_member_that_was_away_when_it_was_removed_is_told_and_never_votes_again() {
    let mut cluster = Cluster::of_three(&[]);
    assert!(cluster.set(0, "/a", "1"));
    cluster.kill(2);
    cluster.leader(&[0, 1]);
    remove(&cluster, 0, 2);
    assert!(cluster.set(0, "/removed", "1"));
    for left in [0, 1] {
        wait_until("both know that it was removed", || cluster.value(left, "/removed").is_some());
    }
    // Of the two that are left, both are needed.
    cluster.kill(1);
    let before = cluster.said(2).len();
    cluster.start(2, "new");
    end(&mut cluster, 2, before, REMOVED);
    assert!(!cluster.set(0, "/a", "2"), "nobody who was removed makes up a majority");
    cluster.start(1, "new");
    cluster.wait_until_well();
    assert!(cluster.set(0, "/a", "3"));
}

#[test]
fn a_founder_that_has_lost_its_disk_is_not_taken_for_who_it_was() {
    let mut cluster = Cluster::of_three(&[]);
    assert!(cluster.set(0, "/a", "1"));
    wait_until("it has it", || cluster.value(2, "/a").is_some());
    // It has never written anything; that it was there is in the log all the same, once nothing more comes there.
    wait_until("nothing happens any more", || {
        let before = applied(&cluster, 0);
        thread::sleep(Duration::from_millis(500));
        applied(&cluster, 0) == before
    });
    let before = cluster.listed(0);
    cluster.kill(2);
    fs::remove_dir_all(cluster.data(2)).unwrap();
    cluster.leader(&[0, 1]);
    // With the flags with which the cluster was founded: what it had promised is not there any more.
    let said = cluster.said(2).len();
    cluster.start(2, "new");
    let why = "knows n3 from before, or that the members have changed: it may join as a new one only, emptied, with --initial-cluster-state existing";
    end(&mut cluster, 2, said, why);
    assert!(cluster.set(1, "/a", "2") && cluster.listed(0) == before);

    // As a new one it is welcome.
    fs::remove_dir_all(cluster.data(2)).unwrap();
    cluster.start(2, "existing");
    cluster.wait_until_whole(2);
    assert_eq!(cluster.value(2, "/a?quorum=true").as_deref(), Some("2"));
    let after = cluster.listed(0);
    let id = |listed: &[(String, String)]| listed.iter().find(|(name, _)| name == "n3").cloned();
    assert!(after.len() == 3 && id(&after) != id(&before), "{after:?}");
}

/// How far a member has applied the log.
fn applied(cluster: &Cluster, member: usize) -> u64 {
    metric(cluster, member, "spinney_applied_index")
}

/// A copy of a directory, put back in its place.
fn put_back(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for file in from.read_dir().unwrap().map(Result::unwrap) {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[test]
fn a_member_whose_directory_was_put_back_from_an_old_copy_ends_and_says_so() {
    let mut cluster = Cluster::of_three(&[]);
    assert!(cluster.set(0, "/a", "1"));
    let leader = cluster.leader(&[0, 1, 2]);
    let victim = (leader + 1) % 3;
    wait_until("it has it", || cluster.value(victim, "/a").is_some());
    cluster.stop(victim);
    let copy = cluster.data(victim).with_extension("copy");
    put_back(&cluster.data(victim), &copy);
    cluster.start(victim, "new");
    cluster.wait_until_whole(victim);
    assert!((0..20).all(|n| cluster.set(leader, "/b", &n.to_string())));
    wait_until("it has it", || cluster.value(victim, "/b").as_deref() == Some("19"));
    cluster.kill(victim);
    put_back(&copy, &cluster.data(victim));

    // Its lives are numbered as if it had not lived meanwhile, and those that were heard are not heard again: the first
    // that is, is told.
    let said = cluster.said(victim).len();
    for _ in 0..50 {
        let before = turned_away(&cluster, leader);
        cluster.start(victim, "new");
        let mut is_over = false;
        for _ in 0..300 {
            is_over = cluster.said(victim)[said..].contains("has lost data that its cluster counts on");
            if is_over || turned_away(&cluster, leader) > before {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        if is_over {
            break;
        }
        cluster.kill(victim);
    }
    assert_eq!(cluster.ended(victim), Some(1), "{}", cluster.said(victim));
    assert!(cluster.set(leader, "/a", "2"), "nobody else minds");
}
