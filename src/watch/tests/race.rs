//! Writer, catch-up and subscribers at once: nothing is lost, doubled or out of order.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::event::Change;
use crate::watch::filter::Filter;

/// How many changes a round has.
const CHANGES: u64 = 400;

/// Numbers that look random, from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let at = usize::try_from(self.below(choices.len() as u64)).unwrap();
        choices[at]
    }

    /// A while that is mostly none and sometimes long enough for others to get ahead.
    fn dawdle(&mut self) {
        match self.below(64) {
            0 => thread::sleep(Duration::from_micros(50)),
            1..=8 => thread::yield_now(),
            _ => {}
        }
    }
}

/// A subscriber that knows all changes of the round, and so what it must be sent.
struct Follower<'a> {
    changes: &'a [Arc<Change>],
    filter: Filter,
    /// The first index it has not seen.
    next: u64,
}

impl Follower<'_> {
    /// The indexes that it must be sent, from `next` to before `end`.
    fn wanted(&self, end: u64) -> impl Iterator<Item = u64> {
        let ahead = self.changes.iter().filter(|change| self.filter.matches(change));
        ahead.map(|change| change.index().get()).filter(move |index| (self.next..end).contains(index))
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Change(change) => {
                assert_eq!(self.wanted(u64::MAX).next(), Some(change.index().get()), "next {}", self.next);
            }
            Event::Resync(resync) => {
                assert_eq!(
                    self.wanted(resync.missed_from.get()).next(),
                    None,
                    "next {}: {resync:?}",
                    self.next
                );
                assert!(self.next <= resync.missed_from.get() && resync.missed_from < resync.history_from);
                assert!(
                    resync.history_from <= resync.index.next(),
                    "it leads up to what is kept: {resync:?}"
                );
            }
        }
        self.next = event.index().get() + 1;
    }

    fn has_seen_all(&self) -> bool {
        self.wanted(u64::MAX).next().is_none()
    }
}

/// The writer: the tree first, then the hub; now and then a whole stretch comes from a peer.
fn write(hub: &Hub, tree: &AtomicU64, changes: &[Arc<Change>], history: usize, mut random: Random) {
    let mut index = 0;
    while index < changes.len() {
        let jump = if random.below(100) == 0 { random.below(30) } else { 0 };
        index = changes.len().min(index + 1 + usize::try_from(jump).unwrap());
        tree.store(changes[index - 1].index().get(), Ordering::SeqCst);
        random.dawdle();
        let _ = if jump == 0 {
            hub.publish(&changes[index - 1], None)
        } else {
            let saved = changes[..index].to_vec();
            hub.replace_history(History::restore(limits(history), changes[index - 1].index(), saved))
        };
    }
}

fn follow(hub: &Arc<Hub>, changes: &[Arc<Change>], mut random: Random) {
    for _ in 0..random.below(200) {
        random.dawdle();
    }
    let (path, recursive) = random.one_of(&[("/a", true), ("/a", false), ("/b", false), ("/", true)]);
    let request = WatchRequest {
        recursive,
        hidden: random.below(4) == 0,
        since: Some(Index::new(random.below(CHANGES))),
        capacity: usize::try_from(random.one_of(&[1, 2, 3, 8, 128])).unwrap(),
        ..watch(path)
    };
    let filter = Filter { recursive, hidden: request.hidden, ..filter(path) };
    let next = request.since.map_or(1, |index| index.get().max(1));
    let leaves_early = random.below(8) == 0;

    let mut follower = Follower { changes, filter, next };
    let watch = begin(hub, request);
    while !(follower.has_seen_all() || leaves_early && random.below(20) == 0) {
        let event = watch.recv_timeout(FOREVER);
        let event =
            event.unwrap_or_else(|_| panic!("at {} of {:?}: {:?}", follower.next, watch, hub.stats()));
        follower.take(&event);
        random.dawdle();
    }
    // Nothing comes twice. A resync may come yet, when what was missed at last did not concern the watch.
    watch.try_iter().for_each(|event| follower.take(&event));
}

fn round(seed: u64) {
    let mut random = Random(seed);
    let paths = ["/a", "/a/x", "/a/_h", "/b"];
    let changes: Vec<_> = (1..=CHANGES).map(|index| set(random.one_of(&paths), index)).collect();
    let history = usize::try_from(random.one_of(&[0, 1, 5, 50, 1_000])).unwrap();
    let hub = hub(history);
    let tree = Arc::new(AtomicU64::new(0));
    let catch_up = {
        let (tree, mut random) = (Arc::clone(&tree), Random(!seed));
        let random = parking_lot::Mutex::new(move || random.dawdle());
        start_catch_up(&hub, move || {
            let index = tree.load(Ordering::SeqCst);
            // What was read may be old news by the time that it is sent.
            random.lock()();
            index
        })
    };
    thread::scope(|scope| {
        for follower in 0..6 {
            let (hub, changes) = (&hub, &changes);
            let random = Random(seed.wrapping_mul(6) + follower);
            scope.spawn(move || follow(hub, changes, random));
        }
        scope.spawn(|| write(&hub, &tree, &changes, history, random));
    });
    assert_eq!((hub.stats().watchers, hub.stats().lagging), (0, 0), "all have left");
    hub.close();
    join(catch_up);
}

#[test]
fn every_subscriber_sees_every_change_once_in_order_or_a_resync() {
    for seed in 0..150 {
        // The seed is what to look for in the output of a failure, though threads race as they like.
        println!("round {seed}");
        round(seed);
    }
}
