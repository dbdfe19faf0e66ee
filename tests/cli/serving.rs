//! `spinney serve`: from its first word to its last.

use std::process::{Command, Output, Stdio};

use crate::run::Run as _;
use crate::servers::{Server, etcdctl, installed, spinney};
use crate::skipped;

/// What came of `serve` with `flags`, which must end by itself.
fn refused(flags: &[&str]) -> String {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut command = spinney();
    command.arg("serve").arg("--data-dir").arg(directory.path().join("data")).args(flags);
    let Output { status, stderr, .. } = command.run();
    assert_eq!(status.code(), Some(1), "{flags:?}");
    assert!(!directory.path().join("data").exists(), "{flags:?} left something behind");
    String::from_utf8(stderr).unwrap()
}

#[test]
fn a_signal_ends_it_cleanly_and_what_was_written_stays() {
    for signal in ["TERM", "INT"] {
        let server = Server::spinney(&[]);
        server.request("PUT", "/v2/keys/a", "value=1");
        server.signal(signal);
        let (status, said, directory) = server.wait();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains(&format!("SIG{signal}")) && said.contains("stopped at index"), "{said}");

        let again = Server::spinney_in(directory, &[]);
        assert!(again.request("GET", "/v2/keys/a", "").contains("\"value\":\"1\""));
    }
}

#[test]
fn a_signal_ends_it_while_watches_wait() {
    let server = Server::spinney(&[]);
    let mut watch = spinney();
    watch.args(["--endpoints", &server.url, "--no-sync", "watch", "/a"]).stderr(Stdio::null());
    let mut watch = watch.spawn().unwrap();
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
    let _ = watch.kill();
    watch.wait().unwrap();
}

