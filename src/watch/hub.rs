//! The hub: takes every change from the writer, and every watch from anywhere.

use std::sync::Arc;
use std::task::Waker;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use parking_lot::Mutex;

use super::bell::Ringer;
use super::filter::Filter;
use super::history::History;
use super::stream::{Registration, Watch};
use super::watcher::{Progress, Watcher, WatcherId};
use super::watchers::Watchers;
use crate::event::{Change, Event};
use crate::key::Key;
use crate::node::Node;
use crate::types::Index;

/// How many events a watch holds for its subscriber unless its request says otherwise.
pub(crate) const WATCH_CAPACITY_DEFAULT: usize = 128;

/// What to watch, and how.
#[derive(Clone, Debug)]
pub(crate) struct WatchRequest {
    /// The key to watch; nothing needs to be there.
    pub(crate) key: Key,
    /// Whether changes below the key count too.
    pub(crate) recursive: bool,
    /// Whether changes below the key count even where a part below it is hidden.
    pub(crate) hidden: bool,
    /// The first index to see; `None` for what changes from now on.
    pub(crate) since: Option<Index>,
    /// How many events wait for the subscriber at most before it lags. At least one, whatever is said here.
    pub(crate) capacity: usize,
}

impl WatchRequest {
    /// A watch of `key` alone, from now on.
    pub(crate) fn new(key: Key) -> Self {
        Self { key, recursive: false, hidden: false, since: None, capacity: WATCH_CAPACITY_DEFAULT }
    }
}

/// What the owner of a hub is to do after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum CatchUp {
    /// Nothing.
    Served,
    /// Start a thread that runs [`Hub::run_catch_up`]: somebody lags for the first time. Said once in a hub's
    /// life, and again after [`Hub::catch_up_not_started`].
    Start,
}

/// How the watches of a store are doing, from [`Status`](crate::Status).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchStats {
    /// How many watches there are.
    pub watchers: usize,
    /// How many of them have a full channel, or have yet to be told of the past.
    pub lagging: usize,
    /// How many resyncs were sent so far.
    pub resyncs: u64,
}

/// A part of history.
#[cfg(feature = "http")]
#[derive(Clone, Debug)]
pub(crate) struct Past {
    /// The oldest index that is kept; the one after the last when none is.
    pub(crate) first: Index,
    /// The newest index there was.
    pub(crate) last: Index,
    /// What was asked for, oldest first.
    pub(crate) changes: Vec<Arc<Change>>,
}

/// Tells watchers what changed. See the [module](super) for how.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(super) state: Mutex<State>,
}

/// What the lock of a hub guards.
///
/// Invariants: a watcher that does not lag has been sent everything that matches up to `history.last_index()`;
/// one that does is known to the catch-up, or on its way there in `news`.
#[derive(Debug)]
pub(super) struct State {
    /// The last changes; nothing after its last index has been sent to anybody, but in a resync.
    pub(super) history: History,
    /// Everybody there is, live and lagging.
    pub(super) watchers: Watchers,
    /// How many of them lag.
    pub(super) lagging: usize,
    /// How many resyncs were sent.
    pub(super) resyncs: u64,
    /// The id of the next watcher.
    next_id: WatcherId,
    /// To the catch-up; `None` once the hub is closed, which is how the catch-up learns of it.
    to_catch_up: Option<Sender<News>>,
    /// The other end, until the catch-up takes it.
    pub(super) news: Option<Receiver<News>>,
    /// Whether the owner was told to start the catch-up.
    asked: bool,
}

/// What the catch-up has to know. The news of one watcher come in their order: they are sent under the lock.
#[derive(Debug)]
pub(super) enum News {
    /// A watcher begins to lag.
    Lagging(Waiting),
    /// A lagging watcher is gone.
    Gone(WatcherId),
}

/// A lagging watcher, as the catch-up knows it.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Who it is.
    pub(super) id: WatcherId,
    /// What it wants to see, and where it is found.
    pub(super) filter: Filter,
    /// To wait for room with.
    pub(super) sender: Sender<Event>,
}

impl Hub {
    /// A hub without watchers that goes on after the last change of `history`.
    pub(crate) fn new(history: History) -> Arc<Self> {
        let (to_catch_up, news) = unbounded();
        Arc::new(Self {
            state: Mutex::new(State {
                history,
                watchers: Watchers::default(),
                lagging: 0,
                resyncs: 0,
                next_id: WatcherId(0),
                to_catch_up: Some(to_catch_up),
                news: Some(news),
                asked: false,
            }),
        })
    }

    /// Adds the next change to history and sends it to all it concerns. Never waits for a subscriber.
    ///
    /// The tree has applied the change already. When the change removed a directory, `removed` is what it was,
    /// with everything below it.
    ///
    /// # Panics
    ///
    /// When the index of `change` is not the one after the last.
    pub(crate) fn publish(&self, change: &Arc<Change>, removed: Option<&Node>) -> CatchUp {
        let mut state = self.state.lock();
        state.history.push(Arc::clone(change));
        let mut wakers = Vec::new();
        let State { watchers, lagging, to_catch_up, .. } = &mut *state;
        watchers.visit(change, removed, |watcher| {
            if !watcher.offer(change, &mut wakers) {
                *lagging += 1;
                hand_over(watcher, to_catch_up);
            }
        });
        let catch_up = state.ask();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        catch_up
    }

