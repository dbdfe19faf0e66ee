//! What the log makes of itself here: the tree, the sessions, and the watchers who are told.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::sync::ShardedLockReadGuard;
use parking_lot::Mutex;

use super::content::{Content, Meta};
use super::tree_lock::TreeLock;
use crate::codec;
use crate::entry::{Config, Entry, EntryId, Payload};
use crate::event::{Action, Change};
use crate::key::Key;
use crate::node::Node;
use crate::session::{Admission, Sessions};
use crate::tree::{Command, Effect, Refused, Tree};
use crate::types::{Index, Timestamp};
#[cfg(all(feature = "cluster", feature = "http"))]
use crate::watch::Past;
#[cfg(feature = "cluster")]
use crate::watch::WatchStats;
use crate::watch::{History, Hub, Laggards, Watch, WatchRequest};

/// Readers get their turn after so many entries.
const ENTRIES_PER_LOCK: usize = 64;

/// And after so many small steps of looking at timers, or of letting go what is due.
const STEPS_PER_LOCK: usize = 256;

/// The tree and the watchers: what other threads may read and watch while the replica goes on.
///
/// The tree's lock and the hub's are never held together.
pub struct State {
    tree: TreeLock,
    hub: Arc<Hub>,
    /// How many nodes have expired.
    expired: AtomicU64,
    /// Whom [`State::serve_watchers`] serves, once it has begun.
    laggards: Mutex<Option<Laggards>>,
}

impl State {
    pub(super) fn new(tree: Tree, history: History) -> Self {
        Self {
            tree: TreeLock::new(tree),
            hub: Hub::new(history),
            expired: AtomicU64::new(0),
            laggards: Mutex::new(None),
        }
    }

    /// The tree, to read.
    ///
    /// # Panics
    ///
    /// When a command panicked in it.
    pub fn tree(&self) -> ShardedLockReadGuard<'_, Tree> {
        self.tree.read()
    }

    /// Begins a watch of `key` from `since` on, for which up to `capacity` events wait.
    ///
    /// Somebody has to serve those who fall behind: [`State::serve_watchers`], or a thread of the owner's.
    pub fn watch(&self, key: Key, recursive: bool, since: Option<Index>, capacity: usize) -> Watch {
        let request = WatchRequest { recursive, since, capacity, ..WatchRequest::new(key) };
        let (watch, _) = self.hub.watch(request);
        watch
    }

    /// Begins the watch that is asked for; see [`State::run_catch_up`].
    #[cfg(feature = "cluster")]
    pub(crate) fn begin_watch(&self, request: WatchRequest) -> Watch {
        // Whoever runs the catch-up looks for laggards by itself.
        let (watch, _) = self.hub.watch(request);
        watch
    }

    /// Serves watchers that fall behind, on a thread of the owner's, until the state is closed.
    #[cfg(feature = "cluster")]
    pub(crate) fn run_catch_up(&self) {
        self.hub.run_catch_up(&|key| self.content(key));
    }

    /// Ends all watches, once they have been told everything.
    #[cfg(feature = "cluster")]
    pub(crate) fn close(&self) {
        self.hub.close();
    }

    /// How the watches are.
    #[cfg(feature = "cluster")]
    pub(crate) fn watch_stats(&self) -> WatchStats {
        self.hub.stats()
    }

    /// How many nodes have expired since the state is here.
    #[cfg(all(feature = "cluster", feature = "http"))]
    pub(crate) fn expired(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    /// What history keeps from `index` on, no more than `count` changes of it.
    #[cfg(all(feature = "cluster", feature = "http"))]
    pub(crate) fn past(&self, index: Index, count: usize) -> Past {
        self.hub.past(index, count)
    }

    /// Gives watchers that fell behind what they have room for: for an owner that has no thread for it.
    pub fn serve_watchers(&self) {
        let mut laggards = self.laggards.lock();
        if laggards.is_none() {
            *laggards = self.hub.laggards();
        }
        if let Some(laggards) = &mut *laggards {
            laggards.turn(&self.hub, &|key| self.content(key));
        }
    }

    /// Whether a key's time is up at `now`, in log time. Far deadlines are looked at more closely on the way.
    pub fn is_anything_due(&self, now: Timestamp) -> bool {
        if self.tree().next_wake().is_none_or(|wake| wake > now) {
            return false;
        }
        while self.tree.write_again().refine_timers(now, STEPS_PER_LOCK) {}
        self.tree().next_wake().is_some_and(|wake| wake <= now)
    }

    fn content(&self, key: &Key) -> (Index, Option<Node>) {
        let tree = self.tree();
        (tree.index(), tree.get(key).ok().cloned())
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.hub.close();
    }
}

