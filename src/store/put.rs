//! Writes with more to say than `set`.

use std::sync::Arc;
use std::time::Duration;

use super::Store;
use super::value::{IntoValue, value};
use crate::error::Error;
use crate::event::Change;
use crate::key::Key;
use crate::member::{FromWritten, Pending};
use crate::tree::{Command, Condition, CreateInOrder, Operation, Put as PutCommand, PutMode, Value};
use crate::types::Index;

/// A write of one node, from [`Store::put`]: say what, then [`send`](Put::send) or [`submit`](Put::submit) it.
///
/// ```
/// use std::time::Duration;
/// use spinney::Error;
///
/// let store = spinney::Store::in_memory();
/// // A lock: whoever creates the key holds it, for thirty seconds unless renewed.
/// let ttl = Duration::from_secs(30);
/// store.put("/lock").value("me").ttl(ttl).if_absent().send()?;
/// let second = store.put("/lock").value("you").ttl(ttl).if_absent().send();
/// assert!(matches!(second, Err(Error::KeyExists { .. })));
/// store.put("/lock").ttl(ttl).refresh().if_value("me").send()?;
/// # Ok::<(), spinney::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is written until it is sent or submitted"]
pub struct Put<'a> {
    store: &'a Store,
    key: Result<Key, Error>,
    parts: Parts,
}

/// What was said about a write besides where.
#[derive(Debug, Default)]
struct Parts {
    value: Option<Value>,
    ttl: Option<Duration>,
    dir: bool,
    refresh: bool,
    in_order: bool,
    exists: Option<bool>,
    condition: Condition,
}

impl<'a> Put<'a> {
    pub(super) fn new(store: &'a Store, key: &str) -> Self {
        Self { store, key: store.key(key), parts: Parts::default() }
    }

    /// The value of the file; empty when nothing is said.
    pub fn value(mut self, from: impl IntoValue) -> Self {
        self.parts.value = Some(value(from));
        self
    }

    /// How long the node lives from when it is written, to the millisecond, rounded up. Without it the node
    /// stays, also when it had a TTL before.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.parts.ttl = Some(ttl);
        self
    }

    /// Makes a directory, or with [`if_exists`](Put::if_exists) gives one a new TTL. It has no value. As in etcd, it
    /// takes the place of a file; with `if_exists` a file stays a file, with an empty value.
    pub fn dir(mut self) -> Self {
        self.parts.dir = true;
        self
    }

    /// Renews the TTL, which must be given, of a file or a directory that is there; else [`Error::KeyNotFound`]. The
    /// value stays, and so does `created`. Watchers are not told.
    pub fn refresh(mut self) -> Self {
        self.parts.refresh = true;
        self
    }

    /// Makes the node in the directory at the key, under a name that sorts after all that were made so before.
    pub fn in_order(mut self) -> Self {
        self.parts.in_order = true;
        self
    }

    /// Only if nothing is there: else [`Error::KeyExists`].
    pub fn if_absent(mut self) -> Self {
        self.parts.exists = Some(false);
        self
    }

    /// Only if something is there: else [`Error::KeyNotFound`]. The node keeps its `created`; a file gets the value
    /// that is given, or an empty one.
    pub fn if_exists(mut self) -> Self {
        self.parts.exists = Some(true);
        self
    }

    /// Only if the file has this value: else [`Error::CompareFailed`]. The node keeps its `created`.
    pub fn if_value(mut self, expected: impl IntoValue) -> Self {
        self.parts.condition.value = Some(value(expected));
        self
    }

    /// Only if the file's last change has this index: else [`Error::CompareFailed`]. The node keeps its
    /// `created`.
    pub fn if_index(mut self, expected: impl Into<Index>) -> Self {
        self.parts.condition.index = Some(expected.into());
        self
    }

    /// Writes, and waits until the write is durable and all watchers have been handed its event.
    ///
    /// # Errors
    ///
    /// Those of [`Store::set`] and of the conditions; [`Error::InvalidRequest`] when what was said contradicts
    /// itself.
    pub fn send(self) -> Result<Arc<Change>, Error> {
        let store = self.store;
        store.member().write(self.operation()?.into()).map(FromWritten::from_written)
    }

    /// Hands the write in and returns at once, so that one thread can keep hundreds of durable writes in
    /// flight. Writes submitted one after the other are done in that order.
    ///
    /// What is wrong with it, [`Pending::wait`] tells, [`Error::Busy`] included: too much was waiting.
    pub fn submit(self) -> Pending<Arc<Change>> {
        let store = self.store;
        match self.operation() {
            Ok(operation) => store.member().submit(operation.into()),
            Err(error) => Pending::answered(Err(error)),
        }
    }

    /// The operation, once everything about it has been checked.
    pub(super) fn operation(self) -> Result<Operation, Error> {
        let Self { store, key, parts } = self;
        let key = key?;
        let settings = store.member().settings();
        let size = parts.value.as_ref().map_or(0, |value| value.0.len());
        store.limit_values(size, &parts.condition)?;
        if let Some(reason) = parts.contradiction() {
            return Err(Error::InvalidRequest { reason });
        }
        let Parts { value, ttl, dir, refresh, in_order, exists, condition } = parts;
        let value = value.unwrap_or_default();
        let ttl_ms = ttl.map(millis);
        if in_order {
            store.limit("key", key.len() + 21, settings.key_bytes, "key_bytes")?;
            return Ok(Operation::CreateInOrder(CreateInOrder { directory: key, value, ttl_ms, dir }));
        }
        let mode = match exists {
            _ if condition != Condition::default() => PutMode::Swap(condition),
            // A refresh needs a node anyway: renewed, it keeps its age, and a directory is renewed like a file.
            None if refresh => PutMode::Update,
            None => PutMode::Set,
            Some(true) => PutMode::Update,
            Some(false) => PutMode::Create,
        };
        Ok(Operation::Put(PutCommand { key, mode, value, ttl_ms, dir, refresh }))
    }
}

impl Parts {
    /// What of it cannot be meant together.
    fn contradiction(&self) -> Option<&'static str> {
        let compares = self.condition != Condition::default();
        if self.refresh && self.ttl.is_none() {
            Some("a refresh needs the new TTL")
        } else if self.refresh && self.value.is_some() {
            Some("a refresh keeps the value: none can be given")
        } else if self.refresh && (self.in_order || self.exists == Some(false)) {
            Some("a refresh needs a node to renew, which a new one is not")
        } else if self.dir && self.value.is_some() {
            Some("a directory has no value")
        } else if self.dir && compares {
            Some("only files can be compared")
        } else if compares && self.exists == Some(false) {
            Some("a node cannot be absent and be compared")
        } else if self.in_order && (compares || self.exists.is_some()) {
            Some("a node made in order is new: there is nothing to set conditions on")
        } else {
            None
        }
    }
}

/// Whole milliseconds, rounded up: nothing goes before its time.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

impl From<Operation> for Command {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Put(put) => Self::Put(put),
            Operation::Delete(delete) => Self::Delete(delete),
            Operation::CreateInOrder(create) => Self::CreateInOrder(create),
        }
    }
}
