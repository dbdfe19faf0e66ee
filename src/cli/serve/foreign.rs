//! Flags that etcd has and this server has not: what becomes of them.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::args::switch;
use crate::cli::failure::Failure;

/// What is to be said of a flag.
enum Fate {
    /// It changes nothing here, and this is why: the server starts.
    Idle(&'static str),
    /// What it asks for cannot be had, and this is why: the server does not start.
    Refused(&'static str),
    /// The same of every value but this one, which is etcd's own and asks for nothing.
    RefusedUnless(&'static str, &'static str),
}

use Fate::{Idle, Refused, RefusedUnless};

const SNAPSHOTS: &str = "snapshots are taken when the log has grown to 64 MiB, and old files are reused";
const PEER_TLS: &str = "members prove who they are with --peer-secret-file, and do not encrypt what they say";
const V3: &str = "it is about etcd's v3 API, which is not served";
const LOGGING: &str = "the log is lines of text on stderr";
const DISCOVERY: &str = "there is nobody to discover members from; name them with --initial-cluster";
const PROXY: &str = "`spinney proxy` is one, and is told with --endpoints where members serve clients";
const CHECKS: &str = "what is on disk, and what members send, has checksums, which are always looked at";
const OLD_AUTHORITIES: &str = "its name is --trusted-ca-file now, with --client-cert-auth";

/// The flags: name, whether a value follows, fate.
const FLAGS: &[(&str, bool, Fate)] = &[
    ("enable-v2", false, Idle("the v2 API is what is served")),
    ("snapshot-count", true, Idle(SNAPSHOTS)),
    ("max-snapshots", true, Idle(SNAPSHOTS)),
    ("max-wals", true, Idle(SNAPSHOTS)),
    ("initial-election-tick-advance", false, Idle("the first election waits no longer than others")),
    ("pre-vote", false, Idle("who stands for election always asks first whether it could win")),
    ("strict-reconfig-check", false, Idle("a change that would lose the majority is always refused")),
    ("peer-cert-file", true, Refused(PEER_TLS)),
    ("peer-key-file", true, Refused(PEER_TLS)),
    ("peer-client-cert-auth", false, Refused(PEER_TLS)),
    ("peer-trusted-ca-file", true, Refused(PEER_TLS)),
    ("peer-ca-file", true, Refused(PEER_TLS)),
    ("peer-crl-file", true, Refused(PEER_TLS)),
    ("peer-cert-allowed-cn", true, Refused(PEER_TLS)),
    ("peer-cert-allowed-hostname", true, Refused(PEER_TLS)),
    ("experimental-peer-skip-client-san-verification", false, Refused(PEER_TLS)),
    ("peer-auto-tls", false, Refused(PEER_TLS)),
    ("quota-backend-bytes", true, Idle(V3)),
    ("auto-compaction-mode", true, Idle(V3)),
    ("auto-compaction-retention", true, Idle(V3)),
    ("max-txn-ops", true, Idle(V3)),
    ("auth-token", true, Idle(V3)),
    ("auth-token-ttl", true, Idle(V3)),
    ("backend-batch-interval", true, Idle(V3)),
    ("backend-batch-limit", true, Idle(V3)),
    ("max-concurrent-streams", true, Idle(V3)),
    ("experimental-backend-bbolt-freelist-type", true, Idle(V3)),
    ("experimental-compaction-batch-limit", true, Idle(V3)),
    ("experimental-enable-lease-checkpoint", false, Idle(V3)),
    ("experimental-watch-progress-notify-interval", true, Idle(V3)),
    ("experimental-enable-v2v3", true, Refused(V3)),
    ("experimental-initial-corrupt-check", false, Idle(CHECKS)),
    ("experimental-corrupt-check-time", true, Idle(CHECKS)),
    ("experimental-warning-apply-duration", true, Idle(LOGGING)),
    ("bcrypt-cost", true, Idle("passwords are hashed with argon2")),
    ("grpc-keepalive-min-time", true, Idle(V3)),
    ("grpc-keepalive-interval", true, Idle(V3)),
    ("grpc-keepalive-timeout", true, Idle(V3)),
    ("logger", true, Idle(LOGGING)),
    ("log-level", true, Idle(LOGGING)),
    ("log-output", true, Idle(LOGGING)),
    ("log-outputs", true, Idle(LOGGING)),
    ("log-package-levels", true, Idle(LOGGING)),
    ("debug", false, Idle(LOGGING)),
    ("metrics", true, Idle("/metrics is served with the API")),
    (
        "host-whitelist",
        true,
        RefusedUnless("*", "requests are served whatever host they name; filter them in front of the server"),
    ),
    ("listen-metrics-urls", true, Refused("/metrics is served with the API, at --listen-client-urls")),
    ("enable-pprof", false, Refused("there is no profiler in the server")),
    (
        "max-request-bytes",
        true,
        RefusedUnless("1572864", "values take up to 1 MiB and transactions up to 4 MiB"),
    ),
    ("wal-dir", true, Refused("the log is a part of the data directory")),
    ("auto-tls", false, Refused("certificates are not made up; name them with --cert-file and --key-file")),
    ("client-crl-file", true, Refused("lists of revoked certificates are not read")),
    (
        "client-cert-allowed-hostname",
        true,
        Refused(
            "whoever shows a certificate is let in by whom it is from: every certificate of --trusted-ca-file's is let in",
        ),
    ),
    ("ca-file", true, Refused(OLD_AUTHORITIES)),
    ("cipher-suites", true, Refused("the suites are those that rustls finds safe")),
    ("config-file", true, Refused("settings are flags, or variables such as ETCD_DATA_DIR")),
    ("discovery", true, Refused(DISCOVERY)),
    ("discovery-srv", true, Refused(DISCOVERY)),
    ("discovery-srv-name", true, Refused(DISCOVERY)),
    ("discovery-fallback", true, RefusedUnless("proxy", DISCOVERY)),
    ("discovery-proxy", true, Refused(DISCOVERY)),
    ("proxy", true, RefusedUnless("off", PROXY)),
    ("proxy-failure-wait", true, Idle(PROXY)),
    ("proxy-refresh-interval", true, Idle(PROXY)),
    ("proxy-dial-timeout", true, Idle(PROXY)),
    ("proxy-write-timeout", true, Idle(PROXY)),
    ("proxy-read-timeout", true, Idle(PROXY)),
    ("gateway", true, Refused("there is no gateway in the server")),
];

/// Makes the flags known to clap, without showing them.
pub(crate) fn define(program: Command) -> Command {
    program.mut_subcommand("serve", |serve| {
        serve.args(FLAGS.iter().map(|(name, has_value, _)| {
            let variable = format!("{PREFIX}{}", name.replace('-', "_").to_uppercase());
            let flag = Arg::new(*name).long(*name).hide(true).env(variable);
            if *has_value {
                flag.action(ArgAction::Set)
            } else {
                flag.action(ArgAction::SetTrue).value_parser(switch)
            }
        }))
    })
}

/// Says what becomes of those flags that were given.
///
/// # Errors
///
/// The first that stands for something that cannot be had.
pub(crate) fn review(serve: &ArgMatches) -> Result<Vec<String>, Failure> {
    let mut notes = Vec::new();
    for (name, has_value, fate) in FLAGS {
        let value = if *has_value {
            serve.get_one::<String>(name).map(String::as_str)
        } else {
            serve.get_flag(name).then_some("true")
        };
        // What is empty asks for nothing.
        let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
        match fate {
            Idle(why) => notes.push(format!("--{name} changes nothing: {why}")),
            RefusedUnless(harmless, _) if value == *harmless => {}
            Refused(why) | RefusedUnless(_, why) => {
                return Err(Failure::plain(format_args!("--{name} cannot be had: {why}")));
            }
        }
    }
    Ok(notes)
}

/// What every variable's name begins with that stands for a flag of `serve`.
const PREFIX: &str = "ETCD_";
/// The same of those that `exec-watch` sets, which stand for none.
const WATCH_PREFIX: &str = "ETCD_WATCH_";

/// Says which variables look like flags of `serve` and are none.
pub(crate) fn unknown_variables(serve: &Command) -> Vec<String> {
    let names = std::env::vars_os().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name);
    let mut unknown: Vec<_> = names
        .filter(|name| {
            let text = name.to_string_lossy();
            text.starts_with(PREFIX) && !text.starts_with(WATCH_PREFIX)
        })
        .filter(|name| !serve.get_arguments().any(|arg| arg.get_env() == Some(name)))
        .map(|name| format!("{} changes nothing: no flag has that name", name.to_string_lossy()))
        .collect();
    unknown.sort();
    unknown
}
