//! Power that fails at any time, on a disk that keeps what it likes of what was not synced.

use super::*;

/// A member that writes, and what it was promised.
struct Run {
    seed: u64,
    random: Random,
    disk: SimulatedDisk,
    /// What is certain: the sum of all that was acknowledged.
    base: Model,
    /// What was written since, acknowledged or not.
    pending: Vec<WriteSet>,
    /// So many of those were acknowledged.
    acknowledged: usize,
    released: LogIndex,
    /// Makes every entry one of a kind: an old one in the place of a new one is noticed.
    stamp: u64,
    crashes: u64,
    /// The disk was told to stop: what is appended may not arrive.
    stopping: bool,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            random: Random(seed),
            disk: SimulatedDisk::new(),
            base: Model::default(),
            pending: Vec::new(),
            acknowledged: 0,
            released: LogIndex::default(),
            stamp: 0,
            crashes: 0,
            stopping: false,
        }
    }

    fn settings(&mut self) -> WalSettings {
        WalSettings { segment_bytes: 16 << 10, salt_seed: self.random.below(3) }
    }

    /// What was written up to now.
    fn present(&self) -> Model {
        let mut model = self.base.clone();
        self.pending.iter().for_each(|set| model.follow(set));
        model
    }

    /// What was acknowledged up to now.
    fn certain(&self) -> Model {
        let mut model = self.base.clone();
        self.pending[..self.acknowledged].iter().for_each(|set| model.follow(set));
        model
    }

    fn play(&mut self, lives: usize) {
        let mut wal = None;
        for _ in 0..lives {
            let mut opened = wal.take().unwrap_or_else(|| self.open());
            for _ in 0..self.random.below(40) {
                self.act(&mut opened);
            }
            match self.random.below(8) {
                0 => wal = Some(opened),
                1 => {
                    drop(opened);
                    // A process that ends takes nothing along.
                    assert!(self.stopping || self.check() == self.pending.len(), "seed {}", self.seed);
                }
                2 => {
                    if opened.close().is_ok() {
                        self.acknowledged = self.pending.len();
                    }
                }
                _ => {
                    let image = self.disk.power_loss(self.random.next());
                    drop(opened);
                    self.disk = image;
                    self.crashes += 1;
                }
            }
        }
    }

    /// Recovers, perhaps with an interruption, and opens the log.
    fn open(&mut self) -> Wal {
        self.disk.restart();
        self.stopping = false;
        self.check();
        if self.random.one_in(3) {
            self.disk.stop_after(self.random.below(12));
            let settings = self.settings();
            if let Ok(recovery) = scan(&self.disk) {
                let _ = recovery.into_wal(settings);
            }
            let interrupted = self.disk.power_loss(self.random.next());
            self.disk = interrupted;
        }
        let settings = self.settings();
        let recovery = scan(&self.disk).unwrap();
        let begun = recovery.identity().is_some();
        let kept = self.check();
        let opened = if begun {
            recovery.into_wal(settings)
        } else {
            Wal::create(arc(&self.disk), settings, IDENTITY, None)
        };
        let wal = opened.unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        // Now it is durable, and what was lost is lost for good.
        self.pending.truncate(kept);
        self.base = self.present();
        self.pending.clear();
        self.acknowledged = 0;
        wal
    }

    /// How many of the pending write-sets are in the log; fails unless it holds exactly so many, and all of
    /// those that were acknowledged.
    fn check(&self) -> usize {
        let recovery = scan(&self.disk).unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        let found = Model::of(&recovery);
        let mut model = self.base.clone();
        let mut kept = None;
        for count in 0..=self.pending.len() {
            if count > 0 {
                model.follow(&self.pending[count - 1]);
            }
            if count >= self.acknowledged && model.allows(&found, recovery.first_index(), self.released) {
                kept = Some(count);
            }
        }
        kept.unwrap_or_else(|| {
            panic!(
                "seed {}: no prefix from {} of {} on matches {:?}",
                self.seed,
                self.acknowledged,
                self.pending.len(),
                found.last,
            )
        })
    }

    fn act(&mut self, wal: &mut Wal) {
        match self.random.below(20) {
            0..=10 => {
                let set = self.write_set();
                self.append(wal, set);
            }
            11..=13 => {
                if wal.sync().is_ok() {
                    self.acknowledged = self.pending.len();
                }
            }
            14 => {
                if wal.syncer().run().is_ok() {
                    self.acknowledged = self.pending.len();
                }
            }
            15..=16 => {
                if let Some(job) = wal.spare_wanted()
                    && !self.random.one_in(4)
                {
                    let _ = job.run();
                }
            }
            17 => self.snapshot(wal),
            18 => match self.random.below(12) {
                0..=2 => self.disk.fail_sync(self.random.below(4)),
                3 => self.disk.set_capacity(Some((1 + self.random.below(5)) << 14)),
                4..=6 => self.disk.set_capacity(None),
                _ => {}
            },
            _ => {
                if self.random.one_in(8) {
                    self.disk.stop_after(self.random.below(10));
                    self.stopping = true;
                }
            }
        }
    }

    fn append(&mut self, wal: &mut Wal, set: WriteSet) {
        if wal.append(&set).is_ok() {
            self.pending.push(set);
        }
    }

    fn write_set(&mut self) -> WriteSet {
        let present = self.present();
        let mut set = WriteSet::default();
        let (mut term, mut index) = (present.last.term.get().max(1), present.last.index.get());
        if self.random.one_in(10) {
            set.hard_state = Some(HardState {
                term: Term::new(self.random.below(1 << 40)),
                vote: None,
                ..HardState::default()
            });
        }
        let certain = present.snapshot.unwrap_or_default().index.get();
        if self.random.one_in(8) && index > certain && present.entries.len() > 1 {
            let lowest =
                present.entries.first_key_value().map_or(0, |(first, _)| first.get()).max(certain) + 1;
            index = lowest.min(index) + self.random.below(index - lowest.min(index) + 1);
            set.truncate_from = Some(LogIndex::new(index));
            index -= 1;
            term += 1;
        }
        for _ in 0..self.random.below(4) {
            index += 1;
            self.stamp += 1;
            let bytes = if self.random.one_in(6) { self.random.below(5_000) } else { self.random.below(300) };
            let mut payload = self.stamp.to_le_bytes().to_vec();
            payload.resize(8 + bytes as usize, self.stamp as u8);
            set.entries.push(entry(term, index, &payload));
        }
        set
    }

    /// Marks a snapshot up to an acknowledged entry, or one from elsewhere that is ahead of the log.
    fn snapshot(&mut self, wal: &mut Wal) {
        let mut set = WriteSet::default();
        let certain = self.certain();
        let present = self.present();
        let marked = present.snapshot.unwrap_or_default().index;
        if self.random.one_in(6) {
            let ahead = id(present.last.term.get() + 1, present.last.index.get() + 1 + self.random.below(50));
            set.snapshot = Some(ahead);
        } else {
            let held = |index: &LogIndex| *index > marked && present.entries[index] == certain.entries[index];
            let common = certain.entries.keys().filter(|index| present.entries.contains_key(index));
            let held: Vec<_> = common.filter(|index| held(index)).collect();
            if held.is_empty() {
                return;
            }
            let index = held[self.random.below(held.len() as u64) as usize];
            set.snapshot = Some(present.entries[index].id);
        }
        self.append(wal, set);
        if self.random.one_in(2) && wal.sync().is_ok() {
            self.acknowledged = self.pending.len();
        }
        if let Some(snapshot) = self.present().snapshot
            && self.random.one_in(2)
        {
            wal.release(snapshot.index);
            self.released = self.released.max(snapshot.index);
        }
    }
}

#[test]
fn what_was_acknowledged_survives_any_loss_of_power() {
    let mut crashes = 0;
    for seed in 0..1_500 {
        let mut run = Run::new(seed);
        run.play(12);
        crashes += run.crashes;
    }
    assert!(crashes > 5_000, "{crashes}");
}
