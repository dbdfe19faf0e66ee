//! Snapshots: all of it, or an error that says where.

use std::io::{Read, Write};

use super::*;
use crate::entry::Config;

fn header() -> SnapshotHeader {
    SnapshotHeader {
        kind: SnapshotKind::Snapshot,
        identity: IDENTITY,
        last: id(3, 77),
        config: Config { voters: [MemberId::new(1), MemberId::new(2)].into(), ..Config::default() },
        meta: b"meta".to_vec(),
    }
}

fn written(content: &[u8]) -> Vec<u8> {
    let mut writer = SnapshotWriter::new(Vec::new(), &header()).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<u8>, WalError> {
    let mut reader = SnapshotReader::new(bytes, "stream")?;
    let mut content = Vec::new();
    match reader.read_to_end(&mut content) {
        Ok(_) => Ok(content),
        Err(error) => Err(reader.error(error)),
    }
}

#[test]
fn golden_bytes() {
    let hex: String = written(b"abc").iter().map(|byte| format!("{byte:02x}")).collect();
    let golden = concat!(
        "5350494e534e4150",                         // magic
        "03000000",                                 // version
        "01000000",                                 // kind
        "10000000",                                 // length of the header
        "c0611ff4",                                 // crc32
        "c10a",                                     // cluster, member
        "034d",                                     // last entry: term, index
        "020102",                                   // configuration: two voters,
        "00000000",                                 // nobody else, no contacts, as founded
        "046d657461",                               // meta
        "03000000aa815e2c616263",                   // chunk: length, crc32, payload
        "00000000c4966b17",                         // end: 0, crc32
        "01000000000000000300000000000000c2412435", // chunks, bytes, crc32 of all payloads
    );
    assert_eq!(hex, golden);
}

#[test]
fn what_goes_in_comes_out() {
    for length in [0, 1, 1_000, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 700_000] {
        let content: Vec<_> = (0..length).map(|number: u32| number.wrapping_mul(31) as u8).collect();
        let bytes = written(&content);
        assert!(read(&bytes).unwrap() == content);
        let reader = SnapshotReader::new(&*bytes, "stream").unwrap();
        assert_eq!(*reader.header(), header());
        reader.verify().unwrap();
    }
}

#[test]
fn every_cut_and_every_flip_is_noticed() {
    let bytes = written(&[7; 300]);
    for cut in 0..bytes.len() {
        let error = read(&bytes[..cut]).expect_err("it was cut");
        assert!(matches!(error, WalError::Damaged { offset, .. } if offset <= cut as u64), "{cut}: {error}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn chunks_cannot_be_swapped_doubled_or_left_out() {
    let content: Vec<_> = (0..3 * (256 << 10)).map(|number: u32| (number >> 18) as u8).collect();
    let bytes = written(&content);
    let chunk = (256 << 10) + 8;
    let start = bytes.len() - 28 - 3 * chunk;
    let parts = |numbers: &[usize]| {
        let mut changed = bytes[..start].to_vec();
        numbers
            .iter()
            .for_each(|number| changed.extend_from_slice(&bytes[start + number * chunk..][..chunk]));
        changed.extend_from_slice(&bytes[bytes.len() - 28..]);
        changed
    };
    assert!(read(&parts(&[0, 1, 2])).unwrap() == content);
    for (numbers, bad) in [(&[1, 0, 2][..], 0), (&[0, 0, 1, 2], 1), (&[0, 1], 2), (&[0, 2], 1)] {
        let Err(WalError::Damaged { offset, .. }) = read(&parts(numbers)) else { panic!("{numbers:?}") };
        assert_eq!(offset, (start + bad * chunk) as u64, "{numbers:?}");
    }
}

#[test]
fn a_newer_or_a_foreign_stream_is_named_so() {
    let mut bytes = written(b"abc");
    bytes[8] = 9;
    assert!(matches!(read(&bytes), Err(WalError::UnknownVersion { found: 9, known: 3, .. })));
    bytes[0] = b'X';
    assert!(matches!(read(&bytes), Err(WalError::NotAFileOfOurs { .. })));
}

#[test]
fn a_saved_snapshot_is_found_again() {
    let disk = SimulatedDisk::new();
    let disks = arc(&disk);
    for index in [5, 300, 77] {
        let header = SnapshotHeader { last: id(1, index), ..header() };
        let bytes = save_snapshot(&disks, &header, |writer| writer.write_all(&[1; 100])).unwrap();
        assert!(bytes > 100);
    }
    assert_eq!(snapshots(&disks).unwrap(), [5, 77, 300].map(LogIndex::new));
    remove_snapshots_before(&disks, LogIndex::new(77)).unwrap();
    assert_eq!(snapshots(&disks).unwrap(), [77, 300].map(LogIndex::new));
    let lost = disk.power_loss(1);
    let reader = open_snapshot(&arc(&lost), LogIndex::new(300)).unwrap();
    assert_eq!(reader.header().last, id(1, 300));
    reader.verify().unwrap();
    assert!(matches!(open_snapshot(&disks, LogIndex::new(5)), Err(WalError::Io { action: "open", .. })));
}

#[test]
fn a_snapshot_that_fails_leaves_nothing_behind() {
    let disk = SimulatedDisk::new();
    disk.set_capacity(Some(10_000));
    let content = |writer: &mut dyn Write| writer.write_all(&[1; 20_000]);
    assert!(matches!(save_snapshot(&arc(&disk), &header(), content), Err(WalError::NoSpace { .. })));
    disk.set_capacity(None);
    let content = |_: &mut dyn Write| Err(std::io::Error::other("no"));
    assert!(matches!(save_snapshot(&arc(&disk), &header(), content), Err(WalError::Io { .. })));
    disk.fail_sync(0);
    let content = |writer: &mut dyn Write| writer.write_all(&[1; 20_000]);
    assert!(matches!(
        save_snapshot(&arc(&disk), &header(), content),
        Err(WalError::Io { action: "sync", .. })
    ));
    assert_eq!(disk.names().unwrap(), Vec::<String>::new());
    save_snapshot(&arc(&disk), &header(), content).unwrap();
}

#[test]
fn an_interrupted_snapshot_is_whole_or_not_there() {
    for operations in 0..8 {
        for seed in 0..20 {
            let disk = SimulatedDisk::new();
            disk.stop_after(operations);
            let _ = save_snapshot(&arc(&disk), &header(), |writer| writer.write_all(&[1; 300_000]));
            let lost = disk.power_loss(seed);
            for index in snapshots(&arc(&lost)).unwrap() {
                open_snapshot(&arc(&lost), index).unwrap().verify().unwrap();
            }
        }
    }
}
