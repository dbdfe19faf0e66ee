//! `backup`: a data directory copied while nobody serves it.

use std::io::{BufReader, BufWriter, Seek as _, Write as _};
use std::path::Path;

use crate::cli::args::Backup;
use crate::cli::failure::{Failure, explain};
use crate::cli::output::count;
use crate::cli::serve::refuse_etcds;
use crate::error::Error;
use crate::store::{BackupInfo, Store};

pub(crate) fn run(backup: &Backup) -> Result<(), Failure> {
    if backup.wal_dir.is_some() || backup.backup_wal_dir.is_some() {
        return Err(Failure::plain(
            "the log is a part of the data directory here: there is no --wal-dir to copy",
        ));
    }
    let (from, to) = (directory("data-dir", &backup.data_dir)?, directory("backup-dir", &backup.backup_dir)?);
    refuse_etcds(from)?;
    let info = copy(from, to).map_err(|error| Failure::plain(explain(&error)))?;
    let (from, to) = (from.display(), to.display());
    let keys = count(info.files, "key", "keys");
    eprintln!("copied {from} to {to}: {keys}; the index goes on at {}", info.index.next().get());
    Ok(())
}

fn directory<'a>(flag: &str, path: &'a Path) -> Result<&'a Path, Failure> {
    if path.as_os_str().is_empty() {
        return Err(Failure::plain(format_args!("which directory? Please use --{flag}")));
    }
    Ok(path)
}

/// Copies what is at `from`, all of which is verified first.
fn copy(from: &Path, to: &Path) -> Result<BackupInfo, Error> {
    // Changes nothing, and refuses where there is no store: opening would make one.
    Store::verify(from)?;
    let unwritten =
        |source| Error::Backup { what: "no room for the copy on its way".to_owned(), source: Some(source) };
    let mut image = tempfile::tempfile().map_err(unwritten)?;
    let store = Store::open(from)?;
    let mut writer = BufWriter::new(&mut image);
    store.backup(&mut writer)?;
    writer.flush().map_err(unwritten)?;
    drop(writer);
    drop(store);
    image.rewind().map_err(unwritten)?;
    Store::restore(BufReader::new(image), to)
}
