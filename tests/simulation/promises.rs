//! What members say binds them, whatever has happened to them since.

use std::collections::BTreeMap;

use spinney::internals::raft::{Envelope, Message};
use spinney::{LogIndex, MemberId, Term, Timestamp};

use super::machine::Condition;
use super::network::Place;
use super::world::World;

/// What was said that counts for as long as a term does.
#[derive(Debug, Default)]
pub struct Said {
    /// For whom each member has voted.
    votes: BTreeMap<(MemberId, Term), MemberId>,
    /// How much of its log, each leader has said, each member has.
    matched: BTreeMap<(MemberId, Term, MemberId), LogIndex>,
}

impl World {
    /// A machine was given word from the leader of `term`.
    pub(super) fn note_heard(&mut self, place: Place, leader: Place, term: Term) {
        let leader = self.machines[leader.0].member();
        let machine = &mut self.machines[place.0];
        let raft = machine.replica.as_ref().map(|replica| replica.raft());
        let has_taken =
            raft.is_some_and(|raft| raft.leader() == Some(leader) && raft.hard_state().term == term);
        if has_taken {
            machine.heard = Some((term, machine.ticks));
            // Whatever it is set to: a leader that is told so counts on it.
            if self.has_promised || machine.settings.raft.lease.is_some() {
                machine.promised = Some(machine.ticks);
            }
        }
    }

    /// The connection to the leader has broken: that frees from having heard it, unless something was promised.
    pub(super) fn note_cut_off(&mut self, place: Place, peer: MemberId) {
        let machine = &mut self.machines[place.0];
        if machine.replica.as_ref().is_some_and(|replica| replica.raft().leader() == Some(peer)) {
            machine.heard = None;
        }
    }

    /// What a member says in the present step: whether it may say that, and what it promises by it.
    pub(super) fn check_answer(&mut self, place: Place, message: &Message) {
        match message {
            Message::PreVoteAnswer { granted: true, .. } => self.check_loyal(place),
            Message::AppendAnswer { promised, .. } => self.has_promised |= *promised > Timestamp::default(),
            _ => {}
        }
    }

    /// Who hears a leader, or may have promised something before it was started anew, helps nobody against it.
    fn check_loyal(&self, place: Place) {
        let machine = &self.machines[place.0];
        let Some(replica) = &machine.replica else { return };
        let patience = u64::from(machine.settings.raft.election_ticks_min);
        let is_recent = |ticks: u64| machine.ticks - ticks < patience;
        let has_heard = machine
            .heard
            .is_some_and(|(term, ticks)| term == replica.raft().hard_state().term && is_recent(ticks));
        let is_bound = has_heard || machine.promised.is_some_and(is_recent);
        self.require(machine.ticks >= machine.quiet && !is_bound, || {
            format!(
                "{} would vote after {} ticks, is quiet for {}, has heard a leader {:?}, and promised it {:?}",
                machine.member(),
                machine.ticks,
                machine.quiet,
                machine.heard,
                machine.promised
            )
        });
    }

    /// What leaves a machine does not contradict what left it before, in an earlier life perhaps.
    pub(super) fn check_said(&mut self, place: Place, envelope: &Envelope) {
        let Envelope { from, to, term, ref message } = *envelope;
        // A disk that was put back has forgotten what was said; its member is found out, or given up. One that was lost has, too,
        // but its member makes up for it before it says anything.
        if !matches!(self.machines[place.0].condition, Condition::Sound | Condition::Doubtful) {
            return;
        }
        match *message {
            Message::VoteAnswer { granted: true, .. } => self.check_vote(from, term, to),
            Message::Vote { .. } => self.check_vote(from, term, from),
            Message::Append { matched, .. } => {
                let before = self.said.matched.insert((from, term, to), matched).unwrap_or_default();
                self.require(matched >= before, || {
                    format!(
                        "{from} says in term {term} that {to} has its log up to {matched}, and said {before}"
                    )
                });
            }
            _ => {}
        }
    }

    /// A member's disk is lost. Its votes for others bind it still; those for itself went with the life that would have counted
    /// them. Where others know of the term, they say so before it takes part again.
    pub(super) fn forget_own_votes(&mut self, member: MemberId) {
        self.said.votes.retain(|(voter, _), candidate| *voter != member || *candidate != member);
    }

    fn check_vote(&mut self, voter: MemberId, term: Term, candidate: MemberId) {
        let first = *self.said.votes.entry((voter, term)).or_insert(candidate);
        self.require(first == candidate, || {
            format!("{voter} votes for {candidate} in term {term}, and has voted for {first}")
        });
    }
}
