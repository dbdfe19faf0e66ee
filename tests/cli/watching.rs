//! Watches that go on, which no recorded session can have.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::run::Run as _;
use crate::servers::{Server, etcdctl, signal_process, spinney};

/// A client that watches; ended when it is dropped.
struct Watching {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Watching {
    fn start(mut client: Command, server: &Server, arguments: &[&str]) -> Self {
        client.arg("--endpoints").arg(&server.url).args(arguments);
        let mut child = client.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    fn lines(&mut self, count: usize) -> String {
        (0..count).map(|_| self.line()).collect()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The clients to try, and the servers.
fn clients() -> Vec<fn() -> Command> {
    let theirs = etcdctl().map(|_| (|| etcdctl().unwrap()) as fn() -> Command);
    [Some(spinney as fn() -> Command), theirs].into_iter().flatten().collect()
}

fn servers() -> Vec<Server> {
    [Some(Server::spinney(&[])), Server::etcd()].into_iter().flatten().collect()
}

#[test]
fn watch_forever_tells_of_every_change_until_interrupted() {
    for server in servers() {
        for client in clients() {
            let index = server.index().to_string();
            let mut watching =
                Watching::start(client(), &server, &["watch", "-f", "-r", "--after-index", &index, "/w"]);
            server.request("PUT", "/v2/keys/w/a", "value=1");
            server.request("PUT", "/v2/keys/elsewhere", "value=1");
            assert_eq!(watching.lines(2), "[set] /w/a\n1\n");
            server.request("PUT", "/v2/keys/w/d?dir=true", "");
            server.request("PUT", "/v2/keys/w/a?prevExist=true", "value=2");
            assert_eq!(watching.lines(2), "[update] /w/a\n2\n");
            server.request("DELETE", "/v2/keys/w/a", "");
            assert_eq!(watching.lines(2), "[delete] /w/a\nPrevNode.Value: 2\n");
            server.request("PUT", "/v2/keys/w/b", "value=5&ttl=1");
            assert_eq!(watching.lines(4), "[set] /w/b\n5\n[expire] /w/b\n\n");

            signal_process(&watching.child, "INT");
            assert_eq!(watching.child.wait().unwrap().code(), Some(0));
            assert_eq!(watching.line(), "");
            server.request("DELETE", "/v2/keys/w?recursive=true", "");
        }
    }
}

/// Ours alone: how etcdctl reads the words of `exec-watch` depends on which flags there are.
#[test]
fn exec_watch_runs_the_program_for_each_change() {
    for server in servers() {
        let index = server.index().to_string();
        let script = "echo $ETCD_WATCH_ACTION $ETCD_WATCH_KEY $ETCD_WATCH_VALUE";
        let words = ["exec-watch", "--recursive", "--after-index", &index, "/x", "--", "sh", "-c", script];
        let mut watching = Watching::start(spinney(), &server, &words);
        for (form, line) in [("value=1", "set /x/a 1\n"), ("value=two", "set /x/a two\n")] {
            server.request("PUT", "/v2/keys/x/a", form);
            assert_eq!(watching.line(), line);
        }
        signal_process(&watching.child, "INT");
        assert_eq!(watching.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn exec_watch_takes_the_program_as_documented_and_says_when_there_is_none() {
    let server = Server::spinney(&[]);
    let index = server.index().to_string();
    server.request("PUT", "/v2/keys/x", "value=1");
    for arguments in [&["/x", "echo", "-r"][..], &["/x", "--", "echo", "-r"]] {
        let mut watching = Watching::start(
            spinney(),
            &server,
            &[&["exec-watch", "--after-index", &index], arguments].concat(),
        );
        assert_eq!(watching.line(), "-r\n");
    }

    let mut command = spinney();
    command.args([
        "--endpoints",
        &server.url,
        "exec-watch",
        "--after-index",
        &index,
        "/x",
        "--",
        "/nonexistent",
    ]);
    let output = command.run();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "fork/exec /nonexistent: no such file or directory");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_watch_that_waits_is_ended_by_a_reader_that_leaves() {
    let server = Server::spinney(&[]);
    let index = server.index().to_string();
    let arguments = ["watch", "--forever", "--after-index", &index, "/w"];
    let mut watching = Watching::start(spinney(), &server, &arguments);
    server.request("PUT", "/v2/keys/w", "value=1");
    assert_eq!(watching.line(), "1\n");
    let Watching { child, lines } = &mut watching;
    *lines =
        BufReader::new(Command::new("true").stdout(Stdio::piped()).spawn().unwrap().stdout.take().unwrap());
    // The pipe is closed, at the latest when no process that another test just starts has it any more: writing into it
    // ends the client, quietly.
    let code = loop {
        server.request("PUT", "/v2/keys/w", "value=2");
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert_eq!(code, Some(1));
}
