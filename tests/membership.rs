//! Changes of the members that a program asks for: what is done, and what is refused and why.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

#[path = "support/links.rs"]
#[allow(dead_code, reason = "others spoil more of it")]
mod links;
mod support;

use std::time::Duration;

use links::Links;

use spinney::{Denied, Error, MemberId, NetError, Store};
use support::places::free_addresses;
use support::{directory, wait_until};
use tempfile::TempDir;

/// A member, and where its data is.
struct Member {
    store: Store,
    _directory: TempDir,
}

impl Member {
    /// Founds a cluster, or joins the one that the member at an address belongs to.
    fn open(name: &str, join: Option<&Member>) -> Self {
        let directory = directory();
        let builder = Store::builder().dir(directory.path()).member(name).listen("127.0.0.1:0");
        let builder = builder.request_timeout(Duration::from_secs(1));
        let builder = match join {
            None => builder,
            Some(other) => builder.join(other.address()).learner(),
        };
        Self { store: builder.open().unwrap(), _directory: directory }
    }

    fn cluster(&self) -> spinney::Cluster {
        self.store.cluster().unwrap()
    }

    fn address(&self) -> String {
        self.cluster().address().to_string()
    }

    fn id(&self) -> MemberId {
        self.cluster().this()
    }

    /// Whether it has a vote, as `at` knows.
    fn is_voter(&self, at: &Member) -> bool {
        let id = self.id();
        at.cluster().members().into_iter().any(|member| member.id == id && member.is_voter)
    }
}

