//! What a snapshot and a backup hold: the tree, the recent changes and the sessions, at one index.
//!
//! ```text
//!   header   whose, up to which entry, members │ meta: index, time          framed by the log's snapshot files
//!   part     length u32 │ 3 │ sessions                    left out where nobody ever had one
//!   part     length u32 │ 1 │ change │ change │ …         history, oldest first
//!   part     length u32 │ 2 │ nodes                       the tree's image
//! ```
//! The length is little-endian and counts what follows it; the number after it says what the part holds.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError, Slice};
use crate::event::{Action, Change};
use crate::key::Key;
use crate::node::Node;
use crate::session::Sessions;
use crate::tree::{ImageError, Loader, NodeImages, Tree};
use crate::types::{Index, Timestamp};
use crate::wal::{SnapshotHeader, SnapshotReader, WalError};

const CHANGES: u8 = 1;
const NODES: u8 = 2;
const SESSIONS: u8 = 3;

/// A part with changes is closed by the one that takes it past this size.
const PART_BYTES: usize = 64 << 10;

/// Where a tree stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// The index of its last change.
    pub(crate) index: Index,
    /// The time of its last entry.
    pub(crate) time: Timestamp,
}

/// A change with its nodes written out.
#[derive(Serialize, Deserialize)]
struct ChangeImage<'a> {
    action: Action,
    #[serde(borrow)]
    node: NodeImage<'a>,
    prev_node: Option<NodeImage<'a>>,
    time: Timestamp,
    refresh: bool,
}

/// A node as a change shows it: a directory without what is in it.
#[derive(Serialize, Deserialize)]
struct NodeImage<'a> {
    key: Key,
    created: Index,
    modified: Index,
    deadline: Option<Timestamp>,
    #[serde(borrow)]
    value: Option<Slice<'a>>,
}

/// What is to be saved, taken at one moment; nothing that happens later changes it.
pub(crate) struct Content {
    pub(crate) meta: Meta,
    pub(crate) root: Node,
    /// How many files are below the root.
    pub(crate) files: usize,
    pub(crate) history: Vec<Arc<Change>>,
    pub(crate) sessions: Sessions,
}

/// What was read from a snapshot.
#[derive(Default)]
pub(crate) struct Loaded {
    pub(crate) tree: Tree,
    /// Oldest first.
    pub(crate) history: Vec<Arc<Change>>,
    pub(crate) sessions: Sessions,
}

impl Content {
    /// Writes it all, unless `stop` says otherwise first.
    ///
    /// # Errors
    ///
    /// Those of `writer`, and [`io::ErrorKind::Interrupted`] when stopped.
    pub(crate) fn write(&self, writer: &mut dyn Write, stop: &AtomicBool) -> io::Result<()> {
        if self.sessions != Sessions::default() {
            let mut part = vec![SESSIONS];
            codec::encode_into(&self.sessions, &mut part);
            write_part(writer, &part)?;
        }
        let mut part = vec![CHANGES];
        for change in &self.history {
            codec::encode_into(&ChangeImage::of(change), &mut part);
            if part.len() >= PART_BYTES {
                write_part(writer, &part)?;
                part.truncate(1);
            }
        }
        if part.len() > 1 {
            write_part(writer, &part)?;
        }
        for nodes in NodeImages::new(&self.root, NODES) {
            if stop.load(Ordering::Relaxed) {
                return Err(io::Error::other("called off"));
            }
            write_part(writer, &nodes)?;
        }
        Ok(())
    }
}

fn write_part(writer: &mut dyn Write, part: &[u8]) -> io::Result<()> {
    let length = u32::try_from(part.len()).map_err(io::Error::other)?;
    writer.write_all(&length.to_le_bytes())?;
    writer.write_all(part)
}

/// The next part in `bytes`; false when there is none.
fn read_part(reader: &mut impl Read, part: &mut Vec<u8>) -> io::Result<bool> {
    let mut length = [0; 4];
    if reader.read(&mut length[..1])? == 0 {
        return Ok(false);
    }
    reader.read_exact(&mut length[1..])?;
    let length = u64::from(u32::from_le_bytes(length));
    part.clear();
    // Not by the length that is claimed: memory is taken as bytes really come.
    if reader.take(length).read_to_end(part)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(true)
}

/// Reads all of a snapshot.
///
/// # Errors
///
/// Those of its reader, and when what it says is impossible: each names the file.
pub(crate) fn open<R: Read>(
    mut snapshot: SnapshotReader<R>,
) -> Result<(SnapshotHeader, Meta, Loaded), WalError> {
    let header = snapshot.header().clone();
    let meta = codec::decode(&header.meta).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
    let opened = meta.and_then(|meta| Ok((meta, read(&mut snapshot, meta)?)));
    let (meta, loaded) = opened.map_err(|error| snapshot.error(error))?;
    Ok((header, meta, loaded))
}

/// Puts a tree and its history together again from what [`Content::write`] wrote.
///
/// # Errors
///
/// Those of `reader`; [`io::ErrorKind::InvalidData`] around an [`ImageError`] when the bytes say something
/// impossible.
fn read(reader: &mut impl Read, meta: Meta) -> io::Result<Loaded> {
    // Nobody can have counted so far: the index would not have far to go.
    if meta.index.get() > u64::MAX / 2 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("an index of {}", meta.index)));
    }
    let (mut loader, mut part) = (Loader::new(), Vec::new());
    let mut loaded = Loaded::default();
    while read_part(reader, &mut part)? {
        let taken = match part.split_first() {
            Some((&CHANGES, changes)) => {
                take_changes(changes, &mut loaded.history).map_err(ImageError::Decode)
            }
            Some((&NODES, nodes)) => loader.chunk(nodes),
            Some((&SESSIONS, sessions)) => {
                codec::decode(sessions).map(|sessions| loaded.sessions = sessions).map_err(ImageError::Decode)
            }
            _ => Err(ImageError::Unknown),
        };
        taken.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    }
    loaded.tree = loader.finish(meta.index, meta.time);
    Ok(loaded)
}

fn take_changes(mut bytes: &[u8], history: &mut Vec<Arc<Change>>) -> Result<(), DecodeError> {
    while !bytes.is_empty() {
        let (change, read) = codec::decode_prefix::<ChangeImage<'_>>(bytes)?;
        history.push(Arc::new(change.into_change()));
        bytes = &bytes[read..];
    }
    Ok(())
}

impl<'a> ChangeImage<'a> {
    fn of(change: &'a Change) -> Self {
        Self {
            action: change.action,
            node: NodeImage::of(&change.node),
            prev_node: change.prev_node.as_ref().map(NodeImage::of),
            time: change.time,
            refresh: change.refresh,
        }
    }

    fn into_change(self) -> Change {
        let previous = self.prev_node.map(NodeImage::into_node);
        let mut change = Change::new(self.action, self.node.into_node(), previous, self.time);
        change.refresh = self.refresh;
        change
    }
}

impl<'a> NodeImage<'a> {
    fn of(node: &'a Node) -> Self {
        Self {
            key: node.key().clone(),
            created: node.created(),
            modified: node.modified(),
            deadline: node.deadline(),
            value: (!node.is_dir()).then(|| Slice(node.value())),
        }
    }

    fn into_node(self) -> Node {
        match self.value {
            Some(Slice(value)) => {
                Node::file(self.key, self.created, self.modified, self.deadline, value.into())
            }
            None => Node::directory(self.key, self.created, self.modified, self.deadline),
        }
    }
}
