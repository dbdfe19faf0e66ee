//! From opening to the end: twice, a thousand times, on directories that are foreign, damaged, read-only or unfinished,
//! and by way of a backup. What cannot be opened is refused with a reason, and stays as it is.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use spinney::{BackupInfo, Error, Event, RESTORE_INDEX_JUMP, Store, WalError};
use support::{Random, SEGMENT, bytes_of, directory, is_alone, now, patiently, small, threads, wait_until};

fn open(path: &Path) -> Result<Store, Error> {
    patiently(|| small().dir(path).open())
}

fn verify(path: &Path) -> Result<BackupInfo, Error> {
    patiently(|| Store::verify(path))
}

/// Every file below a directory, and what is in it. The lock's content means nothing.
fn content(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = path.read_dir().unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|file| !file.ends_with("lock"))
        .map(|file| (file.clone(), fs::read(&file).unwrap()))
        .collect()
}

fn put_back(content: &BTreeMap<PathBuf, Vec<u8>>) {
    content.iter().for_each(|(file, bytes)| fs::write(file, bytes).unwrap());
}

/// A directory with a snapshot, and a log of several segments after it.
fn fill(path: &Path) -> Store {
    let builder = small().log_bytes(16 * u64::from(SEGMENT)).dir(path);
    let store = patiently(|| builder.clone().open()).unwrap();
    for n in 0..60 {
        store.set(format!("/before/{n}"), [b'x'; 1000]).unwrap();
    }
    store.snapshot().unwrap();
    for n in 0..150 {
        store.set(format!("/after/{n}"), [b'y'; 1000]).unwrap();
    }
    store
}

/// That the directory cannot be opened nor verified, with an error like `expected` that names `file`, and that it
/// is left as it was, with what an interrupted run has left unfinished.
fn assert_refused(path: &Path, file: &str, expected: impl Fn(&WalError) -> bool) {
    let unfinished = path.join("00000000000000ff.snap.tmp");
    fs::write(&unfinished, "half").unwrap();
    let before = content(path);
    for error in [open(path).map(drop).unwrap_err(), verify(path).map(drop).unwrap_err()] {
        let Error::Log(reason) = &error else { panic!("{error:?}") };
        assert!(expected(reason), "{error:?}");
        assert!(error.to_string().contains(file), "{error} does not name {file}");
    }
    assert!(content(path) == before, "the directory was changed");
    fs::remove_file(unfinished).unwrap();
}

fn file_with(path: &Path, extension: &str) -> PathBuf {
    let mut files: Vec<_> = content(path).into_keys().collect();
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.into_iter().next().unwrap()
}

