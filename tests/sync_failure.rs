//! A disk that fails a sync. What it was to make durable is then unknown: that is what the write is told, nothing
//! is acknowledged any more, reads go on, and opening the directory again recovers all that was acknowledged.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use spinney::internals::open_on;
use spinney::internals::wal::SimulatedDisk;
use spinney::{Builder, Durability, Error, Store};
use support::{Random, small, wait_until};

fn open(disk: &SimulatedDisk, builder: Builder) -> Result<Store, Error> {
    disk.restart();
    let store = open_on(Arc::new(disk.clone()), builder)?;
    // The next sync is to be one of the log, and no longer that of a segment which is made ahead of need.
    let mut syncs = 0;
    wait_until("a quiet disk", || {
        std::thread::sleep(Duration::from_millis(3));
        std::mem::replace(&mut syncs, disk.syncs()) == disk.syncs()
    });
    Ok(store)
}

/// Whether the store says, for this write, that nothing can be written and it was not.
fn is_refused(answer: &Result<impl Sized, Error>) -> bool {
    match answer {
        Err(error @ Error::Unavailable { may_have_applied: false, .. }) => !error.is_retryable(),
        _ => false,
    }
}

/// That a store whose log has failed reads, refuses, and says why.
fn assert_failed(store: &Store) {
    assert!(is_refused(&store.set("/later", 1)));
    assert!(is_refused(&store.remove("/n/0").submit().wait()), "removals too");
    assert!(store.get("/later").is_err(), "what was refused is not there");
    assert_eq!(store.get("/n/0").unwrap().text(), Some("0"), "reads go on");
    assert!(store.watch("/n").recursive().since(1).start().unwrap().recv().is_ok(), "watches do");
    let problems = store.status().problems;
    assert!(problems.iter().any(|what| what.contains("nothing can be written")), "{problems:?}");
    assert!(problems.iter().any(|what| what.contains("sync")), "{problems:?}");
    assert!(matches!(store.snapshot(), Err(Error::NotSaved { .. })));
}

/// That all of `/n/0` to `/n/count` is there, whether the process ended or the power failed.
fn assert_recovers(disk: &SimulatedDisk, seed: u64, count: u64) {
    for image in [disk.power_loss(seed), disk.power_loss(!seed), disk.copy()] {
        let store = open(&image, small()).unwrap();
        for n in 0..count {
            assert_eq!(store.get(format!("/n/{n}")).unwrap().parse(), Some(n), "seed {seed}");
        }
        assert!(store.status().problems.is_empty());
        store.set("/on", 1).unwrap();
    }
}

#[test]
fn a_write_whose_sync_fails_is_the_last() {
    let mut unknown = 0;
    for seed in 0..40 {
        let disk = SimulatedDisk::new();
        let store = open(&disk, small()).unwrap();
        let mut count = 0;
        store.set("/n/0", 0).unwrap();
        disk.fail_sync(seed % 20);
        // Large ones, so that segments are made and snapshots taken, whose syncs may be the one that fails.
        let failed = (1..100).find_map(|n| {
            count = n;
            let txn = store.txn().set(format!("/n/{n}"), n).set("/large", vec![b'x'; 9000]);
            txn.commit().err()
        });
        let Some(error) = failed else { continue };
        let cause = match &error {
            // A segment that could not be made is no harm: the log is as it was.
            Error::NoSpace { .. } => continue,
            Error::Unavailable { may_have_applied: true, cause } => {
                unknown += 1;
                cause
            }
            // The sync was that of a snapshot's mark.
            Error::Unavailable { cause, .. } => cause,
            other => panic!("{other:?}"),
        };
        assert!(!error.is_retryable());
        assert!(cause.to_string().contains("sync"), "{error:?}");
        assert!(store.get(format!("/n/{count}")).is_err(), "what is unknown is not shown");
        assert_failed(&store);
        drop(store);
        assert_recovers(&disk, seed, count);
    }
    assert!(unknown > 0);
}

