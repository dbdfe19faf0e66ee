//! Callers at the port of the members who are none of them: what the member says of them, and how much.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};

use tempfile::TempDir;

use crate::cluster::{Cluster, spinney, url};
use crate::support::places::{free_address, own_host};
use crate::support::run::Run as _;
use crate::support::{self, wait_until};

/// A member of another cluster that counts this one's first member among its founders. Ends with the test.
struct Foreigner {
    child: Child,
    _directory: TempDir,
}

impl Foreigner {
    fn start(cluster: &Cluster, flags: &[&str]) -> Self {
        let own = support::directory();
        let free = free_address(&own_host());
        let founders = format!("n1={},n9={}", url(cluster.members[0].peers), url(free));
        let mut command = spinney();
        command.args(["serve", "--name", "n9", "--listen-client-urls", "http://127.0.0.1:0", "--data-dir"]);
        command.arg(own.path()).args(["--initial-cluster", &founders, "--listen-peer-urls", &url(free)]);
        let child = command.args(flags).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, _directory: own }
    }
}

impl Drop for Foreigner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says something that is no word of a member's, and waits until the other side hangs up.
fn scan(member: SocketAddr) {
    let mut caller = TcpStream::connect(member).unwrap();
    caller.set_read_timeout(Some(crate::cluster::PATIENCE)).unwrap();
    let _ = caller.write_all(&b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n".repeat(8));
    let _ = caller.read_to_end(&mut Vec::new());
}

/// How many callers a member has turned away.
pub(crate) fn turned_away(cluster: &Cluster, member: usize) -> u64 {
    metric(cluster, member, "spinney_peers_turned_away")
}

/// A number that a member tells of itself.
pub(crate) fn metric(cluster: &Cluster, member: usize, name: &str) -> u64 {
    let metrics = cluster.ask(member, "GET", "/metrics", None).unwrap().text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap().parse().unwrap()
}

#[test]
fn whoever_is_none_of_the_members_is_turned_away_and_counted_and_told_of_once() {
    let directory = support::directory();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "a secret of many words\n").unwrap();
    let cluster = Cluster::of_three(&["--peer-secret-file", secret.to_str().unwrap()]);
    (0..3).for_each(|member| cluster.wait_until_whole(member));
    let before = cluster.said(0);

    let other_secret = directory.path().join("other");
    std::fs::write(&other_secret, "another one of many words\n").unwrap();
    let joining = |secret: &[&str]| {
        let mut command = spinney();
        command.args(["serve", "--name", "n4", "--listen-client-urls", "http://127.0.0.1:0", "--data-dir"]);
        command.arg(directory.path().join("n4")).args(["--listen-peer-urls", "127.0.0.1:0"]).args(secret);
        command.args(["--initial-cluster-state", "existing", "--initial-cluster"]);
        command.arg(format!("n1={}", url(cluster.members[0].peers)));
        assert_eq!(command.run().status.code(), Some(1));
    };
    for _ in 0..3 {
        scan(cluster.members[0].peers);
        joining(&[]);
        joining(&["--peer-secret-file", other_secret.to_str().unwrap()]);
    }
    {
        let _foreigner = Foreigner::start(&cluster, &["--peer-secret-file", secret.to_str().unwrap()]);
        wait_until("it calls again and again", || turned_away(&cluster, 0) >= 9 + 5);
    }

    let reasons = [
        "not the protocol of members",
        "refused here: one has a secret and the other has none",
        "refused here: the secrets differ",
        "refused here: a member of another cluster",
    ];
    let said = || cluster.said(0)[before.len()..].to_owned();
    wait_until("each reason is told", || reasons.iter().all(|reason| said().contains(reason)));
    for _ in 0..3 {
        scan(cluster.members[0].peers);
    }
    // The end of what it says comes after whatever it had to say before.
    let mut cluster = cluster;
    cluster.stop(0);
    let said = cluster.said(0)[before.len()..].to_owned();
    for reason in reasons {
        let told = said.lines().filter(|line| line.contains("turned away a caller") && line.contains(reason));
        assert_eq!(told.count(), 1, "{reason}: {said}");
    }
    assert_eq!(said.matches("turned away a caller").count(), reasons.len(), "{said}");
}

#[test]
fn clusters_with_different_tokens_have_nothing_to_do_with_each_other() {
    let cluster = Cluster::of_three(&["--initial-cluster-token", "one"]);
    let ids = |said: &str| said.split(" in cluster ").nth(1).map(|rest| rest[..32].to_owned()).unwrap();
    let id = ids(&cluster.said(0));
    assert!((1..3).all(|member| ids(&cluster.said(member)) == id));

    // The same founders at the same addresses.
    let mut other = Cluster::of_three(&[]);
    let before = ids(&other.said(0));
    other.kill(0);
    std::fs::remove_dir_all(other.data(0)).unwrap();
    let said = other.said(0).len();
    other.start_with(0, "new", &["--initial-cluster-token", "two"]);
    wait_until("it has an id of its own", || other.said(0)[said..].contains(" in cluster "));
    assert_ne!(ids(&other.said(0)[said..]), before);
    wait_until("the others want nothing of it", || {
        other.said(1).contains("a member of another cluster")
            && other.said(0)[said..].contains("another cluster")
    });
    assert!(!other.is_well(0) && other.set(1, "/a", "1"));
    assert!(other.value(0, "/a").is_none());
}
