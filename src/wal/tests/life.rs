//! A log in use, on a disk that does as it is told.

use super::*;

fn entries_of(recovery: &Recovery, from: u64) -> Vec<u64> {
    let mut indexes = Vec::new();
    let receive = |entry: Entry| {
        indexes.push(entry.id.index.get());
        Ok::<(), ()>(())
    };
    recovery.replay(LogIndex::new(from), receive).unwrap();
    indexes
}

#[test]
fn nothing_is_there_before_it_is_created() {
    let disk = SimulatedDisk::new();
    let recovery = scan(&disk).unwrap();
    assert_eq!(recovery.identity(), None);
    assert_eq!((recovery.first_index(), recovery.last()), (LogIndex::new(1), EntryId::default()));
    assert!(matches!(recovery.into_wal(SETTINGS), Err(WalError::NoLog { .. })));
    drop(create(&disk));
    assert_eq!(scan(&disk).unwrap().identity(), Some(IDENTITY));
    let again = Wal::create(arc(&disk), SETTINGS, IDENTITY, None);
    assert!(matches!(again, Err(WalError::LogExists { .. })));
}

/// Interrupted, it leaves a log that is as empty as before, or none.
#[test]
fn only_a_log_that_never_had_anything_is_discarded() {
    let unused = SimulatedDisk::new();
    create(&unused).close().unwrap();
    for operations in 0.. {
        let disk = unused.copy();
        disk.stop_after(operations);
        let discarded = scan(&disk).and_then(Recovery::discard_empty);
        let has_ended = !disk.has_stopped();
        assert_eq!(discarded.is_ok(), has_ended);
        for found in [disk.copy(), disk.power_loss(operations)] {
            found.restart();
            let left = scan(&found).unwrap();
            assert!(left.is_empty() && (!has_ended || left.identity().is_none()));
            left.discard_empty().unwrap();
            drop(create(&found));
        }
        if has_ended {
            break;
        }
    }
    let told = |term, last| {
        let floor = Testimony { term: Term::new(term), last };
        WriteSet { hard_state: Some(HardState { floor, ..HardState::default() }), ..WriteSet::default() }
    };
    let disk_with = |set| {
        let disk = SimulatedDisk::new();
        let mut wal = create(&disk);
        wal.append(&set).unwrap();
        wal.close().unwrap();
        disk
    };
    // That a term has begun is nothing yet.
    scan(&disk_with(told(1, EntryId::default()))).unwrap().discard_empty().unwrap();
    for used in [told(1, id(1, 1)), told(2, EntryId::default()), set_of(1, 10)] {
        let disk = disk_with(used);
        assert!(matches!(scan(&disk).unwrap().discard_empty(), Err(WalError::LogExists { .. })));
        assert_eq!(scan(&disk).unwrap().identity(), Some(IDENTITY));
    }
}

#[test]
fn what_was_appended_is_there_again() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    let hard_state =
        Some(HardState { term: Term::new(3), vote: Some(MemberId::new(7)), ..HardState::default() });
    wal.append(&WriteSet { hard_state, ..WriteSet::default() }).unwrap();
    for index in 1..=100 {
        wal.append(&set_of(index, 500)).unwrap();
    }
    assert_eq!((wal.last(), wal.first_index()), (id(1, 100), LogIndex::new(1)));
    assert!(wal.bytes() >= 4 * (16 << 10));
    drop(wal);
    let recovery = scan(&disk).unwrap();
    assert_eq!((recovery.hard_state(), recovery.snapshot_mark()), (hard_state, None));
    assert_eq!(recovery.last(), id(1, 100));
    for from in 0..=101 {
        assert_eq!(entries_of(&recovery, from), (from.max(1)..=100).collect::<Vec<_>>());
    }
    assert_eq!(recovery.torn(), None);
    let mut wal = recovery.into_wal(SETTINGS).unwrap();
    assert_eq!((wal.last(), wal.identity()), (id(1, 100), IDENTITY));
    wal.append(&set_of(101, 10)).unwrap();
}

