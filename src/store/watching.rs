//! How watches are begun.

use super::{Store, parse};
use crate::error::Error;
use crate::types::Index;
use crate::watch::{Watch, WatchRequest};

/// The largest buffer of a watch, in events.
const BUFFER_MAX: usize = 1 << 16;

/// A watch to be, from [`Store::watch`]: say what, then [`start`](WatchBuilder::start) it.
///
/// ```
/// use spinney::Event;
///
/// let store = spinney::Store::in_memory();
/// let seen = store.set("/foo/a", "1")?.index();
/// let watch = store.watch("/foo").recursive().since(seen.next()).start()?;
/// store.set("/foo/b", "2")?;
/// match watch.recv() {
///     Ok(Event::Change(change)) => assert_eq!(change.key(), "/foo/b"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), spinney::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is watched until it is started"]
pub struct WatchBuilder<'a> {
    store: &'a Store,
    request: Result<WatchRequest, Error>,
}

impl<'a> WatchBuilder<'a> {
    pub(super) fn new(store: &'a Store, key: &str) -> Self {
        Self { store, request: parse(key).map(WatchRequest::new) }
    }

    fn say(mut self, say: impl FnOnce(&mut WatchRequest)) -> Self {
        if let Ok(request) = &mut self.request {
            say(request);
        }
        self
    }

    /// Everything below the key too, hidden nodes left out.
    pub fn recursive(self) -> Self {
        self.say(|request| request.recursive = true)
    }

    /// Hidden nodes as well: those with a name on the way from the key that begins with `_`.
    pub fn hidden(self) -> Self {
        self.say(|request| request.hidden = true)
    }

    /// From this index on, which may lie in the past: what history keeps is told first, and if it does not reach
    /// back so far, a [`Resync`](crate::Resync) comes instead of what is lost. Without it, from now on.
    pub fn since(self, index: impl Into<Index>) -> Self {
        let index = index.into();
        self.say(|request| request.since = Some(index))
    }

    /// How many events wait for the watcher at most before it falls behind: by default 128, at least 1 and at most
    /// 65,536, with memory for all of them taken at once. Falling behind costs nobody anything and loses nothing that
    /// history keeps.
    pub fn buffer(self, events: usize) -> Self {
        self.say(|request| request.capacity = events.clamp(1, BUFFER_MAX))
    }

    /// Begins to watch.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidKey`] for the key.
    pub fn start(self) -> Result<Watch, Error> {
        Ok(self.store.member().watch(self.request?))
    }
}