#[test]
fn whoever_stops_listening_to_it_disturbs_nobody() {
    let mut server = Server::spinney(&[]);
    server.stop_listening();
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn kill_minus_9_loses_nothing() {
    let server = Server::spinney(&[]);
    for number in 0..50 {
        server.request("PUT", &format!("/v2/keys/n/{number}"), "value=1");
    }
    server.signal("KILL");
    let (_, _, directory) = server.wait();
    let again = Server::spinney_in(directory, &[]);
    assert_eq!(again.request("GET", "/v2/keys/n", "").matches("\"key\":\"/n/").count(), 50);
}

#[test]
fn contradictory_and_unsupported_flags_are_explained() {
    let contradictions: [(&[&str], &str); 32] = [
        (&["--listen-client-urls", "localhost:2379"], "should begin with http:// or https://"),
        (&["--listen-client-urls", "http://localhost"], "should have a port"),
        (&["--listen-client-urls", "http://0.0.0.0:0"], "--advertise-client-urls"),
        (&["--listen-client-urls", "https://localhost:0"], "needs --cert-file and --key-file"),
        (&["--cert-file", "a"], "--cert-file needs --key-file"),
        (&["--key-file", "a"], "--key-file needs --cert-file"),
        (&["--client-cert-auth"], "--trusted-ca-file"),
        (&["--initial-cluster", "default=http://h:1,n2=http://h:1"], "has h:1 for default and for n2"),
        (&["--initial-cluster", "default=https://h:1"], "members speak no TLS; --peer-secret-file"),
        (&["--listen-peer-urls", "http://h:1,http://h:2"], "listens for others at one place"),
        (&["--listen-peer-urls", "127.0.0.1:0", "--durability", "process"], "is for a member alone"),
        (
            &["--listen-peer-urls", "127.0.0.1:0", "--peer-secret-file", "/none"],
            "--peer-secret-file /none: No such",
        ),
        (&["--allow-insecure-peers"], "means nothing to a member alone"),
        (&["--peer-cert-file", "a"], "prove who they are with --peer-secret-file"),
        (&["--listen-peer-urls", "127.0.0.1:0", "--heartbeat-interval", "1"], "at least 10 ms"),
        (
            &[
                "--listen-peer-urls",
                "127.0.0.1:0",
                "--heartbeat-interval",
                "100",
                "--election-timeout",
                "200",
            ],
            "at least five times --heartbeat-interval",
        ),
        (&["--initial-cluster", "n2=http://h:2"], "does not name this member, which --name calls default"),
        (&["--initial-cluster", "nonsense"], "should be NAME=URL"),
        (
            &["--initial-cluster", "default=http://h:1", "--initial-advertise-peer-urls", "http://h:2"],
            "--initial-advertise-peer-urls has http://h:2",
        ),
        (&["--initial-cluster-state", "existing"], "name the members to join with --initial-cluster"),
        (&["--initial-cluster-state", "maybe"], "possible values: new, existing"),
        (&["--discovery", "http://h"], "name them with --initial-cluster"),
        (&["--force-new-cluster"], "--force-new-cluster: "),
        (&["--wal-dir", "x"], "a part of the data directory"),
        (&["--cors", "nonsense"], "--cors"),
        (&["--data-dri", "x"], "did you mean --data-dir?"),
        (&["--listen-client-urls", "https://localhost:0", "--cert-file=/none", "--key-file=/none"], "/none"),
        (&["--cert-file=", "--key-file=a"], "--key-file needs --cert-file"),
        (&["--ca-file", "a"], "--trusted-ca-file"),
        (&["--client-cert-allowed-hostname", "a"], "every certificate of --trusted-ca-file's is let in"),
        (&["--peer-crl-file", "a"], "prove who they are with --peer-secret-file"),
        (&["--proxy", "on"], "`spinney proxy` is one"),
    ];
    for (flags, why) in contradictions {
        let said = refused(flags);
        assert!(said.contains(why), "{flags:?}: {said}");
    }
}

#[test]
fn flags_without_meaning_here_are_noted() {
    let said = refused(&["--snapshot-count", "5000", "--enable-v2", "--listen-client-urls", "nonsense"]);
    assert!(
        said.contains("note: --snapshot-count changes nothing: snapshots are taken when the log"),
        "{said}"
    );
    assert!(said.contains("note: --enable-v2 changes nothing"), "{said}");
}

/// Every flag of etcd 3.4's, with the value that it has there when nobody says anything.
const ETCD_FLAGS: &str = "\
    --advertise-client-urls=http://localhost:2379 --auth-token=simple --auth-token-ttl=300 --auto-compaction-mode=periodic \
    --auto-compaction-retention=0 --auto-tls=false --backend-batch-interval=0s --backend-batch-limit=0 --bcrypt-cost=10 \
    --cert-file= --cipher-suites= --client-cert-allowed-hostname= --client-cert-auth=false --client-crl-file= --cors=* \
    --debug=false --discovery= --discovery-fallback=proxy --discovery-proxy= --discovery-srv= --discovery-srv-name= \
    --election-timeout=1000 --enable-pprof=false --enable-v2=false --experimental-backend-bbolt-freelist-type=array \
    --experimental-compaction-batch-limit=1000 --experimental-corrupt-check-time=0s \
    --experimental-enable-lease-checkpoint=false --experimental-enable-v2v3= --experimental-initial-corrupt-check=false \
    --experimental-peer-skip-client-san-verification=false --experimental-warning-apply-duration=100ms \
    --experimental-watch-progress-notify-interval=10m --force-new-cluster=false --grpc-keepalive-interval=2h \
    --grpc-keepalive-min-time=5s --grpc-keepalive-timeout=20s --heartbeat-interval=100 --host-whitelist=* \
    --initial-advertise-peer-urls=http://localhost:2380 --initial-cluster=default=http://localhost:2380 \
    --initial-cluster-state=new --initial-cluster-token=etcd-cluster --initial-election-tick-advance=true --key-file= \
    --listen-client-urls=http://localhost:0 --listen-metrics-urls= --listen-peer-urls=http://localhost:0 --log-level=info \
    --log-outputs=default --log-package-levels= --logger=capnslog --max-concurrent-streams=4294967295 \
    --max-request-bytes=1572864 --max-snapshots=5 --max-txn-ops=128 --max-wals=5 --metrics=basic --name=default \
    --peer-auto-tls=false --peer-cert-allowed-cn= --peer-cert-allowed-hostname= --peer-cert-file= \
    --peer-client-cert-auth=false --peer-crl-file= --peer-key-file= --peer-trusted-ca-file= --pre-vote=false --proxy=off \
    --proxy-dial-timeout=1000 --proxy-failure-wait=5000 --proxy-read-timeout=0 --proxy-refresh-interval=30000 \
    --proxy-write-timeout=5000 --quota-backend-bytes=0 --snapshot-count=100000 --strict-reconfig-check=true \
    --trusted-ca-file= --wal-dir=";

#[test]
fn etcds_flags_are_known_and_ask_for_nothing_as_etcd_has_them() {
    let flags: Vec<_> = ETCD_FLAGS.split(' ').collect();
    let server = Server::spinney(&flags);
    assert!(server.request("GET", "/version", "").contains("etcdserver"));
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));

    let Some(etcd) = installed("etcd") else { return skipped("etcd") };
    let help = Command::new(etcd).arg("--help").run();
    let help = String::from_utf8([help.stdout, help.stderr].concat()).unwrap();
    let named = help.lines().filter_map(|line| line.trim_start().strip_prefix("--")?.split(' ').next());
    let unknown: Vec<_> = named
        .filter(|name| {
            *name != "data-dir" && !flags.iter().any(|flag| flag[2..].split('=').next() == Some(name))
        })
        .collect();
    assert!(help.contains("--wal-dir") && unknown.is_empty(), "{unknown:?}");
}

