//! The files by full path: a read that does not depend on how deep or wide the tree is.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use foldhash::fast::RandomState;

use crate::node::Node;

/// A flat hash of the same nodes that the directories hold, a pointer a file.
///
/// Never iterated: what order it has differs from process to process.
#[derive(Default)]
pub(super) struct Files(HashSet<ByKey, RandomState>);

/// A node that is equal to another when their keys are.
struct ByKey(Node);

impl Files {
    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.0.get(path).map(|found| &found.0)
    }

    /// Adds `node`, in place of the file at its key.
    pub(super) fn insert(&mut self, node: Node) {
        self.0.replace(ByKey(node));
    }

    pub(super) fn remove(&mut self, path: &str) {
        self.0.remove(path);
        // A load that has gone down for good gives its memory back; the slack keeps it from flapping.
        if self.0.capacity() > 1024 && self.0.len() < self.0.capacity() / 8 {
            self.0.shrink_to(self.0.len() * 2);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn reserve(&mut self, files: usize) {
        self.0.reserve(files);
    }
}

impl Borrow<str> for ByKey {
    fn borrow(&self) -> &str {
        self.0.key()
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for ByKey {}

impl Hash for ByKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key().as_str().hash(state);
    }
}
