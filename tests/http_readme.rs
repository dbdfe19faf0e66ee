//! The README's session with curl, as printed: each command is run, and each answer compared.

#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod http;
mod support;

use std::process::{Command, Stdio};

use spinney::Store;

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

#[test]
fn what_is_printed_is_what_comes() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("curl is not installed");
        return;
    }
    let store = Store::in_memory();
    let (_running, address) = http::serve(&store);
    let run = |command: &str| {
        let command = command.replace(ADDRESS, &address.to_string());
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let session = session();
    assert!(session.len() >= 8, "{session:?}");
    std::thread::scope(|scope| {
        let mut waiting = Vec::new();
        for (command, printed) in &session {
            if command.contains("wait=true") {
                let watchers = store.status().watches.watchers;
                waiting.push((scope.spawn(|| run(command)), printed));
                support::wait_until("the watch is there", || store.status().watches.watchers > watchers);
            } else {
                assert_eq!(comparable(&run(command)), comparable(printed), "{command}");
            }
        }
        for (terminal, printed) in waiting {
            assert_eq!(comparable(&terminal.join().unwrap()), comparable(printed));
        }
    });
}
