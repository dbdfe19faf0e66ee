//! Directories of founders that have taken no part in anything yet, opened with other settings than before.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use spinney::internals::entry::{HardState, WriteSet};
use spinney::internals::wal::{FileDisk, Recovery, Wal, WalSettings};
use spinney::{Builder, ClusterId, Error, Identity, MemberId, Store, Term};
use support::places::founders;
use support::proxy::Proxy;
use support::{directory, wait_until};
use tempfile::TempDir;

type Peers = [(String, String)];

/// Founders that are told of each other, each with a directory.
struct Founders {
    directories: Vec<TempDir>,
    peers: Vec<(String, String)>,
}

impl Founders {
    fn new(count: usize) -> Self {
        let directories = (0..count).map(|_| directory()).collect();
        Self { directories, peers: founders(count) }
    }

    fn path(&self, n: usize) -> &Path {
        self.directories[n].path()
    }

    /// The `n`th, in its directory.
    fn founder(&self, n: usize) -> Builder {
        founder(self.path(n), &self.peers, n)
    }

    fn open(&self, n: usize) -> Store {
        self.founder(n).open().unwrap()
    }

    /// Its disk is lost.
    fn empty(&self, n: usize) {
        std::fs::remove_dir_all(self.path(n)).unwrap();
    }
}

/// The `n`th founder of `peers`, with its directory at `path`.
fn founder(path: &Path, peers: &Peers, n: usize) -> Builder {
    let (name, address) = peers[n].clone();
    let builder = support::small().dir(path).member(name).listen(address).peers(peers.to_vec());
    builder.request_timeout(Duration::from_secs(1))
}

fn cluster_of(store: &Store) -> ClusterId {
    store.cluster().unwrap().id()
}

/// The id of the cluster that a founder waits to begin, in a directory that it leaves behind.
fn wait_alone(path: &Path, peers: &Peers, n: usize) -> ClusterId {
    let store = founder(path, peers, n).open().unwrap();
    assert_eq!(store.cluster().unwrap().waits_for().len(), peers.len() - 1);
    cluster_of(&store)
}

