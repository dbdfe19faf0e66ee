//! Who is told: the hub against a plain reading of the rules.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::event::Change;
use crate::watch::filter::Filter;
use crate::watch::testing::{directory, refresh, remove, remove_directory};

#[test]
fn tells_its_path_and_the_recursive_ones_above() {
    let hub = hub(10);
    let told = [watch("/a/b"), recursive("/a/b"), recursive("/a"), recursive("/")];
    let not_told = [watch("/a"), watch("/"), watch("/a/b/c"), recursive("/a/b/c"), recursive("/a/bc")];
    let told = told.map(|request| begin(&hub, request));
    let not_told = not_told.map(|request| begin(&hub, request));

    assert_eq!(publish(&hub, "/a/b", 1), CatchUp::Served);
    assert!(told.iter().all(|watch| queued(watch) == [1]));
    assert!(not_told.iter().all(|watch| queued(watch).is_empty()));
}

#[test]
fn a_removed_directory_is_told_to_those_below_where_something_was() {
    let hub = hub(10);
    let there = [recursive("/"), watch("/a"), watch("/a/b"), recursive("/a/b"), watch("/a/b/_c")];
    let not_there =
        [watch("/"), watch("/a/x"), recursive("/a/x"), watch("/a-b"), watch("/ab"), watch("/a/b/_c/d")];
    let there = there.map(|request| begin(&hub, request));
    let not_there = not_there.map(|request| begin(&hub, request));

    let paths = ["/a/b/_c".to_owned(), "/ab".to_owned(), "/a-b".to_owned()];
    let removed = tree_of("/a", &BTreeSet::from(paths));
    let _ = hub.publish(&remove_directory("/a", 1), Some(&removed));
    for watch in &there {
        assert_eq!(queued(watch), [1], "{watch:?}");
    }
    for watch in &not_there {
        assert!(queued(watch).is_empty(), "{watch:?}");
    }

    let from_history = begin(&hub, since(1, watch("/a/x")));
    assert_eq!(queued(&from_history), [1], "what was there is no longer known");
}

/// The directory at `path` as it was when the files `paths` were in the tree.
fn tree_of(path: &str, paths: &BTreeSet<String>) -> Node {
    let prefix = format!("{path}/");
    let children: BTreeSet<&str> =
        paths.iter().filter_map(|file| file.strip_prefix(&prefix)?.split('/').next()).collect();
    let mut node = directory(path, 0);
    for name in children {
        let below = format!("{prefix}{name}");
        let child = if paths.contains(&below) { file(&below, 0) } else { tree_of(&below, paths) };
        if let crate::node::Content::Directory(children) = &mut node.make_mut().content {
            children.insert(child);
        }
    }
    node
}

/// Whether `filter` is told of `change`, by the rules as they are written down.
fn is_told(filter: &Filter, change: &Change, was_there: impl Fn(&str) -> bool) -> bool {
    let watched: Vec<&str> = filter.key.parts().collect();
    let changed: Vec<&str> = change.key().parts().collect();
    if change.refresh {
        return false;
    }
    if watched == changed {
        return true;
    }
    if let Some(below) = changed.strip_prefix(watched.as_slice()) {
        return filter.recursive && (filter.hidden || below.iter().all(|part| !part.starts_with('_')));
    }
    let removes_directory = change.action.is_removal() && change.prev_node.as_ref().is_some_and(Node::is_dir);
    removes_directory && watched.starts_with(&changed) && was_there(&filter.key)
}

#[derive(Clone, Debug)]
enum Step {
    Set(String),
    Refresh(String),
    /// Removes what is there, file or directory.
    Remove(String),
    Watch {
        filter: Filter,
        since: Option<u64>,
    },
}

fn paths() -> impl Strategy<Value = String> {
    // `-` sorts before the slash: `/a-` comes between `/a` and `/a/a`.
    prop::collection::vec(select(vec!["a", "a-", "ab", "_h"]), 1..4)
        .prop_map(|parts| format!("/{}", parts.join("/")))
}

