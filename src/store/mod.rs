//! The store: what people link, hold and call.

mod backup;
mod builder;
#[cfg(feature = "cluster")]
mod cluster;
mod delete;
#[cfg(feature = "http")]
mod front;
mod put;
mod recover;
mod status;
mod transaction;
mod value;
mod view;
mod watching;

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub use backup::{BackupInfo, RESTORE_INDEX_JUMP};
#[cfg(feature = "cluster")]
pub use builder::set_clock_ahead;
pub use builder::{Builder, open_on};
#[cfg(feature = "cluster")]
pub use cluster::{Cluster, MemberInfo};
pub use delete::Delete;
#[cfg(feature = "http")]
pub(crate) use front::Reading;
pub use put::Put;
pub use recover::{LostMember, Survivor, survivor_on};
pub use status::{LogStatus, Status};
pub use transaction::{CheckBuilder, Transaction};
pub use value::IntoValue;
pub use view::{Difference, View};
pub use watching::WatchBuilder;

use crate::error::Error;
use crate::event::Change;
use crate::key::{self, Key};
use crate::member::Engine;
use crate::node::Node;
use crate::tree::Condition;
use crate::types::{Index, Timestamp};

/// A tree of keys, with everything around it: the handle that programs hold.
///
/// Cloning gives another handle to the same store, cheap enough for every thread and task. All methods take
/// `&self`. Dropping the last handle writes what was submitted, ends all watches, stops the store's threads and
/// closes its directory.
///
/// Keys are given as text: `/a/b`, or `a/b`, or `/a/b/`. Values are bytes; see [`IntoValue`].
///
/// ```
/// use spinney::Store;
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("data");
/// let store = Store::open(&path)?;
/// store.set("/message1", "Book1")?;
/// assert_eq!(store.get("/message1")?.text(), Some("Book1"));
///
/// let again = store.clone();
/// std::thread::spawn(move || again.set("/message1", "Book2")).join().unwrap()?;
/// assert_eq!(store.get("/message1")?.text(), Some("Book2"));
/// # Ok::<(), spinney::Error>(())
/// ```
#[derive(Clone)]
pub struct Store(Arc<Handle>);

