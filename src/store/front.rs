//! What a front asks of a store beyond what its callers do: commands as etcd words them, reads with the index they
//! are of, history as it is.

use std::sync::Arc;

use super::Store;
use crate::error::Error;
use crate::event::Change;
use crate::key::Key;
use crate::member::Pending;
use crate::node::Node;
use crate::tree::{Command, Condition, Refused};
use crate::types::{Index, LogIndex, Term, Timestamp};
use crate::wal::Identity;
use crate::watch::{Past, Watch, WatchRequest};

/// What was found at a key, all of it at one moment.
pub(crate) struct Reading {
    pub(crate) node: Result<Node, Refused>,
    /// The index of the newest change there was.
    pub(crate) index: Index,
    /// The present moment in log time.
    pub(crate) now: Timestamp,
}

impl Store {
    /// The node at `key`, with the index that it is of: what changes after that has a greater one.
    pub(crate) fn read(&self, key: &Key) -> Reading {
        let tree = self.member().tree();
        let (node, index) = (tree.get(key).cloned(), tree.index());
        drop(tree);
        Reading { node, index, now: self.now() }
    }

    /// Done when what is read afterwards is the newest there is anywhere; `None` where it always is.
    pub(crate) fn latest(&self) -> Option<Pending<()>> {
        self.member().latest()
    }

    /// Hands in a command as it is, if it is within the limits.
    pub(crate) fn submit(&self, command: Command) -> Pending<Arc<Change>> {
        match self.limit_command(&command) {
            Ok(()) => self.member().submit(command),
            Err(error) => Pending::answered(Err(error)),
        }
    }

    /// The same from a thread that may be held for as long as a sync takes: it does the write itself where that is the
    /// quickest way.
    pub(crate) fn write_or_submit(&self, command: Command) -> Pending<Arc<Change>> {
        match self.limit_command(&command) {
            Ok(()) => self.member().write_or_submit(command),
            Err(error) => Pending::answered(Err(error)),
        }
    }

    fn limit_command(&self, command: &Command) -> Result<(), Error> {
        let no_condition = Condition::default();
        let (key, condition, size) = match command {
            Command::Put(put) => {
                let condition = match &put.mode {
                    crate::tree::PutMode::Swap(condition) => condition,
                    _ => &no_condition,
                };
                (&put.key, condition, put.value.0.len())
            }
            Command::CreateInOrder(create) => (&create.directory, &no_condition, create.value.0.len()),
            Command::Delete(delete) => {
                return self.limit_values(0, delete.condition.as_ref().unwrap_or(&no_condition));
            }
            Command::Transaction(_) | Command::Expire => return Ok(()),
        };
        let name = if matches!(command, Command::CreateInOrder(_)) { 21 } else { 0 };
        self.limit("key", key.len() + name, self.member().settings().key_bytes, "key_bytes")?;
        self.limit_values(size, condition)
    }

    /// Begins a watch as a front words it.
    pub(crate) fn begin_watch(&self, request: WatchRequest) -> Watch {
        self.member().watch(request)
    }

    /// What history keeps from `index` on, no more than `count` changes of it.
    pub(crate) fn past(&self, index: Index, count: usize) -> Past {
        self.member().state().past(index, count)
    }

    /// Whose store it is; asking waits for nobody, as [`Store::status`] may.
    pub(crate) fn identity(&self) -> Identity {
        self.member().identity()
    }

    /// How far the log has been applied, and in which term.
    pub(crate) fn position(&self) -> (LogIndex, Term) {
        self.member().position()
    }

    /// How many nodes have expired since the store was opened.
    pub(crate) fn expired(&self) -> u64 {
        self.member().state().expired()
    }

    /// How many watches there are.
    pub(crate) fn watchers(&self) -> usize {
        self.member().state().watch_stats().watchers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Put, PutMode, Value};

    fn put() -> Command {
        let (key, value) = (Key::parse("/a").unwrap(), Value::default());
        Command::Put(Put { key, mode: PutMode::Set, value, ttl_ms: None, dir: false, refresh: false })
    }

    #[test]
    fn a_write_that_is_done_at_once_goes_ahead_of_none_that_waits() {
        let store = Store::in_memory();
        for _ in 0..1_000 {
            let before = (0..20).map(|_| store.submit(put())).collect::<Vec<_>>();
            let last = store.write_or_submit(put()).wait().unwrap().index();
            for write in before {
                assert!(write.wait().unwrap().index() < last);
            }
        }
    }

    #[test]
    fn a_write_by_whoever_is_alone_is_done_when_it_is_given_back() {
        let store = Store::in_memory();
        let done = (0..100).filter(|_| store.write_or_submit(put()).is_done()).count();
        // Save where a turn was slow, as on a busy machine.
        assert!(done > 0);
    }
}
