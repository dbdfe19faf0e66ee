//! What a process is given, and what comes of what it asks for.

use spinney::internals::codec;
use spinney::internals::raft::{Envelope, Message};
use spinney::internals::replica::{Input, Job, Output, SyncJob};

use super::machine::Condition;
use super::network::{Frame, Place};
use super::plan::{Fault, MS, SECOND};
use super::sights::Cue;
use super::world::{Event, World};

impl World {
    pub(super) fn arrive(&mut self, frame: Frame) {
        let place = frame.to;
        if self.machines[place.0].replica.is_none() {
            return;
        }
        let Some(Event::Arrive(frame)) = self.unless_paused(place, Event::Arrive(frame)) else { return };
        let machine = &mut self.machines[place.0];
        if frame.connection <= machine.deaf_until {
            return;
        }
        let newest = machine.newest.entry(frame.from).or_default();
        if (frame.life, frame.connection) < *newest {
            return self.coverage.reach("a frame of an older connection was dropped");
        }
        *newest = (frame.life, frame.connection);
        self.note(u64::from(crc32fast::hash(&frame.bytes)));
        let Some(envelope) = open_frame(&frame.bytes) else {
            // Whoever sends such bytes is not to be trusted with the next ones: what else is under way on this connection
            // goes with it.
            let newer = (frame.life, frame.connection + 1);
            self.machines[place.0].newest.insert(frame.from, newer);
            self.coverage.reach("a corrupt frame was refused");
            return self.break_link(frame.from, place);
        };
        let (leader, term) = (frame.from, envelope.term);
        let is_word = is_word_of_leader(&envelope, self.plan.has(Fault::FullDisk));
        self.has_promised = false;
        self.step(place, Input::Receive(envelope));
        if is_word {
            self.note_heard(place, leader, term);
        }
    }

    pub(super) fn end_sync(&mut self, place: Place, life: u64, job: SyncJob, began: u64) {
        if !self.is_life(place, life) {
            return;
        }
        let paused = self.unless_paused(place, Event::Sync { place, life, job, began });
        let Some(Event::Sync { job, .. }) = paused else { return };
        let mut told = Vec::new();
        let result =
            self.machines[place.0].disk.ending_sync(began, || job.run(|envelope| told.push(envelope)));
        for envelope in told {
            self.send(place, life, &envelope);
        }
        self.machines[place.0].sync_since = None;
        self.report.syncs += 1;
        self.step(place, Input::Synced(result));
    }

    pub(super) fn end_job(&mut self, place: Place, life: u64, job: Job) {
        if !self.is_life(place, life) {
            return;
        }
        let Some(Event::Job { job, .. }) = self.unless_paused(place, Event::Job { place, life, job }) else {
            return;
        };
        if job.name() == "save a snapshot" {
            self.coverage.reach("a snapshot was saved");
            self.report.snapshots_saved += 1;
        }
        let done = job.run();
        self.step(place, Input::Done(done));
    }

    /// Gives a process an input, and carries out what it asks for.
    pub(super) fn step(&mut self, place: Place, input: Input) {
        let now = self.now;
        let machine = &mut self.machines[place.0];
        let moment = machine.moment(now);
        let Some(replica) = &mut machine.replica else { return };
        let cue = Cue::of(&input);
        let more_waits = is_answer(&input) && now.is_multiple_of(2);
        let mut outputs = Vec::new();
        replica.step(moment, input, &mut outputs);
        if !more_waits {
            replica.flush(moment, &mut outputs);
        }
        if machine.disk.has_stopped() {
            // It died at some point in there; nobody heard of what came after it.
            return self.die(place, false);
        }
        self.watch_step(place, cue, &outputs);
        self.expose(place, &outputs);
        for output in outputs {
            if let Some(left) = &mut self.machines[place.0].dies_after {
                if *left == 0 {
                    let power = self.faults.one_in(2) && self.plan.has(Fault::PowerLoss);
                    return self.die(place, power);
                }
                *left -= 1;
            }
            self.carry_out(place, cue, output);
            if self.machines[place.0].replica.is_none() {
                return;
            }
        }
        self.check(place);
        self.forget_knowers(place);
    }

    /// The moment at which most can be lost: something was said, and what it relies on is on its way to the disk. Above
    /// all a vote.
    fn expose(&mut self, place: Place, outputs: &[Output]) {
        if !self.plan.has(Fault::PowerLoss) || self.is_calm || self.machines[place.0].sync_since.is_none() {
            return;
        }
        let sent = || {
            outputs
                .iter()
                .filter_map(|output| if let Output::Send(sent) = output { Some(sent) } else { None })
        };
        let vote = sent().find(|sent| matches!(sent.message, Message::VoteAnswer { granted: true, .. }));
        let vote = vote.filter(|_| self.plan.has(Fault::Upheaval));
        let odds = if vote.is_some() { 2 } else { self.exposure };
        if sent().next().is_none() || !self.faults.one_in(odds) {
            return;
        }
        let count = outputs.len() as u64;
        self.machines[place.0].dies_after =
            Some(if vote.is_some() { count } else { self.faults.below(count + 2) });
        if let Some(candidate) = vote.and_then(|vote| self.places.get(&vote.to)) {
            self.forsake(*candidate);
        }
    }

