//! One machine: a disk, clocks, and a process on it that comes and goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use spinney::internals::BootId;
use spinney::internals::entry::HardState;
use spinney::internals::replica::{Founding, Moment, OpenError, Replica, Settings};
use spinney::internals::wal::{Disk, Recovery, SimulatedDisk};
use spinney::{Identity, LogIndex, MemberId, Term, Timestamp};

use super::network::Place;
use super::plan::{MS, Time};
use super::watching::Watcher;

/// What the wall clocks showed when the world began, in milliseconds.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// What is the matter with a machine's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Sound,
    /// It is that of a founder of which nobody knows yet whether it is new, or has lost what it had: its member takes no part,
    /// or has less than it may have had.
    Doubtful,
    /// Some of it may be wrong: it is refused when it is opened, or does no harm.
    Rotten,
    /// It was put back as it was: its member finds that out from the leader, or is given up.
    PutBack,
    /// It is gone, or was refused: its member never comes back.
    Lost,
}

/// What a disk keeps through any loss of power, and what no later process may be behind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept {
    /// Term, vote and life.
    pub hard_state: HardState,
    /// How far the log is known to be committed.
    pub committed: LogIndex,
}

impl Kept {
    /// What there is on `disk`; nothing, if it would be refused.
    #[must_use]
    pub fn on(disk: &SimulatedDisk) -> Self {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let Ok(recovery) = Recovery::scan(disk) else { return Self::default() };
        Self { hard_state: recovery.hard_state().unwrap_or_default(), committed: recovery.committed() }
    }

    /// Whether `later` has lost nothing of this, and a process that begins with it is a new one.
    #[must_use]
    pub fn is_kept_by(&self, later: &Self) -> bool {
        let (before, now) = (self.hard_state, later.hard_state);
        let votes = now.term > before.term
            || now.term == before.term && (before.vote.is_none() || now.vote == before.vote);
        votes && now.boot > before.boot && later.committed >= self.committed
    }
}

/// A machine, whether its process runs or not.
pub struct Machine {
    /// Where it is.
    pub place: Place,
    /// Whose member it is.
    pub identity: Identity,
    /// How its cluster began.
    pub founding: Founding,
    /// It has lost a disk, and may be told so.
    pub has_lost_disk: bool,
    /// The newest life that went with such a disk.
    pub lost_life: BootId,
    /// How its replica is set.
    pub settings: Settings,
    /// What survives the process.
    pub disk: SimulatedDisk,
    /// How many bytes the disk has room for, as long as it is too small: processes that come and go do not change that.
    pub capacity: Option<u64>,
    /// What the last process had made durable.
    pub kept: Kept,
    /// What is the matter with the disk.
    pub condition: Condition,
    /// The process; `None` while it is down.
    pub replica: Option<Replica>,
    /// How many processes there were.
    pub life: u64,
    /// The newest (life, connection) of each peer that a frame has come from.
    pub newest: BTreeMap<Place, (u64, u64)>,
    /// Frames of connections up to this one were meant for an earlier process.
    pub deaf_until: u64,
    /// Until then the process stands still.
    pub paused_until: Time,
    /// So many ticks come at once when it goes on.
    pub burst: u64,
    /// How many ticks this process has had.
    pub ticks: u64,
    /// For so many ticks it gives no vote away.
    pub quiet: u64,
    /// The term in which it last heard a leader, and after how many ticks.
    pub heard: Option<(Term, u64)>,
    /// After how many ticks it has promised a leader something last.
    pub promised: Option<u64>,
    /// The process dies after carrying out so many more outputs.
    pub dies_after: Option<u64>,
    /// The tick at which the sync began that is under way.
    pub sync_since: Option<u64>,
    /// How fast its clocks run, in thousandths.
    pub speed: u64,
    /// What its wall clock is off by, in milliseconds.
    pub wall_ms: i64,
    /// Whether others said that it is no member any more, or that it has lost data.
    pub stopped: bool,
    /// Who watches here.
    pub watchers: Vec<Watcher>,
    /// The last position that its log ever had.
    pub highest: LogIndex,
    /// The newest term, commit and role that were seen of this process.
    pub seen: super::invariants::Seen,
}

