//! Commands that write a node: set, create, update, compare-and-swap, in-order create.

use std::sync::Arc;
use std::time::Duration;

use super::{Condition, CreateInOrder, Effect, Mismatch, Put, PutMode, Refused, Tree, Value};
use crate::event::{Action, Change};
use crate::key::Key;
use crate::node::Node;
use crate::types::{Index, Timestamp};

/// How a node is to be made.
struct NewNode {
    key: Key,
    value: Value,
    deadline: Option<Timestamp>,
    dir: bool,
}

impl Tree {
    pub(super) fn put(&mut self, put: Put) -> Result<Effect, Refused> {
        match put.mode {
            PutMode::Set => self.set(put),
            PutMode::Create => self.create(put),
            PutMode::Update => self.update(put),
            PutMode::Swap(ref condition) => {
                let present = self.swappable(&put.key, condition)?;
                Ok(self.rewrite(put, &present, Action::CompareAndSwap))
            }
        }
    }

    /// Whatever file was there is replaced by a new node, created now.
    fn set(&mut self, put: Put) -> Result<Effect, Refused> {
        let mut value = put.value;
        if put.refresh {
            value = Value::new(self.get(&put.key)?.value());
        }
        let deadline = self.deadline(put.ttl_ms);
        let previous = self.place_for(&put.key)?;
        if let Some(directory) = previous.as_ref().filter(|node| node.is_dir()) {
            return Err(Refused::NotAFile { key: directory.key().clone(), index: self.index });
        }
        let new = NewNode { key: put.key, value, deadline, dir: put.dir };
        Ok(self.make(new, Action::Set, previous, put.refresh))
    }

    fn create(&mut self, put: Put) -> Result<Effect, Refused> {
        // As in v2: whoever says "create" and "refresh" gets an empty value.
        let value = if put.refresh { Value::default() } else { put.value };
        let deadline = self.deadline(put.ttl_ms);
        self.create_new(NewNode { key: put.key, value, deadline, dir: put.dir })
    }

    pub(super) fn create_in_order(&mut self, create: CreateInOrder) -> Result<Effect, Refused> {
        let Ok(key) = create.directory.join(&format!("{:020}", self.index.next().get())) else {
            return Err(Refused::TooDeep { key: create.directory, index: self.index });
        };
        let deadline = self.deadline(create.ttl_ms);
        self.create_new(NewNode { key, value: create.value, deadline, dir: create.dir })
    }

    fn create_new(&mut self, new: NewNode) -> Result<Effect, Refused> {
        match self.place_for(&new.key)? {
            Some(_) => Err(Refused::KeyExists { key: new.key, index: self.index }),
            None => Ok(self.make(new, Action::Create, None, false)),
        }
    }

    /// The file keeps its age; a directory takes a new deadline and nothing else.
    fn update(&mut self, put: Put) -> Result<Effect, Refused> {
        let index = self.index;
        if put.key.is_root() {
            return Err(Refused::RootReadOnly { index });
        }
        let present = self.get(&put.key)?.clone();
        if !present.is_dir() {
            return Ok(self.rewrite(put, &present, Action::Update));
        }
        if !put.value.0.is_empty() {
            return Err(Refused::NotAFile { key: put.key, index });
        }
        let deadline = self.deadline(put.ttl_ms);
        let index = self.take_index();
        self.nodes.retime(&put.key, deadline);
        // As in v2: the answer shows the index of this change, but the directory keeps its own.
        let node = Node::directory(put.key, present.created(), index, deadline);
        Ok(self.effect(Action::Update, node, Some(present.without_children()), put.refresh))
    }

    /// The file at `key`, when it meets `condition`.
    pub(super) fn swappable(&self, key: &Key, condition: &Condition) -> Result<Node, Refused> {
        let index = self.index;
        if key.is_root() {
            return Err(Refused::RootReadOnly { index });
        }
        let present = self.get(key)?;
        if present.is_dir() {
            return Err(Refused::NotAFile { key: key.clone(), index });
        }
        match mismatch(present, condition) {
            None => Ok(present.clone()),
            Some(mismatch) => {
                let current = Some(present.clone());
                Err(Refused::CompareFailed { key: key.clone(), mismatch, current, index })
            }
        }
    }

    /// Gives the file `present` a new value and deadline under the same creation index.
    fn rewrite(&mut self, put: Put, present: &Node, action: Action) -> Effect {
        let value = if put.refresh { Box::from(present.value()) } else { put.value.0 };
        let deadline = self.deadline(put.ttl_ms);
        let index = self.take_index();
        let node = Node::file(present.key().clone(), present.created(), index, deadline, value);
        self.nodes.replace(node.clone());
        self.effect(action, node, Some(present.clone()), put.refresh)
    }

    /// What is at `key` now, when something could be put there: not the root, and not below a file.
    fn place_for(&self, key: &Key) -> Result<Option<Node>, Refused> {
        if key.is_root() {
            return Err(Refused::RootReadOnly { index: self.index });
        }
        match self.get(key) {
            Ok(node) => Ok(Some(node.clone())),
            Err(Refused::KeyNotFound { .. }) => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    fn make(&mut self, new: NewNode, action: Action, previous: Option<Node>, refresh: bool) -> Effect {
        let index = self.take_index();
        let node = if new.dir {
            Node::directory(new.key, index, index, new.deadline)
        } else {
            Node::file(new.key, index, index, new.deadline, new.value.0)
        };
        match &previous {
            Some(_) => self.nodes.replace(node.clone()),
            None => self.nodes.insert(node.clone(), index),
        }
        // A new directory is shown as it is made, whatever is put into it later.
        self.effect(action, node, previous, refresh)
    }

    pub(super) fn effect(&self, action: Action, node: Node, previous: Option<Node>, refresh: bool) -> Effect {
        let mut change = Change::new(action, node, previous, self.time);
        change.refresh = refresh;
        Effect { change: Arc::new(change), removed: None }
    }

    pub(super) fn take_index(&mut self) -> Index {
        self.index = self.index.next();
        self.index
    }

    fn deadline(&self, ttl_ms: Option<u64>) -> Option<Timestamp> {
        ttl_ms.map(|ttl| self.time.after(Duration::from_millis(ttl)))
    }
}

/// What about `present` does not meet `condition`, if anything.
fn mismatch(present: &Node, condition: &Condition) -> Option<Mismatch> {
    let index = condition.index.filter(|&index| index != present.modified());
    let value = condition.value.as_ref().filter(|value| *value.0 != *present.value());
    (index.is_some() || value.is_some()).then(|| Mismatch {
        value: value.map(|value| (value.clone(), Value::new(present.value()))),
        index: index.map(|index| (index, present.modified())),
    })
}
