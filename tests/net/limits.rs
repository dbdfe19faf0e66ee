//! Much to be said: bounds, what goes first, and what is too large.

use std::time::Duration;

use spinney::internals::net::{Class, Event, Settings, Unsent};

use crate::member::{Member, id, nowhere, number, pair_with, secret, settings, speaker};
use crate::support::{now, wait_until};

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
    let sender = std::thread::spawn(move || {
        let mut refused = 0;
        for n in 0..messages {
            let message = [&n.to_le_bytes()[..], &vec![7; message_bytes]].concat();
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
fn a_frame_may_be_as_large_as_the_limit_and_no_larger() {
    let limited = Settings { frame_bytes_max: 3 << 20, ..settings() };
    let (one, two) = pair_with(secret("a secret of enough bytes"), &limited);
    assert_eq!(one.send(2, Class::Data, vec![0; (3 << 20) + 1]), Err(Unsent::TooLarge));
    for bytes in [3 << 20, 0, 1, (3 << 20) - 1] {
        one.send_patiently(2, Class::Data, &vec![9; bytes]);
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
    assert!(narrow.endpoint.stats().turned_away.iter().any(|one| one.first.contains("1001 bytes")));
}