#[test]
fn submitted_writes_are_all_answered() {
    let mut failed = 0;
    for seed in 0..60 {
        let mut random = Random(seed);
        let disk = SimulatedDisk::new();
        let store = open(&disk, small()).unwrap();
        store.set("/n/0", 0).unwrap();
        disk.fail_sync(random.below(3));
        let writes: Vec<_> = (1..300).map(|n| store.put(format!("/n/{n}")).value(n).submit()).collect();
        let mut answers: Vec<_> = writes.into_iter().map(|write| write.wait()).collect();
        // The sync that fails may be one of a segment in the making: then some have no room for a moment.
        let all = answers.len();
        answers.retain(|answer| !matches!(answer, Err(Error::NoSpace { .. })));
        if answers.len() < all {
            assert!(answers.iter().all(Result::is_ok), "seed {seed}: the log itself is as it was");
            wait_until("room again", || store.set("/n/1", 1).is_ok());
            continue;
        }
        let done = answers.iter().take_while(|answer| answer.is_ok()).count();
        let unknown = answers[done..]
            .iter()
            .take_while(|answer| matches!(answer, Err(Error::Unavailable { may_have_applied: true, .. })));
        let unknown = unknown.count();
        let other = answers[done + unknown..].iter().find(|answer| !is_refused(answer));
        assert!(other.is_none(), "seed {seed}: {done} done, {unknown} unknown, then {other:?}");
        if done < answers.len() {
            assert!(unknown > 0);
            assert_failed(&store);
            failed += 1;
        }
        drop(store);
        assert_recovers(&disk, seed, done as u64 + 1);
    }
    assert!(failed > 0);
}

#[test]
fn without_waiting_for_syncs_a_failure_ends_writing_too() {
    for seed in 0..3 {
        let disk = SimulatedDisk::new();
        let store = open(&disk, small().durability(Durability::Process)).unwrap();
        store.set("/n/0", 0).unwrap();
        let before = disk.syncs();
        wait_until("a sync behind the write", || disk.syncs() > before);
        disk.fail_sync(0);
        let mut count = 1;
        wait_until("a failure of the sync behind", || {
            let answer = store.set(format!("/n/{count}"), count);
            match answer {
                Ok(_) => count += 1,
                // Between the failed sync and the note that it has failed.
                Err(Error::Unavailable { may_have_applied: true, .. }) => {}
                refused => assert!(is_refused(&refused), "{refused:?}"),
            }
            !store.status().problems.is_empty()
        });
        assert_failed(&store);
        drop(store);
        // Acknowledged means here: survives this process, but not a loss of power.
        let store = open(&disk.copy(), small()).unwrap();
        assert!((0..count).all(|n| store.get(format!("/n/{n}")).is_ok()), "seed {seed}");
        drop(open(&disk.power_loss(seed), small()).unwrap());
    }
}

#[test]
fn a_snapshot_whose_sync_fails_harms_nobody_unless_the_log_is_hit() {
    let (mut harmless, mut fatal) = (0, 0);
    for failing in 0..8 {
        let disk = SimulatedDisk::new();
        let store = open(&disk, small()).unwrap();
        store.set("/n/0", 0).unwrap();
        disk.fail_sync(failing);
        let saved = store.snapshot();
        match &saved {
            Ok(()) => continue,
            Err(Error::NotSaved { why }) => assert!(why.contains("sync"), "{why}"),
            Err(other) => panic!("{other:?}"),
        }
        let problems = store.status().problems;
        assert!(problems.iter().any(|what| what.contains("the last snapshot failed")), "{problems:?}");
        match store.set("/n/1", 1) {
            Ok(_) => {
                harmless += 1;
                store.snapshot().unwrap();
                assert!(store.status().problems.is_empty(), "it has come off by now");
            }
            refused => {
                // It was the log's own sync: nobody's write was in it.
                fatal += 1;
                assert!(is_refused(&refused), "{refused:?}");
                assert_failed(&store);
            }
        }
        drop(store);
        assert_recovers(&disk, failing, 1);
    }
    assert!(harmless > 0 && fatal > 0, "{harmless} {fatal}");
}

#[test]
fn nothing_expires_where_nothing_can_be_written() {
    let disk = SimulatedDisk::new();
    let store = open(&disk, small()).unwrap();
    store.put("/n/0").value(0).ttl(Duration::from_millis(1500)).send().unwrap();
    wait_until("a failure", || {
        disk.fail_sync(0);
        matches!(store.set("/x", 1), Err(Error::Unavailable { .. }))
    });
    let deadline = store.get("/n/0").unwrap().deadline().unwrap();
    wait_until("the deadline", || store.now() > deadline);
    std::thread::sleep(Duration::from_millis(100));
    assert_failed(&store);
    drop(store);
    let store = open(&disk, small()).unwrap();
    wait_until("expiry on opening", || store.get("/n/0").is_err());
}