#[test]
fn a_replay_stops_where_its_receiver_does() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    (1..=3).for_each(|index| wal.append(&set_of(index, 1)).unwrap());
    let refuse = |entry: Entry| if entry.id.index.get() < 2 { Ok(()) } else { Err("no") };
    let stopped = scan(&disk).unwrap().replay(LogIndex::new(1), refuse);
    assert!(matches!(stopped, Err(ReplayError::Receiver("no"))));
}

#[test]
fn overwritten_entries_are_not_replayed() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    let mut model = Model::default();
    let mut append = |model: &mut Model, set: &WriteSet| {
        wal.append(set).unwrap();
        model.follow(set);
    };
    for index in 1..=60 {
        append(&mut model, &set_of(index, 700));
    }
    for (from, term) in [(40, 2), (20, 3), (35, 4), (35, 5)] {
        let entries = (from..from + 20).map(|index| entry(term, index, &[0; 200])).collect();
        append(
            &mut model,
            &WriteSet { truncate_from: Some(LogIndex::new(from)), entries, ..WriteSet::default() },
        );
    }
    assert_eq!(model.last, id(5, 54));
    assert_eq!(Model::of(&scan(&disk).unwrap()), model);
    assert_eq!(entries_of(&scan(&disk).unwrap(), 30), (30..=54).collect::<Vec<_>>());
    // A snapshot from a peer takes the place of everything.
    append(
        &mut model,
        &WriteSet {
            truncate_from: Some(LogIndex::new(50)),
            snapshot: Some(id(6, 80)),
            ..WriteSet::default()
        },
    );
    append(&mut model, &WriteSet { entries: vec![entry(6, 81, b"x")], ..WriteSet::default() });
    let recovery = scan(&disk).unwrap();
    assert_eq!(Model::of(&recovery), model);
    assert_eq!((recovery.first_index(), recovery.last()), (LogIndex::new(81), id(6, 81)));
    assert_eq!(recovery.snapshot_mark(), Some(id(6, 80)));
}

#[test]
fn a_log_may_begin_after_a_snapshot() {
    let disk = SimulatedDisk::new();
    let mut wal = Wal::create(arc(&disk), SETTINGS, IDENTITY, Some(id(4, 1000))).unwrap();
    assert_eq!((wal.first_index(), wal.last()), (LogIndex::new(1001), id(4, 1000)));
    wal.append(&WriteSet { entries: vec![entry(5, 1001, b"x")], ..WriteSet::default() }).unwrap();
    let recovery = scan(&disk).unwrap();
    assert_eq!((recovery.first_index(), recovery.last()), (LogIndex::new(1001), id(5, 1001)));
    assert_eq!(recovery.snapshot_mark(), Some(id(4, 1000)));
}

#[test]
fn released_segments_are_used_again() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    let hard_state = Some(HardState { term: Term::new(1), vote: None, ..HardState::default() });
    wal.append(&WriteSet { hard_state, ..WriteSet::default() }).unwrap();
    let mut most = 0;
    for index in 1..=2_000 {
        wal.append(&set_of(index, 300)).unwrap();
        if index % 50 == 0 {
            let snapshot = wal.last();
            wal.append(&mark(snapshot)).unwrap();
            wal.sync().unwrap();
            wal.release(snapshot.index);
        }
        keep_house(&mut wal);
        most = most.max(disk.names().unwrap().len());
    }
    assert!(most <= 5, "{most} segments");
    assert!(wal.first_index() > LogIndex::new(1_800));
    let first_index = wal.first_index();
    drop(wal);
    let recovery = scan(&disk).unwrap();
    assert_eq!(recovery.first_index(), first_index);
    assert_eq!((recovery.last(), recovery.hard_state()), (id(1, 2_000), hard_state));
    assert_eq!(entries_of(&recovery, 0), (first_index.get()..=2_000).collect::<Vec<_>>());
}

#[test]
fn nothing_is_released_before_the_mark_is_durable() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    (1..=100).for_each(|index| wal.append(&set_of(index, 500)).unwrap());
    keep_house(&mut wal);
    wal.sync().unwrap();
    wal.release(LogIndex::new(100));
    assert!(wal.spare_wanted().is_none(), "there is no mark");
    wal.append(&mark(id(1, 90))).unwrap();
    wal.release(LogIndex::new(100));
    assert!(wal.spare_wanted().is_none(), "it is not durable");
    wal.sync().unwrap();
    keep_house(&mut wal);
    assert!((60..=90).contains(&wal.first_index().get()), "the mark bounds what is released");
    wal.append(&mark(id(1, 100))).unwrap();
    wal.sync().unwrap();
    wal.release(LogIndex::new(100));
    keep_house(&mut wal);
    assert_eq!(wal.bytes(), 16 << 10);
}

