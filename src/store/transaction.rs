//! Several operations at once.

use std::sync::Arc;

use super::value::{IntoValue, value};
use super::{Delete, Put, Store, parse};
use crate::codec;
use crate::error::Error;
use crate::event::Change;
use crate::member::{FromWritten, Pending};
use crate::tree::{Check, Command, Expect, Operation, Transaction as TransactionCommand};
use crate::types::Index;

/// Conditions on several keys, then several operations: all of them happen, at consecutive indexes, or none does.
///
/// ```
/// use spinney::Error;
///
/// let store = spinney::Store::in_memory();
/// store.set("/a", 3)?;
/// store.set("/b", "x")?;
/// let changes = store.txn().check("/a").is(3).set("/a", 4).delete("/b").commit()?;
/// assert_eq!(changes.len(), 2);
///
/// let refused = store.txn().check("/a").is(3).set("/c", 1).commit();
/// assert!(matches!(refused, Err(Error::CompareFailed { .. })));
/// assert!(store.get("/c").is_err());
/// # Ok::<(), spinney::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is done until it is committed or submitted"]
pub struct Transaction<'a> {
    store: &'a Store,
    /// What was said, up to the first thing that was wrong.
    command: Result<TransactionCommand, Error>,
}

/// A condition of a transaction that still has to say what it asks for, from [`Transaction::check`].
///
/// ```
/// let store = spinney::Store::in_memory();
/// let seen = store.set("/a", 3)?.index();
/// let txn = store.txn().check("/a").at(seen).check("/b").absent().check("/a").exists();
/// txn.set("/b", "made while nobody touched /a").commit()?;
/// # Ok::<(), spinney::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a condition needs to say what it asks for"]
pub struct CheckBuilder<'a> {
    transaction: Transaction<'a>,
    key: String,
}

impl<'a> CheckBuilder<'a> {
    /// A file with this value must be there.
    pub fn is(self, expected: impl IntoValue) -> Transaction<'a> {
        self.expect(Expect::Value(value(expected)))
    }

    /// A node whose last change has this index must be there; index 0 asks that nothing is there, or for the root.
    pub fn at(self, index: impl Into<Index>) -> Transaction<'a> {
        self.expect(Expect::Index(index.into()))
    }

    /// Something must be there.
    pub fn exists(self) -> Transaction<'a> {
        self.expect(Expect::Present)
    }

    /// Nothing may be there.
    pub fn absent(self) -> Transaction<'a> {
        self.expect(Expect::Absent)
    }

    fn expect(self, expect: Expect) -> Transaction<'a> {
        let Self { mut transaction, key } = self;
        let key = parse(&key);
        transaction.command = transaction.command.and_then(|mut command| {
            command.checks.push(Check { key: key?, expect });
            Ok(command)
        });
        transaction
    }
}

impl<'a> Transaction<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store, command: Ok(TransactionCommand::default()) }
    }

    /// A condition on the node at `key`, as it is before the first operation.
    pub fn check(self, key: impl AsRef<str>) -> CheckBuilder<'a> {
        CheckBuilder { transaction: self, key: key.as_ref().to_owned() }
    }

    /// Sets a file, as [`Store::set`].
    pub fn set(self, key: impl AsRef<str>, value: impl IntoValue) -> Self {
        self.put(key, |put| put.value(value))
    }

    /// Writes a node, as [`Store::put`]; `say` says what.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let store = spinney::Store::in_memory();
    /// store.txn().put("/lock", |put| put.value("me").ttl(Duration::from_secs(5)).if_absent()).commit()?;
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn put(self, key: impl AsRef<str>, say: impl FnOnce(Put<'a>) -> Put<'a>) -> Self {
        let put = say(Put::new(self.store, key.as_ref()));
        self.operation(put.operation())
    }

    /// Deletes a file, as [`Store::delete`].
    pub fn delete(self, key: impl AsRef<str>) -> Self {
        self.remove(key, |delete| delete)
    }

    /// Removes a node, as [`Store::remove`]; `say` says what.
    pub fn remove(self, key: impl AsRef<str>, say: impl FnOnce(Delete<'a>) -> Delete<'a>) -> Self {
        let delete = say(Delete::new(self.store, key.as_ref()));
        self.operation(delete.operation())
    }

    fn operation(mut self, operation: Result<Operation, Error>) -> Self {
        self.command = self.command.and_then(|mut command| {
            command.operations.push(operation?);
            Ok(command)
        });
        self
    }

    /// Does it all, or nothing, and waits until that is durable. Returns the changes in order of the operations.
    ///
    /// # Errors
    ///
    /// [`Error::CompareFailed`] when a check does not hold; what refused an operation, with its key; what was
    /// wrong with what was said, the first thing first; [`Error::TooLarge`] when it is too much at once.
    pub fn commit(self) -> Result<Vec<Arc<Change>>, Error> {
        self.run(|store, command| store.member().write(command).map(FromWritten::from_written))
    }

    /// Hands the transaction in and returns at once; see [`Put::submit`].
    pub fn submit(self) -> Pending<Vec<Arc<Change>>> {
        self.run(|store, command| Ok(store.member().submit(command)))
            .unwrap_or_else(|error| Pending::answered(Err(error)))
    }

    fn run<T>(self, run: impl FnOnce(&Store, Command) -> Result<T, Error>) -> Result<T, Error> {
        let command = Command::Transaction(self.command?);
        let limit = self.store.member().settings().transaction_bytes;
        self.store.limit("transaction", codec::encode(&command).len(), limit, "transaction_bytes")?;
        run(self.store, command)
    }
}
