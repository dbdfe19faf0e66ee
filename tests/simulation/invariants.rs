//! What must hold after every event, whatever happens.

use std::collections::BTreeMap;
use std::sync::Arc;

use spinney::internals::codec;
use spinney::internals::entry::{Config, Entry, EntryId, Payload};
use spinney::internals::raft::Role;
use spinney::internals::wal::{Disk, Recovery, ReplayError, SimulatedDisk};
use spinney::{LogIndex, MemberId, Term};

use super::machine::{Condition, Kept, Machine};
use super::network::Place;
use super::plan::{Fault, MS};
use super::world::{Event, World};

/// A disk with less room than this has none for another segment.
const FULL_BYTES: u64 = 16 << 10;

/// What was seen of a process: none of it ever goes back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Its term.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<MemberId>,
    /// How far it knows the log to be committed.
    pub committed: LogIndex,
    /// How far its tree is.
    pub applied: EntryId,
    /// What it did.
    pub role: Option<Role>,
    /// How far its log goes.
    pub last: EntryId,
    /// Where the newest configuration stands that it knows of.
    pub config: LogIndex,
}

/// What one disk says of the log.
#[derive(Debug, Default)]
pub struct Image {
    /// What a snapshot covers.
    pub covered: EntryId,
    /// The entries, with the checksum of each.
    pub entries: BTreeMap<LogIndex, (EntryId, u32)>,
    /// The configurations among them.
    pub configs: Vec<(LogIndex, Config)>,
}

impl Image {
    /// Reads `disk` as a process would that is started on it now.
    ///
    /// # Errors
    ///
    /// When it would be refused.
    pub fn read(disk: &SimulatedDisk) -> Result<Self, String> {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let recovery = Recovery::scan(disk).map_err(|error| error.to_string())?;
        let covered = recovery.snapshot_mark().unwrap_or_default();
        let (mut entries, mut configs) = (BTreeMap::new(), Vec::new());
        let replayed = recovery.replay(recovery.first_index(), |entry: Entry| {
            entries.insert(entry.id.index, (entry.id, crc32fast::hash(&codec::encode(&entry))));
            if let Payload::Config(config) = entry.payload {
                configs.push((entry.id.index, *config));
            }
            Ok::<(), std::convert::Infallible>(())
        });
        match replayed {
            Ok(()) => Ok(Self { covered, entries, configs }),
            Err(ReplayError::Log(error)) => Err(error.to_string()),
            Err(ReplayError::Receiver(never)) => match never {},
        }
    }

    /// How far the log goes.
    #[must_use]
    pub fn last(&self) -> LogIndex {
        self.entries.last_key_value().map_or(self.covered.index, |(index, _)| *index)
    }

    /// Whether it has the entry `id`, by itself or in its snapshot.
    #[must_use]
    pub fn has(&self, id: EntryId) -> bool {
        self.covered.index >= id.index || self.entries.get(&id.index).is_some_and(|(found, _)| *found == id)
    }
}

impl World {
    /// Checks what the last event can have broken at `place`.
    ///
    /// # Panics
    ///
    /// When something does not hold.
    pub(super) fn check(&mut self, place: Place) {
        let machine = &self.machines[place.0];
        let Some(replica) = &machine.replica else { return };
        let (raft, member) = (replica.raft(), machine.member());
        let before = machine.seen;
        let now = Seen {
            term: raft.hard_state().term,
            vote: raft.hard_state().vote,
            committed: raft.committed(),
            applied: replica.applied(),
            role: Some(raft.role()),
            last: raft.last(),
            config: raft.config_index(),
        };
        if now.last.index < before.last.index
            || now.last.term > before.last.term && now.last.index == before.last.index
        {
            self.coverage.reach("an uncommitted tail was truncated");
        }
        if now.config < before.config && now.last.index < before.config {
            self.coverage.reach("a configuration was undone with its entry");
        }
        self.require(now.term >= before.term, || {
            format!("{member}: the term went back, {before:?} to {now:?}")
        });
        let has_changed = now.term == before.term && before.vote.is_some() && now.vote != before.vote;
        self.require(!has_changed, || {
            format!("{member}: the vote has changed within a term, {before:?} to {now:?}")
        });
        self.require(now.committed >= before.committed, || {
            format!("{member}: what is committed went back, {before:?} to {now:?}")
        });
        self.require(now.applied.index >= before.applied.index, || {
            format!("{member}: what is applied went back, {before:?} to {now:?}")
        });
        self.trust(place);
        let machine = &mut self.machines[place.0];
        machine.seen = now;
        machine.highest = machine.highest.max(now.last.index);
        if now.applied != before.applied {
            self.check_tree(place);
        }
        if now.role == Some(Role::Leader) {
            if before.role != Some(Role::Leader) || before.term != now.term {
                self.elected(place, now.term);
                self.upheave(place);
            } else if now.config > before.config {
                self.upheave(place);
            }
            if now.committed > before.committed && self.checks.one_in(self.check_every) {
                self.check_quorum(place, now.committed);
            }
        } else if before.role == Some(Role::Leader) {
            self.coverage.reach("a leader stepped down");
        }
        let campaigned = matches!(before.role, Some(Role::Candidate | Role::PreCandidate));
        if campaigned && now.role == Some(Role::Follower) {
            self.coverage.reach("a member campaigned in vain");
        }
    }

