//! What a seed asks for: how large the cluster is, how it is set, and what goes wrong.
//!
//! Each seed draws a subset of the faults and its own rates, so that some runs meet one fault alone and hard, and
//! others many at once ("swarm testing"): faults that are always on together hide what each alone would show.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::random::Random;

/// Microseconds of virtual time.
pub type Time = u64;

/// A millisecond.
pub const MS: Time = 1_000;
/// A second.
pub const SECOND: Time = 1_000 * MS;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $word:literal in $group:literal,)*) => {
        /// A class of what can go wrong, or can be asked for at a bad moment.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What it is called on the command line.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The group that it belongs to, which can be named in its stead.
            #[must_use]
            pub const fn group(self) -> &'static str {
                match self { $(Self::$name => $group,)* }
            }
        }
    };
}

faults! {
    /// Frames are lost.
    Loss = "loss" in "net",
    /// Frames come twice, the second time a good while later.
    Duplication = "duplication" in "net",
    /// Frames overtake each other.
    Reordering = "reordering" in "net",
    /// Links are slow for a while.
    Delay = "delay" in "net",
    /// Bytes of frames are flipped.
    Corruption = "corruption" in "net",
    /// Connections break and are made anew.
    Reset = "reset" in "net",
    /// The members fall into groups that do not hear each other.
    Partition = "partition" in "net",
    /// Single links are cut, in one direction or both: partial and chained graphs.
    Cut = "cut" in "net",
    /// Processes are killed and started again.
    Crash = "crash" in "process",
    /// Machines lose power: what was not synced may be lost, in any part.
    PowerLoss = "power" in "process",
    /// All machines lose power at once.
    Blackout = "blackout" in "process",
    /// Processes stand still for a while, and then find time has passed.
    Pause = "pause" in "process",
    /// Whoever leads is killed, cut off or held up just as it takes office, or begins a change of the members.
    Upheaval = "upheaval" in "process",
    /// Clocks run fast or slow.
    Drift = "drift" in "clock",
    /// Wall clocks are set.
    WallStep = "wall" in "clock",
    /// The ticks that a process missed come all at once.
    Burst = "burst" in "clock",
    /// Syncs take long now and then.
    SlowSync = "slow-sync" in "disk",
    /// A sync fails.
    FailedSync = "failed-sync" in "disk",
    /// Disks are full for a while.
    FullDisk = "full" in "disk",
    /// Bits of what was durable are flipped.
    Rot = "rot" in "disk",
    /// A sector is written to another's place.
    Misdirection = "misdirected" in "disk",
    /// A disk is put back as it was some time ago.
    OldDisk = "old-disk" in "disk",
    /// A disk is lost, and its member replaced.
    DiskLoss = "disk-loss" in "disk",
    /// Members are added, promoted and removed.
    Membership = "membership" in "admin",
    /// Leadership is handed over.
    Transfer = "transfer" in "admin",
    /// Settings at the ends of what they may be: one entry a message, snapshots at every turn.
    Degenerate = "degenerate" in "settings",
    /// The log is kept very short, so that members that fall behind need snapshots.
    Compaction = "compaction" in "settings",
}

