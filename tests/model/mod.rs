//! A naive model of the tree: one sorted map from paths to entries, copied whole where the tree shares.
//!
//! Written from etcd's rules alone, in the plainest way that works. [`duel`] plays commands on both and compares.

pub(crate) mod duel;
mod steps;

use std::collections::BTreeMap;

use spinney::internals::tree::{
    Check, Command, Condition, CreateInOrder, Delete, Expect, Operation, Put, PutMode, Transaction,
};

/// What is below the root, by path.
pub(crate) type Content = BTreeMap<String, Entry>;

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `None` for a directory.
    pub value: Option<Vec<u8>>,
    pub created: u64,
    pub modified: u64,
    /// In milliseconds; `None` for ever.
    pub deadline: Option<u64>,
}

/// A change, as watchers have to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub action: &'static str,
    pub path: String,
    pub entry: Entry,
    pub previous: Option<Entry>,
    pub time: u64,
    pub refresh: bool,
    /// Of a directory that was removed: what was in it.
    pub removed: Option<Content>,
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct No {
    /// etcd's code.
    pub code: u16,
    pub path: String,
    pub index: u64,
    /// What a condition has to say: `[expected != found]`.
    pub mismatch: Vec<u8>,
    /// What a condition was put on.
    pub current: Option<Entry>,
}

/// The whole state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub content: Content,
    pub index: u64,
    pub time: u64,
}

impl Model {
    /// Applies `command`; the events come with those of what expired first, and the number of those.
    pub(crate) fn apply(&mut self, time: u64, command: Command) -> (Vec<Event>, Result<usize, No>) {
        self.time = self.time.max(time);
        let mut events = self.expire();
        let expired = events.len();
        let outcome = match command {
            Command::Put(put) => self.put(put).map(|event| events.push(event)),
            Command::Delete(delete) => self.delete(delete).map(|event| events.push(event)),
            Command::CreateInOrder(create) => self.create_in_order(create).map(|event| events.push(event)),
            Command::Transaction(transaction) => self.transact(transaction).map(|own| events.extend(own)),
            Command::Expire => Ok(()),
        };
        (events, outcome.map(|()| expired))
    }

    /// The first moment at which anything is due.
    pub(crate) fn first_deadline(&self) -> Option<u64> {
        self.content.values().filter_map(|entry| entry.deadline).min()
    }

    /// What is at `path`, or which part of the way is missing (100) or a file (104).
    pub(crate) fn get(&self, path: &str) -> Result<Entry, No> {
        if path == "/" {
            return Ok(Entry { value: None, created: 0, modified: 0, deadline: None });
        }
        for (end, _) in path.match_indices('/').skip(1) {
            let above = &path[..end];
            let entry = self.content.get(above).ok_or_else(|| self.no(100, above))?;
            if entry.value.is_some() {
                return Err(self.no(104, above));
            }
        }
        self.content.get(path).cloned().ok_or_else(|| self.no(100, path))
    }

    fn no(&self, code: u16, path: &str) -> No {
        No { code, path: path.to_owned(), index: self.index, mismatch: Vec::new(), current: None }
    }

    /// What is due goes, earliest first; among equals the one that was made first.
    fn expire(&mut self) -> Vec<Event> {
        let due = |(path, entry): (&String, &Entry)| {
            entry
                .deadline
                .filter(|&deadline| deadline <= self.time)
                .map(|at| (at, entry.created, path.clone()))
        };
        let mut due: Vec<_> = self.content.iter().filter_map(due).collect();
        due.sort();
        let mut events = Vec::new();
        for (_, _, path) in due {
            if self.content.contains_key(&path) {
                events.push(self.remove("expire", &path));
            }
        }
        events
    }