    fn carry_out(&mut self, place: Place, cue: Cue, output: Output) {
        let life = self.machines[place.0].life;
        match output {
            Output::Send(envelope) => {
                self.check_answer(place, &envelope.message);
                let is_request = matches!(envelope.message, Message::SnapshotRequest { offset: 1.., .. });
                if is_request && matches!(cue, Cue::Offer(_)) {
                    self.coverage.reach("a snapshot went on where it was");
                }
                self.send(place, life, &envelope);
            }
            Output::Sync(job) => {
                let began = self.machines[place.0].disk.writes();
                self.machines[place.0].sync_since = Some(self.machines[place.0].ticks);
                let is_slow =
                    !self.is_calm && self.plan.has(Fault::SlowSync) && self.disks.chance(self.plan.slow_sync);
                let usual = if self.is_calm { self.plan.sync.min(2 * MS) } else { self.plan.sync };
                let takes = if is_slow { 2 * SECOND } else { usual };
                let delay = 10 + self.disks.exponential(takes);
                self.after(delay, Event::Sync { place, life, job, began });
            }
            Output::Run(job) => {
                let takes = if self.is_calm { self.plan.job.min(20 * MS) } else { self.plan.job };
                let delay = 10 + self.disks.exponential(takes);
                if !self.is_calm {
                    self.slow_jobs_until = self.slow_jobs_until.max(self.now + delay);
                }
                self.after(delay, Event::Job { place, life, job });
            }
            Output::Answer { token, answer } => self.answered(place, token, answer),
            Output::Applied(entries) => {
                let replica = self.machines[place.0].replica.as_ref();
                let term = replica.map(|replica| replica.raft().hard_state().term).unwrap_or_default();
                for entry in &entries {
                    let noted = self.witness.applied(entry, term);
                    let member = self.machines[place.0].member();
                    self.require_ok(noted.map_err(|what| format!("{member}: {what}")));
                }
                self.applied(&entries);
            }
            Output::Installed(_) => {
                self.report.snapshots_installed += 1;
                self.coverage.reach("a snapshot was installed");
            }
            Output::Saved(_) => {}
            Output::Stopped(stop) => self.stopped(place, stop),
            Output::Failed(error) => {
                if error.is_damage() {
                    let condition = self.machines[place.0].condition;
                    self.require(condition == Condition::Rotten, || {
                        format!("a sound disk is damaged: {error}")
                    });
                    self.coverage.reach("damage was found by a process that ran");
                }
                self.coverage.reach("a sync failed and its member was opened again");
                let delay = self.disks.below(MS);
                self.after(delay, Event::Die { place, life, power: false });
            }
            Output::Fault { member, what } => {
                let by = self.machines[place.0].member();
                self.require(false, || format!("{by} finds that {member} says what it cannot say: {what}"));
            }
        }
    }

    pub(super) fn send(&mut self, from: Place, life: u64, envelope: &Envelope) {
        let Some(&to) = self.places.get(&envelope.to) else { return };
        self.report.messages += 1;
        self.spoken.note(&envelope.message);
        self.check_said(from, envelope);
        for (time, frame) in self.network.send(self.now, from, to, life, frame_of(envelope)) {
            let delay = time - self.now;
            self.after(delay, Event::Arrive(frame));
        }
    }
}

/// A message as it is on the wire: its encoding, and a checksum.
fn frame_of(envelope: &Envelope) -> Vec<u8> {
    let mut bytes = codec::encode(envelope);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// What a frame holds; `None` if it was corrupted.
pub(super) fn open_frame(bytes: &[u8]) -> Option<Envelope> {
    let (content, crc) = bytes.split_last_chunk::<4>()?;
    (crc32fast::hash(content) == u32::from_le_bytes(*crc)).then(|| codec::decode(content).ok()).flatten()
}

/// Whether what follows may wait for a while: an owner has nothing more at hand some of the time only. Ticks come in any case.
fn is_answer(input: &Input) -> bool {
    matches!(input, Input::Receive(Envelope { message: Message::AppendAnswer { .. }, .. }))
}

/// Whether this is word from a leader, that the member that it is for takes in any case: of entries there may be too many for
/// a disk that `may_be_full`.
fn is_word_of_leader(envelope: &Envelope, may_be_full: bool) -> bool {
    match &envelope.message {
        Message::Append { entries, .. } => entries.is_empty() || !may_be_full,
        Message::SnapshotOffer { .. } | Message::Committed { .. } => true,
        _ => false,
    }
}
