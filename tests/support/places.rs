//! Places on loopback that nobody else takes, also while nobody listens there: a member that is down comes back to its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

/// Whoever listens here, on a loopback address, has that address.
const CLAIM: u16 = 20_000;

/// From here on a system gives ports to whoever asks for any.
const SYSTEMS: u16 = 32_768;

/// How many addresses a process begins apart from the one before it: more than most programs use.
const APART: u32 = 64;

/// Each of the lower three numbers of an address goes from 1 to this.
const NUMBERS: u32 = 254;

/// A loopback address that no other cluster has, in this process or another one, as long as this process lives.
pub(crate) fn own_host() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static CLAIMS: Mutex<Vec<TcpListener>> = Mutex::new(Vec::new());
    let first = std::process::id().wrapping_mul(APART);
    for _ in 0..1_000 {
        let place = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let number = |power: u32| (place / NUMBERS.pow(power) % NUMBERS + 1) as u8;
        let host = Ipv4Addr::new(127, number(2), number(1), number(0));
        // What comes from process ids alone may meet: there are more of them than addresses.
        if let Ok(claim) = TcpListener::bind((host, CLAIM)) {
            CLAIMS.lock().unwrap().push(claim);
            return host.to_string();
        }
    }
    panic!("port {CLAIM} is taken on all loopback addresses");
}

/// A place on a host of one's own, which is given away once.
pub(crate) fn free_address(host: &str) -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(CLAIM + 1);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!((CLAIM + 1..SYSTEMS).contains(&port), "all ports are given away");
        if let Ok(listener) = TcpListener::bind((host, port)) {
            return listener.local_addr().unwrap();
        }
    }
}

/// So many of them, for a cluster that needs no host but this one.
pub(crate) fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let host = own_host();
    (0..count).map(|_| free_address(&host)).collect()
}

/// So many members, and where each of them is: what a cluster is founded by.
pub(crate) fn founders(count: usize) -> Vec<(String, String)> {
    (1..).zip(free_addresses(count)).map(|(n, address)| (format!("n{n}"), address.to_string())).collect()
}