    /// Begins a watch. Whatever the moment, no change is left out and none comes twice.
    ///
    /// The watch of a closed hub has ended before it begins.
    pub(crate) fn watch(self: &Arc<Self>, request: WatchRequest) -> (Watch, CatchUp) {
        let WatchRequest { key, recursive, hidden, since, capacity } = request;
        let filter = Filter { key, recursive, hidden };
        let (sender, receiver) = bounded(capacity.max(1));
        let (ringer, bell) = Ringer::new();

        let mut state = self.state.lock();
        let id = state.next_id;
        if state.to_catch_up.is_some() {
            state.next_id = WatcherId(id.0 + 1);
            // No change has index 0, so a tree whose history begins with 1 keeps all there ever was.
            let next = since.map_or(state.history.last_index().next(), |index| index.max(Index::new(1)));
            let filter = filter.clone();
            let (lagging, is_polled) = (false, false);
            state.register(Watcher { id, filter, next, lagging, sender, ringer, is_polled });
        }
        let catch_up = state.ask();
        drop(state);
        (Watch::new(Registration::new(self, id, filter), receiver, bell), catch_up)
    }

    /// Replaces the history after the tree was replaced: by a snapshot from a peer, or by a restored copy.
    ///
    /// Watchers are told the changes that the new history has and they have not seen, and where it does not
    /// reach back far enough, a [`Resync`](Event::Resync). The tree has been replaced already.
    ///
    /// # Panics
    ///
    /// When the index would go back.
    pub(crate) fn replace_history(&self, history: History) -> CatchUp {
        let mut state = self.state.lock();
        let unseen = state.history.last_index().next();
        assert!(history.last_index().next() >= unseen, "the tree's index never goes back");
        state.history = history;
        let State { history, watchers, lagging, to_catch_up, .. } = &mut *state;
        watchers.visit_all(|watcher| {
            if !watcher.lagging && watcher.next.max(unseen) <= history.last_index() {
                watcher.next = watcher.next.max(unseen);
                watcher.lagging = true;
                *lagging += 1;
                hand_over(watcher, to_catch_up);
            }
        });
        state.ask()
    }

    /// Takes note that the owner could not start the catch-up, say for want of threads: it is asked again by
    /// what comes next.
    pub(crate) fn catch_up_not_started(&self) {
        self.state.lock().asked = false;
    }

    /// Ends all streams after what is queued in them, and the catch-up. Nothing can be watched from now on.
    ///
    /// The owner calls it when it ends itself: the thread of the catch-up holds the hub.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        let watchers = std::mem::take(&mut state.watchers);
        let channel = (state.to_catch_up.take(), state.news.take());
        state.lagging = 0;
        // Waking thousands of subscribers takes its time: nobody else has to wait for it.
        drop(state);
        drop((watchers, channel));
    }

    /// What history keeps, oldest first, for a snapshot. It costs a pointer a change.
    pub(crate) fn history(&self) -> Vec<Arc<Change>> {
        self.state.lock().history.to_vec()
    }

    /// What history keeps from `index` on, oldest first, no more than `count` changes of it.
    #[cfg(feature = "http")]
    pub(crate) fn past(&self, index: Index, count: usize) -> Past {
        let state = self.state.lock();
        let changes = state.history.from(index).take(count).cloned().collect();
        Past { first: state.history.first_index(), last: state.history.last_index(), changes }
    }

    /// How the hub is doing.
    pub(crate) fn stats(&self) -> WatchStats {
        let state = self.state.lock();
        WatchStats { watchers: state.watchers.len(), lagging: state.lagging, resyncs: state.resyncs }
    }

    /// From now on a task may wait for this watcher: what is sent from here on rings its bell.
    pub(super) fn poll(&self, id: WatcherId, filter: &Filter) {
        if let Some(watcher) = self.state.lock().watchers.get_mut(id, filter) {
            watcher.is_polled = true;
        }
    }

    /// Forgets a watcher, whose stream ends.
    pub(super) fn unregister(&self, id: WatcherId, filter: &Filter) {
        let mut state = self.state.lock();
        let watcher = state.watchers.remove(id, filter);
        if watcher.as_ref().is_some_and(|watcher| watcher.lagging) {
            state.lagging -= 1;
            // Its channel may stay as full as it is, and would never tell the catch-up.
            tell(&state.to_catch_up, News::Gone(id));
        }
        drop(state);
        drop(watcher);
    }
}

impl State {
    /// Adds a watcher, telling it first what it wants of the past and has room for.
    fn register(&mut self, mut watcher: Watcher) {
        // Nobody has had a chance to wait for it yet.
        if watcher.advance(&self.history, &mut Vec::new()) != Progress::Live {
            self.lagging += 1;
            hand_over(&watcher, &self.to_catch_up);
        }
        self.watchers.insert(watcher);
    }

    /// Whether the owner is to start the catch-up now.
    fn ask(&mut self) -> CatchUp {
        if self.lagging == 0 || self.asked {
            return CatchUp::Served;
        }
        self.asked = true;
        CatchUp::Start
    }
}

/// Hands `watcher`, which begins to lag, to the catch-up.
fn hand_over(watcher: &Watcher, to_catch_up: &Option<Sender<News>>) {
    let Watcher { id, filter, sender, .. } = watcher;
    let waiting = Waiting { id: *id, filter: filter.clone(), sender: sender.clone() };
    tell(to_catch_up, News::Lagging(waiting));
}

fn tell(to_catch_up: &Option<Sender<News>>, news: News) {
    if let Some(to_catch_up) = to_catch_up {
        // Nobody receives it when the catch-up has ended, and with it everything else here.
        let _ = to_catch_up.send(news);
    }
}
