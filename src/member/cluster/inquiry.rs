//! A founder whose directory holds nothing asks the others how far they are, until it is out of doubt: see
//! [`Testimony`](crate::entry::Testimony).
//!
//! The first time it asks before it listens, so that whoever opens it is told at once when it is known from before. From then on
//! a thread asks; the others may be no further, and answer each other.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::super::clock::Clock;
use super::core::{Core, Event};
use super::joining::{JoinAnswer, JoinAsk, Question};
use super::threads::Inbox;
use crate::codec;
use crate::entry::Config;
use crate::error::Error;
use crate::net::{self, NetError, Secret};
use crate::raft::{Witness, is_founder};
use crate::replica::Input;
use crate::types::MemberId;
use crate::wal::Identity;

/// How long another founder may take to answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long they are left alone at first; twice as long each time.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// And at most.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// For so long one that was there is not out of reach, though it cannot be reached any more: it may just be starting again.
const LINGER: Duration = Duration::from_secs(10);

/// Who asks.
pub(super) struct Asker {
    identity: Identity,
    founders: Config,
    /// Until when those that were there may be about to come back.
    linger: BTreeMap<MemberId, Instant>,
    /// What came of asking them last.
    answers: BTreeMap<MemberId, Witness>,
    secret: Option<Secret>,
    settings: net::Settings,
}

impl Asker {
    pub(super) fn new(
        identity: Identity,
        founders: Config,
        secret: Option<Secret>,
        settings: net::Settings,
    ) -> Self {
        Self { identity, founders, linger: BTreeMap::new(), answers: BTreeMap::new(), secret, settings }
    }

    /// Asks each of the others once, all at the same time: what one is waited for delays nobody else.
    ///
    /// # Errors
    ///
    /// [`Error::Forgotten`] when one of them knows this member from before.
    pub(super) fn ask_all(&mut self) -> Result<(), Error> {
        let asker = &*self;
        let answers: Vec<_> = thread::scope(|scope| {
            let ask = |&member| {
                let name = format!("spinney-asks-{member}");
                let ask = move || (member, asker.ask(member));
                thread::Builder::new().name(name).spawn_scoped(scope, ask)
            };
            let others = asker.founders.voters.iter().filter(|&&founder| founder != asker.identity.member);
            let asked: Vec<_> = others.map(ask).collect();
            // Whoever there is no thread for is asked another time, and not taken to be out of reach.
            let asked = asked.into_iter().flatten();
            asked.map(|asked| asked.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        });
        self.answers.clear();
        let mut result = Ok(());
        for (member, answer) in answers {
            let heard = answer.unwrap_or_else(|forgotten| {
                result = Err(forgotten);
                Witness::Disowned
            });
            let heard = match heard {
                Witness::Unreachable if self.may_come_back(member) => Witness::Silent,
                Witness::Unreachable => heard,
                Witness::Told(_) | Witness::Silent | Witness::Disowned => {
                    self.linger.insert(member, Clock::in_(LINGER));
                    heard
                }
            };
            self.answers.insert(member, heard);
        }
        result
    }

    fn may_come_back(&self, member: MemberId) -> bool {
        self.linger.get(&member).is_some_and(|end| !Clock::until(*end).is_zero())
    }

    fn ask(&self, member: MemberId) -> Result<Witness, Error> {
        let Identity { cluster, member: me } = self.identity;
        let question = codec::encode(&JoinAsk::new(Question::HaveIBeen { cluster, me, you: member }));
        let mut heard = Witness::Unreachable;
        for address in self.founders.contacts.get(&member).map_or(&[][..], |contact| &contact.peer_addresses)
        {
            let answer = match net::join(address, &question, self.secret.as_ref(), &self.settings) {
                Ok(answer) => codec::decode(&answer),
                Err(NetError::TimedOut | NetError::Unanswered | NetError::Refused(_)) => {
                    heard = Witness::Silent;
                    continue;
                }
                // Whatever else listens there: nothing, a proxy with nobody behind it, something that is no member.
                Err(_) => continue,
            };
            match answer {
                Ok(JoinAnswer::Known) => {
                    let member =
                        self.founders.contacts.get(&me).map(|me| me.name.clone()).unwrap_or_default();
                    return Err(Error::Forgotten { member, known_at: address.clone() });
                }
                Ok(JoinAnswer::Unknown(testimony)) => return Ok(Witness::Told(testimony)),
                // It is not the founder that is meant.
                Ok(JoinAnswer::Stranger) => {}
                Ok(JoinAnswer::Refused(_) | JoinAnswer::Welcome { .. }) | Err(_) => heard = Witness::Silent,
            }
        }
        Ok(heard)
    }

    /// Asks until whoever wants it wants it no more.
    pub(super) fn run(mut self, inbox: &Arc<Inbox>, is_over: &Receiver<()>) {
        let mut pause = PAUSE_MIN;
        loop {
            // Whoever disowns it, the core hears. What was heard before this member was open says only who did not: since then others
            // may have heard of more.
            let _ = self.ask_all();
            inbox.bring(Event::Founders(self.answers.clone()));
            let Err(RecvTimeoutError::Timeout) = is_over.recv_timeout(pause) else { return };
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

impl Core {
    pub(super) fn hear_founders(&mut self, mut answers: BTreeMap<MemberId, Witness>) {
        // Whoever calls this member is not out of reach; and if it is no founder, others may have taken in more of those.
        let is_called_by_others = self.sessions.keys().any(|&member| !is_founder(member));
        for (founder, heard) in &mut answers {
            let is_there = is_called_by_others || self.sessions.contains_key(founder);
            if is_there && *heard == Witness::Unreachable {
                *heard = Witness::Silent;
            }
        }
        self.step(Input::Heard(answers));
        if self.replica.raft().witnesses().is_empty() {
            self.asking = None;
        }
    }
}
