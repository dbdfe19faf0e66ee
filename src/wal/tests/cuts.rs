//! The log cut and flipped at every byte: what comes back is all that was acknowledged, or a refusal.

use super::*;

/// A log over several segments, the write-sets in it, and how many of them a sync covers.
struct Case {
    disk: SimulatedDisk,
    models: Vec<Model>,
    acknowledged: usize,
    /// Where the last segment ended at the last sync.
    synced_end: usize,
}

/// Where the content of a segment ends: its last records have no payload that ends with zeros.
fn end_of(content: &[u8]) -> usize {
    let last = content.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    // The encoding ends with the absence of a snapshot mark, a zero.
    (last + 2).next_multiple_of(8)
}

/// `unsynced` write-sets follow the last sync.
fn build(records: usize, unsynced: usize) -> (Case, Wal) {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    let mut models = vec![Model::default()];
    let mut random = Random(7);
    let mut synced_end = 0;
    for number in 1..=records {
        let last = wal.last().index.get();
        let bytes = random.below(1_200) as usize;
        let mut set = set_of(last + 1, bytes);
        if number % 9 == 0 {
            set.hard_state =
                Some(HardState { term: Term::new(number as u64), vote: None, ..HardState::default() });
        }
        if number % 10 == 0 {
            set.truncate_from = Some(LogIndex::new(last - 1));
            set.entries = vec![entry(1, last - 1, b"again"), entry(1, last, &vec![9; bytes])];
        }
        wal.append(&set).unwrap();
        if number <= records - unsynced {
            wal.sync().unwrap();
            synced_end = end_of(&disk.content(disk.names().unwrap().last().unwrap()));
        }
        let mut model = models[number - 1].clone();
        model.follow(&set);
        models.push(model);
    }
    (Case { disk, models, acknowledged: records - unsynced, synced_end }, wal)
}

impl Case {
    /// Checks what is recovered from `disk`, where at least `sure` write-sets must be; says whether it was
    /// refused as damaged.
    fn check(&self, disk: &SimulatedDisk, sure: usize, what: &str) -> bool {
        match scan(disk) {
            Ok(recovery) => {
                let found = Model::of(&recovery);
                assert!(self.models[sure..].contains(&found), "{what}: found {:?}", found.last);
                false
            }
            Err(WalError::Damaged { .. }) => true,
            Err(error) => panic!("{what}: {error}"),
        }
    }

    fn segments(&self) -> Vec<String> {
        self.disk.names().unwrap()
    }
}

/// Where to flip: every byte that may mean something, and each seventh of what is only payload.
fn places(content: &[u8]) -> impl Iterator<Item = usize> {
    let end = content.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 16;
    (0..end.min(content.len()))
        .filter(|at| *at < 80 || (512..592).contains(at) || *at >= 4096 || at % 97 == 0)
}

#[test]
fn no_flipped_bit_loses_anything_of_a_closed_log() {
    let (case, wal) = build(60, 0);
    wal.close().unwrap();
    assert!(case.segments().len() >= 3);
    let mut refused = 0;
    for name in case.segments() {
        for at in places(&case.disk.content(&name)) {
            case.disk.flip_bit(&name, at * 8 + at % 8);
            let damaged = case.check(&case.disk, case.models.len() - 1, &format!("{name} at {at}"));
            assert!(!(damaged && at < 4096), "{name} at {at}: one good header suffices");
            refused += usize::from(damaged);
            case.disk.flip_bit(&name, at * 8 + at % 8);
        }
    }
    assert!(refused > 10_000, "{refused}");
}

#[test]
fn a_flipped_bit_loses_nothing_but_the_end_of_an_open_log() {
    let (case, _wal) = build(60, 3);
    for name in case.segments() {
        for at in places(&case.disk.content(&name)).step_by(3) {
            case.disk.flip_bit(&name, at * 8 + at % 8);
            case.check(&case.disk, case.acknowledged - 1, &format!("{name} at {at}"));
            case.disk.flip_bit(&name, at * 8 + at % 8);
        }
    }
}

