//! A member is removed for good.

use std::fs;

use crate::cluster::Cluster;
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
