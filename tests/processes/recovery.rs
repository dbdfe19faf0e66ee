//! Two of three members are lost for good.

use std::process::Output;

use crate::cluster::{Cluster, spinney};
use crate::support::run::Run as _;
use crate::support::wait_until;

/// `spinney recover …` on the directory of a member: exit code, stdout, stderr.
fn recover(cluster: &Cluster, member: usize, flags: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        spinney().arg("recover").args(flags).arg(cluster.data(member)).run();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// Three members that have written, of which two are gone; the third one still runs.
fn two_lost() -> Cluster {
    let mut cluster = Cluster::of_three(&[]);
    assert!(cluster.set(0, "/a", "1"));
    wait_until("the survivor has it", || cluster.value(2, "/a").is_some());
    cluster.kill(0);
    cluster.kill(1);
    assert!(!cluster.set(2, "/a", "2"));
    cluster
}

#[test]
fn recover_says_what_is_lost_and_the_survivor_serves_again() {
    let mut cluster = two_lost();
    let (code, _, err) = recover(&cluster, 2, &["--yes"]);
    assert!(code == Some(1) && err.contains("is in use by another process"), "{err}");
    cluster.kill(2);

    let (code, out, err) = recover(&cluster, 2, &["--dry-run"]);
    assert_eq!((code, err.as_str()), (Some(1), ""));
    for says in ["kept: n3 (member 3 of cluster ", "lost: n1 (member 1, 127.", "lost: n2 (member 2, 127."] {
        assert!(out.contains(says), "{out}");
    }
    let (code, _, err) = recover(&cluster, 2, &[]);
    assert!(code == Some(1) && err.contains("--yes goes ahead"), "nobody was asked: {err}");

    let (code, recovered, err) = recover(&cluster, 2, &["--yes"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{recovered}");
    assert!(
        recovered.starts_with(&out) && recovered.contains("the index goes on at 10000000"),
        "{recovered}"
    );
    let (code, _, err) = recover(&cluster, 2, &["--yes"]);
    assert!(code == Some(1) && err.contains("it is a cluster of one already"), "{err}");

    // The same flags as ever.
    cluster.start(2, "new");
    cluster.wait_until_well();
    assert!(cluster.set(2, "/b", "2") && cluster.value(2, "/a?quorum=true").is_some());
    assert_eq!(cluster.listed(2).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["n3"]);
}

#[test]
fn serve_recovers_when_it_is_forced_to_and_does_so_once() {
    let mut cluster = two_lost();
    cluster.kill(2);
    for round in 0..2 {
        cluster.start_with(2, "new", &["--force-new-cluster"]);
        cluster.wait_until_well();
        assert!(cluster.set(2, &format!("/round/{round}"), "1"));
        cluster.kill(2);
    }
    let said = cluster.said(2);
    assert_eq!(said.matches("--force-new-cluster: lost: n").count(), 2, "{said}");
    assert!(said.contains("note: --force-new-cluster changes nothing: "), "{said}");
    cluster.start(2, "new");
    cluster.wait_until_well();
    assert!(cluster.value(2, "/round/0").is_some() && cluster.value(2, "/a").is_some());
}
