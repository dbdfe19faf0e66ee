//! Removals with more to say than `delete`.

use std::sync::Arc;

use super::value::{IntoValue, value};
use super::{Store, parse};
use crate::error::Error;
use crate::event::Change;
use crate::key::Key;
use crate::member::{FromWritten, Pending};
use crate::tree::{Condition, Delete as DeleteCommand, Operation};
use crate::types::Index;

/// A removal, from [`Store::remove`]: say what, then [`send`](Delete::send) or [`submit`](Delete::submit) it.
///
/// ```
/// let store = spinney::Store::in_memory();
/// store.set("/app/a", "1")?;
/// store.remove("/app/a").if_value("1").send()?;
/// store.remove("/app").dir().send()?; // Empty by now.
/// store.set("/app/b", "2")?;
/// store.remove("/app").recursive().send()?;
/// # Ok::<(), spinney::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is removed until it is sent or submitted"]
pub struct Delete<'a> {
    store: &'a Store,
    key: Result<Key, Error>,
    dir: bool,
    recursive: bool,
    condition: Condition,
}

impl<'a> Delete<'a> {
    pub(super) fn new(store: &'a Store, key: &str) -> Self {
        let condition = Condition::default();
        Self { store, key: parse(key), dir: false, recursive: false, condition }
    }

    /// Also if it is a directory, as long as it is empty: else [`Error::DirectoryNotEmpty`].
    pub fn dir(mut self) -> Self {
        self.dir = true;
        self
    }

    /// Also if it is a directory, with everything below it.
    pub fn recursive(mut self) -> Self {
        self.recursive = true;
        self
    }

    /// Only if it is a file with this value: else [`Error::CompareFailed`].
    pub fn if_value(mut self, expected: impl IntoValue) -> Self {
        self.condition.value = Some(value(expected));
        self
    }

    /// Only if it is a file whose last change has this index: else [`Error::CompareFailed`].
    pub fn if_index(mut self, expected: impl Into<Index>) -> Self {
        self.condition.index = Some(expected.into());
        self
    }

    /// Removes, and waits until that is durable and all watchers have been handed its event.
    ///
    /// # Errors
    ///
    /// [`Error::KeyNotFound`]; [`Error::NotAFile`] for a directory when neither [`dir`](Delete::dir) nor
    /// [`recursive`](Delete::recursive) was said; those of the conditions; else as [`Store::set`].
    pub fn send(self) -> Result<Arc<Change>, Error> {
        let store = self.store;
        store.member().write(self.operation()?.into()).map(FromWritten::from_written)
    }

    /// Hands the removal in and returns at once; see [`Put::submit`](super::Put::submit).
    pub fn submit(self) -> Pending<Arc<Change>> {
        let store = self.store;
        match self.operation() {
            Ok(operation) => store.member().submit(operation.into()),
            Err(error) => Pending::answered(Err(error)),
        }
    }

    /// The operation, once everything about it has been checked.
    pub(super) fn operation(self) -> Result<Operation, Error> {
        let Self { store, key, dir, recursive, condition } = self;
        let key = key?;
        // It may be longer than nodes may be called, since limits change; what asks for it has to fit.
        let compared = condition.value.as_ref().map_or(0, |value| value.0.len());
        let room = store.member().settings().record_bytes_max();
        store.limit("key to remove", key.len() + compared, room, "segment_bytes")?;
        store.limit_values(0, &condition)?;
        let condition = (condition != Condition::default()).then_some(condition);
        if condition.is_some() && (dir || recursive) {
            return Err(Error::InvalidRequest { reason: "only files can be compared" });
        }
        Ok(Operation::Delete(DeleteCommand { key, dir, recursive, condition }))
    }
}
