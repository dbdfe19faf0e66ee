//! The README's session with curl, as printed: each command is run, and each answer compared. The server is the program
//! `spinney` where it is built (feature `cli`), and else one of this process.

#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod http;
mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};

use http::client::Client;
use spinney::Store;
use spinney::http::Running;
use support::run::Run as _;
use tempfile::TempDir;

/// Where the README has the server.
const ADDRESS: &str = "127.0.0.1:2379";

/// The commands of the section and what they print.
fn session() -> Vec<(String, String)> {
    let readme = include_str!("../README.md");
    let section =
        readme.split("\n## With curl\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let blocks = section.split("```console\n").skip(1).map(|block| block.split("```").next().unwrap());
    let mut session: Vec<(String, String)> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        match line.strip_prefix("$ ") {
            Some(command) => session.push((command.to_owned(), String::new())),
            None => session.last_mut().unwrap().1.push_str(&format!("{line}\n")),
        }
    }
    session
}

/// The text without what no two runs have alike.
fn comparable(text: &str) -> String {
    match text.split_once("\"expiration\":\"") {
        Some((before, after)) => format!("{before}{}", after.split_once('"').unwrap().1),
        None => text.to_owned(),
    }
}

/// A server with nothing in it yet; it ends with this.
#[derive(Default)]
struct Served {
    _running: Option<Running>,
    _program: Option<Program>,
    _directory: Option<TempDir>,
}

/// The program, and what it says, which somebody has to hear.
struct Program(Child, Option<BufReader<ChildStderr>>);

impl Served {
    fn start() -> (Self, SocketAddr) {
        if let Some(program) = option_env!("CARGO_BIN_EXE_spinney") {
            return Self::program(program);
        }
        let (running, address) = http::serve(&Store::in_memory());
        (Self { _running: Some(running), ..Self::default() }, address)
    }

    fn program(path: &str) -> (Self, SocketAddr) {
        let directory = support::directory();
        let child = Command::new(path)
            .args(["serve", "--listen-client-urls", "http://127.0.0.1:0", "--data-dir"])
            .arg(directory.path().join("data"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut program = Program(child, None);
        let log = program.1.insert(BufReader::new(program.0.stderr.take().unwrap()));
        let address = loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the server ended");
            if let Some((_, address)) = line.split_once("serves clients on http://") {
                break address.trim().parse().unwrap();
            }
        };
        (Self { _program: Some(program), _directory: Some(directory), ..Self::default() }, address)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many clients wait.
fn watchers(address: SocketAddr) -> u64 {
    let reply =
        Client::new(address).and_then(|mut client| client.call("GET", "/v2/stats/store", None)).unwrap();
    let stats: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    stats["watchers"].as_u64().unwrap()
}

#[test]
fn what_is_printed_is_what_comes() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("curl is not installed");
        return;
    }
    let (_served, address) = Served::start();
    let run = |command: &str| {
        let command = command.replace(ADDRESS, &address.to_string());
        let output = Command::new("sh").args(["-c", &command]).run();
        String::from_utf8(output.stdout).unwrap()
    };
    let session = session();
    assert!(session.len() >= 8, "{session:?}");
    std::thread::scope(|scope| {
        let mut waiting = Vec::new();
        for (command, printed) in &session {
            if command.contains("wait=true") {
                let before = watchers(address);
                waiting.push((scope.spawn(|| run(command)), printed));
                support::wait_until("the watch is there", || watchers(address) > before);
            } else {
                assert_eq!(comparable(&run(command)), comparable(printed), "{command}");
            }
        }
        for (terminal, printed) in waiting {
            assert_eq!(comparable(&terminal.join().unwrap()), comparable(printed));
        }
    });
}