impl Machine {
    /// A machine with an empty disk, down.
    #[must_use]
    pub fn new(place: Place, identity: Identity, founding: Founding, settings: Settings) -> Self {
        let is_founder = matches!(founding, Founding::InDoubt(_));
        Self {
            place,
            identity,
            founding,
            has_lost_disk: false,
            lost_life: BootId::default(),
            settings,
            disk: SimulatedDisk::new(),
            capacity: None,
            kept: Kept::default(),
            condition: if is_founder { Condition::Doubtful } else { Condition::Sound },
            replica: None,
            life: 0,
            newest: BTreeMap::new(),
            deaf_until: 0,
            paused_until: 0,
            burst: 0,
            ticks: 0,
            quiet: 0,
            heard: None,
            promised: None,
            dies_after: None,
            sync_since: None,
            speed: 1_000,
            wall_ms: 0,
            stopped: false,
            watchers: Vec::new(),
            highest: LogIndex::default(),
            seen: super::invariants::Seen::default(),
        }
    }

    /// Its member.
    #[must_use]
    pub fn member(&self) -> MemberId {
        self.identity.member
    }

    /// Whether its process runs and can do what a member does.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.replica.as_ref().is_some_and(|replica| replica.failure().is_none()) && !self.stopped
    }

    /// Whether its member stops as soon as it reads in the log of a later life than its own, which a disk was lost with.
    #[must_use]
    pub fn may_be_outlived(&self) -> bool {
        let life = self.replica.as_ref().map_or(self.kept.hard_state.boot, |replica| replica.raft().boot());
        life < self.lost_life
    }

    /// What its clocks show.
    #[must_use]
    pub fn moment(&self, now: Time) -> Moment {
        let running = now / MS * self.speed / 1_000;
        let wall = (EPOCH_MS + running).saturating_add_signed(self.wall_ms);
        Moment { wall: Timestamp::new(wall), running: Duration::from_millis(running) }
    }

    /// How long a tick of its takes.
    #[must_use]
    pub fn tick(&self) -> Time {
        10 * MS * 1_000 / self.speed
    }

    /// Lets the process stand still up to this time at least: what was put off to the end of a longer pause stays there.
    pub fn pause(&mut self, until: Time) {
        self.paused_until = self.paused_until.max(until);
    }

    /// Starts a process.
    ///
    /// # Errors
    ///
    /// Those of opening.
    pub fn start(&mut self, seed: u64) -> Result<(), OpenError> {
        self.life += 1;
        self.seen = super::invariants::Seen::default();
        self.newest.clear();
        self.dies_after = None;
        self.sync_since = None;
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let mut settings = self.settings.clone();
        settings.wal.salt_seed = seed;
        let replica = Replica::open(disk, settings, self.identity, self.founding.clone(), seed)?;
        // Who has never been in a term has promised nothing.
        let is_new = replica.raft().hard_state().term == Term::default();
        self.quiet = if is_new { 0 } else { u64::from(self.settings.raft.election_ticks_min) };
        (self.ticks, self.burst, self.heard, self.promised) = (0, 0, None, None);
        self.replica = Some(replica);
        Ok(())
    }

    /// Ends the process, as a kill does: what it wrote is there for the next one.
    pub fn kill(&mut self) {
        self.end();
        self.restart_disk();
    }

    /// Ends the process and what was not synced.
    pub fn lose_power(&mut self, seed: u64) {
        self.end();
        self.disk = self.disk.power_loss(seed);
        self.restart_disk();
    }

    /// Puts an empty disk in the place of the one that it has.
    pub fn lose_disk(&mut self) {
        self.disk = SimulatedDisk::new();
        self.lost_life = self.lost_life.max(self.kept.hard_state.boot);
        self.kept = Kept::default();
        self.highest = LogIndex::default();
        self.condition = Condition::Doubtful;
        self.has_lost_disk = true;
        self.restart_disk();
    }

    fn end(&mut self) {
        self.kept = Kept::on(&self.disk.durable());
        self.replica = None;
        self.watchers.clear();
    }

    fn restart_disk(&mut self) {
        self.disk.restart();
        self.disk.set_capacity(self.capacity);
    }

    /// Lets the disk have room for so many bytes only, or for any number again.
    pub fn set_capacity(&mut self, bytes: Option<u64>) {
        self.capacity = bytes;
        self.disk.set_capacity(bytes);
    }
}
