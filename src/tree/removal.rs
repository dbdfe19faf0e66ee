//! Commands that take a node away: delete, compare-and-delete, expiry.

use std::sync::Arc;

use super::{Delete, Effect, Refused, Tree};
use crate::event::{Action, Change};
use crate::node::Node;

impl Tree {
    pub(super) fn delete(&mut self, delete: Delete) -> Result<Effect, Refused> {
        let index = self.index;
        if let Some(condition) = &delete.condition {
            // As in v2: the root is refused for being a directory here, not for being the root.
            if delete.key.is_root() {
                return Err(Refused::NotAFile { key: delete.key, index });
            }
            let present = self.swappable(&delete.key, condition)?;
            return Ok(self.remove(&present, Action::CompareAndDelete));
        }
        if delete.key.is_root() {
            return Err(Refused::RootReadOnly { index });
        }
        let present = self.get(&delete.key)?.clone();
        if let Some(children) = present.entries().filter(|_| !delete.recursive) {
            if !delete.dir {
                return Err(Refused::NotAFile { key: delete.key, index });
            }
            if !children.is_empty() {
                return Err(Refused::DirectoryNotEmpty { key: delete.key, index });
            }
        }
        Ok(self.remove(&present, Action::Delete))
    }

    /// Lets the node at `path` go, which is there and due.
    pub(super) fn expire(&mut self, path: &str) -> Effect {
        let present = self.get(path).expect("the caller saw it").clone();
        self.remove(&present, Action::Expire)
    }

    fn remove(&mut self, present: &Node, action: Action) -> Effect {
        let index = self.take_index();
        self.nodes.remove(present.key());
        let (key, created) = (present.key().clone(), present.created());
        // What is left is a name: no value, no deadline, nothing below.
        let node = if present.is_dir() {
            Node::directory(key, created, index, None)
        } else {
            Node::file(key, created, index, None, Box::default())
        };
        let change = Change::new(action, node, Some(present.without_children()), self.time);
        Effect { change: Arc::new(change), removed: present.is_dir().then(|| present.clone()) }
    }
}