fn steps() -> impl Strategy<Value = Step> {
    let watched = prop_oneof![9 => paths(), 1 => Just("/".to_owned())];
    let watch = (watched, any::<bool>(), any::<bool>(), prop::option::of(0_u64..40)).prop_map(
        |(path, recursive, hidden, since)| Step::Watch {
            filter: Filter { recursive, hidden, ..filter(&path) },
            since,
        },
    );
    prop_oneof![
        4 => paths().prop_map(Step::Set),
        1 => paths().prop_map(Step::Refresh),
        3 => paths().prop_map(Step::Remove),
        4 => watch,
    ]
}

/// A tree of files that is just enough to know what is there.
#[derive(Default)]
struct Files {
    paths: BTreeSet<String>,
    index: u64,
}

impl Files {
    fn contains(&self, path: &str) -> bool {
        self.paths.contains(path) || self.is_dir(path)
    }

    fn is_dir(&self, path: &str) -> bool {
        let prefix = format!("{path}/");
        self.paths.iter().any(|file| file.starts_with(&prefix))
    }

    /// What `step` does, and the directory it removes; nothing when a tree would refuse it.
    fn apply(&mut self, step: &Step) -> Option<(Arc<Change>, Option<Node>)> {
        let next = self.index + 1;
        let done = match step {
            Step::Set(path) => {
                let above = path.match_indices('/').map(|(slash, _)| &path[..slash]);
                let is_refused = self.is_dir(path) || above.into_iter().any(|path| self.paths.contains(path));
                (!is_refused).then(|| (set(path, next), None))
            }
            Step::Refresh(path) => self.paths.contains(path).then(|| (refresh(path, next), None)),
            Step::Remove(path) if self.is_dir(path) => {
                Some((remove_directory(path, next), Some(tree_of(path, &self.paths))))
            }
            Step::Remove(path) => self.paths.contains(path).then(|| (remove(path, next), None)),
            Step::Watch { .. } => None,
        };
        if done.is_some() {
            self.index = next;
        }
        done
    }

    /// Brings the paths up to date, once everybody has been asked what was there before.
    fn settle(&mut self, step: &Step) {
        match step {
            Step::Set(path) => {
                self.paths.insert(path.clone());
            }
            Step::Remove(path) => {
                let prefix = format!("{path}/");
                self.paths.retain(|file| file != path && !file.starts_with(&prefix));
            }
            Step::Refresh(_) | Step::Watch { .. } => {}
        }
    }
}

proptest! {
    /// Every watch gets exactly what the rules give it, whether it comes from history or live.
    #[test]
    fn tells_whom_the_rules_name(steps in prop::collection::vec(steps(), 1..60)) {
        let hub = hub(1_000);
        let mut files = Files::default();
        let mut changes: Vec<Arc<Change>> = Vec::new();
        let mut watches: Vec<(Watch, Filter, u64, Vec<u64>)> = Vec::new();

        for step in &steps {
            if let Step::Watch { filter, since } = step {
                let request = WatchRequest {
                    key: filter.key.clone(),
                    recursive: filter.recursive,
                    hidden: filter.hidden,
                    since: since.map(Index::new),
                    capacity: 100,
                };
                let from = since.unwrap_or(files.index + 1);
                let kept = changes.iter().filter(|change| change.index().get() >= from);
                let told = kept.filter(|change| is_told(filter, change, |_| true));
                let wanted = told.map(|change| change.index().get()).collect();
                watches.push((begin(&hub, request), filter.clone(), from, wanted));
            }
            if let Some((change, removed)) = files.apply(step) {
                let _ = hub.publish(&change, removed.as_ref());
                for (_, filter, from, wanted) in &mut watches {
                    if files.index >= *from && is_told(filter, &change, |path| files.contains(path)) {
                        wanted.push(files.index);
                    }
                }
                changes.push(change);
                files.settle(step);
            }
        }
        for (watch, filter, from, wanted) in &watches {
            prop_assert_eq!(&queued(watch), wanted, "{:?} from {}", filter, from);
        }
        prop_assert_eq!(hub.stats().lagging, 0);
    }
}
