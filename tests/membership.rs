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
    assert!(matches!(builder.clone().open(), Err(Error::Net(NetError::Insecure { .. }))));
    assert_eq!(first.cluster().members().len(), 1, "nobody has asked");
    let second = builder.allow_insecure_peers().open().unwrap();
    assert!(second.cluster().unwrap().address().ip().is_unspecified());
}

/// Three members, and what they say to each other.
struct Trio {
    links: Links,
    stores: Vec<Store>,
    _directories: [TempDir; 3],
}

impl Trio {
    /// A change waits so long for its answer.
    fn new(request_timeout: Duration) -> Self {
        let (listening, directories) = (free_addresses(3), [directory(), directory(), directory()]);
        let links = Links::between(&listening);
        let peers: Vec<_> = (0..3).map(|n| (format!("n{}", n + 1), links.address(n).to_string())).collect();
        let open = |n: usize| {
            let builder = Store::builder().dir(directories[n].path()).member(&*peers[n].0);
            // A leader that is not heard is not missed before it is asked.
            let builder = builder.election_timeout(Duration::from_secs(2), Duration::from_secs(3));
            let builder = builder.listen(listening[n].to_string()).peers(peers.clone());
            builder.request_timeout(request_timeout).open().unwrap()
        };
        let stores = (0..3).map(open).collect();
        Self { links, stores, _directories: directories }
    }

    fn cluster(&self, n: usize) -> spinney::Cluster {
        self.stores[n].cluster().unwrap()
    }

    fn leader(&self) -> usize {
        let mut leader = None;
        wait_until("a leader", || {
            leader = (0..3).find(|&n| self.cluster(n).is_leader());
            leader.is_some()
        });
        leader.unwrap()
    }
}

fn is_unknown<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Unavailable { may_have_applied: true, .. }))
}

/// The leader does what it was asked, and nobody hears of it who asked.
#[test]
fn who_was_asked_for_a_change_and_is_not_heard_from_may_have_made_it() {
    // It is not for lack of time that nobody knows.
    let trio = Trio::new(Duration::from_secs(60));
    let leader = trio.leader();
    let (asked, third) = ((leader + 1) % 3, (leader + 2) % 3);
    let absent = trio.cluster(leader).add("n4", ["127.0.0.1:1"]).unwrap();
    wait_until("all know", || (0..3).all(|n| trio.cluster(n).members().len() == 4));

    trio.links.line(leader, asked).freeze();
    let outcome = std::thread::scope(|scope| {
        let asking = scope.spawn(|| trio.cluster(asked).remove(absent));
        wait_until("it is removed", || trio.cluster(third).members().len() == 3);
        wait_until("the leader is missed", || trio.cluster(asked).leader().is_none());
        trio.links.mend();
        asking.join().unwrap()
    });
    assert!(is_unknown(&outcome) || outcome.is_ok(), "{outcome:?}");
    wait_until("it knows", || trio.cluster(asked).members().len() == 3);
}

/// Nobody but the leader has the change, and another one leads before they hear of it.
#[test]
fn a_change_that_others_have_not_agreed_to_is_not_said_to_be_made() {
    let trio = Trio::new(Duration::from_secs(10));
    let leader = trio.leader();
    let other = (leader + 1) % 3;
    trio.stores[leader].set("/a", "1").unwrap();
    let all = [0, 1, 2];
    trio.links.lines(&[leader], &all).for_each(|line| line.freeze());
    let outcome = std::thread::scope(|scope| {
        let asking = scope.spawn(|| trio.cluster(leader).add("n4", ["127.0.0.1:1"]));
        wait_until("another one leads", || all.iter().any(|&n| n != leader && trio.cluster(n).is_leader()));
        trio.links.lines(&[leader], &all).for_each(|line| line.cut_once());
        trio.links.mend();
        trio.stores[other].set("/a", "2").unwrap();
        wait_until("it is taken back", || trio.cluster(leader).members().len() == 3);
        // What others agree on later is no answer to what was asked.
        let another = trio.cluster(other).add("n5", ["127.0.0.1:2"]).unwrap();
        wait_until("it knows", || trio.cluster(leader).members().iter().any(|member| member.id == another));
        asking.join().unwrap()
    });
    assert!(is_unknown(&outcome), "{outcome:?}");
}
