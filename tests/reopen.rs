//! Directories that are opened again: with other settings, or with files that do not belong together.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use spinney::{Builder, Error, Event, Store, WalError};

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn small(path: &Path) -> Builder {
    Store::builder()
        .dir(path)
        .value_bytes(4 << 10)
        .transaction_bytes(16 << 10)
        .segment_bytes(64 << 10)
        .log_bytes(64 << 10)
}

fn snapshot_of(path: &Path) -> PathBuf {
    let mut files = fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
    files.find(|file| file.extension().is_some_and(|extension| extension == "snap")).unwrap()
}

#[test]
fn smaller_settings_take_a_larger_log_as_it_is() {
    let directory = scratch();
    let store = Store::open(directory.path()).unwrap();
    (0..100).for_each(|n| drop(store.set(format!("/{n}"), "x".repeat(10_000)).unwrap()));
    drop(store);
    for _ in 0..3 {
        let store = small(directory.path()).open().unwrap();
        (0..100).for_each(|n| drop(store.set(format!("/small/{n}"), "x".repeat(1000)).unwrap()));
        assert_eq!(store.list("/").unwrap().len(), 101);
    }
}

#[test]
fn what_was_submitted_is_written_however_small_the_log() {
    let directory = scratch();
    let store = small(directory.path()).open().unwrap();
    let writes: Vec<_> =
        (0..1000).map(|n| store.put(format!("/{n}")).value("x".repeat(4000)).submit()).collect();
    drop(store);
    for write in writes {
        write.wait().unwrap();
    }
    assert_eq!(small(directory.path()).open().unwrap().list("/").unwrap().len(), 1000);
}

/// The first index that history has: whoever asks for more is told what it does not have.
fn history_from(store: &Store) -> u64 {
    let watch = store.watch("/").recursive().since(1).start().unwrap();
    match watch.recv_timeout(Duration::from_secs(10)).unwrap() {
        Event::Change(change) => change.index().get(),
        Event::Resync(resync) => resync.history_from.get(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn history_is_bounded_in_bytes_and_the_same_after_a_restart() {
    let directory = scratch();
    let open = |bytes: usize| small(directory.path()).history_bytes(bytes).open().unwrap();
    let store = open(50_000);
    // Each counts with its key and its value, and from the second round on with the value that was there before.
    let set = |store: &Store, n: usize| store.set(format!("/{}", n % 7), "x".repeat(n * 331 % 4000)).unwrap();
    let mut before = 1;
    for n in 0..200 {
        set(&store, n);
        let kept = history_from(&store);
        assert!(kept >= before, "what was forgotten stays forgotten");
        before = kept;
    }
    let watch = store.watch("/").recursive().since(before).buffer(200).start().unwrap();
    let values = |event: Event| {
        let change = event.change().unwrap();
        change.node.value().len() + change.prev_node.as_ref().map_or(0, |node| node.value().len())
    };
    let bytes: usize = watch.try_iter().map(values).sum();
    assert!((40_000..=50_000).contains(&bytes), "{bytes} bytes");
    drop(store);

    // From a log that begins with a snapshot; from a snapshot with nothing after it; with less room, and with more.
    let store = open(50_000);
    assert_eq!(history_from(&store), before);
    store.snapshot().unwrap();
    drop(store);
    let store = open(50_000);
    assert_eq!(history_from(&store), before);
    drop(store);
    let less = history_from(&open(10_000));
    assert!(less > before);
    let store = open(1 << 20);
    assert_eq!(history_from(&store), before, "the log still has what a smaller setting passed over");
}

#[test]
fn large_values_do_not_stay_in_memory_for_their_thousand_changes() {
    let store = Store::in_memory();
    for n in 0..100_u8 {
        store.set("/large", vec![n; 1 << 20]).unwrap();
    }
    // 64 MiB by default; each change has a value and the one before.
    assert_eq!(store.index().get() + 1 - history_from(&store), 31);
}

#[test]
fn a_snapshot_of_another_log_is_refused() {
    let (mine, other) = (scratch(), scratch());
    for path in [mine.path(), other.path()] {
        let store = Store::open(path).unwrap();
        store.set("/a", path.to_str().unwrap()).unwrap();
        store.snapshot().unwrap();
        store.set("/b", "1").unwrap();
    }
    let (own, foreign) = (snapshot_of(mine.path()), snapshot_of(other.path()));
    fs::rename(&own, own.with_extension("kept")).unwrap();
    fs::copy(&foreign, &own).unwrap();
    let error = Store::open(mine.path()).unwrap_err();
    assert!(matches!(&error, Error::Log(WalError::OtherLog { path, .. }) if *path == own), "{error:?}");
    // Its own is taken again, and nothing is lost.
    fs::rename(own.with_extension("kept"), &own).unwrap();
    assert!(Store::open(mine.path()).unwrap().get("/b").is_ok());
}

#[test]
fn a_snapshot_ahead_of_the_log_is_refused() {
    let (directory, older) = (scratch(), scratch());
    let store = Store::open(directory.path()).unwrap();
    store.set("/a", "1").unwrap();
    drop(store);
    for file in fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap()) {
        fs::copy(file.path(), older.path().join(file.file_name())).unwrap();
    }
    let store = Store::open(directory.path()).unwrap();
    (0..10).for_each(|n| drop(store.set("/a", n).unwrap()));
    store.snapshot().unwrap();
    drop(store);
    let snapshot = snapshot_of(directory.path());
    fs::copy(&snapshot, older.path().join(snapshot.file_name().unwrap())).unwrap();
    let error = Store::open(older.path()).unwrap_err();
    assert!(matches!(error, Error::Log(WalError::Damaged { .. })), "{error:?}");
}

#[test]
fn a_backup_is_restored_to_an_empty_directory_alone() {
    let directory = scratch();
    let store = Store::open(directory.path()).unwrap();
    store.set("/a", "1").unwrap();
    store.snapshot().unwrap();
    let mut backup = Vec::new();
    store.backup(&mut backup).unwrap();
    drop(store);
    assert!(matches!(Store::restore(&backup[..], directory.path()), Err(Error::Backup { .. })));
    // Nor is one that has lost its log but not its snapshot.
    for file in fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "wal") {
            fs::remove_file(file).unwrap();
        }
    }
    assert!(Store::restore(&backup[..], directory.path()).is_err());
    assert!(Store::open(directory.path()).is_err());
}
