//! Where users and roles are kept: in the store itself, out of the clients' reach.
//!
//! ```text
//!   /_spinney/auth/enabled        true or false
//!   /_spinney/auth/users/NAME     a user as JSON, the password hashed
//!   /_spinney/auth/roles/NAME     a role as JSON
//! ```
//! A record is changed under the condition that it is still the one that was read.

use std::sync::Arc;

use axum::http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::record::{ROOT, Role, User};
use crate::error::Error;
use crate::event::Change;
use crate::http::names;
use crate::key::Key;
use crate::node::Node;
use crate::store::Store;
use crate::tree::{Command, Condition, Delete, Put, PutMode, Value};
use crate::types::Index;

/// The users and roles of a store.
pub(super) struct Registry<'a>(pub(super) &'a Store);

/// A record, and the index it is of.
pub(super) struct Kept<T> {
    pub(super) record: T,
    pub(super) modified: Index,
}

/// What kind of record a name is of.
#[derive(Clone, Copy)]
pub(super) enum Shelf {
    Users,
    Roles,
}

impl Shelf {
    fn path(self) -> &'static str {
        match self {
            Self::Users => "/_spinney/auth/users",
            Self::Roles => "/_spinney/auth/roles",
        }
    }

    /// The key of the record called `name`.
    ///
    /// # Errors
    ///
    /// Where nothing can have that name.
    fn key(self, name: &[u8]) -> Result<Key, Error> {
        let name = [b"/", name].concat();
        let text = format!("{}{}", self.path(), names::to_tree(&name));
        Key::parse(&text).map_err(|reason| Error::InvalidKey { text, reason })
    }
}

const SWITCH: &str = "/_spinney/auth/enabled";

impl Registry<'_> {
    /// Whether auth is on.
    pub(super) fn is_on(&self) -> bool {
        self.node(&switch()).is_some_and(|node| node.value() == b"true")
    }

    pub(super) async fn turn(&self, on: bool) -> Result<(), Error> {
        let put = Put { mode: PutMode::Set, ..put(switch(), on.to_string()) };
        self.submit(Command::Put(put)).await.map(|_| ())
    }

    /// The user called `name`. As in v2, the user root has its role whatever is kept, so that somebody can always do
    /// everything.
    pub(super) fn user(&self, name: &[u8]) -> Option<Kept<User>> {
        let mut kept: Kept<User> = self.record(Shelf::Users, name)?;
        if name == ROOT.as_bytes() {
            kept.record.attach_root();
        }
        Some(kept)
    }

    /// The role called `name`; that of root is always there.
    pub(super) fn role(&self, name: &[u8]) -> Option<Kept<Role>> {
        if name == ROOT.as_bytes() {
            return Some(Kept { record: Role::of_all_keys(ROOT), modified: Index::default() });
        }
        self.record(Shelf::Roles, name)
    }

    /// The names on a shelf, in order.
    pub(super) fn names(&self, shelf: Shelf) -> Vec<Vec<u8>> {
        let shelf = Key::parse(shelf.path()).expect("a constant that is a key");
        let shelf = self.node(&shelf);
        let names =
            shelf.iter().flat_map(Node::children).map(|node| names::to_wire(node.name()).into_owned());
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    }

    /// Adds a record where none has its name.
    pub(super) async fn add(&self, shelf: Shelf, name: &[u8], record: &impl Serialize) -> Result<(), Error> {
        let put = Put { mode: PutMode::Create, ..put(shelf.key(name)?, written(record)) };
        self.submit(Command::Put(put)).await.map(|_| ())
    }

    /// Replaces the record that has this index.
    pub(super) async fn replace(
        &self,
        shelf: Shelf,
        name: &[u8],
        modified: Index,
        record: &impl Serialize,
    ) -> Result<(), Error> {
        let condition = Condition { value: None, index: Some(modified) };
        let put = Put { mode: PutMode::Swap(condition), ..put(shelf.key(name)?, written(record)) };
        self.submit(Command::Put(put)).await.map(|_| ())
    }

    pub(super) async fn remove(&self, shelf: Shelf, name: &[u8]) -> Result<(), Error> {
        let delete = Delete { key: shelf.key(name)?, dir: false, recursive: false, condition: None };
        self.submit(Command::Delete(delete)).await.map(|_| ())
    }

    fn record<T: DeserializeOwned>(&self, shelf: Shelf, name: &[u8]) -> Option<Kept<T>> {
        let node = self.node(&shelf.key(name).ok()?)?;
        let record = serde_json::from_slice(node.value()).ok()?;
        Some(Kept { record, modified: node.modified() })
    }

    fn node(&self, key: &Key) -> Option<Node> {
        self.0.read(key).node.ok()
    }

    async fn submit(&self, command: Command) -> Result<Arc<Change>, Error> {
        self.0.submit(command).await
    }
}

/// What to say when a record has been changed by somebody else again and again.
pub(super) fn contended() -> Failure {
    Failure::auth(StatusCode::CONFLICT, "Changed by somebody else at the same time; try again.")
}

/// Whether the record that was to be replaced is not the one any more that was read.
pub(super) fn is_stale(error: &Error) -> bool {
    matches!(error, Error::CompareFailed { .. } | Error::KeyNotFound { .. })
}

fn switch() -> Key {
    Key::parse(SWITCH).expect("a constant that is a key")
}

fn put(key: Key, value: impl Into<Vec<u8>>) -> Put {
    let value = Value::new(value.into());
    Put { key, mode: PutMode::Set, value, ttl_ms: None, dir: false, refresh: false }
}

fn written(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("texts and lists of them can be written")
}
