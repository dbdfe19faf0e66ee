//! The disk that is one: a locked directory of mapped files.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::disk::{Disk, Region, Sink, Source};
use super::error::WalError;
use super::mmap::MappedFile;
use super::{segment, snapshot};

/// The file whose lock says that the directory is in use.
const LOCK: &str = "lock";

/// What may be in a directory before the first log is, besides our own files.
const EXPECTED: [&str; 2] = [LOCK, "lost+found"];

/// A directory of the file system, locked for as long as this lives.
#[derive(Debug)]
pub struct FileDisk {
    directory: PathBuf,
    writable: bool,
    /// Holds the lock; a directory that is only read may have none to take.
    lock: Option<File>,
}

impl Drop for FileDisk {
    fn drop(&mut self) {
        // Not left to the end of the file: a process that is being forked elsewhere in this one may hold a copy of
        // it, and with it the lock, for a moment longer.
        if let Some(lock) = &self.lock {
            let _ = lock.unlock();
        }
    }
}

impl FileDisk {
    /// Opens `directory`, and makes it first when it is missing and `create` says so. Of what is in it, nothing is
    /// changed.
    ///
    /// # Errors
    ///
    /// [`WalError::InUse`] when somebody has it open, [`WalError::NotOurs`] when it holds other things than
    /// logs, in which case nothing was written to it.
    pub fn open(directory: impl Into<PathBuf>, create: bool) -> Result<Self, WalError> {
        let directory = directory.into();
        if create {
            create_durably(&directory)?;
        }
        check_ours(&directory)?;
        let path = directory.join(LOCK);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(|source| WalError::io("open", path.clone(), source))?;
        claim(lock.try_lock(), &directory, path)?;
        Ok(Self { directory, writable: true, lock: Some(lock) })
    }

    /// Opens `directory` to look at it. Nothing is written, not even to its lock, but nobody may have it open
    /// for writing.
    ///
    /// # Errors
    ///
    /// As those of [`FileDisk::open`].
    pub fn open_read_only(directory: impl Into<PathBuf>) -> Result<Self, WalError> {
        let directory = directory.into();
        check_ours(&directory)?;
        let path = directory.join(LOCK);
        let lock = match File::open(&path) {
            Ok(lock) => {
                claim(lock.try_lock_shared(), &directory, path)?;
                Some(lock)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(WalError::io("open", path, source)),
        };
        Ok(Self { directory, writable: false, lock })
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::ErrorKind::ReadOnlyFilesystem.into()) }
    }

    fn open_for_writing(&self, name: &str) -> io::Result<File> {
        self.check_writable()?;
        OpenOptions::new().read(true).write(true).open(self.path(name))
    }
}

impl Disk for FileDisk {
    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.directory.clone() } else { self.directory.join(name) }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        read_names(&self.directory)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        Ok(Box::new(File::open(self.path(name))?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Sink>> {
        self.check_writable()?;
        Ok(Box::new(NewFile(File::create(self.path(name))?)))
    }

    fn map(&self, name: &str) -> io::Result<Box<dyn Region>> {
        Ok(Box::new(MappedFile::new(self.open_for_writing(name)?)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.check_writable()?;
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.check_writable()?;
        fs::remove_file(self.path(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        sync_directory(&self.directory)
    }
}

/// A file that is written from the front.
struct NewFile(File);

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Sink for NewFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// Refuses a directory that somebody else keeps files in and that has no log yet.
fn check_ours(directory: &Path) -> Result<(), WalError> {
    let names = list(directory)?;
    let ours = |name: &String| segment::sequence_of(name).is_some() || snapshot::index_of(name).is_some();
    if names.iter().any(ours) {
        return Ok(());
    }
    let foreign = |name: &&String| !EXPECTED.contains(&name.as_str()) && !is_unfinished(name);
    match names.iter().find(foreign) {
        Some(name) => Err(WalError::NotOurs { path: directory.to_path_buf(), found: name.clone() }),
        None => Ok(()),
    }
}

/// Whether the name is one that we give to a file until it is complete.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(super::UNFINISHED)
        .map(|name| name.strip_suffix(super::RECEIVED).unwrap_or(name))
        .is_some_and(|name| segment::sequence_of(name).is_some() || snapshot::index_of(name).is_some())
}

fn claim(attempt: Result<(), TryLockError>, directory: &Path, path: PathBuf) -> Result<(), WalError> {
    match attempt {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(WalError::InUse { path: directory.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(WalError::io("lock", path, source)),
    }
}

fn list(directory: &Path) -> Result<Vec<String>, WalError> {
    read_names(directory).map_err(|source| WalError::io("list", directory.to_path_buf(), source))
}

fn read_names(directory: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect::<io::Result<_>>()?;
    names.sort_unstable();
    Ok(names)
}

/// Makes `directory` and what is missing above it, each durable in the one above.
fn create_durably(directory: &Path) -> Result<(), WalError> {
    if directory.as_os_str().is_empty() || directory.is_dir() {
        return Ok(());
    }
    let above = match directory.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    create_durably(above)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !directory.is_dir() => {
            Err(WalError::io("create", directory.to_path_buf(), error))
        }
        _ => sync_directory(above).map_err(|source| WalError::io("sync", above.to_path_buf(), source)),
    }
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Where a directory cannot be opened as a file, renaming is as durable as the system makes it.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
