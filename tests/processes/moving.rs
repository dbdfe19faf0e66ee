//! Members that are to be found elsewhere.

use crate::cluster::{Cluster, json, spinney, url};
use crate::support::places::free_address;
use crate::support::run::Run as _;
use crate::support::wait_until;

/// Tells the cluster, by another member, where a member will be, and then starts it there.
fn move_away(cluster: &mut Cluster, member: usize, other: usize) {
    // Until it has said itself where it is, it would say so after the cluster was told, too.
    let clients = url(cluster.members[member].clients);
    wait_until("it has introduced itself", || {
        let reply = cluster.ask(other, "GET", "/v2/members", None);
        reply.is_ok_and(|reply| reply.text().contains(&clients))
    });
    let place = free_address(&cluster.members[member].peers.ip().to_string());
    let listed = cluster.listed(other);
    let (_, id) = listed.iter().find(|(name, _)| *name == cluster.members[member].name).unwrap();
    let expected = format!("Updated member with ID {id} in cluster\n");
    let endpoint = url(cluster.members[other].clients);
    wait_until("the cluster is told", || {
        let arguments = ["--endpoints", &endpoint, "member", "update", id, &url(place)];
        let told = spinney().args(arguments).run();
        String::from_utf8(told.stdout).unwrap() == expected && told.status.success()
    });
    wait_until("everybody is told", || {
        [member, other].iter().all(|told| places(cluster, *told).contains(&url(place)))
    });
    cluster.stop(member);
    cluster.members[member].peers = place;
    cluster.start(member, "existing");
}

fn places(cluster: &Cluster, member: usize) -> Vec<String> {
    let Ok(reply) = cluster.ask(member, "GET", "/v2/members", None) else { return Vec::new() };
    let members = json(&reply)["members"].as_array().cloned().unwrap_or_default();
    let place = |member: &serde_json::Value| member["peerURLs"][0].as_str().unwrap_or_default().to_owned();
    let mut places: Vec<_> = members.iter().map(place).collect();
    places.sort();
    places
}

/// The third is away while the others move: it knows them only where they are no more. So they have to find it, where
/// they were told that it is.
#[test]
fn members_move_one_after_the_other_and_find_each_other() {
    let mut cluster = Cluster::of_three(&[]);
    assert!(cluster.set(0, "/a", "1"));
    move_away(&mut cluster, 2, 0);
    cluster.wait_until_whole(2);
    cluster.kill(2);
    for (member, other) in [(0, 1), (1, 0)] {
        move_away(&mut cluster, member, other);
        wait_until("the two decide", || cluster.set(other, "/a", "2"));
    }
    cluster.start(2, "existing");
    cluster.wait_until_well();
    (0..3).for_each(|member| cluster.wait_until_whole(member));
    assert_eq!(cluster.value(2, "/a?quorum=true").as_deref(), Some("2"));
    let mut expected: Vec<_> = cluster.members.iter().map(|member| url(member.peers)).collect();
    expected.sort();
    for member in 0..3 {
        assert_eq!(places(&cluster, member), expected);
    }
}

/// etcd would have to be told before. Who is there knows best where it listens.
#[test]
fn a_member_that_is_started_elsewhere_says_so_itself() {
    let mut cluster = Cluster::of_three(&[]);
    assert!(cluster.set(0, "/a", "1"));
    (0..3).for_each(|member| cluster.wait_until_whole(member));
    cluster.stop(2);
    let place = free_address(&cluster.members[2].peers.ip().to_string());
    cluster.members[2].peers = place;
    cluster.start(2, "new");
    wait_until("all know where it is", || {
        (0..3).all(|member| places(&cluster, member).contains(&url(place)))
    });
    // So it is found by those who did not know it before.
    for member in [0, 1] {
        cluster.kill(member);
        cluster.start(member, "new");
        cluster.wait_until_whole(member);
    }
    assert!(cluster.set(2, "/a", "2"));
}
