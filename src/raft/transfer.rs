//! Handing the leadership over: on request, when the leader leaves, and when its disk stalls.
//!
//! The leader adds nothing more, waits until the other has all it has, and tells it to stand for election at once. If
//! nothing has come of it after an election timeout, it goes on leading.

use super::leader::Leader;
use super::{Denied, Message, Output, Raft, State};
use crate::entry::EntryId;
use crate::types::MemberId;

/// A transfer under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Transfer {
    to: MemberId,
    elapsed: u32,
}

impl Raft {
    /// Begins to hand over, to `to` or to whoever is best prepared; says to whom.
    pub(super) fn start_transfer(
        &mut self,
        to: Option<MemberId>,
        outputs: &mut Vec<Output>,
    ) -> Result<MemberId, Denied> {
        let to = to.or_else(|| self.best_successor()).ok_or(Denied::NoSuchMember)?;
        let is_voter = self.configs.current().voters.contains(&to);
        let State::Leader(leader) = &mut self.state else { return Err(Denied::NoLeader) };
        if to == self.id {
            return Err(Denied::Pointless);
        }
        if !is_voter || !leader.peers.contains_key(&to) {
            return Err(Denied::NoSuchMember);
        }
        if leader.transfer.is_some() {
            return Err(Denied::NotNow);
        }
        leader.transfer = Some(Transfer { to, elapsed: 0 });
        self.go_on_with_transfer(to, outputs);
        Ok(to)
    }

    /// The voter within reach that has most of the log.
    fn best_successor(&self) -> Option<MemberId> {
        let State::Leader(leader) = &self.state else { return None };
        let voters = &self.configs.current().voters;
        let is_candidate = |(member, _): &(&MemberId, _)| voters.contains(member);
        let candidates = leader.peers.iter().filter(is_candidate);
        let active = candidates.filter(|(_, peer)| peer.is_active(&self.settings));
        active.max_by_key(|(_, peer)| peer.matched).map(|(member, _)| *member)
    }

    /// Tells the successor to stand, if `member` is it and has all of the log.
    pub(super) fn go_on_with_transfer(&mut self, member: MemberId, outputs: &mut Vec<Output>) {
        let (pen, last) = (self.pen(), self.log.last());
        let State::Leader(leader) = &mut self.state else { return };
        let is_successor = leader.transfer.as_ref().is_some_and(|transfer| transfer.to == member);
        if is_successor && leader.peers.get(&member).is_some_and(|peer| peer.matched == last.index) {
            // From here on it may be elected at any time: no lease holds in this term any more, even if it
            // comes to nothing.
            leader.has_asked_to_stand = true;
            pen.send(member, Message::TimeoutNow { last }, outputs);
        }
    }

    pub(super) fn tick_transfer(&mut self, outputs: &mut Vec<Output>) {
        self.watch_disk(outputs);
        let patience = self.settings.election_ticks_max;
        let heartbeat = self.settings.heartbeat_ticks;
        let State::Leader(leader) = &mut self.state else { return };
        let Leader { transfer, .. } = &mut **leader;
        let Some(Transfer { to, elapsed }) = transfer else { return };
        *elapsed += 1;
        let to = *to;
        if *elapsed > patience {
            *transfer = None;
        } else if elapsed.is_multiple_of(heartbeat) {
            // The message may have been lost.
            self.go_on_with_transfer(to, outputs);
        }
    }

    /// A leader whose disk does not answer hands over; if that fails, it makes way.
    fn watch_disk(&mut self, outputs: &mut Vec<Output>) {
        let patience = self.settings.election_ticks_max;
        let age = self.writes.age();
        if age <= patience || self.configs.current().is_alone(self.id) {
            return;
        }
        let State::Leader(leader) = &self.state else { return };
        if leader.transfer.is_some() {
            return;
        }
        if age > patience.saturating_mul(2) || self.start_transfer(None, outputs).is_err() {
            self.step_down();
        }
    }

    /// A leader that is no voter any more goes: the best prepared may stand at once.
    pub(super) fn retire(&mut self, outputs: &mut Vec<Output>) {
        let successor = self.best_successor();
        let last = self.log.last();
        if let (Some(successor), State::Leader(leader)) = (successor, &self.state)
            && leader.peers.get(&successor).is_some_and(|peer| peer.matched == last.index)
        {
            self.pen().send(successor, Message::TimeoutNow { last }, outputs);
        }
        self.step_down();
    }

    /// The leader tells this member to stand.
    pub(super) fn take_over(&mut self, last: EntryId, outputs: &mut Vec<Output>) {
        // A message that comes late may be for a log that it did not get, or for a voter that it is no more.
        let is_prepared = self.log.last() >= last.max(self.hard_state.floor.last)
            && self.configs.current().voters.contains(&self.id);
        if is_prepared {
            self.stand(true, outputs);
        }
    }
}