#[test]
fn a_log_may_begin_with_a_segment_that_reaches_back_before_it() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    let mut append = |set: WriteSet| {
        wal.append(&set).unwrap();
        wal.last().index.get()
    };
    let mut index = 0;
    while disk.names().unwrap().len() < 3 {
        index = append(set_of(index + 1, 500));
    }
    // The last entries of the second segment are overwritten from the third, to the end of that one.
    let from = index - 4;
    append(WriteSet { truncate_from: Some(LogIndex::new(from)), ..WriteSet::default() });
    for index in from..from + 40 {
        append(WriteSet { entries: vec![entry(2, index, &[0; 400])], ..WriteSet::default() });
    }
    let last = wal.last();
    wal.append(&mark(last)).unwrap();
    wal.sync().unwrap();
    wal.release(last.index);
    let mut first_indexes = Vec::new();
    while let Some(job) = wal.spare_wanted() {
        job.run().unwrap();
        let recovery = scan(&disk).unwrap();
        assert_eq!((recovery.last(), recovery.snapshot_mark()), (last, Some(last)));
        let first_index = recovery.first_index().get();
        assert_eq!(entries_of(&recovery, 0), (first_index..=last.index.get()).collect::<Vec<_>>());
        first_indexes.push(first_index);
    }
    assert!(first_indexes.is_sorted());
    assert!(first_indexes.contains(&from), "the third segment was the first for a while");
}

#[test]
fn closing_and_opening_leave_no_trace() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    wal.append(&set_of(1, 10)).unwrap();
    wal.close().unwrap();
    let content = disk.content("0000000000000001.wal");
    for _ in 0..1_000 {
        reopen(&disk).close().unwrap();
    }
    assert!(disk.content("0000000000000001.wal") == content);
    assert_eq!(disk.names().unwrap().len(), 1);
}

/// Flips a bit in the last record that is not empty, which ends the log but for what vouches for it.
fn rot_at_the_end(disk: &SimulatedDisk, before_close: &[u8]) {
    let last = before_close.iter().rposition(|byte| *byte != 0).unwrap();
    disk.flip_bit(disk.names().unwrap().last().unwrap(), last * 8);
}

#[test]
fn what_was_written_last_is_vouched_for_at_any_length() {
    for bytes in (16..1_000).step_by(13) {
        let disk = SimulatedDisk::new();
        let mut wal = create(&disk);
        for index in 1.. {
            let before = disk.copy();
            wal.append(&set_of(index, bytes)).unwrap();
            let full = disk.names().unwrap().len() > 1;
            if full || index % 7 == 0 {
                let content = before.content("0000000000000001.wal");
                // By closing, or by opening what had crashed.
                reopen(&before).close().unwrap();
                rot_at_the_end(&before, &content);
                let damaged = scan(&before);
                assert!(matches!(damaged, Err(WalError::Damaged { .. })), "{bytes} bytes, record {index}");
            }
            if full {
                break;
            }
        }
    }
}

#[test]
fn a_closed_log_that_went_on_is_vouched_for_again() {
    let disk = SimulatedDisk::new();
    create(&disk).close().unwrap();
    let mut wal = reopen(&disk);
    wal.append(&set_of(1, 100)).unwrap();
    let content = disk.content("0000000000000001.wal");
    wal.close().unwrap();
    rot_at_the_end(&disk, &content);
    assert!(matches!(scan(&disk), Err(WalError::Damaged { .. })));
}

#[test]
fn a_crashed_log_is_vouched_for_once_it_is_opened() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    wal.append(&set_of(1, 100)).unwrap();
    wal.sync().unwrap();
    drop(wal);
    let content = disk.content("0000000000000001.wal");
    drop(reopen(&disk));
    rot_at_the_end(&disk, &content);
    assert!(matches!(scan(&disk), Err(WalError::Damaged { .. })));
}

