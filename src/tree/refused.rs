//! Why the tree says no.

use super::Value;
use crate::key::Key;
use crate::node::Node;
use crate::types::Index;

/// Why the tree refused a command. Part of the replicated answer: only what all members compute alike.
///
/// Each names the key it is about and the tree's index, after what was due had expired.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields mean the same in all")]
pub enum Refused {
    /// Nothing is at `key`, the first missing node on the way.
    KeyNotFound { key: Key, index: Index },
    /// A condition does not hold for what is at `key`.
    CompareFailed { key: Key, mismatch: Mismatch, current: Option<Node>, index: Index },
    /// A directory is at `key`, where a file is meant.
    NotAFile { key: Key, index: Index },
    /// A file is at `key`, where a directory is meant.
    NotADirectory { key: Key, index: Index },
    /// Something is at `key` already.
    KeyExists { key: Key, index: Index },
    /// The root cannot be changed.
    RootReadOnly { index: Index },
    /// The directory at `key` has children.
    DirectoryNotEmpty { key: Key, index: Index },
    /// The directory at `key` lies as deep as a tree goes: nothing can be made in it.
    TooDeep { key: Key, index: Index },
}

impl Refused {
    /// The same with the tree's index corrected: what a transaction did before it was refused took none.
    pub(super) fn at(mut self, now: Index) -> Self {
        match &mut self {
            Self::KeyNotFound { index, .. }
            | Self::CompareFailed { index, .. }
            | Self::NotAFile { index, .. }
            | Self::NotADirectory { index, .. }
            | Self::KeyExists { index, .. }
            | Self::RootReadOnly { index }
            | Self::DirectoryNotEmpty { index, .. }
            | Self::TooDeep { index, .. } => *index = now,
        }
        self
    }
}

/// What was wrong with a node that a condition was put on, as etcd words it: `[expected != actual]`, the value
/// before the index.
///
/// Bytes that are no text are kept: values need not be UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// The value asked for and the one found.
    pub value: Option<(Value, Value)>,
    /// The index asked for and the one found.
    pub index: Option<(Index, Index)>,
}

impl Mismatch {
    /// etcd's cause, such as `[one != two] [7 != 8]`, values byte for byte.
    #[must_use]
    pub fn cause(&self) -> Vec<u8> {
        let mut cause = Vec::new();
        if let Some((expected, actual)) = &self.value {
            cause.extend_from_slice(&[b"[", &*expected.0, b" != ", &*actual.0, b"]"].concat());
        }
        if let Some((expected, actual)) = self.index {
            let gap = if cause.is_empty() { "" } else { " " };
            cause.extend_from_slice(format!("{gap}[{expected} != {actual}]").as_bytes());
        }
        cause
    }
}
