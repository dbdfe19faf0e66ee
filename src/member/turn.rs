//! One turn of the crank: from writes that wait to answers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use super::keeper::Log;
use super::pending::{Answer, Written};
use super::slot::Slot;
use super::{EXPIRY_PAUSE, Member, QUICK};
use crate::codec;
use crate::entry::{Entry, EntryId, Payload, WriteSet};
use crate::error::Error;
use crate::raft::{Input, Output, Raft, Role};
use crate::replica::run::{Audience, Run, Task};
use crate::tree::{Command, Effect, Refused};
use crate::types::Timestamp;
use crate::wal::Reserve;
use crate::watch::CatchUp;

/// A new term is two records: the vote, and the first entry, which may say who the members are.
const OFFICE_RECORDS: usize = 2;
const OFFICE_BYTES: usize = 256;

/// What only the one who turns may touch.
pub(super) struct Crank {
    pub(super) raft: Raft,
    /// `None` in memory.
    pub(super) log: Option<Log>,
    /// What this turn is to write.
    pub(super) batch: Vec<Proposal>,
    /// Proposed, not applied: in the order of the log.
    under_way: VecDeque<Proposal>,
    /// Why nothing can be written any more.
    pub(super) failure: Option<Arc<Error>>,
    outputs: Vec<Output>,
    run: Run<Reply>,
}

/// A write on its way.
pub(super) struct Proposal {
    command: Command,
    /// The command, encoded once: what the log stores.
    pub(super) payload: Arc<[u8]>,
    reply: Reply,
}

/// Whom the answer goes to. Dropped without one, it says that nobody knows.
pub(super) struct Reply(To);

enum To {
    /// The one who turns the crank, for a write of its own.
    Turner,
    Slot(Arc<Slot<Answer>>),
    Nobody,
}

impl Proposal {
    pub(super) fn new(command: Command, reply: Reply) -> Self {
        thread_local! {
            /// So that a payload is one allocation, of its own size.
            static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let payload = BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            codec::encode_into(&command, buffer);
            buffer.as_slice().into()
        });
        Self { command, payload, reply }
    }

    pub(super) fn answered_to(mut self, slot: &Arc<Slot<Answer>>) -> Self {
        self.reply = Reply::to(slot);
        self
    }
}

impl Reply {
    pub(super) fn turner() -> Self {
        Self(To::Turner)
    }

    pub(super) fn to(slot: &Arc<Slot<Answer>>) -> Self {
        Self(To::Slot(Arc::clone(slot)))
    }

    pub(super) fn nobody() -> Self {
        Self(To::Nobody)
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let To::Slot(slot) = &self.0 {
            let lost = Error::Unavailable { may_have_applied: true, cause: Arc::new(Error::Closed) };
            slot.answer(Err(lost));
        }
    }
}

impl Crank {
    pub(super) fn new(raft: Raft, log: Option<Log>) -> Self {
        Self {
            raft,
            log,
            batch: Vec::new(),
            under_way: VecDeque::new(),
            failure: None,
            outputs: Vec::new(),
            run: Run::default(),
        }
    }
}

impl Member {
    /// Writes the batch: all of it with one sync. Returns the answer to the turner's own write, if it had one.
    pub(super) fn turn(&self, crank: &mut Crank) -> Option<Answer> {
        let (mut own, began) = (None, self.now());
        self.admit(crank, &mut own);
        if !crank.batch.is_empty() {
            let payloads = crank.batch.iter().map(|write| Arc::clone(&write.payload)).collect();
            crank.under_way.extend(crank.batch.drain(..));
            self.step(crank, began, Input::Propose(payloads), &mut own);
        }
        self.keep(crank);
        if crank.log.as_ref().is_some_and(Log::waits_for_disk) {
            self.is_quick.store(self.now().since(began) <= QUICK, Ordering::Relaxed);
        }
        own
    }

    /// Steps the core and carries out what follows, until nothing does.
    fn step(&self, crank: &mut Crank, now: Timestamp, input: Input, own: &mut Option<Answer>) {
        let mut outputs = std::mem::take(&mut crank.outputs);
        crank.raft.step(now, input, &mut outputs);
        let mut next = 0;
        while next < outputs.len() {
            match std::mem::replace(&mut outputs[next], Output::Apply(Vec::new())) {
                Output::Persist { sequence, write } => {
                    let input = match self.persist(crank, &write) {
                        Ok(()) => Input::Persisted(sequence),
                        Err(error) => self.fail(crank, error, own),
                    };
                    crank.raft.step(now, input, &mut outputs);
                }
                Output::Apply(entries) => self.apply(crank, entries, own),
                // Admission is the owner's, and there are no peers.
                other => debug_assert!(false, "alone, nothing else is asked for: {other:?}"),
            }
            next += 1;
        }
        outputs.clear();
        crank.outputs = outputs;
    }

    fn persist(&self, crank: &mut Crank, write: &WriteSet) -> Result<(), Error> {
        match &mut crank.log {
            None => Ok(()),
            Some(log) => log.persist(write),
        }
    }

    /// Sees to it that this member leads. Alone there is nobody to wait for: it stands for election, wins it, and opens
    /// the term. That takes some room in the log; a disk that has none can still be read, and this is tried again.
    pub(super) fn take_office(&self, crank: &mut Crank) -> Result<(), String> {
        if crank.raft.role() == Role::Leader {
            return Ok(());
        }
        if let Some(log) = &mut crank.log {
            log.room(OFFICE_BYTES, OFFICE_RECORDS, Reserve::Freeing)?;
        }
        self.step(crank, self.now(), Input::Campaign, &mut None);
        Ok(())
    }

