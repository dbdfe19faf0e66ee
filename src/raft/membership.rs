//! Changing who the members are.
//!
//! ```text
//!   voters 1 2 3   ── change ──►   voters 2 3 4, outgoing 1 2 3   ── committed ──►   voters 2 3 4
//!                                  both majorities decide              added by the leader
//! ```
//! Every change of the voters takes these two steps, however small it is; a change that leaves the voters as they are takes
//! one. The next begins when the one before is complete. A member joins as a learner, and becomes a voter when it keeps up.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::commit::{joined_at, joiner};
use super::progress::Progress;
use super::{Denied, Granted, Message, Output, Raft, State, Stop};
use crate::entry::{Config, Contact, EntryId, Payload};
use crate::types::{LogIndex, MemberId, Timestamp};

/// A change of who the members are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Change {
    /// A new member, as a learner; one at a time. It gets an id that nobody had before.
    Add(Contact),
    /// The learner becomes a voter. It must have caught up.
    Promote(MemberId),
    /// The voter becomes a learner.
    Demote(MemberId),
    /// The member leaves.
    Remove(MemberId),
    /// The member is called or reached in another way.
    Update(MemberId, Contact),
}

/// What `changes` make of `config`, as an entry at `index`: complete, not joint. And who is added.
///
/// # Errors
///
/// Why they cannot be made.
pub(super) fn changed(
    config: &Config,
    changes: &[Change],
    index: LogIndex,
) -> Result<(Config, Option<MemberId>), Denied> {
    let (mut config, before, mut added) = (config.clone(), config, None);
    for change in changes {
        match change {
            Change::Add(_) if added.is_some() => return Err(Denied::NotNow),
            Change::Add(contact) => {
                let member = joiner(index);
                check_addresses(&config, member, contact)?;
                config.learners.insert(member);
                config.contacts.insert(member, contact.clone());
                added = Some(member);
            }
            Change::Promote(member) if config.voters.contains(member) => return Err(Denied::Exists),
            Change::Promote(member) => {
                take(&mut config.learners, *member)?;
                config.voters.insert(*member);
            }
            Change::Demote(member) => {
                take(&mut config.voters, *member)?;
                config.learners.insert(*member);
            }
            Change::Remove(member) => {
                take(&mut config.voters, *member).or_else(|_| take(&mut config.learners, *member))?;
                config.contacts.remove(member);
            }
            Change::Update(member, contact) => {
                check_addresses(&config, *member, contact)?;
                let known = config.contacts.get_mut(member).ok_or(Denied::NoSuchMember)?;
                known.clone_from(contact);
            }
        }
    }
    if config.voters.is_empty() || config == *before {
        return Err(Denied::Pointless);
    }
    Ok((config, added))
}

fn take(members: &mut BTreeSet<MemberId>, member: MemberId) -> Result<(), Denied> {
    if members.remove(&member) { Ok(()) } else { Err(Denied::NoSuchMember) }
}

/// Two members cannot be at one address.
fn check_addresses(config: &Config, member: MemberId, contact: &Contact) -> Result<(), Denied> {
    let others = config.contacts.iter().filter(|(other, _)| **other != member);
    let mut taken = others.flat_map(|(_, other)| &other.peer_addresses);
    if taken.any(|address| contact.peer_addresses.contains(address)) { Err(Denied::Exists) } else { Ok(()) }
}

/// The configuration on the way from `old` to `new`: joint, if the voters differ.
pub(super) fn entering(old: &Config, new: &Config) -> Config {
    let mut config = new.clone();
    if new.voters != old.voters {
        config.outgoing.clone_from(&old.voters);
        let leaving = old.contacts.iter().filter(|(member, _)| old.voters.contains(member));
        for (member, contact) in leaving {
            config.contacts.entry(*member).or_insert_with(|| contact.clone());
        }
    }
    config
}

