//! Directories that are opened again: with other settings, or with files that do not belong together.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

use std::fs;
use std::path::{Path, PathBuf};

use spinney::{Builder, Error, Store, WalError};

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