/// What applying goes on from; the tree itself is in [`State`].
pub(super) struct Replicated {
    pub(super) sessions: Sessions,
    /// Who the members are, as of `applied`.
    pub(super) config: Config,
    pub(super) applied: EntryId,
    /// The time of the newest entry applied.
    pub(super) time: Timestamp,
    /// Kept empty between batches, for their memory.
    effects: Vec<Effect>,
}

/// What came of one entry that somebody may wait for.
pub(super) struct Outcome {
    /// Its position among those that were applied together.
    pub(super) entry: usize,
    /// What it changed; `None` when it was skipped, because it had been applied before.
    pub(super) result: Option<Result<Vec<Arc<Change>>, Refused>>,
}

impl Replicated {
    pub(super) fn new(sessions: Sessions, config: Config, applied: EntryId, time: Timestamp) -> Self {
        Self { sessions, config, applied, time, effects: Vec::new() }
    }

    /// Runs committed entries and tells watchers. What somebody may wait for, as `waits` says, is in the outcomes.
    ///
    /// # Errors
    ///
    /// The entry that holds no command: nobody of this version can have proposed it.
    pub(super) fn apply(
        &mut self,
        state: &State,
        entries: &[Entry],
        waits: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<Outcome>, EntryId> {
        let mut outcomes = Vec::new();
        let mut ran: Vec<(usize, Result<Range<usize>, Refused>)> = Vec::new();
        for (batch, entries) in entries.chunks(ENTRIES_PER_LOCK).enumerate() {
            let mut tree = if batch == 0 { state.tree.write() } else { state.tree.write_again() };
            for (place, entry) in entries.iter().enumerate() {
                let place = batch * ENTRIES_PER_LOCK + place;
                let Some(command) = self.admit(entry)? else {
                    if waits(entry) {
                        outcomes.push(Outcome { entry: place, result: None });
                    }
                    continue;
                };
                // Much may be due before it: others look at the tree and are told in between.
                while tree.expire_due(entry.time, STEPS_PER_LOCK, &mut self.effects) {
                    drop(tree);
                    self.tell(state, &mut ran, &mut outcomes);
                    tree = state.tree.write_again();
                }
                let result = tree.apply(entry.time, command, &mut self.effects);
                if waits(entry) {
                    ran.push((place, result.map(|own| own..self.effects.len())));
                }
            }
            drop(tree);
            self.tell(state, &mut ran, &mut outcomes);
        }
        Ok(outcomes)
    }

    /// Tells watchers what has happened since the last call, then those who wait.
    fn tell(
        &mut self,
        state: &State,
        ran: &mut Vec<(usize, Result<Range<usize>, Refused>)>,
        outcomes: &mut Vec<Outcome>,
    ) {
        for effect in &self.effects {
            if effect.change.action == Action::Expire {
                state.expired.fetch_add(1, Ordering::Relaxed);
            }
            // Whoever serves laggards looks for them by itself.
            let _ = state.hub.publish(&effect.change, effect.removed.as_ref());
        }
        for (entry, result) in ran.drain(..) {
            let changes = |own: Range<usize>| self.effects[own].iter().map(|one| Arc::clone(&one.change));
            outcomes.push(Outcome { entry, result: Some(result.map(|own| changes(own).collect())) });
        }
        self.effects.clear();
    }

    /// What one entry asks of the tree; `None` when it is no command, or one that is skipped.
    fn admit(&mut self, entry: &Entry) -> Result<Option<Command>, EntryId> {
        assert!(entry.id.index == self.applied.index.next(), "entries are applied one after the other");
        self.applied = entry.id;
        self.time = entry.time;
        match &entry.payload {
            Payload::Noop => Ok(None),
            Payload::Config(config) => {
                self.sessions.follow(config);
                self.config = (**config).clone();
                Ok(None)
            }
            Payload::Command(bytes) => {
                if self.sessions.admit(entry.session) != Admission::Fresh {
                    return Ok(None);
                }
                codec::decode(bytes).map(Some).map_err(|_| entry.id)
            }
        }
    }

    /// What is there now, to be saved.
    pub(super) fn capture(&self, state: &State) -> Content {
        let tree = state.tree();
        let meta = Meta { index: tree.index(), time: self.time };
        let (root, files) = (tree.root().clone(), tree.file_count());
        drop(tree);
        Content { meta, root, files, history: state.hub.history(), sessions: self.sessions.clone() }
    }

    /// Puts what a snapshot holds in the place of everything.
    pub(super) fn replace(&mut self, state: &State, with: Self, tree: Tree, history: History) {
        *state.tree.write() = tree;
        let _ = state.hub.replace_history(history);
        *self = with;
    }
}
