//! `spinney proxy`: clients on a host without a member go on, whatever becomes of the members.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tempfile::TempDir;

use crate::client::{Client, Reply};
use crate::cluster::{Cluster, call, json, spinney, url};
use crate::support::places::{free_address, own_host};
use crate::support::run::{Run as _, ended};
use crate::support::{directory, wait_until};

/// A proxy that runs.
struct Proxy {
    address: SocketAddr,
    child: Child,
    directory: TempDir,
}

impl Proxy {
    fn start(members: &[SocketAddr], flags: &[&str]) -> Self {
        let (address, directory) = (free_address(&own_host()), directory());
        let log = File::create(directory.path().join("log")).unwrap();
        let mut command = spinney();
        let endpoints: Vec<_> = members.iter().map(|&member| url(member)).collect();
        command.args(["proxy", "--listen-client-urls", &url(address), "--endpoints", &endpoints.join(",")]);
        command.args(["--proxy-refresh-interval", "100", "--proxy-failure-wait", "300"]).args(flags);
        let child = command.stdin(Stdio::null()).stderr(log).spawn().unwrap();
        let proxy = Self { address, child, directory };
        wait_until("the proxy serves", || TcpStream::connect(address).is_ok());
        proxy
    }

    fn said(&self) -> String {
        let log: PathBuf = self.directory.path().join("log");
        fs::read_to_string(log).unwrap()
    }

    fn call(&self, method: &str, target: &str, form: Option<&str>) -> Reply {
        call(self.address, method, target, form).unwrap()
    }

    fn set(&self, key: &str) -> u16 {
        self.call("PUT", &format!("/v2/keys{key}"), Some("value=1")).head.status
    }

    /// Where it goes for what it is asked.
    fn endpoints(&self) -> Vec<String> {
        let told = json(&self.call("GET", "/v2/config/local/proxy", None));
        let urls = told["endpoints"].as_array().unwrap();
        let mut urls: Vec<_> = urls.iter().map(|url| url.as_str().unwrap().to_owned()).collect();
        urls.sort();
        urls
    }

    fn wait_for(&self, mut members: Vec<SocketAddr>) {
        members.sort_by_key(|&member| url(member));
        let urls: Vec<_> = members.into_iter().map(url).collect();
        wait_until(format!("the proxy goes to {urls:?}: {}", self.said()), || self.endpoints() == urls);
    }

    /// Waits for changes below `/w`, one after the other.
    fn watch(&self) -> Client {
        let mut client = Client::new(self.address).unwrap();
        client.send("GET", "/v2/keys/w?wait=true&stream=true&recursive=true", &[], None).unwrap();
        let head = client.head().unwrap();
        assert_eq!(head.header("Transfer-Encoding"), Some("chunked"));
        client
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn next_key(watch: &mut Client) -> Option<String> {
    let event: serde_json::Value = serde_json::from_slice(&watch.chunk().ok()??).unwrap();
    Some(event["node"]["key"].as_str()?.to_owned())
}

/// The one of `members` at which somebody waits.
fn watched(cluster: &Cluster, members: &[usize]) -> Option<usize> {
    members.iter().copied().find(|&member| {
        let metrics = cluster.ask(member, "GET", "/metrics", None).unwrap();
        metrics.text().contains("\nspinney_watchers 1\n")
    })
}

#[test]
fn clients_go_on_while_members_die_go_and_come() {
    let mut cluster = Cluster::of_three(&[]);
    let address = |cluster: &Cluster, member: usize| cluster.members[member].clients;
    let proxy = Proxy::start(&[address(&cluster, 0)], &[]);
    proxy.wait_for(cluster.addresses());

    // What it passes on is what the member says.
    assert_eq!(proxy.set("/a"), 201);
    let (through, direct) = (proxy.call("GET", "/v2/keys/a?quorum=true", None), || {
        cluster.ask(0, "GET", "/v2/keys/a?quorum=true", None).unwrap()
    });
    assert_eq!(through.body, direct().body);
    let names = |reply: &Reply| reply.head.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&through), names(&direct()));
    let head = proxy.call("HEAD", "/v2/keys/a", None).head;
    assert_eq!(head.header("Content-Length"), Some(through.body.len().to_string().as_str()));
    assert_eq!(proxy.call("GET", "/v2/keys/none", None).head.status, 404);