fn refused(builder: Builder) -> &'static str {
    match builder.open() {
        Err(Error::InvalidSetting { setting, .. }) => setting,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_founder_that_has_not_begun_may_found_something_else() {
    let (directory, peers) = (directory(), founders(3));
    let first = wait_alone(directory.path(), &peers, 0);
    assert_eq!(wait_alone(directory.path(), &peers, 0), first, "nothing has changed");

    let with_token = || founder(directory.path(), &peers, 0).cluster_token("another");
    let second = cluster_of(&with_token().open().unwrap());
    assert_ne!(second, first);
    assert_eq!(wait_alone(directory.path(), &peers[..2], 0), {
        let anew = support::directory();
        wait_alone(anew.path(), &peers[..2], 0)
    });

    // Alone, it is nobody whom the others could take for theirs.
    let second = wait_alone(directory.path(), &peers, 0);
    let (name, address) = peers[0].clone();
    let alone = || support::small().dir(directory.path()).member(&name).listen(&address);
    let store = alone().open().unwrap();
    store.set("/a", "1").unwrap();
    let third = cluster_of(&store);
    assert_ne!(third, second);
    drop(store);
    // From now on it has begun, whatever it is told.
    let store = founder(directory.path(), &peers, 0).open().unwrap();
    assert_eq!((cluster_of(&store), store.get("/a").unwrap().text()), (third, Some("1")));
}

#[test]
fn without_listening_it_is_a_cluster_of_its_own_or_none() {
    let (directories, peers) = ([directory(), directory()], founders(3));
    let together = wait_alone(directories[0].path(), &peers, 0);
    wait_alone(directories[1].path(), &peers, 1);
    let store = support::small().dir(directories[0].path()).open().unwrap();
    store.set("/a", "1").unwrap();
    assert_ne!(store.status().cluster, together);
    assert_eq!(refused(support::small().dir(directories[1].path())), "listen");
}

#[test]
fn a_lone_beginning_that_was_interrupted_is_in_nobodys_way() {
    let (directory, peers) = (directory(), founders(3));
    let identity = Identity { cluster: ClusterId::new(7), member: MemberId::new(1) };
    let begin = || {
        let disk = Arc::new(FileDisk::open(directory.path(), true).unwrap());
        let settings = WalSettings { segment_bytes: 64 << 10, salt_seed: 1 };
        Wal::create(disk, settings, identity, None).unwrap().close().unwrap();
    };
    begin();
    let cluster = wait_alone(directory.path(), &peers, 0);
    assert_ne!(cluster, identity.cluster);
    assert_eq!(wait_alone(directory.path(), &peers, 0), cluster);
}

/// The directory is as that of a founder that has begun, and voted, and was given nothing since.
fn vote(path: &Path) {
    let recovery = Recovery::scan(Arc::new(FileDisk::open(path, false).unwrap())).unwrap();
    let me = recovery.identity().unwrap().member;
    let hard_state = HardState { term: Term::new(2), vote: Some(me), ..recovery.hard_state().unwrap() };
    let mut wal = recovery.into_wal(WalSettings { segment_bytes: 64 << 10, salt_seed: 1 }).unwrap();
    wal.append(&WriteSet { hard_state: Some(hard_state), ..WriteSet::default() }).unwrap();
    wal.close().unwrap();
}

#[test]
fn one_that_has_begun_leads_nobody_who_takes_it_for_another() {
    let (directories, peers) = ([directory(), directory()], founders(3));
    let (first, second) = (directories[0].path(), directories[1].path());
    let cluster = wait_alone(first, &peers, 0);
    wait_alone(second, &peers, 1);
    vote(first);
    vote(second);
    let store = founder(first, &peers, 0).open().unwrap();
    assert_eq!(cluster_of(&store), cluster);
    assert!(store.cluster().unwrap().waits_for().is_empty(), "it has begun");
    drop(store);
    // With fewer it would be a majority of others than those that it has begun with.
    assert_eq!(refused(founder(first, &peers[..2], 0)), "dir");
    assert_eq!(refused(support::small().dir(second)), "listen");
    let (name, address) = peers[0].clone();
    let listening = || support::small().dir(first).member(&name).listen(&address);
    assert_eq!(refused(listening().join(&peers[1].1)), "dir");
    let alone = listening().open().unwrap();
    alone.set("/a", "1").unwrap();
    assert_ne!(cluster_of(&alone), cluster);
}

#[test]
fn what_a_founder_was_told_binds_it_to_its_cluster() {
    let founders = Founders::new(5);
    let stores: Vec<_> = (1..4).map(|n| founders.open(n)).collect();
    wait_until("three of five begin", || stores[0].set("/a", "1").is_ok());

    // The first is new, and does not know that; the fifth never comes.
    let late = founders.open(0);
    let waits_for = || late.cluster().unwrap().waits_for();
    wait_until("the others have told", || waits_for() == ["n5"]);
    assert!(late.set("/a", "2").is_err());
    drop(late);

    let (name, address) = founders.peers[0].clone();
    let alone = support::small().dir(founders.path(0)).member(name).listen(address);
    assert_eq!(refused(alone), "dir");
    assert_eq!(refused(founders.founder(0).cluster_token("another")), "dir");
    assert_eq!(refused(support::small().dir(founders.path(0))), "listen");
    // With the settings that it had, it waits as before.
    let late = founders.open(0);
    wait_until("the others have told again", || late.cluster().unwrap().waits_for() == ["n5"]);
}

#[test]
fn one_that_was_emptied_is_heard_by_those_who_knew_its_earlier_lives() {
    let founders = Founders::new(3);
    let (first, second) = (founders.open(0), founders.open(1));
    wait_until("two of three begin", || first.set("/a", "1").is_ok());
    drop(first);
    let reaches_third = || {
        let members = second.cluster().unwrap().members();
        members.iter().any(|member| member.name == "n3" && member.is_reachable)
    };
    for _ in 0..6 {
        let third = founders.open(2);
        wait_until("the second hears the third", reaches_third);
        drop(third);
        wait_until("the third is gone", || !reaches_third());
        founders.empty(2);
    }
    let third = founders.open(2);
    let first = founders.open(0);
    wait_until("the third takes part", || third.cluster().unwrap().waits_for().is_empty());
    drop(first);
    wait_until("two of three are enough", || second.set("/a", "2").is_ok());
}

#[test]
fn founders_who_do_not_understand_each_other_say_why() {
    let founders = Founders::new(3);
    let open = |n: usize, secret: &str| founders.founder(n).secret(secret).open().unwrap();
    let stores = [
        open(0, "a secret of them all"),
        open(1, "a secret of them all"),
        open(2, "another one, by mistake"),
    ];
    let says = |n: usize, peer: usize| {
        let word = format!("member n{peer} is there, but no connection comes about: refused ");
        let problems = stores[n].status().problems;
        problems.iter().any(|problem| problem.starts_with(&word) && problem.ends_with("the secrets differ"))
    };
    wait_until("all say with whom and why", || says(0, 3) && says(1, 3) && says(2, 1) && says(2, 2));
    assert!(!says(0, 2) && !says(1, 1), "these do");
}

#[test]
fn one_that_was_there_is_waited_for_for_a_while_only() {
    let founders = Founders::new(3);
    let third = founders.founder(2).secret("another one, by mistake").open().unwrap();
    let first = founders.open(0);
    let waits_for = || first.cluster().unwrap().waits_for();
    drop(third);
    let second = founders.open(1);
    wait_until("the second has told", || waits_for() == ["n3"]);
    assert!(second.set("/a", "1").is_err(), "the third may be about to come back");
    wait_until("the first waits no more", || second.set("/a", "1").is_ok());
}

#[test]
fn one_that_is_taken_for_another_does_not_speak_for_it() {
    let (directories, mut peers) = ([(); 3].map(|()| directory()), founders(3));
    let places: Vec<SocketAddr> = peers.iter().map(|(_, address)| address.parse().unwrap()).collect();
    let proxy = Proxy::start(places[2]);
    peers[2].1 = proxy.address().to_string();
    let open =
        |n: usize| founder(directories[n].path(), &peers, n).listen(places[n].to_string()).open().unwrap();
    let (second, third) = (open(1), open(2));
    wait_until("two of three begin", || second.set("/a", "1").is_ok());
    drop(third);

    // Whoever calls the third reaches the second.
    proxy.retarget(places[1]);
    let first = open(0);
    let waits_for = || first.cluster().unwrap().waits_for();
    wait_until("the second has told", || waits_for() == ["n3"]);
    assert!(second.set("/a", "2").is_err(), "the first does not know what it may have told the third");
    proxy.retarget(places[2]);
    let _third = open(2);
    wait_until("the third has told", || waits_for().is_empty());
    wait_until("all are there", || second.set("/a", "2").is_ok());
}

#[test]
fn one_that_has_moved_is_asked_where_it_is_now() {
    let founders = Founders::new(3);
    let (first, second) = (founders.open(0), founders.open(1));
    wait_until("two of three begin", || first.set("/a", "1").is_ok());
    drop(second);
    let elsewhere = support::places::founders(1).remove(0).1;
    let second = founders.founder(1).listen(&elsewhere).advertise(&elsewhere).open().unwrap();
    let knows = |store: &Store| {
        let members = store.cluster().unwrap().members();
        members.iter().any(|member| member.peer_addresses == [elsewhere.as_str()])
    };
    wait_until("the first knows where the second is", || knows(&first));

    let third = founders.open(2);
    wait_until("both have told", || third.cluster().unwrap().waits_for().is_empty());
    drop(first);
    wait_until("two of three are enough", || second.set("/a", "2").is_ok());
}

#[test]
fn who_was_told_that_it_is_forgotten_does_not_begin_later() {
    let founders = Founders::new(3);
    let (first, second) = (founders.open(0), founders.open(1));
    wait_until("two of three begin", || first.set("/a", "1").is_ok() && second.set("/b", "1").is_ok());
    wait_until("the first knows the second", || first.get("/b").is_ok());
    drop(second);
    founders.empty(1);
    assert!(matches!(founders.founder(1).open(), Err(Error::Forgotten { .. })));

    // Started again all the same, when whoever knew it is gone, and with one that has never been there.
    drop(first);
    let (second, third) = (founders.open(1), founders.open(2));
    let wait_for_first =
        |store: &Store| wait_until("the other has told", || store.cluster().unwrap().waits_for() == ["n1"]);
    wait_for_first(&second);
    wait_for_first(&third);
    assert!(second.set("/c", "1").is_err() && third.set("/c", "1").is_err());

    let _first = founders.open(0);
    wait_until("nothing is lost", || third.get_latest("/a").is_ok_and(|node| node.text() == Some("1")));
}
