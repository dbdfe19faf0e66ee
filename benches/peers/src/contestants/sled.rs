//! sled 0.34: as it comes. A durable set is an insert followed by `flush()`, which is what its manual offers;
//! on Linux that calls `sync_file_range`, which starts the writing and never flushes the device, so its durable
//! rows are printed but not comparable. Without it, a thread of sled's flushes twice a second.

use std::path::Path;

use super::{Contestant, Reader, Sync, look_at};
use crate::Result;
use crate::keys::VALUE;

pub struct Sled {
    database: sled::Db,
    sync: Sync,
}

impl Sled {
    pub fn open(directory: &Path, sync: Sync) -> Result<Self> {
        Ok(Self { database: sled::Config::new().path(directory).open()?, sync })
    }
}

impl Contestant for Sled {
    fn load(&self, keys: &mut dyn Iterator<Item = String>) -> Result<()> {
        for key in keys {
            self.database.insert(key, &VALUE[..])?;
        }
        self.database.flush()?;
        Ok(())
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.database.insert(key, value)?;
        if self.sync == Sync::Each {
            self.database.flush()?;
        }
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(SledReader(&self.database)))
    }
}

struct SledReader<'a>(&'a sled::Db);

impl Reader for SledReader<'_> {
    fn get(&mut self, key: &str) -> Result<Option<usize>> {
        Ok(self.0.get(key)?.map(|value| look_at(&value)))
    }
}
