//! Changing who the members are.
//!
//! ```text
//!   voters 1 2 3   ── change ──►   voters 2 3 4, outgoing 1 2 3   ── committed ──►   voters 2 3 4
//!                                  both majorities decide              added by the leader
//! ```
//! Every change of the voters takes these two steps, however small it is; a change that leaves the voters as
//! they are takes one. The next begins when the one before is complete. A member joins as a learner, and
//! becomes a voter when it keeps up.

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
    config.was_changed |= config.voters != before.voters || config.learners != before.learners;
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
        let config = Box::new(entering(old, &new));
        self.append(now, [(None, Payload::Config(config))].into_iter(), outputs);
        Ok(Granted::Change { entry: EntryId { term: self.hard_state.term, index }, added })
    }

    /// What follows when a configuration is committed: a joint one is left; a leader that is no voter any more
    /// hands over.
    pub(super) fn go_on_with_change(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        if self.configs.index() > self.committed {
            return;
        }
        let config = self.configs.current();
        if config.is_joint() {
            let config = Box::new(leaving(config));
            self.append(now, [(None, Payload::Config(config))].into_iter(), outputs);
        } else if !config.is_voter(self.id) {
            // There is no later: whoever leads next would have to find out.
            self.tell_commit(now, outputs);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// What a member is, the naive way: one word a member.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Part {
        Voter,
        Learner,
    }

    type Twin = BTreeMap<MemberId, (Part, String)>;

    fn contact(address: u8) -> Contact {
        let address = format!("a{address}");
        Contact { name: address.clone(), peer_addresses: vec![address], ..Contact::default() }
    }

    fn config(twin: &Twin) -> Config {
        let part =
            |part| twin.iter().filter(move |(_, (is, _))| *is == part).map(|(member, _)| *member).collect();
        let contact = |address: &String| Contact {
            name: address.clone(),
            peer_addresses: vec![address.clone()],
            ..Contact::default()
        };
        let contacts = twin.iter().map(|(member, (_, address))| (*member, contact(address))).collect();
        Config { voters: part(Part::Voter), learners: part(Part::Learner), contacts, ..Config::default() }
    }

    fn change(kind: u8, member: u8, address: u8) -> Change {
        let member = MemberId::new(u64::from(member % 6));
        match kind % 5 {
            0 => Change::Add(contact(address % 8)),
            1 => Change::Promote(member),
            2 => Change::Demote(member),
            3 => Change::Remove(member),
            _ => Change::Update(member, contact(address % 8)),
        }
    }

    /// The same changes made to the twin; `None` where one cannot be made.
    fn naively(twin: &Twin, changes: &[Change], new: MemberId) -> Option<Twin> {
        let mut twin = twin.clone();
        let mut adds = 0;
        for change in changes {
            let is_taken = |twin: &Twin, member: MemberId, contact: &Contact| {
                twin.iter().any(|(other, (_, address))| *other != member && *address == contact.name)
            };
            match change {
                Change::Add(contact) => {
                    adds += 1;
                    if adds > 1 || is_taken(&twin, new, contact) {
                        return None;
                    }
                    twin.insert(new, (Part::Learner, contact.name.clone()));
                }
                Change::Promote(member) => match twin.get_mut(member) {
                    Some((part @ Part::Learner, _)) => *part = Part::Voter,
                    _ => return None,
                },
                Change::Demote(member) => match twin.get_mut(member) {
                    Some((part @ Part::Voter, _)) => *part = Part::Learner,
                    _ => return None,
                },
                Change::Remove(member) => drop(twin.remove(member)?),
                Change::Update(member, contact) => {
                    if is_taken(&twin, *member, contact) {
                        return None;
                    }
                    twin.get_mut(member)?.1.clone_from(&contact.name);
                }
            }
        }
        Some(twin)
    }

    proptest! {
        #[test]
        fn changes_do_what_they_do_to_a_naive_twin(
            parts: [u8; 6],
            changes in proptest::collection::vec(any::<(u8, u8, u8)>(), 1..4),
        ) {
            let part = |part| match part % 3 {
                0 => None,
                1 => Some(Part::Voter),
                _ => Some(Part::Learner),
            };
            let member = |(n, p): (usize, &u8)| {
                Some((MemberId::new(n as u64), (part(*p)?, format!("a{n}"))))
            };
            let mut twin: Twin = parts.iter().enumerate().filter_map(member).collect();
            // A cluster has a voter.
            twin.insert(MemberId::new(0), (Part::Voter, "a0".to_owned()));
            let changes: Vec<Change> = changes.iter().map(|&(kind, who, where_)| change(kind, who, where_)).collect();
            let (old, index) = (config(&twin), LogIndex::new(77));
            let naive = naively(&twin, &changes, joiner(index)).map(|twin| config(&twin));
            let naive = naive.filter(|new| !new.voters.is_empty() && *new != old).map(|new| Config {
                was_changed: (&new.voters, &new.learners) != (&old.voters, &old.learners),
                ..new
            });
            let made = changed(&old, &changes, index);
            prop_assert_eq!(made.as_ref().ok().map(|(config, _)| config), naive.as_ref());
            let Ok((new, added)) = made else { return Ok(()) };
            prop_assert_eq!(added.is_some(), changes.iter().any(|change| matches!(change, Change::Add(_))));

            // On the way both majorities decide, nobody is left out early, and the end is what was asked for.
            let joint = entering(&old, &new);
            prop_assert_eq!(&joint.voters, &new.voters);
            prop_assert_eq!(joint.is_joint(), old.voters != new.voters);
            if joint.is_joint() {
                prop_assert_eq!(&joint.outgoing, &old.voters);
                prop_assert!(old.voters.iter().all(|voter| joint.contacts.contains_key(voter)));
            }
            prop_assert_eq!(leaving(&joint), new);
        }
    }

    #[test]
    fn an_id_says_where_its_member_joined() {
        assert_eq!(joined_at(joiner(LogIndex::new(5))), LogIndex::new(5));
        assert_eq!(joined_at(MemberId::new(3)), LogIndex::new(0));
    }
}
