//! A disk that is full, and a log that must not fill it: writes are refused and may be tried again, what frees space
//! goes on, and space comes back by itself.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

mod support;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use spinney::internals::open_on;
use spinney::internals::wal::{Disk, Region, SimulatedDisk, Sink, Source};
use spinney::{Action, Error, Store};
use support::{SEGMENT, bytes_of, directory, patiently, small, wait_until};

const SEGMENT_BYTES: u64 = SEGMENT as u64;

/// Snapshots hold the history too: with much of it, they are large however little there is besides.
const HISTORY: usize = 10;

/// What is left on a disk when no segment fits any more: room for a snapshot beside the one before.
const REST: u64 = 60_000;

fn open(disk: &SimulatedDisk) -> Store {
    open_on(Arc::new(disk.clone()), small().history(HISTORY)).unwrap()
}

fn is_full(error: &Error) -> bool {
    assert!(error.is_retryable(), "{error:?}");
    matches!(error, Error::NoSpace { .. })
}

/// Sets `/n/0`, `/n/1` and so on until there is no space; how many there are then.
fn fill(store: &Store) -> u64 {
    for n in 0..100_000 {
        if let Err(error) = store.set(format!("/n/{n}"), [b'x'; 1000]) {
            assert!(is_full(&error), "{error:?}");
            return n;
        }
    }
    panic!("the disk is never full");
}

/// Sets `/again` until that works: once is not always enough, since space is made while nobody waits.
fn until_writable(store: &Store) {
    wait_until("room for a write", || match store.set("/again", [b'y'; 1000]) {
        Ok(_) => true,
        Err(error) => !is_full(&error),
    });
}

/// What must hold on any disk that gets full: `bytes` says how much is on it.
fn get_full_and_recover(store: &Store, bytes: impl Fn() -> u64) -> u64 {
    store.put("/short").value("1").ttl(Duration::from_millis(1000)).send().unwrap();
    let watch = store.watch("/short").start().unwrap();
    let count = fill(store);
    assert!(count > 100, "{count}");
    let taken = bytes();

    // Full, but alive: reads, deletes and expiry go on.
    assert_eq!(store.get(format!("/n/{}", count - 1)).unwrap().value().len(), 1000);
    assert!(store.get(format!("/n/{count}")).is_err(), "what was refused is not there");
    let submitted: Vec<_> =
        (0..20).map(|n| store.put(format!("/more/{n}")).value([0; 2000]).submit()).collect();
    for write in submitted {
        if let Err(error) = write.wait() {
            assert!(is_full(&error), "{error:?}");
        }
    }
    for n in 0..10 {
        store.delete(format!("/n/{n}")).unwrap();
    }
    let expired = watch.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(expired.change().unwrap().action, Action::Expire);
    for problem in store.status().problems {
        assert!(!problem.contains("nothing can be written"), "{problem}");
    }

    // With less to keep, a snapshot fits and the log shrinks.
    store.remove("/n").recursive().send().unwrap();
    until_writable(store);
    for _ in 0..300 {
        until_writable(store);
    }
    assert!(bytes() <= taken, "{} after {taken}", bytes());
    wait_until("an end of the problems", || {
        until_writable(store);
        store.status().problems.is_empty()
    });
    count
}

#[test]
fn a_full_disk_refuses_what_takes_space_and_recovers_by_itself() {
    let disk = SimulatedDisk::new();
    disk.set_capacity(Some(12 * SEGMENT_BYTES + REST));
    let store = open(&disk);
    get_full_and_recover(&store, || bytes_on(&disk));
    drop(store);
    let store = open(&disk);
    assert!(store.get("/n").is_err() && store.get("/again").is_ok(), "and all of that is there again");
}

#[test]
fn more_capacity_is_found_without_reopening() {
    for seed in 0..6 {
        let disk = SimulatedDisk::new();
        disk.set_capacity(Some((6 + seed % 5) * SEGMENT_BYTES + seed * 1777));
        let store = open(&disk);
        let count = fill(&store);
        let index = store.index();
        disk.set_capacity(None);
        until_writable(&store);
        for n in 0..count {
            // A snapshot that had no room is tried again a little later; until then the log may be at its limit.
            wait_until("room for more", || store.set(format!("/more/{n}"), [b'z'; 1000]).is_ok());
        }
        drop(store);
        let store = open(&disk.power_loss(seed));
        assert!(store.index() > index);
        assert_eq!(store.list("/n").unwrap().len() as u64, count, "nothing acknowledged is lost");
        assert_eq!(store.list("/more").unwrap().len() as u64, count);
    }
}

