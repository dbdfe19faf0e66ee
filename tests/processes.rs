//! Three and five `spinney serve` on loopback: real processes, real disks, clients from all sides, kill -9, and links
//! that fail.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so")]

#[path = "http/client.rs"]
#[allow(dead_code, reason = "others use more of it")]
mod client;
#[path = "processes/cluster.rs"]
mod cluster;
#[path = "processes/forwarding.rs"]
mod forwarding;
#[path = "processes/founders.rs"]
mod founders;
#[path = "support/linear.rs"]
#[allow(unreachable_pub, reason = "the simulator has it as a public module")]
mod linear;
#[path = "support/links.rs"]
mod links;
#[path = "processes/load.rs"]
mod load;
#[path = "processes/moving.rs"]
mod moving;
#[path = "processes/proxy.rs"]
mod proxy;
#[path = "processes/readme.rs"]
mod readme;
#[path = "processes/recovery.rs"]
mod recovery;
#[path = "processes/refusals.rs"]
mod refusals;
#[path = "processes/registers.rs"]
mod registers;
#[path = "processes/removal.rs"]
mod removal;
#[path = "processes/rolling.rs"]
mod rolling;
#[path = "processes/statistics.rs"]
mod statistics;
#[path = "processes/storm.rs"]
mod storm;
#[path = "processes/strangers.rs"]
mod strangers;
mod support;
#[path = "processes/watchers.rs"]
mod watchers;

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use cluster::{Cluster, json, spinney, url};
use load::{Ending, Load};
use support::run::Run as _;
use support::wait_until;

