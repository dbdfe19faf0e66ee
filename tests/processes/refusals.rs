//! Changes of the members that cannot be made, and what is said of them: before those who ask have gone.

use std::process::Output;

use crate::cluster::{Cluster, json, spinney, url};
use crate::support::run::Run as _;
use crate::support::wait_until;

/// Exit code and stderr of `spinney member …` at one member.
fn refused(cluster: &Cluster, at: usize, words: &[&str]) -> (Option<i32>, String) {
    let endpoint = url(cluster.members[at].clients);
    let Output { status, stdout, stderr } =
        spinney().args(["--endpoints", &endpoint, "--no-sync", "member"]).args(words).run();
    assert!(stdout.is_empty(), "{words:?}: {}", String::from_utf8_lossy(&stdout));
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// The id of a member, and where it is reached, as `at` tells.
fn id(cluster: &Cluster, at: usize, member: usize) -> String {
    let name = &cluster.members[member].name;
    cluster.listed(at).into_iter().find(|(listed, _)| listed == name).unwrap().1
}

#[test]
fn a_change_that_would_leave_too_few_within_reach_is_refused_at_once() {
    let mut cluster = Cluster::of_three(&[]);
    let leader = cluster.leader(&[0, 1, 2]);
    let (lost, other) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.kill(lost);
    wait_until("the leader knows who is lost", || {
        let metrics = cluster.ask(leader, "GET", "/metrics", None).unwrap();
        !metrics.text().contains("\nspinney_problems 0\n")
    });
    for at in [leader, other] {
        let alive = cluster.members[at].clients;
        let target = format!("/v2/members/{}", id(&cluster, at, other));
        let reply = cluster.ask(at, "DELETE", &target, None).unwrap();
        let why = "the leader refuses: too few of the voters would be within reach";
        assert_eq!(json(&reply)["message"], why);

        // etcdctl and our own client wait for two seconds, and have words of their own for the status.
        let id = id(&cluster, at, other);
        let said = format!(
            "Received an error trying to remove member {id}: client: etcd cluster is unavailable or misconfigured; \
             error #0: client: etcd member {} has no leader\n",
            url(alive)
        );
        assert_eq!(refused(&cluster, at, &["remove", &id]), (Some(1), said));
    }
    assert_eq!(cluster.listed(leader).len(), 3);
    assert!(cluster.set(other, "/a", "1"));

    // The one that is lost may go, and then there are two who need each other.
    let id = id(&cluster, leader, lost);
    wait_until("it has gone", || {
        cluster
            .ask(other, "DELETE", &format!("/v2/members/{id}"), None)
            .is_ok_and(|reply| reply.head.status == 204)
    });
    wait_until("two are left", || cluster.listed(leader).len() == 2);
    assert!(cluster.set(leader, "/a", "2"));
}

#[test]
fn without_a_leader_no_change_is_waited_for() {
    let mut cluster = Cluster::of_three(&[]);
    let survivor = 2;
    let id = id(&cluster, survivor, 0);
    cluster.kill(0);
    cluster.kill(1);
    wait_until("nobody leads", || {
        cluster.ask(survivor, "GET", "/v2/members/leader", None).is_ok_and(|reply| reply.head.status == 503)
    });
    let at = cluster.members[survivor].clients;
    let no_leader = format!(
        "client: etcd cluster is unavailable or misconfigured; error #0: client: etcd member {} has no leader\n",
        url(at)
    );
    assert_eq!(
        refused(&cluster, survivor, &["add", "n4", "http://127.0.0.1:1"]),
        (Some(1), format!("{no_leader}\n"))
    );
    assert_eq!(
        refused(&cluster, survivor, &["update", &id, "http://127.0.0.1:1"]),
        (Some(1), format!("{no_leader}\n"))
    );
    let removing = format!("Received an error trying to remove member {id}: {no_leader}");
    assert_eq!(refused(&cluster, survivor, &["remove", &id]), (Some(1), removing));
}
