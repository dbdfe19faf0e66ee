//! A founder whose directory holds nothing asks the others how far they are, until it is out of doubt: see
//! [`Testimony`](crate::entry::Testimony).
//!
//! The first time it asks before it listens, so that whoever opens it is told at once when it is known from before. From then on
//! a thread asks; the others may be no further, and answer each other.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::super::clock::Clock;
use super::admission::{Addresses, JoinAnswer, JoinAsk, Question};
use super::core::{Core, Event};
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

/// So many addresses of one founder are heard of from others.
const MOVES_MAX: usize = 8;

/// Who asks.
pub(super) struct Asker {
    identity: Identity,
    founders: Config,
    /// Where they are as well, as others say: they may have moved since.
    moved: Addresses,
    /// Those that were there, and until when they may be about to come back.
    linger: BTreeMap<MemberId, Instant>,
    /// What came of asking them last.
    answers: BTreeMap<MemberId, Witness>,
    secret: Option<Secret>,
    settings: net::Settings,
}

/// What came of asking one of them.
struct Heard {
    witness: Witness,
    /// Whether it was seen to be there, or somebody in its place.
    is_there: bool,
    /// Where others are, as it says.
    addresses: Addresses,
}

impl Asker {
    pub(super) fn new(
        identity: Identity,
        founders: Config,
        secret: Option<Secret>,
        settings: net::Settings,
    ) -> Self {
        let (moved, linger, answers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { identity, founders, moved, linger, answers, secret, settings }
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
            let Heard { witness, is_there, addresses } = answer.unwrap_or_else(|forgotten| {
                result = Err(forgotten);
                Heard { witness: Witness::Disowned, is_there: true, addresses: BTreeMap::new() }
            });
            for (member, mut addresses) in addresses {
                if self.founders.voters.contains(&member) {
                    addresses.truncate(MOVES_MAX);
                    self.moved.insert(member, addresses);
                }
            }
            if is_there {
                self.linger.insert(member, Clock::in_(LINGER));
            }
            let may_come_back = witness == Witness::Unreachable && self.may_come_back(member);
            self.answers.insert(member, if may_come_back { Witness::Silent } else { witness });
        }
        result
    }

    /// What was heard when they were asked last, before this member was open: it says only who was there. Since then others may have
    /// heard of more.
    pub(super) fn heard(&self) -> BTreeMap<MemberId, Witness> {
        let mut answers = self.answers.clone();
        answers.retain(|_, heard| *heard != Witness::Unreachable);
        answers
    }

    fn may_come_back(&self, member: MemberId) -> bool {
        self.linger.get(&member).is_some_and(|end| !Clock::until(*end).is_zero())
    }

    fn ask(&self, member: MemberId) -> Result<Heard, Error> {
        let Identity { cluster, member: me } = self.identity;
        let question = codec::encode(&JoinAsk::new(Question::HaveIBeen { cluster, me, you: member }));
        let mut heard = Heard { witness: Witness::Unreachable, is_there: false, addresses: BTreeMap::new() };
        let known = self.founders.contacts.get(&member).map_or(&[][..], |contact| &contact.peer_addresses);
        let moved = self.moved.get(&member).into_iter().flatten().filter(|address| !known.contains(address));
        for address in known.iter().chain(moved) {
            let answer = match net::join(address, &question, self.secret.as_ref(), &self.settings) {
                Ok(answer) => codec::decode(&answer),
                Err(error) => {
                    let is_there =
                        matches!(error, NetError::TimedOut | NetError::Unanswered | NetError::Refused(_));
                    heard.is_there |= is_there;
                    if is_there || !self.is_gone(member, &error) {
                        heard.witness = Witness::Silent;
                    }
                    continue;
                }
            };
            match answer {
                Ok(JoinAnswer::Known) => {
                    let member =
                        self.founders.contacts.get(&me).map(|me| me.name.clone()).unwrap_or_default();
                    return Err(Error::Forgotten { member, known_at: address.clone() });
                }
                Ok(JoinAnswer::Unknown { testimony, addresses }) => {
                    return Ok(Heard { witness: Witness::Told(testimony), is_there: true, addresses });
                }
                // It is not the founder that is meant.
                Ok(JoinAnswer::Stranger) => {}
                Ok(JoinAnswer::Refused(_) | JoinAnswer::Welcome { .. }) | Err(_) => {
                    (heard.witness, heard.is_there) = (Witness::Silent, true);
                }
            }
        }
        Ok(heard)
    }

    /// Whether it cannot be reached, going by what came of calling it: nothing listens there, or a proxy with nobody behind it, or
    /// something that is no member; or its name stands for nothing. Trouble of this member's own says nothing of the other one.
    fn is_gone(&self, member: MemberId, error: &NetError) -> bool {
        match error {
            NetError::Broken { .. } => true,
            NetError::Io { source, .. } => match source.kind() {
                // Most likely its machine is not there; but so it looks, too, once many have called one that is frozen. One that was
                // there and has no machine any more is waited for until this member is started again.
                ErrorKind::TimedOut => !self.linger.contains_key(&member),
                ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::BrokenPipe
                | ErrorKind::UnexpectedEof
                // There is no way from here, or a firewall says so.
                | ErrorKind::AddrNotAvailable
                | ErrorKind::PermissionDenied => true,
                _ => net::is_of_no_family(source),
            },
            _ => false,
        }
    }

    /// Asks until whoever wants it wants it no more.
    pub(super) fn run(mut self, inbox: &Arc<Inbox>, is_over: &Receiver<()>) {
        let mut pause = PAUSE_MIN;
        inbox.bring(Event::Founders(self.heard()));
        loop {
            // Whoever disowns it, the core hears.
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

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::types::ClusterId;

    #[test]
    fn trouble_of_its_own_says_nothing_of_others() {
        let (me, other) = (MemberId::new(1), MemberId::new(2));
        let identity = Identity { cluster: ClusterId::new(1), member: me };
        let settings = net::Settings::new(|| Clock::in_(Duration::ZERO));
        let mut asker = Asker::new(identity, Config::default(), None, settings);
        let failed = |kind: ErrorKind| NetError::Io { action: "test", source: kind.into() };
        let too_many_files = NetError::Io { action: "test", source: io::Error::from_raw_os_error(24) };
        for error in [failed(ErrorKind::OutOfMemory), failed(ErrorKind::Other), too_many_files] {
            assert!(!asker.is_gone(other, &error), "{error:?}");
        }
        for kind in [ErrorKind::ConnectionRefused, ErrorKind::AddrNotAvailable, ErrorKind::PermissionDenied] {
            assert!(asker.is_gone(other, &failed(kind)), "{kind:?}");
        }
        let no_ipv6 =
            NetError::Io { action: "test", source: io::Error::from_raw_os_error(libc::EAFNOSUPPORT) };
        assert!(asker.is_gone(other, &no_ipv6));
        assert!(asker.is_gone(other, &failed(ErrorKind::TimedOut)), "so calls to a machine end that is off");
        asker.linger.insert(other, Clock::in_(Duration::ZERO));
        assert!(!asker.is_gone(other, &failed(ErrorKind::TimedOut)), "it was there, and may be frozen");
        assert!(asker.is_gone(other, &failed(ErrorKind::ConnectionRefused)));
    }
}
