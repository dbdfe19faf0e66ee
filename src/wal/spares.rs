//! Spares: segments that are prepared ahead, out of nothing or out of segments that are no longer needed.
//!
//! ```text
//!   nothing ── zeros, header ──► .wal.tmp ── rename ──► spare      each arrow is durable before the next one
//!   retired segment ── rename ──► .wal.tmp ── header ── rename ──► spare
//! ```
//! So a file with a segment's name always has its whole length and a durable header, and the segments that
//! there are always have consecutive sequences: the old ones go from the oldest on, new ones come at the end.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;

use super::UNFINISHED;
use super::disk::{Files, Region};
use super::error::WalError;
use super::log::Opening;
use super::record::{self, Seal};
use super::segment::{EmptySegment, Header, Identity, Position, name_of};

/// So many spares are kept when retired segments can be had for them; beyond that, those are removed.
const SPARES_MAX: usize = 2;

/// Larger writes leave large folios in the page cache. A sync writes whole folios back, for each record.
pub(super) const ZEROS: [u8; 4096] = [0; 4096];

/// Makes segments.
#[derive(Clone, Debug)]
pub(super) struct Maker {
    pub(super) files: Files,
    pub(super) identity: Identity,
    pub(super) segment_bytes: u32,
    pub(super) salt_seed: u64,
}

impl Maker {
    /// Makes a segment out of nothing.
    pub(super) fn make(&self, sequence: u64) -> Result<EmptySegment, WalError> {
        let unfinished = name_of(sequence) + UNFINISHED;
        let made = self.fill(&unfinished).and_then(|()| self.finish(&unfinished, sequence));
        if made.is_err() {
            self.files.discard(&unfinished);
        }
        made
    }

    /// Makes a segment out of nothing that has its opening record when it gets its name; says where that ends.
    pub(super) fn make_first(
        &self,
        sequence: u64,
        opening: &Opening,
    ) -> Result<(EmptySegment, u32), WalError> {
        let unfinished = name_of(sequence) + UNFINISHED;
        let start = Position::start_of(sequence);
        let mut end = start.offset;
        let made = self.fill(&unfinished).and_then(|()| {
            self.finish_with(&unfinished, sequence, |header, region| {
                let mut record = Vec::new();
                record::encode(&mut record, opening);
                Seal::new(header.salt).close(&mut record, start.offset, start);
                region.write(start.offset as usize, &record);
                end += record.len() as u32;
            })
        });
        if made.is_err() {
            self.files.discard(&unfinished);
        }
        made.map(|segment| (segment, end))
    }

    /// Writes every byte: a hole on a full disk would be a SIGBUS when it is stored to through the map, and
    /// blocks that are reserved but unwritten make every sync a commit of the file system's journal.
    fn fill(&self, name: &str) -> Result<(), WalError> {
        let mut file = self.files.create(name)?;
        for _ in 0..self.segment_bytes as usize / ZEROS.len() {
            file.write_all(&ZEROS).map_err(self.files.on("write", name))?;
        }
        file.sync().map_err(self.files.on("sync", name))
    }

    /// Makes a segment out of the retired one called `from`. Its bytes stay: under the new salt they are
    /// nothing.
    fn make_from(&self, from: u64, sequence: u64) -> Result<EmptySegment, WalError> {
        let unfinished = name_of(sequence) + UNFINISHED;
        let moved = self.files.rename(&name_of(from), &unfinished);
        let made = moved.and_then(|()| self.finish(&unfinished, sequence));
        if made.is_err() {
            self.files.discard(&unfinished);
        }
        made
    }

    /// Gives a file of the right length its header, then its name.
    fn finish(&self, unfinished: &str, sequence: u64) -> Result<EmptySegment, WalError> {
        self.finish_with(unfinished, sequence, |_, _| {})
    }

