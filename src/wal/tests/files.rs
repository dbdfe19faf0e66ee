//! The log in real files.

use std::fs;

use tempfile::TempDir;

use super::*;

fn open(directory: &TempDir) -> Result<Arc<dyn Disk>, WalError> {
    FileDisk::open(directory.path(), false).map(|disk| Arc::new(disk) as Arc<dyn Disk>)
}

fn names(directory: &TempDir) -> Vec<String> {
    let names = fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_log_lives_in_real_files() {
    let directory = TempDir::new().unwrap();
    let disk = open(&directory).unwrap();
    let mut wal = Wal::create(disk, SETTINGS, IDENTITY, None).unwrap();
    for index in 1..=500 {
        wal.append(&set_of(index, 300)).unwrap();
        if index % 100 == 0 {
            let snapshot = wal.last();
            wal.append(&mark(snapshot)).unwrap();
            wal.sync().unwrap();
            wal.release(snapshot.index);
        }
        if let Some(job) = wal.spare_wanted() {
            std::thread::spawn(|| job.run()).join().unwrap().unwrap();
        }
    }
    wal.append(&set_of(501, 300)).unwrap();
    wal.syncer().run().unwrap();
    drop(wal);
    let recovery = Recovery::scan(open(&directory).unwrap()).unwrap();
    assert_eq!((recovery.last(), recovery.identity()), (id(1, 501), Some(IDENTITY)));
    assert_eq!(Model::of(&recovery).last, id(1, 501));
    assert!(names(&directory).len() <= 6);
}

/// Pages that were synced in bulk are no longer mapped: what they had stays, and they can be written again.
#[test]
fn what_was_synced_in_bulk_stays_and_can_be_written_over() {
    const BYTES: usize = 1 << 20;
    let directory = TempDir::new().unwrap();
    let disk = open(&directory).unwrap();
    disk.create("0000000000000001.wal").unwrap().write_all(&[0; BYTES]).unwrap();
    let mut region = disk.map("0000000000000001.wal").unwrap();
    let mut expected = Vec::new();
    for (at, byte) in (0..BYTES - 1000).step_by(1000).zip((1..=u8::MAX).cycle()) {
        region.write(at, &[byte; 1000]);
        expected.extend([byte; 1000]);
        // Far enough apart to be let go of.
        if byte == 150 {
            region.syncer().sync().unwrap();
        }
    }
    region.write(70_000, &[0xAA; 200_000]);
    expected[70_000..270_000].fill(0xAA);
    region.syncer().sync().unwrap();
    let found = fs::read(directory.path().join("0000000000000001.wal")).unwrap();
    assert!(found.starts_with(&expected));
}

#[test]
fn opening_and_closing_often_does_not_grow_it() {
    let directory = TempDir::new().unwrap();
    Wal::create(open(&directory).unwrap(), SETTINGS, IDENTITY, None).unwrap().close().unwrap();
    let before = names(&directory);
    let content = fs::read(directory.path().join("0000000000000001.wal")).unwrap();
    for _ in 0..1_000 {
        let wal = Recovery::scan(open(&directory).unwrap()).unwrap().into_wal(SETTINGS).unwrap();
        wal.close().unwrap();
    }
    assert_eq!(names(&directory), before);
    assert_eq!(fs::read(directory.path().join("0000000000000001.wal")).unwrap(), content);
}

#[test]
fn a_second_opener_is_told_so() {
    let directory = TempDir::new().unwrap();
    let disk = open(&directory).unwrap();
    assert!(matches!(open(&directory), Err(WalError::InUse { .. })));
    assert!(matches!(FileDisk::open_read_only(directory.path()), Err(WalError::InUse { .. })));
    let wal = Wal::create(disk, SETTINGS, IDENTITY, None).unwrap();
    assert!(matches!(open(&directory), Err(WalError::InUse { .. })));
    drop(wal);
    let reader = FileDisk::open_read_only(directory.path()).unwrap();
    FileDisk::open_read_only(directory.path()).unwrap();
    assert!(matches!(open(&directory), Err(WalError::InUse { .. })));
    drop(reader);
    open(&directory).unwrap();
}

#[test]
fn a_missing_directory_is_made_when_asked() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a/b/c");
    assert!(matches!(FileDisk::open(&path, false), Err(WalError::Io { action: "list", .. })));
    assert!(!path.exists());
    FileDisk::open(&path, true).unwrap();
    FileDisk::open(&path, true).unwrap();
    assert!(path.join("lock").exists());
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(FileDisk::open(&file, true), Err(WalError::Io { .. })));
    assert!(matches!(FileDisk::open(file.join("below"), true), Err(WalError::Io { .. })));
}

