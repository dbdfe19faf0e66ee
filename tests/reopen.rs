//! Directories that are opened again: with other settings, or with files that do not belong together.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use spinney::internals::BootId;
use spinney::internals::codec;
use spinney::internals::entry::{Config, Entry, EntryId, HardState, Payload, Session, WriteSet};
use spinney::internals::tree::{Command, CreateInOrder, Value};
use spinney::internals::wal::{
    Disk, FileDisk, SnapshotHeader, SnapshotKind, Wal, WalSettings, save_snapshot,
};
use spinney::{
    Builder, ClusterId, Error, Event, Identity, Key, LogIndex, MemberId, Store, Term, Timestamp, WalError,
};

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
fn an_older_snapshot_under_the_name_of_a_newer_is_refused() {
    let directory = scratch();
    let store = Store::open(directory.path()).unwrap();
    store.set("/a", "1").unwrap();
    store.snapshot().unwrap();
    let older = fs::read(snapshot_of(directory.path())).unwrap();
    store.set("/a", "2").unwrap();
    store.snapshot().unwrap();
    drop(store);
    let newer = snapshot_of(directory.path());
    fs::write(&newer, older).unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(&error, Error::Log(WalError::Damaged { path, .. }) if *path == newer), "{error:?}");
}

fn entry(term: u64, index: u64, session: Option<Session>, payload: Payload) -> Entry {
    let id = EntryId { term: Term::new(term), index: LogIndex::new(index) };
    Entry { id, time: Timestamp::new(5_000), session, payload }
}

const MEMBER: MemberId = MemberId::new(1);

/// A log of `set`, after a snapshot of nothing if one is asked for. Its checksums are right whatever it says.
fn write_log(path: &Path, after: Option<EntryId>, set: WriteSet) {
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(path, true).unwrap());
    let identity = Identity { cluster: ClusterId::new(7), member: MEMBER };
    if let Some(last) = after {
        let (kind, config, meta) =
            (SnapshotKind::Snapshot, Config::alone(MEMBER), codec::encode(&(0_u64, 0_u64)));
        let header = SnapshotHeader { kind, identity, last, config, meta };
        save_snapshot(&disk, &header, |_| Ok(())).unwrap();
    }
    let mut wal = Wal::create(disk, WalSettings::default(), identity, after).unwrap();
    wal.append(&set).unwrap();
    wal.close().unwrap();
}

/// The log of a member that was one of several: what its callers proposed has numbers, and may be there twice.
#[test]
fn what_a_log_has_twice_is_done_once() {
    let directory = scratch();
    let boot = BootId::new(3);
    let create = Command::CreateInOrder(CreateInOrder {
        directory: Key::parse("/queue").unwrap(),
        value: Value("job".as_bytes().into()),
        ttl_ms: None,
        dir: false,
    });
    let payloads = [None, Some(1), Some(1), Some(2), Some(1), Some(2)].map(|sequence: Option<u64>| {
        let session = sequence.map(|sequence| Session { member: MEMBER, boot, sequence });
        let config = || Payload::Config(Box::new(Config::alone(MEMBER)));
        (session, session.map_or_else(config, |_| Payload::Command(codec::encode(&create).into())))
    });
    let entries = (1..).zip(payloads).map(|(index, (session, payload))| entry(1, index, session, payload));
    let entries = entries.collect();
    let hard_state = Some(HardState { term: Term::new(1), vote: Some(MEMBER), boot, ..HardState::default() });
    write_log(directory.path(), None, WriteSet { hard_state, entries, ..WriteSet::default() });
    for _ in 0..2 {
        let store = Store::open(directory.path()).unwrap();
        assert_eq!(store.list("/queue").unwrap().len(), 2);
        store.snapshot().unwrap();
    }
}

#[test]
fn a_log_that_says_what_cannot_be_is_refused() {
    let config = || Payload::Config(Box::new(Config::alone(MEMBER)));
    let state = |term, boot| HardState {
        term: Term::new(term),
        vote: None,
        boot: BootId::new(boot),
        ..HardState::default()
    };
    let log = |hard_state, first: Entry| WriteSet {
        hard_state: Some(hard_state),
        entries: vec![first],
        ..WriteSet::default()
    };
    let first = |term| entry(term, 1, None, config());
    let [near, far] = [9, u64::MAX - 9].map(|n| EntryId { term: Term::new(1), index: LogIndex::new(n) });
    let garbage = entry(1, 2, None, Payload::Command([0xff; 9][..].into()));
    let after = |before: EntryId| entry(1, before.index.get() + 1, None, config());
    let opens = |after: Option<EntryId>, set: WriteSet, is_member: bool| {
        let directory = scratch();
        write_log(directory.path(), after, set);
        let files = || fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path());
        let read = || files().map(|file| fs::read(file).unwrap()).collect::<Vec<_>>();
        let before = read();
        let builder = Store::builder().dir(directory.path());
        #[cfg(feature = "cluster")]
        let builder = if is_member { builder.member("n1").listen("127.0.0.1:0") } else { builder };
        #[cfg(not(feature = "cluster"))]
        assert!(!is_member, "without the feature there are no members");
        match builder.open().and_then(|store| store.set("/a", "1").map(drop)) {
            Ok(()) => true,
            Err(Error::Log(WalError::Damaged { .. })) => {
                assert!(read() == before, "it was changed");
                false
            }
            Err(other) => panic!("{other:?}"),
        }
    };
    let mut broken = log(state(1, 1), first(1));
    broken.entries.push(garbage);
    assert!(!opens(None, broken, false));
    for is_member in [false, cfg!(feature = "cluster")] {
        let opens = |after, hard_state, first| opens(after, log(hard_state, first), is_member);
        assert!(opens(None, state(1, 1), first(1)) && opens(None, state(9, 9), first(1)));
        // There is no later moment, and no later life: they are all the same.
        assert!(opens(None, state(1, u64::MAX), Entry { time: Timestamp::new(u64::MAX), ..first(1) }));
        assert!(!opens(None, state(1, 1), first(2)), "a term it was never in");
        assert!(!opens(None, state(u64::MAX - 1, 1), first(1)));
        assert!(!opens(None, state(u64::MAX - 1, 1), first(u64::MAX - 1)));
        assert!(!opens(Some(far), state(1, 1), after(far)) && opens(Some(near), state(1, 1), after(near)));
    }
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