    // The member that is asked dies: its watch ends, and nothing else.
    let mut watch = proxy.watch();
    let mut asked = None;
    wait_until("somebody waits at a member", || {
        asked = watched(&cluster, &[0, 1, 2]);
        asked.is_some()
    });
    let asked = asked.unwrap();
    assert_eq!((proxy.set("/w/1"), next_key(&mut watch).as_deref()), (201, Some("/w/1")));
    cluster.kill(asked);
    assert_eq!(next_key(&mut watch), None);
    assert_eq!(proxy.call("GET", "/v2/keys/a", None).head.status, 200);
    let rest: Vec<_> = (0..3).filter(|&member| member != asked).collect();
    cluster.leader(&rest);
    wait_until("writes go on", || proxy.set("/w/2") == 201);
    let mut watch = proxy.watch();

    // One goes for good, and another one comes.
    let name = cluster.members[asked].name.clone();
    let listed = cluster.listed(rest[0]);
    let (_, id) = listed.iter().find(|(listed, _)| *listed == name).unwrap();
    assert_eq!(proxy.call("DELETE", &format!("/v2/members/{id}"), None).head.status, 204);
    proxy.wait_for(rest.iter().map(|&member| address(&cluster, member)).collect());
    let fourth = cluster.new_member();
    cluster.start(fourth, "existing");
    cluster.wait_until_whole(fourth);
    let three = [rest[0], rest[1], fourth];
    proxy.wait_for(three.iter().map(|&member| address(&cluster, member)).collect());
    assert_eq!((proxy.set("/w/3"), next_key(&mut watch).as_deref()), (201, Some("/w/3")));

    // A client that goes is no longer waited for.
    let asked = watched(&cluster, &three).unwrap();
    drop(watch);
    wait_until("nobody waits any more", || watched(&cluster, &[asked]).is_none());

    // Ended by a signal, it ends at once, though somebody waits.
    let mut watch = proxy.watch();
    crate::cluster::signal(&proxy.child, "TERM");
    assert!(matches!(watch.chunk(), Ok(None)), "an end that says that it is one");
    let mut proxy = proxy;
    assert!(ended(&mut proxy.child).is_some_and(|status| status.success()), "{}", proxy.said());
}