#[test]
fn variables_are_read_as_etcd_reads_them() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut command = spinney();
    command.args(["serve", "--listen-client-urls", "http://localhost:0", "--cors", "nonsense", "--data-dir"]);
    command.arg(directory.path().join("data")).env("ETCD_ENABLE_V2", "1").env("ETCD_PRE_VOTE", "F");
    for empty in
        ["NAME", "CERT_FILE", "DATA_DIR", "INITIAL_CLUSTER_STATE", "CLIENT_CERT_AUTH", "WAL_DIR", "DEBUG"]
    {
        command.env(format!("ETCD_{empty}"), "");
    }
    command.env("ETCD_DATADIR", "x").env("ETCD_WATCH_KEY", "/of-exec-watch").env("ETCDCTL_API", "2");
    let output = command.run();
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = "spinney: note: --enable-v2 changes nothing: the v2 API is what is served\nspinney: note: ETCD_DATADIR \
                    changes nothing: no flag has that name\n--cors \"nonsense\": ";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn variables_stand_for_flags() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut command = spinney();
    command.arg("serve").env("ETCD_DATA_DIR", directory.path().join("data"));
    command.env("ETCD_INITIAL_CLUSTER", "b=http://h:1,c=http://h:2").env("ETCD_NAME", "a");
    let said = String::from_utf8(command.run().stderr).unwrap();
    assert!(said.contains("does not name this member, which --name calls a"), "{said}");
}

#[test]
fn a_directory_in_use_and_one_of_etcds_are_refused() {
    let server = Server::spinney(&[]);
    let second = |data: &std::path::Path| {
        let mut command = spinney();
        command.args(["serve", "--listen-client-urls", "http://127.0.0.1:0", "--data-dir"]).arg(data);
        let output = command.run();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = second(&server.data());
    assert!(said.contains("is a server running on it?"), "{said}");

    let foreign = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::create_dir_all(foreign.path().join("member/snap")).unwrap();
    let said = second(foreign.path());
    assert!(said.contains("is a data directory of etcd's"), "{said}");

    let mut command = spinney();
    command
        .args(["serve", "--listen-client-urls", &server.url, "--data-dir"])
        .arg(server.scratch().join("other"));
    let said = String::from_utf8(command.run().stderr).unwrap();
    assert!(said.contains("another program does"), "{said}");
}

#[test]
fn names_and_urls_are_those_that_were_given() {
    let flags = [
        "--name",
        "n1",
        "--advertise-client-urls",
        "http://db.example.com:2379",
        "--cors",
        "http://a.example:80",
    ];
    let server = Server::spinney(&flags);
    let members = server.request("GET", "/v2/members", "");
    assert!(members.contains("\"name\":\"n1\""), "{members}");
    assert!(members.contains("\"clientURLs\":[\"http://db.example.com:2379\"]"), "{members}");
    assert!(members.contains("\"peerURLs\":[\"http://127.0.0.1:9\"]"), "{members}");
    assert!(!members.to_ascii_lowercase().contains("access-control-allow-origin: *"), "{members}");
}

/// A command, by words, and what it prints.
fn output(mut command: Command, words: &[&str]) -> String {
    let output = command.args(words).run();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_classic_session_with_curl_and_etcdctl() {
    let Some(curl) = installed("curl") else { return skipped("curl") };
    let server = Server::spinney(&[]);
    let curl = |words: &[&str], path: &str| {
        let mut command = Command::new(&curl);
        command.args(["-s", "--noproxy", "*"]).args(words);
        output(command, &[&format!("{}{path}", server.url)])
    };
    let client = || {
        let mut command = etcdctl().unwrap_or_else(spinney);
        command.env("ETCDCTL_ENDPOINTS", &server.url);
        command
    };
    assert_eq!(output(client(), &["set", "/message1", "Book1"]), "Book1\n");
    assert_eq!(output(client(), &["get", "/message1"]), "Book1\n");
    let answer = curl(&["-XPUT", "-d", "value=Book2"], "/v2/keys/message2");
    assert!(answer.starts_with(r#"{"action":"set","node":{"key":"/message2","value":"Book2""#), "{answer}");
    assert_eq!(output(client(), &["mkdir", "/foo-service"]), "");
    assert_eq!(output(client(), &["set", "/foo-service/container1", "localhost:1111"]), "localhost:1111\n");
    assert_eq!(output(client(), &["ls", "/foo-service"]), "/foo-service/container1\n");
    assert_eq!(output(client(), &["set", "/foo", "I'm expiring", "--ttl", "1"]), "I'm expiring\n");
    let index = server.index().to_string();
    assert_eq!(output(client(), &["-o", "simple", "watch", "--after-index", &index, "/foo"]), "\n");
    let gone = output(client(), &["get", "/foo"]);
    assert!(gone.starts_with("Error:  100: Key not found (/foo) ["), "{gone}");
    let answer = curl(&[], "/v2/keys/none");
    assert!(
        answer.starts_with(r#"{"errorCode":100,"message":"Key not found","cause":"/none","index":"#),
        "{answer}"
    );
    assert_eq!(output(client(), &["rm", "--recursive", "/foo-service"]), "");
    assert!(output(client(), &["cluster-health"]).ends_with("cluster is healthy\n"));
}
