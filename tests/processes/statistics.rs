//! What `/v2/stats` tells of a cluster, on whoever leads and on the others.

use serde_json::Value;

use crate::cluster::{Cluster, json};
use crate::support::wait_until;

fn told(cluster: &Cluster, member: usize, what: &str) -> (u16, Value) {
    let reply = cluster.ask(member, "GET", &format!("/v2/stats/{what}"), None).unwrap();
    (reply.head.status, json(&reply))
}

/// A moment as text, so that an earlier one sorts before a later one.
fn moment(time: &Value) -> String {
    let text = time.as_str().unwrap().trim_end_matches('Z');
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{seconds}.{fraction:0<9}")
}

/// Checks what these members say, and returns since when `leader` has led.
fn agree(cluster: &Cluster, members: &[usize], leader: usize) -> String {
    let ids = cluster.listed(leader);
    let id = |member: usize| {
        let name = &cluster.members[member].name;
        ids.iter().find(|(listed, _)| listed == name).unwrap().1.clone()
    };
    for &member in members {
        let (_, own) = told(cluster, member, "self");
        assert_eq!(own["name"], cluster.members[member].name.as_str());
        assert_eq!(own["id"], id(member).as_str());
        let state = if member == leader { "StateLeader" } else { "StateFollower" };
        assert_eq!((&own["state"], &own["leaderInfo"]["leader"]), (&state.into(), &id(leader).into()));
        let (status, followers) = told(cluster, member, "leader");
        if member == leader {
            let known: Vec<_> = followers["followers"].as_object().unwrap().keys().cloned().collect();
            let mut expected: Vec<_> = (0..3).filter(|&other| other != leader).map(id).collect();
            expected.sort_unstable();
            assert_eq!((status, &followers["leader"], known), (200, &id(leader).into(), expected));
        } else {
            assert_eq!((status, &followers["message"]), (403, &"not current leader".into()));
        }
    }
    moment(&told(cluster, leader, "self").1["leaderInfo"]["startTime"])
}

/// Checks that what the leader sends is what the others receive, and what it says of them.
fn traffic_is_told(cluster: &Cluster, leader: usize) {
    let number = |told: &Value, what: &str| told[what].as_f64().unwrap_or(0.0);
    let others: Vec<_> = (0..3).filter(|&other| other != leader).collect();
    wait_until("rates are told while there are writes", || {
        (0..50).for_each(|n| assert!(cluster.set(leader, "/a", &n.to_string())));
        let (_, sends) = told(cluster, leader, "self");
        let receive = |&other: &usize| {
            let (_, own) = told(cluster, other, "self");
            number(&own, "recvPkgRate") > 0.0
                && number(&own, "recvBandwidthRate") > number(&own, "recvPkgRate")
        };
        number(&sends, "sendPkgRate") > 0.0
            && number(&sends, "sendBandwidthRate") > number(&sends, "sendPkgRate")
            && others.iter().all(receive)
    });
    let (_, sends) = told(cluster, leader, "self");
    let received: f64 =
        others.iter().map(|&other| number(&told(cluster, other, "self").1, "recvAppendRequestCnt")).sum();
    assert!(number(&sends, "sendAppendRequestCnt") >= 100.0 && received >= 100.0, "{sends} {received}");

    let (_, told) = told(cluster, leader, "leader");
    for (_, follower) in told["followers"].as_object().unwrap() {
        let latency = |what: &str| number(&follower["latency"], what);
        let (least, mean, most) = (latency("minimum"), latency("average"), latency("maximum"));
        assert!(0.0 < least && least <= mean && mean <= most && most < 60_000.0, "{told}");
        assert!(least <= latency("current") && latency("current") <= most, "{told}");
        assert!(latency("standardDeviation") <= most, "{told}");
        // Whoever is slower acknowledges many at once.
        assert!(follower["counts"]["success"].as_u64() > Some(0), "{told}");
        assert!(follower["counts"]["fail"].is_u64(), "{told}");
    }
}

#[test]
fn all_tell_who_leads_and_since_when() {
    let mut cluster = Cluster::of_three(&[]);
    let leader = cluster.leader(&[0, 1, 2]);
    (0..3).for_each(|member| cluster.wait_until_whole(member));
    let before = agree(&cluster, &[0, 1, 2], leader);
    // Each counts what is asked of it, and what it does for others.
    assert!(cluster.set((leader + 1) % 3, "/a", "1"));
    assert_eq!(told(&cluster, (leader + 1) % 3, "store").1["setsSuccess"], 1);

    traffic_is_told(&cluster, leader);

    cluster.kill(leader);
    let rest: Vec<_> = (0..3).filter(|&member| member != leader).collect();
    let mut next = leader;
    wait_until("another one leads, and both know", || {
        next = cluster.leader(&rest);
        next != leader && rest.iter().all(|&member| cluster.leader(&[member]) == next)
    });
    let since = agree(&cluster, &rest, next);
    assert!(since > before, "{since} is after {before}");
}