#[test]
fn a_torn_tail_is_cut_at_every_byte() {
    let (case, _wal) = build(60, 3);
    let name = case.segments().pop().unwrap();
    let content = case.disk.content(&name);
    let end = end_of(&content);
    assert!(end - case.synced_end > 500);
    for cut in case.synced_end..end {
        let disk = case.disk.copy();
        disk.overwrite(&name, cut, &vec![0; end - cut]);
        assert!(!case.check(&disk, case.acknowledged, &format!("cut at {cut}")), "it is taken for torn");
        if cut % 5 > 0 {
            continue;
        }
        // What is written behind the cut stands, and nothing of what was behind it comes back.
        let recovery = scan(&disk).unwrap();
        let mut model = Model::of(&recovery);
        let mut wal = recovery.into_wal(SETTINGS).unwrap();
        let set = set_of(wal.last().index.get() + 1, cut % 700);
        wal.append(&set).unwrap();
        model.follow(&set);
        assert_eq!(Model::of(&scan(&disk).unwrap()), model, "cut at {cut}");
    }
}

#[test]
fn a_hole_before_the_tail_is_damage() {
    let (case, _wal) = build(60, 0);
    for name in case.segments() {
        let content = case.disk.content(&name);
        let last = name == *case.segments().last().unwrap();
        let end = content.iter().rposition(|byte| *byte != 0).unwrap();
        for hole in (4096..end.saturating_sub(3_000)).step_by(64) {
            let disk = case.disk.copy();
            disk.overwrite(&name, hole, &[0; 512]);
            assert!(
                case.check(&disk, case.acknowledged, &format!("hole at {hole}")),
                "{name}: hole at {hole}"
            );
            if last {
                continue;
            }
            // Nor may everything behind it be gone.
            disk.overwrite(&name, hole, &vec![0; content.len() - hole]);
            assert!(case.check(&disk, case.acknowledged, &format!("cut at {hole}")), "{name}: cut at {hole}");
        }
    }
}

#[test]
fn an_old_record_does_not_come_back_behind_a_shorter_new_one() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    wal.append(&set_of(1, 100)).unwrap();
    wal.sync().unwrap();
    wal.append(&set_of(2, 100)).unwrap();
    wal.append(&set_of(3, 100)).unwrap();
    wal.append(&set_of(4, 100)).unwrap();
    drop(wal);
    // The second record is torn; the third and the fourth are whole.
    let content = disk.content("0000000000000001.wal");
    let second = content.windows(50).position(|bytes| *bytes == [2; 50]).unwrap();
    disk.overwrite("0000000000000001.wal", second, &[0; 8]);
    let mut wal = reopen(&disk);
    assert_eq!(wal.last(), id(1, 1));
    // Records that end exactly where the third began once; no byte of it may be there.
    wal.append(&set_of(2, 68)).unwrap();
    drop(wal);
    assert_eq!(scan(&disk).unwrap().last(), id(1, 2));
    let content = disk.content("0000000000000001.wal");
    for old in 3..=4 {
        assert!(!content.windows(20).any(|bytes| *bytes == [old; 20]), "record {old} is still there");
    }
}

#[test]
fn damage_names_the_file_and_the_place_and_changes_nothing() {
    let (case, wal) = build(60, 0);
    wal.close().unwrap();
    let content = case.disk.content("0000000000000002.wal");
    let payload =
        content.windows(40).position(|bytes| bytes[0] != 0 && bytes.iter().all(|byte| *byte == bytes[0]));
    let place = payload.unwrap();
    case.disk.flip_bit("0000000000000002.wal", place * 8);
    let before: Vec<_> = case.segments().iter().map(|name| case.disk.content(name)).collect();
    let Err(WalError::Damaged { path, offset, .. }) = scan(&case.disk) else { panic!("it is damaged") };
    assert!(path.ends_with("0000000000000002.wal"));
    assert!(offset < place as u64 && place as u64 - offset < 100, "{offset} for {place}");
    let after: Vec<_> = case.segments().iter().map(|name| case.disk.content(name)).collect();
    assert!(before == after);
}

