//! The README's walk through a cluster of processes, as printed: each command is run, and what it says compared.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::cluster::{own_host, spinney};
use crate::support::{directory, wait_until};

/// Where the README has its servers: the test has the same ports on an address of its own.
const HOST: &str = "127.0.0.1";

/// What is printed in the section, line by line.
fn lines() -> impl Iterator<Item = &'static str> {
    let readme = include_str!("../../README.md");
    let section =
        readme.split("\n## A cluster of processes\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks = section.split("```console\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.flat_map(str::lines)
}

/// The text without what no two runs have alike: the id of the cluster, which depends on addresses, and who leads.
fn comparable(text: &str) -> String {
    let mut words = Vec::new();
    for line in text.lines() {
        let mut before = "";
        for word in line.split(' ') {
            words.push(match word {
                id if before == "cluster" && id.ends_with(',') => "ID,",
                "isLeader=true" | "isLeader=false" => "isLeader=?",
                word => word,
            });
            before = word;
        }
        words.push("\n");
    }
    words.join(" ")
}

/// A server that was started, and where its words go.
struct Serving(Child, std::path::PathBuf);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Serving {
    fn start(words: &[&str], directory: &Path, variables: &[(String, String)], number: usize) -> Self {
        let log = directory.join(format!("{number}.log"));
        let mut command = spinney();
        command.args(words).current_dir(directory).envs(variables.iter().cloned());
        command.stdin(Stdio::null()).stderr(File::create(&log).unwrap());
        Self(command.spawn().unwrap(), log)
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.1).unwrap()
    }
}

#[test]
fn the_walk_through_goes_as_printed() {
    let (directory, host) = (directory(), own_host());
    let here = |text: &str| text.replace(HOST, &host);
    let mut steps: Vec<(String, String)> = Vec::new();
    for line in lines() {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push((here(command), String::new())),
            None if line == "^C" => steps.push((line.to_owned(), String::new())),
            None => steps.last_mut().unwrap().1.push_str(&format!("{}\n", here(line))),
        }
    }
    assert!(steps.len() >= 12, "{steps:?}");

    let mut variables = vec![("ETCDCTL_ENDPOINTS".to_owned(), format!("http://{host}:2379"))];
    let mut servers: Vec<Serving> = Vec::new();
    for (command, printed) in &steps {
        let words: Vec<&str> = command.split(' ').collect();
        match words[..] {
            ["export", assignment] => {
                let (name, value) = assignment.split_once('=').unwrap();
                variables.push((name.to_owned(), value.to_owned()));
            }
            ["^C"] => {
                let mut first = servers.remove(0);
                let before = first.said().len();
                let pid = first.0.id().to_string();
                assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
                assert!(first.0.wait().unwrap().success());
                assert_eq!(comparable(&first.said()[before..]), comparable(printed));
            }
            ["spinney", "serve", ..] => {
                let server = Serving::start(&words[1..], directory.path(), &variables, servers.len());
                wait_until("the server has said what is printed", || {
                    comparable(&server.said()) == comparable(printed)
                });
                servers.push(server);
            }
            ["spinney", ref words @ ..] => {
                // What is printed is what comes once members have found each other.
                wait_until(&format!("{command} says {printed}"), || {
                    let output = spinney().args(words).envs(variables.iter().cloned()).output().unwrap();
                    comparable(&String::from_utf8(output.stdout).unwrap()) == comparable(printed)
                });
            }
            _ => panic!("{command}"),
        }
    }
}