    fn put(&mut self, put: Put) -> Result<Event, No> {
        let path = put.key.as_str();
        if path == "/" {
            return Err(self.no(107, path));
        }
        let found = self.get(path);
        let is_dir = found.as_ref().is_ok_and(|entry| entry.value.is_none());
        let mut value = put.value.0.to_vec();
        let deadline = self.deadline(put.ttl_ms);
        match put.mode {
            PutMode::Set => {
                let previous = match found {
                    Ok(_) if is_dir => return Err(self.no(102, path)),
                    Ok(file) => Some(file),
                    Err(no) if no.code == 100 && !put.refresh => None,
                    Err(no) => return Err(no),
                };
                if put.refresh {
                    value = previous.as_ref().and_then(|file| file.value.clone()).unwrap_or_default();
                }
                Ok(self.make("set", path, (!put.dir).then_some(value), deadline, previous, put.refresh))
            }
            PutMode::Create => {
                if put.refresh {
                    value.clear();
                }
                self.create(path, (!put.dir).then_some(value), deadline)
            }
            PutMode::Update => {
                let previous = found?;
                if !is_dir {
                    return Ok(self.rewrite("update", path, previous, value, deadline, put.refresh));
                }
                if !value.is_empty() {
                    return Err(self.no(102, path));
                }
                self.index += 1;
                self.content.get_mut(path).unwrap().deadline = deadline;
                // The event shows an index that the directory itself never gets.
                let entry = Entry { modified: self.index, deadline, ..previous.clone() };
                Ok(self.event("update", path, entry, Some(previous), put.refresh))
            }
            PutMode::Swap(condition) => {
                let previous = self.meets(path, &condition)?;
                Ok(self.rewrite("compareAndSwap", path, previous, value, deadline, put.refresh))
            }
        }
    }

    fn create_in_order(&mut self, create: CreateInOrder) -> Result<Event, No> {
        let above = create.directory.as_str().trim_end_matches('/');
        let path = format!("{above}/{:020}", self.index + 1);
        let deadline = self.deadline(create.ttl_ms);
        self.create(&path, (!create.dir).then(|| create.value.0.to_vec()), deadline)
    }

    fn create(&mut self, path: &str, value: Option<Vec<u8>>, deadline: Option<u64>) -> Result<Event, No> {
        match self.get(path) {
            Ok(_) => Err(self.no(105, path)),
            Err(no) if no.code == 100 => Ok(self.make("create", path, value, deadline, None, false)),
            Err(no) => Err(no),
        }
    }

    fn delete(&mut self, delete: Delete) -> Result<Event, No> {
        let path = delete.key.as_str();
        if let Some(condition) = &delete.condition {
            if path == "/" {
                return Err(self.no(102, path));
            }
            self.meets(path, condition)?;
            return Ok(self.remove("compareAndDelete", path));
        }
        if path == "/" {
            return Err(self.no(107, path));
        }
        let is_dir = self.get(path)?.value.is_none();
        if is_dir && !delete.dir && !delete.recursive {
            return Err(self.no(102, path));
        }
        if is_dir && !delete.recursive && !below(&self.content, path).is_empty() {
            return Err(self.no(108, path));
        }
        Ok(self.remove("delete", path))
    }

    /// All or nothing: what is refused half-way leaves everything, the index too, as it was.
    fn transact(&mut self, transaction: Transaction) -> Result<Vec<Event>, No> {
        for check in &transaction.checks {
            self.check(check)?;
        }
        let before = self.clone();
        let operate = |operation| match operation {
            Operation::Put(put) => self.put(put),
            Operation::Delete(delete) => self.delete(delete),
            Operation::CreateInOrder(create) => self.create_in_order(create),
        };
        let events: Result<Vec<Event>, No> = transaction.operations.into_iter().map(operate).collect();
        events.map_err(|no| {
            *self = before;
            No { index: self.index, ..no }
        })
    }

