//! What is left when a cluster has lost its majority: one directory, which becomes a cluster of its own again.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use spinney::internals::entry::{EntryId, HardState, Testimony, WriteSet};
use spinney::internals::net::Refusal;
use spinney::internals::net::wire::{Challenge, GREETING_BYTES, Hello, Purpose};
use spinney::internals::wal::{Disk, Recovery, SimulatedDisk, WalSettings};
use spinney::internals::{BootId, open_on, survivor_on};
use spinney::{
    BackupInfo, ClusterId, Error, Event, Index, MemberId, RESTORE_INDEX_JUMP, Store, Survivor, WalError,
};
use support::places::founders;
use support::{directory, patiently, wait_until};
use tempfile::TempDir;

/// Three members that found a cluster, each with a directory of its own.
struct Trio {
    directories: Vec<TempDir>,
    peers: Vec<(String, String)>,
}

impl Trio {
    fn new() -> Self {
        Self { directories: (0..3).map(|_| directory()).collect(), peers: founders(3) }
    }

    fn path(&self, n: usize) -> &Path {
        self.directories[n].path()
    }

    fn open(&self, n: usize) -> Store {
        let (name, address) = &self.peers[n];
        let builder = support::small().dir(self.path(n)).member(name).listen(address);
        builder.peers(self.peers.clone()).request_timeout(Duration::from_secs(2)).open().unwrap()
    }

    fn open_all(&self) -> Vec<Store> {
        (0..3).map(|n| self.open(n)).collect()
    }
}

fn survivor(path: &Path) -> Result<Survivor, Error> {
    patiently(|| Store::survivor(path))
}

/// What a store has below `/`, as text.
fn content(store: &Store) -> Vec<(String, String)> {
    let keys = store.list("/n").unwrap();
    keys.iter().map(|node| (node.key().to_string(), node.text().unwrap().to_owned())).collect()
}

/// What a member that listens at `address` has against `from`, of this cluster, who calls it `to`.
fn answer_to(address: &str, cluster: ClusterId, from: MemberId, to: MemberId) -> Option<Refusal> {
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        purpose: Purpose::Messages,
        has_secret: false,
        cluster,
        from,
        to,
        boot: BootId::new(u64::MAX),
        session: 1,
        nonce: [5; 32],
    };
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(&hello.encode()).unwrap();
    let mut bytes = [0; GREETING_BYTES];
    socket.read_exact(&mut bytes).unwrap();
    Challenge::decode(&bytes).unwrap().refusal
}

#[test]
fn a_survivor_goes_on_by_itself_and_grows_again_and_the_lost_stay_out() {
    let trio = Trio::new();
    let stores = trio.open_all();
    (0..40).for_each(|n| drop(stores[n % 3].set(format!("/n/{n:02}"), n).unwrap()));
    stores[1].put("/short").value("1").ttl(Duration::from_secs(3600)).send().unwrap();
    stores[2].get_latest("/short").unwrap();
    let (before, index, lost) = (content(&stores[2]), stores[2].index(), stores[2].status().cluster);
    drop(stores);

    let found = survivor(trio.path(2)).unwrap();
    assert_eq!((found.cluster, found.name.as_str(), found.index, found.files), (lost, "n3", index, 41));
    let names: Vec<_> = found.lost.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["n1", "n2"]);
    assert_eq!(found.lost[0].peer_addresses, [trio.peers[0].1.clone()]);
    assert!(found.lost.iter().all(|member| member.is_voter));
    let found_ids: Vec<_> = found.lost.iter().map(|member| member.id).collect();
    assert!(matches!(Store::open(trio.path(2)), Err(Error::Log(WalError::InUse { .. }))), "it is held");
    let BackupInfo { cluster, index: ahead, files, .. } = found.recover().unwrap();
    assert_eq!((files, ahead), (41, Index::new(index.get() + RESTORE_INDEX_JUMP)));
    assert_ne!(cluster, lost);

    // It is opened as it was before, and is who it was, of another cluster.
    let alone = trio.open(2);
    assert_eq!((content(&alone), alone.status().cluster), (before.clone(), cluster));
    assert!(alone.get("/short").unwrap().ttl_at(alone.now()).is_some());
    let members = alone.cluster().unwrap().members();
    assert_eq!(members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["n3"]);
    assert!(alone.set("/after", "1").unwrap().index() > ahead, "the index never goes back");
    match alone.watch("/n").recursive().since(index.next()).start().unwrap().recv() {
        Ok(Event::Resync(resync)) => assert!(resync.index >= ahead),
        other => panic!("{other:?}"),
    }

    // The others come back: they are the majority of what was, and have nothing to do with it.
    let old = [trio.open(0), trio.open(1)];
    old[0].set("/of-the-old", "1").unwrap();
    old[1].get_latest("/of-the-old").unwrap();
    let unreached = |store: &Store| {
        let members = store.cluster().unwrap().members();
        members.iter().any(|member| member.name == "n3" && !member.is_reachable)
    };
    assert!(old.iter().all(unreached) && old[0].get("/after").is_err());
    let (from, to) = (found_ids[0], alone.status().member);
    assert_eq!(answer_to(&trio.peers[2].1, lost, from, to), Some(Refusal::Cluster));
    assert!(matches!(alone.get("/of-the-old"), Err(Error::KeyNotFound { .. })));
    assert_eq!(alone.cluster().unwrap().members().len(), 1);
    drop(old);

    // Wiped, they join.
    let address = alone.cluster().unwrap().address().to_string();
    let fresh = [directory(), directory()];
    let joined: Vec<_> = (0..2)
        .map(|n| {
            let (name, listen) = &trio.peers[n];
            Store::builder().dir(fresh[n].path()).member(name).listen(listen).join(&address).open().unwrap()
        })
        .collect();
    wait_until("three voters", || {
        let members = alone.cluster().unwrap().members();
        members.len() == 3 && members.iter().all(|member| member.is_voter)
    });
    drop(alone);
    joined[0].set("/again", "1").unwrap();
    assert_eq!(joined[1].get_latest("/again").unwrap().text(), Some("1"));
    assert_eq!(content(&joined[1]), before);
    assert_eq!(joined[1].status().cluster, cluster);
}

