//! A founder whose directory holds nothing asks the others how far they are, until it is out of doubt: see
//! [`Testimony`](crate::raft::Testimony).
//!
//! The first time it asks before it listens, so that whoever opens it is told at once when it is known from before. From then on
//! a thread asks; the others may be no further, and answer each other.

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::core::{Core, Event};
use super::joining::{JoinAnswer, JoinAsk, Question};
use super::threads::Inbox;
use crate::codec;
use crate::entry::Config;
use crate::error::Error;
use crate::net::{self, NetError, Secret};
use crate::raft::Witness;
use crate::replica::Input;
use crate::types::MemberId;
use crate::wal::Identity;

/// How long another founder may take to answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long those who have not told are left alone at first; twice as long each time.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// And at most.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// What the core hears from who asks.
pub(super) enum Heard {
    /// What came of asking each of these.
    Witnesses(Vec<(MemberId, Witness)>),
    /// It is known from before.
    Forgotten,
}

/// Who asks.
pub(super) struct Asker {
    identity: Identity,
    founders: Config,
    /// The founders that have not told.
    untold: BTreeSet<MemberId>,
    /// What the core has not been told.
    heard: Vec<(MemberId, Witness)>,
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
        let mut untold = founders.voters.clone();
        untold.remove(&identity.member);
        Self { identity, founders, untold, heard: Vec::new(), secret, settings }
    }

    /// Asks each of those who have not told, once, all at the same time: what one is waited for delays nobody else.
    ///
    /// # Errors
    ///
    /// [`Error::Forgotten`] when one of them knows this member from before.
    pub(super) fn ask_all(&mut self) -> Result<(), Error> {
        let asker = &*self;
        let heard: Result<Vec<_>, Error> = thread::scope(|scope| {
            let ask = |&member| {
                let name = format!("spinney-asks-{member}");
                let ask = move || asker.ask(member).map(|heard| (member, heard));
                thread::Builder::new().name(name).spawn_scoped(scope, ask)
            };
            let asked: Vec<_> = asker.untold.iter().map(ask).collect();
            // Whoever there was no thread for is asked another time.
            let asked = asked.into_iter().flatten();
            asked.map(|asked| asked.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        });
        for (member, heard) in heard? {
            if let Witness::Told(_) = heard {
                self.untold.remove(&member);
            }
            self.heard.push((member, heard));
        }
        Ok(())
    }

    fn ask(&self, member: MemberId) -> Result<Witness, Error> {
        let Identity { cluster, member: me } = self.identity;
        let question = codec::encode(&JoinAsk::new(Question::HaveIBeen { cluster, me, you: member }));
        let mut heard = Witness::Unreachable;
        for address in self.founders.contacts.get(&member).map_or(&[][..], |contact| &contact.peer_addresses)
        {
            let answer = match net::join(address, &question, self.secret.as_ref(), &self.settings) {
                Ok(answer) => codec::decode(&answer),
                Err(NetError::TimedOut | NetError::Refused(_)) => {
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

    /// Asks until all have told, this member is known from before, or whoever wants it is there no more.
    pub(super) fn run(mut self, inbox: &Arc<Inbox>, is_over: &Receiver<()>) {
        let mut pause = PAUSE_MIN;
        loop {
            inbox.bring(Event::Founders(Heard::Witnesses(std::mem::take(&mut self.heard))));
            if self.untold.is_empty() {
                return;
            }
            let Err(RecvTimeoutError::Timeout) = is_over.recv_timeout(pause) else { return };
            pause = (pause * 2).min(PAUSE_MAX);
            if self.ask_all().is_err() {
                inbox.bring(Event::Founders(Heard::Forgotten));
                return;
            }
        }
    }
}

impl Core {
    pub(super) fn hear_founders(&mut self, heard: Heard) {
        match heard {
            Heard::Witnesses(witnesses) => {
                for (founder, heard) in witnesses {
                    self.step(Input::Heard { founder, heard });
                }
            }
            // Whoever takes part by now is known by that.
            Heard::Forgotten if !self.replica.raft().is_in_doubt() => {}
            Heard::Forgotten => self.step(Input::Forgotten),
        }
        if self.replica.raft().untold().is_empty() {
            self.asking = None;
        }
    }
}