    /// The same, with what `write` adds to the header.
    fn finish_with(
        &self,
        unfinished: &str,
        sequence: u64,
        write: impl FnOnce(&Header, &mut dyn Region),
    ) -> Result<EmptySegment, WalError> {
        let header = Header::new(self.identity, sequence, self.segment_bytes, self.salt_seed);
        let mut region = self.files.map(unfinished)?;
        region.write(0, &header.encode_block());
        write(&header, &mut *region);
        region.syncer().sync().map_err(self.files.on("sync", unfinished))?;
        self.files.rename(unfinished, &name_of(sequence))?;
        Ok(EmptySegment { header, region })
    }

    fn run(&self, plan: Plan) -> Result<Option<EmptySegment>, WalError> {
        match plan {
            Plan::Make { sequence } => self.make(sequence).map(Some),
            Plan::MakeFrom { retired, sequence } => self.make_from(retired, sequence).map(Some),
            // An attempt to use it again may have taken its name before it failed.
            Plan::Remove { retired } => {
                if self.files.names()?.contains(&name_of(retired)) {
                    self.files.remove(&name_of(retired))?;
                }
                self.files.sync_directory().map(|()| None)
            }
        }
    }
}

/// The next thing to do about spares.
#[derive(Clone, Copy, Debug)]
enum Plan {
    /// Make a spare out of nothing.
    Make { sequence: u64 },
    /// Make a spare out of the oldest retired segment.
    MakeFrom { retired: u64, sequence: u64 },
    /// Remove the oldest retired segment.
    Remove { retired: u64 },
}

/// Work on the spares that takes its time, to be run on another thread.
///
/// The log takes what came of it when it next needs a spare, and does the work itself when it needs one
/// before that. A job that is dropped was not done.
pub struct SpareJob {
    maker: Maker,
    plan: Plan,
    progress: Arc<Mutex<Progress>>,
}

impl SpareJob {
    /// Does the work; the log waits for it, should it need a spare meanwhile.
    ///
    /// # Errors
    ///
    /// Those of the disk, to be reported: the log has learned of them. [`WalError::NoSpace`] is not final.
    pub fn run(self) -> Result<(), WalError> {
        let mut progress = self.progress.lock();
        if !matches!(*progress, Progress::Waiting) {
            return Ok(());
        }
        match self.maker.run(self.plan) {
            Ok(made) => {
                *progress = Progress::Done(made);
                Ok(())
            }
            Err(error) => {
                *progress = Progress::Failed(error.why());
                Err(error)
            }
        }
    }
}

/// How far a job is.
enum Progress {
    Waiting,
    Done(Option<EmptySegment>),
    /// And why.
    Failed(String),
    /// The log no longer waits for it.
    Settled,
}

/// A segment that the log no longer needs.
struct Retired {
    sequence: u64,
    /// It has the length that spares have, and no attempt to make it one has failed.
    reusable: bool,
}

/// The spares there are, and what they will be made of.
pub(super) struct Pool {
    maker: Maker,
    spares: VecDeque<EmptySegment>,
    /// What the next spare will be.
    next_sequence: u64,
    /// Oldest first. They go in this order, so that no gap ever opens between those that stay.
    retired: VecDeque<Retired>,
    /// The job that was given out.
    given: Option<(Plan, Arc<Mutex<Progress>>)>,
    /// Why the last attempt at a spare failed, if it did.
    failed: Option<String>,
}

impl Pool {
    /// The spares of a log whose active segment is the one before `next_sequence`, if there are no `spares`.
    pub(super) fn new(maker: Maker, spares: VecDeque<EmptySegment>, next_sequence: u64) -> Self {
        let next_sequence = next_sequence + spares.len() as u64;
        Self { maker, spares, next_sequence, retired: VecDeque::new(), given: None, failed: None }
    }

    /// How many spares are ready.
    pub(super) fn ready(&self) -> usize {
        self.spares.len()
    }

    /// Whether the last attempt at a spare failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Hands a segment over that the log no longer needs. It is newer than those handed over before.
    pub(super) fn retire(&mut self, sequence: u64, bytes: u32) {
        self.retired.push_back(Retired { sequence, reusable: bytes == self.maker.segment_bytes });
    }

