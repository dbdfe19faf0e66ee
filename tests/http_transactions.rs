//! `POST /spinney/v1/txn`: all of it, or nothing.

#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use spinney::Store;
use spinney::http::{Running, Server};

fn serve(store: &Store) -> Running {
    Server::new(store.clone()).listen(TcpListener::bind("127.0.0.1:0").unwrap()).start().unwrap()
}

/// The status and the body of the answer to `body`, asked by `user`.
fn ask_as(server: &Running, user: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(server.addresses()[0]).unwrap();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n");
    connection.write_all(format!("{head}{user}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn ask(server: &Running, body: &str) -> (u16, String) {
    ask_as(server, "", "POST", "/spinney/v1/txn", body)
}

#[test]
fn changes_come_with_consecutive_indexes() {
    let store = Store::in_memory();
    let index = store.set("/a", "1").unwrap().index().get();
    let server = serve(&store);
    let body = format!(
        r#"{{"checks": [{{"key": "/a", "index": {index}}}, {{"key": "/b", "absent": true}}, {{"key": "a", "value": "1"}}],
            "operations": [{{"set": "/a", "value": "2"}}, {{"mkdir": "/d", "ttl": 100}}, {{"remove": "/d", "dir": true}}]}}"#
    );
    let (status, answer) = ask(&server, &body);
    assert_eq!(status, 200, "{answer}");
    let (first, last) = (index + 1, index + 3);
    let expected = format!(
        r#"{{"index":{last},"changes":[{{"action":"set","node":{{"key":"/a","value":"2","modifiedIndex":{first},"createdIndex":{first}}},"prevNode":"#
    );
    assert!(answer.starts_with(&expected), "{answer}");
    assert_eq!(store.index().get(), last);
    assert_eq!(store.get("/a").unwrap().text(), Some("2"));
    assert!(store.get("/d").is_err());
}

#[test]
fn a_check_that_fails_leaves_all_as_it_is() {
    let store = Store::in_memory();
    store.set("/a", "1").unwrap();
    let (server, index) = (serve(&store), store.index());
    for check in [r#""index": 77"#, r#""value": "2""#, r#""absent": true"#] {
        let body = format!(r#"{{"checks": [{{"key": "/a", {check}}}], "operations": [{{"remove": "/a"}}]}}"#);
        let (status, answer) = ask(&server, &body);
        assert_eq!(status, 412, "{answer}");
        assert!(answer.starts_with(r#"{"errorCode":101,"message":"Compare failed","cause":"/a"#), "{answer}");
    }
    let (status, _) = ask(&server, r#"{"operations": [{"set": "/b", "value": "1"}, {"remove": "/none"}]}"#);
    assert_eq!(status, 404);
    assert!(store.get("/b").is_err());
    assert_eq!(store.index(), index);
}

#[test]
fn what_is_not_in_form_is_refused() {
    let store = Store::in_memory();
    let server = serve(&store);
    for body in [
        "",
        "[]",
        "{}",
        r#"{"operations": [{"set": "/a"}]}"#,
        r#"{"operations": [{"remove": "/a", "bogus": 1}]}"#,
        r#"{"operations": [], "bogus": 1}"#,
        r#"{"checks": [{"key": "/a"}], "operations": []}"#,
        r#"{"checks": [{"key": "/a", "index": 1, "absent": true}], "operations": []}"#,
    ] {
        let (status, answer) = ask(&server, body);
        assert!(status == 400 && answer.starts_with("{\"errorCode\":2"), "{body}: {status} {answer}");
    }
    assert_eq!(ask_as(&server, "", "GET", "/spinney/v1/txn", "").0, 405);
    assert_eq!(store.index().get(), 0);
}

#[test]
fn whoever_asks_needs_leave_for_every_key() {
    let store = Store::in_memory();
    let server = serve(&store);
    let put = |path: &str, body: &str| assert!(ask_as(&server, "", "PUT", path, body).0 < 300, "{path}");
    put("/v2/auth/users/root", r#"{"user": "root", "password": "rp"}"#);
    let role = r#"{"role": "app", "permissions": {"kv": {"read": [], "write": ["/app/*"]}}}"#;
    put("/v2/auth/roles/app", role);
    put("/v2/auth/users/amy", r#"{"user": "amy", "password": "pw", "roles": ["app"]}"#);
    put("/v2/auth/enable", "");
    assert!(
        ask_as(&server, "Authorization: Basic cm9vdDpycA==\r\n", "DELETE", "/v2/auth/roles/guest", "").0
            < 300
    );

    let amy = "Authorization: Basic YW15OnB3\r\n";
    let within =
        r#"{"checks": [{"key": "app/a", "absent": true}], "operations": [{"set": "/app/a", "value": "1"}]}"#;
    assert_eq!(ask(&server, within).0, 401, "a guest has no role any more");
    let (status, answer) = ask_as(&server, amy, "POST", "/spinney/v1/txn", within);
    assert_eq!(status, 200, "{answer}");
    for beyond in [
        r#"{"operations": [{"set": "/app/a", "value": "1"}, {"set": "/b", "value": "1"}]}"#,
        r#"{"checks": [{"key": "/b", "absent": true}], "operations": [{"set": "/app/a", "value": "1"}]}"#,
        r#"{"operations": [{"remove": "/app", "recursive": true}]}"#,
        r#"{"operations": [{"set": "/app/../b", "value": "1"}]}"#,
    ] {
        let (status, answer) = ask_as(&server, amy, "POST", "/spinney/v1/txn", beyond);
        assert!(status == 401 || status == 400, "{beyond}: {status} {answer}");
    }
    assert!(store.get("/b").is_err());
}
