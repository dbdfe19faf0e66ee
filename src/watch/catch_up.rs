//! The catch-up: serves the watchers whose channels were full, so that the writer never has to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use crossbeam_channel::{Receiver, Select, TryRecvError};

use super::hub::{Hub, News, State, Waiting};
use super::watcher::{Progress, WatcherId};
use crate::event::{Event, Resync};
use crate::key::Key;
use crate::node::Node;
use crate::types::Index;

/// What is at a key now, with everything below it, and the index it is of.
pub(crate) type Content<'a> = &'a dyn Fn(&Key) -> (Index, Option<Node>);

/// The lagging watchers of a hub, as whoever serves them knows them.
#[derive(Debug)]
pub(crate) struct Laggards {
    news: Receiver<News>,
    waiting: BTreeMap<WatcherId, Waiting>,
}

impl Hub {
    /// Serves all lagging watchers until the hub is closed. Returns at once when it runs already, or the hub
    /// is closed.
    ///
    /// `content` reads the tree, under the tree's lock and without the hub's, and never an older state than the
    /// last that was published.
    pub(crate) fn run_catch_up(&self, content: Content<'_>) {
        let Some(mut laggards) = self.laggards() else { return };
        loop {
            laggards.wait();
            if !laggards.turn(self, content) {
                return;
            }
        }
    }

    /// What the catch-up works through, for an owner without a thread for it; `None` when somebody has it
    /// already, or the hub is closed.
    pub(crate) fn laggards(&self) -> Option<Laggards> {
        let news = self.state.lock().news.take()?;
        Some(Laggards { news, waiting: BTreeMap::new() })
    }

    /// Gives one watcher its turn. Returns whether it goes on waiting: for room, or for its next turn.
    fn serve(&self, waiting: &Waiting, content: Content<'_>) -> bool {
        let mut wakers = Vec::new();
        let progress = self.state.lock().advance(waiting, &mut wakers);
        wakers.drain(..).for_each(Waker::wake);
        let Some(Progress::Missed { next, kept_from }) = progress else {
            return is_lagging(progress);
        };

        // The tree's lock is taken in here, the hub's is not. Meanwhile the watcher lags, so nobody else sends
        // to it, and the room that was found stays.
        let key = waiting.filter.key.clone();
        let (index, node) = content(&key);
        debug_assert!(index.next() >= kept_from, "the tree applies a change before it is published");
        let resync = Resync { key, missed_from: next, history_from: kept_from, index, node };

        let mut state = self.state.lock();
        state.resync(waiting, resync, &mut wakers);
        let progress = state.advance(waiting, &mut wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        is_lagging(progress)
    }
}

impl State {
    /// Moves a lagging watcher forward; `None` when it is gone.
    fn advance(&mut self, waiting: &Waiting, wakers: &mut Vec<Waker>) -> Option<Progress> {
        let watcher = self.watchers.get_mut(waiting.id, &waiting.filter)?;
        let progress = watcher.advance(&self.history, wakers);
        if progress == Progress::Live {
            self.lagging -= 1;
        }
        Some(progress)
    }

    /// Sends a lagging watcher what is there instead of what it missed, unless it is gone.
    fn resync(&mut self, waiting: &Waiting, resync: Resync, wakers: &mut Vec<Waker>) {
        let watcher = self.watchers.get_mut(waiting.id, &waiting.filter);
        if watcher.is_some_and(|watcher| watcher.send(Event::Resync(Arc::new(resync)), wakers)) {
            self.resyncs += 1;
        }
    }
}

/// Whether a watcher that came this far is still the catch-up's.
fn is_lagging(progress: Option<Progress>) -> bool {
    !matches!(progress, None | Some(Progress::Live))
}

impl Laggards {
    /// Serves every lagging watcher that has room; returns whether the hub is still open.
    ///
    /// `content` as in [`Hub::run_catch_up`].
    pub(crate) fn turn(&mut self, hub: &Hub, content: Content<'_>) -> bool {
        let open = self.hear();
        if open {
            self.waiting.retain(|_, watcher| watcher.sender.is_full() || hub.serve(watcher, content));
        }
        open
    }

    /// Sleeps until there is news, or room for somebody: then every watcher with room gets its turn, so that the
    /// cost of waiting on many channels is shared by all that became ready.
    fn wait(&self) {
        // The order does not matter, since all that are ready get their turn: no need to shuffle.
        let mut select = Select::new_biased();
        select.recv(&self.news);
        for watcher in self.waiting.values() {
            select.send(&watcher.sender);
        }
        select.ready();
    }

    /// Learns who waits. Returns false when the hub is closed.
    fn hear(&mut self) -> bool {
        loop {
            match self.news.try_recv() {
                Ok(News::Lagging(watcher)) => {
                    self.waiting.insert(watcher.id, watcher);
                }
                Ok(News::Gone(id)) => {
                    self.waiting.remove(&id);
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }
}
