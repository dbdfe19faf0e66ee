//! LMDB through `heed`: as it comes where sets are durable; `MDB_NOSYNC` with `MDB_WRITEMAP` otherwise, its
//! fastest way that survives the end of the process.
//!
//! A get begins and ends a read transaction, which is what it takes to see the latest set; with a reader's slot
//! kept in thread-local storage (the default) that is cheap.

use std::path::Path;

use heed::types::{Bytes, Str};
use heed::{Database, Env, EnvFlags, EnvOpenOptions, WithTls};

use super::{Contestant, Reader, Sync, look_at};
use crate::Result;
use crate::keys::VALUE;

/// Address space, not memory: room for a million keys several times over.
const MAP_BYTES: usize = 4 << 30;

pub struct Lmdb {
    env: Env<WithTls>,
    database: Database<Str, Bytes>,
}

impl Lmdb {
    pub fn open(directory: &Path, sync: Sync) -> Result<Self> {
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES);
        if sync == Sync::Never {
            // SAFETY: The flags may break the file at a power loss, and these files do not outlive the run.
            unsafe { options.flags(EnvFlags::NO_SYNC | EnvFlags::WRITE_MAP) };
        }
        // SAFETY: The directory is this run's own, and one process opens it at a time, once.
        let env = unsafe { options.open(directory)? };
        let mut transaction = env.write_txn()?;
        let database = env.create_database(&mut transaction, None)?;
        transaction.commit()?;
        Ok(Self { env, database })
    }
}

impl Contestant for Lmdb {
    fn load(&self, keys: &mut dyn Iterator<Item = String>) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        for key in keys {
            self.database.put(&mut transaction, &key, &VALUE)?;
        }
        transaction.commit()?;
        Ok(self.env.force_sync()?)
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        self.database.put(&mut transaction, key, value)?;
        Ok(transaction.commit()?)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(LmdbReader(self)))
    }
}

struct LmdbReader<'a>(&'a Lmdb);

impl Reader for LmdbReader<'_> {
    fn get(&mut self, key: &str) -> Result<Option<usize>> {
        let transaction = self.0.env.read_txn()?;
        Ok(self.0.database.get(&transaction, key)?.map(look_at))
    }
}