/// What is left of a joint configuration when the change is complete.
pub(super) fn leaving(joint: &Config) -> Config {
    let mut config = Config { outgoing: BTreeSet::new(), ..joint.clone() };
    let Config { voters, learners, contacts, .. } = &mut config;
    contacts.retain(|member, _| voters.contains(member) || learners.contains(member));
    config
}

impl Raft {
    /// Begins a change.
    pub(super) fn change(
        &mut self,
        now: Timestamp,
        changes: &[Change],
        expected: Option<LogIndex>,
        outputs: &mut Vec<Output>,
    ) -> Result<Granted, Denied> {
        let State::Leader(leader) = &self.state else { return Err(Denied::NoLeader) };
        // One change at a time, and none before something of this term is committed: or two leaders' changes of one
        // configuration could lead to majorities that do not meet.
        let is_changing = self.configs.uncommitted(self.committed) > 0 || self.configs.current().is_joint();
        if is_changing || !self.knows_commit() || leader.transfer.is_some() {
            return Err(Denied::NotNow);
        }
        if expected.is_some_and(|expected| expected != self.configs.index()) {
            return Err(Denied::Outdated);
        }
        let old = self.configs.current();
        let index = self.log.last().index.next();
        let (new, added) = changed(old, changes, index)?;
        for voter in new.voters.difference(&old.voters) {
            let progress = leader.peers.get(voter).ok_or(Denied::NoSuchMember)?;
            if !progress.has_caught_up(&self.settings) {
                return Err(Denied::NotCaughtUp);
            }
        }
        if new.voters != old.voters && !self.can_reach(new.voters.iter().copied()) {
            return Err(Denied::WouldLoseQuorum);
        }
        let config = entering(old, &new);
        self.append(now, [(None, Payload::Config(config))].into_iter(), outputs);
        Ok(Granted::Change { entry: EntryId { term: self.hard_state.term, index }, added })
    }

    /// What follows when a configuration is committed: a joint one is left; a leader that is no voter any more hands over.
    pub(super) fn go_on_with_change(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        if self.configs.index() > self.committed {
            return;
        }
        let config = self.configs.current();
        if config.is_joint() {
            let config = leaving(config);
            self.append(now, [(None, Payload::Config(config))].into_iter(), outputs);
        } else if !config.is_voter(self.id) {
            self.retire(outputs);
        }
    }

    /// Knows of those who are members now, and keeps those who are none any more until they know.
    pub(super) fn meet_members(&mut self) {
        let State::Leader(leader) = &mut self.state else { return };
        let config = self.configs.current();
        for member in config.members().filter(|&member| member != self.id) {
            leader.peers.entry(member).or_insert_with(|| Progress::new(self.log.last().index));
        }
        for (&member, progress) in &mut leader.peers {
            progress.is_leaving = !config.contains(member);
        }
    }

    /// Forgets a member that has left, once it has been told so.
    pub(super) fn let_go(&mut self, member: MemberId) {
        let index = self.configs.index();
        if let State::Leader(leader) = &mut self.state {
            let knows = |peer: &Progress| peer.is_leaving && peer.matched >= index && peer.told >= index;
            if leader.peers.get(&member).is_some_and(knows) {
                leader.peers.remove(&member);
            }
        }
    }

    /// Tells one who asks for votes and was removed that it was. Returns whether it was.
    pub(super) fn tell_of_removal(&self, member: MemberId, outputs: &mut Vec<Output>) -> bool {
        let is_removed = self.is_removed(member);
        if is_removed {
            let (committed, _) = self.configs.settled(self.committed);
            self.pen().send(member, Message::Removed { committed }, outputs);
        }
        is_removed
    }

    /// Others have gone on without this member.
    pub(super) fn told_of_removal(&mut self, committed: LogIndex, outputs: &mut Vec<Output>) {
        // Whoever does not know yet that this member was added knows nothing of its removal.
        if joined_at(self.id) <= committed {
            self.stop(Some(Stop::Removed), outputs);
        }
    }
}