#[test]
fn what_is_on_a_disk_without_any_room_left_can_be_read_and_backed_up() {
    for seed in 0..10 {
        let disk = SimulatedDisk::new();
        disk.set_capacity(Some((4 + seed % 3) * SEGMENT_BYTES));
        let store = open(&disk);
        let count = fill(&store);
        // Even what is kept for deletes is used up in the end.
        let value = "x".repeat(600);
        let useless = || store.remove("/n/0").if_value(&value).send().unwrap_err();
        wait_until("no room for deletes", || matches!(useless(), Error::NoSpace { .. }));
        let index = store.index();
        drop(store);

        let disk = disk.power_loss(seed);
        disk.set_capacity(Some(0));
        let store = open(&disk);
        assert_eq!((store.index(), store.list("/n").unwrap().len() as u64), (index, count));
        let mut backup = Vec::new();
        store.backup(&mut backup).unwrap();
        assert!(is_full(&store.set("/again", "1").unwrap_err()));
        assert!(!store.status().problems.is_empty());

        disk.set_capacity(None);
        until_writable(&store);
        wait_until("an end of the problems", || {
            until_writable(&store);
            store.status().problems.is_empty()
        });
    }
}

#[test]
fn what_was_acknowledged_on_a_full_disk_survives_a_loss_of_power() {
    for seed in 0..20 {
        let disk = SimulatedDisk::new();
        disk.set_capacity(Some((5 + seed % 7) * SEGMENT_BYTES));
        let store = open(&disk);
        let count = fill(&store);
        let deleted = (0..count).step_by(3).filter(|n| match store.delete(format!("/n/{n}")) {
            Ok(_) => true,
            Err(error) => !is_full(&error),
        });
        let deleted = deleted.count() as u64;
        assert!(deleted > 0);
        let image = disk.power_loss(seed);
        let (before, index) = (store.view(), store.index());
        drop(store);
        image.restart();
        let store = open(&image);
        assert_eq!(store.index(), index);
        assert!(before.diff(&store.view()).is_empty(), "seed {seed}");
    }
}

/// The space that a log wants before it takes a snapshot may be more than there is on the disk.
#[test]
fn a_disk_smaller_than_the_log_may_grow_is_no_dead_end() {
    let disk = SimulatedDisk::new();
    disk.set_capacity(Some(6 * SEGMENT_BYTES + REST));
    let store = open_on(Arc::new(disk.clone()), small().history(HISTORY).log_bytes(64 << 20)).unwrap();
    for _ in 0..600 {
        until_writable(&store);
    }
}

#[test]
fn a_burst_of_tiny_writes_finds_room() {
    let store = open(&SimulatedDisk::new());
    for bytes in 0..8 {
        // While the worker is busy with a callback, the others wait.
        let (sender, receiver) = crossbeam_channel::bounded::<()>(0);
        store.set("/first", 1).unwrap();
        store.put("/first").submit().on_done(move |_| {
            let _ = receiver.recv_timeout(Duration::from_secs(1));
        });
        let writes: Vec<_> =
            (0..4000).map(|n| store.put(format!("/{}", n % 10)).value(vec![b'x'; bytes]).submit()).collect();
        drop(sender);
        for write in writes {
            write.wait().unwrap();
        }
    }
}

fn bytes_on(disk: &SimulatedDisk) -> u64 {
    // A file may go while we look.
    let disk = disk.copy();
    disk.names().unwrap().iter().map(|name| disk.content(name).len() as u64).sum()
}

#[test]
fn the_log_stays_within_its_limit_and_gives_space_back() {
    let directory = directory();
    let log_bytes = 4 * SEGMENT_BYTES;
    let store = small().history(HISTORY).dir(directory.path()).log_bytes(log_bytes).open().unwrap();
    let mut most = 0;
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..1500 {
                    store.set(format!("/{writer}/{}", n % 10), [b'x'; 1500]).unwrap();
                }
            });
        }
        for _ in 0..500 {
            most = most.max(bytes_of(directory.path()));
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    // Beside the log there are two segments held ready, one in the making, and two snapshots of 60 KB each.
    let limit = 4 * log_bytes + 3 * SEGMENT_BYTES + 2 * 2 * SEGMENT_BYTES;
    assert!(most <= limit, "{most} of {limit}");
    wait_until("a shorter log, with nobody writing", || {
        bytes_of(directory.path()) <= log_bytes + 6 * SEGMENT_BYTES
    });
}

#[test]
fn one_snapshot_gives_all_space_back_without_further_writes() {
    let directory = directory();
    let store = small().history(HISTORY).dir(directory.path()).log_bytes(32 * SEGMENT_BYTES).open().unwrap();
    for n in 0..1000 {
        store.set(format!("/{}", n % 10), [b'x'; 1500]).unwrap();
    }
    assert!(bytes_of(directory.path()) > 20 * SEGMENT_BYTES);
    store.snapshot().unwrap();
    wait_until("a short log", || bytes_of(directory.path()) <= 5 * SEGMENT_BYTES);
}