fn denied<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Denied {
    match outcome {
        Err(Error::Denied { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn votes_are_given_and_taken_and_the_lead_is_handed_over() {
    let first = Member::open("n1", None);
    let second = Member::open("n2", Some(&first));
    first.store.set("/a", "1").unwrap();
    assert!(!second.is_voter(&first), "it is to stay a learner");
    assert_eq!(denied(first.cluster().transfer(Some(second.id()))), Denied::NoSuchMember);
    assert_eq!(denied(first.cluster().transfer(None)), Denied::NoSuchMember);

    // Any member may be asked.
    second.cluster().promote(second.id()).unwrap();
    assert!(second.is_voter(&second) && second.is_voter(&first));
    assert_eq!(denied(second.cluster().promote(second.id())), Denied::Exists);
    assert_eq!(denied(first.cluster().transfer(Some(first.id()))), Denied::Pointless);
    first.cluster().transfer(Some(second.id())).unwrap();
    assert_eq!(first.cluster().leader(), Some(second.id()));
    wait_until("the other knows that it leads", || second.cluster().is_leader());
    first.store.set("/a", "2").unwrap();
    second.cluster().transfer(None).unwrap();
    wait_until("the other leads", || first.cluster().is_leader());

    first.cluster().demote(second.id()).unwrap();
    assert!(!second.is_voter(&first));
    assert_eq!(denied(first.cluster().demote(second.id())), Denied::NoSuchMember);
    assert_eq!(denied(first.cluster().demote(first.id())), Denied::Pointless);
    assert_eq!(second.store.get_latest("/a").unwrap().text(), Some("2"));
    second.store.set("/a", "3").unwrap();
    first.cluster().remove(second.id()).unwrap();
    wait_until("it is told", || second.cluster().is_removed());
    assert_eq!(first.cluster().members().len(), 1);
}

#[test]
fn what_cannot_be_changed_is_refused_with_the_reason() {
    let first = Member::open("n1", None);
    let second = Member::open("n2", Some(&first));
    let (cluster, nobody) = (first.cluster(), MemberId::new(99));
    for outcome in [cluster.promote(nobody), cluster.demote(nobody), cluster.remove(nobody)] {
        assert_eq!(denied(outcome), Denied::NoSuchMember);
    }
    assert_eq!(denied(cluster.readdress(nobody, ["127.0.0.1:1"])), Denied::NoSuchMember);
    assert_eq!(denied(cluster.readdress(second.id(), [first.address()])), Denied::Exists);
    assert_eq!(denied(cluster.readdress(second.id(), [second.address()])), Denied::Pointless);
    assert_eq!(denied(cluster.add("n3", [second.address()])), Denied::Exists);
    assert_eq!(denied(cluster.remove(first.id())), Denied::Pointless, "somebody has to be left");

    // A place is made for one that never comes: it gets no vote.
    let absent = cluster.add("n3", ["127.0.0.1:1"]).unwrap();
    assert_eq!(denied(cluster.promote(absent)), Denied::NotCaughtUp);
    cluster.remove(absent).unwrap();
    assert_eq!(cluster.members().len(), 2);
}

#[test]
fn who_is_needed_cannot_be_dispensed_with() {
    let first = Member::open("n1", None);
    let (second, third) = (Member::open("n2", Some(&first)), Member::open("n3", Some(&first)));
    for member in [&second, &third] {
        first.cluster().promote(member.id()).unwrap();
    }
    let (gone, needed) = (third.id(), second.id());
    drop(third);
    wait_until("it is missed", || first.cluster().members().iter().any(|member| !member.is_reachable));
    // Without the second there would be two, of whom one is there.
    for cluster in [first.cluster(), second.cluster()] {
        assert_eq!(denied(cluster.remove(needed)), Denied::WouldLoseQuorum);
        assert_eq!(denied(cluster.demote(needed)), Denied::WouldLoseQuorum);
    }
    first.store.set("/a", "1").unwrap();

    first.cluster().remove(gone).unwrap();
    drop(second);
    wait_until("nobody leads", || first.cluster().leader().is_none());
    for outcome in [first.cluster().remove(needed), first.cluster().transfer(None)] {
        assert!(matches!(outcome, Err(Error::NoLeader)), "{outcome:?}");
    }
    assert!(first.cluster().add("n4", ["127.0.0.1:1"]).is_err());
}

#[test]
fn who_may_not_listen_is_not_let_in_before() {
    let first = Member::open("n1", None);
    let directory = directory();
    let builder = Store::builder().dir(directory.path()).member("n2").listen("0.0.0.0:0");
    let builder = builder.advertise("127.0.0.1:1").join(first.address());
    assert!(matches!(builder.open(), Err(Error::Net(NetError::Insecure { .. }))));
    assert_eq!(first.cluster().members().len(), 1, "nobody has asked");
}

/// The leader does what it was asked, and nobody hears of it who asked.
#[test]
fn who_was_asked_for_a_change_and_is_not_heard_from_may_have_made_it() {
    let listening = free_addresses(3);
    let links = Links::between(&listening);
    let peers: Vec<_> = (0..3).map(|n| (format!("n{}", n + 1), links.address(n).to_string())).collect();
    let directories = [directory(), directory(), directory()];
    let open = |n: usize| {
        let builder = Store::builder().dir(directories[n].path()).member(&*peers[n].0);
        builder.listen(listening[n].to_string()).peers(peers.clone()).open().unwrap()
    };
    let stores = [open(0), open(1), open(2)];
    let clusters = stores.each_ref().map(|store| store.cluster().unwrap());
    clusters[0].wait_for_leader(Duration::from_secs(30)).unwrap();
    let leader = clusters.iter().position(spinney::Cluster::is_leader).unwrap();
    let (asked, third) = ((leader + 1) % 3, (leader + 2) % 3);
    let absent = clusters[leader].add("n4", ["127.0.0.1:1"]).unwrap();
    wait_until("all know", || clusters.iter().all(|cluster| cluster.members().len() == 4));

    links.line(leader, asked).freeze();
    let outcome = std::thread::scope(|scope| {
        let asking = scope.spawn(|| clusters[asked].remove(absent));
        wait_until("it is removed", || clusters[third].members().len() == 3);
        wait_until("the leader is missed", || clusters[asked].leader().is_none());
        links.mend();
        asking.join().unwrap()
    });
    let is_told_so = matches!(outcome, Err(Error::Unavailable { may_have_applied: true, .. }));
    assert!(is_told_so || outcome.is_ok(), "{outcome:?}");
    wait_until("it knows", || clusters[asked].members().len() == 3);
}
