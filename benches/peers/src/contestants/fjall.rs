//! fjall: as it comes. A durable set is an insert followed by `persist(SyncData)`, as its manual says; without
//! that call, an insert has been handed to the operating system when it returns.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Contestant, Reader, Sync, look_at};
use crate::Result;
use crate::keys::VALUE;

pub struct Fjall {
    database: Database,
    keyspace: Keyspace,
    sync: Sync,
}

impl Fjall {
    pub fn open(directory: &Path, sync: Sync) -> Result<Self> {
        let database = Database::builder(directory).open()?;
        let keyspace = database.keyspace("kv", KeyspaceCreateOptions::default)?;
        Ok(Self { database, keyspace, sync })
    }
}

impl Contestant for Fjall {
    fn load(&self, keys: &mut dyn Iterator<Item = String>) -> Result<()> {
        for key in keys {
            self.keyspace.insert(key, VALUE)?;
        }
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.keyspace.insert(key, value)?;
        if self.sync == Sync::Each {
            self.database.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(FjallReader(&self.keyspace)))
    }
}

struct FjallReader<'a>(&'a Keyspace);

impl Reader for FjallReader<'_> {
    fn get(&mut self, key: &str) -> Result<Option<usize>> {
        Ok(self.0.get(key)?.map(|value| look_at(&value)))
    }
}
