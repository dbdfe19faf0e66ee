//! The nodes by themselves: finding one, and putting one in or taking one out along the path above it.

use crate::key::{self, Key};
use crate::node::{Children, Content, Node};
use crate::types::{Index, Timestamp};

/// The root with everything below it, and what was changed since somebody last asked.
///
/// What is derived from the nodes (the hash of files, the timers) is brought up to date from the edits, once a
/// whole command has succeeded: a transaction that fails half-way puts the old root back and forgets them.
pub(super) struct Nodes {
    root: Node,
    edits: Vec<Edit>,
}

/// What happened to a node.
pub(super) enum Edit {
    /// It was put in; a directory is new and empty.
    Inserted(Node),
    /// It was taken out, with all that is below it.
    Removed(Node),
    /// The first, a file, gave its place to the second, another file.
    Replaced(Node, Node),
    /// Its deadline was moved; what is below it stayed.
    Retimed(Key, Option<Timestamp>),
}

/// Why there is no node at a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DeadEnd {
    /// Nothing is called so: the first missing part of the way.
    Missing(Key),
    /// The way leads through this file.
    File(Key),
}

impl Nodes {
    pub(super) fn new(root: Node) -> Self {
        Self { root, edits: Vec::new() }
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    /// Puts an earlier root back and forgets what was edited since.
    pub(super) fn roll_back(&mut self, root: Node) {
        self.root = root;
        self.edits.clear();
    }

    /// Whether there are no edits that what is derived has not seen.
    pub(super) fn is_settled(&self) -> bool {
        self.edits.is_empty()
    }

    /// What was edited since the last call, in order.
    pub(super) fn take_edits(&mut self) -> Vec<Edit> {
        std::mem::take(&mut self.edits)
    }

    /// Takes back the emptied list of edits, so that the next command need not ask for memory.
    pub(super) fn reuse(&mut self, edits: Vec<Edit>) {
        debug_assert!(edits.is_empty() && self.edits.is_empty());
        self.edits = edits;
    }

    /// Puts `node` in where nothing is, and makes the directories above it as of `index`. The caller has seen that
    /// the way leads through no file.
    pub(super) fn insert(&mut self, node: Node, index: Index) {
        let above = key::parent(node.key()).expect("the root is always there");
        let mut directory = &mut self.root;
        for (path, name) in key::prefixes(above) {
            let children = children_of(directory);
            if children.get(name).is_none() {
                let made = Node::directory(Key::from_canonical(path), index, index, None);
                self.edits.push(Edit::Inserted(made.clone()));
                children.insert(made);
            }
            directory = children.get_mut(name).expect("it is there, or has just been made");
        }
        children_of(directory).insert(node.clone());
        self.edits.push(Edit::Inserted(node));
    }

    /// Puts `node` in, in place of the file at its key, which the caller has seen there.
    pub(super) fn replace(&mut self, node: Node) {
        let replaced = std::mem::replace(self.existing(node.key()), node.clone());
        if node.is_dir() {
            self.edits.extend([Edit::Removed(replaced), Edit::Inserted(node)]);
        } else {
            self.edits.push(Edit::Replaced(replaced, node));
        }
    }

    /// Takes out the node at `path`, which the caller has seen there, with all that is below it.
    pub(super) fn remove(&mut self, path: &str) {
        let above = key::parent(path).expect("nobody removes the root");
        let node = children_of(self.existing(above)).remove(key::name(path)).expect("the caller saw it");
        self.edits.push(Edit::Removed(node));
    }

    /// Moves the deadline of the directory at `path`, which the caller has seen there.
    pub(super) fn retime(&mut self, path: &str, deadline: Option<Timestamp>) {
        let directory = self.existing(path).make_mut();
        directory.deadline = deadline.into();
        // What the node says now: the end of time is for ever.
        let (key, deadline) = (directory.key.clone(), directory.deadline.get());
        self.edits.push(Edit::Retimed(key, deadline));
    }

    /// The node at `path`, which the caller has seen there, to change.
    fn existing(&mut self, path: &str) -> &mut Node {
        key::parts(path).fold(&mut self.root, |directory, name| {
            children_of(directory).get_mut(name).expect("the caller saw the way")
        })
    }
}

fn children_of(directory: &mut Node) -> &mut Children<Node> {
    match &mut directory.make_mut().content {
        Content::Directory(children) => children,
        Content::File(_) => unreachable!("the caller saw that the way leads through no file"),
    }
}

/// The node at the canonical `path` below `root`.
pub(super) fn find<'a>(root: &'a Node, path: &str) -> Result<&'a Node, DeadEnd> {
    let mut node = root;
    for (path, name) in key::prefixes(path) {
        let Some(children) = node.entries() else { return Err(DeadEnd::File(node.key().clone())) };
        node = children.get(name).ok_or_else(|| DeadEnd::Missing(Key::from_canonical(path)))?;
    }
    Ok(node)
}
