//! What the log makes of itself here: the tree, the sessions, and the watchers who are told.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
#[cfg(feature = "http")]
use std::sync::atomic::Ordering;

use crossbeam_utils::sync::ShardedLockReadGuard;
use parking_lot::Mutex;

use super::content::{Content, Meta};
use super::run::{Audience, Run, STEPS_PER_LOCK, Task};
use super::tree_lock::TreeLock;
use crate::codec;
use crate::entry::{Config, Entry, EntryId, Payload};
use crate::event::Change;
use crate::key::Key;
use crate::node::Node;
use crate::session::{Admission, Sessions};
use crate::tree::{Command, Effect, Refused, Tree};
use crate::types::{Index, Timestamp};
#[cfg(feature = "http")]
use crate::watch::Past;
use crate::watch::{CatchUp, History, Hub, Laggards, Watch, WatchRequest, WatchStats};

/// The tree and the watchers: what other threads may read and watch while the replica goes on.
///
/// The tree's lock and the hub's are never held together.
pub struct State {
    pub(super) tree: TreeLock,
    pub(super) hub: Arc<Hub>,
    /// How many nodes have expired.
    pub(super) expired: AtomicU64,
    /// Whom [`State::serve_watchers`] serves, once it has begun.
    laggards: Mutex<Option<Laggards>>,
}

impl State {
    pub(crate) fn new(tree: Tree, history: History) -> Self {
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

    /// Begins the watch that is asked for, and says whether it wants [`State::run_catch_up`], should that not run.
    pub(crate) fn begin_watch(&self, request: WatchRequest) -> (Watch, CatchUp) {
        self.hub.watch(request)
    }

    /// Serves watchers that fall behind, on a thread of the owner's, until the state is closed.
    pub(crate) fn run_catch_up(&self) {
        self.hub.run_catch_up(&|key| self.content(key));
    }

    /// There is no thread for [`State::run_catch_up`] now: it is asked for again.
    pub(crate) fn catch_up_not_started(&self) {
        self.hub.catch_up_not_started();
    }

    /// Ends all watches, once they have been told everything.
    pub(crate) fn close(&self) {
        self.hub.close();
    }

    /// How the watches are.
    pub(crate) fn watch_stats(&self) -> WatchStats {
        self.hub.stats()
    }

    /// How many nodes have expired since the state is here.
    #[cfg(feature = "http")]
    pub(crate) fn expired(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    /// What history keeps from `index` on, no more than `count` changes of it.
    #[cfg(feature = "http")]
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

    /// Everything as it is now, to be saved; no change may be half-way told. Its time is at least `time`.
    pub(crate) fn capture(&self, sessions: Sessions, time: Timestamp) -> Content {
        let tree = self.tree();
        let meta = Meta { index: tree.index(), time: tree.time().max(time) };
        let (root, files) = (tree.root().clone(), tree.file_count());
        drop(tree);
        Content { meta, root, files, history: self.hub.history(), sessions }
    }

    /// What is at `key`, and the index it is of.
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
    run: Run<Option<usize>>,
}

/// What came of one entry that somebody may wait for.
pub(super) struct Outcome {
    /// Its position among those that were applied together.
    pub(super) entry: usize,
    /// What it changed.
    pub(super) result: Result<Vec<Arc<Change>>, Refused>,
}

impl Audience<Option<usize>> for Vec<Outcome> {
    fn done(&mut self, entry: Option<usize>, result: Result<&[Effect], Refused>) {
        let changes = |own: &[Effect]| own.iter().map(|one| Arc::clone(&one.change)).collect();
        self.extend(entry.map(|entry| Outcome { entry, result: result.map(changes) }));
    }
}

impl Replicated {
    pub(super) fn new(sessions: Sessions, config: Config, applied: EntryId, time: Timestamp) -> Self {
        Self { sessions, config, applied, time, run: Run::default() }
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
        let (mut outcomes, mut failed) = (Vec::new(), None);
        let mut run = std::mem::take(&mut self.run);
        let tasks = entries.iter().enumerate().map_while(|(place, entry)| match self.admit(entry) {
            Ok(command) => Some(command.map(|command| {
                let waits = waits(entry).then_some(place);
                Task { time: entry.time, command, waits }
            })),
            Err(entry) => {
                failed = Some(entry);
                None
            }
        });
        run.all(state, tasks.flatten(), &mut outcomes);
        self.run = run;
        failed.map_or(Ok(outcomes), Err)
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
        state.capture(self.sessions.clone(), self.time)
    }

    /// Puts what a snapshot holds in the place of everything.
    pub(super) fn replace(&mut self, state: &State, with: Self, tree: Tree, history: History) {
        *state.tree.write() = tree;
        let _ = state.hub.replace_history(history);
        *self = with;
    }
}
