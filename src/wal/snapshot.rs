//! Snapshots: a framed, checksummed stream, and the files that hold such streams.
//!
//! ```text
//!   header   │ magic 8 │ version u32 │ kind u32 │ length u32 │ crc32 u32 │ header, encoded │
//!   chunk    │ length u32 │ crc32 u32 │ payload, 1 byte to 1 MiB │
//!   end      │ 0 u32      │ crc32 u32 │ chunks u64 │ bytes u64 │ crc32 of all payloads u32 │
//! ```
//! The header's checksum covers version, kind, length and what follows; a chunk's covers its number, its
//! length and its payload; the end's covers the three fields that follow. So nothing can be flipped, cut, left
//! out, doubled or swapped without being noticed at the place where it happened.
//!
//! A file gets its name when all of it is durable.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::UNFINISHED;
use super::disk::{Disk, Files, Source};
use super::error::WalError;
use super::segment::{Identity, field, number_of};
use crate::codec;
use crate::entry::{Config, EntryId};
use crate::types::{ClusterId, LogIndex, MemberId};

/// What every snapshot begins with.
const MAGIC: [u8; 8] = *b"SPINSNAP";

/// The version of the framing and of the header.
const VERSION: u32 = 3;

/// What stands before the encoded header.
const PREFIX_BYTES: usize = 24;

/// What stands before a chunk's payload.
const CHUNK_PREFIX_BYTES: usize = 8;

/// What follows the prefix of the end.
const END_BYTES: usize = 20;

/// How large a header may be, its `meta` included.
const HEADER_BYTES_MAX: u32 = 16 << 20;

/// How large a chunk's payload may be.
const CHUNK_BYTES_MAX: u32 = 1 << 20;

/// How large the writer makes them.
const CHUNK_BYTES: usize = 256 << 10;

/// What a stream was written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotKind {
    /// To take the place of the log's beginning.
    Snapshot,
    /// To be kept elsewhere and restored from.
    Backup,
}

impl SnapshotKind {
    const fn number(self) -> u32 {
        match self {
            Self::Snapshot => 1,
            Self::Backup => 2,
        }
    }

    fn from_number(number: u32) -> Option<Self> {
        [Self::Snapshot, Self::Backup].into_iter().find(|kind| kind.number() == number)
    }
}

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// What it was written for.
    pub kind: SnapshotKind,
    /// The member that wrote it, and its cluster.
    pub identity: Identity,
    /// The last entry that it covers.
    pub last: EntryId,
    /// Who the members were then.
    pub config: Config,
    /// What the caller wants to know before it reads the content.
    pub meta: Vec<u8>,
}

/// The part of the header that is encoded.
#[derive(Serialize, Deserialize)]
struct EncodedHeader {
    cluster: ClusterId,
    member: MemberId,
    last: EntryId,
    config: Config,
    #[serde(with = "crate::codec::bytes")]
    meta: Vec<u8>,
}

/// Writes a snapshot to anything. Without [`SnapshotWriter::finish`] it is incomplete, and known to be.
pub struct SnapshotWriter<W: Write> {
    writer: W,
    /// The payload of the chunk that is being filled, behind room for its prefix.
    chunk: Vec<u8>,
    chunks: u64,
    bytes: u64,
    crc: crc32fast::Hasher,
}

