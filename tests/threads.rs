//! Many at once: writers of every kind, readers, and watchers that keep up, fall behind, or are called back.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use spinney::{Change, Durability, Error, Event, Index, Store, Watch};
use support::{Random, directory, is_alone, patiently, small};

const WRITERS: u64 = 4;
const WRITES: u64 = 400;

/// What a watcher was told, put together to what it knows of the tree.
#[derive(Default)]
struct Follower {
    /// The index of what it was told last.
    seen: Index,
    values: BTreeMap<String, String>,
    changes: Vec<Arc<Change>>,
    resyncs: usize,
}

impl Follower {
    fn follow(&mut self, event: Event) {
        assert!(event.index() > self.seen, "{event:?} after {}", self.seen);
        match event {
            Event::Change(change) => {
                // Everything matches a watch of all: a missing index is a missing event.
                assert_eq!(change.index(), self.seen.next(), "a gap, and nobody said so");
                let key = change.key().to_string();
                match change.node.text() {
                    _ if change.action.is_removal() => drop(self.values.remove(&key)),
                    Some(text) => drop(self.values.insert(key, text.to_owned())),
                    None => {}
                }
                self.changes.push(change);
            }
            Event::Resync(resync) => {
                assert_eq!(resync.missed_from, self.seen.next(), "it says what was missed");
                assert!(resync.history_from > resync.missed_from, "nothing was lost");
                let root = resync.node.as_ref().unwrap();
                self.values = texts(root.descendants_with_hidden());
                self.seen = resync.index;
                self.resyncs += 1;
                return;
            }
            other => panic!("{other:?}"),
        }
        self.seen = self.seen.next();
    }

    /// Follows a watch up to `end`, taking `pause` between two events.
    fn run(mut self, watch: &Watch, end: impl Fn() -> Option<Index>, pause: Duration) -> Self {
        while end().is_none_or(|end| self.seen < end) {
            if let Ok(event) = watch.recv_timeout(Duration::from_millis(20)) {
                self.follow(event);
                if !pause.is_zero() {
                    thread::sleep(pause);
                }
            }
        }
        self
    }
}

fn texts<'a>(nodes: impl Iterator<Item = &'a spinney::Node>) -> BTreeMap<String, String> {
    nodes.filter_map(|node| Some((node.key().to_string(), node.text()?.to_owned()))).collect()
}