#[test]
fn a_header_that_is_half_bad_is_repaired() {
    let (case, wal) = build(60, 0);
    wal.close().unwrap();
    for (name, at) in case.segments().iter().zip([0, 520, 30]) {
        case.disk.flip_bit(name, at * 8);
    }
    drop(reopen(&case.disk));
    for (name, at) in case.segments().iter().zip([512, 8, 542]) {
        case.disk.flip_bit(name, at * 8);
    }
    assert_eq!(scan(&case.disk).unwrap().last(), case.models.last().unwrap().last);
}

#[test]
fn whatever_else_is_wrong_with_a_segment_is_said() {
    let (case, wal) = build(60, 0);
    wal.close().unwrap();
    let second = "0000000000000002.wal";
    let of_second = |disk: &SimulatedDisk| match scan(disk) {
        Err(error) => {
            assert!(error.to_string().contains(second), "{error}");
            error
        }
        Ok(_) => panic!("it was taken"),
    };

    let disk = case.disk.copy();
    disk.truncate(second, 10_000);
    let error = of_second(&disk);
    assert!(matches!(error, WalError::WrongLength { found: 10_000, expected: 16_384, .. }));
    disk.truncate(second, 100);
    assert!(matches!(of_second(&disk), WalError::WrongLength { found: 100, .. }));
    disk.truncate(second, 0);
    assert!(matches!(of_second(&disk), WalError::WrongLength { found: 0, .. }));
    disk.remove(second).unwrap();
    assert!(matches!(of_second(&disk), WalError::SegmentMissing { .. }));

    let disk = case.disk.copy();
    disk.overwrite(second, 8, &9_u32.to_le_bytes());
    disk.overwrite(second, 520, &9_u32.to_le_bytes());
    assert!(matches!(of_second(&disk), WalError::UnknownVersion { found: 9, known: 4, .. }));

    let disk = case.disk.copy();
    disk.overwrite(second, 0, b"somebody");
    disk.overwrite(second, 512, b"somebody");
    assert!(matches!(of_second(&disk), WalError::NotAFileOfOurs { .. }));
    disk.overwrite(second, 0, &[0; 4096]);
    assert!(matches!(of_second(&disk), WalError::NotAFileOfOurs { .. }));

    let disk = case.disk.copy();
    disk.flip_bit(second, 20 * 8);
    disk.flip_bit(second, 540 * 8);
    assert!(matches!(of_second(&disk), WalError::Damaged { offset: 0, .. }));

    // The segment of another member in the place of ours, and one of ours in the place of another.
    let disk = case.disk.copy();
    let other = SimulatedDisk::new();
    let stranger = Identity { member: MemberId::new(0xb), ..IDENTITY };
    let mut wal = Wal::create(arc(&other), SETTINGS, stranger, None).unwrap();
    (1..=60).for_each(|index| wal.append(&set_of(index, 600)).unwrap());
    disk.overwrite(second, 0, &other.content(second));
    assert!(
        matches!(of_second(&disk), WalError::OtherLog { found, expected: IDENTITY, .. } if found == stranger)
    );
    disk.overwrite(second, 0, &disk.content("0000000000000003.wal"));
    assert!(matches!(of_second(&disk), WalError::Damaged { offset: 0, .. }));

    // The oldest one without its opening record.
    let disk = case.disk.copy();
    disk.remove("0000000000000001.wal").unwrap();
    disk.flip_bit(second, 4100 * 8);
    assert!(matches!(of_second(&disk), WalError::Damaged { offset: 4096, .. }));
}

#[test]
fn segments_of_another_log_of_the_same_member_do_not_join() {
    // The same identity, sequences, salts, entries and lengths; but for a vote, the same log.
    let log = |vote| {
        let disk = SimulatedDisk::new();
        let mut wal = create(&disk);
        let hard_state =
            Some(HardState { term: Term::new(1), vote: Some(MemberId::new(vote)), ..HardState::default() });
        wal.append(&WriteSet { hard_state, ..WriteSet::default() }).unwrap();
        (1..=60).for_each(|index| wal.append(&set_of(index, 600)).unwrap());
        wal.close().unwrap();
        disk
    };
    let (disk, other) = (log(1), log(2));
    let second = "0000000000000002.wal";
    disk.overwrite(second, 0, &other.content(second));
    let refused = scan(&disk);
    assert!(matches!(refused, Err(WalError::Damaged { path, offset: 4096, .. }) if path.ends_with(second)));
}
