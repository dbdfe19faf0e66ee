//! Clients that mean ill, or are broken: bounded, answered where there is an answer, and nobody else is kept waiting.

#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod http;
mod support;

use std::io::Write;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use http::client::Client;
use spinney::Store;
use spinney::http::{Limits, Running, Server};

/// Long enough for what is to happen to happen, short enough not to wait for what is not to.
const SHORT: Duration = Duration::from_millis(200);

/// As much as a hostile client sends.
const GIGABYTE: usize = 1 << 30;

fn serve_with(store: &Store, limit: impl FnOnce(&mut Limits)) -> (Running, SocketAddr) {
    let mut limits = Limits::default();
    limit(&mut limits);
    http::start(Server::new(store.clone()).limits(limits))
}

fn serve() -> (Running, SocketAddr) {
    serve_with(&Store::in_memory(), |_| {})
}

/// Everybody else is answered as ever.
fn assert_serves(address: SocketAddr) {
    let reply = Client::new(address).unwrap().call("GET", "/version", None).unwrap();
    assert_eq!(reply.head.status, 200);
}

fn watchers(store: &Store) -> usize {
    store.status().watches.watchers
}

/// A watch that has begun.
fn wait_for(address: SocketAddr, target: &str) -> Client {
    let mut client = Client::new(address).unwrap();
    client.send("GET", target, &[], None).unwrap();
    assert_eq!(client.head().unwrap().status, 200);
    client
}

#[test]
fn a_head_that_never_ends_is_not_waited_for() {
    let (_running, address) = serve_with(&Store::in_memory(), |limits| limits.head_timeout = SHORT);
    let mut slow: Vec<Client> = (0..20).map(|_| Client::new(address).unwrap()).collect();
    for client in &mut slow {
        client.send_raw(b"GET /v2/keys/a HTTP/1.1\r\nHost: te").unwrap();
    }
    assert_serves(address);
    for client in &mut slow {
        assert!(client.is_closed());
    }
    assert_serves(address);
}

#[test]
fn a_body_that_never_comes_is_not_waited_for() {
    let (_running, address) = serve_with(&Store::in_memory(), |limits| limits.body_timeout = SHORT);
    let mut client = Client::new(address).unwrap();
    client
        .send_raw(
            b"PUT /v2/keys/a HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\
              Content-Type: application/x-www-form-urlencoded\r\n\r\nvalue=",
        )
        .unwrap();
    let reply = client.reply("PUT").unwrap();
    assert_eq!(reply.head.status, 400);
    assert!(reply.text().contains("\"errorCode\":210"), "{}", reply.text());
    assert_serves(address);
}

#[test]
fn a_client_that_goes_away_frees_its_watch() {
    let store = Store::in_memory();
    let (_running, address) = http::serve(&store);
    let gone = wait_for(address, "/v2/keys/a?wait=true");
    let stream = wait_for(address, "/v2/keys/a?wait=true&stream=true&recursive=true");
    let half_open = wait_for(address, "/v2/keys/a?wait=true");
    assert_eq!(watchers(&store), 3);
    drop(gone);
    drop(stream);
    // This one says that nothing more will come from it, as a proxy does whose own client has left.
    half_open.stream().shutdown(Shutdown::Write).unwrap();
    support::wait_until("no watch is left", || watchers(&store) == 0);
}

#[test]
fn a_client_that_reads_nothing_is_given_up() {
    let store = Store::in_memory();
    let megabyte = vec![b'x'; 1 << 20];
    for n in 0..40 {
        store.set(format!("/big/{n}"), &megabyte).unwrap();
    }
    let (_running, address) = serve_with(&store, |limits| {
        limits.write_timeout = SHORT;
        limits.connections = 1;
    });
    let mut client = Client::new(address).unwrap();
    client.send("GET", "/v2/keys/big?recursive=true", &[], None).unwrap();
    // There is room for one connection: that the next is answered says that the first was given up.
    assert_serves(address);
    drop(client);
}

