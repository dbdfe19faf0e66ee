//! No database: what the machine gives to a bare file and a bare map.
//!
//! A set is one `pwrite` of 128 bytes, and `fdatasync` where it is to be durable, into a log whose blocks are
//! already written. A get is a look into a `HashMap` behind a lock. Open reads a file of all keys into that map.
//! Nothing connects the log and the map: this is the yardstick, not a contestant that could win.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use super::{Contestant, Reader, Sync, look_at};
use crate::Result;
use crate::keys::VALUE;

const RECORD: usize = 128;
const LOG_BYTES: usize = 4 << 20;

pub struct Raw {
    log: File,
    /// Where the next record goes.
    position: Mutex<usize>,
    sync: Sync,
    keys: std::path::PathBuf,
    map: RwLock<HashMap<String, Arc<[u8]>>>,
}

impl Raw {
    pub fn open(directory: &Path, sync: Sync) -> Result<Self> {
        let (log, keys) = (directory.join("log"), directory.join("keys"));
        if !log.exists() {
            // In small writes: large ones leave large folios, and each sync would write back a whole one.
            let mut file = File::create(&log)?;
            for _ in 0..LOG_BYTES / 4096 {
                file.write_all(&[0; 4096])?;
            }
            file.sync_all()?;
        }
        let text = fs::read_to_string(&keys).unwrap_or_default();
        let map = text.lines().map(|key| (key.to_owned(), Arc::from(VALUE))).collect();
        Ok(Self {
            log: File::options().write(true).open(&log)?,
            position: Mutex::new(0),
            sync,
            keys,
            map: RwLock::new(map),
        })
    }
}

impl Contestant for Raw {
    fn load(&self, keys: &mut dyn Iterator<Item = String>) -> Result<()> {
        let mut file = std::io::BufWriter::new(File::create(&self.keys)?);
        for key in keys {
            writeln!(file, "{key}")?;
        }
        Ok(file.into_inner()?.sync_all()?)
    }

    fn set(&self, _: &str, value: &[u8]) -> Result<()> {
        let mut position = self.position.lock().map_err(|_| "another thread panicked")?;
        let mut record = [0; RECORD];
        record[..value.len()].copy_from_slice(value);
        self.log.write_all_at(&record, *position as u64)?;
        if self.sync == Sync::Each {
            self.log.sync_data()?;
        }
        *position = (*position + RECORD) % LOG_BYTES;
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(RawReader(&self.map)))
    }
}

struct RawReader<'a>(&'a RwLock<HashMap<String, Arc<[u8]>>>);

impl Reader for RawReader<'_> {
    fn get(&mut self, key: &str) -> Result<Option<usize>> {
        let value = self.0.read().map_err(|_| "another thread panicked")?.get(key).cloned();
        Ok(value.map(|value| look_at(&value)))
    }
}