/// Adds one to a counter that others write too.
fn increment(store: &Store, key: &str) -> Index {
    loop {
        let node = store.get(key).unwrap();
        let next = node.parse::<u64>().unwrap() + 1;
        match store.put(key).value(next).if_index(node.modified()).send() {
            Ok(change) => return change.index(),
            Err(Error::CompareFailed { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// A writer's life: in its own directory each value is one more than the one before.
fn write(store: &Store, writer: u64) {
    let mut random = Random(writer);
    let own = format!("/own/{writer}");
    let watch = store.watch(&own).buffer(4 * WRITES as usize).start().unwrap();
    let mut submitted = Vec::new();
    for n in 0..WRITES {
        match random.below(4) {
            0 => {
                let index = store.set(&own, n).unwrap().index();
                assert_eq!(store.get(&own).unwrap().parse(), Some(n), "a write that returned is seen");
                assert!(store.index() >= index);
                let last = watch.try_iter().last().expect("its event is in the channel");
                assert_eq!(last.index(), index);
            }
            1 => {
                submitted.push(store.put(&own).value(n).submit());
            }
            2 => {
                submitted.push(store.put(&own).value(n).submit());
                increment(store, "/counter");
            }
            _ => {
                let txn = store.txn().set(&own, n).set("/pair/a", n).set("/pair/b", n);
                let changes = txn.commit().unwrap();
                assert!(changes.iter().map(|change| change.index().get()).is_sorted_by(|a, b| a + 1 == *b));
                store.set(format!("/gone/{writer}"), n).unwrap();
                store.delete(format!("/gone/{writer}")).unwrap();
            }
        }
    }
    let indexes: Vec<_> = submitted.into_iter().map(|write| write.wait().unwrap().index()).collect();
    assert!(indexes.is_sorted_by(|a, b| a < b), "submitted in order, done in order");
}

/// A reader's life: nothing ever goes back, and a view is of one moment.
fn read(store: &Store, done: &AtomicBool) -> u64 {
    let mut seen = BTreeMap::new();
    let mut index = Index::default();
    let mut reads = 0;
    let number = |node: spinney::Node| node.parse::<u64>().unwrap();
    while !done.load(Ordering::SeqCst) {
        let keys = (0..WRITERS).map(|writer| format!("/own/{writer}")).chain(["/counter".to_owned()]);
        for key in keys {
            let Ok(node) = store.get(&key) else { continue };
            let before =
                seen.insert(key, node.clone()).map(|node: spinney::Node| (node.modified(), number(node)));
            assert!(
                before.is_none_or(|before| before <= (node.modified(), number(node.clone()))),
                "{before:?}, then {node:?}"
            );
            reads += 1;
        }
        assert!(store.index() >= index);
        let view = store.view();
        index = view.index();
        assert!(view.root().descendants_with_hidden().all(|node| node.modified() <= index));
        assert_eq!(view.get("/pair/a").ok().map(number), view.get("/pair/b").ok().map(number));
    }
    reads
}

fn attack(store: &Store) {
    store.set("/counter", 0).unwrap();
    let done = AtomicBool::new(false);
    let end = Mutex::new(None);
    let until = || *end.lock().unwrap();
    let watch_all = || store.watch("/").recursive().hidden().since(1);
    let called = Arc::new(Mutex::new(Follower::default()));
    let subscription = {
        let called = Arc::clone(&called);
        watch_all().start().unwrap().on_event(move |event| called.lock().unwrap().follow(event)).unwrap()
    };
    let (followers, slow) = thread::scope(|scope| {
        let quick = [watch_all().buffer(100_000), watch_all().buffer(3)];
        let quick: Vec<_> = quick
            .into_iter()
            .map(|watch| {
                let watch = watch.start().unwrap();
                scope.spawn(move || Follower::default().run(&watch, until, Duration::ZERO))
            })
            .collect();
        let watch = watch_all().buffer(1).start().unwrap();
        let slow = scope.spawn(move || Follower::default().run(&watch, until, Duration::from_millis(30)));
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| read(store, &done))).collect();
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write(store, writer))).collect();
        // Watches come and go meanwhile.
        let passers = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let watch = store.watch("/own").recursive().buffer(1).start().unwrap();
                let _ = watch.recv_timeout(Duration::from_millis(5));
            }
        });
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        done.store(true, Ordering::SeqCst);
        *end.lock().unwrap() = Some(store.index());
        ended.into_iter().for_each(|writer| writer.unwrap());
        passers.join().unwrap();
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 100));
        (quick.into_iter().map(|quick| quick.join().unwrap()).collect::<Vec<_>>(), slow.join().unwrap())
    });
    support::wait_until("the last call back", || called.lock().unwrap().seen == store.index());
    drop(subscription);

    let present = texts(store.view().root().descendants_with_hidden());
    for follower in followers.iter().chain([&slow, &*called.lock().unwrap()]) {
        assert_eq!(follower.seen, store.index());
        assert_eq!(follower.values, present, "who follows all the way knows all");
    }
    let all = &followers[0].changes;
    assert_eq!((all.len() as u64, followers[0].resyncs), (store.index().get(), 0));
    // Whoever was told of a change was told of the same.
    for follower in &followers {
        assert!(
            follower
                .changes
                .iter()
                .all(|change| Arc::ptr_eq(change, &all[change.index().get() as usize - 1]))
        );
    }
    for writer in 0..WRITERS {
        let key = format!("/own/{writer}");
        let values: Vec<u64> = all
            .iter()
            .filter(|change| *change.key() == *key)
            .map(|change| change.node.parse().unwrap())
            .collect();
        assert_eq!(values, (0..WRITES).collect::<Vec<_>>(), "each once, in the writer's order");
    }
    let counts = all
        .iter()
        .filter(|change| change.key() == "/counter")
        .map(|change| change.node.parse::<u64>().unwrap());
    assert_eq!(counts.collect::<Vec<_>>(), (0..=present["/counter"].parse().unwrap()).collect::<Vec<_>>());
    assert!(all.iter().map(|change| change.time).is_sorted(), "log time never goes back");
}

#[test]
fn in_memory() {
    attack(&Store::builder().history(200).open().unwrap());
}

#[test]
fn with_a_log_and_snapshots_and_again_after_reopening() {
    for durability in [Durability::Disk, Durability::Process] {
        let directory = directory();
        let builder = small().history(200).durability(durability).dir(directory.path());
        let open = || patiently(|| builder.clone().open()).unwrap();
        let store = open();
        attack(&store);
        let before = store.view();
        drop(store);
        let store = open();
        assert_eq!(store.index(), before.index());
        assert!(before.diff(&store.view()).is_empty());
    }
}

/// The threads that snapshots run on come and go; nothing is left of them.
#[test]
fn threads_that_have_ended_are_not_kept() {
    if !is_alone("threads_that_have_ended_are_not_kept") {
        return;
    }
    let directory = directory();
    let store = small().dir(directory.path()).open().unwrap();
    let mapped = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    };
    store.snapshot().unwrap();
    let before = mapped();
    for n in 0..300 {
        store.set("/n", n).unwrap();
        store.snapshot().unwrap();
    }
    // Each stack is of two MiB.
    let grown = mapped().saturating_sub(before);
    assert!(grown < 300, "{grown} MiB more than before");
}