#[test]
fn a_minority_refuses_writes_and_says_so() {
    let mut cluster = Cluster::of_three(&[]);
    assert!(cluster.set(0, "/a", "1"));
    let survivor = (cluster.leader(&[0]) + 1) % 3;
    let others: Vec<_> = (0..3).filter(|&member| member != survivor).collect();
    wait_until("the survivor has it", || cluster.value(survivor, "/a").is_some());
    others.iter().for_each(|&member| cluster.kill(member));

    for (method, target, form) in
        [("PUT", "/v2/keys/a", Some("value=2")), ("GET", "/v2/keys/a?quorum=true", None)]
    {
        let reply = cluster.ask(survivor, method, target, form).unwrap();
        assert_eq!(reply.head.status, 500, "{}", reply.text());
        assert_eq!(json(&reply)["errorCode"], 300, "{}", reply.text());
    }
    assert_eq!(cluster.value(survivor, "/a").as_deref(), Some("1"), "what is here can be read");
    let health = cluster.ask(survivor, "GET", "/health", None).unwrap();
    assert_eq!((health.head.status, health.text().as_str()), (503, "{\"health\":\"false\"}\n"));
    let leader = cluster.ask(survivor, "GET", "/v2/members/leader", None).unwrap();
    assert_eq!((leader.head.status, leader.text().as_str()), (503, r#"{"message":"During election"}"#));
    let endpoint = url(cluster.members[survivor].clients);
    let output = spinney().args(["--endpoints", &endpoint, "cluster-health"]).run();
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("cluster is unavailable\n"));

    cluster.start(others[0], "new");
    wait_until("two of three take writes", || cluster.set(survivor, "/a", "3"));
    assert_eq!(cluster.value(others[0], "/a?quorum=true").as_deref(), Some("3"));
}

/// `spinney member …` at a member, which must go well.
fn member(cluster: &Cluster, at: usize, words: &[&str]) -> String {
    let endpoint = url(cluster.members[at].clients);
    let output = spinney().args(["--endpoints", &endpoint, "--no-sync", "member"]).args(words).run();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn members_come_and_go_while_others_write() {
    let mut cluster = Cluster::of_three(&[]);
    // One more than the founders, and one watcher that goes from member to member.
    let fourth = cluster.new_member();
    let load = Load::new(cluster.addresses(), 1);
    let last = OnceLock::new();
    let until = || last.get().copied();
    let (written, told, rest) = std::thread::scope(|scope| {
        let ending = Ending(&load);
        let writer = scope.spawn(|| load.write(0));
        let watcher = scope.spawn(|| watchers::watch(&load, 0, &load.addresses, &until));
        // A place is made, and taken by whoever is reached there.
        let added = member(&cluster, 0, &["add", "n4", &url(cluster.members[fourth].peers)]);
        assert!(added.contains("ETCD_INITIAL_CLUSTER_STATE=\"existing\""), "{added}");
        let promised = cluster.listed(0).into_iter().find(|(name, _)| name.is_empty()).unwrap().1;
        assert!(added.contains(&format!("with ID {promised} ")), "{added}");
        cluster.start(fourth, "existing");
        cluster.wait_until_well();
        assert!(cluster.listed(fourth).contains(&("n4".to_owned(), promised)));
        cluster.wait_until_whole(fourth);

        // The leader goes, and another one leads.
        let leader = cluster.leader(&[0]);
        let id =
            cluster.listed(0).into_iter().find(|(name, _)| *name == cluster.members[leader].name).unwrap().1;
        let rest: Vec<_> = (0..4).filter(|&member| member != leader).collect();
        assert_eq!(
            member(&cluster, rest[0], &["remove", &id]),
            format!("Removed member {id} from cluster\n")
        );
        wait_until("the removed one is not well", || !cluster.is_well(leader));
        cluster.kill(leader);
        rest.iter().for_each(|&member| cluster.wait_until_whole(member));

        // One that has lost its disk comes back under its name, as a new one.
        let lost = rest[0];
        let name = cluster.members[lost].name.clone();
        let id_of = |cluster: &Cluster, at: usize| {
            cluster.listed(at).into_iter().find(|(other, _)| *other == name).map(|(_, id)| id)
        };
        let before = id_of(&cluster, rest[1]).unwrap();
        cluster.kill(lost);
        std::fs::remove_dir_all(cluster.data(lost)).unwrap();
        wait_until("a leader beside the one that was lost", || cluster.is_well(rest[1]));
        cluster.start(lost, "existing");
        cluster.wait_until_well();
        assert_ne!(id_of(&cluster, rest[1]).unwrap(), before);

        let beyond = load.acknowledged.load(Ordering::Relaxed) + 10;
        wait_until("writes go on", || load.acknowledged.load(Ordering::Relaxed) >= beyond);
        drop(ending);
        let written = writer.join().unwrap();
        assert_eq!(cluster.listed(rest[2]).len(), 3);
        for &member in &rest {
            assert!(cluster.set(member, &format!("/through/{member}"), "1"));
        }
        last.set(cluster.set_last(&rest)).unwrap();
        (written, watcher.join().unwrap(), rest)
    });
    storm::are_equal(&cluster, &rest, &told);
    storm::are_complete(&[written], &told);
}

#[test]
fn whoever_does_not_know_the_secret_stays_outside() {
    let directory = support::directory();
    let secret = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (right, wrong) =
        (secret("right", "a secret of many words\n"), secret("wrong", "another one of many words"));
    let cluster = Cluster::of_three(&["--peer-secret-file", &right]);
    assert!(cluster.set(1, "/a", "1"));

    let refused = |words: &[&str]| {
        let mut command = spinney();
        command.args(["serve", "--name", "n4", "--listen-client-urls", "http://127.0.0.1:0", "--data-dir"]);
        let output = command.arg(directory.path().join("n4")).args(words).run();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let existing = ["--initial-cluster-state", "existing", "--initial-cluster", &cluster.initial_cluster()];
    let own = ["--listen-peer-urls", "127.0.0.1:0"];
    let said = refused(&[&existing[..], &own, &["--peer-secret-file", &wrong]].concat());
    assert!(said.contains("no member has let this one in"), "{said}");
    let said = refused(&[&existing[..], &own].concat());
    assert!(said.contains("no member has let this one in"), "{said}");
    let said = refused(&["--listen-peer-urls", "0.0.0.0:0", "--initial-advertise-peer-urls", "127.0.0.1:1"]);
    assert!(said.contains("--allow-insecure-peers"), "{said}");
    for allowing in [&["--allow-insecure-peers"][..], &["--peer-secret-file", &right]] {
        let (own, mut command) = (support::directory(), spinney());
        command.args(["serve", "--name", "n4", "--listen-client-urls", "http://127.0.0.1:0", "--data-dir"]);
        command.arg(own.path()).args(["--listen-peer-urls", "0.0.0.0:0"]);
        command.args(["--initial-advertise-peer-urls", "127.0.0.1:1"]).args(allowing);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap()).lines();
        let serves = said.map_while(Result::ok).any(|line| line.contains("serves clients on"));
        let _ = (child.kill(), child.wait());
        assert!(serves, "{allowing:?}");
    }
    let short = secret("short", "short");
    let said = refused(&[&own[..], &["--peer-secret-file", &short]].concat());
    assert!(said.contains("has 5 bytes and wants at least 16"), "{said}");
    assert_eq!(cluster.listed(0).len(), 3);
}
