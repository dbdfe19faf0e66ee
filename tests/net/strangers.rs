//! Who is let in, and who is not.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use spinney::ClusterId;
use spinney::internals::BootId;
use spinney::internals::net::wire::{Challenge, GREETING_BYTES, Hello, Purpose};
use spinney::internals::net::{
    Endpoint, Event, NetError, Refusal, Rejection, Secret, Settings, Speaker, join,
};

use crate::member::{
    CLUSTER, LONG, Member, id, listener, meet, nowhere, pair_with, secret, settings, speaker,
};
use crate::support::{now, wait_until};

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
        // Some were told that there are too many.
        let ended = socket.read_to_end(&mut Vec::new());
        assert!(ended.map_or_else(|error| error.kind() == std::io::ErrorKind::ConnectionReset, |_| true));
    }
    // However many they were, the first of a kind is told of.
    let told = one.endpoint.stats().turned_away;
    assert!(told.len() == 2 && told.iter().all(|one| one.first.starts_with("127.0.0.1:")), "{told:?}");
    let why = [told[0].rejection, told[1].rejection];
    assert_eq!(why, [Rejection::Garbage, Rejection::Refused(Refusal::Busy)]);
    // All that time the two were connected, and a newcomer gets in.
    assert_eq!((one.session(2), two.session(1)), (before.peers[&id(2)].session, two.session(1)));
    let three = Member::start(3);
    three.peers(&[(1, one.address())]);
    meet(&three, 3, &one, 1);
}

#[test]
fn whoever_comes_where_too_many_are_is_told_so() {
    let one = Member::start_as(speaker(1, 1), None, Settings { handshakes_max: 2, ..settings() });
    let silent: Vec<_> = (0..2).map(|_| TcpStream::connect(one.address()).unwrap()).collect();
    for _ in 0..20 {
        let joined = join(&one.address().to_string(), b"please", None, &settings());
        assert!(matches!(joined, Err(NetError::Refused(Refusal::Busy))), "{joined:?}");
    }
    drop(silent);
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
            assert!(matches!(answer, Err(NetError::Unanswered)), "the owner would not answer: {answer:?}");

            let asking = scope.spawn(|| join(&address, b"please", secret.as_ref(), &brief));
            let Event::Join(request) = member.event() else { panic!() };
            let answer = asking.join().unwrap();
            assert!(matches!(answer, Err(NetError::TimedOut)), "it took too long: {answer:?}");
            request.answer(b"nobody hears this".to_vec());
        });
        let large = join(&address, &vec![0; (1 << 20) + 1], secret.as_ref(), &brief);
        assert!(matches!(large, Err(NetError::TooLarge { .. })));
    }
    let nobody = join(&nowhere().to_string(), b"please", None, &settings());
    assert!(matches!(nobody, Err(NetError::Io { .. })));
    assert!(join("nonsense", b"please", None, &settings()).is_err());
}
