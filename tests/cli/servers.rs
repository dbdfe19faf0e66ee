//! Servers to try the commands on: ours, and etcd where it is installed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// The URL that servers are told to have for their peers, where nobody ever listens.
pub(crate) const PEER_URL: &str = "http://127.0.0.1:9";

/// A server that runs until it is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    /// The id of the member, once it is known.
    pub(crate) id: String,
    directory: TempDir,
    /// What `spinney serve` says, line by line.
    log: Option<BufReader<ChildStderr>>,
}

/// Where a program is, if it is installed.
pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}

pub(crate) fn spinney() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spinney"));
    forget_settings(&mut command);
    command
}

/// etcdctl for the v2 API, if it is installed.
pub(crate) fn etcdctl() -> Option<Command> {
    let mut command = Command::new(installed("etcdctl")?);
    forget_settings(&mut command);
    command.env("ETCDCTL_API", "2");
    Some(command)
}

/// Settings of whoever runs the tests are none of theirs.
fn forget_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_lowercase();
        if text.starts_with("etcd") || text.ends_with("_proxy") || text == "no_color" {
            command.env_remove(&name);
        }
    }
}

impl Server {
    /// `spinney serve` on a data directory of its own, with `flags` added.
    pub(crate) fn spinney(flags: &[&str]) -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self::spinney_in(directory, flags)
    }

    /// `spinney serve` on the data directory `data` in `directory`.
    pub(crate) fn spinney_in(directory: TempDir, flags: &[&str]) -> Self {
        let mut command = spinney();
        command.args(["serve", "--listen-client-urls", "http://127.0.0.1:0", "--data-dir"]);
        command
            .arg(directory.path().join("data"))
            .args(["--initial-advertise-peer-urls", PEER_URL])
            .args(flags);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let url = loop {
            let from = said.len();
            assert_ne!(log.read_line(&mut said).unwrap(), 0, "the server ended: {said}");
            if let Some((_, url)) = said[from..].split_once("serves clients on ") {
                break url.trim().to_owned();
            }
        };
        Self { child, url, id: String::new(), directory, log: Some(log) }.identified()
    }

    /// The real etcd, if it is installed.
    pub(crate) fn etcd() -> Option<Self> {
        let program = installed("etcd")?;
        // Another program may take the ports between our leaving and etcd's taking them: then once more.
        (0..5).find_map(|_| Self::try_etcd(&program))
    }

    fn try_etcd(program: &Path) -> Option<Self> {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (url, peer) = (free_url(), free_url());
        let mut command = Command::new(program);
        forget_settings(&mut command);
        command.args(["--enable-v2", "--name", "default", "--data-dir"]).arg(directory.path().join("data"));
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", PEER_URL]);
        command.args(["--initial-cluster", &format!("default={PEER_URL}")]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Self { child, url, id: String::new(), directory, log: None };
        server.comes_up().then(|| server.identified())
    }

    fn identified(mut self) -> Self {
        if !self.url.starts_with("http://") {
            return self;
        }
        let members = self.request("GET", "/v2/members", "");
        let (_, rest) = members.split_once("\"id\":\"").unwrap_or_else(|| panic!("{members}"));
        self.id = rest[..rest.find('"').unwrap()].to_owned();
        self
    }

    fn comes_up(&mut self) -> bool {
        for _ in 0..600 {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if self.try_request("GET", "/health", "").is_some_and(|answer| answer.contains("true")) {
                return true;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("etcd does not come up");
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// Closes the other end of what it says things on.
    pub(crate) fn stop_listening(&mut self) {
        self.log = None;
    }

    /// Sends the process a signal, by name.
    pub(crate) fn signal(&self, signal: &str) {
        signal_process(&self.child, signal);
    }

    /// Waits for the process to end by itself; also gives what it said, and its directory.
    pub(crate) fn wait(mut self) -> (ExitStatus, String, TempDir) {
        let mut said = String::new();
        if let Some(mut log) = self.log.take() {
            log.read_to_string(&mut said).unwrap();
        }
        let status = self.child.wait().unwrap();
        let directory = std::mem::replace(&mut self.directory, TempDir::new().unwrap());
        (status, said, directory)
    }

    /// A request without any client, and all of the answer.
    pub(crate) fn request(&self, method: &str, path: &str, form: &str) -> String {
        self.try_request(method, path, form).expect("the server answers")
    }

    fn try_request(&self, method: &str, path: &str, form: &str) -> Option<String> {
        let mut connection = TcpStream::connect(self.address()).ok()?;
        connection.write_all(request(method, path, form, "close").as_bytes()).ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// Writes until the index is beyond what any session says of other numbers.
    pub(crate) fn raise_index(&self, writes: usize) {
        let connection = TcpStream::connect(self.address()).unwrap();
        let mut answers = BufReader::new(connection.try_clone().unwrap());
        let mut connection = connection;
        for _ in 0..writes {
            connection
                .write_all(request("PUT", "/v2/keys/_raise", "value=1", "keep-alive").as_bytes())
                .unwrap();
            let mut length = 0;
            loop {
                let mut line = String::new();
                answers.read_line(&mut line).unwrap();
                if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = text.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
            }
            answers.read_exact(&mut vec![0; length]).unwrap();
        }
    }

    /// The index of a write that is made now, to a hidden key.
    pub(crate) fn index(&self) -> u64 {
        let answer = self.request("PUT", "/v2/keys/_base", "value=1");
        let (_, rest) = answer.split_once("\"modifiedIndex\":").unwrap_or_else(|| panic!("{answer}"));
        rest[..rest.find(',').unwrap()].parse().unwrap()
    }
}

pub(crate) fn signal_process(child: &Child, signal: &str) {
    let status = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn request(method: &str, path: &str, form: &str, connection: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: {connection}\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
}

fn free_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
