//! Members that talk over real sockets on loopback, and what may happen to them on the way.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

mod support;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crossbeam_channel::Receiver;
use spinney::internals::BootId;
use spinney::internals::net::{
    Class, Endpoint, Event, NetError, Outgoing, Part, Secret, SessionId, Settings, Speaker, Unsent,
};
use spinney::{ClusterId, MemberId};
use support::proxy::Proxy;
use support::{now, wait_until};

const CLUSTER: ClusterId = ClusterId::new(77);

/// For what must come sooner or later.
const LONG: Duration = Duration::from_secs(30);

fn id(member: u64) -> MemberId {
    MemberId::new(member)
}

fn speaker(member: u64, boot: u64) -> Speaker {
    Speaker { cluster: CLUSTER, member: id(member), boot: BootId::new(boot) }
}

fn settings() -> Settings {
    Settings { reconnect_delay_max: Duration::from_millis(60), ..Settings::new(now) }
}

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text.as_bytes()).unwrap())
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// An endpoint and its owner.
struct Member {
    endpoint: Endpoint,
    events: Receiver<Event>,
}

impl Member {
    fn start(member: u64) -> Self {
        Self::start_as(speaker(member, 1), None, settings())
    }

    fn start_as(speaker: Speaker, secret: Option<Secret>, settings: Settings) -> Self {
        let (endpoint, events) = Endpoint::start(listener(), speaker, secret, settings).unwrap();
        Self { endpoint, events }
    }

    fn address(&self) -> SocketAddr {
        self.endpoint.local_addr()
    }

    /// Names peers by their addresses.
    fn peers(&self, peers: &[(u64, SocketAddr)]) {
        let peers: BTreeMap<_, _> =
            peers.iter().map(|(member, address)| (id(*member), vec![address.to_string()])).collect();
        self.endpoint.set_peers(&peers);
    }

    fn event(&self) -> Event {
        self.events.recv_timeout(LONG).expect("an event")
    }

    /// The next session that begins with a member; all that comes before it is dropped.
    fn connected(&self, member: u64) -> SessionId {
        loop {
            match self.event() {
                Event::Connected { member: connected, session, .. } if connected == id(member) => {
                    return session;
                }
                _ => {}
            }
        }
    }

    fn disconnected(&self, member: u64) -> SessionId {
        loop {
            match self.event() {
                Event::Disconnected { member: gone, session } if gone == id(member) => return session,
                _ => {}
            }
        }
    }

    /// The next messages, at least `count`, which come in sessions.
    fn messages(&self, count: usize) -> Vec<(MemberId, Class, Vec<u8>)> {
        let mut messages = Vec::new();
        while messages.len() < count {
            if let Event::Messages { from, frames, .. } = self.event() {
                messages.extend(frames.iter().map(|(class, bytes)| (from, class, bytes.to_vec())));
            }
        }
        messages
    }

    fn send(&self, to: u64, class: Class, message: impl Into<Outgoing>) -> Result<(), Unsent> {
        self.endpoint.send(id(to), class, message)
    }

    /// Sends as soon as it can be.
    fn send_patiently(&self, to: u64, class: Class, message: &Outgoing) {
        wait_until("room for a message", || self.send(to, class, message.clone()).is_ok());
    }

    fn session(&self, member: u64) -> Option<SessionId> {
        self.endpoint.stats().peers.get(&id(member)).and_then(|peer| peer.session)
    }
}

/// Two members that know each other and are connected for good: the one session that stays is up at both.
fn pair_with(secret: Option<Secret>, settings: &Settings) -> (Member, Member) {
    let one = Member::start_as(speaker(1, 1), secret.clone(), settings.clone());
    let two = Member::start_as(speaker(2, 1), secret, settings.clone());
    one.peers(&[(2, two.address())]);
    two.peers(&[(1, one.address())]);
    meet(&one, 1, &two, 2);
    (one, two)
}

fn pair() -> (Member, Member) {
    pair_with(None, &settings())
}

