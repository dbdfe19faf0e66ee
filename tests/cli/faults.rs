//! Servers that fail, or are none: ours and etcdctl say the same of them.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use crate::run::Run as _;
use crate::servers::{etcdctl, spinney};

/// A server that answers everything with this status and `hello`; with status 0, never. It lives as long as the tests do.
fn serve(status: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut silent = Vec::new();
        for connection in listener.incoming().map_while(Result::ok) {
            if status == 0 {
                silent.push(connection);
            } else {
                thread::spawn(move || answer(connection, status));
            }
        }
    });
    url
}

fn answer(mut connection: TcpStream, status: u16) {
    let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
    // Whoever has enough may leave.
    let _ = connection.write_all(head.as_bytes());
}

fn outcome(mut client: Command, url: &str, words: &[&str]) -> (Option<i32>, String, String) {
    let output = client.args(["--endpoints", url]).args(words).run();
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(url, "<url>");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// What both say of one failure: with all endpoints, or of the one that was asked.
fn of_all(error: &str) -> String {
    let all = "client: etcd cluster is unavailable or misconfigured";
    format!("Error:  {all}; error #0: {error}\n\nerror #0: {error}\n\n")
}

fn in_short(error: &str) -> String {
    format!("client: etcd cluster is unavailable or misconfigured; error #0: {error}\n\n")
}

#[test]
fn failures_are_told_as_etcdctl_tells_them() {
    let no_leader = "client: etcd member <url> has no leader";
    let bad_gateway = "client: etcd member <url> returns server error [Bad Gateway]";
    let no_json =
        "client: response is invalid json. The endpoint is probably not valid etcd cluster endpoint";
    let late = "client: endpoint <url> exceeded header timeout";
    let soon = ["--no-sync", "--timeout", "300ms", "--total-timeout", "1h"];
    let in_all = ["--no-sync", "--timeout", "1h", "--total-timeout", "300ms"];
    let cases: Vec<(u16, Vec<&str>, i32, String)> = vec![
        (500, vec!["get", "/x"], 4, of_all(no_leader)),
        (503, vec!["--no-sync", "set", "/x", "1"], 4, of_all(no_leader)),
        (500, vec!["--no-sync", "rm", "/x"], 4, format!("Error:  {no_leader}\n")),
        (500, vec!["--no-sync", "mkdir", "/x"], 4, format!("Error:  {no_leader}\n")),
        (500, vec!["--no-sync", "mk", "--in-order", "/x", "1"], 4, of_all(no_leader)),
        (500, vec!["--no-sync", "watch", "/x"], 4, of_all(no_leader)),
        (500, vec!["--no-sync", "member", "list"], 1, in_short(no_leader)),
        (500, vec!["--no-sync", "user", "get", "x"], 1, in_short(no_leader)),
        (502, vec!["get", "/x"], 4, of_all(bad_gateway)),
        (502, vec!["--no-sync", "role", "list"], 1, in_short(bad_gateway)),
        (418, vec!["get", "/x"], 4, format!("Error:  {no_json}\n")),
        (418, vec!["--no-sync", "rm", "/x"], 4, format!("Error:  {no_json}\n")),
        (418, vec!["--no-sync", "member", "list"], 1, "unexpected status code 418\n".to_owned()),
        (418, vec!["--no-sync", "role", "list"], 1, "unexpected status code 418\n".to_owned()),
        (
            418,
            vec!["--no-sync", "user", "list"],
            1,
            "invalid character 'h' looking for beginning of value\n".to_owned(),
        ),
        (418, vec!["cluster-health"], 4, "Error:  unexpected status code 418\n".to_owned()),
        (0, [&soon[..], &["get", "/x"]].concat(), 4, of_all(late)),
        (0, [&soon[..], &["rm", "/x"]].concat(), 4, format!("Error:  {late}\n")),
        (0, [&soon[..], &["user", "list"]].concat(), 1, in_short(late)),
        (0, [&in_all[..], &["get", "/x"]].concat(), 4, "Error:  context deadline exceeded\n".to_owned()),
        (0, [&in_all[1..], &["get", "/x"]].concat(), 2, "Error:  context deadline exceeded\n".to_owned()),
        (0, [&in_all[..], &["member", "list"]].concat(), 1, "context deadline exceeded\n".to_owned()),
    ];
    let urls: Vec<_> = [0, 418, 500, 502, 503].into_iter().map(|status| (status, serve(status))).collect();
    for (status, words, code, said) in &cases {
        let (_, url) = urls.iter().find(|(of, _)| of == status).unwrap();
        let health = if words[0] == "cluster-health" {
            "cluster may be unhealthy: failed to list members\n"
        } else {
            ""
        };
        let expected = (Some(*code), health.to_owned(), said.clone());
        for client in [Some(spinney()), etcdctl()].into_iter().flatten() {
            let program = client.get_program().to_owned();
            assert_eq!(outcome(client, url, words), expected, "{program:?} {words:?}, status {status}");
        }
    }
}
