//! redb: `Durability::Immediate` (its default) where sets are durable, `Durability::None` otherwise, which does
//! not hand the change to the operating system at all.
//!
//! A get begins a read transaction and opens the table, which is what it takes to see the latest set.

use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, TableDefinition};

use super::{Contestant, Reader, Sync, look_at};
use crate::Result;
use crate::keys::VALUE;

const TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("kv");

pub struct Redb {
    database: Database,
    durability: Durability,
}

impl Redb {
    pub fn open(directory: &Path, sync: Sync) -> Result<Self> {
        let database = Database::create(directory.join("redb"))?;
        let durability = if sync == Sync::Each { Durability::Immediate } else { Durability::None };
        Ok(Self { database, durability })
    }
}

impl Contestant for Redb {
    fn load(&self, keys: &mut dyn Iterator<Item = String>) -> Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(TABLE)?;
            for key in keys {
                table.insert(key.as_str(), VALUE.as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(self.durability)?;
        transaction.open_table(TABLE)?.insert(key, value)?;
        Ok(transaction.commit()?)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(RedbReader(&self.database)))
    }
}

struct RedbReader<'a>(&'a Database);

impl Reader for RedbReader<'_> {
    fn get(&mut self, key: &str) -> Result<Option<usize>> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        Ok(table.get(key)?.map(|value| look_at(value.value())))
    }
}
