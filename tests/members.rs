//! A few members in one process, over real sockets and on real disks.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use spinney::internals::BootId;
use spinney::internals::net::{self, Class, Endpoint, Speaker};
use spinney::{Builder, Error, Event, MemberId, Rejection, Store};
use support::places::founders;
use support::{directory, is_alone, now, threads, wait_until};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// Three members that found a cluster, each with a directory of its own.
struct Trio {
    directories: Vec<TempDir>,
    peers: Vec<(String, String)>,
    stores: Vec<Option<Store>>,
    has_leases: bool,
}

impl Trio {
    fn new() -> Self {
        Self::found(false)
    }

    fn found(has_leases: bool) -> Self {
        let mut trio = Self {
            directories: (0..3).map(|_| directory()).collect(),
            peers: founders(3),
            stores: vec![None, None, None],
            has_leases,
        };
        (0..3).for_each(|n| trio.open(n));
        trio
    }

    fn open(&mut self, n: usize) {
        let (name, address) = self.peers[n].clone();
        let builder = Store::builder().dir(self.directories[n].path()).member(name).listen(address);
        let builder = if self.has_leases { builder.leases() } else { builder };
        self.stores[n] = Some(builder.peers(self.peers.clone()).open().unwrap());
    }

    fn store(&self, n: usize) -> &Store {
        self.stores[n].as_ref().unwrap()
    }

    fn running(&self) -> impl Iterator<Item = &Store> {
        self.stores.iter().flatten()
    }

    fn leader(&self) -> usize {
        let mut leader = None;
        wait_until("a leader", || {
            leader = (0..3)
                .find(|&n| self.stores[n].as_ref().is_some_and(|store| store.cluster().unwrap().is_leader()));
            leader.is_some()
        });
        leader.unwrap()
    }
}

#[test]
fn what_one_member_writes_all_have() {
    let trio = Trio::new();
    let watches: Vec<_> = trio.running().map(|store| store.watch("/").recursive().start().unwrap()).collect();
    for n in 0..3 {
        let change = trio.store(n).set(format!("/from/{n}"), n).unwrap();
        assert_eq!(trio.store(n).get(format!("/from/{n}")).unwrap().modified(), change.index());
        for other in trio.running() {
            assert_eq!(other.get_latest(format!("/from/{n}")).unwrap().modified(), change.index());
        }
    }
    for watch in &watches {
        for n in 0..3 {
            let Ok(Event::Change(change)) = watch.recv_timeout(PATIENCE) else { panic!("nothing comes") };
            assert_eq!(change.key(), format!("/from/{n}").as_str());
        }
    }
    let refused = trio.store(1).put("/from/0").value("x").if_absent().send();
    assert!(matches!(refused, Err(Error::KeyExists { .. })));
}

#[test]
fn a_leader_that_goes_is_replaced_and_nothing_is_lost() {
    let mut trio = Trio::new();
    for round in 0..3 {
        trio.store(round).set(format!("/before/{round}"), "x").unwrap();
        let leader = trio.leader();
        trio.stores[leader] = None;
        let rest = (leader + 1) % 3;
        trio.store(rest).set(format!("/after/{round}"), "y").unwrap();
        trio.open(leader);
        assert_eq!(trio.store(leader).get_latest(format!("/after/{round}")).unwrap().text(), Some("y"));
    }
    for store in trio.running() {
        assert_eq!(store.get_latest("/before").unwrap().children().count(), 3);
        assert_eq!(store.get("/after").unwrap().children().count(), 3);
    }
}

#[test]
fn keys_expire_on_all_members() {
    let trio = Trio::new();
    let watches: Vec<_> = trio.running().map(|store| store.watch("/short").start().unwrap()).collect();
    trio.store(2).put("/short").value("1").ttl(Duration::from_millis(200)).send().unwrap();
    for watch in &watches {
        let actions = watch.iter().take(2).map(|event| event.change().unwrap().action.to_string());
        assert_eq!(actions.collect::<Vec<_>>(), ["set", "expire"]);
    }
}

#[test]
fn without_a_majority_nothing_is_written_and_the_error_says_so() {
    let mut trio = Trio::new();
    trio.store(0).set("/a", "1").unwrap();
    let survivor = (trio.leader() + 1) % 3;
    wait_until("the survivor has it", || trio.store(survivor).get("/a").is_ok());
    for n in 0..3 {
        if n != survivor {
            trio.stores[n] = None;
        }
    }
    let store = trio.store(survivor);
    assert_eq!(store.get("/a").map(|node| node.text().map(str::to_owned)).unwrap().as_deref(), Some("1"));
    assert!(matches!(store.set("/b", "2"), Err(Error::Unavailable { .. })));
    assert!(matches!(store.get_latest("/a"), Err(Error::Unavailable { .. })));
    assert!(!store.status().problems.is_empty());
}

