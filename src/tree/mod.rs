//! The tree: one pure state machine with one door.
//!
//! ```text
//!   apply(time, command) ──► expire what is due ──► run the command ──► changes, in order of their indexes
//!
//!   nodes    root ─► directories ─► files         shared with views; the only state there is
//!   files    full path ─► the same file nodes     derived: point reads
//!   timers   wheel of deadlines                   derived: what is due
//! ```
//! Nothing in here reads a clock, does I/O, draws a random number or depends on the order of a hash: two trees
//! that apply the same commands at the same times are equal, and so are all answers and events.
//!
//! Invariants:
//! - `index` counts changes: each change, each operation of a transaction and each expiry takes the next one.
//! - A refused command changes nothing and takes no index; what expired before it stays expired.
//! - `time` never goes back; an entry from the past is applied at the time of the newest before it.
//! - `files` holds exactly the files below `nodes`, `timers` exactly the nodes with a deadline.
//!
//! The semantics are etcd v2's, to the last quirk that clients can see.

mod command;
mod files;
mod image;
mod nodes;
mod put;
mod refused;
mod removal;
#[cfg(test)]
mod tests;
mod timers;
mod transaction;
pub mod wheel;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

pub use command::{
    Check, Command, Condition, CreateInOrder, Delete, Expect, Operation, Put, PutMode, Transaction, Value,
};
pub use image::{ImageError, Loader, NodeImages};
pub use refused::{Mismatch, Refused};

use crate::event::Change;
use crate::key::Key;
use crate::node::Node;
use crate::types::{Index, Timestamp};
use files::Files;
use nodes::{DeadEnd, Edit, Nodes};
use timers::Timers;

/// How much memory is kept for what is due, in nodes.
const DUE_CAPACITY: usize = 64;

/// The key tree of one member, its change counter and its timers.
pub struct Tree {
    // Dropped before the nodes: those are then freed directory by directory, and not in the order of a hash. A million keys
    // go in a third of the time.
    files: Files,
    nodes: Nodes,
    timers: Timers,
    /// What has left the timers and has yet to expire: empty between commands.
    due: BinaryHeap<Reverse<Due>>,
    index: Index,
    time: Timestamp,
    /// What the nodes take, roughly.
    bytes: usize,
}

/// A node whose time is up. What expires first is the least.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    deadline: Timestamp,
    created: Index,
    key: Key,
}

/// One change as the tree made it.
#[derive(Clone, Debug)]
pub struct Effect {
    /// What callers and watchers see.
    pub change: Arc<Change>,
    /// A directory that was removed, with what was in it: whoever watches below it wants to know.
    pub removed: Option<Node>,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// An empty tree: a root, at index 0.
    pub fn new() -> Self {
        Self {
            nodes: Nodes::new(Node::directory(Key::root(), Index::default(), Index::default(), None)),
            files: Files::default(),
            timers: Timers::new(),
            due: BinaryHeap::new(),
            index: Index::default(),
            time: Timestamp::default(),
            bytes: 0,
        }
    }

    /// Applies one committed command at the log's own `time`. What was due by then expires first.
    ///
    /// Adds every change to `effects`, in order of their indexes; the command's own begin at the position that
    /// is returned, after those of what expired. The result depends on nothing but the tree, the time and the
    /// command, so every member gets the same.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the command does not fit what is there; what expired stays in `effects`.
    pub fn apply(
        &mut self,
        time: Timestamp,
        command: Command,
        effects: &mut Vec<Effect>,
    ) -> Result<usize, Refused> {
        while self.expire_due(time, usize::MAX, effects) {}
        let own = effects.len();
        let outcome = match command {
            Command::Put(put) => self.put(put).map(|effect| effects.push(effect)),
            Command::Delete(delete) => self.delete(delete).map(|effect| effects.push(effect)),
            Command::CreateInOrder(create) => self.create_in_order(create).map(|effect| effects.push(effect)),
            Command::Transaction(transaction) => self.transact(transaction, effects),
            Command::Expire => Ok(()),
        };
        self.settle();
        outcome.map(|()| own)
    }

    /// Lets go what is due by `time`, earliest deadline first, then by age, then by key: all of it, as before a command of
    /// that time, or as much as `budget` steps are enough for, each of them a small one. Returns false once it is all.
    ///
    /// For those who have others look at the tree in between. They see a part of what is due gone, in order; the next command
    /// lets go of the rest, whatever its time.
    pub fn expire_due(&mut self, time: Timestamp, mut budget: usize, effects: &mut Vec<Effect>) -> bool {
        self.time = self.time.max(time);
        let mut taken = Vec::new();
        while budget > 0 {
            if let Some(due) = self.next_due() {
                budget -= 1;
                // A directory has taken along what was below it, in one change.
                if self.get(&due.key).is_ok() {
                    effects.push(self.expire(&due.key));
                    self.settle();
                }
            } else if self.timers.take_due(self.time, &mut budget, &mut taken) {
                for (deadline, key) in taken.drain(..) {
                    if let Ok(node) = self.get(&key) {
                        self.due.push(Reverse(Due { deadline, created: node.created(), key }));
                    }
                }
            } else {
                // It may have been many.
                self.due.shrink_to(DUE_CAPACITY);
                return false;
            }
        }
        true
    }

