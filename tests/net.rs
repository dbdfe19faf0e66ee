//! Members that talk over real sockets on loopback, and what may happen to them on the way.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crossbeam_channel::Receiver;
use spinney::internals::BootId;
use spinney::internals::net::wire::{Challenge, GREETING_BYTES, Hello, Purpose};
use spinney::internals::net::{
    Class, Endpoint, Event, NetError, Outgoing, Part, Refusal, Secret, SessionId, Settings, Speaker, Unsent,
    join,
};
use spinney::{ClusterId, MemberId};
use support::proxy::{Proxy, Way};
use support::{is_alone, now, threads, wait_until};

const CLUSTER: ClusterId = ClusterId::new(77);

/// For what must come sooner or later.
const LONG: Duration = Duration::from_secs(30);

fn id(member: u64) -> MemberId {
    MemberId::new(member)
}

fn speaker(member: u64, boot: u64) -> Speaker {
    Speaker { cluster: CLUSTER, member: id(member), boot: BootId::new(boot) }
}

/// Short delays, and timeouts that no machine is too slow for: what ends a session here is meant to.
fn settings() -> Settings {
    Settings {
        reconnect_delay_max: Duration::from_millis(60),
        handshake_timeout: Duration::from_secs(60),
        write_timeout: Duration::from_secs(120),
        silence_timeout: Duration::from_secs(120),
        ..Settings::new(now)
    }
}

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text.as_bytes()).unwrap())
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Where nobody listens, and no other test will.
fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
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
        let (endpoint, events) = Endpoint::start(listener(), speaker, secret, settings, || {}).unwrap();
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

    fn refused(&self, refusal: Refusal) -> u64 {
        self.endpoint.stats().refused.get(&refusal).copied().unwrap_or_default()
    }

    fn session(&self, member: u64) -> Option<SessionId> {
        self.endpoint.stats().peers.get(&id(member)).and_then(|peer| peer.session)
    }
}

/// Two members that are connected for good: only the first calls.
fn pair_with(secret: Option<Secret>, settings: &Settings) -> (Member, Member) {
    let one = Member::start_as(speaker(1, 1), secret.clone(), settings.clone());
    let two = Member::start_as(speaker(2, 1), secret, settings.clone());
    one.peers(&[(2, two.address())]);
    meet(&one, 1, &two, 2);
    (one, two)
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
    (1..).zip(&members).for_each(|(n, member)| member.peers(&addresses[n..]));
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
        let (one, two) = (Member::start(1), Member::start(2));
        one.peers(&[(2, two.address())]);
        two.peers(&[(1, one.address())]);
        let mut last = (None, None);
        wait_until("a session that stays", || {
            let before = std::mem::replace(&mut last, (one.session(2), two.session(1)));
            std::thread::sleep(Duration::from_millis(100));
            last.0.is_some() && last.1.is_some() && before == last
        });
        // It is the same one at both ends.
        meet(&one, 1, &two, 2);
        assert_eq!((one.session(2), two.session(1)), last);
    }
}