    /// Work that is due. After a failure each call asks for another attempt.
    pub(super) fn job(&mut self) -> Option<SpareJob> {
        self.settle(Patience::None);
        if self.given.is_some() {
            return None;
        }
        let plan = self.plan()?;
        let progress = Arc::new(Mutex::new(Progress::Waiting));
        self.given = Some((plan, Arc::clone(&progress)));
        Some(SpareJob { maker: self.maker.clone(), plan, progress })
    }

    /// The next spare, which is made now if none is ready.
    pub(super) fn take(&mut self) -> Result<EmptySegment, WalError> {
        self.ensure_one()?;
        self.spares.pop_front().ok_or_else(|| self.no_space())
    }

    /// Makes a spare now if none is ready, unless the last attempt failed.
    pub(super) fn ensure_one(&mut self) -> Result<(), WalError> {
        if !self.spares.is_empty() {
            return Ok(());
        }
        self.settle(Patience::Full);
        while self.spares.is_empty() {
            if self.failed.is_some() {
                return Err(self.no_space());
            }
            let Some(plan) = self.plan() else { break };
            match self.maker.run(plan) {
                Ok(made) => self.done(plan, made),
                Err(error) => {
                    self.fail(plan, error.why());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Why there is no spare.
    pub(super) fn no_space(&self) -> WalError {
        let why = self.failed.clone().unwrap_or_else(|| "none is ready".to_owned());
        WalError::NoSpace { path: self.maker.files.path(&name_of(self.next_sequence)), why }
    }

    fn plan(&self) -> Option<Plan> {
        let sequence = self.next_sequence;
        match self.retired.front() {
            Some(Retired { sequence: retired, reusable: true }) if self.spares.len() < SPARES_MAX => {
                Some(Plan::MakeFrom { retired: *retired, sequence })
            }
            Some(Retired { sequence: retired, .. }) => Some(Plan::Remove { retired: *retired }),
            None if self.spares.is_empty() => Some(Plan::Make { sequence }),
            None => None,
        }
    }

    /// Takes note of what came of the job that was given out.
    pub(super) fn settle(&mut self, patience: Patience) {
        let Some((plan, shared)) = &self.given else { return };
        let plan = *plan;
        let outcome = {
            let progress = match patience {
                Patience::Full => Some(shared.lock()),
                Patience::None => shared.try_lock(),
            };
            let Some(mut progress) = progress else { return };
            let may_be_run = patience == Patience::None && Arc::strong_count(shared) > 1;
            if matches!(*progress, Progress::Waiting) && may_be_run {
                return;
            }
            mem::replace(&mut *progress, Progress::Settled)
        };
        self.given = None;
        match outcome {
            Progress::Done(made) => self.done(plan, made),
            Progress::Failed(why) => self.fail(plan, why),
            Progress::Waiting | Progress::Settled => {}
        }
    }

    fn done(&mut self, plan: Plan, made: Option<EmptySegment>) {
        if matches!(plan, Plan::MakeFrom { .. } | Plan::Remove { .. }) {
            self.retired.pop_front();
        }
        if let Some(spare) = made {
            assert_eq!(spare.header.sequence, self.next_sequence, "spares come in order");
            self.spares.push_back(spare);
            self.next_sequence += 1;
        }
        self.failed = None;
    }

    fn fail(&mut self, plan: Plan, why: String) {
        if let (Plan::MakeFrom { .. }, Some(oldest)) = (plan, self.retired.front_mut()) {
            oldest.reusable = false;
        }
        self.failed = Some(why);
    }
}

/// Whether to wait for a job that is running, and to do without one that is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    None,
    Full,
}

impl Drop for Pool {
    /// Nobody works in the directory after the log is gone.
    fn drop(&mut self) {
        self.settle(Patience::Full);
    }
}