    fn check(&self, check: &Check) -> Result<(), No> {
        let current = self.get(&check.key).ok();
        let value = current.as_ref().and_then(|entry| entry.value.clone());
        // An index of 0 is that of nothing.
        let index = current.as_ref().map_or(0, |entry| entry.modified);
        let (holds, mismatch) = match &check.expect {
            Expect::Present => (current.is_some(), Vec::new()),
            Expect::Absent => (current.is_none(), Vec::new()),
            Expect::Value(wanted) => (
                value.as_deref() == Some(&*wanted.0),
                [b"[", &*wanted.0, b" != ", &value.unwrap_or_default(), b"]"].concat(),
            ),
            Expect::Index(wanted) => {
                let holds = wanted.get() == index;
                (holds, format!("[{wanted} != {index}]").into_bytes())
            }
        };
        if holds { Ok(()) } else { Err(No { mismatch, current, ..self.no(101, &check.key) }) }
    }

    /// The file at `path`, when it meets `condition`.
    fn meets(&self, path: &str, condition: &Condition) -> Result<Entry, No> {
        if path == "/" {
            return Err(self.no(107, path));
        }
        let current = self.get(path)?;
        let Some(value) = &current.value else { return Err(self.no(102, path)) };
        let mut wrong = Vec::new();
        if let Some(wanted) = condition.value.as_ref().filter(|wanted| *wanted.0 != **value) {
            wrong.push([b"[", &*wanted.0, b" != ", value, b"]"].concat());
        }
        if let Some(wanted) = condition.index.filter(|wanted| wanted.get() != current.modified) {
            wrong.push(format!("[{wanted} != {}]", current.modified).into_bytes());
        }
        if wrong.is_empty() {
            return Ok(current);
        }
        Err(No { mismatch: wrong.join(&b' '), current: Some(current), ..self.no(101, path) })
    }

    /// Puts a new entry at `path`, with what is missing above it.
    fn make(
        &mut self,
        action: &'static str,
        path: &str,
        value: Option<Vec<u8>>,
        deadline: Option<u64>,
        previous: Option<Entry>,
        refresh: bool,
    ) -> Event {
        self.index += 1;
        let directory = Entry { value: None, created: self.index, modified: self.index, deadline: None };
        for (end, _) in path.match_indices('/').skip(1) {
            self.content.entry(path[..end].to_owned()).or_insert(directory.clone());
        }
        let entry = Entry { value, deadline, ..directory };
        self.content.insert(path.to_owned(), entry.clone());
        self.event(action, path, entry, previous, refresh)
    }

    fn rewrite(
        &mut self,
        action: &'static str,
        path: &str,
        previous: Entry,
        value: Vec<u8>,
        deadline: Option<u64>,
        refresh: bool,
    ) -> Event {
        self.index += 1;
        let value = if refresh { previous.value.clone() } else { Some(value) };
        let entry = Entry { value, created: previous.created, modified: self.index, deadline };
        self.content.insert(path.to_owned(), entry.clone());
        self.event(action, path, entry, Some(previous), refresh)
    }

    fn remove(&mut self, action: &'static str, path: &str) -> Event {
        self.index += 1;
        let previous = self.content.remove(path).unwrap();
        let inside = below(&self.content, path);
        self.content.retain(|other, _| !inside.contains_key(other));
        // The event shows a name and its indexes, and nothing of a file's value.
        let value = previous.value.is_some().then(Vec::new);
        let entry = Entry { value, created: previous.created, modified: self.index, deadline: None };
        let removed = previous.value.is_none().then_some(inside);
        Event { removed, ..self.event(action, path, entry, Some(previous), false) }
    }

    fn event(
        &self,
        action: &'static str,
        path: &str,
        entry: Entry,
        previous: Option<Entry>,
        refresh: bool,
    ) -> Event {
        Event { action, path: path.to_owned(), entry, previous, time: self.time, refresh, removed: None }
    }

    /// The end of time is for ever.
    fn deadline(&self, ttl_ms: Option<u64>) -> Option<u64> {
        ttl_ms.and_then(|ttl| self.time.checked_add(ttl)).filter(|&deadline| deadline < u64::MAX)
    }
}

/// What lies below the directory at `path`.
fn below(content: &Content, path: &str) -> Content {
    let inside = format!("{path}/");
    content
        .iter()
        .filter(|(path, _)| path.starts_with(&inside))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}