#[test]
fn what_the_survivor_was_not_told_to_be_agreed_on_is_kept() {
    let trio = Trio::new();
    let mut stores = trio.open_all();
    stores[0].set("/n/agreed", "1").unwrap();
    let leader = stores[0].cluster().unwrap().leader().unwrap().get() as usize - 1;
    let survivor_store = stores.remove(leader);
    drop(stores);
    assert!(matches!(
        survivor_store.set("/n/unknown", "2"),
        Err(Error::Unavailable { may_have_applied: true, .. })
    ));
    assert!(survivor_store.get("/n/unknown").is_err());
    drop(survivor_store);

    let found = survivor(trio.path(leader)).unwrap();
    assert!(found.unconfirmed >= 1, "{found:?}");
    found.recover().unwrap();
    let store = Store::open(trio.path(leader)).unwrap();
    let kept = content(&store);
    assert_eq!(kept, [("/n/agreed".into(), "1".into()), ("/n/unknown".into(), "2".into())]);
    assert!(store.cluster().is_none(), "it is a store alone now");
    store.set("/n/more", "3").unwrap();
}

#[test]
fn a_survivor_that_did_not_get_back_what_it_had_acknowledged_says_so() {
    let trio = Trio::new();
    let stores = trio.open_all();
    stores[0].set("/n/a", "1").unwrap();
    stores[1].get_latest("/n/a").unwrap();
    drop(stores);
    assert!(!survivor(trio.path(1)).unwrap().is_incomplete);

    // As it is when its disk was lost, and it has been given back all but the last entry.
    let disk = disk_of(trio.path(1));
    let recovery = Recovery::scan(Arc::new(disk.clone())).unwrap();
    let hard_state = recovery.hard_state().unwrap();
    let last = recovery.last();
    let mut wal = recovery.into_wal(WalSettings { segment_bytes: 64 << 10, salt_seed: 1 }).unwrap();
    let with_floor = |last| {
        let floor = Testimony { last, ..hard_state.floor };
        WriteSet { hard_state: Some(HardState { floor, ..hard_state }), ..WriteSet::default() }
    };
    wal.append(&with_floor(last)).unwrap();
    wal.sync().unwrap();
    assert!(!survivor_on(Arc::new(disk.copy())).unwrap().is_incomplete, "it has all that it had");
    wal.append(&with_floor(EntryId { index: last.index.next(), ..last })).unwrap();
    wal.close().unwrap();
    let found = survivor_on(Arc::new(disk.copy())).unwrap();
    assert!(found.is_incomplete, "{found:?}");
    found.recover().unwrap();
    assert!(
        matches!(survivor_on(Arc::new(disk)), Ok(Survivor { is_incomplete: true, .. })),
        "the copy was recovered"
    );
}

#[test]
fn looking_changes_nothing() {
    let trio = Trio::new();
    let stores = trio.open_all();
    (0..9).for_each(|n| drop(stores[0].set(format!("/n/{n}"), n).unwrap()));
    drop(stores);
    // As an interrupted run leaves them.
    let unfinished = trio.path(0).join("00000000000000ff.snap.received.tmp");
    fs::write(&unfinished, "half").unwrap();
    let files = || {
        let mut files: Vec<_> =
            fs::read_dir(trio.path(0)).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect::<Vec<_>>()
    };
    let before = files();
    drop(survivor(trio.path(0)).unwrap());
    assert!(files() == before);
    let stores = trio.open_all();
    assert_eq!(stores[0].get_latest("/n").unwrap().children().count(), 9);
    assert!(!unfinished.exists(), "opening removes it");
}

