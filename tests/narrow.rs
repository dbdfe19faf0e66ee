//! Links that are narrow: what is large takes long, and nobody may be taken for gone meanwhile.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

mod support;

use std::time::Duration;

use spinney::{Pending, Store};
use support::places::{founders, free_addresses};
use support::proxy::Proxy;
use support::{directory, now, wait_until};

/// Bytes a second between any two members.
const RATE: u32 = 1 << 20;

/// For so long the writes take all of it, about.
const TAKES: Duration = Duration::from_secs(8);

const VALUE_BYTES: usize = 1 << 20;

const ELECTION: (Duration, Duration) = (Duration::from_millis(700), Duration::from_millis(1_400));

#[test]
fn heartbeats_and_reads_do_not_wait_for_what_is_large() {
    let (listening, directories) = (free_addresses(3), [directory(), directory(), directory()]);
    let links: Vec<Proxy> = listening.iter().map(|&address| Proxy::narrow(address, RATE)).collect();
    let mut peers = founders(3);
    peers.iter_mut().zip(&links).for_each(|(peer, link)| peer.1 = link.address().to_string());
    let open = |n: usize| {
        let builder = Store::builder().dir(directories[n].path()).member(&peers[n].0);
        let builder = builder.listen(listening[n].to_string()).peers(peers.clone());
        builder.election_timeout(ELECTION.0, ELECTION.1).request_timeout(10 * TAKES).open().unwrap()
    };
    let stores: Vec<Store> = (0..3).map(open).collect();
    let mut leader = None;
    wait_until("a leader that all know", || {
        leader = stores.iter().find(|store| store.cluster().unwrap().is_leader());
        stores.iter().all(|store| store.status().problems.is_empty())
    });
    let leader = leader.unwrap();
    let term = || leader.cluster().unwrap().term();
    leader.set("/small", "1").unwrap();

    let (began, was) = (now(), term());
    let count = TAKES.as_secs() as usize * RATE as usize / VALUE_BYTES;
    let value = "v".repeat(VALUE_BYTES);
    let under_way: Vec<Pending<_>> =
        (0..count).map(|n| leader.put(format!("/large/{n}")).value(&value).submit()).collect();
    let mut slowest = Duration::ZERO;
    while began.elapsed() < TAKES / 2 {
        let asked = now();
        let latest = leader.get_latest("/small");
        assert!(latest.is_ok(), "{latest:?} after {:?}: {:?}", asked.elapsed(), leader.status().problems);
        slowest = slowest.max(asked.elapsed());
    }
    under_way.into_iter().for_each(|write| drop(write.wait().unwrap()));
    println!("all written in {:?}, the slowest read took {slowest:?}", began.elapsed());
    assert!(began.elapsed() >= TAKES / 2, "it was not narrow");
    assert_eq!(term(), was, "somebody was taken for gone");
    assert!(slowest < ELECTION.0, "a read took {slowest:?}");
}