impl<W: Write> SnapshotWriter<W> {
    /// Begins a snapshot.
    ///
    /// # Errors
    ///
    /// Those of `writer`.
    pub fn new(mut writer: W, header: &SnapshotHeader) -> io::Result<Self> {
        let encoded = codec::encode(&EncodedHeader {
            cluster: header.identity.cluster,
            member: header.identity.member,
            last: header.last,
            config: header.config.clone(),
            meta: header.meta.clone(),
        });
        let length = u32::try_from(encoded.len()).ok().filter(|length| *length <= HEADER_BYTES_MAX);
        let length = length.ok_or_else(|| io::Error::other("the header of the snapshot is too large"))?;
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + encoded.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&header.kind.number().to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&crc_of(&[&bytes[8..20], &encoded]).to_le_bytes());
        bytes.extend_from_slice(&encoded);
        writer.write_all(&bytes)?;
        let chunk = Vec::with_capacity(CHUNK_PREFIX_BYTES + CHUNK_BYTES);
        let mut this = Self { writer, chunk, chunks: 0, bytes: 0, crc: crc32fast::Hasher::new() };
        this.begin_chunk();
        Ok(this)
    }

    /// Ends the snapshot and gives the writer back, flushed.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_chunk()?;
        let mut end = [0; CHUNK_PREFIX_BYTES + END_BYTES];
        end[8..16].copy_from_slice(&self.chunks.to_le_bytes());
        end[16..24].copy_from_slice(&self.bytes.to_le_bytes());
        end[24..28].copy_from_slice(&self.crc.finalize().to_le_bytes());
        let crc = crc_of(&[&end[8..]]);
        end[4..8].copy_from_slice(&crc.to_le_bytes());
        self.writer.write_all(&end)?;
        self.writer.flush()?;
        Ok(self.writer)
    }

    fn begin_chunk(&mut self) {
        self.chunk.clear();
        self.chunk.resize(CHUNK_PREFIX_BYTES, 0);
    }

    /// Writes the chunk out, unless it is empty.
    fn end_chunk(&mut self) -> io::Result<()> {
        let payload = &self.chunk[CHUNK_PREFIX_BYTES..];
        if payload.is_empty() {
            return Ok(());
        }
        let length = (payload.len() as u32).to_le_bytes();
        let crc = crc_of(&[&self.chunks.to_le_bytes(), &length, payload]);
        self.crc.update(payload);
        self.bytes += payload.len() as u64;
        self.chunks += 1;
        self.chunk[0..4].copy_from_slice(&length);
        self.chunk[4..8].copy_from_slice(&crc.to_le_bytes());
        self.writer.write_all(&self.chunk)?;
        self.begin_chunk();
        Ok(())
    }
}