#[test]
fn where_there_is_nothing_to_recover_the_error_says_so() {
    let empty = directory();
    assert!(matches!(survivor(empty.path()), Err(Error::Log(WalError::NoLog { .. }))));
    assert!(survivor(&empty.path().join("none")).is_err());
    fs::write(empty.path().join("letter"), "dear").unwrap();
    assert!(matches!(survivor(empty.path()), Err(Error::Log(WalError::NotOurs { .. }))));

    let nothing = |path: &Path, says: &str| {
        let error = survivor(path).unwrap_err();
        assert!(matches!(error, Error::NothingToRecover { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    };
    let alone = directory();
    let store = Store::open(alone.path()).unwrap();
    store.set("/a", "1").unwrap();
    assert!(matches!(Store::survivor(alone.path()), Err(Error::Log(WalError::InUse { .. }))));
    drop(store);
    nothing(alone.path(), "is a cluster of one already");

    // A founder that never met the others holds nothing that anybody agreed on.
    let trio = Trio::new();
    drop(trio.open(0));
    nothing(trio.path(0), "has never heard from its cluster");

    // Recovered once, it is recovered; and its files are no others'.
    let stores = trio.open_all();
    stores[0].set("/a", "1").unwrap();
    stores[1].get_latest("/a").unwrap();
    drop(stores);
    survivor(trio.path(1)).unwrap().recover().unwrap();
    nothing(trio.path(1), "is a cluster of one already");
    Store::verify(trio.path(1)).unwrap();
}

#[test]
fn a_damaged_directory_is_refused_and_left_as_it_is() {
    let trio = Trio::new();
    let stores = trio.open_all();
    (0..40).for_each(|n| drop(stores[0].set(format!("/n/{n}"), "x".repeat(500)).unwrap()));
    drop(stores);
    let segment = fs::read_dir(trio.path(0)).unwrap().map(|file| file.unwrap().path());
    let segment = segment.filter(|path| path.extension().is_some_and(|kind| kind == "wal")).min().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[6_000] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    assert!(matches!(survivor(trio.path(0)), Err(Error::Log(WalError::Damaged { .. }))));
    assert!(fs::read(&segment).unwrap() == bytes);
}

/// A disk with the files that are at `path`.
fn disk_of(path: &Path) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    for file in fs::read_dir(path).unwrap().map(Result::unwrap) {
        let name = file.file_name().into_string().unwrap();
        if name != "lock" {
            let mut copy = disk.create(&name).unwrap();
            copy.write_all(&fs::read(file.path()).unwrap()).unwrap();
            copy.sync().unwrap();
        }
    }
    disk.sync_directory().unwrap();
    disk
}

#[test]
fn interrupted_anywhere_it_is_the_old_or_the_new() {
    let trio = Trio::new();
    let stores = trio.open_all();
    (0..40).for_each(|n| drop(stores[0].set(format!("/n/{n:02}"), "x".repeat(2_000)).unwrap()));
    stores[1].snapshot().unwrap();
    (40..60).for_each(|n| drop(stores[0].set(format!("/n/{n:02}"), "y".repeat(2_000)).unwrap()));
    stores[1].get_latest("/n").unwrap();
    let (wanted, index) = (content(&stores[1]), stores[1].index());
    drop(stores);
    let disk = disk_of(trio.path(1));
    let lost = survivor_on(Arc::new(disk.copy())).unwrap().cluster;

    let (mut old, mut new) = (0, 0);
    for operations in 0.. {
        let stopping = disk.copy();
        stopping.stop_after(operations);
        let recovered = survivor_on(Arc::new(stopping.clone())).and_then(Survivor::recover);
        assert_eq!(recovered.is_ok(), !stopping.has_stopped(), "{recovered:?}");
        for seed in 0..3 {
            let found = if seed == 0 { stopping.copy() } else { stopping.power_loss(operations * 3 + seed) };
            found.restart();
            match survivor_on(Arc::new(found.clone())) {
                Ok(survivor) => {
                    assert!(recovered.is_err(), "what has returned is undone");
                    let known = (survivor.cluster, survivor.index, survivor.files, survivor.lost.len());
                    assert_eq!(known, (lost, index, 60, 2), "after {operations}");
                    // As little as before can it be opened alone; and it is recovered now.
                    let alone = open_on(Arc::new(found.clone()), support::small());
                    assert!(matches!(alone, Err(Error::InvalidSetting { setting: "listen", .. })));
                    survivor.recover().unwrap();
                    old += 1;
                }
                Err(Error::NothingToRecover { .. }) => new += 1,
                Err(error) => panic!("after {operations}: {error}"),
            }
            let store = open_on(Arc::new(found), support::small()).unwrap();
            assert_eq!(
                (content(&store), store.index().get()),
                (wanted.clone(), index.get() + RESTORE_INDEX_JUMP)
            );
            assert_ne!(store.status().cluster, lost);
            store.set("/n/after", "1").unwrap();
        }
        if recovered.is_ok() {
            break;
        }
    }
    assert!(old > 30 && new > 8, "{old} {new}");
}