#[test]
fn listening_where_others_can_reach_it_wants_a_secret_or_leave() {
    let start = |secret, allow_insecure| {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        Endpoint::start(listener, speaker(1, 1), secret, Settings { allow_insecure, ..settings() }, || {})
            .map(drop)
    };
    let Err(NetError::Insecure { address }) = start(None, false) else { panic!() };
    assert!(address.ip().is_unspecified());
    start(secret("a secret of enough bytes"), false).unwrap();
    start(None, true).unwrap();
    let weak = Secret::new(b"too short").unwrap_err();
    assert_eq!(weak.to_string(), "the peers' secret has 9 bytes and wants at least 16");
    let senseless = Settings { handshakes_max: 0, ..settings() };
    let refused = Endpoint::start(listener(), speaker(1, 1), None, senseless, || {});
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

/// Starts a member that nobody will ever talk to, calls `victim` with it, and waits for the refusal at both ends.
fn is_refused(victim: &Member, refusal: Refusal, speaker: Speaker, wanted: u64, secret: Option<Secret>) {
    let before = victim.refused(refusal);
    let caller = Member::start_as(speaker, secret, settings());
    caller.peers(&[(wanted, victim.address())]);
    wait_until("a refusal", || victim.refused(refusal) > before);
    wait_until("a failure to call", || {
        let stats = caller.endpoint.stats();
        stats.dial_failures > 0
            && stats.last_refusal.is_some_and(|words| words.contains(&refusal.to_string()))
    });
    assert_eq!(caller.session(wanted), None);
    assert!(caller.events.is_empty());
}

#[test]
fn strangers_are_refused_with_the_reason_and_counted() {
    let open = Member::start(1);
    is_refused(&open, Refusal::Cluster, Speaker { cluster: ClusterId::new(78), ..speaker(2, 1) }, 1, None);
    is_refused(&open, Refusal::Member, speaker(2, 1), 3, None);
    is_refused(&open, Refusal::SecretMissing, speaker(2, 1), 1, secret("a secret of enough bytes"));
    // One that calls itself by the id of the member that it calls.
    let twin = hello(1, 1, 1);
    assert_eq!(challenge_to(&open, twin).refusal, Some(Refusal::Member));
    assert_eq!(challenge_to(&open, hello(0, 1, 1)).refusal, Some(Refusal::Member));
    let newer = Hello { version_min: 2, version_max: 9, ..hello(2, 1, 1) };
    assert_eq!(challenge_to(&open, newer).refusal, Some(Refusal::Version));
    // What it is told shows nothing of the one that refused.
    let told = challenge_to(&open, newer);
    assert_eq!((told.cluster, told.from, told.boot), (ClusterId::new(0), id(0), BootId::new(0)));
    assert!(open.events.is_empty(), "the owner hears nothing of all that");

    let keyed = Member::start_as(speaker(1, 1), secret("a secret of enough bytes"), settings());
    is_refused(&keyed, Refusal::SecretMissing, speaker(2, 1), 1, None);
    is_refused(&keyed, Refusal::SecretDiffers, speaker(2, 1), 1, secret("another secret, as good"));
    assert!(keyed.events.is_empty());
    let joined = join(&keyed.address().to_string(), b"please", None, &settings());
    assert!(matches!(joined, Err(NetError::Refused(Refusal::SecretMissing))), "{joined:?}");
}

/// A hello without a secret, for the member `to`.
fn hello(from: u64, to: u64, boot: u64) -> Hello {
    Hello {
        version_min: 1,
        version_max: 1,
        purpose: Purpose::Messages,
        has_secret: false,
        cluster: CLUSTER,
        from: id(from),
        to: id(to),
        boot: BootId::new(boot),
        session: 1,
        nonce: [5; 32],
    }
}

/// What a member answers to this.
fn challenge_to(member: &Member, hello: Hello) -> Challenge {
    let mut socket = TcpStream::connect(member.address()).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket.write_all(&hello.encode()).unwrap();
    let mut bytes = [0; GREETING_BYTES];
    socket.read_exact(&mut bytes).unwrap();
    Challenge::decode(&bytes).unwrap()
}

/// Whether the member closes the connection on which `bytes` were said.
fn is_hung_up_on(member: &Member, bytes: &[u8]) -> bool {
    let mut socket = TcpStream::connect(member.address()).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let _ = socket.write_all(bytes);
    let mut rest = Vec::new();
    match socket.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn garbage_scanners_and_the_slow_do_no_harm() {
    let brief = Settings { handshake_timeout: Duration::from_millis(300), handshakes_max: 8, ..settings() };
    let (one, two) = pair_with(None, &brief);
    let before = one.endpoint.stats();

    for scan in 0..20 {
        drop(TcpStream::connect(one.address()).unwrap());
        assert!(is_hung_up_on(&one, b"GET / HTTP/1.1\r\nHost: example\r\n\r\n"), "{scan}");
        assert!(is_hung_up_on(&one, &[0xff; 4096]));
        let mut broken = hello(3, 1, 1).encode();
        broken[100] ^= 1;
        assert!(is_hung_up_on(&one, &broken));
    }
    // Those that say nothing, or say it slowly: the deadline is that of the whole handshake.
    let mut crowd: Vec<_> = (0..40).map(|_| TcpStream::connect(one.address()).unwrap()).collect();
    let bytes = hello(3, 1, 1).encode();
    let started = now();
    let mut said = 0;
    while said < bytes.len() {
        // The last byte is never said in time.
        for socket in &mut crowd {
            let _ = socket.write_all(&bytes[said..=said]);
        }
        said += 1;
        std::thread::sleep(Duration::from_millis(20));
        if started.elapsed() > Duration::from_secs(1) {
            break;
        }
    }
    wait_until("an end of the slow", || {
        let stats = one.endpoint.stats();
        stats.crowded_out > before.crowded_out && stats.garbage >= before.garbage + 60 + 8
    });
    for mut socket in crowd {
        socket.set_read_timeout(Some(LONG)).unwrap();
        let ended = socket.read(&mut [0; 300]);
        assert!(
            matches!(ended, Ok(0))
                || ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
        );
    }
    // All that time the two were connected, and a newcomer gets in.
    assert_eq!((one.session(2), two.session(1)), (before.peers[&id(2)].session, two.session(1)));
    let three = Member::start(3);
    three.peers(&[(1, one.address())]);
    meet(&three, 3, &one, 1);
}

#[test]
fn members_not_named_are_few() {
    let one = Member::start_as(speaker(1, 1), None, Settings { strangers_max: 3, ..settings() });
    let strangers: Vec<_> = (10..13).map(Member::start).collect();
    for (member, stranger) in (10..).zip(&strangers) {
        stranger.peers(&[(1, one.address())]);
        assert_eq!(stranger.connected(1).get() > 0, one.connected(member).get() > 0);
    }
    is_refused(&one, Refusal::Busy, speaker(13, 1), 1, None);
    // One that leaves makes room for another.
    drop(strangers);
    let next = Member::start(14);
    next.peers(&[(1, one.address())]);
    one.connected(14);
}

#[test]
fn a_later_life_replaces_an_earlier_one_and_nothing_of_that_comes_after() {
    let one = Member::start(1);
    let proxy = Proxy::start(one.address());
    let earlier = Member::start_as(speaker(2, 5), None, settings());
    earlier.peers(&[(1, proxy.address())]);
    let first = one.connected(2);
    earlier.connected(1);
    // What the earlier life says is held on the way, and its end is not heard of.
    proxy.freeze(Way::To);
    for _ in 0..100 {
        earlier.send(1, Class::Data, b"earlier".to_vec()).unwrap();
    }
    earlier.endpoint.send(id(1), Class::Bulk, b"earlier, in bulk".to_vec()).unwrap();
    std::thread::sleep(Duration::from_millis(50));

    let later = Member::start_as(speaker(2, 6), None, settings());
    later.peers(&[(1, one.address())]);
    let second = one.connected(2);
    assert!(second > first);
    later.connected(1);
    proxy.mend();
    for n in 0..100_u64 {
        later.send(1, Class::Data, n.to_le_bytes().to_vec()).unwrap();
    }
    let received = one.messages(100);
    assert!(received.iter().map(|(_, _, bytes)| number(bytes)).eq(0..100));
    // The earlier life calls again, and again.
    wait_until("refusals", || one.refused(Refusal::OldBoot) >= 2);
    assert_eq!(one.session(2), Some(second));
    assert!(!one.events.try_iter().any(|event| matches!(event, Event::Messages { .. })));
}

#[test]
fn a_connection_that_was_tampered_with_is_closed_and_replaced() {
    for secret in [None, secret("a secret of enough bytes")] {
        let one = Member::start_as(speaker(1, 1), secret.clone(), settings());
        let two = Member::start_as(speaker(2, 1), secret, settings());
        let proxy = Proxy::start(two.address());
        one.peers(&[(2, proxy.address())]);
        let mut sessions = (one.connected(2), two.connected(1));
        for round in 0..6 {
            let broken = |member: &Member| member.endpoint.stats().broken_frames;
            let before = (broken(&one), broken(&two));
            match round % 3 {
                0 => proxy.corrupt_next(Way::To),
                1 => proxy.corrupt_next(Way::Back),
                _ => proxy.halve_next(Way::To),
            }
            // Some of it gets through whole, perhaps, and then a piece does not.
            wait_until("the end of the session", || {
                let _ = (one.send(2, Class::Data, vec![1; 99]), two.send(1, Class::Data, vec![2; 99]));
                one.session(2) != Some(sessions.0) && two.session(1) != Some(sessions.1)
            });
            if round % 3 < 2 {
                wait_until("a count", || (broken(&one), broken(&two)) != before);
            }
            sessions = (one.connected(2), two.connected(1));
        }
        meet(&one, 1, &two, 2);
    }
}

#[test]
fn a_link_that_dies_in_silence_is_noticed() {
    let brief = Settings {
        ping_interval: Duration::from_millis(50),
        silence_timeout: Duration::from_millis(800),
        handshake_timeout: Duration::from_millis(500),
        ..settings()
    };
    let one = Member::start_as(speaker(1, 1), None, brief.clone());
    let two = Member::start_as(speaker(2, 1), None, brief);
    let proxy = Proxy::start(two.address());
    one.peers(&[(2, proxy.address())]);
    // Pings keep a connection up on which nothing is said. Perhaps not at the first try, on a machine that pauses.
    wait_until("a long silence in one session", || {
        let session = one.session(2);
        std::thread::sleep(Duration::from_millis(1800));
        session.is_some() && one.session(2) == session
    });
    proxy.freeze(Way::Back);
    one.disconnected(2);
    two.disconnected(1);
    proxy.mend();
    one.connected(2);
    meet(&one, 1, &two, 2);
}

#[test]
fn a_slow_link_delivers_what_was_said() {
    let one = Member::start(1);
    let two = Member::start(2);
    let proxy = Proxy::start(two.address());
    proxy.delay(Way::To, Duration::from_millis(20));
    proxy.delay(Way::Back, Duration::from_millis(20));
    one.peers(&[(2, proxy.address())]);
    one.connected(2);
    for n in 0..500_u64 {
        one.send_patiently(2, Class::Data, &n.to_le_bytes().to_vec().into());
    }
    assert!(two.messages(500).iter().map(|(_, _, bytes)| number(bytes)).eq(0..500));
    assert_eq!(proxy.passed(), 1);
}

#[test]
fn a_hundred_megabytes_go_to_a_slow_owner_in_bounded_memory() {
    let small = Settings {
        incoming_bytes_max: 4 << 20,
        outgoing_bytes_max: 2 << 20,
        write_timeout: Duration::from_secs(60),
        ..settings()
    };
    let (one, two) = pair_with(None, &small);
    let message_bytes = 100 << 10;
    let messages = 1000_u64;
    let shared: std::sync::Arc<[u8]> = vec![7; message_bytes].into();
    let sender = std::thread::spawn(move || {
        let mut refused = 0;
        for n in 0..messages {
            let parts = vec![Part::Own(n.to_le_bytes().to_vec()), Part::Shared(shared.clone())];
            let message = Outgoing::new(parts);
            while let Err(unsent) = one.send(2, Class::Data, message.clone()) {
                assert_eq!(unsent, Unsent::Full);
                refused += 1;
                let waiting = one.endpoint.stats().peers[&id(2)].waiting_bytes;
                assert!(waiting <= 2 << 20, "{waiting}");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        (one, refused)
    });
    // Nobody takes anything for a while: all queues on the way fill up.
    std::thread::sleep(Duration::from_millis(300));
    let mut next = 0;
    let mut most = 0;
    while next < messages {
        let Event::Messages { frames, .. } = two.event() else { panic!() };
        for (_, bytes) in frames.iter() {
            assert_eq!((number(bytes), bytes.len()), (next, 8 + message_bytes));
            next += 1;
        }
        most = most.max(two.endpoint.stats().incoming_bytes);
    }
    let (one, refused) = sender.join().unwrap();
    assert!(refused > 0, "the sender was told to wait");
    assert!(most <= 4 << 20, "{most}");
    assert_eq!(two.endpoint.stats().incoming_bytes, 0);
    assert_eq!(one.session(2).is_some(), two.session(1).is_some());
}

#[test]
fn urgent_messages_get_past_data_that_waits() {
    let small = Settings { incoming_bytes_max: 1 << 20, outgoing_bytes_max: 4 << 20, ..settings() };
    let (one, two) = pair_with(None, &small);
    // The receiver takes nothing: once the kernel takes no more either, data waits at the sender.
    let mut refused = 0;
    while refused < 50 {
        if one.send(2, Class::Data, vec![0; 64 << 10]).is_err() {
            refused += 1;
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    let waiting = one.endpoint.stats().peers[&id(2)].waiting_messages;
    assert!(waiting > 40, "{waiting}");
    one.send(2, Class::Urgent, b"urgent".to_vec()).unwrap();
    let mut after = None;
    while after.is_none_or(|after| after < waiting - 8) {
        let Event::Messages { frames, .. } = two.event() else { panic!() };
        for (class, _) in frames.iter() {
            match &mut after {
                Some(after) => *after += 1,
                None => after = (class == Class::Urgent).then_some(0),
            }
        }
    }
}

#[test]
fn bulk_has_a_connection_of_its_own_a_rate_and_a_word_when_there_is_room() {
    let limited = Settings {
        bulk_bytes_per_second: 4 << 20,
        outgoing_bytes_max: 1 << 20,
        bulk_idle_timeout: Duration::from_millis(300),
        ping_interval: Duration::from_millis(50),
        ..settings()
    };
    let (one, two) = pair_with(secret("a secret of enough bytes"), &limited);
    assert_eq!(one.send(3, Class::Bulk, vec![1]), Err(Unsent::Unknown));
    let accepted = two.endpoint.stats().accepted;
    let session = two.session(1).unwrap();
    let started = now();
    let mut sent = 0_u64;
    while sent < 32 {
        let mut message = vec![0; 128 << 10];
        message[..8].copy_from_slice(&sent.to_le_bytes());
        match one.send(2, Class::Bulk, message) {
            Ok(()) => sent += 1,
            Err(unsent) => {
                assert_eq!(unsent, Unsent::Full);
                let room = loop {
                    if let Event::Room { member } = one.event() {
                        break member;
                    }
                };
                assert_eq!(room, id(2));
            }
        }
    }
    let mut received = 0;
    while received < 32 {
        if let Event::Messages { from, session: bulk, frames } = two.event() {
            for (class, bytes) in frames.iter() {
                assert_eq!((from, class, number(bytes)), (id(1), Class::Bulk, received));
                assert_ne!(bulk, session);
                received += 1;
            }
        }
    }
    // 4 MiB at 4 MiB/s; a tenth of a second is saved up, and the last message is waited for after it.
    assert!(started.elapsed() >= Duration::from_millis(800), "{:?}", started.elapsed());
    assert!(two.endpoint.stats().accepted > accepted);
    // The messages' session has not changed, and the other connection ends when it is not needed any more.
    assert_eq!(two.session(1), Some(session));
    let accepted = two.endpoint.stats().accepted;
    wait_until("another connection", || {
        std::thread::sleep(Duration::from_millis(600));
        one.send(2, Class::Bulk, 77_u64.to_le_bytes().to_vec()).unwrap();
        assert_eq!(number(&two.messages(1)[0].2), 77);
        two.endpoint.stats().accepted > accepted
    });
}

#[test]
fn bulk_to_nobody_is_given_up_and_the_owner_told() {
    let one = Member::start_as(speaker(1, 1), None, Settings { outgoing_messages_max: 2, ..settings() });
    one.peers(&[(2, nowhere())]);
    assert_eq!(one.send(2, Class::Data, vec![1]), Err(Unsent::NotConnected));
    for _ in 0..3 {
        // All at once: what waits is given up as soon as the call has failed, which may be before anybody looks again.
        let send = || one.send(2, Class::Bulk, vec![1]) == Err(Unsent::Full);
        wait_until("a full queue", || (0..10).any(|_| send()));
        let Event::Room { member } = one.event() else { panic!() };
        assert_eq!(member, id(2));
    }
}

#[test]
fn peers_come_go_and_move() {
    let (one, two, three) = (Member::start(1), Member::start(2), Member::start(3));
    one.peers(&[(2, two.address()), (3, three.address())]);
    meet(&one, 1, &two, 2);
    meet(&one, 1, &three, 3);
    one.peers(&[(3, three.address())]);
    two.disconnected(1);
    one.disconnected(2);
    wait_until("an end", || one.send(2, Class::Data, vec![1]) == Err(Unsent::NotConnected));
    meet(&one, 1, &three, 3);

    // Two moves: the same member in a later life, elsewhere.
    drop(two);
    let two = Member::start_as(speaker(2, 2), None, settings());
    one.peers(&[(2, two.address()), (3, three.address())]);
    meet(&one, 1, &two, 2);

    // An address that leads nowhere, and then the right one, while nobody is connected.
    one.peers(&[(4, nowhere()), (3, three.address())]);
    wait_until("calls", || one.endpoint.stats().dial_failures > 3);
    let four = Member::start(4);
    let addresses =
        vec!["no.such.name.invalid:1".to_owned(), nowhere().to_string(), four.address().to_string()];
    one.endpoint.set_peers(&BTreeMap::from([(id(4), addresses), (id(3), vec![three.address().to_string()])]));
    meet(&one, 1, &four, 4);
}

#[test]
fn a_frame_may_be_as_large_as_the_limit_and_no_larger() {
    let limited = Settings { frame_bytes_max: 3 << 20, ..settings() };
    let (one, two) = pair_with(secret("a secret of enough bytes"), &limited);
    assert_eq!(one.send(2, Class::Data, vec![0; (3 << 20) + 1]), Err(Unsent::TooLarge));
    for bytes in [3 << 20, 0, 1, (3 << 20) - 1] {
        one.send_patiently(2, Class::Data, &vec![9; bytes].into());
        assert_eq!(two.messages(1), [(id(1), Class::Data, vec![9; bytes])]);
    }
    // One who allows less than the other sends closes the connection, and says why.
    let narrow = Member::start_as(
        speaker(3, 1),
        secret("a secret of enough bytes"),
        Settings { frame_bytes_max: 1000, ..settings() },
    );
    narrow.peers(&[(1, one.address())]);
    narrow.connected(1);
    wait_until("a broken session", || {
        let _ = one.send(3, Class::Data, vec![0; 1001]);
        narrow.endpoint.stats().broken_frames > 0
    });
    assert!(narrow.endpoint.stats().last_refusal.is_some_and(|words| words.contains("1001 bytes")));
}

#[test]
fn somebody_asks_to_join_and_is_answered() {
    for secret in [None, secret("a secret of enough bytes")] {
        let member = Member::start_as(speaker(1, 1), secret.clone(), settings());
        let address = member.address().to_string();
        let brief = Settings { join_timeout: Duration::from_millis(200), ..settings() };
        let large = vec![3; 1 << 20];
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| join(&address, &large, secret.as_ref(), &settings()));
            let Event::Join(request) = member.event() else { panic!() };
            assert_eq!(request.bytes(), large);
            request.answer(b"welcome".to_vec());
            assert_eq!(asking.join().unwrap().unwrap(), b"welcome");

            let asking = scope.spawn(|| join(&address, b"please", secret.as_ref(), &settings()));
            let Event::Join(request) = member.event() else { panic!() };
            drop(request);
            let answer = asking.join().unwrap();
            assert!(matches!(answer, Err(NetError::Io { .. })), "the owner would not answer: {answer:?}");

            let asking = scope.spawn(|| join(&address, b"please", secret.as_ref(), &brief));
            let Event::Join(request) = member.event() else { panic!() };
            let answer = asking.join().unwrap();
            assert!(matches!(answer, Err(NetError::Broken { .. })), "it took too long: {answer:?}");
            request.answer(b"nobody hears this".to_vec());
        });
        let large = join(&address, &vec![0; (1 << 20) + 1], secret.as_ref(), &brief);
        assert!(matches!(large, Err(NetError::TooLarge { .. })));
    }
    let nobody = join(&nowhere().to_string(), b"please", None, &settings());
    assert!(matches!(nobody, Err(NetError::Io { .. })));
    assert!(join("nonsense", b"please", None, &settings()).is_err());
}

/// In a process of its own, for its threads to be counted.
#[test]
fn stopping_leaves_no_thread_and_waits_for_no_timeout() {
    if !is_alone("stopping_leaves_no_thread_and_waits_for_no_timeout") {
        return;
    }
    // Whatever waits for one of these would still be there at the end.
    let hour = Duration::from_secs(3600);
    let patient = Settings {
        handshake_timeout: hour,
        write_timeout: hour,
        ping_interval: hour,
        silence_timeout: 2 * hour,
        bulk_idle_timeout: hour,
        reconnect_delay_min: hour,
        reconnect_delay_max: hour,
        join_timeout: hour,
        ..settings()
    };
    for round in 0..10 {
        let (one, two) = pair_with(None, &patient);
        // All there is to be ended: bulk, peers that are called in vain, callers that say nothing, an owner that takes
        // nothing, queues that are full.
        one.peers(&[(2, two.address()), (3, nowhere()), (4, nowhere())]);
        let _ = one.send(2, Class::Bulk, vec![0; 1 << 20]);
        while one.send(2, Class::Data, vec![0; 1 << 20]) != Err(Unsent::Full) {}
        let silent: Vec<_> = (0..3).map(|_| TcpStream::connect(one.address()).unwrap()).collect();
        if round % 2 == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        one.endpoint.stop();
        assert_eq!(one.send(2, Class::Data, vec![0]), Err(Unsent::Stopped));
        one.endpoint.stop();
        drop(two);
        wait_until("an end of the threads", || threads().is_empty());
        drop(silent);
    }
}

/// A process that is killed is gone at once for those that it was connected with.
#[test]
fn the_death_of_a_process_is_told_at_once() {
    const ADDRESS: &str = "SPINNEY_NET_PARENT";
    if let Ok(address) = std::env::var(ADDRESS) {
        let child = Member::start(2);
        child.peers(&[(1, address.parse().unwrap())]);
        std::thread::sleep(Duration::from_secs(600));
        return;
    }
    // Neither a ping nor a timeout could tell within the time of a test.
    let hour = Duration::from_secs(3600);
    let patient = Settings { ping_interval: hour, silence_timeout: 2 * hour, ..settings() };
    let one = Member::start_as(speaker(1, 1), None, patient);
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let name = "the_death_of_a_process_is_told_at_once";
    let mut child = command
        .args(["--exact", name])
        .env(ADDRESS, one.address().to_string())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let session = one.connected(2);
    child.kill().unwrap();
    let killed = now();
    assert_eq!(one.disconnected(2), session);
    println!("told after {:?}", killed.elapsed());
    child.wait().unwrap();
}
