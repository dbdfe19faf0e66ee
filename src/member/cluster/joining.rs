//! How members come in: who asks to join, and what a new member does to become a whole one.
//!
//! ```text
//!   joiner ── JoinAsk: name, addresses ──► any member ──► leader: add as a learner
//!          ◄── JoinAnswer: cluster, id ──      once that is committed
//!   learner ── promote me ──► leader, again and again until it has caught up
//!   founder ── JoinAsk: its id ──► each other founder     with an empty directory, before it takes part
//!          ◄── JoinAnswer: known, or how far that one is ──      see `inquiry`
//! ```
//! A joiner that has the name of a member takes its place: whoever lost its disk comes back as a new member, since an id
//! that has said what it has, and has not any more, must not be heard again. A founder that lost its disk looks like one that
//! has never been there; the others know better, since each life of a member puts itself on record.

use std::time::{Duration, Instant};

use super::admission::{Addresses, JoinAnswer, JoinAsk, Question, VERSION};
use super::core::Core;
use super::waiting::Waiter;
use crate::codec;
use crate::entry::Contact;
use crate::member::clock::Clock;
use crate::net::JoinRequest;
use crate::raft::{Change, Denied, Granted, Request, Witness};
use crate::replica::Input;
use crate::tree::Command;
use crate::types::MemberId;
use crate::wal::Identity;

/// How many ticks pass before a member asks again for what it wants of the leader.
const ASK_TICKS: u64 = 10;

/// Nobody waits for the answer to a question with this token.
const NOBODY: u64 = 0;

/// What this member wants of the cluster, and who is about to come in through it.
pub(super) struct Joining {
    /// How this member is called and reached.
    contact: Contact,
    stays_learner: bool,
    /// Whether all know how this member is called and reached. What others say of it afterwards holds until it starts again.
    is_introduced: bool,
    ticks: u64,
    /// Those that are in the newest configuration, until it is agreed on.
    coming: Vec<(MemberId, JoinRequest, Instant)>,
    /// Those whose turn has not come: another change was under way.
    again: Vec<(Request, JoinRequest, Instant)>,
}

impl Joining {
    pub(super) fn new(contact: Contact, stays_learner: bool) -> Self {
        Self { contact, stays_learner, is_introduced: false, ticks: 0, coming: Vec::new(), again: Vec::new() }
    }
}

impl Core {
    /// Somebody asks this member to be let in.
    pub(super) fn hear_join(&mut self, asked: JoinRequest) {
        let question = match codec::decode::<JoinAsk>(asked.bytes()) {
            Ok(JoinAsk { version: VERSION, question }) => question,
            Ok(JoinAsk { version, .. }) => {
                return refuse(asked, format!("version {version} of joining is not known here"));
            }
            Err(_) => return refuse(asked, "the request is not understood".to_owned()),
        };
        match question {
            Question::LetMeIn(contact) if contact.name.is_empty() => {
                refuse(asked, "a member has a name".to_owned());
            }
            Question::LetMeIn(contact) => self.hear_joiner(contact, asked),
            Question::HaveIBeen { cluster, you, .. }
                if (Identity { cluster, member: you }) != self.replica.identity() =>
            {
                let is_of_this = cluster == self.replica.identity().cluster;
                let was_changed = is_of_this && self.replica.raft().config().was_changed;
                let answer = if was_changed { JoinAnswer::Known } else { JoinAnswer::Stranger };
                asked.answer(codec::encode(&answer));
            }
            // It may have less than it has said, and knows it.
            Question::HaveIBeen { .. } if self.replica.raft().is_stopped() => {
                refuse(asked, "this member takes no part any more".to_owned());
            }
            Question::HaveIBeen { me: member, .. } => {
                let answer = match self.replica.raft().testimony_for_founder() {
                    _ if self.replica.has_lived(member) => JoinAnswer::Known,
                    Witness::Told(testimony) => {
                        JoinAnswer::Unknown { testimony, addresses: self.addresses() }
                    }
                    Witness::Disowned => JoinAnswer::Known,
                    Witness::Silent | Witness::Unreachable => {
                        return refuse(asked, "the members are being changed".to_owned());
                    }
                };
                asked.answer(codec::encode(&answer));
            }
        }
    }

    fn addresses(&self) -> Addresses {
        let contacts = &self.replica.raft().config().contacts;
        contacts.iter().map(|(member, contact)| (*member, contact.peer_addresses.clone())).collect()
    }

