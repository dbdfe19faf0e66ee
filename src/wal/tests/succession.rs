//! A log that takes the place of another: either is there, whole, whatever interrupts it.

use super::*;

const SUCCESSOR: Identity = Identity { cluster: ClusterId::new(0xc2), member: IDENTITY.member };

fn hard_state() -> HardState {
    HardState { term: Term::new(7), vote: None, ..HardState::default() }
}

/// A log of several segments with spares behind it, closed or torn.
fn old(torn: bool) -> (SimulatedDisk, Model) {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    let mut model = Model::default();
    for index in 1..=60 {
        let set = set_of(index, 900);
        wal.append(&set).unwrap();
        model.follow(&set);
        keep_house(&mut wal);
    }
    wal.sync().unwrap();
    if torn {
        wal.append(&set_of(61, 400)).unwrap();
        drop(wal);
        let last = disk.names().unwrap().into_iter().rfind(|name| end_of(&disk, name) > 4096).unwrap();
        let end = end_of(&disk, &last);
        disk.overwrite(&last, end - 40, &[0xff; 8]);
    } else {
        wal.close().unwrap();
    }
    (disk, model)
}

/// Where the content of the file called `name` ends.
fn end_of(disk: &SimulatedDisk, name: &str) -> usize {
    let content = disk.content(name);
    // Spares have a header alone.
    content.iter().skip(4096).rposition(|byte| *byte != 0).map_or(0, |at| 4096 + at)
}

fn succeed(disk: &SimulatedDisk, snapshot: EntryId) -> Result<Wal, WalError> {
    scan(disk)?.into_successor(3, SUCCESSOR, hard_state(), snapshot)
}

#[test]
fn the_new_log_goes_on_from_its_snapshot_and_nothing_of_the_old_one_stays() {
    for torn in [false, true] {
        let (disk, model) = old(torn);
        let snapshot = id(7, model.last.index.get() + 1);
        let mut wal = succeed(&disk, snapshot).unwrap();
        assert_eq!(disk.names().unwrap().len(), 1, "{:?}", disk.names());
        let set =
            WriteSet { entries: vec![entry(7, snapshot.index.get() + 1, b"new")], ..WriteSet::default() };
        wal.append(&set).unwrap();
        keep_house(&mut wal);
        wal.close().unwrap();

        let recovery = scan(&disk).unwrap();
        let found = Model::of(&recovery);
        assert_eq!(recovery.identity(), Some(SUCCESSOR));
        assert_eq!((found.hard_state, found.snapshot), (Some(hard_state()), Some(snapshot)));
        assert_eq!(found.entries.into_values().collect::<Vec<_>>(), set.entries);
        let mut wal = reopen(&disk);
        (1..=60).for_each(|n| wal.append(&set_of_term_7(snapshot.index.get() + 1 + n)).unwrap());
        wal.close().unwrap();
        assert_eq!(scan(&disk).unwrap().last(), id(7, snapshot.index.get() + 61));
    }
}

fn set_of_term_7(index: u64) -> WriteSet {
    WriteSet { entries: vec![entry(7, index, &[7; 900])], ..WriteSet::default() }
}

#[test]
fn interrupted_anywhere_either_log_is_there_whole() {
    for torn in [false, true] {
        let (disk, model) = old(torn);
        let snapshot = id(7, model.last.index.get() + 1);
        let mut found_new = 0;
        for operations in 0.. {
            let stopping = disk.copy();
            stopping.stop_after(operations);
            let done = succeed(&stopping, snapshot).is_ok();
            assert_eq!(done, !stopping.has_stopped());
            for seed in 0..4 {
                let found = if seed == 0 { stopping.copy() } else { stopping.power_loss(seed) };
                found.restart();
                let recovery = scan(&found).unwrap();
                let is_new = recovery.identity() == Some(SUCCESSOR);
                assert!(is_new || !done, "what has returned is undone");
                if is_new {
                    found_new += 1;
                    let found = Model::of(&recovery);
                    assert_eq!((found.last, found.entries.len()), (snapshot, 0), "after {operations}");
                } else {
                    assert_eq!(Model::of(&recovery), model, "after {operations}");
                }
                // Whoever opens it goes on, and clears away what is of no use any more.
                let mut wal = recovery.into_wal(SETTINGS).unwrap();
                let next = wal.last().index.get() + 1;
                wal.append(&WriteSet { entries: vec![entry(9, next, b"x")], ..WriteSet::default() }).unwrap();
                wal.close().unwrap();
                let recovery = scan(&found).unwrap();
                assert_eq!(recovery.last(), id(9, next));
                assert!(!is_new || found.names().unwrap().len() == 1, "{:?}", found.names());
            }
            if done {
                break;
            }
        }
        assert!(found_new > 8, "{found_new}");
    }
}

/// A segment of somebody else's, under a name that would be next.
fn stranger(identity: Identity) -> SimulatedDisk {
    let other = SimulatedDisk::new();
    drop(Wal::create(arc(&other), SETTINGS, identity, None).unwrap());
    other
}

#[test]
fn segments_of_others_are_refused_as_ever() {
    let (disk, model) = old(false);
    let later = disk.copy();
    drop(succeed(&later, id(7, model.last.index.get() + 1)).unwrap());
    let name = later.names().unwrap().pop().unwrap();
    let put = |content: &[u8]| {
        let disk = disk.copy();
        // In place of the spares, behind the log.
        for spare in disk.names().unwrap().into_iter().filter(|other| *other >= name) {
            disk.remove(&spare).unwrap();
        }
        disk.create(&name).unwrap().write_all(content).unwrap();
        disk
    };
    let successor = later.content(&name);
    assert_eq!(scan(&put(&successor)).unwrap().identity(), Some(SUCCESSOR));

    // One whose opening record has gone bad is damage; it had one before it had its name.
    let disk = put(&successor);
    disk.flip_bit(&name, 4100 * 8);
    assert!(matches!(scan(&disk), Err(WalError::Damaged { offset: 4096, .. })));

    // One of another member's is no successor, nor is one in the middle of a log.
    let mut header = successor;
    let foreign = stranger(Identity { member: MemberId::new(0xb), ..SUCCESSOR });
    let foreign = foreign.content(&foreign.names().unwrap()[0]);
    header[..RECORDS_START].copy_from_slice(&renamed(&foreign, &name)[..RECORDS_START]);
    assert!(matches!(scan(&put(&header)), Err(WalError::OtherLog { .. })));
}

const RECORDS_START: usize = 4096;

/// The same segment with a header that says it is called `name`.
fn renamed(segment: &[u8], name: &str) -> Vec<u8> {
    let mut segment = segment.to_vec();
    let sequence = u64::from_str_radix(name.strip_suffix(".wal").unwrap(), 16).unwrap();
    for copy in [0, 512] {
        segment[copy + 48..copy + 56].copy_from_slice(&sequence.to_le_bytes());
        let crc = crc32fast::hash(&segment[copy + 16..copy + 64]);
        segment[copy + 12..copy + 16].copy_from_slice(&crc.to_le_bytes());
    }
    segment
}
