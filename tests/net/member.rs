//! An endpoint with its owner, and what the tests do with it.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crossbeam_channel::Receiver;
use spinney::internals::BootId;
use spinney::internals::net::{
    Class, Endpoint, Event, Refusal, Secret, SessionId, Settings, Speaker, Unsent,
};
use spinney::{ClusterId, MemberId};

use crate::support::{now, wait_until};

pub(crate) const CLUSTER: ClusterId = ClusterId::new(77);

/// For what must come sooner or later.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) fn id(member: u64) -> MemberId {
    MemberId::new(member)
}

pub(crate) fn speaker(member: u64, boot: u64) -> Speaker {
    Speaker { cluster: CLUSTER, member: id(member), boot: BootId::new(boot) }
}

/// Short delays, and timeouts that no machine is too slow for: what ends a session here is meant to.
pub(crate) fn settings() -> Settings {
    Settings {
        reconnect_delay_max: Duration::from_millis(60),
        handshake_timeout: Duration::from_secs(60),
        write_timeout: Duration::from_secs(120),
        silence_timeout: Duration::from_secs(120),
        ..Settings::new(now)
    }
}

pub(crate) fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text.as_bytes()).unwrap())
}

pub(crate) fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Where nobody listens, and no other test will.
pub(crate) fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}

/// An endpoint and its owner.
pub(crate) struct Member {
    pub(crate) endpoint: Endpoint,
    pub(crate) events: Receiver<Event>,
}

impl Member {
    pub(crate) fn start(member: u64) -> Self {
        Self::start_as(speaker(member, 1), None, settings())
    }

    pub(crate) fn start_as(speaker: Speaker, secret: Option<Secret>, settings: Settings) -> Self {
        let (endpoint, events) = Endpoint::start(listener(), speaker, secret, settings, || {}).unwrap();
        Self { endpoint, events }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.endpoint.local_addr()
    }

    /// Names peers by their addresses.
    pub(crate) fn peers(&self, peers: &[(u64, SocketAddr)]) {
        let peers: BTreeMap<_, _> =
            peers.iter().map(|(member, address)| (id(*member), vec![address.to_string()])).collect();
        self.endpoint.set_peers(&peers);
    }

    pub(crate) fn event(&self) -> Event {
        self.events.recv_timeout(LONG).expect("an event")
    }

    /// The next session that begins with a member; all that comes before it is dropped.
    pub(crate) fn connected(&self, member: u64) -> SessionId {
        loop {
            match self.event() {
                Event::Connected { member: connected, session, .. } if connected == id(member) => {
                    return session;
                }
                _ => {}
            }
        }
    }

    pub(crate) fn disconnected(&self, member: u64) -> SessionId {
        loop {
            match self.event() {
                Event::Disconnected { member: gone, session } if gone == id(member) => return session,
                _ => {}
            }
        }
    }

    /// The next messages, at least `count`, which come in sessions.
    pub(crate) fn messages(&self, count: usize) -> Vec<(MemberId, Class, Vec<u8>)> {
        let mut messages = Vec::new();
        while messages.len() < count {
            if let Event::Messages { from, frames, .. } = self.event() {
                messages.extend(frames.iter().map(|(class, bytes)| (from, class, bytes.to_vec())));
            }
        }
        messages
    }

    pub(crate) fn send(&self, to: u64, class: Class, message: impl Into<Vec<u8>>) -> Result<(), Unsent> {
        self.endpoint.send(id(to), class, message.into())
    }

    /// Sends as soon as it can be.
    pub(crate) fn send_patiently(&self, to: u64, class: Class, message: &[u8]) {
        wait_until("room for a message", || self.send(to, class, message).is_ok());
    }

    pub(crate) fn refused(&self, refusal: Refusal) -> u64 {
        self.endpoint.stats().refused.get(&refusal).copied().unwrap_or_default()
    }

    pub(crate) fn session(&self, member: u64) -> Option<SessionId> {
        self.endpoint.stats().peers.get(&id(member)).and_then(|peer| peer.session)
    }
}

/// Two members that are connected for good: only the first calls.
pub(crate) fn pair_with(secret: Option<Secret>, settings: &Settings) -> (Member, Member) {
    let one = Member::start_as(speaker(1, 1), secret.clone(), settings.clone());
    let two = Member::start_as(speaker(2, 1), secret, settings.clone());
    one.peers(&[(2, two.address())]);
    meet(&one, 1, &two, 2);
    (one, two)
}

/// Waits until messages pass between the two, both ways. What they say to each other until then is dropped.
pub(crate) fn meet(one: &Member, one_id: u64, two: &Member, two_id: u64) {
    static MEETINGS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let meeting = MEETINGS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let word = format!("meeting {meeting}").into_bytes();
    let hears = |member: &Member, other: u64| {
        member.events.try_iter().any(|event| match event {
            Event::Messages { from, frames, .. } => {
                from == id(other) && frames.iter().any(|(_, bytes)| bytes == word)
            }
            _ => false,
        })
    };
    let (mut one_heard, mut two_heard) = (false, false);
    wait_until("a meeting", || {
        let _ = (one.send(two_id, Class::Data, word.clone()), two.send(one_id, Class::Data, word.clone()));
        std::thread::sleep(Duration::from_millis(2));
        one_heard |= hears(one, two_id);
        two_heard |= hears(two, one_id);
        one_heard && two_heard
    });
    // What is still under way of the words comes before the last ones.
    let last = format!("end of meeting {meeting}").into_bytes();
    for (member, peer, other) in [(one, two_id, two), (two, one_id, one)] {
        member.send(peer, Class::Data, last.clone()).unwrap();
        loop {
            if other.messages(1).last().is_some_and(|(_, _, bytes)| *bytes == last) {
                break;
            }
        }
    }
}

pub(crate) fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}