    fn hear_joiner(&mut self, contact: Contact, asked: JoinRequest) {
        let contacts = &self.replica.raft().config().contacts;
        let namesake =
            contacts.iter().find(|(_, known)| known.name == contact.name).map(|(member, _)| *member);
        if namesake == Some(self.replica.identity().member) {
            return refuse(asked, format!("{:?} is the name of the member that was asked", contact.name));
        }
        let request = match namesake.is_none().then(|| self.place_kept_for(&contact)).flatten() {
            // Only if nobody else has taken it meanwhile.
            Some(member) => Request::Change {
                changes: vec![Change::Update(member, contact)],
                expected: Some(self.replica.raft().config_index()),
            },
            None => Request::Change {
                changes: namesake.map(Change::Remove).into_iter().chain([Change::Add(contact)]).collect(),
                expected: None,
            },
        };
        self.begin_new(Waiter::Join { request, asked });
    }

    /// The member that was added for whoever is reached like this, and has never been started: it has no name.
    fn place_kept_for(&self, contact: &Contact) -> Option<MemberId> {
        let is_meant = |kept: &Contact| {
            let is_named = kept.peer_addresses.iter().any(|address| contact.peer_addresses.contains(address));
            kept.name.is_empty() && is_named
        };
        let contacts = &self.replica.raft().config().contacts;
        contacts.iter().find(|(_, kept)| is_meant(kept)).map(|(member, _)| *member)
    }

    /// What the leader says to somebody's wish to join.
    pub(super) fn welcome(
        &mut self,
        request: Request,
        asked: JoinRequest,
        told: Result<Granted, Denied>,
        deadline: Instant,
    ) {
        let kept = match &request {
            Request::Change { changes, .. } => match changes.first() {
                Some(Change::Update(member, _)) => Some(*member),
                _ => None,
            },
            Request::Transfer(_) => None,
        };
        match told {
            Ok(Granted::Change { added, .. }) => match added.or(kept) {
                Some(member) => self.joining.coming.push((member, asked, deadline)),
                None => refuse(asked, "the leader has not understood".to_owned()),
            },
            Ok(Granted::Transfer { .. }) => refuse(asked, "the leader has not understood".to_owned()),
            Err(Denied::NotNow | Denied::NoLeader | Denied::Unanswered | Denied::WouldLoseQuorum) => {
                self.joining.again.push((request, asked, deadline));
            }
            Err(reason) => refuse(asked, reason.to_string()),
        }
    }

    /// What this member wants now and then.
    pub(super) fn joining_tick(&mut self) {
        self.let_in();
        self.joining.ticks += 1;
        let raft = self.replica.raft();
        if !self.joining.ticks.is_multiple_of(ASK_TICKS) || raft.leader().is_none() || self.closing.is_some()
        {
            return;
        }
        self.ask_again();
        self.go_on_record();
        let raft = self.replica.raft();
        let (me, config) = (raft.id(), raft.applied_config());
        let Some(known) = config.contacts.get(&me) else { return };
        if *known == self.joining.contact {
            self.joining.is_introduced = true;
        }
        let change = if !self.joining.is_introduced {
            Change::Update(me, self.joining.contact.clone())
        } else if config.learners.contains(&me) && !self.joining.stays_learner {
            Change::Promote(me)
        } else {
            return;
        };
        let request = Request::Change { changes: vec![change], expected: None };
        self.step(Input::Ask { token: NOBODY, request });
    }

    /// Has all know that this life has been there, if nothing else that it proposes does: should its disk be lost, it is not
    /// taken for one that has never promised anything.
    fn go_on_record(&mut self) {
        let has_others = self.replica.raft().config().members().nth(1).is_some();
        if has_others && !self.replica.is_on_record() && self.replica.waiting() == 0 {
            let command = codec::encode(&Command::Expire).into();
            self.step(Input::Propose { token: NOBODY, command });
        }
    }

    fn ask_again(&mut self) {
        let now = Clock::in_(Duration::ZERO);
        for (request, asked, deadline) in std::mem::take(&mut self.joining.again) {
            if deadline > now {
                self.begin(Waiter::Join { request, asked }, deadline);
            } else {
                refuse(asked, "another change of the members takes too long".to_owned());
            }
        }
    }

    /// Tells those who came in, once that is agreed on.
    fn let_in(&mut self) {
        let config = self.replica.raft().applied_config();
        let (cluster, now) = (self.replica.identity().cluster, Clock::in_(Duration::ZERO));
        let coming = std::mem::take(&mut self.joining.coming);
        for (member, asked, deadline) in coming {
            // A place that was kept has a name from when it is taken.
            if config.contacts.get(&member).is_some_and(|contact| !contact.name.is_empty()) {
                asked.answer(codec::encode(&JoinAnswer::Welcome { cluster, member }));
            } else if deadline > now {
                self.joining.coming.push((member, asked, deadline));
            }
        }
    }
}

fn refuse(asked: JoinRequest, why: String) {
    asked.answer(codec::encode(&JoinAnswer::Refused(why)));
}
