//! Founders whose directories are empty: new ones, late ones, and those that have lost their disk.

use std::fs;

use crate::cluster::Cluster;
use crate::strangers::turned_away;
use crate::support::wait_until;

#[test]
fn a_founder_that_lost_its_disk_does_not_help_to_forget_what_was_acknowledged() {
    let mut cluster = Cluster::of_three(&[]);
    assert!(cluster.set(0, "/a", "first"));
    wait_until("all have it", || (0..3).all(|member| cluster.value(member, "/a").is_some()));
    cluster.kill(1);
    wait_until("a write without n2", || cluster.set(0, "/a", "acknowledged"));
    cluster.kill(0);
    cluster.kill(2);
    fs::remove_dir_all(cluster.data(2)).unwrap();

    // n1 is the only one left that has it. The other two are a majority, and n3 does not know that it had it.
    cluster.start(2, "new");
    cluster.start(1, "new");
    assert!(!cluster.set(1, "/b", "1"), "nobody can know what was acknowledged: {}", cluster.said(2));
    assert_eq!(cluster.value(1, "/a?quorum=true"), None);

    cluster.start(0, "new");
    wait_until("n1 and n2 are enough", || cluster.set(1, "/b", "1"));
    assert_eq!(cluster.value(1, "/a?quorum=true").as_deref(), Some("acknowledged"));
    // It had time to go on record, so it is found out; had it not, it would be a member like any other.
    wait_until("n3 is told", || {
        let said = cluster.said(2);
        said.contains("has lost data that its cluster counts on")
            || said.contains("an empty directory, while its cluster knows it from before")
            || cluster.value(2, "/a").as_deref() == Some("acknowledged")
    });
}

#[test]
fn a_founder_that_comes_late_waits_for_all_who_may_know_it() {
    let mut cluster = Cluster::prepared(3, &[]);
    cluster.start(0, "new");
    cluster.start(1, "new");
    wait_until("two of three begin", || cluster.set(0, "/a", "1"));
    cluster.kill(0);
    // n2 does not know what n1 may have agreed on with n3.
    cluster.start(2, "new");
    let waits = "this member takes no part yet, and waits to hear from n1 whether it has lost anything";
    wait_until("n3 says for whom it waits", || cluster.said(2).contains(waits));
    assert!(!cluster.set(1, "/b", "1"), "{}", cluster.said(2));
    // Nor does it know more after a restart.
    cluster.kill(2);
    cluster.start(2, "new");
    wait_until("n3 says so again", || cluster.said(2).matches(waits).count() == 2);

    cluster.start(0, "new");
    cluster.wait_until_whole(2);
    let over = "those that this member waited for have answered: it takes part";
    wait_until("n3 says that it waits no more", || cluster.said(2).contains(over));
    assert_eq!(cluster.value(2, "/a?quorum=true").as_deref(), Some("1"));
    // And is as good as any other.
    cluster.kill(0);
    wait_until("n2 and n3 are enough", || cluster.set(2, "/a", "2"));
}

#[test]
fn who_is_there_and_does_not_answer_may_have_what_is_missing() {
    let mut cluster = Cluster::prepared(3, &[]);
    cluster.start(2, "new");
    let waits = "this member takes no part yet, and waits to hear from n1 and n2";
    wait_until("n3 waits", || cluster.said(2).contains(waits));
    cluster.signal(2, "STOP");
    cluster.start(0, "new");
    cluster.start(1, "new");
    let waits = "this member takes no part yet, and waits to hear from n3";
    wait_until("n1 and n2 are a majority, and wait", || (0..2).all(|n| cluster.said(n).contains(waits)));
    assert!(!cluster.set(0, "/a", "1"), "n3 may have had more: {}", cluster.said(0));
    cluster.signal(2, "CONT");
    wait_until("all begin", || cluster.set(0, "/a", "1"));
    cluster.wait_until_whole(2);
}

#[test]
fn a_founder_that_took_no_part_yet_joins_as_a_new_member_only_when_it_is_emptied() {
    let mut cluster = Cluster::prepared(3, &[]);
    cluster.start(0, "new");
    cluster.start(1, "new");
    wait_until("two of three begin", || cluster.set(0, "/a", "1"));
    cluster.kill(0);
    cluster.start(2, "new");
    wait_until("it has a directory", || cluster.said(2).contains("takes no part yet"));
    cluster.kill(2);
    cluster.start(0, "new");
    cluster.wait_until_well();
    cluster.start(2, "existing");
    assert_eq!(cluster.ended(2), Some(1));
    let said = cluster.said(2);
    assert!(said.contains("emptied, it joins as a new member"), "{said}");
    fs::remove_dir_all(cluster.data(2)).unwrap();
    cluster.start(2, "existing");
    cluster.wait_until_whole(2);
    assert_eq!(cluster.value(2, "/a?quorum=true").as_deref(), Some("1"));
}

#[test]
fn a_lone_founder_that_lost_its_disk_begins_another_cluster() {
    let mut cluster = Cluster::prepared(1, &[]);
    cluster.start(0, "new");
    cluster.wait_until_well();
    cluster.new_member();
    cluster.start(1, "existing");
    cluster.wait_until_whole(1);
    assert!(cluster.set(0, "/a", "1"));
    wait_until("the other one has it", || cluster.value(1, "/a").is_some());
    cluster.kill(0);
    fs::remove_dir_all(cluster.data(0)).unwrap();
    // With the flags with which it began.
    let other = cluster.members.pop().unwrap();
    cluster.start(0, "new");
    cluster.wait_until_well();
    cluster.members.push(other);
    assert_eq!(cluster.value(0, "/a?quorum=true"), None, "it has nothing, and nobody to ask");
    assert_ne!(cluster_id(&cluster, 0), cluster_id(&cluster, 1));
    // The one that is left is no part of that, and decides nothing alone.
    wait_until("it calls, and is turned away", || turned_away(&cluster, 0) > 0);
    assert!(!cluster.set(1, "/a", "2"));
    assert_eq!(cluster.value(1, "/a").as_deref(), Some("1"));
}

fn cluster_id(cluster: &Cluster, member: usize) -> String {
    let reply = cluster.ask(member, "GET", "/v2/keys/", None).unwrap();
    reply.head.headers.iter().find(|(name, _)| name == "X-Etcd-Cluster-Id").unwrap().1.clone()
}
