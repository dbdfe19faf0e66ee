//! The format, byte by byte. A change here is a new format version.

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn segment_header_and_records() {
    let disk = SimulatedDisk::new();
    let mut wal = create(&disk);
    let hard_state =
        Some(HardState { term: Term::new(1), vote: Some(MemberId::new(10)), ..HardState::default() });
    wal.append(&WriteSet { hard_state, entries: vec![entry(1, 1, b"abc")], ..WriteSet::default() }).unwrap();
    let content = disk.content("0000000000000001.wal");
    assert_eq!(content.len(), 16 << 10);
    let copy = concat!(
        "5350494e4e455900",                 // magic
        "04000000",                         // version
        "3cd797a3",                         // crc32
        "c1000000000000000000000000000000", // cluster
        "0a00000000000000",                 // member
        "1ef25ad64960fde9",                 // salt
        "0100000000000000",                 // sequence
        "0040000000000000",                 // length
    );
    assert_eq!(hex(&content[..64]), copy);
    assert_eq!(hex(&content[512..576]), copy);
    let opening = concat!(
        "024c1b5806000000897348ff", // tag, length, crc32
        "001000000100000000000000", // synced offset and sequence
        "00",                       // no segment before
        "0000",                     // no entry before
        "00",                       // no hard state
        "00",                       // no snapshot
        "00",                       // nothing known to be committed
        "0000",                     // to a multiple of 8
    );
    assert_eq!(hex(&content[4096..4128]), opening);
    let record = concat!(
        "32830a1f15000000903548be", // tag, length, crc32
        "201000000100000000000000", // synced offset and sequence
        "0101010a00000000",         // hard state: term 1, vote for 10, boot 0, no floor
        "00",                       // no truncation
        "01",                       // one entry:
        "01010100",                 // term, index, time, no session
        "0203616263",               // a command of three bytes
        "00",                       // no snapshot
        "00",                       // nothing known to be committed
        "000000",                   // to a multiple of 8
    );
    assert_eq!(hex(&content[4128..4176]), record);
    assert!(content[4176..].iter().all(|byte| *byte == 0));
}