impl Fault {
    /// Whether it happens now and then, and not with each frame or sync, on an occasion, or by how things are set.
    #[must_use]
    pub const fn comes_by_itself(self) -> bool {
        !matches!(
            self,
            Self::Loss
                | Self::Duplication
                | Self::Reordering
                | Self::Corruption
                | Self::Upheaval
                | Self::Drift
                | Self::SlowSync
                | Self::Membership
                | Self::Transfer
                | Self::Degenerate
                | Self::Compaction
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Some of the faults, as `--only` names them: words and groups, separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub BTreeSet<Fault>);

impl Faults {
    /// All there are.
    #[must_use]
    pub fn all() -> Self {
        Self(Fault::ALL.iter().copied().collect())
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = BTreeSet::new();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty() && *word != "none") {
            let before = faults.len();
            let named = Fault::ALL.iter().filter(|fault| fault.word() == word || fault.group() == word);
            faults.extend(named);
            if faults.len() == before
                && !Fault::ALL.iter().any(|fault| fault.word() == word || fault.group() == word)
            {
                return Err(format!("there is no fault and no group of faults called {word:?}"));
            }
        }
        Ok(Self(faults))
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let words: Vec<_> = self.0.iter().map(|fault| fault.word()).collect();
        f.write_str(&words.join(","))
    }
}

/// Everything about a run that its seed decides before it begins.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// What goes wrong.
    pub faults: Faults,
    /// How many members found the cluster.
    pub founders: u64,
    /// How many clients work.
    pub clients: u64,
    /// How many calls each of them has under way at most.
    pub pipeline: usize,
    /// How long faults are made.
    pub chaos: Time,
    /// The mean time between two calls of a client.
    pub think: Time,
    /// How long a frame takes on average.
    pub latency: Time,
    /// Frames lost and doubled, of a thousand.
    pub loss: u64,
    pub duplication: u64,
    /// Frames corrupted, of ten thousand.
    pub corruption: u64,
    /// How long a sync takes on average.
    pub sync: Time,
    /// One sync in so many takes long.
    pub slow_sync: u64,
    /// How far clocks run wrong at most, in thousandths.
    pub drift: u64,
    /// Mean time between two faults of whatever class: the more classes there are, the rarer is each.
    pub pace: Time,
    /// How long it takes on average to write a snapshot, or to check one.
    pub job: Time,
    /// Whether all processes are started anew when the faults end. The others go on from whatever state they are in.
    pub restarts: bool,
    /// Whether clients go on while the cluster recovers.
    pub is_busy: bool,
}

impl Plan {
    /// What `seed` asks for, as far as `allowed` lets it.
    #[must_use]
    pub fn of(seed: u64, allowed: &Faults) -> Self {
        let mut random = Random::stream(seed, "plan");
        // Most seeds have each fault with even odds; some are calm, some have everything.
        let odds = *random.pick(&[150, 350, 500, 500, 700, 1_000]);
        // Each from a stream of its own: a new class of faults changes nothing about the others.
        let is_drawn = |fault: &&Fault| Random::stream(seed, fault.word()).chance(odds);
        let drawn: BTreeSet<Fault> = Fault::ALL.iter().filter(is_drawn).copied().collect();
        let faults = Faults(drawn.intersection(&allowed.0).copied().collect());
        Self {
            seed,
            faults,
            founders: *random.pick(&[1, 2, 3, 3, 3, 3, 3, 4, 5, 5]),
            clients: random.between(1, 6),
            chaos: random.between(4, 14) * SECOND,
            think: *random.pick(&[2 * MS, 10 * MS, 30 * MS, 100 * MS]),
            latency: *random.pick(&[100, 500, MS, 5 * MS, 20 * MS]),
            loss: *random.pick(&[5, 30, 100, 250]),
            duplication: *random.pick(&[5, 50, 200, 500]),
            corruption: *random.pick(&[5, 50]),
            sync: *random.pick(&[50, 500, 2 * MS, 10 * MS]),
            slow_sync: *random.pick(&[5, 30, 100]),
            drift: random.between(1, 50),
            pace: *random.pick(&[60 * MS, 120 * MS, 300 * MS, 600 * MS]),
            pipeline: *random.pick(&[1, 1, 4, 32]),
            job: *random.pick(&[MS, 20 * MS, 20 * MS, 500 * MS]),
            restarts: random.one_in(2),
            is_busy: random.one_in(3),
        }
    }

    /// Mean time between two faults of this class, which comes by itself.
    #[must_use]
    pub fn pace_of(&self, fault: Fault) -> Time {
        let classes = self.faults.0.iter().filter(|fault| fault.comes_by_itself()).count() as u64;
        // While all are down there is nothing else to go wrong.
        let rarity = if fault == Fault::Blackout { 5 } else { 1 };
        self.pace * classes.max(2) * rarity
    }

    /// Whether `fault` is made in this run.
    #[must_use]
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.0.contains(&fault)
    }
}
