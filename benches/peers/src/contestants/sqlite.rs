//! SQLite: journal in WAL mode; `synchronous=FULL` where sets are durable, `OFF` otherwise (what returned has
//! still reached the operating system).
//!
//! SQLite has one writer at a time. Threads share one connection behind a mutex for that: connections of their
//! own would sleep and try again while another writes, which is slower. Each reader has its own connection, as
//! the manual advises. The table is `WITHOUT ROWID`, so that key and value lie in one tree; statements are
//! prepared once; the page cache holds all keys.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::{Connection, OptionalExtension};

use super::{Contestant, Reader, Sync, look_at};
use crate::Result;
use crate::keys::VALUE;

const SET: &str = "INSERT INTO kv VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
const GET: &str = "SELECT value FROM kv WHERE key = ?1";

pub struct Sqlite {
    path: PathBuf,
    writer: Mutex<Connection>,
    sync: Sync,
}

impl Sqlite {
    pub fn open(directory: &Path, sync: Sync) -> Result<Self> {
        let path = directory.join("sqlite.db");
        let writer = connect(&path, sync)?;
        writer.execute_batch(
            "CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
        )?;
        Ok(Self { path, writer: Mutex::new(writer), sync })
    }
}

fn connect(path: &Path, sync: Sync) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", if sync == Sync::Each { "FULL" } else { "OFF" })?;
    // A negative size is in KiB.
    connection.pragma_update(None, "cache_size", -(512 << 10))?;
    Ok(connection)
}

impl Contestant for Sqlite {
    fn load(&self, keys: &mut dyn Iterator<Item = String>) -> Result<()> {
        let mut writer = self.writer.lock().map_err(|_| "another thread panicked")?;
        let transaction = writer.transaction()?;
        let mut statement = transaction.prepare(SET)?;
        for key in keys {
            statement.execute((key, VALUE))?;
        }
        drop(statement);
        Ok(transaction.commit()?)
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        let writer = self.writer.lock().map_err(|_| "another thread panicked")?;
        writer.prepare_cached(SET)?.execute((key, value))?;
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(SqliteReader(connect(&self.path, self.sync)?)))
    }
}

struct SqliteReader(Connection);

impl Reader for SqliteReader {
    fn get(&mut self, key: &str) -> Result<Option<usize>> {
        let mut statement = self.0.prepare_cached(GET)?;
        let look = |row: &rusqlite::Row<'_>| Ok(look_at(row.get_ref(0)?.as_blob()?));
        Ok(statement.query_row([key], look).optional()?)
    }
}
