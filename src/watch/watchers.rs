//! The watchers of a hub, found by the path of what changed.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Bound;

use super::filter::{Filter, is_hidden, removes_directory};
use super::watcher::{Watcher, WatcherId};
use crate::event::Change;
use crate::key::{self, Key};
use crate::node::Node;

/// All watchers of a hub.
///
/// A change looks up its own path and the paths above by their hashes. What is below a directory that goes
/// away is found in the order of the keys, where it is one stretch.
///
/// Invariants: `sorted` has the keys of `by_key`; no list there is empty; the watchers of a list are in the
/// order of their ids, which is that of their registration.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    by_key: HashMap<Key, AtKey>,
    sorted: BTreeSet<Key>,
    /// How many watchers there are.
    count: usize,
}

/// The watchers of one key, apart: a change further down concerns the recursive ones alone. Those that came first, and
/// are told first, often go first: that moves no others.
#[derive(Debug, Default)]
struct AtKey {
    plain: VecDeque<Watcher>,
    recursive: VecDeque<Watcher>,
}

impl AtKey {
    fn list(&mut self, recursive: bool) -> &mut VecDeque<Watcher> {
        if recursive { &mut self.recursive } else { &mut self.plain }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Watcher> {
        self.plain.iter_mut().chain(&mut self.recursive)
    }
}

impl Watchers {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Adds a watcher, whose id is greater than all before.
    pub(super) fn insert(&mut self, watcher: Watcher) {
        let key = &watcher.filter.key;
        self.sorted.insert(key.clone());
        let at_key = self.by_key.entry(key.clone()).or_default();
        at_key.list(watcher.filter.recursive).push_back(watcher);
        self.count += 1;
    }

    /// The watcher `id`, which was registered with `filter`, unless it is gone.
    pub(super) fn get_mut(&mut self, id: WatcherId, filter: &Filter) -> Option<&mut Watcher> {
        let list = self.by_key.get_mut(&filter.key)?.list(filter.recursive);
        let at = list.binary_search_by_key(&id, |watcher| watcher.id).ok()?;
        list.get_mut(at)
    }

    /// Takes out the watcher `id`, which was registered with `filter`, unless it is gone.
    pub(super) fn remove(&mut self, id: WatcherId, filter: &Filter) -> Option<Watcher> {
        let at_key = self.by_key.get_mut(&filter.key)?;
        let list = at_key.list(filter.recursive);
        let at = list.binary_search_by_key(&id, |watcher| watcher.id).ok()?;
        let watcher = list.remove(at)?;
        if at_key.plain.is_empty() && at_key.recursive.is_empty() {
            self.by_key.remove(&filter.key);
            self.sorted.remove(&filter.key);
        }
        self.count -= 1;
        Some(watcher)
    }

    /// Calls `visitor` with every watcher.
    pub(super) fn visit_all(&mut self, mut visitor: impl FnMut(&mut Watcher)) {
        for key in &self.sorted {
            self.by_key.get_mut(key).into_iter().flat_map(AtKey::all).for_each(&mut visitor);
        }
    }

    /// Calls `visitor` with every watcher that is told of `change`, once each.
    ///
    /// When the change removed a directory, `removed` is what it was, with everything below it: watchers of
    /// keys where nothing was are passed over. Without it, all below the directory are visited.
    pub(super) fn visit(
        &mut self,
        change: &Change,
        removed: Option<&Node>,
        mut visitor: impl FnMut(&mut Watcher),
    ) {
        if change.refresh || self.count == 0 {
            return;
        }
        let path = change.key().as_str();
        if let Some(at_key) = self.by_key.get_mut(path) {
            at_key.all().for_each(&mut visitor);
        }
        self.visit_above(path, &mut visitor);
        if removes_directory(change) {
            self.visit_below(path, removed, &mut visitor);
        }
    }

    /// The recursive watchers of the directories above `path`, unless it is hidden from there.
    fn visit_above(&mut self, path: &str, visitor: &mut impl FnMut(&mut Watcher)) {
        let mut hidden = false;
        let mut child = path;
        while let Some(directory) = key::parent(child) {
            hidden |= is_hidden(key::name(child));
            if let Some(at_key) = self.by_key.get_mut(directory) {
                let shown = at_key.recursive.iter_mut().filter(|watcher| !hidden || watcher.filter.hidden);
                shown.for_each(&mut *visitor);
            }
            child = directory;
        }
    }

    /// The watchers of all keys below `directory`; of those alone where something was when `removed` says so.
    fn visit_below(
        &mut self,
        directory: &str,
        removed: Option<&Node>,
        visitor: &mut impl FnMut(&mut Watcher),
    ) {
        // What is below a directory begins with its path and a slash. Between the directory and that there
        // may be others, such as `/a-b` between `/a` and `/a/b`.
        let prefix = if directory == "/" { directory.to_owned() } else { format!("{directory}/") };
        let from_prefix = self.sorted.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
        for key in from_prefix.take_while(|key| key.starts_with(&prefix)) {
            let below = &key[prefix.len()..];
            let is_gone = removed.is_none_or(|node| node.descendant(below).is_some());
            // An empty path is the root's own, which was visited as what changed.
            if is_gone && !below.is_empty() {
                self.by_key.get_mut(key).into_iter().flat_map(AtKey::all).for_each(&mut *visitor);
            }
        }
    }
}