/// Opens the member `name`, which is let in by the one at `address`.
fn joiner(directory: &TempDir, name: &str, address: &str) -> Builder {
    Store::builder().dir(directory.path()).member(name).listen("127.0.0.1:0").join(address)
}

/// Waits until there are so many members, who all have votes, and no change is under way.
fn wait_for_voters(store: &Store, count: usize) {
    wait_until(format!("{count} voters"), || {
        let members = store.cluster().unwrap().members();
        members.len() == count
            && members.iter().all(|member| member.is_voter)
            && store.status().problems.is_empty()
    });
}

#[test]
fn a_store_alone_grows_to_three_and_to_five_while_it_is_written_to() {
    let directories: Vec<_> = (0..5).map(|_| directory()).collect();
    {
        let store = Store::open(directories[0].path()).unwrap();
        store.set("/alone", "1").unwrap();
    }
    let first =
        Store::builder().dir(directories[0].path()).member("n1").listen("127.0.0.1:0").open().unwrap();
    assert_eq!(first.get("/alone").unwrap().text(), Some("1"), "what was there is there at once");
    let is_over = AtomicBool::new(false);
    let address = first.cluster().unwrap().address().to_string();
    let mut others: Vec<Store> = Vec::new();
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = 0;
            while !is_over.load(Ordering::Relaxed) {
                first.set(format!("/n/{written}"), written).unwrap();
                written += 1;
            }
            written
        });
        let _ending = Ending(&is_over);
        for (count, names) in [(3, [1, 2]), (5, [3, 4])] {
            for n in names {
                // Any member may be asked.
                let asked = others.last().map(|last| last.cluster().unwrap().address().to_string());
                let asked = asked.as_ref().unwrap_or(&address);
                others.push(joiner(&directories[n], &format!("n{}", n + 1), asked).open().unwrap());
            }
            wait_for_voters(&first, count);
        }
        is_over.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert!(written > 100, "{written} writes went through the growing");
    for store in &others {
        assert_eq!(store.get_latest("/n").unwrap().children().count(), written);
        assert_eq!(store.get("/alone").unwrap().text(), Some("1"));
    }
    drop(first);
    let alone = Store::open(directories[0].path());
    assert!(matches!(alone, Err(Error::InvalidSetting { setting: "listen", .. })), "it has no say alone");
    // Two of five may be missing, and three not.
    others.pop();
    others[1].set("/after", "1").unwrap();
    assert_eq!(others[0].get_latest("/after").unwrap().text(), Some("1"));
    others.pop();
    assert!(matches!(others[1].set("/minority", "1"), Err(Error::Unavailable { .. })));
}

/// Says that it is over, however the test ends.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_leader_that_closes_in_the_middle_of_a_change_leaves_the_others_able_to_go_on() {
    for round in 0..10 {
        let directories: Vec<_> = (0..3).map(|_| directory()).collect();
        let founder = Store::builder().dir(directories[0].path()).member("n1").listen("127.0.0.1:0");
        let first = founder.open().unwrap();
        let address = first.cluster().unwrap().address().to_string();
        let second = joiner(&directories[1], "n2", &address).open().unwrap();
        wait_for_voters(&first, 2);
        let third = joiner(&directories[2], "n3", &address).learner().open().unwrap();
        wait_until("it has caught up", || third.get_latest("/").is_ok());
        let (asking, id) = (second.cluster().unwrap(), third.cluster().unwrap().this());
        std::thread::scope(|scope| {
            scope.spawn(|| asking.promote(id));
            let members = || first.cluster().unwrap().members();
            // It has a vote from when the change begins: then the first two are both needed until it is complete.
            let started = now();
            while !members().iter().any(|member| member.id == id && member.is_voter) {
                assert!(started.elapsed() < PATIENCE, "no change begins");
            }
            drop(first);
        });
        second.set("/after", round).unwrap();
        assert_eq!(third.get_latest("/after").unwrap().parse(), Some(round));
    }
}

