//! The one log that there has ever been, and what a naive tree makes of it.
//!
//! Whatever a member applies is either the next entry of this log, or exactly what stands in it at that position.
//! A second implementation of the tree, which shares nothing with the first, says what each entry did: so members
//! are compared with it, and by that with each other, at every position they come to.

use std::collections::BTreeMap;
use std::sync::Arc;

use spinney::internals::codec;
use spinney::internals::entry::{Entry, EntryId, Payload};
use spinney::internals::tree::Command;
use spinney::{LogIndex, Node, Term};

use crate::model::{self, Model, No};

/// A position of the log, and what it did.
#[derive(Clone, Debug)]
pub struct Slot {
    /// The entry's name.
    pub id: EntryId,
    /// The term in which somebody first knew it to be committed: who leads in a later one has it.
    pub known_in: Term,
    /// All of the entry, encoded.
    pub encoded: Arc<[u8]>,
    /// The tree's index after it.
    pub index: u64,
    /// The log's time.
    pub time: u64,
    /// The indexes of the changes that are the command's own, or why there are none; `None` where no command ran.
    pub result: Option<Ran>,
}

/// The indexes of the first and the last change that a command made, or why it made none.
pub type Ran = Result<(u64, u64), No>;

/// Everything that was ever committed.
#[derive(Debug, Default)]
pub struct Witness {
    slots: Vec<Slot>,
    model: Model,
    /// Each change, in order: the one with index 1 first.
    events: Vec<model::Event>,
    /// What was at each path, from which index on.
    versions: BTreeMap<String, Vec<(u64, Option<model::Entry>)>>,
    /// What sessions have done.
    sessions: super::sessions::Sessions,
}

impl Witness {
    /// How far the log goes.
    #[must_use]
    pub fn last(&self) -> LogIndex {
        LogIndex::new(self.slots.len() as u64)
    }

    /// The entry at `index`, if there is one.
    #[must_use]
    pub fn slot(&self, index: LogIndex) -> Option<&Slot> {
        self.slots.get(index.get().checked_sub(1)? as usize)
    }

    /// The tree's index when all up to `applied` was applied.
    #[must_use]
    pub fn tree_index(&self, applied: LogIndex) -> u64 {
        self.slot(applied).map_or(0, |slot| slot.index)
    }

    /// The change with this index.
    #[must_use]
    pub fn event(&self, index: u64) -> Option<&model::Event> {
        self.events.get(index.checked_sub(1)? as usize)
    }

    /// What was at `path` at `index`.
    #[must_use]
    pub fn version(&self, path: &str, index: u64) -> Option<&model::Entry> {
        let versions = self.versions.get(path)?;
        let later = versions.partition_point(|(from, _)| *from <= index);
        versions[..later].last().and_then(|(_, entry)| entry.as_ref())
    }

    /// The first moment of log time at which something is still to expire.
    #[must_use]
    pub fn first_deadline(&self) -> Option<u64> {
        self.model.first_deadline()
    }

    /// How many attempts to do something twice the sessions have refused.
    #[must_use]
    pub fn doubles(&self) -> u64 {
        self.sessions.doubles
    }

    /// Takes note that a member applied `entry` in its term `known_in`. Says what does not fit.
    pub fn applied(&mut self, entry: &Entry, known_in: Term) -> Result<(), String> {
        let encoded = codec::encode(entry);
        if let Some(slot) = self.slot(entry.id.index) {
            if *slot.encoded != encoded[..] {
                return Err(format!("{:?} was applied where {:?} was before", entry.id, slot.id));
            }
            return Ok(());
        }
        let last = self.slots.last().map(|slot| slot.id).unwrap_or_default();
        if entry.id.index != last.index.next() || entry.id.term < last.term {
            return Err(format!("{:?} was applied, and {last:?} is the last that ever was", entry.id));
        }
        let time = self.slots.last().map_or(0, |slot| slot.time);
        if entry.time.get() < time {
            return Err(format!("log time goes back at {:?}: from {time} to {}", entry.id, entry.time.get()));
        }
        let result = self.run(entry)?;
        let (index, time) = (self.model.index, entry.time.get());
        self.slots.push(Slot { id: entry.id, known_in, encoded: encoded.into(), index, time, result });
        Ok(())
    }

    fn run(&mut self, entry: &Entry) -> Result<Option<Ran>, String> {
        let Some(bytes) = self.sessions.admit(entry) else { return Ok(None) };
        let command: Command =
            codec::decode(bytes).map_err(|error| format!("{:?} holds no command: {error}", entry.id))?;
        let (events, outcome) = self.model.apply(entry.time.get(), command);
        let first = self.events.len() as u64 + 1;
        for event in events {
            self.note(&event);
            self.events.push(event);
        }
        if self.events.len() as u64 != self.model.index {
            return Err("the model counts its changes wrongly".to_owned());
        }
        Ok(Some(outcome.map(|own| (first + own as u64, self.model.index))))
    }

    /// Keeps what is now at the paths that `event` can have touched.
    fn note(&mut self, event: &model::Event) {
        let index = event.entry.modified.max(self.model.index);
        let above = event.path.match_indices('/').skip(1).map(|(end, _)| event.path[..end].to_owned());
        let below = event.removed.iter().flat_map(|removed| removed.keys().cloned());
        let touched: Vec<String> = above.chain([event.path.clone()]).chain(below).collect();
        for path in touched {
            let now = self.model.content.get(&path).cloned();
            let versions = self.versions.entry(path).or_default();
            if versions.last().and_then(|(_, entry)| entry.as_ref()) != now.as_ref() {
                versions.push((index, now));
            }
        }
    }

    /// Compares a member's tree with what it has to be after `applied`: its index, and the content if `root` is given and
    /// nobody is further. Says what differs.
    pub fn compare(&self, applied: LogIndex, index: u64, root: Option<&Node>) -> Result<(), String> {
        if applied > self.last() {
            return Err(format!("applied {applied}, and {} is the last that ever was", self.last()));
        }
        if index != self.tree_index(applied) {
            let expected = self.tree_index(applied);
            return Err(format!("the tree has index {index} after {applied}, and not {expected}"));
        }
        if let Some(root) = root.filter(|_| applied == self.last()) {
            let content = model::duel::content_of(root);
            if content != self.model.content {
                return Err(format!("at {applied} there is {content:?}, and not {:?}", self.model.content));
            }
        }
        Ok(())
    }
}

/// The command that an entry carries, if any.
#[must_use]
pub fn command_of(entry: &Entry) -> Option<&[u8]> {
    match &entry.payload {
        Payload::Command(bytes) => Some(bytes),
        _ => None,
    }
}
