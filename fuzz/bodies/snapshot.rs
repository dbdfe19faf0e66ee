//! Bytes as a backup: as it comes, or as what stands in one whose checksums are right. It is refused, or it is one,
//! and a store can begin with it.

use std::io::Write;
use std::sync::Arc;

use spinney::internals::codec;
use spinney::internals::entry::{Config, EntryId};
use spinney::internals::open_on;
use spinney::internals::wal::{
    Disk, SimulatedDisk, SnapshotHeader, SnapshotKind, SnapshotWriter, Wal, WalSettings, save_snapshot,
};
use spinney::{ClusterId, Identity, LogIndex, MemberId, Store, Term};

pub(crate) fn run(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 4 {
        0 => drop(Store::verify_backup(bytes)),
        1 => {
            // A header whose checksum is right, around any length and content of its last part.
            let header = SnapshotHeader { meta: bytes.to_vec(), ..header() };
            drop(Store::verify_backup(&backup(&header, &[])[..]));
        }
        _ => content(bytes),
    }
}

fn content(bytes: &[u8]) {
    let header = header();
    let Ok(info) = Store::verify_backup(&backup(&header, bytes)[..]) else { return };
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new());
    let header = SnapshotHeader { kind: SnapshotKind::Snapshot, ..header };
    save_snapshot(&disk, &header, |writer| writer.write_all(bytes)).expect("the disk has room");
    let settings = WalSettings { segment_bytes: 64 << 10, salt_seed: 1 };
    let wal = Wal::create(Arc::clone(&disk), settings, header.identity, Some(header.last));
    wal.and_then(Wal::close).expect("the disk has room");
    let sizes = Store::builder().segment_bytes(64 << 10).log_bytes(64 << 10);
    let sizes = sizes.value_bytes(1 << 10).transaction_bytes(1 << 10);
    let store = open_on(disk, sizes).expect("what can be verified can be opened");
    assert!(store.index() >= info.index);
    let _ = store.set("/fuzz", 1);
    store.snapshot().expect("and be saved again");
}

fn backup(header: &SnapshotHeader, content: &[u8]) -> Vec<u8> {
    let mut writer = SnapshotWriter::new(Vec::new(), header).expect("there is memory");
    writer.write_all(content).expect("there is memory");
    writer.finish().expect("there is memory")
}

/// Of a tree at index 100, as it was in 2023.
fn header() -> SnapshotHeader {
    SnapshotHeader {
        kind: SnapshotKind::Backup,
        identity: Identity { cluster: ClusterId::new(7), member: MemberId::new(1) },
        last: EntryId { term: Term::new(1), index: LogIndex::new(50) },
        config: Config::alone(MemberId::new(1)),
        meta: codec::encode(&(100_u64, 1_700_000_000_000_u64)),
    }
}
