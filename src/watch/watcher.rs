//! One watcher: what was sent to it, and what comes next.

use std::sync::Arc;
use std::task::Waker;

use crossbeam_channel::{Sender, TrySendError};

use super::bell::Ringer;
use super::filter::Filter;
use super::history::History;
use crate::event::{Change, Event};
use crate::types::Index;

/// How many changes of the history are looked at in one go, with the hub locked. The whole of a history of
/// the default size; a larger one is gone through in pieces, so that no writer waits for long.
const SCAN_MAX: usize = 1_024;

/// Who a watcher is. Never used twice within a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WatcherId(pub(super) u64);

/// The hub's end of a watch.
#[derive(Debug)]
pub(super) struct Watcher {
    /// Who it is.
    pub(super) id: WatcherId,
    /// What it wants to see.
    pub(super) filter: Filter,
    /// Everything that matches and is before this index has been sent; nothing from it on has.
    pub(super) next: Index,
    /// Whether the channel was full, so that the catch-up sends what is next, and not the writer.
    pub(super) lagging: bool,
    /// To the subscriber. Dropping it, and all its clones, ends the stream.
    pub(super) sender: Sender<Event>,
    /// Wakes the subscriber where it is a task.
    pub(super) ringer: Ringer,
    /// Whether it ever was one. Most are not, and looking at the bell of each would cost more than all else that is done
    /// for it.
    pub(super) is_polled: bool,
}

/// How far a watcher came when it was moved forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It has everything; the writer may send to it again.
    Live,
    /// Its channel has no room.
    Full,
    /// There is more to look at.
    More,
    /// There is room, but from `next` on to before `kept_from` changes are no longer kept.
    Missed { next: Index, kept_from: Index },
}

impl Watcher {
    /// Sends `change`, which matches, unless it was passed over or sent already. Returns whether that went
    /// well; the watcher lags otherwise, and what was to be sent is what is next. Whoever is to be woken is added to
    /// `wakers`.
    pub(super) fn offer(&mut self, change: &Arc<Change>, wakers: &mut Vec<Waker>) -> bool {
        if self.lagging || change.index() < self.next {
            return true;
        }
        self.next = change.index();
        self.lagging = !self.send(Event::Change(Arc::clone(change)), wakers);
        !self.lagging
    }

    /// Sends what history has from `next` on, as far as there is room.
    pub(super) fn advance(&mut self, history: &History, wakers: &mut Vec<Waker>) -> Progress {
        let progress = self.read(history, wakers);
        self.lagging = progress != Progress::Live;
        progress
    }

    fn read(&mut self, history: &History, wakers: &mut Vec<Waker>) -> Progress {
        let (next, kept_from) = (self.next, history.first_index());
        if next < kept_from {
            return if self.sender.is_full() { Progress::Full } else { Progress::Missed { next, kept_from } };
        }
        for change in history.from(self.next).take(SCAN_MAX) {
            self.next = change.index();
            if self.filter.matches(change) && !self.send(Event::Change(Arc::clone(change)), wakers) {
                return Progress::Full;
            }
            self.next = change.index().next();
        }
        if self.next <= history.last_index() { Progress::More } else { Progress::Live }
    }

    /// Sends `event` and moves on past its index. Returns whether there was room.
    pub(super) fn send(&mut self, event: Event, wakers: &mut Vec<Waker>) -> bool {
        let next = event.index().next();
        match self.sender.try_send(event) {
            Err(TrySendError::Full(_)) => false,
            // Nobody receives any more: the watch is being dropped, and what is sent goes nowhere.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {
                self.next = next;
                if self.is_polled {
                    wakers.extend(self.ringer.take());
                }
                true
            }
        }
    }
}
