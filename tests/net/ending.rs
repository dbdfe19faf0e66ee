//! The end of an endpoint, and of a process.

use std::net::TcpStream;
use std::time::Duration;

use spinney::internals::net::{Class, Settings, Unsent};

use crate::member::{Member, nowhere, pair_with, settings, speaker};
use crate::support::{is_alone, now, threads, wait_until};

/// In a process of its own, for its threads to be counted.
#[test]
fn stopping_leaves_no_thread_and_waits_for_no_timeout() {
    if !is_alone("ending::stopping_leaves_no_thread_and_waits_for_no_timeout") {
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
    let name = "ending::the_death_of_a_process_is_told_at_once";
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
