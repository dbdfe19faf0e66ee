//! A founder whose directory holds nothing asks the others how far they are, until it is out of doubt: see
//! [`Inquiry`](crate::raft::Inquiry).
//!
//! The first time it asks before it listens, so that whoever opens it is told at once when it is known from before. From then on
//! a thread asks; the others may be no further, and answer each other.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::core::{Core, Event};
use super::joining::{JoinAnswer, JoinAsk, Question};
use super::threads::Inbox;
use crate::codec;
use crate::entry::Config;
use crate::error::Error;
use crate::net::{self, Secret};
use crate::raft::{Inquiry, Testimony};
use crate::replica::Input;
use crate::types::MemberId;
use crate::wal::Identity;

/// How long another founder may take to answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long those who have not answered are left alone at first; twice as long each time.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// And at most.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// What the core hears from who asks.
pub(super) enum Heard {
    /// These have not answered yet.
    NotAll(Vec<MemberId>),
    /// It is out of doubt.
    Enough(Testimony),
    /// It is known from before.
    Forgotten,
}

/// Who asks, and what they have heard.
pub(super) struct Asker {
    identity: Identity,
    founders: Config,
    inquiry: Inquiry,
    secret: Option<Secret>,
    settings: net::Settings,
}

/// What the core keeps of it.
#[derive(Default)]
pub(super) struct Doubt {
    /// Those who have not answered; nobody, when it is out of doubt.
    pub(super) silent: Vec<MemberId>,
    /// The thread that asks ends when this is dropped.
    _asking: Option<Sender<()>>,
}

impl Asker {
    pub(super) fn new(
        identity: Identity,
        founders: Config,
        secret: Option<Secret>,
        settings: net::Settings,
    ) -> Self {
        let inquiry = Inquiry::new(&founders, identity.member);
        Self { identity, founders, inquiry, secret, settings }
    }

    /// Asks each of those who have not answered, once.
    ///
    /// # Errors
    ///
    /// [`Error::Forgotten`] when one of them knows this member from before.
    pub(super) fn ask_all(&mut self) -> Result<(), Error> {
        let silent: Vec<_> = self.inquiry.silent().collect();
        silent.into_iter().try_for_each(|member| self.ask(member))
    }

    fn ask(&mut self, member: MemberId) -> Result<(), Error> {
        let Identity { cluster, member: me } = self.identity;
        let question = codec::encode(&JoinAsk::new(Question::HaveIBeen(cluster, me)));
        for address in self.founders.contacts.get(&member).map_or(&[][..], |contact| &contact.peer_addresses)
        {
            let Ok(answer) = net::join(address, &question, self.secret.as_ref(), &self.settings) else {
                continue;
            };
            match codec::decode(&answer) {
                Ok(JoinAnswer::Known) => {
                    let member =
                        self.founders.contacts.get(&me).map(|me| me.name.clone()).unwrap_or_default();
                    return Err(Error::Forgotten { member, known_at: address.clone() });
                }
                Ok(JoinAnswer::Unknown(testimony)) => {
                    self.inquiry.answered(member, testimony);
                    return Ok(());
                }
                _ => {}
            }
        }
        self.inquiry.did_not_answer(member);
        Ok(())
    }

    /// What the core begins with, and what makes the thread end that is to [`run`](Self::run).
    pub(super) fn doubt(&self) -> (Doubt, Receiver<()>) {
        let (asking, is_over) = bounded(0);
        (Doubt { silent: self.inquiry.silent().collect(), _asking: Some(asking) }, is_over)
    }

    /// Asks until it is out of doubt, known from before, or not wanted any more.
    pub(super) fn run(mut self, inbox: &Arc<Inbox>, is_over: &Receiver<()>) {
        let mut pause = PAUSE_MIN;
        loop {
            if let Some(testimony) = self.inquiry.verdict() {
                inbox.bring(Event::Founders(Heard::Enough(testimony)));
                return;
            }
            inbox.bring(Event::Founders(Heard::NotAll(self.inquiry.silent().collect())));
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
            Heard::NotAll(silent) => self.doubt.silent = silent,
            Heard::Enough(testimony) => {
                self.doubt = Doubt::default();
                self.step(Input::OutOfDoubt(testimony));
            }
            Heard::Forgotten => {
                self.doubt = Doubt::default();
                self.step(Input::Forgotten);
            }
        }
    }
}
