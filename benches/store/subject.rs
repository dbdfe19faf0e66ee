//! Spinney, as the rows use it: everything that this benchmark asks of the crate is here.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spinney::internals::tree::wheel::{TimerId, Wheel};
use spinney::{Action, Change, Event, Timestamp};
pub(crate) use spinney::{Durability, View};

use crate::Result;
use crate::rows::Timers;

/// An open store.
pub(crate) struct Store(spinney::Store);

/// A set under way.
pub(crate) struct Pending(spinney::Pending<Arc<Change>>);

/// Watchers of one key.
pub(crate) struct Watchers(Vec<spinney::Watch>);

/// A watcher of all that is below a key, and the clock that tells how late it is told.
pub(crate) struct WatcherBelow {
    watch: spinney::Watch,
    clock: LogClock,
}

/// Log time with the fractions of a millisecond that it leaves out: a millisecond of it, and when that began.
struct LogClock {
    millisecond: Timestamp,
    begin: Instant,
}

impl Store {
    /// A store without a disk.
    pub(crate) fn in_memory() -> Self {
        Self(spinney::Store::in_memory())
    }

    /// A store without a disk, for transactions of hundreds of thousands of keys.
    pub(crate) fn for_large_transactions() -> Result<Self> {
        Ok(Self(
            spinney::Store::builder()
                .segment_bytes(128 << 20)
                .log_bytes(1 << 30)
                .transaction_bytes(30 << 20)
                .open()?,
        ))
    }

    /// A store on `directory`, as it comes.
    pub(crate) fn open(directory: &Path, durability: Durability) -> Result<Self> {
        Ok(Self(spinney::Store::builder().dir(directory).durability(durability).open()?))
    }

    /// A store on `directory` that takes a snapshot only when told to.
    pub(crate) fn open_without_snapshots(directory: &Path) -> Result<Self> {
        Ok(Self(spinney::Store::builder().dir(directory).log_bytes(u64::MAX).open()?))
    }

    /// Sets a key and returns when that is durable.
    pub(crate) fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.0.set(key, value)?;
        Ok(())
    }

    /// Sets a key and returns at once.
    pub(crate) fn submit(&self, key: &str, value: &[u8]) -> Pending {
        Pending(self.0.put(key).value(value).submit())
    }

    /// Sets a key that expires, and returns at once.
    pub(crate) fn submit_with_ttl(&self, key: &str, value: &[u8], ttl: Duration) -> Pending {
        Pending(self.0.put(key).value(value).ttl(ttl).submit())
    }

    /// Sets keys that all expire at one moment.
    pub(crate) fn set_all_with_ttl(
        &self,
        keys: impl Iterator<Item = String>,
        value: &[u8],
        ttl: Duration,
    ) -> Result<()> {
        let txn = keys.fold(self.0.txn(), |txn, key| txn.put(key, |put| put.value(value).ttl(ttl)));
        txn.commit()?;
        Ok(())
    }

    /// Deletes a directory with all that is in it.
    pub(crate) fn delete_all(&self, key: &str) -> Result<()> {
        self.0.remove(key).recursive().send()?;
        Ok(())
    }

    /// How many keys have yet to expire.
    pub(crate) fn timers(&self) -> usize {
        self.0.status().timers
    }

    /// Gets the node of a file, looks at its value, and drops it again.
    pub(crate) fn get(&self, key: &str) -> Result<()> {
        std::hint::black_box(self.0.get(key)?.value().first());
        Ok(())
    }

    /// Starts so many watchers of `key`.
    pub(crate) fn watch(&self, key: &str, count: usize) -> Result<Watchers> {
        let watchers: std::result::Result<_, _> = (0..count).map(|_| self.0.watch(key).start()).collect();
        Ok(Watchers(watchers?))
    }

    /// Starts a watcher of all that is below `key`.
    pub(crate) fn watch_below(&self, key: &str) -> Result<WatcherBelow> {
        Ok(WatcherBelow { watch: self.0.watch(key).recursive().start()?, clock: LogClock::of(&self.0) })
    }

    pub(crate) fn view(&self) -> View {
        self.0.view()
    }

    /// Takes a snapshot and returns when it is on the disk.
    pub(crate) fn snapshot(&self) -> Result<()> {
        self.0.snapshot()?;
        Ok(())
    }
}

impl Pending {
    /// Returns when it is durable.
    pub(crate) fn wait(self) -> Result<()> {
        self.0.wait()?;
        Ok(())
    }
}

impl Watchers {
    /// Takes out what has been delivered to each of them and returns how many events that were in all.
    pub(crate) fn drain(&self) -> usize {
        self.0.iter().map(|watch| watch.try_iter().count()).sum()
    }
}

impl WatcherBelow {
    /// Waits for the next event. If a key expired, returns how long ago its deadline was, in milliseconds.
    pub(crate) fn next_expiry(&self) -> Result<Option<f64>> {
        let event = self.watch.recv()?;
        let now = Instant::now();
        let Event::Change(change) = event else {
            return Err("the watcher fell behind what history keeps".into());
        };
        let expired = change.prev_node.as_ref().filter(|_| change.action == Action::Expire);
        let deadline = expired.and_then(spinney::Node::deadline);
        let late = |deadline| now.saturating_duration_since(self.clock.instant_of(deadline));
        Ok(deadline.map(|deadline| late(deadline).as_secs_f64() * 1e3))
    }
}

impl LogClock {
    /// Waits for the next millisecond of the store's.
    fn of(store: &spinney::Store) -> Self {
        // The instant is the one before the last look at the old millisecond, and so never too late: whatever
        // holds this thread up, nobody seems less late than they are.
        let mut earlier = (Instant::now(), store.now());
        loop {
            let later = (Instant::now(), store.now());
            if later.1 > earlier.1 {
                return Self { millisecond: later.1, begin: earlier.0 };
            }
            earlier = later;
        }
    }

    /// When `moment`, which is not before the clock's first, begins.
    fn instant_of(&self, moment: Timestamp) -> Instant {
        self.begin + moment.since(self.millisecond)
    }
}

/// The tree's timer wheel, with a number to carry like those it is compared with.
struct TimerWheel {
    wheel: Wheel<u32>,
    ids: Vec<TimerId>,
    due: Vec<(Timestamp, u32)>,
}

impl Timers for TimerWheel {
    fn insert(&mut self, timer: u32, deadline: u64) {
        self.ids.push(self.wheel.insert(deadline.into(), timer));
    }

    fn move_to(&mut self, timer: u32, deadline: u64) {
        self.wheel.reschedule(self.ids[timer as usize], deadline.into());
    }

    fn expire(&mut self, now: u64) -> usize {
        self.due.clear();
        let mut budget = usize::MAX;
        while self.wheel.take_due(now.into(), &mut budget, &mut self.due) {}
        self.due.len()
    }

    fn entries(&self) -> usize {
        self.wheel.len()
    }
}

/// The tree's timer wheel: no part of the public API, but behind a hidden door.
pub(crate) fn timer_wheel() -> impl Timers {
    TimerWheel { wheel: Wheel::new(Timestamp::default()), ids: Vec::new(), due: Vec::new() }
}
