//! RocksDB (feature `rocksdb`): `WriteOptions::sync` where sets are durable; without it, a set has been handed
//! to the operating system when it returns. Two background threads for two cores; a cache that holds all keys
//! and a bloom filter, because the defaults are meant for data far larger than memory.

use std::path::Path;

use rocksdb::{BlockBasedOptions, Cache, DB, Options, WriteBatch, WriteOptions};

use super::{Contestant, Reader, Sync, look_at};
use crate::Result;
use crate::keys::VALUE;

pub struct Rocksdb {
    database: DB,
    write: WriteOptions,
}

impl Rocksdb {
    pub fn open(directory: &Path, sync: Sync) -> Result<Self> {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&Cache::new_lru_cache(512 << 20)?);
        table.set_bloom_filter(10.0, false);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.increase_parallelism(2);
        options.set_block_based_table_factory(&table);
        let mut write = WriteOptions::default();
        write.set_sync(sync == Sync::Each);
        Ok(Self { database: DB::open(&options, directory)?, write })
    }
}

impl Contestant for Rocksdb {
    fn load(&self, keys: &mut dyn Iterator<Item = String>) -> Result<()> {
        let mut batch = WriteBatch::default();
        for key in keys {
            batch.put(key, VALUE);
            if batch.len() == 1_000 {
                self.database.write_opt(std::mem::take(&mut batch), &self.write)?;
            }
        }
        self.database.write_opt(batch, &self.write)?;
        Ok(self.database.flush()?)
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        Ok(self.database.put_opt(key, value, &self.write)?)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(RocksdbReader(&self.database)))
    }
}

struct RocksdbReader<'a>(&'a DB);

impl Reader for RocksdbReader<'_> {
    fn get(&mut self, key: &str) -> Result<Option<usize>> {
        Ok(self.0.get_pinned(key)?.map(|value| look_at(&value)))
    }
}
