//! The tree as bytes: what snapshots and backups are made of.
//!
//! Nodes come in pre-order, each directory before what is in it, children in order of their names. A node says
//! how deep it is, not where: its key is the key of the last directory one level up, and its name.
//!
//! ```text
//!   chunk  │ node │ node │ …            a little over 64 KiB; how it is framed and checked is the log's matter
//!   node   │ depth │ name │ created │ modified │ deadline? │ value?        no value: a directory
//! ```
//! Fields are encoded by `codec`. The root, at depth 0 without a name, is not written.

use serde::{Deserialize, Serialize};

use super::Tree;
use super::nodes::Nodes;
use crate::codec::{self, DecodeError, Slice};
use crate::key::Key;
use crate::node::{Content, Node};
use crate::types::{Index, Timestamp};

/// A chunk is closed by the node that takes it past this size.
const CHUNK_BYTES: usize = 64 << 10;

/// One node; its place follows from the nodes before it.
#[derive(Serialize, Deserialize)]
struct NodeImage<'a> {
    depth: u16,
    name: &'a str,
    created: Index,
    modified: Index,
    deadline: Option<Timestamp>,
    #[serde(borrow)]
    value: Option<Slice<'a>>,
}

/// Why bytes are not the image of a tree.
#[derive(Debug)]
pub enum ImageError {
    /// A node cannot be decoded.
    Decode(DecodeError),
    /// A node can have no such name or no such place.
    Misplaced {
        /// The name.
        name: String,
    },
    /// A chunk begins with a number that means nothing.
    Unknown,
}

impl std::fmt::Display for ImageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "a node cannot be decoded: {error}"),
            Self::Unknown => f.write_str("a chunk is of no known kind"),
            Self::Misplaced { name } => write!(f, "a node called {name:?} has no place in the tree"),
        }
    }
}

impl std::error::Error for ImageError {}

/// The chunks of a tree's image, made one by one from a root that stays as it is.
pub struct NodeImages<'a> {
    nodes: Box<dyn Iterator<Item = &'a Node> + 'a>,
    first: u8,
}

impl<'a> NodeImages<'a> {
    /// The image of what is below `root`; each chunk begins with the byte `first`, for whoever mixes them with
    /// others.
    pub fn new(root: &'a Node, first: u8) -> Self {
        Self { nodes: Box::new(root.descendants_with_hidden()), first }
    }
}

impl Iterator for NodeImages<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut chunk = vec![self.first];
        for node in self.nodes.by_ref() {
            let image = NodeImage {
                depth: u16::try_from(node.key().parts().count()).expect("a key has at most 1,000 parts"),
                name: node.name(),
                created: node.created(),
                modified: node.modified(),
                deadline: node.deadline(),
                value: (!node.is_dir()).then(|| Slice(node.value())),
            };
            codec::encode_into(&image, &mut chunk);
            if chunk.len() >= CHUNK_BYTES {
                break;
            }
        }
        (chunk.len() > 1).then_some(chunk)
    }
}

/// Builds a tree from the chunks of its image.
pub struct Loader {
    /// The directories that the next node may go into, from the root down; each is complete up to the last node.
    open: Vec<Node>,
    files: usize,
}

impl Default for Loader {
    fn default() -> Self {
        Self::new()
    }
}

impl Loader {
    /// A loader that has seen no chunk.
    pub fn new() -> Self {
        Self { open: vec![Node::directory(Key::root(), Index::default(), Index::default(), None)], files: 0 }
    }

    /// Adds the nodes of the next chunk.
    ///
    /// # Errors
    ///
    /// When the bytes are no nodes, or nodes that cannot follow those before.
    pub fn chunk(&mut self, mut bytes: &[u8]) -> Result<(), ImageError> {
        while !bytes.is_empty() {
            let (image, read) = codec::decode_prefix::<NodeImage<'_>>(bytes).map_err(ImageError::Decode)?;
            self.node(&image)?;
            bytes = &bytes[read..];
        }
        Ok(())
    }

    fn node(&mut self, image: &NodeImage<'_>) -> Result<(), ImageError> {
        let misplaced = || ImageError::Misplaced { name: image.name.to_owned() };
        let depth = usize::from(image.depth);
        if depth == 0 || depth > self.open.len() {
            return Err(misplaced());
        }
        self.close_down_to(depth);
        let directory = self.open.last().expect("the root stays open");
        let key = directory.key().join(image.name).map_err(|_| misplaced())?;
        // The name must be one part, and come after those before it: nothing else was ever written.
        let last = directory.entries().and_then(|children| children.last());
        if key.name() != image.name || last.is_some_and(|last| last.name() >= image.name) {
            return Err(misplaced());
        }
        match image.value {
            Some(Slice(value)) => {
                self.files += 1;
                self.append(Node::file(key, image.created, image.modified, image.deadline, value.into()));
            }
            None => self.open.push(Node::directory(key, image.created, image.modified, image.deadline)),
        }
        Ok(())
    }

    /// Puts the directories that are complete into those above them, until `depth` are left.
    fn close_down_to(&mut self, depth: usize) {
        while self.open.len() > depth {
            let complete = self.open.pop().expect("more than one is open");
            self.append(complete);
        }
    }

    fn append(&mut self, node: Node) {
        let directory = self.open.last_mut().expect("the root stays open");
        match &mut directory.make_mut().content {
            Content::Directory(children) => drop(children.append(node)),
            Content::File(_) => unreachable!("only directories are opened"),
        }
    }

    /// The tree, whose last change had `index` and whose last entry `time`.
    pub fn finish(mut self, index: Index, time: Timestamp) -> Tree {
        self.close_down_to(1);
        let root = self.open.pop().expect("the root stays open");
        let mut tree = Tree::new();
        tree.files.reserve(self.files);
        for node in root.descendants_with_hidden() {
            tree.remember(node);
        }
        tree.nodes = Nodes::new(root);
        tree.index = index;
        tree.time = time;
        tree
    }
}