#[test]
fn a_stream_that_reads_nothing_slows_nobody() {
    let store = Store::in_memory();
    let (_running, address) = serve_with(&store, |limits| limits.write_timeout = SHORT);
    let client = wait_for(address, "/v2/keys/a?wait=true&stream=true");
    let value = vec![b'x'; 100 << 10];
    for _ in 0..300 {
        store.set("/a", &value).unwrap();
    }
    support::wait_until("the stream was given up", || watchers(&store) == 0);
    drop(client);
    assert_serves(address);
}

#[test]
fn there_is_room_for_so_many_connections_and_watches() {
    let store = Store::in_memory();
    let (_running, address) = serve_with(&store, |limits| {
        limits.connections = 3;
        limits.waits = 2;
    });
    let (one, two) = (wait_for(address, "/v2/keys/a?wait=true"), wait_for(address, "/v2/keys/a?wait=true"));
    let mut third = Client::new(address).unwrap();
    let refused = third.call("GET", "/v2/keys/a?wait=true", None).unwrap();
    assert_eq!(refused.head.status, 503);
    assert!(refused.text().contains("too many watches are waiting"), "{}", refused.text());

    let mut fourth = Client::new(address).unwrap();
    fourth.send("GET", "/version", &[], None).unwrap();
    assert!(fourth.is_quiet(SHORT).unwrap(), "there is no room for a fourth connection");
    drop(one);
    assert_eq!(fourth.reply("GET").unwrap().head.status, 200);
    support::wait_until("there is room for a watch", || {
        third.send("GET", "/v2/keys/a?wait=true", &[], None).unwrap();
        match third.head().unwrap().status {
            200 => true,
            _ => third.chunk().unwrap().is_none(),
        }
    });
    drop(two);
}

/// Sends `head`, then bytes without end, until the server has had enough; how many it took.
fn flood(address: SocketAddr, head: &str) -> (usize, Option<u16>) {
    let mut client = Client::new(address).unwrap();
    client.send_raw(head.as_bytes()).unwrap();
    let piece = vec![b'x'; 64 << 10];
    let mut sent = 0;
    while sent < GIGABYTE {
        if client.stream().write_all(&piece).is_err() {
            break;
        }
        sent += piece.len();
    }
    // What the server said may have been lost with the rest of the connection.
    (sent, client.head().ok().map(|head| head.status))
}

#[test]
fn a_gigabyte_of_body_is_not_taken() {
    let store = Store::in_memory();
    let (_running, address) = http::serve(&store);
    for content_type in ["application/x-www-form-urlencoded", "application/octet-stream"] {
        for length in [format!("Content-Length: {GIGABYTE}"), "Transfer-Encoding: chunked".to_owned()] {
            let chunk = if length.starts_with('T') { "40000000\r\n" } else { "" };
            let head = format!(
                "PUT /v2/keys/a HTTP/1.1\r\nHost: test\r\nContent-Type: {content_type}\r\n{length}\r\n\r\n{chunk}"
            );
            let (sent, status) = flood(address, &head);
            assert!(sent < 100 << 20, "{content_type}, {length}: {sent} bytes were taken");
            let expected: &[u16] = if content_type.contains("form") { &[400] } else { &[200, 201] };
            assert!(status.is_none_or(|status| expected.contains(&status)), "{status:?}");
        }
    }
    assert!(store.get("/a").is_ok_and(|node| node.value().is_empty()), "what is no form is no value");
    assert_serves(address);
}

#[test]
fn a_value_too_large_for_the_store_is_refused_in_words() {
    let (_running, address) = serve();
    let form = format!("value={}", "x".repeat((1 << 20) + 1));
    let reply = Client::new(address).unwrap().call("PUT", "/v2/keys/a", Some(&form)).unwrap();
    assert_eq!(reply.head.status, 413);
    assert!(
        reply.text().contains("exceeds the limit of 1048576 (setting `value_bytes`)"),
        "{}",
        reply.text()
    );
    let form = format!("value={}", "x".repeat(10 << 20));
    let reply = Client::new(address).unwrap().call("PUT", "/v2/keys/a", Some(&form)).unwrap();
    assert_eq!(reply.head.status, 400);
    assert!(reply.text().contains("\"cause\":\"http: POST too large\""), "{}", reply.text());
}

