//! The whole store on a disk that loses power, or stops dead between any two operations: while it writes, takes
//! snapshots, uses segments again, and in the middle of recovering from the last time.
//!
//! ```text
//!   client ── steps, in order ──► store ──► disk ── power_loss, stop_after ──► image ──► next life
//!      └ which were answered ┐                └ what the log says ─► a tree of our own, at every index
//!                            └────────── compared ──────────┘
//! ```
//! What the log says on the image must be the client's steps in their order, up to one of them, with none missing
//! that was answered. And what the store shows must be what the tree makes of exactly that.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

mod support;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use spinney::internals::codec;
use spinney::internals::entry::{Entry, Payload};
use spinney::internals::open_on;
use spinney::internals::tree::{Command, Operation, Tree};
use spinney::internals::wal::{Disk, Recovery, Region, SimulatedDisk, Sink, Source};
use spinney::{
    Builder, Change, Durability, Error, Event, Index, LogIndex, Node, Outcome, Pending, Store, View,
};
use support::{Random, small};

const HISTORY: usize = 40;

/// A simulated disk that remembers the entries of a log before their segment goes.
#[derive(Clone, Debug)]
struct Recorder {
    disk: SimulatedDisk,
    log: Arc<Mutex<Vec<Entry>>>,
}

impl Recorder {
    fn on(disk: SimulatedDisk) -> Self {
        Self { disk, log: Arc::default() }
    }

    /// Another disk, with what is remembered of the log of this one.
    fn continued_on(&self, disk: SimulatedDisk) -> Self {
        Self { disk, log: Arc::new(Mutex::new(self.log.lock().unwrap().clone())) }
    }

    fn record(&self, going: &str) {
        if going.ends_with(".wal")
            && let Ok(recovery) = Recovery::scan(Arc::new(self.disk.copy()))
        {
            follow(&mut self.log.lock().unwrap(), &recovery);
        }
    }
}

/// Adds what a log says to what is known of it. What was known already must stand there as it did.
fn follow(log: &mut Vec<Entry>, recovery: &Recovery) {
    let replayed = recovery.replay(LogIndex::default(), |entry| {
        let at = entry.id.index.get() as usize - 1;
        match log.get(at) {
            Some(known) => assert_eq!(known, &entry, "the log has changed its past"),
            None => {
                assert_eq!(log.len(), at, "entries went before they were recorded");
                log.push(entry);
            }
        }
        Ok::<_, ()>(())
    });
    replayed.unwrap();
}

