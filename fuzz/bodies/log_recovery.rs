//! Bytes as what has happened to the segments of a real log: it is refused, or it can be read, written on, and read
//! again.
//!
//! The first byte picks a log. Then come changes: what and in which file, where (two bytes), how much, and bytes.

use std::sync::{Arc, OnceLock};

use spinney::internals::entry::{Entry, EntryId, HardState, Payload, WriteSet};
use spinney::internals::wal::{Disk, Recovery, SimulatedDisk, Wal, WalSettings};
use spinney::{ClusterId, Identity, LogIndex, MemberId, Term, Timestamp};

const SETTINGS: WalSettings = WalSettings { segment_bytes: 16 << 10, salt_seed: 1 };
const NAMES: [&str; 2] = ["0000000000000001.wal", "0000000000000002.wal"];

pub(crate) fn run(bytes: &[u8]) {
    static LOGS: OnceLock<Vec<SimulatedDisk>> = OnceLock::new();
    let logs = LOGS.get_or_init(|| (0..4).map(log).collect());
    let Some((pick, changes)) = bytes.split_first() else { return };
    let disk = logs[usize::from(*pick) % logs.len()].copy();
    change(&disk, changes);

    let Ok(recovery) = Recovery::scan(arc(&disk)) else { return };
    let entries = entries(&recovery);
    let (last, identity) = (recovery.last(), recovery.identity());
    assert!(entries.last().is_none_or(|entry| entry.id == last));
    let Some(identity) = identity else { return };
    // Headers that were made up may ask for what no disk has; that is refused as well.
    let Ok(mut wal) = recovery.into_wal(SETTINGS) else { return };
    assert_eq!((wal.last(), wal.identity()), (last, identity));
    let next = entry(last.term.get().max(1), last.index.get() + 1);
    wal.append(&WriteSet { entries: vec![next.clone()], ..WriteSet::default() }).expect("there is room");
    wal.close().expect("the disk does not fail");
    let recovery = Recovery::scan(arc(&disk)).expect("what was written on is a log");
    let again = self::entries(&recovery);
    assert!(again.ends_with(&[next]));
    assert_eq!(again[..again.len() - 1], entries);
}

fn arc(disk: &SimulatedDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn entries(recovery: &Recovery) -> Vec<Entry> {
    let mut entries = Vec::new();
    let replayed = recovery.replay(LogIndex::default(), |entry| {
        entries.push(entry);
        Ok::<_, ()>(())
    });
    replayed.expect("what was scanned can be read");
    assert!(entries.windows(2).all(|pair| pair[1].id.index == pair[0].id.index.next()));
    entries
}

fn change(disk: &SimulatedDisk, mut bytes: &[u8]) {
    while let [what, low, high, count, rest @ ..] = bytes {
        let (name, other) = (NAMES[usize::from(what & 1)], NAMES[usize::from(what >> 1 & 1)]);
        let place = usize::from(u16::from_le_bytes([*low, *high]));
        let (count, names) = (usize::from(*count), disk.names().expect("they can be listed"));
        let content = |name: &str| {
            if names.iter().any(|there| there == name) { disk.content(name) } else { Vec::new() }
        };
        let length = content(name).len();
        let taken = count.min(rest.len());
        match what >> 2 & 3 {
            _ if length == 0 => {}
            0 => put(disk, name, place, &rest[..taken]),
            1 => put(disk, name, place, &vec![0; count * 16]),
            // What stood elsewhere, or in another file.
            2 => {
                let from = content(other);
                let start = usize::from(rest.first().copied().unwrap_or(0)) * 8;
                let start = start.min(from.len());
                put(disk, name, place, &from[start..from.len().min(start + count * 8)]);
            }
            _ if count == 0 => disk.truncate(name, place.min(length)),
            _ => disk.flip_bit(name, (place * 8 + count) % (length * 8)),
        }
        bytes = &rest[taken.min(if what >> 2 & 3 == 0 { taken } else { 1.min(rest.len()) })..];
    }
}

fn put(disk: &SimulatedDisk, name: &str, place: usize, bytes: &[u8]) {
    let length = disk.content(name).len();
    let place = place.min(length);
    disk.overwrite(name, place, &bytes[..bytes.len().min(length - place)]);
}

/// A log of one of four kinds: new, closed, of two segments with an overwritten tail, and after a crash.
fn log(kind: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let identity = Identity { cluster: ClusterId::new(7), member: MemberId::new(1) };
    let mut wal = Wal::create(arc(&disk), SETTINGS, identity, None).expect("the disk is empty");
    let hard_state =
        Some(HardState { term: Term::new(1), vote: Some(MemberId::new(1)), ..HardState::default() });
    wal.append(&WriteSet { hard_state, ..WriteSet::default() }).expect("there is room");
    for index in 1..=kind * 12 {
        wal.append(&WriteSet { entries: vec![entry(1, index)], ..WriteSet::default() })
            .expect("there is room");
        if index % 5 > 0 {
            wal.sync().expect("the disk does not fail");
        }
    }
    if kind == 2 {
        let truncate_from = Some(LogIndex::new(20));
        wal.append(&WriteSet { truncate_from, entries: vec![entry(2, 20)], ..WriteSet::default() })
            .expect("there is room");
        let snapshot = Some(EntryId { term: Term::new(1), index: LogIndex::new(10) });
        wal.append(&WriteSet { snapshot, ..WriteSet::default() }).expect("there is room");
    }
    if kind < 3 {
        wal.close().expect("the disk does not fail");
    }
    disk
}

fn entry(term: u64, index: u64) -> Entry {
    let id = EntryId { term: Term::new(term), index: LogIndex::new(index) };
    Entry {
        id,
        time: Timestamp::new(index),
        session: None,
        payload: Payload::Command(vec![index as u8; 500].into()),
    }
}
