//! What the README has of clusters of processes, as printed: each command is run, and what it says compared.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::cluster::spinney;
use crate::support::places::own_host;
use crate::support::run::{Run as _, ended};
use crate::support::{directory, wait_until};

/// Where the README has its servers: the test has the same ports on an address of its own.
const HOST: &str = "127.0.0.1";

/// A command that is printed, and what follows it.
type Step = (String, String);

/// The commands of a section, with `here` in place of what is printed there.
fn steps(title: &str, here: impl Fn(&str) -> String) -> Vec<Step> {
    let readme = include_str!("../../README.md");
    let section = readme.split(&format!("\n## {title}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks = section.split("```console\n").skip(1).map(|block| block.split("```").next().unwrap());
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push((here(command), String::new())),
            None if line == "^C" => steps.push((line.to_owned(), String::new())),
            None => steps.last_mut().unwrap().1.push_str(&format!("{}\n", here(line))),
        }
    }
    steps
}

/// What is said in some runs only: that the survivor was not told yet that the last entry was agreed on, and that two members
/// have called each other at the same moment.
const NOW_AND_THEN: [&str; 2] = ["kept: the last entries of its log", "closed a connection for a newer one"];

/// The text without what no two runs have alike: the id of the cluster, which depends on addresses, who leads, and what is said
/// now and then.
fn comparable(text: &str) -> String {
    let mut words = Vec::new();
    let is_usual = |line: &&str| !NOW_AND_THEN.iter().any(|said| line.contains(said));
    for line in text.lines().filter(is_usual) {
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

    fn says(&self, printed: &str) {
        wait_until(format!("the server says {printed}"), || comparable(&self.said()) == comparable(printed));
    }

    /// Ends it as a terminal does.
    fn interrupt(&mut self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
        assert!(ended(&mut self.0).expect("it does not end").success());
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.1).unwrap()
    }
}

#[test]
fn the_walk_through_goes_as_printed_and_so_does_the_recovery_after_it() {
    let (directory, host) = (directory(), own_host());
    let here = |text: &str| text.replace(HOST, &host);
    let steps = steps("A cluster of processes", here);
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
                first.interrupt();
                assert_eq!(comparable(&first.said()[before..]), comparable(printed));
            }
            ["spinney", "serve", ..] => {
                let server = Serving::start(&words[1..], directory.path(), &variables, servers.len());
                server.says(printed);
                servers.push(server);
            }
            ["spinney", ref words @ ..] => {
                // What is printed is what comes once members have found each other.
                wait_until(format!("{command} says {printed}"), || {
                    let output = spinney().args(words).envs(variables.iter().cloned()).run();
                    comparable(&String::from_utf8(output.stdout).unwrap()) == comparable(printed)
                });
            }
            _ => panic!("{command}"),
        }
    }

    servers.iter_mut().for_each(Serving::interrupt);
    let steps = self::steps("When the majority is lost", here);
    let [(command, printed)] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(
        comparable(&recover(command, directory.path())),
        comparable(&printed.replace(ANSWER, QUESTION))
    );
    let mut words = self::steps("A cluster of processes", here);
    words.retain(|(command, _)| command.contains("serve --name n3"));
    let words: Vec<&str> = words[0].0.split(' ').skip(1).collect();
    let _alone = Serving::start(&words, directory.path(), &variables, servers.len());
    wait_until("the survivor has what it had", || {
        let mut command = spinney();
        command.args(["--endpoints", &format!("http://{host}:22379"), "get", "--quorum", "/message1"]);
        command.run().stdout == b"Book2\n"
    });
}

/// The question, and the same with the answer of who reads the README.
const QUESTION: &str = "Make it a cluster of its own? [y/N] ";
const ANSWER: &str = "Make it a cluster of its own? [y/N] y\n";

/// What `command` says on a terminal on which somebody says yes. Without a terminal to be had, nobody is asked.
fn recover(command: &str, directory: &Path) -> String {
    let program = spinney().get_program().to_str().unwrap().to_owned();
    let command = command.replacen("spinney", &program, 1);
    let terminal = Command::new("script")
        .args(["-qe", "--echo", "never", "-c", &command, "/dev/null"])
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut terminal) = terminal else {
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", &format!("{command} --yes")]).current_dir(directory).run();
        let said = String::from_utf8(output.stdout).unwrap();
        return said.replacen("\nn3.spinney is", &format!("\n{QUESTION}n3.spinney is"), 1);
    };
    terminal.stdin.take().unwrap().write_all(b"y\n").unwrap();
    let output = terminal.run();
    String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n")
}

#[test]
fn the_proxy_goes_as_printed() {
    let directory = directory();
    let mut hosts = [own_host(), own_host(), own_host()];
    hosts.sort_unstable();
    let own = own_host();
    let here = |text: &str| {
        let text = (1..).zip(&hosts).fold(text.to_owned(), |text, (number, host)| {
            text.replace(&format!("10.0.0.{number}:"), &format!("{host}:"))
        });
        text.replace("localhost:", &format!("{own}:"))
    };
    let steps = steps("A proxy", here);
    let [(command, printed)] = &steps[..] else { panic!("{steps:?}") };

    let named: Vec<_> =
        (1..).zip(&hosts).map(|(number, host)| format!("n{number}=http://{host}:2380")).collect();
    let mut servers = Vec::new();
    for (number, host) in (1..).zip(&hosts) {
        let (name, clients, peers) =
            (format!("n{number}"), format!("http://{host}:2379"), format!("http://{host}:2380"));
        let words =
            ["serve", "--name", &name, "--listen-client-urls", &clients, "--listen-peer-urls", &peers];
        let variables = [("ETCD_INITIAL_CLUSTER".to_owned(), named.join(","))];
        servers.push(Serving::start(&words, directory.path(), &variables, number));
    }
    wait_until("all of them serve", || servers.iter().all(|server| server.said().contains("serves clients")));
    wait_until("all are known to each other", || {
        let mut command = spinney();
        command.args(["--endpoints", &format!("http://{}:2379", hosts[0]), "cluster-health"]);
        command.run().status.success()
    });
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let variables = [("ETCD_LISTEN_CLIENT_URLS".to_owned(), format!("http://{own}:2379"))];
    let proxy = Serving::start(&words, directory.path(), &variables, 0);
    proxy.says(printed);
    let mut set = spinney();
    let output =
        set.args(["--endpoints", &format!("http://{own}:2379"), "--no-sync", "set", "/a", "1"]).run();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1\n");
}