    /// Refuses what cannot be written now: all of it after a failure; what needs room, when there is none.
    fn admit(&self, crank: &mut Crank, own: &mut Option<Answer>) {
        if let Some(cause) = &crank.failure {
            let cause = Arc::clone(cause);
            let refused = || Error::Unavailable { may_have_applied: false, cause: Arc::clone(&cause) };
            self.put_expiry_off(Timestamp::new(u64::MAX));
            for write in crank.batch.drain(..) {
                self.answer(write.reply, Err(refused()), own);
            }
            return;
        }
        if let Err(full) = self.take_office(crank) {
            self.put_expiry_off(self.now().after(EXPIRY_PAUSE));
            self.refuse(crank, |_| true, &full, own);
        } else if let Err(full) = self.room_for(crank, |_| true) {
            self.refuse(crank, |write| !write.command.is_freeing(), &full, own);
            if let Err(full) = self.room_for(crank, |write| write.command.is_freeing()) {
                self.put_expiry_off(self.now().after(EXPIRY_PAUSE));
                self.refuse(crank, |_| true, &full, own);
            }
        }
    }

    fn refuse(
        &self,
        crank: &mut Crank,
        which: impl Fn(&Proposal) -> bool,
        what: &str,
        own: &mut Option<Answer>,
    ) {
        for write in crank.batch.extract_if(.., |write| which(write)) {
            self.answer(write.reply, Err(Error::NoSpace { what: what.to_owned() }), own);
        }
    }

    /// Whether there is room for those of the batch that `which` picks; else what is full.
    fn room_for(&self, crank: &mut Crank, which: impl Fn(&Proposal) -> bool) -> Result<(), String> {
        let picked = || crank.batch.iter().filter(|write| which(write));
        let ordinary = picked().any(|write| !write.command.is_freeing());
        let (writes, bytes) = (picked().count(), picked().map(|write| write.payload.len()).sum());
        if ordinary {
            let (taken, limit) = (self.tree().bytes(), self.settings.tree_bytes);
            if taken >= limit {
                return Err(format!("the tree takes {taken} bytes (setting `tree_bytes`: {limit})"));
            }
        }
        let Some(log) = &mut crank.log else { return Ok(()) };
        let reserve = if ordinary { Reserve::Ordinary } else { Reserve::Freeing };
        log.room(bytes, writes, reserve)
    }

    /// Stops all writing: what is under way may or may not be found when the directory is opened again.
    fn fail(&self, crank: &mut Crank, error: Error, own: &mut Option<Answer>) -> Input {
        let cause = Arc::new(error);
        for write in crank.under_way.drain(..) {
            let unknown = Error::Unavailable { may_have_applied: true, cause: Arc::clone(&cause) };
            self.answer(write.reply, Err(unknown), own);
        }
        crank.failure = Some(cause);
        Input::PersistFailed
    }

    /// Runs committed entries, tells watchers, then those who wrote.
    fn apply(&self, crank: &mut Crank, entries: Vec<Entry>, own: &mut Option<Answer>) {
        let Crank { run, under_way, .. } = crank;
        let tasks =
            entries.into_iter().filter_map(|Entry { id: EntryId { term, index }, time, payload, .. }| {
                self.applied.store(index.get(), Ordering::Relaxed);
                self.term.store(term.get(), Ordering::Relaxed);
                let Payload::Command(_) = payload else { return None };
                let Proposal { command, reply, .. } =
                    under_way.pop_front().expect("alone, a member proposes all that it applies");
                Some(Task { time, command, waits: reply })
            });
        run.all(&self.state, tasks, &mut Callers { member: self, own });
    }

    fn answer(&self, mut reply: Reply, answer: Answer, own: &mut Option<Answer>) {
        match std::mem::replace(&mut reply.0, To::Nobody) {
            To::Turner => *own = Some(answer),
            To::Slot(slot) => slot.answer(answer),
            To::Nobody => {}
        }
    }

    fn put_expiry_off(&self, until: Timestamp) {
        self.expire_after.store(until.get(), Ordering::Relaxed);
    }

    /// Waits while the log has outgrown its limit and a snapshot is about to shrink it. Where none can be taken,
    /// admission says so to those who write.
    pub(super) fn wait_for_log_room(&self, crank: &mut MutexGuard<'_, Crank>) {
        while crank.log.as_ref().is_some_and(Log::is_over_limit) {
            self.keep(crank);
            if !crank.log.as_ref().is_some_and(Log::is_saving) {
                return;
            }
            self.snapshot_ended.wait(crank);
        }
    }
}

/// Those who wrote, and the worker.
struct Callers<'a> {
    member: &'a Member,
    /// The answer to the turner's own write.
    own: &'a mut Option<Answer>,
}

impl Audience<Reply> for Callers<'_> {
    fn changed(&mut self, next_wake: Option<Timestamp>) {
        if let Some(alarm) = next_wake {
            self.member.round.alarm(self.member.clock.instant_of(alarm));
        }
    }

    fn lag(&mut self, catch_up: CatchUp) {
        self.member.serve(catch_up);
    }

    fn done(&mut self, reply: Reply, result: Result<&[Effect], Refused>) {
        self.member.answer(reply, result.map(written).map_err(Error::from), self.own);
    }
}

fn written(effects: &[Effect]) -> Written {
    match effects {
        [effect] => Written::One(Arc::clone(&effect.change)),
        effects => Written::Many(effects.iter().map(|effect| Arc::clone(&effect.change)).collect()),
    }
}