#[test]
fn one_that_changes_nothing_refuses_everything_but_get() {
    let member = Fake::start(Manners::Answers);
    let proxy = Proxy::start(&[member.address], &["--readonly"]);
    for method in ["PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"] {
        let reply = proxy.call(method, "/v2/keys/a", None);
        assert_eq!((reply.head.status, reply.body.len()), (501, 0), "{method}");
        assert_eq!(reply.head.header("Access-Control-Allow-Origin"), None);
    }
    assert_eq!(member.asked.load(Ordering::Relaxed), 0);
    assert_eq!(proxy.call("GET", "/v2/keys/a", None).text(), "whole");
    assert_eq!(member.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn where_no_member_answers_it_says_so_as_etcd_does() {
    let nobody = free_address(&own_host());
    let proxy = Proxy::start(&[nobody], &["--proxy-failure-wait", "60000"]);
    let reply = proxy.call("GET", "/v2/keys/a", None);
    let none = "{\"message\":\"httpproxy: unable to get response from 1 endpoint(s)\"}";
    assert_eq!((reply.head.status, reply.text().as_str()), (502, none));
    let reply = proxy.call("PUT", "/v2/keys/a", Some("value=1"));
    let none = "{\"message\":\"httpproxy: zero endpoints currently available\"}";
    assert_eq!((reply.head.status, reply.text().as_str()), (503, none));
    assert_eq!(reply.head.header("Content-Type"), Some("application/json"));
    assert_eq!(reply.head.header("Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(proxy.call("GET", "/v2/config/local/proxy", None).text(), "{\"endpoints\":[]}\n");
    let reply = proxy.call("POST", "/v2/config/local/proxy", None);
    assert_eq!((reply.head.status, reply.head.header("Allow")), (405, Some("GET")));
    assert_eq!(proxy.call("OPTIONS", "/v2/keys/a", None).head.status, 200);

    // What it says of itself.
    let metrics = proxy.call("GET", "/metrics", None);
    assert_eq!(metrics.head.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "spinney_http_requests_total{code=\"502\",method=\"GET\"} 1",
        "spinney_http_requests_total{code=\"503\",method=\"PUT\"} 1",
        "spinney_proxy_members 1",
        "spinney_proxy_members_left_alone 1",
    ] {
        assert!(metrics.text().contains(&format!("\n{line}\n")), "{line}: {}", metrics.text());
    }
    assert_eq!(proxy.call("PUT", "/metrics", None).head.status, 405);
}

#[test]
fn what_a_member_may_have_done_no_other_one_is_asked_to_do_again() {
    for (method, status, asked) in [("PUT", 502, 0), ("POST", 502, 0), ("DELETE", 502, 0), ("GET", 200, 1)] {
        let (cutting, answering) = (Fake::start(Manners::HangsUp), Fake::start(Manners::Answers));
        let proxy = Proxy::start(&[cutting.address, answering.address], &[]);
        assert_eq!(proxy.call(method, "/v2/keys/a", None).head.status, status, "{method}");
        assert_eq!(cutting.asked.load(Ordering::Relaxed), 1);
        assert_eq!(answering.asked.load(Ordering::Relaxed), asked, "{method}");
        wait_until("the failure is told", || proxy.said().contains("does not answer"));
    }
}

#[test]
fn what_cannot_be_served_is_refused_at_the_start() {
    let refused = |flags: &[&str], why: &str| {
        let ended = spinney().arg("proxy").args(flags).run();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.code() == Some(1) && said.contains(why), "{said}");
    };
    refused(&[], "with --endpoints");
    refused(&["--endpoints", "https://h:1"], "with --ca-file");
    refused(&["--endpoints", "http://localhost:2379"], "the proxy itself serves there");
    refused(
        &["--endpoints", "http://h:1", "--listen-client-urls", "https://localhost:1"],
        "needs --cert-file and --key-file",
    );
    refused(&["--endpoints", "https://h:1", "--ca-file", "/none"], "--ca-file: cannot read /none");
    let ended = spinney().args(["serve", "--proxy", "on"]).run();
    assert!(String::from_utf8(ended.stderr).unwrap().contains("`spinney proxy` is one"));
}

/// What becomes of a request that was read.
#[derive(Clone, Copy)]
enum Manners {
    Answers,
    HangsUp,
}

/// A server that knows of no members.
struct Fake {
    address: SocketAddr,
    /// How often it was asked about keys.
    asked: Arc<AtomicUsize>,
    has_ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, has_ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (asked, has_ended) = (Arc::clone(&asked), Arc::clone(&has_ended));
            move || {
                for stream in listener.incoming() {
                    if has_ended.load(Ordering::Acquire) {
                        return;
                    }
                    let mut reader = BufReader::new(stream.unwrap());
                    let mut lines = Vec::new();
                    let mut line = String::new();
                    while reader.read_line(&mut line).unwrap_or(0) > 2 {
                        lines.push(std::mem::take(&mut line).to_ascii_lowercase());
                    }
                    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: "));
                    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
                    reader.read_exact(&mut body).unwrap();
                    let is_about_keys = lines.first().is_some_and(|line| line.contains(" /v2/keys"));
                    let (status, body) =
                        if is_about_keys { ("200 OK", "whole") } else { ("404 None", "none") };
                    if is_about_keys {
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                    if is_about_keys && matches!(manners, Manners::HangsUp) {
                        continue;
                    }
                    let length = body.len();
                    let head =
                        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                    let _ = reader.get_mut().write_all((head + body).as_bytes());
                }
            }
        });
        Self { address, asked, has_ended, thread: Some(thread) }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}