#[test]
fn other_threads_may_have_them() {
    fn assert_send<T: Send>() {}
    assert_send::<Wal>();
    assert_send::<Recovery>();
    assert_send::<Syncer>();
    assert_send::<SpareJob>();
}

#[test]
fn the_largest_payload_fits_and_a_larger_one_changes_nothing() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    let overhead = crate::codec::encode(&set_of(1, 10_000)).len() - 10_000;
    let limit = wal.payload_bytes_max();
    for index in 1..=3 {
        wal.append(&set_of(index, limit - overhead)).unwrap();
    }
    let result = wal.append(&set_of(4, limit - overhead + 1));
    assert!(
        matches!(result, Err(WalError::TooLarge { bytes, limit: max }) if bytes == limit + 1 && max == limit)
    );
    assert!(matches!(wal.room(limit + 1, Reserve::Freeing), Err(WalError::TooLarge { .. })));
    wal.room(limit, Reserve::Ordinary).unwrap();
    wal.append(&set_of(4, 1)).unwrap();
    assert_eq!(scan(&disk).unwrap().last(), id(1, 4));
}

#[test]
#[should_panic(expected = "an entry does not follow the one before")]
fn a_gap_is_not_written() {
    let disk = SimulatedDisk::new();
    let _ = create(&disk).append(&set_of(2, 1));
}

#[test]
fn a_sync_elsewhere_advances_the_watermark() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    (1..=60).for_each(|index| wal.append(&set_of(index, 500)).unwrap());
    let syncer = wal.syncer();
    std::thread::scope(|scope| scope.spawn(|| syncer.run()).join().unwrap()).unwrap();
    for seed in 0..20 {
        assert_eq!(scan(&disk.power_loss(seed)).unwrap().last(), id(1, 60));
    }
    let syncs = disk.syncs();
    wal.sync().unwrap();
    assert_eq!(disk.syncs(), syncs, "there was nothing left to sync");
    wal.append(&set_of(61, 1)).unwrap();
    let recovery = scan(&disk).unwrap();
    assert_eq!(recovery.last(), id(1, 61));
}

#[test]
fn a_failed_sync_poisons() {
    for elsewhere in [false, true] {
        let disk = SimulatedDisk::new();
        let mut wal = create(&disk);
        wal.append(&set_of(1, 10)).unwrap();
        disk.fail_sync(0);
        let failed = if elsewhere { wal.syncer().run() } else { wal.sync() };
        assert!(matches!(failed, Err(WalError::Io { action: "sync", .. })));
        assert!(matches!(wal.append(&set_of(2, 10)), Err(WalError::Poisoned)));
        assert!(matches!(wal.sync(), Err(WalError::Poisoned)));
        assert!(matches!(wal.syncer().run(), Err(WalError::Poisoned)));
        assert!(matches!(wal.room(10, Reserve::Freeing), Err(WalError::Poisoned)));
        assert!(matches!(wal.close(), Err(WalError::Poisoned)));
        // Reopened, the log takes what it can read for lost unless it writes it again itself.
        drop(reopen(&disk));
        assert_eq!(scan(&disk.power_loss(1)).unwrap().last(), id(1, 1));
    }
}

#[test]
fn a_settings_change_takes_effect_with_the_next_segment() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    (1..=40).for_each(|index| wal.append(&set_of(index, 500)).unwrap());
    keep_house(&mut wal);
    drop(wal);
    let larger = WalSettings { segment_bytes: 64 << 10, salt_seed: 2 };
    let mut wal = scan(&disk).unwrap().into_wal(larger).unwrap();
    (41..=200).for_each(|index| wal.append(&set_of(index, 500)).unwrap());
    wal.append(&set_of(201, 40_000)).unwrap();
    wal.append(&mark(id(1, 201))).unwrap();
    wal.sync().unwrap();
    wal.release(LogIndex::new(201));
    keep_house(&mut wal);
    drop(wal);
    assert_eq!(scan(&disk).unwrap().last(), id(1, 201));
    assert_eq!(reopen(&disk).last(), id(1, 201));
}