    /// The next node to go, if it is known: among those that are due at one moment, it may be the last to leave the timers.
    fn next_due(&mut self) -> Option<Due> {
        let Reverse(first) = self.due.peek()?;
        let is_known = self.timers.next_wake().is_none_or(|wake| wake > first.deadline);
        is_known.then(|| self.due.pop()).flatten().map(|Reverse(due)| due)
    }

    /// The index of the newest change.
    pub fn index(&self) -> Index {
        self.index
    }

    /// The time of the newest entry applied.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The root: with the index, a consistent view of everything that later changes leave alone.
    pub fn root(&self) -> &Node {
        self.nodes.root()
    }

    /// How many files there are.
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// How much memory the nodes take, roughly, in bytes: their keys, their values and a flat sum for each.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many nodes have a deadline.
    pub fn timer_count(&self) -> usize {
        self.timers.len() + self.due.len()
    }

    /// When an [`Command::Expire`] may be called for: never after the first deadline. `None` when nothing has one.
    ///
    /// Far deadlines are told roughly at first; [`Tree::refine_timers`] at that moment makes the answer precise.
    pub fn next_wake(&self) -> Option<Timestamp> {
        if self.due.is_empty() { self.timers.next_wake() } else { Some(self.time) }
    }

    /// Lets the timers look closer at what comes next, now that it is `now`, in no more than `budget` small steps; returns
    /// whether there is more to look at. Changes nothing that anybody can see but [`Tree::next_wake`]; whatever is due
    /// stays until an entry's time says so.
    pub fn refine_timers(&mut self, now: Timestamp, budget: usize) -> bool {
        self.timers.refine(now, budget)
    }

    /// The file at `path`, if that is one and in canonical form. Between commands only.
    pub fn file(&self, path: &str) -> Option<&Node> {
        debug_assert!(self.nodes.is_settled(), "the files are behind the nodes");
        self.files.get(path)
    }

    /// The node at the canonical `path`.
    ///
    /// # Errors
    ///
    /// [`Refused::KeyNotFound`] or [`Refused::NotADirectory`], naming the place where the way ended.
    pub fn get(&self, path: &str) -> Result<&Node, Refused> {
        // In the middle of a transaction only the nodes themselves tell the truth.
        let file = if self.nodes.is_settled() { self.files.get(path) } else { None };
        file.map_or_else(|| self.find(path), Ok)
    }

    fn find(&self, path: &str) -> Result<&Node, Refused> {
        find(self.root(), path, self.index)
    }

    /// Brings what is derived from the nodes up to date with what was done to them.
    fn settle(&mut self) {
        let mut edits = self.nodes.take_edits();
        for edit in edits.drain(..) {
            match edit {
                Edit::Removed(node) => {
                    self.forget(&node);
                    if node.is_dir() {
                        node.descendants_with_hidden().for_each(|node| self.forget(node));
                    }
                }
                Edit::Inserted(node) => self.remember(&node),
                Edit::Replaced(old, new) => {
                    if new.deadline() != old.deadline() {
                        self.timers.set(new.key(), new.deadline());
                    }
                    self.bytes = self.bytes + new.value().len() - old.value().len();
                    self.files.insert(new);
                }
                Edit::Retimed(key, deadline) => self.timers.set(&key, deadline),
            }
        }
        self.nodes.reuse(edits);
    }

    fn remember(&mut self, node: &Node) {
        self.bytes += bytes_of(node);
        if let Some(deadline) = node.deadline() {
            self.timers.set(node.key(), Some(deadline));
        }
        if !node.is_dir() {
            self.files.insert(node.clone());
        }
    }

    fn forget(&mut self, node: &Node) {
        self.bytes -= bytes_of(node);
        if node.deadline().is_some() {
            self.timers.cancel(node.key());
        }
        if !node.is_dir() {
            self.files.remove(node.key());
        }
    }
}

/// The node at the canonical `path` below `root`, the root of a tree at `index`.
///
/// # Errors
///
/// [`Refused::KeyNotFound`] or [`Refused::NotADirectory`], naming the place where the way ended.
pub fn find<'a>(root: &'a Node, path: &str, index: Index) -> Result<&'a Node, Refused> {
    nodes::find(root, path).map_err(|end| match end {
        DeadEnd::Missing(key) => Refused::KeyNotFound { key, index },
        DeadEnd::File(key) => Refused::NotADirectory { key, index },
    })
}

/// What a node takes, roughly: allocations and its places in the directory above and in the hash of files.
fn bytes_of(node: &Node) -> usize {
    const EACH: usize = 192;
    EACH + node.key().len() + node.value().len()
}