#[test]
fn snapshots_shrink_with_the_tree() {
    let directory = directory();
    let store = small().history(HISTORY).dir(directory.path()).log_bytes(16 * SEGMENT_BYTES).open().unwrap();
    for n in 0..500 {
        store.set(format!("/n/{n}"), [b'x'; 1500]).unwrap();
    }
    store.snapshot().unwrap();
    let snapshots = || -> Vec<u64> {
        let files = directory.path().read_dir().unwrap().map(|entry| entry.unwrap());
        let snapshots = files.filter(|file| file.path().extension().is_some_and(|name| name == "snap"));
        // One may go while we look.
        snapshots.filter_map(|file| Some(file.metadata().ok()?.len())).collect()
    };
    assert!(snapshots().iter().sum::<u64>() > 500 * 1500);
    store.remove("/n").recursive().send().unwrap();
    // History still has the values, until newer changes have taken their place.
    for n in 0..2 * HISTORY {
        store.set("/small", n).unwrap();
    }
    store.snapshot().unwrap();
    wait_until("the old snapshot's end", || snapshots().len() == 1);
    assert!(snapshots()[0] < 200_000, "{:?}", snapshots());
}

#[test]
fn a_snapshot_that_fails_is_reported_and_tried_again() {
    let disk = SimulatedDisk::new();
    let store =
        open_on(Arc::new(disk.clone()), small().history(HISTORY).log_bytes(5 * SEGMENT_BYTES)).unwrap();
    for n in 0..250 {
        store.set(format!("/n/{n}"), [b'x'; 1000]).unwrap();
    }
    disk.set_capacity(Some(bytes_on(&disk) + 2 * SEGMENT_BYTES));
    let error = store.snapshot().unwrap_err();
    assert!(matches!(&error, Error::NotSaved { why } if why.contains("no room for")), "{error:?}");
    assert!(disk.names().unwrap().iter().all(|name| !name.contains("snap")), "nothing is left behind");
    let problems = store.status().problems;
    assert!(problems.iter().any(|what| what.contains("the last snapshot failed")), "{problems:?}");
    disk.set_capacity(None);
    wait_until("a snapshot by itself", || {
        until_writable(&store);
        store.status().log.unwrap().saved.get() > 0
    });
    assert!(store.status().problems.is_empty());
}

/// A disk on which files of some names cannot be made, however much room it has.
#[derive(Debug)]
struct Refusing(SimulatedDisk, fn(&str) -> bool);

impl Disk for Refusing {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.0.names()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        self.0.open(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Sink>> {
        if self.1(name) { Err(io::ErrorKind::PermissionDenied.into()) } else { self.0.create(name) }
    }

    fn map(&self, name: &str) -> io::Result<Box<dyn Region>> {
        self.0.map(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.0.sync_directory()
    }
}

#[test]
fn a_log_that_cannot_shrink_stops_at_four_times_its_size() {
    let disk = SimulatedDisk::new();
    let refusing = Refusing(disk.clone(), |name| name.contains(".snap"));
    let store = open_on(Arc::new(refusing), small()).unwrap();
    let count = fill(&store);
    let full = store.set("/more", 1).unwrap_err().to_string();
    assert!(full.contains("cannot shrink") && full.contains(".snap"), "{full}");
    assert!(store.status().log.unwrap().bytes <= 5 * SEGMENT_BYTES);
    assert!(bytes_on(&disk) <= 8 * SEGMENT_BYTES);
    for n in 0..count {
        store.delete(format!("/n/{n}")).unwrap();
    }
    assert!(bytes_on(&disk) <= 8 * SEGMENT_BYTES, "deleting goes on, and takes little");
    drop(store);
    // On a disk that takes snapshots it gets well.
    until_writable(&open(&disk));
}

/// What keeps a segment from being made may be something else than a full disk: that is what is said.
#[test]
fn a_segment_that_cannot_be_made_says_why() {
    let refusing = Refusing(SimulatedDisk::new(), |name| name > "0000000000000003" && name.contains(".wal"));
    let store = open_on(Arc::new(refusing), small().log_bytes(1 << 20)).unwrap();
    fill(&store);
    let error = store.set("/more", [b'x'; 1000]).unwrap_err().to_string();
    assert!(error.contains("0000000000000003.wal") && error.contains("permission denied"), "{error}");
}

/// A file system of its own, for as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` where one may not mount.
    fn with(bytes: u64, at: &Path) -> Option<Self> {
        let size = format!("size={bytes}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mount.is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_real_file_system_that_is_full_is_no_harm_either() {
    let directory = directory();
    let Some(mounted) = Mounted::with(12 * SEGMENT_BYTES + REST, directory.path()) else {
        println!("skipped: mounting is not permitted here");
        return;
    };
    let path = mounted.0.join("data");
    let store = small().history(HISTORY).dir(&path).open().unwrap();
    get_full_and_recover(&store, || bytes_of(&path));
    let before = store.view();
    drop(store);
    patiently(|| Store::verify(&path)).unwrap();
    let store = patiently(|| small().history(HISTORY).dir(&path).open()).unwrap();
    assert!(before.diff(&store.view()).is_empty());
}