#[test]
fn heads_are_bounded() {
    let (_running, address) = serve();
    for head in [
        format!("GET /version HTTP/1.1\r\n{}\r\n", "X-Header: x\r\n".repeat(100_000)),
        format!("GET /v2/keys/{} HTTP/1.1\r\n\r\n", "a".repeat(2 << 20)),
        format!("GET /version HTTP/1.1\r\nX-Header: {}\r\n\r\n", "x".repeat(2 << 20)),
    ] {
        let mut client = Client::new(address).unwrap();
        // The server may hang up before all of it is sent.
        let _ = client.send_raw(head.as_bytes());
        let status = client.head().ok().map(|head| head.status);
        assert!(status.is_none_or(|status| (400..500).contains(&status)), "{status:?}");
        assert_serves(address);
    }
}

#[test]
fn what_is_no_request_is_refused() {
    let (_running, address) = serve();
    for bytes in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET /version HTTP/9.9\r\n\r\n",
        b"GET /version HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /version HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET /version HTTP/1.1\r\nno colon\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let mut client = Client::new(address).unwrap();
        client.send_raw(bytes).unwrap();
        client.stream().shutdown(Shutdown::Write).unwrap();
        let status = client.head().ok().map(|head| head.status);
        assert!(status.is_none_or(|status| (400..600).contains(&status)), "{bytes:?}: {status:?}");
        assert!(client.is_closed());
    }
    assert_serves(address);
}

#[test]
fn a_path_with_a_broken_escape_ends_the_connection() {
    let (_running, address) = serve();
    for target in ["/v2/keys/%zz", "/v2/keys/%", "/%4", "/v2/keys/a%"] {
        let mut client = Client::new(address).unwrap();
        let reply = client.call("GET", target, None).unwrap();
        assert_eq!((reply.head.status, &*reply.text()), (400, "400 Bad Request"), "{target}");
        assert!(client.is_closed());
    }
}

#[test]
fn only_options_are_asked_of_nobody_in_particular() {
    let (_running, address) = serve();
    for method in ["GET", "PUT", "DELETE"] {
        let mut client = Client::new(address).unwrap();
        let reply = client.call(method, "*", None).unwrap();
        assert_eq!((reply.head.status, &*reply.text()), (400, ""), "{method}");
        assert!(client.is_closed());
    }
    let mut client = Client::new(address).unwrap();
    assert_eq!(client.call("OPTIONS", "*", None).unwrap().head.status, 200);
}

#[test]
fn requests_that_come_at_once_are_answered_in_their_order() {
    let (_running, address) = serve();
    let mut client = Client::new(address).unwrap();
    let request = |n| format!("PUT /v2/keys/n?value={n} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    let requests: String = (0..200).map(request).collect();
    client.send_raw(requests.as_bytes()).unwrap();
    for n in 0..200 {
        let reply = client.reply("PUT").unwrap();
        assert_eq!(reply.head.header("X-Etcd-Index"), Some(&*(n + 1).to_string()));
        assert!(reply.text().contains(&format!("\"value\":\"{n}\"")), "{}", reply.text());
    }
}

#[test]
fn a_server_that_stops_ends_watches_and_hangs_up() {
    let store = Store::in_memory();
    let (running, address) = serve_with(&store, |limits| limits.stop_timeout = Duration::from_secs(5));
    let mut watch = wait_for(address, "/v2/keys/a?wait=true");
    let mut idle = Client::new(address).unwrap();
    assert_eq!(idle.call("GET", "/version", None).unwrap().head.status, 200);
    let mut slow = Client::new(address).unwrap();
    slow.send_raw(b"GET /version HTTP/1.1\r\nHo").unwrap();
    running.stop();
    assert_eq!(watch.chunk().unwrap(), None, "an empty body, and complete");
    assert!(watch.is_closed() && idle.is_closed() && slow.is_closed());
    assert!(std::net::TcpStream::connect(address).is_err());
    assert_eq!(watchers(&store), 0);
    assert!(store.set("/a", "still open").is_ok());
}

#[test]
fn a_store_that_is_closed_elsewhere_is_kept_open_by_its_server() {
    let store = Store::in_memory();
    let (running, address) = http::serve(&store);
    drop(store);
    let reply = Client::new(address).unwrap().call("PUT", "/v2/keys/a", Some("value=1")).unwrap();
    assert_eq!(reply.head.status, 201);
    running.stop();
}