impl<W: Write> Write for SnapshotWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK_PREFIX_BYTES + CHUNK_BYTES {
            self.end_chunk()?;
        }
        let taken = bytes.len().min(CHUNK_PREFIX_BYTES + CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// What is in an unfinished chunk stays: chunks are not to depend on who flushes when.
    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Reads a snapshot from anything, checking all of it.
///
/// What is wrong comes as a [`WalError`], wrapped in an [`io::Error`] where [`Read`] wants one; see
/// [`SnapshotReader::error`]. The end has been checked when `read` returned 0.
#[derive(Debug)]
pub struct SnapshotReader<R: Read> {
    reader: R,
    path: PathBuf,
    header: SnapshotHeader,
    /// How far the stream was read.
    offset: u64,
    chunk: Vec<u8>,
    /// So much of the chunk was handed out.
    taken: usize,
    chunks: u64,
    bytes: u64,
    crc: crc32fast::Hasher,
    ended: bool,
}

impl<R: Read> SnapshotReader<R> {
    /// Reads the header. `path` is what errors call the stream.
    ///
    /// # Errors
    ///
    /// When it is not the header of a snapshot, or not whole.
    pub fn new(mut reader: R, path: impl Into<PathBuf>) -> Result<Self, WalError> {
        let path = path.into();
        let mut input = Input { reader: &mut reader, path: &path, offset: 0 };
        let header = input.header()?;
        let offset = input.offset;
        Ok(Self {
            reader,
            path,
            header,
            offset,
            chunk: Vec::new(),
            taken: 0,
            chunks: 0,
            bytes: 0,
            crc: crc32fast::Hasher::new(),
            ended: false,
        })
    }

    /// What the snapshot is of.
    pub fn header(&self) -> &SnapshotHeader {
        &self.header
    }

    /// Reads what is left, and so checks all of the snapshot.
    ///
    /// # Errors
    ///
    /// When something is wrong with it.
    pub fn verify(mut self) -> Result<(), WalError> {
        while self.next_chunk()? {}
        Ok(())
    }

    /// The error that [`Read`] had to wrap.
    pub fn error(&self, error: io::Error) -> WalError {
        match error.downcast::<WalError>() {
            Ok(error) => error,
            Err(source) => WalError::io("read", self.path.clone(), source),
        }
    }

    /// Reads the next chunk; false at the end.
    fn next_chunk(&mut self) -> Result<bool, WalError> {
        if self.ended {
            return Ok(false);
        }
        let start = self.offset;
        let mut input = Input { reader: &mut self.reader, path: &self.path, offset: self.offset };
        let prefix: [u8; CHUNK_PREFIX_BYTES] = input.array()?;
        let (length, crc) = (u32::from_le_bytes(field(&prefix, 0)), u32::from_le_bytes(field(&prefix, 4)));
        if length == 0 {
            let end = input.array()?;
            self.ended = true;
            return self.check_end(start, crc, &end).map(|()| false);
        }
        if length > CHUNK_BYTES_MAX {
            return Err(WalError::damaged(self.path.clone(), start, "the length of a chunk"));
        }
        self.chunk.resize(length as usize, 0);
        self.taken = 0;
        input.fill(&mut self.chunk)?;
        self.offset = input.offset;
        if crc != crc_of(&[&self.chunks.to_le_bytes(), &length.to_le_bytes(), &self.chunk]) {
            self.chunk.clear();
            return Err(WalError::damaged(self.path.clone(), start, "the checksum of a chunk"));
        }
        self.crc.update(&self.chunk);
        self.bytes += u64::from(length);
        self.chunks += 1;
        Ok(true)
    }

    fn check_end(&self, start: u64, crc: u32, end: &[u8; END_BYTES]) -> Result<(), WalError> {
        let damaged = |what| Err(WalError::damaged(self.path.clone(), start, what));
        if crc != crc_of(&[end]) {
            return damaged("the checksum of the end");
        }
        let counts = (u64::from_le_bytes(field(end, 0)), u64::from_le_bytes(field(end, 8)));
        if counts != (self.chunks, self.bytes)
            || u32::from_le_bytes(field(end, 16)) != self.crc.clone().finalize()
        {
            return damaged("the end does not match the chunks");
        }
        Ok(())
    }
}

impl<R: Read> Read for SnapshotReader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.chunk.len() {
            if !self.next_chunk().map_err(io::Error::other)? {
                return Ok(0);
            }
        }
        let taken = bytes.len().min(self.chunk.len() - self.taken);
        bytes[..taken].copy_from_slice(&self.chunk[self.taken..][..taken]);
        self.taken += taken;
        Ok(taken)
    }
}

/// A stream of which it is known how far it was read.
struct Input<'a, R: Read> {
    reader: &'a mut R,
    path: &'a PathBuf,
    offset: u64,
}

