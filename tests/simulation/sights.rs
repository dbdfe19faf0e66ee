//! Rare turns of events, as they look from outside: told by what a member was given, what it did, and what became of it.

use spinney::internals::entry::EntryId;
use spinney::internals::raft::{Message, Role};
use spinney::internals::replica::{Answer, Input, Output};
use spinney::{LogIndex, MemberId, Term};

use super::invariants::Seen;
use super::network::Place;
use super::plan::MS;
use super::world::{Event, World};

/// What an input was, as far as it tells anything about what follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Cue {
    /// A tick.
    Tick,
    /// A read with this token.
    Read(u64),
    /// The offer of a snapshot.
    Offer(EntryId),
    /// Word that it was removed.
    Removed,
    /// Something that is nothing special.
    #[default]
    Other,
}

impl Cue {
    /// What `input` is.
    pub(super) fn of(input: &Input) -> Self {
        match input {
            Input::Tick => Self::Tick,
            Input::Read { token } => Self::Read(*token),
            Input::Receive(envelope) => match envelope.message {
                Message::SnapshotOffer { snapshot } => Self::Offer(snapshot),
                Message::Removed { .. } => Self::Removed,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

impl World {
    /// Looks at what a member has made of an input, before anybody else hears of it.
    pub(super) fn watch_step(&mut self, place: Place, cue: Cue, outputs: &[Output]) {
        let before = self.machines[place.0].seen;
        let Some(replica) = &self.machines[place.0].replica else { return };
        let raft = replica.raft();
        let leads = raft.role() == Role::Leader;
        match cue {
            Cue::Tick if before.role == Some(Role::Leader) && !leads => self.see_step_down(place, before),
            // Nobody else was asked, and it is not alone: others have promised something.
            Cue::Read(token) if leads && raft.config().voters.len() > 1 => {
                let is_answer = |output: &Output| matches!(output, Output::Answer { token: read, answer: Answer::Readable } if *read == token);
                if outputs.iter().any(is_answer) {
                    self.coverage.reach("a leader answered a read by its lease");
                }
            }
            Cue::Offer(snapshot)
                if snapshot.index <= before.committed
                    && sent(outputs).any(|message| matches!(message, Message::AppendAnswer { .. })) =>
            {
                self.coverage.reach("an old snapshot was refused");
            }
            Cue::Removed if outputs.iter().any(|output| matches!(output, Output::Stopped(_))) => {
                self.coverage.reach("a member that was removed was told");
            }
            _ => {}
        }
        if leads {
            self.see_loaded(place, outputs);
        }
        let installed = outputs
            .iter()
            .find_map(|output| if let Output::Installed(id) = output { Some(*id) } else { None });
        if let Some(snapshot) = installed {
            self.see_installed(place, before, snapshot);
        }
    }

    /// Who led leads no more, for nothing but that time has passed: its disk does not answer, or too few others do.
    fn see_step_down(&mut self, place: Place, before: Seen) {
        let machine = &self.machines[place.0];
        let Some(replica) = &machine.replica else { return };
        if replica.raft().hard_state().term != before.term {
            return;
        }
        let patience = u64::from(machine.settings.raft.election_ticks_max);
        let is_stalled = machine.sync_since.is_some_and(|since| machine.ticks - since > patience);
        self.coverage.reach(match is_stalled {
            true => "a leader whose disk stalled made way",
            false => "a leader that too few answered made way",
        });
    }

    /// Entries were sent that are more than what is kept in memory of those that were applied.
    fn see_loaded(&mut self, place: Place, outputs: &[Output]) {
        let machine = &self.machines[place.0];
        let Some(replica) = &machine.replica else { return };
        let (applied, kept) = (replica.applied().index.get(), machine.settings.raft.cache_bytes);
        let firsts = sent(outputs).filter_map(|message| match message {
            Message::Append { entries, .. } => entries.first().map(|entry| entry.id.index.get()),
            _ => None,
        });
        let is_loaded = |first: u64| {
            let applied = (first..=applied).filter_map(|index| self.witness.slot(LogIndex::new(index)));
            // What it takes in memory is a little more.
            applied.map(|slot| slot.encoded.len() as u64).sum::<u64>() > kept
        };
        if firsts.into_iter().any(is_loaded) {
            self.coverage.reach("entries were read from the log for a member that was behind");
        }
    }

    fn see_installed(&mut self, place: Place, before: Seen, snapshot: EntryId) {
        let Some(replica) = &self.machines[place.0].replica else { return };
        let now = replica.raft().last();
        if before.last.index >= snapshot.index && now == snapshot && before.last != snapshot {
            self.coverage.reach("a log gave way to a snapshot that it did not match");
        }
    }

    /// The leader has begun to hand over to `to`: it succeeds once that one leads, and not if who led still does.
    pub(super) fn expect_handover(&mut self, to: MemberId) {
        let Some((term, leader)) = self.leaders.last_key_value().map(|(term, leader)| (*term, *leader))
        else {
            return;
        };
        self.admin.handing_over = Some((term, to));
        let Some(place) = self.places.get(&leader).copied() else { return };
        let ticks = u64::from(self.machines[place.0].settings.raft.election_ticks_max);
        self.after(ticks * 11 * MS, Event::HandedOver { place, term });
    }

    /// By now the leadership was handed over, or the leader goes on.
    pub(super) fn judge_handover(&mut self, place: Place, term: Term) {
        let machine = &self.machines[place.0];
        let leads = machine.replica.as_ref().is_some_and(|replica| {
            replica.raft().role() == Role::Leader && replica.raft().hard_state().term == term
        });
        if leads && self.admin.handing_over.take_if(|(began, _)| *began == term).is_some() {
            self.coverage.reach("a handover came to nothing");
        }
    }

    /// Somebody was elected: perhaps the one whom the last leader made way for.
    pub(super) fn see_handover(&mut self, member: MemberId, term: Term) {
        if let Some((_, to)) = self.admin.handing_over.take_if(|(began, _)| *began < term)
            && to == member
        {
            self.report.transfers += 1;
            self.coverage.reach("leadership was handed over");
        }
    }
}

fn sent(outputs: &[Output]) -> impl Iterator<Item = &Message> {
    outputs
        .iter()
        .filter_map(|output| if let Output::Send(sent) = output { Some(&sent.message) } else { None })
}
