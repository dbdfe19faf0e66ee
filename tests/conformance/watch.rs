//! Who is told of a change, as etcd v2 has it: every rule spelled out naively, over every watcher and event.

use std::collections::VecDeque;
use std::sync::Arc;

use spinney::internals::tree::Effect;
use spinney::{Action, Change, Index, Key};

use super::request::Asking;

/// How many changes are kept.
const HISTORY_MAX: usize = 1000;

/// The newest changes, oldest first: all keys together, hidden ones and refreshes included.
#[derive(Default)]
pub(crate) struct History(VecDeque<Arc<Change>>);

/// A watch that was asked for, and what has come of it.
pub(crate) struct Watch {
    asking: Asking,
    /// Nothing more is coming.
    pub(crate) ended: bool,
    /// What nobody has looked at yet.
    pub(crate) events: VecDeque<Arc<Change>>,
}

impl History {
    pub(crate) fn push(&mut self, change: Arc<Change>) {
        self.0.push_back(change);
        if self.0.len() > HISTORY_MAX {
            self.0.pop_front();
        }
    }

    /// The first change that `asking` wants of those that are kept, if it asks for the past.
    ///
    /// # Errors
    ///
    /// The index that history begins at, when some of what is asked for is gone.
    fn first(&self, asking: &Asking) -> Result<Option<Arc<Change>>, Index> {
        match self.0.front().map(|oldest| oldest.index()) {
            _ if asking.since == Index::default() => Ok(None),
            Some(start) if asking.since < start => Err(start),
            _ => Ok(self.0.iter().find(|change| matches_past(change, asking)).cloned()),
        }
    }
}

impl Watch {
    /// Begins what `asking` asks for.
    ///
    /// # Errors
    ///
    /// The index that `history` begins at, when some of what is asked for is gone.
    pub(crate) fn open(asking: Asking, history: &History) -> Result<Self, Index> {
        let past = history.first(&asking)?;
        // As in v2: whoever is answered from the past gets that one event, and a stream then stays silent.
        Ok(Self { asking, ended: past.is_some(), events: past.into_iter().collect() })
    }

    /// Whether the response is complete: a stream never is.
    pub(crate) fn is_complete(&self) -> bool {
        self.ended && !self.asking.stream
    }

    /// Tells the watcher of what was just done, as often as etcd does.
    pub(crate) fn tell(&mut self, effect: &Effect) {
        if self.ended || effect.change.refresh || effect.change.index() < self.asking.since {
            return;
        }
        for _ in 0..deliveries(effect, &self.asking) {
            if !self.ended {
                self.events.push_back(effect.change.clone());
                self.ended = !self.asking.stream;
            }
        }
    }
}

fn matches_past(change: &Change, asking: &Asking) -> bool {
    let (key, watched) = (change.key(), &asking.key);
    // As in v2: for what a removed directory takes along, the text of the path decides.
    let removed_directory = matches!(change.action, Action::Delete | Action::Expire) && change.node.is_dir();
    change.index() >= asking.since
        && !change.refresh
        && (key == watched
            || asking.recursive && key.is_below(watched)
            || removed_directory && watched.as_str().starts_with(key.as_str()))
}

/// A removal reaches those who watch exactly what is removed, hidden or not, and then, as any change, those at its
/// key and the recursive ones above, unless something between is hidden.
fn deliveries(effect: &Effect, asking: &Asking) -> usize {
    let (key, watched) = (effect.change.key(), &asking.key);
    let mut gone = effect.removed.iter().flat_map(|directory| directory.descendants_with_hidden());
    let is_removed =
        effect.change.action.is_removal() && (key == watched || gone.any(|node| node.key() == watched));
    let is_seen =
        key == watched || asking.recursive && key.is_below(watched) && !is_hidden_from(key, watched);
    usize::from(is_removed) + usize::from(is_seen)
}

fn is_hidden_from(key: &Key, watched: &Key) -> bool {
    key.parts().skip(watched.parts().count()).any(|part| part.starts_with('_'))
}