#[test]
fn a_lease_ends_with_those_who_promised_it() {
    let mut trio = Trio::found(true);
    let leader = trio.leader();
    trio.store(leader).set("/a", "1").unwrap();
    for n in 0..1_000 {
        // Whoever leads answers alone; the others ask.
        assert_eq!(trio.store(n % 3).get_latest("/a").unwrap().text(), Some("1"));
    }

    trio.stores[leader] = None;
    let next = (leader + 1) % 3;
    trio.store(next).set("/a", "2").unwrap();
    for store in trio.running() {
        assert_eq!(store.get_latest("/a").unwrap().text(), Some("2"));
    }

    let alone = trio.leader();
    let other = if alone == next { (leader + 2) % 3 } else { next };
    trio.stores[other] = None;
    // What was promised is over before the shortest election timeout is.
    std::thread::sleep(Duration::from_millis(300));
    assert!(matches!(trio.store(alone).get_latest("/a"), Err(Error::Unavailable { .. })));
}

#[test]
fn a_restored_backup_is_the_first_member_of_a_cluster() {
    let lost = Store::in_memory();
    lost.set("/kept", "1").unwrap();
    let mut backup = Vec::new();
    lost.backup(&mut backup).unwrap();
    let directories = [directory(), directory()];
    let paths = directories.each_ref().map(|directory| directory.path().join("data"));
    let restored = Store::restore(&backup[..], &paths[0]).unwrap();
    let listen = |n: usize| Store::builder().dir(&paths[n]).member(format!("n{n}")).listen("127.0.0.1:0");
    let first = listen(0).open().unwrap();
    let second = listen(1).join(first.cluster().unwrap().address().to_string()).open().unwrap();
    assert_eq!(second.get_latest("/kept").unwrap().text(), Some("1"));
    assert!(second.set("/new", "2").unwrap().index() > restored.index);
    assert_eq!(
        (second.status().cluster, first.get_latest("/new").unwrap().parse()),
        (restored.cluster, Some(2))
    );
}

#[test]
fn a_member_that_makes_no_sense_is_told_of_and_does_no_harm() {
    let mut trio = Trio::new();
    let leader = trio.leader();
    let victim = (leader + 1) % 3;
    let other = 3 - leader - victim;
    let store = trio.stores[other].take().unwrap();
    let (cluster, me) = (store.cluster().unwrap().id(), MemberId::new(other as u64 + 1));
    let place = store.cluster().unwrap().address();
    drop(store);

    // In its place comes one that knows the protocol, and nothing to say in it.
    let speaker = Speaker { cluster, member: me, boot: BootId::new(u64::MAX) };
    let settings = net::Settings::new(now);
    let (endpoint, _events) =
        Endpoint::start(TcpListener::bind(place).unwrap(), speaker, None, settings, || {}).unwrap();
    let to = MemberId::new(victim as u64 + 1);
    let address = trio.store(victim).cluster().unwrap().address().to_string();
    endpoint.set_peers(&[(to, vec![address])].into());
    let told = || trio.store(victim).cluster().unwrap().turned_away();
    wait_until("nonsense", || {
        let _ = endpoint.send(to, Class::Data, vec![0xff; 40]);
        told().iter().any(|one| one.rejection == Rejection::Nonsense && one.count >= 3)
    });
    let told = told();
    let nonsense = told.iter().find(|one| one.rejection == Rejection::Nonsense).unwrap();
    assert_eq!(nonsense.first, format!("member {me}: a message that this version does not understand"));
    trio.store(victim).set("/a", "1").unwrap();
    endpoint.stop();
}

/// In a process of its own, for its threads to be counted.
#[test]
fn members_that_come_and_go_leave_no_thread_and_no_file_behind() {
    if !is_alone("members_that_come_and_go_leave_no_thread_and_no_file_behind") {
        return;
    }
    let files = || Path::new("/proc/self/fd").read_dir().unwrap().count();
    let mut trio = Trio::new();
    for n in 0..10 {
        let leader = trio.leader();
        trio.store(leader).set("/n", n.to_string()).unwrap();
        let watch = trio.store(n % 3).watch("/").start().unwrap();
        drop(trio.store((n + 1) % 3).put("/under-way").value("x").submit());
        for store in &mut trio.stores {
            *store = None;
        }
        assert!(watch.iter().count() < 100, "it ends");
        drop(watch);
        // The system takes a moment to forget a thread that was joined.
        wait_until("an end of the threads", || threads().is_empty());
        assert!(files() < 20, "{}", files());
        (0..3).for_each(|n| trio.open(n));
    }
}