/// Closes the member when the last handle goes.
struct Handle(Engine);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Store {
    /// Opens the data directory at `path`, made if missing, with all settings as they are by default.
    ///
    /// Everything that was acknowledged before is there, however the last process ended. What had expired
    /// meanwhile expires now.
    ///
    /// # Errors
    ///
    /// [`Error::Log`] when the directory cannot be used: another handle has it open, it is not a store's, a newer
    /// version wrote it, it is damaged, or the system refused. Nothing is changed then.
    ///
    /// ```
    /// use spinney::{Error, Store, WalError};
    ///
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("data");
    /// let store = Store::open(&path)?;
    /// store.set("/a", "1")?;
    /// assert!(matches!(Store::open(&path), Err(Error::Log(WalError::InUse { .. }))));
    /// drop(store);
    /// assert_eq!(Store::open(&path)?.get("/a")?.text(), Some("1"));
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder().dir(path).open()
    }

    /// A store without a directory: everything works, nothing stays.
    ///
    /// ```
    /// let store = spinney::Store::in_memory();
    /// store.set("/a", "1")?;
    /// # Ok::<(), spinney::Error>(())
    /// ```
    #[must_use]
    pub fn in_memory() -> Self {
        Self::builder().open().expect("in memory there is nothing to refuse the defaults")
    }

    /// A store with settings of one's own; see [`Builder`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(super) fn new(engine: Engine) -> Self {
        Self(Arc::new(Handle(engine)))
    }

    fn member(&self) -> &Engine {
        &self.0.0
    }

    /// The node at `key`, a file or a directory, as it is on this member.
    ///
    /// A directory comes with everything below it; see [`Node::children`].
    ///
    /// # Errors
    ///
    /// [`Error::KeyNotFound`], naming the first part of the key that is missing; [`Error::NotADirectory`] when the
    /// way leads through a file; [`Error::InvalidKey`].
    ///
    /// ```
    /// let store = spinney::Store::in_memory();
    /// store.set("/app/port", 8080)?;
    /// assert_eq!(store.get("/app/port")?.parse(), Some(8080));
    /// let app = store.get("/app")?;
    /// assert_eq!(app.children().map(|node| node.name()).collect::<Vec<_>>(), ["port"]);
    /// assert_eq!(store.get("/none/of/these").unwrap_err().cause(), "/none");
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn get(&self, key: impl AsRef<str>) -> Result<Node, Error> {
        let (text, tree) = (key.as_ref(), self.member().tree());
        // Files are called by what is in canonical form and by nothing else: most reads need not look twice.
        if let Some(file) = tree.file(text) {
            return Ok(file.clone());
        }
        Ok(tree.get(&canonical(text)?)?.clone())
    }

    /// The node at `key`, as [`Store::get`] has it, with everything that was answered to anybody before the call, by
    /// whichever member. Costs a round trip to a majority, shared by all who ask at the same time.
    ///
    /// A store alone has nothing newer anywhere: there it is the same as [`Store::get`].
    ///
    /// # Errors
    ///
    /// Those of [`Store::get`], and [`Error::Unavailable`] when no leader could be asked.
    ///
    /// ```
    /// let store = spinney::Store::in_memory();
    /// store.set("/message1", "Book1")?;
    /// assert_eq!(store.get_latest("/message1")?.text(), Some("Book1"));
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn get_latest(&self, key: impl AsRef<str>) -> Result<Node, Error> {
        self.member().wait_for_latest()?;
        self.get(key)
    }

    /// The children of the directory at `key` in order of their names, hidden ones left out.
    ///
    /// # Errors
    ///
    /// Those of [`Store::get`], and [`Error::NotADirectory`] when a file is at `key`.
    ///
    /// ```
    /// let store = spinney::Store::in_memory();
    /// store.set("/services/web", "10.0.0.1:80")?;
    /// store.set("/services/db", "10.0.0.2:5432")?;
    /// let names: Vec<_> = store.list("/services")?.iter().map(|node| node.name().to_owned()).collect();
    /// assert_eq!(names, ["db", "web"]);
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn list(&self, key: impl AsRef<str>) -> Result<Vec<Node>, Error> {
        let directory = self.get(key)?;
        if !directory.is_dir() {
            return Err(Error::NotADirectory { key: directory.key().clone(), index: self.index() });
        }
        Ok(directory.children().cloned().collect())
    }

    /// Sets the file at `key`, creating the directories above it.
    ///
    /// Returns the change as watchers see it; its `prev_node` is what was there before.
    ///
    /// # Errors
    ///
    /// [`Error::NotAFile`] when a directory is at `key`; [`Error::NotADirectory`] when the way leads through a
    /// file; [`Error::RootReadOnly`]; [`Error::InvalidKey`] and [`Error::TooLarge`] for what is not in form; the
    /// [third group](Error) when the store cannot take it just now.
    ///
    /// ```
    /// let store = spinney::Store::in_memory();
    /// assert!(store.set("/jobs/7", "queued")?.prev_node.is_none());
    /// assert!(store.set("/jobs/7", "running")?.prev_node.is_some());
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn set(&self, key: impl AsRef<str>, value: impl IntoValue) -> Result<Arc<Change>, Error> {
        self.put(key).value(value).send()
    }

    /// Begins a write with more to say than [`Store::set`]: conditions, a TTL, a directory; see [`Put`].
    #[must_use = "nothing is written until it is sent or submitted"]
    pub fn put(&self, key: impl AsRef<str>) -> Put<'_> {
        Put::new(self, key.as_ref())
    }

    /// Makes the directory at `key`, and those above it.
    ///
    /// # Errors
    ///
    /// [`Error::KeyExists`] when something is at `key`; else as [`Store::set`].
    ///
    /// ```
    /// let store = spinney::Store::in_memory();
    /// store.mkdir("/foo-service")?;
    /// assert!(store.get("/foo-service")?.is_dir());
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn mkdir(&self, key: impl AsRef<str>) -> Result<Arc<Change>, Error> {
        self.put(key).dir().if_absent().send()
    }

    /// Creates a file in the directory at `key` under a name that sorts after all that were made so before: the
    /// index of the change, in 20 digits.
    ///
    /// # Errors
    ///
    /// [`Error::NotADirectory`] when a file is at `key`; else as [`Store::set`].
    ///
    /// ```
    /// let store = spinney::Store::in_memory();
    /// store.create_in_order("/queue", "first")?;
    /// store.create_in_order("/queue", "second")?;
    /// let jobs: Vec<_> = store.list("/queue")?.iter().filter_map(|job| job.parse::<String>()).collect();
    /// assert_eq!(jobs, ["first", "second"]);
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn create_in_order(&self, key: impl AsRef<str>, value: impl IntoValue) -> Result<Arc<Change>, Error> {
        self.put(key).value(value).in_order().send()
    }

    /// Deletes the file at `key`.
    ///
    /// # Errors
    ///
    /// [`Error::KeyNotFound`]; [`Error::NotAFile`] for a directory, which [`Store::remove`] deletes; else as
    /// [`Store::set`].
    ///
    /// ```
    /// let store = spinney::Store::in_memory();
    /// store.set("/a", "1")?;
    /// let deleted = store.delete("/a")?;
    /// assert_eq!(deleted.prev_node.as_ref().and_then(|node| node.text()), Some("1"));
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn delete(&self, key: impl AsRef<str>) -> Result<Arc<Change>, Error> {
        self.remove(key).send()
    }

    /// Begins a removal with more to say than [`Store::delete`]: directories, conditions; see [`Delete`].
    #[must_use = "nothing is removed until it is sent or submitted"]
    pub fn remove(&self, key: impl AsRef<str>) -> Delete<'_> {
        Delete::new(self, key.as_ref())
    }

    /// Begins a transaction: conditions on several keys, then several operations, all of them or none; see
    /// [`Transaction`].
    #[must_use = "nothing is done until it is committed or submitted"]
    pub fn txn(&self) -> Transaction<'_> {
        Transaction::new(self)
    }

    /// Begins a watch of `key`, where nothing needs to be yet; see [`WatchBuilder`] and [`Watch`](crate::Watch).
    #[must_use = "nothing is watched until it is started"]
    pub fn watch(&self, key: impl AsRef<str>) -> WatchBuilder<'_> {
        WatchBuilder::new(self, key.as_ref())
    }

    /// All keys at one moment, to read as often as one likes. Costs the same however many there are; later
    /// writes leave it as it is.
    ///
    /// ```
    /// let store = spinney::Store::in_memory();
    /// store.set("/a", "1")?;
    /// let view = store.view();
    /// store.set("/a", "2")?;
    /// assert_eq!(view.get("/a")?.text(), Some("1"));
    /// # Ok::<(), spinney::Error>(())
    /// ```
    #[must_use]
    pub fn view(&self) -> View {
        let tree = self.member().tree();
        View::new(tree.root().clone(), tree.index(), tree.time())
    }

    /// The index of the newest change: what etcd calls `X-Etcd-Index`.
    ///
    /// Read something, then watch from the index after: nothing in between is missed.
    #[must_use]
    pub fn index(&self) -> Index {
        self.member().tree().index()
    }

    /// The present moment in log time, which deadlines are of; see [`Node::ttl_at`].
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.member().now()
    }

    /// How the store is doing, in numbers and, where something is wrong, in words.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::of(self.member())
    }

    /// Takes a snapshot now, so that the log starts afresh, and returns when that is on disk. It happens by itself
    /// when the log has grown; calling it is for those who know better when, and does nothing in memory.
    ///
    /// Others read and write meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::NotSaved`] when the disk would not take it; the log stays as it is.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("data");
    /// let store = spinney::Store::open(&path)?;
    /// store.set("/a", "1")?;
    /// store.snapshot()?;
    /// let log = store.status().log.expect("it has a directory");
    /// assert_eq!(log.saved, log.applied);
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn snapshot(&self) -> Result<(), Error> {
        self.member().save()
    }

    /// The key that `text` names, of a node that may be made: within the limits.
    fn key(&self, text: &str) -> Result<Key, Error> {
        let key = parse(text)?;
        self.limit("key", key.len(), self.member().settings().key_bytes, "key_bytes")?;
        Ok(key)
    }

    /// Whether a value of `size` bytes, and what it is to be compared with, are within the limits.
    fn limit_values(&self, size: usize, condition: &Condition) -> Result<(), Error> {
        let settings = self.member().settings();
        let compared = condition.value.as_ref().map_or(0, |value| value.0.len());
        self.limit("value", size, settings.value_bytes, "value_bytes")?;
        self.limit("value to compare with", compared, settings.value_bytes, "value_bytes")?;
        self.limit(
            "value with one to compare with",
            size + compared,
            settings.values_bytes_max(),
            "segment_bytes",
        )
    }

    fn limit(
        &self,
        what: &'static str,
        actual: usize,
        limit: usize,
        setting: &'static str,
    ) -> Result<(), Error> {
        if actual > limit { Err(Error::TooLarge { what, actual, limit, setting }) } else { Ok(()) }
    }
}

/// The key that `text` names, of whatever length.
fn parse(text: &str) -> Result<Key, Error> {
    Key::parse(text).map_err(|reason| Error::InvalidKey { text: text.to_owned(), reason })
}

/// `text` as the tree looks for it.
fn canonical(text: &str) -> Result<Cow<'_, str>, Error> {
    key::canonical(text).map_err(|reason| Error::InvalidKey { text: text.to_owned(), reason })
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("index", &self.index()).finish_non_exhaustive()
    }
}

const _: () = {
    const fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Store>();
};
