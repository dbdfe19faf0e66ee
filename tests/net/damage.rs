//! Links that are cut, spoilt, silent and slow.

use std::time::Duration;

use spinney::internals::net::{Class, Rejection, Settings, Unsent};

use crate::member::{Member, id, meet, number, secret, settings, speaker};
use crate::support::proxy::{Proxy, Way};
use crate::support::wait_until;

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
        for member in [&one, &two] {
            let told = member.endpoint.stats().turned_away;
            let of_session = told.iter().filter(|one| one.first.starts_with("session with member"));
            assert!(of_session.map(|one| one.rejection).eq([Rejection::Nonsense]), "{told:?}");
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
        one.send_patiently(2, Class::Data, &n.to_le_bytes());
    }
    assert!(two.messages(500).iter().map(|(_, _, bytes)| number(bytes)).eq(0..500));
    assert_eq!(proxy.passed(), 1);
}