/// Waits until messages pass between the two, both ways. What they say to each other until then is dropped.
fn meet(one: &Member, one_id: u64, two: &Member, two_id: u64) {
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

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

#[test]
fn messages_arrive_in_order_both_ways_with_and_without_a_secret() {
    for secret in [None, secret("a secret of enough bytes")] {
        let (one, two) = pair_with(secret, &settings());
        for n in 0..2000_u64 {
            let class = if n % 3 == 0 { Class::Urgent } else { Class::Data };
            // Parts of all sizes, shared and own, with nothing in some.
            let filler = vec![n as u8; (n as usize * 7919) % 9000];
            let parts =
                vec![Part::Own(n.to_le_bytes().into()), Part::Shared(filler.into()), Part::Own(vec![])];
            one.send_patiently(2, class, &Outgoing::new(parts));
            two.send_patiently(1, class, &n.to_le_bytes().to_vec().into());
        }
        for (member, peer) in [(&two, 1), (&one, 2)] {
            let received = member.messages(2000);
            assert_eq!(received.len(), 2000);
            for wanted in [Class::Urgent, Class::Data] {
                let numbers: Vec<_> = received
                    .iter()
                    .filter(|(from, class, _)| (*from, *class) == (id(peer), wanted))
                    .map(|(_, _, bytes)| number(bytes))
                    .collect();
                let expected = (0..2000).filter(|n| (n % 3 == 0) == (wanted == Class::Urgent));
                assert!(numbers.into_iter().eq(expected), "{wanted:?} from {peer}");
            }
            for (_, _, bytes) in received.iter().filter(|_| peer == 1) {
                let n = number(bytes);
                assert_eq!(bytes[8..], vec![n as u8; (n as usize * 7919) % 9000]);
            }
        }
    }
}

#[test]
fn three_members_know_who_speaks() {
    let members: Vec<_> = (1..=3).map(Member::start).collect();
    let addresses: Vec<_> = (1..=3).zip(members.iter().map(Member::address)).collect();
    members.iter().for_each(|member| member.peers(&addresses));
    for (a, b) in [(1, 2), (1, 3), (2, 3)] {
        meet(&members[a - 1], a as u64, &members[b - 1], b as u64);
    }
    for (from, member) in (1..).zip(&members) {
        for to in (1..=3).filter(|&to| to != from) {
            member.send(to, Class::Data, vec![from as u8, to as u8]).unwrap();
        }
        assert_eq!(member.send(from, Class::Data, vec![0]), Err(Unsent::Unknown), "to itself");
    }
    for (to, member) in (1..).zip(&members) {
        let mut said: Vec<_> = member
            .messages(2)
            .into_iter()
            .filter(|(_, _, bytes)| bytes.len() == 2)
            .map(|(from, _, bytes)| (from.get(), bytes))
            .collect();
        said.sort();
        let expected: Vec<_> =
            (1..=3_u64).filter(|&from| from != to).map(|from| (from, vec![from as u8, to as u8])).collect();
        assert_eq!(said, expected);
    }
}

#[test]
fn it_is_enough_if_one_knows_an_address() {
    for (caller, called) in [(1, 2), (2, 1)] {
        let (caller_member, called_member) = (Member::start(caller), Member::start(called));
        caller_member.peers(&[(called, called_member.address())]);
        // The other has never heard of the caller, and answers.
        meet(&caller_member, caller, &called_member, called);
    }
}

#[test]
fn one_session_stays_when_both_call() {
    for _ in 0..5 {
        let (one, two) = pair();
        let sessions = (one.session(2), two.session(1));
        assert!(sessions.0.is_some() && sessions.1.is_some());
        std::thread::sleep(Duration::from_millis(150));
        assert_eq!((one.session(2), two.session(1)), sessions);
    }
}

#[test]
fn listening_where_others_can_reach_it_wants_a_secret_or_leave() {
    let start = |secret, allow_insecure| {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        Endpoint::start(listener, speaker(1, 1), secret, Settings { allow_insecure, ..settings() }).map(drop)
    };
    let Err(NetError::Insecure { address }) = start(None, false) else { panic!() };
    assert!(address.ip().is_unspecified());
    start(secret("a secret of enough bytes"), false).unwrap();
    start(None, true).unwrap();
    let weak = Secret::new(b"too short").unwrap_err();
    assert_eq!(weak.to_string(), "the peers' secret has 9 bytes and wants at least 16");
    let senseless = Settings { handshakes_max: 0, ..settings() };
    let refused = Endpoint::start(listener(), speaker(1, 1), None, senseless);
    assert!(matches!(refused, Err(NetError::Setting { .. })));
}

#[test]
fn a_cut_is_told_at_once_and_mended() {
    // Neither a ping nor a timeout could tell within the time of a test.
    let hour = Duration::from_secs(3600);
    let patient = Settings { ping_interval: hour, silence_timeout: 2 * hour, ..settings() };
    let one = Member::start_as(speaker(1, 1), None, patient.clone());
    let two = Member::start_as(speaker(2, 1), None, patient);
    let proxy = Proxy::start(two.address());
    one.peers(&[(2, proxy.address())]);
    let mut sessions = vec![(one.connected(2), two.connected(1))];
    for round in 0..5 {
        let last = *sessions.last().unwrap();
        if round % 2 == 0 {
            proxy.cut_once();
        } else {
            proxy.cut();
        }
        assert_eq!((one.disconnected(2), two.disconnected(1)), last);
        if round % 2 == 1 {
            assert_eq!(one.send(2, Class::Data, vec![1]), Err(Unsent::NotConnected));
            proxy.mend();
        }
        let next = (one.connected(2), two.connected(1));
        assert!(next.0 > last.0 && next.1 > last.1);
        sessions.push(next);
    }
    one.send(2, Class::Data, vec![7]).unwrap();
    assert_eq!(two.messages(1), [(id(1), Class::Data, vec![7])]);
}
