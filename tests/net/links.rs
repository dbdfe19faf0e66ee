//! Who hears whom, in which order, and over which connection.

use std::collections::BTreeMap;
use std::time::Duration;

use spinney::internals::net::{Class, Event, Refusal, Unsent};

use crate::member::{Member, id, meet, nowhere, number, pair_with, secret, settings, speaker};
use crate::support::proxy::{Proxy, Way};
use crate::support::wait_until;

#[test]
fn messages_arrive_in_order_both_ways_with_and_without_a_secret() {
    for secret in [None, secret("a secret of enough bytes")] {
        let (one, two) = pair_with(secret, &settings());
        for n in 0..2000_u64 {
            let class = if n % 3 == 0 { Class::Urgent } else { Class::Data };
            let filler = vec![n as u8; (n as usize * 7919) % 9000];
            one.send_patiently(2, class, &[&n.to_le_bytes()[..], &filler].concat());
            two.send_patiently(1, class, &n.to_le_bytes());
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
