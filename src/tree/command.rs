//! What can be asked of the tree: the words that the log replicates.
//!
//! A command says what to do and nothing of when: time comes with the log entry, so a TTL is a duration here
//! and becomes a deadline when the command is applied.

use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::types::Index;

/// A change to make, all of it or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Writes one node.
    Put(Put),
    /// Removes one node and what is below it.
    Delete(Delete),
    /// Makes a node under a name that sorts after all made before it.
    CreateInOrder(CreateInOrder),
    /// Does several things at once, if conditions hold.
    Transaction(Transaction),
    /// Does nothing by itself: what is due by the entry's time expires, as before any command.
    Expire,
}

/// Writes the node at `key`, making the directories above it when it makes the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// Where.
    pub key: Key,
    /// What has to be there before.
    pub mode: PutMode,
    /// The new value of a file; ignored where a directory is made.
    pub value: Value,
    /// How long the node lives, in milliseconds; `None` for ever.
    pub ttl_ms: Option<u64>,
    /// Whether to make a directory.
    pub dir: bool,
    /// Whether to keep the value and renew only the TTL, telling no watcher.
    pub refresh: bool,
}

/// What a put expects to find.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PutMode {
    /// Anything but a directory.
    Set,
    /// Nothing.
    Create,
    /// Something.
    Update,
    /// A file that meets a condition.
    Swap(Condition),
}

/// Removes the node at `key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// Where.
    pub key: Key,
    /// Whether it may be an empty directory.
    pub dir: bool,
    /// Whether it may be a directory with all that is in it.
    pub recursive: bool,
    /// What a file has to meet; then `dir` and `recursive` mean nothing.
    pub condition: Option<Condition>,
}

/// Makes a node in `directory`, named by the index the change takes, padded to 20 digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateInOrder {
    /// Where; it is made when missing.
    pub directory: Key,
    /// The value of a file; ignored where a directory is made.
    pub value: Value,
    /// How long the node lives, in milliseconds; `None` for ever.
    pub ttl_ms: Option<u64>,
    /// Whether to make a directory.
    pub dir: bool,
}

/// What a file must be like; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Its value, byte for byte.
    pub value: Option<Value>,
    /// The index of its last change.
    pub index: Option<Index>,
}

/// Operations that all happen, at consecutive indexes, or none does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// What must hold before the first operation.
    pub checks: Vec<Check>,
    /// What is done, in this order; each sees what those before it did.
    pub operations: Vec<Operation>,
}

/// A condition on one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Whose node.
    pub key: Key,
    /// What it must be like.
    pub expect: Expect,
}

/// What a check asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    /// A file or directory is there.
    Present,
    /// Nothing is there.
    Absent,
    /// A file with this value is there.
    Value(Value),
    /// A node whose last change has this index is there. What is not there has index 0, as the root.
    Index(Index),
}

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// See [`Put`].
    Put(Put),
    /// See [`Delete`].
    Delete(Delete),
    /// See [`CreateInOrder`].
    CreateInOrder(CreateInOrder),
}

/// A file's bytes.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value(#[serde(with = "crate::codec::bytes")] pub Box<[u8]>);

impl Value {
    /// The value with these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl Command {
    /// Whether the command can only give room back, never take it: what a full disk still lets through.
    #[must_use]
    pub fn is_freeing(&self) -> bool {
        match self {
            Self::Delete(_) | Self::Expire => true,
            Self::Transaction(transaction) => {
                transaction.operations.iter().all(|operation| matches!(operation, Operation::Delete(_)))
            }
            Self::Put(_) | Self::CreateInOrder(_) => false,
        }
    }
}