fn name(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

#[test]
fn one_handle_a_directory() {
    let directory = directory();
    let store = open(directory.path()).unwrap();
    let second = small().dir(directory.path()).open().map(drop).unwrap_err();
    assert!(matches!(&second, Error::Log(WalError::InUse { .. })) && second.is_retryable(), "{second:?}");
    assert!(matches!(Store::verify(directory.path()), Err(Error::Log(WalError::InUse { .. }))));
    assert!(matches!(
        Store::restore(&backup_of(&store)[..], directory.path()),
        Err(Error::Log(WalError::InUse { .. }))
    ));
    store.set("/a", 1).unwrap();
    let clone = store.clone();
    drop(store);
    assert!(small().dir(directory.path()).open().is_err(), "a clone is a handle too");
    drop(clone);
    assert_eq!(open(directory.path()).unwrap().get("/a").unwrap().parse(), Some(1));
}

/// In a process of its own, for its threads to be counted.
#[test]
fn a_thousand_openings_leave_nothing_behind() {
    if !is_alone("a_thousand_openings_leave_nothing_behind") {
        return;
    }
    let directory = directory();
    for n in 0..1000 {
        let store = open(directory.path()).unwrap();
        assert_eq!(store.get("/n").ok().and_then(|node| node.parse()), (n > 0).then(|| n - 1));
        store.set("/n", n).unwrap();
        assert_eq!(store.index().get(), n + 1);
    }
    assert!(bytes_of(directory.path()) <= 10 * u64::from(SEGMENT), "{}", bytes_of(directory.path()));
    // The system takes a moment to forget a thread that was joined.
    wait_until("an end of the threads", || threads().is_empty());
    let open_files = Path::new("/proc/self/fd").read_dir().unwrap().count();
    assert!(open_files < 50, "{open_files}");
}

#[test]
fn dropping_ends_a_thousand_watches_quickly() {
    let directory = directory();
    let store = open(directory.path()).unwrap();
    let watches: Vec<_> =
        (0..900).map(|n| store.watch(format!("/{}", n % 50)).buffer(1).start().unwrap()).collect();
    let subscribe =
        |n| store.watch(format!("/{}", n % 50)).buffer(1).start().unwrap().on_event(|_| {}).unwrap();
    let subscriptions: Vec<_> = (0..100).map(subscribe).collect();
    for n in 0..500 {
        drop(store.put(format!("/{}", n % 50)).value([0; 500]).submit());
    }
    let started = now();
    drop(store);
    let dropped = started.elapsed();
    println!("dropped in {} ms", dropped.as_millis());
    assert!(dropped < Duration::from_secs(10), "{dropped:?}");
    assert!(watches.iter().all(|watch| watch.iter().count() < 100), "they end");
    wait_until("an end of the callbacks", || {
        subscriptions.iter().all(|subscription| subscription.is_finished())
    });
    assert_eq!(open(directory.path()).unwrap().index().get(), 500, "what was submitted was written");
}

#[test]
fn somebody_elses_directory_is_left_alone() {
    let directory = directory();
    fs::write(directory.path().join("letter.txt"), "dear").unwrap();
    assert_refused(directory.path(), "letter.txt", |error| matches!(error, WalError::NotOurs { .. }));
    assert!(!directory.path().join("lock").exists());
    let file = directory.path().join("letter.txt");
    assert!(matches!(open(&file), Err(Error::Log(_))), "a file is no directory");
    let missing = directory.path().join("missing");
    assert!(verify(&missing).is_err() && !missing.exists(), "verifying makes nothing");
}

#[test]
fn a_newer_format_is_refused() {
    let directory = directory();
    drop(fill(directory.path()));
    let pristine = content(directory.path());
    for (extension, places) in [("wal", &[8, 2048 + 8][..]), ("snap", &[8])] {
        let file = file_with(directory.path(), extension);
        let mut bytes = fs::read(&file).unwrap();
        // Both copies of a segment's header, wherever the second one is.
        let magic: [u8; 8] = bytes[..8].try_into().unwrap();
        let copies = bytes.windows(8).take(8192).enumerate().filter(|(_, window)| *window == magic);
        let copies: Vec<_> = copies.map(|(at, _)| at + 8).collect();
        assert_eq!(copies.len(), places.len());
        copies.into_iter().for_each(|at| bytes[at] = 9);
        fs::write(&file, bytes).unwrap();
        assert_refused(
            directory.path(),
            name(&file),
            |error| matches!(error, WalError::UnknownVersion { found: 9, known, .. } if *known < 9),
        );
        put_back(&pristine);
    }
    open(directory.path()).unwrap();
}

#[test]
fn what_is_cut_or_missing_is_refused() {
    let directory = directory();
    drop(fill(directory.path()));
    let pristine = content(directory.path());
    for (file, bytes) in &pristine {
        for length in [0, 1, 64, 5000, bytes.len() / 2, bytes.len() - 1] {
            fs::write(file, &bytes[..length.min(bytes.len() - 1)]).unwrap();
            assert_refused(directory.path(), name(file), |_| true);
        }
        put_back(&pristine);
    }
    let segments: Vec<_> = pristine.keys().filter(|file| name(file).ends_with(".wal")).collect();
    for missing in &segments[..segments.len() - 2] {
        fs::remove_file(missing).unwrap();
        assert_refused(directory.path(), "", |_| true);
        put_back(&pristine);
    }
    let snapshot = file_with(directory.path(), "snap");
    fs::remove_file(&snapshot).unwrap();
    assert_refused(
        directory.path(),
        directory.path().to_str().unwrap(),
        |error| matches!(error, WalError::Damaged { what, .. } if what.contains("snapshot")),
    );
    put_back(&pristine);
    open(directory.path()).unwrap();
}

#[test]
fn a_flipped_bit_is_refused_or_changes_nothing() {
    let directory = directory();
    let before = {
        let store = fill(directory.path());
        store.view()
    };
    let pristine = content(directory.path());
    let mut random = Random(1);
    let mut refused = 0;
    for (file, bytes) in &pristine {
        for _ in 0..60 {
            let at = random.below(bytes.len() as u64) as usize;
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << random.below(8);
            fs::write(file, &flipped).unwrap();
            match verify(directory.path()) {
                // In what no record takes, or in one of two copies.
                Ok(_) => {
                    let store = open(directory.path()).unwrap();
                    assert!(before.diff(&store.view()).is_empty(), "{} {at}", file.display());
                    drop(store);
                    fs::read_dir(directory.path())
                        .unwrap()
                        .for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
                }
                Err(_) => {
                    assert_refused(directory.path(), name(file), |error| {
                        matches!(error, WalError::Damaged { offset, .. } if *offset <= at as u64)
                            || matches!(
                                error,
                                WalError::NotAFileOfOurs { .. } | WalError::UnknownVersion { .. }
                            )
                    });
                    refused += 1;
                }
            }
            put_back(&pristine);
        }
    }
    assert!(refused > 100, "{refused}");
}

/// A store that was closed has vouched for its last write: it is no torn one, should it go bad.
#[test]
fn the_last_write_before_the_end_is_not_lost_in_silence() {
    let directory = directory();
    let store = open(directory.path()).unwrap();
    store.set("/first", "1").unwrap();
    store.set("/last", "the very last one").unwrap();
    drop(store);
    let file = file_with(directory.path(), "wal");
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.windows(17).position(|window| window == b"the very last one").unwrap();
    bytes[last] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert_refused(
        directory.path(),
        name(&file),
        |error| matches!(error, WalError::Damaged { offset, .. } if *offset < last as u64),
    );
}

/// A directory on a read-only file system, for as long as this lives.
struct ReadOnly(PathBuf);

impl ReadOnly {
    /// `None` where one may not mount.
    fn mounted(path: &Path) -> Option<Self> {
        let mount = |options: &[&str]| {
            let output = Command::new("mount").args(options).arg(path).output();
            output.is_ok_and(|output| output.status.success())
        };
        let mounted = mount(&["--bind", path.to_str()?]).then(|| Self(path.to_owned()))?;
        mount(&["-o", "remount,ro,bind"]).then_some(mounted)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_read_only_directory_can_be_verified_but_not_opened() {
    let directory = directory();
    drop(fill(directory.path()));
    let Some(mounted) = ReadOnly::mounted(directory.path()) else {
        println!("skipped: mounting is not permitted here");
        return;
    };
    let error = open(&mounted.0).map(drop).unwrap_err();
    assert!(
        matches!(&error, Error::Log(WalError::Io { .. })) && error.to_string().contains("lock"),
        "{error:?}"
    );
    assert_eq!(verify(&mounted.0).unwrap().files, 210);
    drop(mounted);
    open(directory.path()).unwrap();
}

#[test]
fn verifying_changes_nothing() {
    let directory = directory();
    let store = fill(directory.path());
    let index = store.index();
    drop(store);
    let unfinished = directory.path().join("0000000000000099.snap.tmp");
    fs::write(&unfinished, "half").unwrap();
    let before = content(directory.path());
    let verified = verify(directory.path()).unwrap();
    assert_eq!((verified.index, verified.files), (index, 210));
    assert!(content(directory.path()) == before);
    open(directory.path()).unwrap();
    assert!(!unfinished.exists(), "opening removes it");
}

fn backup_of(store: &Store) -> Vec<u8> {
    let mut backup = Vec::new();
    store.backup(&mut backup).unwrap();
    backup
}

#[test]
fn a_backup_is_of_one_moment_while_others_write() {
    let directory = directory();
    let store = open(&directory.path().join("data")).unwrap();
    store.txn().set("/from", 1000).set("/to", 0).commit().unwrap();
    let done = AtomicBool::new(false);
    let backups: Vec<_> = thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1.. {
                store
                    .txn()
                    .set("/from", 1000 - n % 1000)
                    .set("/to", n % 1000)
                    .set(format!("/n/{}", n % 100), [b'x'; 500])
                    .commit()
                    .unwrap();
                if done.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        let backups = (0..20).map(|_| {
            let mut backup = Vec::new();
            let before = store.index();
            let info = store.backup(&mut backup).unwrap();
            assert!(info.index >= before);
            thread::sleep(Duration::from_millis(3));
            (info, backup)
        });
        let backups = backups.collect();
        done.store(true, Ordering::SeqCst);
        backups
    });
    for (n, (info, backup)) in backups.iter().enumerate() {
        let path = directory.path().join(n.to_string());
        assert_eq!(&Store::verify_backup(&backup[..]).unwrap(), info);
        let restored = Store::restore(&backup[..], &path).unwrap();
        assert_eq!(restored.index.get(), info.index.get() + RESTORE_INDEX_JUMP);
        assert_ne!(restored.cluster, info.cluster);
        let store = open(&path).unwrap();
        let number = |key| store.get(key).unwrap().parse::<u64>().unwrap();
        assert_eq!(number("/from") + number("/to"), 1000);
        assert_eq!((store.status().files, store.index()), (info.files, restored.index));
    }
}

#[test]
fn a_backup_that_is_cut_or_flipped_is_refused() {
    let store = Store::builder().history(5).open().unwrap();
    for n in 0..10 {
        store.set(format!("/{n}"), n).unwrap();
    }
    let backup = backup_of(&store);
    for length in 0..backup.len() {
        let error = Store::verify_backup(&backup[..length]).unwrap_err();
        assert!(matches!(error, Error::Log(_) | Error::Backup { .. }), "{error:?}");
    }
    let directory = directory();
    let path = directory.path().join("restored");
    for at in 0..backup.len() {
        let mut flipped = backup.clone();
        flipped[at] ^= 1 << (at % 8);
        let error = Store::verify_backup(&flipped[..]).unwrap_err();
        assert!(matches!(error, Error::Log(_) | Error::Backup { .. }), "{error:?} at {at}");
        assert!(
            Store::restore(&flipped[..], &path).is_err() && !path.exists(),
            "nothing is written before all is checked"
        );
    }
    Store::restore(&backup[..], &path).unwrap();
}

#[test]
fn a_writer_that_fails_fails_the_backup_alone() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let store = Store::in_memory();
    store.set("/a", [0; 10_000]).unwrap();
    for room in [0, 10, 100, 5000] {
        let error = store.backup(Full(room)).unwrap_err();
        assert!(matches!(&error, Error::Backup { source: Some(_), .. }), "{error:?}");
    }
    store.set("/a", 1).unwrap();
}

#[test]
fn whoever_watched_before_a_restore_is_told() {
    let directory = directory();
    let store = Store::in_memory();
    for n in 0..50 {
        store.set("/a", n).unwrap();
    }
    let backup = backup_of(&store);
    // These are lost.
    store.set("/a", "lost").unwrap();
    let seen = store.index();
    Store::restore(&backup[..], directory.path().join("r")).unwrap();
    let restored = open(&directory.path().join("r")).unwrap();
    assert!(restored.index() > seen, "the index goes on, beyond what anybody saw");
    let watch = restored.watch("/").recursive().since(seen.next()).start().unwrap();
    match watch.recv_timeout(Duration::from_secs(20)).unwrap() {
        Event::Resync(resync) => {
            assert_eq!((resync.index, resync.missed_from), (restored.index(), seen.next()));
            assert_eq!(resync.node.as_ref().unwrap().children().next().unwrap().parse(), Some(49));
        }
        other => panic!("{other:?}"),
    }
    let next = restored.set("/a", "next").unwrap();
    assert_eq!(next.index(), restored.index());
    assert_eq!(watch.recv_timeout(Duration::from_secs(20)).unwrap(), Event::Change(next));
    drop(restored);
    let again = open(&directory.path().join("r")).unwrap();
    assert_eq!(again.get("/a").unwrap().text(), Some("next"));
}

#[test]
fn restoring_needs_an_empty_place() {
    let directory = directory();
    let backup = backup_of(&Store::in_memory());
    let used = directory.path().join("used");
    drop(fill(&used));
    let before = content(&used);
    let error = Store::restore(&backup[..], &used).unwrap_err();
    assert!(error.to_string().contains("holds a store already"), "{error}");
    assert!(content(&used) == before);
    let foreign = directory.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("letter.txt"), "dear").unwrap();
    assert!(matches!(Store::restore(&backup[..], &foreign), Err(Error::Log(WalError::NotOurs { .. }))));
    assert_eq!(content(&foreign).len(), 1);
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    Store::restore(&backup[..], &empty).unwrap();
    open(&empty).unwrap();
}