#[test]
fn somebody_elses_directory_is_left_alone() {
    let directory = TempDir::new().unwrap();
    for name in ["notes.txt", "0.wal", "draft.tmp"] {
        fs::write(directory.path().join(name), "theirs").unwrap();
        let refused = FileDisk::open(directory.path(), true);
        assert!(matches!(refused, Err(WalError::NotOurs { found, .. }) if found == name));
        assert_eq!(names(&directory), [name]);
        fs::remove_file(directory.path().join(name)).unwrap();
    }
    fs::create_dir(directory.path().join("lost+found")).unwrap();
    drop(open(&directory).unwrap());
    Wal::create(open(&directory).unwrap(), SETTINGS, IDENTITY, None).unwrap();
    // Beside a log, other files are nobody's business.
    fs::write(directory.path().join("notes.txt"), "theirs").unwrap();
    open(&directory).unwrap();
}

#[test]
fn what_was_left_half_made_is_removed() {
    let directory = TempDir::new().unwrap();
    for name in ["0000000000000007.wal.tmp", "00000000000000ff.snap.tmp"] {
        fs::write(directory.path().join(name), "half").unwrap();
    }
    fs::write(directory.path().join("lock"), "").unwrap();
    FileDisk::open_read_only(directory.path()).unwrap();
    let disk = open(&directory).unwrap();
    assert_eq!(names(&directory).len(), 3, "nothing is removed before the log is known to be whole");
    Wal::create(Arc::clone(&disk), SETTINGS, IDENTITY, None).unwrap();
    assert_eq!(names(&directory), ["0000000000000001.wal", "lock"]);
    fs::write(directory.path().join("0000000000000007.wal.tmp"), "half").unwrap();
    Recovery::scan(disk).unwrap().into_wal(SETTINGS).unwrap();
    assert_eq!(names(&directory), ["0000000000000001.wal", "lock"]);
}

#[test]
fn looking_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let mut wal = Wal::create(open(&directory).unwrap(), SETTINGS, IDENTITY, None).unwrap();
    wal.append(&set_of(1, 10)).unwrap();
    drop(wal);
    fs::remove_file(directory.path().join("lock")).unwrap();
    let disk = Arc::new(FileDisk::open_read_only(directory.path()).unwrap());
    let recovery = Recovery::scan(disk).unwrap();
    assert_eq!(recovery.last(), id(1, 1));
    let Err(WalError::Io { source, path, .. }) = recovery.into_wal(SETTINGS) else {
        panic!("it was written to")
    };
    assert_eq!(source.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    assert!(path.ends_with("0000000000000001.wal"));
    assert_eq!(names(&directory), ["0000000000000001.wal"]);
}

#[test]
#[cfg(unix)]
fn a_directory_that_cannot_be_written_to_is_named() {
    use std::os::unix::fs::PermissionsExt;

    let directory = TempDir::new().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o555)).unwrap();
    // Some users may write anywhere.
    if fs::write(directory.path().join("probe"), "").is_ok() {
        return;
    }
    let Err(WalError::Io { action, path, .. }) = open(&directory) else { panic!("it was opened") };
    assert_eq!((action, path), ("open", directory.path().join("lock")));
}

#[test]
fn a_truncated_file_is_an_error() {
    let directory = TempDir::new().unwrap();
    drop(Wal::create(open(&directory).unwrap(), SETTINGS, IDENTITY, None).unwrap());
    let file =
        fs::OpenOptions::new().write(true).open(directory.path().join("0000000000000001.wal")).unwrap();
    for length in [16_000, 4_096, 100, 0] {
        file.set_len(length).unwrap();
        let refused = Recovery::scan(open(&directory).unwrap());
        assert!(matches!(refused, Err(WalError::WrongLength { found, .. }) if found == length));
    }
}

#[test]
fn every_byte_of_a_segment_has_its_block() {
    let directory = TempDir::new().unwrap();
    drop(Wal::create(open(&directory).unwrap(), SETTINGS, IDENTITY, None).unwrap());
    let segment = directory.path().join("0000000000000001.wal");
    assert_eq!(fs::metadata(&segment).unwrap().len(), 16 << 10);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        assert!(fs::metadata(&segment).unwrap().blocks() * 512 >= 16 << 10);
    }
}