impl<R: Read> Input<'_, R> {
    fn header(&mut self) -> Result<SnapshotHeader, WalError> {
        let prefix: [u8; PREFIX_BYTES] = self.array()?;
        if prefix[0..8] != MAGIC {
            return Err(WalError::NotAFileOfOurs { path: self.path.clone() });
        }
        let version = u32::from_le_bytes(field(&prefix, 8));
        if version != VERSION {
            return Err(WalError::UnknownVersion { path: self.path.clone(), found: version, known: VERSION });
        }
        let damaged = |what| WalError::damaged(self.path.clone(), 0_u64, what);
        let length = u32::from_le_bytes(field(&prefix, 16));
        if length > HEADER_BYTES_MAX {
            return Err(damaged("the length of the header"));
        }
        let mut encoded = vec![0; length as usize];
        self.fill(&mut encoded)?;
        let damaged = |what| WalError::damaged(self.path.clone(), 0_u64, what);
        if u32::from_le_bytes(field(&prefix, 20)) != crc_of(&[&prefix[8..20], &encoded]) {
            return Err(damaged("the header's checksum"));
        }
        let kind = SnapshotKind::from_number(u32::from_le_bytes(field(&prefix, 12)));
        let kind = kind.ok_or_else(|| damaged("the kind of the snapshot"))?;
        let header: EncodedHeader =
            codec::decode(&encoded).map_err(|_| damaged("the header cannot be decoded"))?;
        Ok(SnapshotHeader {
            kind,
            identity: Identity { cluster: header.cluster, member: header.member },
            last: header.last,
            config: header.config,
            meta: header.meta,
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WalError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), WalError> {
        self.reader.read_exact(bytes).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => {
                WalError::damaged(self.path.clone(), self.offset, "the file ends before the snapshot does")
            }
            _ => WalError::io("read", self.path.clone(), source),
        })?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

fn crc_of(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// What the snapshot up to `index` is called.
pub(super) fn name_of(index: LogIndex) -> String {
    format!("{:016x}.snap", index.get())
}

/// Up to where the snapshot goes that is called `name`, if it is one.
pub(super) fn index_of(name: &str) -> Option<LogIndex> {
    number_of(name, ".snap").map(LogIndex::new)
}

/// Writes a snapshot beside the log; `content` writes what is in it. It is durable on return, its length is
/// returned, and [`open_snapshot`] finds it under the index of its last entry.
///
/// # Errors
///
/// Those of `content` and of the disk, [`WalError::NoSpace`] among them. Nothing is left behind then.
pub fn save_snapshot(
    disk: &Arc<dyn Disk>,
    header: &SnapshotHeader,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<u64, WalError> {
    let files = Files(Arc::clone(disk));
    let name = name_of(header.last.index);
    let unfinished = name.clone() + UNFINISHED;
    let saved = write_file(&files, &unfinished, header, content)
        .and_then(|bytes| files.rename(&unfinished, &name).map(|()| bytes));
    if saved.is_err() {
        files.discard(&unfinished);
    }
    saved
}

fn write_file(
    files: &Files,
    name: &str,
    header: &SnapshotHeader,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<u64, WalError> {
    let file = files.create(name)?;
    let write = || -> io::Result<_> {
        let mut writer = SnapshotWriter::new(file, header)?;
        content(&mut writer)?;
        writer.finish()
    };
    let mut file = write().map_err(files.on("write", name))?;
    file.sync().map_err(files.on("sync", name))?;
    files.length(name)
}

/// Which snapshots there are, in order.
///
/// # Errors
///
/// Those of the disk.
pub fn snapshots(disk: &Arc<dyn Disk>) -> Result<Vec<LogIndex>, WalError> {
    let names = Files(Arc::clone(disk)).names()?;
    Ok(names.iter().filter_map(|name| index_of(name)).collect())
}

/// Where the snapshot is that goes up to `index`, for messages.
pub fn snapshot_path(disk: &Arc<dyn Disk>, index: LogIndex) -> PathBuf {
    disk.path(&name_of(index))
}

/// Opens the snapshot that goes up to `index`.
///
/// # Errors
///
/// Those of the disk and of [`SnapshotReader::new`].
pub fn open_snapshot(
    disk: &Arc<dyn Disk>,
    index: LogIndex,
) -> Result<SnapshotReader<Box<dyn Source>>, WalError> {
    let files = Files(Arc::clone(disk));
    let name = name_of(index);
    SnapshotReader::new(files.open(&name)?, files.path(&name))
}

/// Removes the snapshots that do not go up to `index`.
///
/// # Errors
///
/// Those of the disk.
pub fn remove_snapshots_before(disk: &Arc<dyn Disk>, index: LogIndex) -> Result<(), WalError> {
    snapshots(disk)?.into_iter().filter(|old| *old < index).try_for_each(|old| remove_snapshot(disk, old))
}

/// Removes the snapshot that goes up to `index`.
///
/// # Errors
///
/// Those of the disk.
pub fn remove_snapshot(disk: &Arc<dyn Disk>, index: LogIndex) -> Result<(), WalError> {
    Files(Arc::clone(disk)).remove(&name_of(index))
}
