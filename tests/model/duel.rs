//! The tree against the model: the same steps on both, and everything that can be seen compared after each.

use arbitrary::Unstructured;
use spinney::internals::tree::{Effect, Loader, NodeImages, Refused, Tree};
use spinney::{Node, Timestamp};

use super::steps::{self, Step};
use super::{Content, Entry, Event, Model, No};

/// However many bytes there are, no more steps are played.
const STEPS_MAX: usize = 500;

/// What the chunks of an image begin with, for whoever mixes them with others.
const KIND: u8 = 7;

/// How often timers may have to be looked at, at most, until the first deadline is known to the millisecond.
const REFINEMENTS_MAX: usize = 20;

/// Plays the steps that `bytes` stand for.
///
/// # Panics
///
/// When the tree does not do what the model does.
pub(crate) fn play(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let (mut tree, mut model) = (Tree::new(), Model::default());
    let mut views: Vec<(Node, Content)> = Vec::new();
    for number in 1..=steps::crowd(&mut bytes).unwrap_or(0) {
        take(steps::join_crowd(number), &mut tree, &mut model);
    }
    let mut played = Played::default();
    while !bytes.is_empty() && played.0.len() < STEPS_MAX {
        let Ok(step) = steps::next(&mut bytes, &model) else { break };
        played.0.push(format!("{step:?}"));
        take(step, &mut tree, &mut model);
        compare(&tree, &model);
        // A view is held aside from time to time: nothing that follows may change it.
        if played.0.len() % 8 == 1 {
            views.push((tree.root().clone(), model.content.clone()));
        }
    }
    for (view, content) in &views {
        assert_eq!(content_of(view), *content, "a view was changed");
    }
    find_first_deadline(&mut tree, &model);
}

/// The steps so far, told when one of them panics.
#[derive(Default)]
struct Played(Vec<String>);

impl Drop for Played {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the steps were:\n{}", self.0.join("\n"));
        }
    }
}

fn take(step: Step, tree: &mut Tree, model: &mut Model) {
    match step {
        Step::Apply(time, command) => {
            let mut effects = Vec::new();
            let outcome = tree.apply(Timestamp::new(time), command.clone(), &mut effects);
            let (events, expected) = model.apply(time, command);
            assert_eq!(outcome.map_err(|refused| no(&refused)), expected);
            assert_eq!(effects.iter().map(event).collect::<Vec<_>>(), events);
        }
        Step::Refine(now) => {
            tree.refine_timers(Timestamp::new(now), usize::MAX);
        }
        Step::Reload => {
            let reloaded = reload(tree);
            assert!(reloaded.root() == tree.root());
            assert_eq!(reloaded.bytes(), tree.bytes());
            *tree = reloaded;
        }
    }
}

/// The tree that the image of `tree` is of.
fn reload(tree: &Tree) -> Tree {
    let mut loader = Loader::new();
    for chunk in NodeImages::new(tree.root(), KIND) {
        assert_eq!(chunk[0], KIND);
        loader.chunk(&chunk[1..]).expect("what was written can be read");
    }
    loader.finish(tree.index(), tree.time())
}

fn compare(tree: &Tree, model: &Model) {
    assert_eq!((tree.index().get(), tree.time().get()), (model.index, model.time));
    assert_eq!(content_of(tree.root()), model.content);
    assert!(tree.root().descendants_with_hidden().is_sorted_by(|a, b| a.key().parts().lt(b.key().parts())));
    let files = model.content.values().filter(|entry| entry.value.is_some()).count();
    let timers = model.content.values().filter(|entry| entry.deadline.is_some()).count();
    assert_eq!((tree.file_count(), tree.timer_count()), (files, timers));
    for (path, entry) in &model.content {
        assert_eq!(tree.get(path).map(self::entry).as_ref(), Ok(entry));
        for path in [format!("{path}/x"), format!("{path}/x/y"), format!("{path}x")] {
            assert_eq!(tree.get(&path).map(self::entry).map_err(|refused| no(&refused)), model.get(&path));
        }
    }
    let (wake, first) = (tree.next_wake().map(Timestamp::get), model.first_deadline());
    assert_eq!(wake.is_some(), first.is_some(), "somebody wakes exactly when something is to expire");
    assert!(wake <= first, "whoever wakes at {wake:?} misses {first:?}");
}

/// Whoever looks closer each time it wakes comes to the first deadline, and soon.
fn find_first_deadline(tree: &mut Tree, model: &Model) {
    let Some(first) = model.first_deadline() else { return };
    for _ in 0..REFINEMENTS_MAX {
        let wake = tree.next_wake().expect("something is to expire");
        assert!(wake.get() <= first);
        tree.refine_timers(wake, usize::MAX);
        if tree.next_wake() == Some(wake) {
            assert_eq!(wake.get(), first, "what wakes is due");
            return;
        }
    }
    panic!("woke {REFINEMENTS_MAX} times and is not at {first}");
}

pub(crate) fn content_of(directory: &Node) -> Content {
    directory.descendants_with_hidden().map(|node| (node.key().to_string(), entry(node))).collect()
}

pub(crate) fn entry(node: &Node) -> Entry {
    Entry {
        value: (!node.is_dir()).then(|| node.value().to_vec()),
        created: node.created().get(),
        modified: node.modified().get(),
        deadline: node.deadline().map(Timestamp::get),
    }
}

fn event(effect: &Effect) -> Event {
    let change = &effect.change;
    for shown in [Some(&change.node), change.prev_node.as_ref()].into_iter().flatten() {
        assert_eq!(shown.descendants_with_hidden().count(), 0, "events show no children");
    }
    Event {
        action: change.action.as_str(),
        path: change.key().to_string(),
        entry: entry(&change.node),
        previous: change.prev_node.as_ref().map(entry),
        time: change.time.get(),
        refresh: change.refresh,
        removed: effect.removed.as_ref().map(content_of),
    }
}

pub(crate) fn no(refused: &Refused) -> No {
    let (code, path, index) = match refused {
        Refused::KeyNotFound { key, index } => (100, key, index),
        Refused::CompareFailed { key, index, .. } => (101, key, index),
        Refused::NotAFile { key, index } => (102, key, index),
        Refused::NotADirectory { key, index } => (104, key, index),
        Refused::KeyExists { key, index } => (105, key, index),
        Refused::RootReadOnly { index } => (107, &spinney::Key::root(), index),
        Refused::DirectoryNotEmpty { key, index } => (108, key, index),
        Refused::TooDeep { .. } => panic!("no step goes as deep"),
    };
    let (mismatch, current) = match refused {
        Refused::CompareFailed { mismatch, current, .. } => (mismatch.cause(), current.as_ref().map(entry)),
        _ => (Vec::new(), None),
    };
    No { code, path: path.to_string(), index: index.get(), mismatch, current }
}
