//! Watches over the wire: what the recording does not say, since etcd does otherwise or nobody asked it.

#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod http;
mod support;

use std::net::SocketAddr;

use http::client::Client;
use spinney::Store;

/// How many clients wait at once; bounded by the descriptors that a test may well have, two each.
const WAITING: usize = 2_000;

fn open(address: SocketAddr, target: &str) -> Client {
    let mut client = Client::new(address).unwrap();
    client.send("GET", target, &[], None).unwrap();
    assert_eq!(client.head().unwrap().status, 200);
    client
}

/// The index of the next event, which is one piece of the body.
fn index(client: &mut Client) -> u64 {
    let line = client.chunk().unwrap().expect("an event");
    let event: serde_json::Value = serde_json::from_slice(&line).unwrap();
    event["node"]["modifiedIndex"].as_u64().unwrap()
}

/// How many descriptors this process may have, as far as the system says.
fn descriptors_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    line.and_then(|line| line.split_whitespace().nth(3)).and_then(|soft| soft.parse().ok()).unwrap_or(1024)
}

/// The first deviation: a stream tells all that history has, and stays live.
#[test]
fn a_stream_from_the_past_tells_all_of_it_and_goes_on() {
    let store = Store::in_memory();
    let (_running, address) = http::serve(&store);
    for n in 0..50 {
        store.set("/a", n).unwrap();
        store.set("/b", n).unwrap();
    }
    let mut stream = open(address, "/v2/keys/a?wait=true&stream=true&waitIndex=41");
    for expected in (41..100).step_by(2) {
        assert_eq!(index(&mut stream), expected);
    }
    for expected in 101..110 {
        store.set("/a", "live").unwrap();
        assert_eq!(index(&mut stream), expected);
    }
}

/// The second: a gap is an error, at the beginning as in etcd, and later, where etcd would skip in silence.
#[test]
fn a_stream_that_meets_a_gap_is_told_and_ends() {
    let store = Store::builder().history(10).open().unwrap();
    let (_running, address) = http::serve(&store);
    for n in 0..20 {
        store.set("/a", n).unwrap();
    }
    let mut client = Client::new(address).unwrap();
    let reply = client.call("GET", "/v2/keys/a?wait=true&waitIndex=5", None).unwrap();
    assert_eq!((reply.head.status, reply.head.header("X-Etcd-Index")), (400, Some("20")));
    let expected = "{\"errorCode\":401,\"message\":\"The event in requested index is outdated and cleared\",\
                    \"cause\":\"the requested history has been cleared [11/5]\",\"index\":20}\n";
    assert_eq!(reply.text(), expected);

    // It reads nothing while far more happens than its buffers, the system's included, and history can hold.
    let mut stream = open(address, "/v2/keys/a?wait=true&stream=true");
    let value = "x".repeat(100 << 10);
    for _ in 0..400 {
        store.set("/a", &value).unwrap();
    }
    let mut last = Vec::new();
    while let Some(line) = stream.chunk().unwrap() {
        last = line;
    }
    let last = String::from_utf8(last).unwrap();
    assert!(last.starts_with("{\"errorCode\":401,") && last.ends_with("}\n"), "{last:.200}");
}

#[test]
fn thousands_wait_on_no_thread_of_their_own_and_one_event_reaches_those_concerned() {
    let store = Store::in_memory();
    let (_running, address) = http::serve(&store);
    let waiting = WAITING.min(descriptors_max().saturating_sub(200) / 2);
    let threads = support::threads().len();
    let mut clients: Vec<Client> =
        (0..waiting).map(|n| open(address, &format!("/v2/keys/k{}?wait=true", n % 100))).collect();
    assert_eq!(store.status().watches.watchers, waiting);
    assert!(support::threads().len() <= threads + 4, "threads: {threads}, then {}", support::threads().len());

    let written = store.set("/k7", "now").unwrap().index().get();
    for client in clients.iter_mut().skip(7).step_by(100) {
        assert_eq!(index(client), written);
        assert_eq!(client.chunk().unwrap(), None);
    }
    let told = clients.iter().skip(7).step_by(100).count();
    assert_eq!(store.status().watches.watchers, waiting - told);
    drop(clients);
    support::wait_until("no watch is left", || store.status().watches.watchers == 0);
}

#[test]
fn the_front_keeps_its_own_directory_to_itself() {
    let store = Store::in_memory();
    let (_running, address) = http::serve(&store);
    let mut client = Client::new(address).unwrap();
    let mut watch = open(address, "/v2/keys/?wait=true&recursive=true&stream=true");
    let user = client.send("PUT", "/v2/auth/users/u", &[], Some(br#"{"user":"u","password":"p"}"#));
    user.and_then(|()| client.reply("PUT")).unwrap();
    assert!(store.get("/_spinney/auth/users/u").is_ok());

    for target in ["/v2/keys/_spinney", "/v2/keys/%5fspinney/auth", "/v2/keys/_spinney/auth/users/u"] {
        assert_eq!(client.call("GET", target, None).unwrap().head.status, 404, "{target}");
    }
    // A client's own directory of that name is another one.
    let reply = client.call("PUT", "/v2/keys/_spinney/auth/users/u", Some("value=mine")).unwrap();
    assert_eq!(reply.head.status, 201);
    assert!(reply.text().contains("\"key\":\"/_spinney/auth/users/u\""), "{}", reply.text());
    let reply = client.call("GET", "/v2/keys/_spinney?recursive=true", None).unwrap();
    assert!(
        reply.text().contains("\"value\":\"mine\"") && !reply.text().contains("argon2"),
        "{}",
        reply.text()
    );
    assert!(store.get("/_spinney/auth/users/u").unwrap().text().unwrap().contains("argon2"));

    let written = store.set("/visible", "1").unwrap().index().get();
    assert_eq!(index(&mut watch), written, "of all that, a watcher of everything was told nothing");
    // Looks at history show hidden keys, as in etcd; this directory they do not show.
    let mut past = open(address, "/v2/keys/?wait=true&recursive=true&waitIndex=1");
    assert_eq!(index(&mut past), written - 1);
}