/// The log is made last. Without it the place is not taken for an empty store.
#[test]
fn a_restore_that_did_not_end_is_refused_until_it_is_repeated() {
    let directory = directory();
    let store = Store::in_memory();
    store.set("/a", 1).unwrap();
    let backup = backup_of(&store);
    let path = directory.path().join("r");
    Store::restore(&backup[..], &path).unwrap();
    let segment = file_with(&path, "wal");
    fs::remove_file(segment).unwrap();
    let error = open(&path).map(drop).unwrap_err();
    assert!(error.to_string().contains("a restore that did not end?"), "{error}");
    assert!(verify(&path).is_err());
    Store::restore(&backup[..], &path).unwrap();
    assert_eq!(open(&path).unwrap().get("/a").unwrap().parse(), Some(1));
}

#[test]
fn sizes_may_change_between_openings() {
    let directory = directory();
    let mut expected = BTreeMap::new();
    let mut random = Random(5);
    for round in 0..60 {
        let segment = SEGMENT << random.below(5);
        let builder =
            small().segment_bytes(segment).log_bytes(u64::from(segment)).history(random.below(100) as usize);
        let builder = builder.dir(directory.path());
        let store = patiently(|| builder.clone().open()).unwrap();
        for n in 0..random.below(40) {
            let key = format!("/{}", random.below(30));
            let value = vec![b'0' + (n % 10) as u8; random.below(20_000) as usize];
            store.set(&key, &value).unwrap();
            expected.insert(key, value);
        }
        for (key, value) in &expected {
            assert_eq!(store.get(key).unwrap().value(), value, "round {round}");
        }
    }
}