impl Disk for Recorder {
    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.disk.names()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        self.disk.open(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Sink>> {
        self.disk.create(name)
    }

    fn map(&self, name: &str) -> io::Result<Box<dyn Region>> {
        self.disk.map(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.record(from);
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.record(name);
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }
}

/// How to know a step again in the log.
#[derive(Debug, PartialEq)]
enum Mark {
    /// It writes a value that begins with this number.
    Number(u64),
    /// It has no value, but this key.
    Key(String),
}

impl Mark {
    fn of(command: &Command) -> Option<Self> {
        let number = |value: &[u8]| {
            let digits = value.split(|byte| *byte == b' ').next().unwrap();
            Self::Number(std::str::from_utf8(digits).unwrap().parse().unwrap())
        };
        Some(match command {
            Command::Put(put) if put.refresh => Self::Key(put.key.to_string()),
            Command::Put(put) => number(&put.value.0),
            Command::CreateInOrder(create) => number(&create.value.0),
            Command::Delete(delete) => Self::Key(delete.key.to_string()),
            Command::Transaction(transaction) => match &transaction.operations[0] {
                Operation::Put(put) => number(&put.value.0),
                other => panic!("{other:?}"),
            },
            Command::Expire => return None,
        })
    }
}

/// What became of a step, as far as the client knows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Unknown,
    /// It is in the log; done at this index, or refused there.
    Answered(Option<Index>),
    /// It is not in the log, and never will be.
    NotDone,
}

impl Fate {
    fn of<T>(answer: &Result<T, Error>, index: impl Fn(&T) -> Index) -> Self {
        match answer {
            Ok(done) => Self::Answered(Some(index(done))),
            Err(refused) if refused.index().is_some() => Self::Answered(None),
            Err(Error::Unavailable { may_have_applied: true, .. }) => Self::Unknown,
            Err(Error::Unavailable { .. } | Error::NoSpace { .. }) => Self::NotDone,
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// The client's notes: its steps in order, and what it has heard.
type Notes = Arc<Mutex<Vec<(Mark, Fate)>>>;

struct Run {
    seed: u64,
    durability: Durability,
    random: Random,
    disk: Recorder,
    notes: Notes,
    number: u64,
    /// What readers saw.
    views: Vec<View>,
    /// The disk was told to stop at some moment of this life.
    stopping: bool,
    cycles: u64,
    snapshots: u64,
}

impl Run {
    fn new(seed: u64, durability: Durability) -> Self {
        Self {
            seed,
            durability,
            random: Random(seed),
            disk: Recorder::on(SimulatedDisk::new()),
            notes: Notes::default(),
            number: 0,
            views: Vec::new(),
            stopping: false,
            cycles: 0,
            snapshots: 0,
        }
    }

    fn builder(&self) -> Builder {
        small().history(HISTORY).durability(self.durability)
    }

    fn play(&mut self, lives: usize) {
        for _ in 0..lives {
            let known = self.check();
            if self.random.one_in(3) {
                self.disk.disk.stop_after(self.random.below(40));
                self.stopping = true;
            }
            let store = match open_on(Arc::new(self.disk.clone()), self.builder()) {
                Ok(store) => store,
                Err(error) => {
                    let cause = self.stopping.then(|| format!("{error:?}"));
                    let stopped = cause.as_ref().is_some_and(|cause| cause.contains("simulated machine"));
                    assert!(stopped, "seed {}: {error:?}", self.seed);
                    self.end(None);
                    continue;
                }
            };
            self.compare(&store, &known);
            self.live(&store);
            self.end(Some(store));
        }
        self.check();
    }

    /// Writes for a while.
    fn live(&mut self, store: &Store) {
        let mut helpers = Vec::new();
        for _ in 0..self.random.below(60) {
            self.step(store);
            match self.random.below(60) {
                0..=2 => self.views.push(store.view()),
                3 if !self.stopping => {
                    self.disk.disk.stop_after(self.random.below(120));
                    self.stopping = true;
                }
                4 => {
                    let store = store.clone();
                    helpers.push(thread::spawn(move || drop(store.snapshot())));
                }
                5 => thread::sleep(Duration::from_millis(2)),
                _ => {}
            }
        }
        if self.random.one_in(2) {
            // In the middle of whatever the helpers do.
            self.fail_power();
        }
        helpers.into_iter().for_each(|helper| helper.join().unwrap());
        self.snapshots += u64::from(store.status().log.is_some_and(|log| log.saved.get() > 0));
    }

    fn step(&mut self, store: &Store) {
        self.number += 1;
        let number = self.number;
        let key = format!("/{}/{}", self.random.below(4), self.random.below(6));
        let bytes = if self.random.one_in(5) { self.random.below(20_000) } else { self.random.below(200) };
        let value = format!("{number} {}", "x".repeat(bytes as usize));
        let ttl = Duration::from_millis(1 + self.random.below(8));
        let by_number = Mark::Number(number);
        let wait = self.random.one_in(3);
        match self.random.below(12) {
            0..=3 => {
                self.note(by_number, store.put(&key).value(value).submit(), wait, |change| change.index())
            }
            // A lone caller turns the crank itself.
            4 => {
                let at = self.begin(by_number);
                let fate = Fate::of(&store.set(&key, value), |change| change.index());
                self.notes.lock().unwrap()[at].1 = fate;
            }
            5..=6 => {
                self.note(by_number, store.put(&key).value(value).ttl(ttl).submit(), wait, |change| {
                    change.index()
                });
            }
            7 => {
                self.note(Mark::Key(key.clone()), store.remove(&key).submit(), wait, |change| change.index())
            }
            8 => {
                let directory = key[..2].to_owned();
                let removal = store.remove(&directory).recursive().submit();
                self.note(Mark::Key(directory), removal, wait, |change| change.index());
            }
            9 => {
                let refresh = store.put(&key).refresh().ttl(ttl).submit();
                self.note(Mark::Key(key), refresh, wait, |change| change.index());
            }
            10 => {
                let queue = format!("/{}", self.random.below(4));
                let create = store.put(queue).value(value).in_order().ttl(ttl * 4).submit();
                self.note(by_number, create, wait, |change| change.index());
            }
            _ => {
                let twin = format!("{key}-twin");
                let txn = store.txn().set(&key, &value).put(&twin, |put| put.value(number).ttl(ttl));
                let txn = if self.random.one_in(3) { txn.check(&twin).absent() } else { txn };
                self.note(by_number, txn.submit(), wait, |changes| changes[1].index());
            }
        }
    }

    fn begin(&self, mark: Mark) -> usize {
        let mut notes = self.notes.lock().unwrap();
        notes.push((mark, Fate::Unknown));
        notes.len() - 1
    }

    /// Writes down what becomes of a step, when it is known.
    fn note<T: Outcome>(
        &self,
        mark: Mark,
        write: Pending<T>,
        wait: bool,
        index: impl Fn(&T) -> Index + Send + 'static,
    ) {
        let at = self.begin(mark);
        if wait {
            let fate = Fate::of(&write.wait(), index);
            self.notes.lock().unwrap()[at].1 = fate;
        } else {
            let notes = Arc::clone(&self.notes);
            write.on_done(move |answer| notes.lock().unwrap()[at].1 = Fate::of(&answer, index));
        }
    }

    /// Goes on with what a loss of power at this moment leaves. What is answered later does not count.
    fn fail_power(&mut self) {
        let notes = self.notes.lock().unwrap();
        let image = self.disk.disk.power_loss(self.random.next());
        self.disk = self.disk.continued_on(image);
        let kept = notes.iter().map(|(mark, fate)| match mark {
            Mark::Number(number) => (Mark::Number(*number), *fate),
            Mark::Key(key) => (Mark::Key(key.clone()), *fate),
        });
        let kept = Arc::new(Mutex::new(kept.collect()));
        drop(notes);
        self.notes = kept;
        if self.durability == Durability::Process {
            self.forget_promises();
        }
        self.stopping = false;
        self.cycles += 1;
    }

    /// Nothing that was said while writing without a sync holds after a loss of power.
    fn forget_promises(&mut self) {
        let mut notes = self.notes.lock().unwrap();
        let done = notes.iter_mut().filter(|(_, fate)| *fate != Fate::NotDone);
        done.for_each(|(_, fate)| *fate = Fate::Unknown);
        self.views.clear();
    }

    /// Ends a life: by closing, by killing, or by a loss of power.
    fn end(&mut self, store: Option<Store>) {
        if self.random.one_in(2) {
            self.fail_power();
        }
        drop(store);
        if self.stopping && self.durability == Durability::Process {
            self.forget_promises();
        }
        if self.stopping && self.random.one_in(2) {
            self.fail_power();
        }
        self.disk.disk.restart();
        self.stopping = false;
        self.cycles += 1;
    }

    /// Checks what the disk holds against the notes, and gives what the tree makes of it.
    fn check(&mut self) -> Known {
        let seed = self.seed;
        let recovery = Recovery::scan(Arc::new(self.disk.disk.copy()))
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let mut log = self.disk.log.lock().unwrap();
        let snapshot =
            spinney::internals::wal::snapshots(&(Arc::new(self.disk.disk.copy()) as Arc<dyn Disk>)).unwrap();
        let last = recovery.last().index.max(snapshot.into_iter().max().unwrap_or_default());
        log.truncate(last.get() as usize);
        follow(&mut log, &recovery);
        assert_eq!(log.len() as u64, last.get(), "seed {seed}: the log ends elsewhere");

        let mut notes = self.notes.lock().unwrap();
        let mut known = Known::default();
        let mut found = 0;
        for entry in &*log {
            let Some((command, own)) = known.apply(entry) else { continue };
            let Some(mark) = Mark::of(&command) else { continue };
            found = (found..notes.len())
                .find(|at| notes[*at].1 != Fate::NotDone)
                .unwrap_or_else(|| panic!("seed {seed}: nobody wrote {mark:?}"));
            let (expected, fate) = &mut notes[found];
            assert_eq!(expected, &mark, "seed {seed}: steps have changed places");
            if let Fate::Answered(answer) = *fate {
                assert_eq!(answer, own, "seed {seed}: {mark:?} has another answer now");
            }
            known.answers.push((found, own));
            found += 1;
        }
        for (mark, fate) in &notes[found..] {
            assert!(!matches!(fate, Fate::Answered(_)), "seed {seed}: {mark:?} was answered and is lost");
        }
        notes.truncate(found);
        for view in self.views.drain(..) {
            let root = known.roots.get(&view.index());
            let root =
                root.unwrap_or_else(|| panic!("seed {seed}: a reader saw {}, which is lost", view.index()));
            assert!(view.root() == root, "seed {seed}: a reader saw something else at {}", view.index());
        }
        known
    }

    /// What is there when a store is opened.
    fn compare(&mut self, store: &Store, known: &Known) {
        let seed = self.seed;
        // What opening has found is durable from now on; before, it may have been in memory only.
        let mut notes = self.notes.lock().unwrap();
        known.answers.iter().for_each(|(at, own)| notes[*at].1 = Fate::Answered(*own));
        drop(notes);
        let view = store.view();
        let index = known.tree.index();
        if view.index() == index {
            assert!(view.root() == known.tree.root(), "seed {seed}: not what the log says, at {index}");
        } else {
            // Something has expired already.
            assert!(
                view.index() > index,
                "seed {seed}: the index went back to {} from {index}",
                view.index()
            );
            self.views.push(view);
        }
        if known.changes.len() <= 1 {
            return;
        }
        let from = known.changes.len()
            - 1
            - self.random.below((HISTORY as u64 / 2).min(known.changes.len() as u64 - 1)) as usize;
        let since = known.changes[from].index();
        let watch = store.watch("/").recursive().hidden().since(since).start().unwrap();
        let told: Vec<_> = known.changes[from..].iter().filter(|change| !change.refresh).collect();
        for change in told {
            match watch.recv_timeout(Duration::from_secs(20)) {
                Ok(Event::Change(again)) => assert_eq!(&again, change, "seed {seed}: history has changed"),
                // What expires on opening, or a write without sync, may have pushed it out.
                other => panic!("seed {seed}: {other:?} instead of {change:?}"),
            }
        }
    }
}

/// What a log makes of a tree.
#[derive(Default)]
struct Known {
    tree: Tree,
    roots: BTreeMap<Index, Node>,
    changes: Vec<Arc<Change>>,
    /// Which of the client's steps are in the log, and what their answers are.
    answers: Vec<(usize, Option<Index>)>,
}

impl Known {
    /// Applies an entry. Gives its command, and the index of the last change that is its own.
    fn apply(&mut self, entry: &Entry) -> Option<(Command, Option<Index>)> {
        self.roots.entry(self.tree.index()).or_insert_with(|| self.tree.root().clone());
        let Payload::Command(bytes) = &entry.payload else { return None };
        let command: Command = codec::decode(bytes).unwrap();
        let mut effects = Vec::new();
        let answer = self.tree.apply(entry.time, command.clone(), &mut effects);
        let own = answer.ok().and_then(|from| effects[from..].last()).map(|effect| effect.change.index());
        self.changes.extend(effects.into_iter().map(|effect| effect.change));
        self.roots.insert(self.tree.index(), self.tree.root().clone());
        Some((command, own))
    }
}

fn play(seeds: std::ops::Range<u64>, lives: usize, durability: Durability) {
    let (mut cycles, mut snapshots) = (0, 0);
    let started = support::now();
    for seed in seeds {
        let mut run = Run::new(seed, durability);
        run.play(lives);
        cycles += run.cycles;
        snapshots += run.snapshots;
    }
    println!("{cycles} crashes and recoveries, {snapshots} lives with snapshots, {:?}", started.elapsed());
    assert!(snapshots > 20, "hardly any snapshots: {snapshots}");
}

#[test]
fn acknowledged_writes_survive_any_loss_of_power() {
    play(0..150, 10, Durability::Disk);
}

#[test]
fn without_syncs_a_prefix_survives() {
    play(1000..1050, 10, Durability::Process);
}
