//! A full disk: refused is what can be refused, and it passes.

use super::*;

const SEGMENT: u64 = 16 << 10;

/// Fills the log until an ordinary write is refused.
fn fill(wal: &mut Wal, jobs_run: bool) {
    for index in wal.last().index.get() + 1.. {
        let set = set_of(index, 500);
        match wal.room(600, Reserve::Ordinary) {
            Ok(()) => wal.append(&set).unwrap(),
            Err(WalError::NoSpace { .. }) => return,
            Err(error) => panic!("{error}"),
        }
        if jobs_run && let Some(job) = wal.spare_wanted() {
            let _ = job.run();
        }
    }
}

#[test]
fn what_frees_space_still_goes_when_the_disk_is_full() {
    for (segments, jobs_run) in (1..=5).flat_map(|segments| [(segments, true), (segments, false)]) {
        let disk = SimulatedDisk::new();
        let mut wal = create(&disk);
        disk.set_capacity(Some(segments * SEGMENT + 100));
        fill(&mut wal, jobs_run);
        let full_at = wal.last().index.get();
        // Most of a segment is kept for it; half of one if nobody prepared the next in time.
        let kept = if jobs_run { 18 } else { 9 };
        for index in full_at + 1..=full_at + kept {
            wal.room(600, Reserve::Freeing).unwrap();
            wal.append(&set_of(index, 500)).unwrap();
            assert!(matches!(wal.room(600, Reserve::Ordinary), Err(WalError::NoSpace { .. })));
        }
        // Nothing is left behind by the failed attempts.
        assert!(disk.names().unwrap().iter().all(|name| name.ends_with(".wal")));
        wal.sync().unwrap();
        let last = wal.last();
        assert_eq!(scan(&disk).unwrap().last(), last);
        disk.set_capacity(None);
        keep_house(&mut wal);
        wal.room(600, Reserve::Ordinary).unwrap();
        wal.append(&set_of(last.index.get() + 1, 500)).unwrap();
    }
}

#[test]
fn a_refused_append_changes_nothing() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    disk.set_capacity(Some(SEGMENT));
    let mut index = 1;
    let refused = loop {
        match wal.append(&set_of(index, 500)) {
            Ok(()) => index += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, WalError::NoSpace { .. }));
    assert_eq!(wal.last(), id(1, index - 1));
    assert!(matches!(wal.append(&set_of(index, 500)), Err(WalError::NoSpace { .. })));
    wal.sync().unwrap();
    assert_eq!(scan(&disk).unwrap().last(), id(1, index - 1));
    disk.set_capacity(None);
    keep_house(&mut wal);
    wal.append(&set_of(index, 500)).unwrap();
}

#[test]
fn releasing_makes_room_on_a_full_disk() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    disk.set_capacity(Some(4 * SEGMENT));
    for _ in 0..20 {
        fill(&mut wal, true);
        let snapshot = wal.last();
        wal.room(100, Reserve::Freeing).unwrap();
        wal.append(&mark(snapshot)).unwrap();
        wal.sync().unwrap();
        wal.release(snapshot.index);
        keep_house(&mut wal);
        wal.room(600, Reserve::Ordinary).unwrap();
    }
    assert!(wal.last().index > LogIndex::new(500));
}

#[test]
fn a_job_may_run_late_or_never() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    let job = wal.spare_wanted().unwrap();
    assert!(wal.spare_wanted().is_none(), "there is one already");
    // The log needs a spare before the job is run, and makes it itself.
    (1..=60).for_each(|index| wal.append(&set_of(index, 500)).unwrap());
    job.run().unwrap();
    drop(wal.spare_wanted().unwrap());
    let job = wal.spare_wanted().unwrap();
    drop(wal);
    let before = disk.names().unwrap();
    job.run().unwrap();
    assert_eq!(disk.names().unwrap(), before, "nobody works in the directory after the log is gone");
    assert_eq!(scan(&disk).unwrap().last(), id(1, 60));
}

#[test]
fn a_job_that_runs_is_waited_for() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    for round in 0..50_u64 {
        let job = wal.spare_wanted();
        std::thread::scope(|scope| {
            if let Some(job) = job {
                scope.spawn(move || job.run().unwrap());
            }
            (1..=25).for_each(|index| wal.append(&set_of(round * 25 + index, 500)).unwrap());
        });
    }
    assert_eq!(scan(&disk).unwrap().last(), id(1, 50 * 25));
}

#[test]
fn segments_go_in_order_even_if_one_cannot() {
    for failing in 0..5 {
        let disk = SimulatedDisk::new();
        let mut wal = create(&disk);
        (1..=150).for_each(|index| wal.append(&set_of(index, 500)).unwrap());
        wal.append(&mark(id(1, 150))).unwrap();
        wal.sync().unwrap();
        wal.release(LogIndex::new(150));
        let mut failures = 0;
        // One more try than there are segments: a failure must not keep the next from going.
        for _ in 0..10 {
            disk.fail_sync(failing);
            while let Some(job) = wal.spare_wanted() {
                let failed = job.run().is_err();
                failures += usize::from(failed);
                for seed in 0..10 {
                    let lost = disk.power_loss(seed);
                    assert_eq!(
                        scan(&lost).unwrap().last(),
                        id(1, 150),
                        "sync {failing}, {failures} failures"
                    );
                }
                if failed {
                    break;
                }
            }
        }
        assert!(failures > 0, "sync {failing}");
        disk.restart();
        keep_house(&mut wal);
        assert!(disk.names().unwrap().len() <= 3, "sync {failing}: {:?}", disk.names());
        assert_eq!(wal.bytes(), SEGMENT);
    }
}