    /// A new process has not forgotten what the one before had made durable, unless the disk has.
    pub(super) fn check_kept(&mut self, place: Place) {
        let machine = &self.machines[place.0];
        let Some(replica) = &machine.replica else { return };
        if machine.condition != Condition::Sound {
            return;
        }
        let raft = replica.raft();
        let now = Kept { hard_state: raft.hard_state(), committed: raft.committed() };
        self.require(machine.kept.is_kept_by(&now), || {
            format!("{} had {:?} on its disk, and begins again with {now:?}", machine.member(), machine.kept)
        });
        if machine.capacity.is_some_and(|bytes| machine.disk.bytes() + FULL_BYTES > bytes) {
            self.coverage.reach("a process was started on a full disk");
        }
    }

    /// A member's tree is what the naive one was at the same place of the log.
    fn check_tree(&mut self, place: Place) {
        let wholly = self.is_calm || self.checks.one_in(self.check_every);
        let Some(replica) = &self.machines[place.0].replica else { return };
        let applied = replica.applied().index;
        let compared = {
            let tree = replica.state().tree();
            self.witness.compare(applied, tree.index().get(), wholly.then(|| tree.root()))
        };
        let member = self.machines[place.0].member();
        self.require_ok(compared.map_err(|what| format!("{member}: {what}")));
    }

    /// Nobody else ever led in this term, and whoever leads has all that was ever committed in terms before.
    fn elected(&mut self, place: Place, term: Term) {
        let member = self.machines[place.0].member();
        let first = *self.leaders.entry(term).or_insert(member);
        self.require(first == member, || format!("{first} and {member} both lead in term {term}"));
        self.coverage.reach("a leader was elected");
        self.see_handover(member, term);
        self.report.elections += 1;
        if self.plan.has(Fault::Membership) && !self.is_calm && self.faults.one_in(2) {
            let soon = self.faults.exponential(5 * MS);
            self.after(soon, Event::Knock(place));
        }
        let down = self.machines.iter().any(|machine| machine.replica.is_none());
        if down {
            self.coverage.reach("a member was down when leadership changed");
        }
        if self.machines[place.0].replica.as_ref().is_some_and(|replica| replica.raft().config().is_joint()) {
            self.coverage.reach("a configuration was joint across an election");
        }
        let image = Image::read(&self.machines[place.0].disk);
        let image = match image {
            Ok(image) => image,
            // It rots under a process that has not noticed, and all that it has is in memory.
            Err(_) if self.machines[place.0].condition == Condition::Rotten => return,
            Err(error) => return self.require(false, || format!("{member} leads on a bad log: {error}")),
        };
        for index in image.covered.index.get() + 1..=self.witness.last().get() {
            let Some(slot) = self.witness.slot(LogIndex::new(index)) else { continue };
            // Who wins an election after it was overtaken by a later one is nobody's leader.
            self.require(slot.known_in >= term || image.has(slot.id), || {
                format!("{member} leads in term {term} without {:?}, committed in {}", slot.id, slot.known_in)
            });
        }
    }

    /// What a leader takes for committed is on a majority of disks, should all power fail now.
    fn check_quorum(&mut self, place: Place, committed: LogIndex) {
        let Some(replica) = &self.machines[place.0].replica else { return };
        let config = replica.raft().config().clone();
        let Ok(own) = Image::read(&self.machines[place.0].disk) else { return };
        let Some(&(id, _)) = own.entries.get(&committed) else { return };
        let images: BTreeMap<MemberId, Image> = self
            .machines
            .iter()
            .filter(|machine| config.is_voter(machine.member()) && machine.condition != Condition::Lost)
            .filter_map(|machine| Some((machine.member(), Image::read(&machine.disk.durable()).ok()?)))
            .collect();
        let has = |member: &MemberId| {
            images.get(member).is_some_and(|image| image.has(id))
                // What a lost disk had counted while it was there.
                || self.machines.iter().any(|machine| machine.member() == *member && is_out(machine))
        };
        let majority = |members: &std::collections::BTreeSet<MemberId>| {
            members.is_empty() || members.iter().filter(|member| has(member)).count() * 2 > members.len()
        };
        let held = majority(&config.voters) && majority(&config.outgoing);
        let term = replica.raft().hard_state().term;
        self.require(id.term == term, || format!("{id:?} is taken for committed by counting in term {term}"));
        self.require(held, || {
            format!(
                "{id:?} is taken for committed and is not on a majority of the disks of {}",
                show(&config)
            )
        });
        self.report.quorums_checked += 1;
    }

    /// No two logs differ before a place where they have the same entry.
    pub(super) fn check_matching(&mut self) {
        let images: Vec<(MemberId, Image)> = self
            .machines
            .iter()
            .filter(|machine| machine.condition == Condition::Sound)
            .filter_map(|machine| Some((machine.member(), Image::read(&machine.disk).ok()?)))
            .collect();
        for (at, (one, first)) in images.iter().enumerate() {
            for (other, second) in &images[at + 1..] {
                let mut common = first.entries.iter().rev().filter_map(|(index, mine)| {
                    second.entries.get(index).map(|theirs| (index, mine, theirs))
                });
                // From the end on: once the names agree, all before has to be the same.
                let mut agreed = false;
                let differ = common.find(|(_, mine, theirs)| {
                    agreed |= mine.0 == theirs.0;
                    agreed && mine != theirs
                });
                self.require(differ.is_none(), || {
                    format!("the logs of {one} and {other} differ: {differ:?}")
                });
            }
        }
    }
}

fn is_out(machine: &Machine) -> bool {
    machine.condition != Condition::Sound
}

/// A configuration in a few words.
#[must_use]
pub fn show(config: &Config) -> String {
    format!("voters {:?}, outgoing {:?}, learners {:?}", config.voters, config.outgoing, config.learners)
}