/// Dropped in a callback, on the store's own thread: what was submitted behind it is still written, and is on disk
/// when it is said to be.
#[test]
fn the_last_handle_may_go_while_writes_wait() {
    for _ in 0..20 {
        let directory = directory();
        let store = open(directory.path()).unwrap();
        let (sender, receiver) = crossbeam_channel::bounded::<()>(0);
        let last = store.clone();
        store.put("/first").submit().on_done(move |_| {
            let _ = receiver.recv_timeout(Duration::from_secs(1));
            drop(last);
        });
        let writes: Vec<_> =
            (0..300).map(|n| store.put(format!("/n/{n}")).value([0; 1500]).submit()).collect();
        drop(sender);
        drop(store);
        writes.into_iter().for_each(|write| drop(write.wait().unwrap()));
        assert_eq!(open(directory.path()).unwrap().index().get(), 301);
    }
}

#[test]
fn the_last_handle_may_be_held_by_a_subscription() {
    let directory = directory();
    let store = Arc::new(open(directory.path()).unwrap());
    let inner = (*store).clone();
    let subscription = store.watch("/a").start().unwrap().on_event(move |_| drop(inner.set("/b", 1)));
    store.set("/a", 1).unwrap();
    wait_until("the callback's write", || store.get("/b").is_ok());
    drop(store);
    assert!(small().dir(directory.path()).open().is_err(), "the callback's handle keeps it open");
    drop(subscription.unwrap());
    assert!(open(directory.path()).is_ok());
}
