//! Flags that etcd has and this server has not: what becomes of them.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::failure::Failure;

/// What is to be said of a flag.
enum Fate {
    /// It changes nothing here, and this is why: the server starts.
    Idle(&'static str),
    /// What it asks for cannot be had, and this is why: the server does not start.
    Refused(&'static str),
}

use Fate::{Idle, Refused};

const SNAPSHOTS: &str = "snapshots are taken when the log has grown to 64 MiB, and old files are reused";
const PEER_TLS: &str = "members prove who they are with --peer-secret-file, and do not encrypt what they say";
const V3: &str = "it is about etcd's v3 API, which is not served";
const LOGGING: &str = "the log is lines of text on stderr";
const DISCOVERY: &str = "there is nobody to discover members from; name them with --initial-cluster";

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
    ("peer-auto-tls", false, Refused(PEER_TLS)),
    ("quota-backend-bytes", true, Idle(V3)),
    ("auto-compaction-mode", true, Idle(V3)),
    ("auto-compaction-retention", true, Idle(V3)),
    ("max-txn-ops", true, Idle(V3)),
    ("auth-token", true, Idle(V3)),
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
        Refused("requests are served whatever host they name; filter them in front of the server"),
    ),
    ("listen-metrics-urls", true, Refused("/metrics is served with the API, at --listen-client-urls")),
    ("enable-pprof", false, Refused("there is no profiler in the server")),
    ("max-request-bytes", true, Refused("values take up to 1 MiB and transactions up to 4 MiB")),
    ("wal-dir", true, Refused("the log is a part of the data directory")),
    ("auto-tls", false, Refused("certificates are not made up; name them with --cert-file and --key-file")),
    ("client-crl-file", true, Refused("lists of revoked certificates are not read")),
    ("cipher-suites", true, Refused("the suites are those that rustls finds safe")),
    ("config-file", true, Refused("settings are flags, or variables such as ETCD_DATA_DIR")),
    ("discovery", true, Refused(DISCOVERY)),
    ("discovery-srv", true, Refused(DISCOVERY)),
    ("discovery-srv-name", true, Refused(DISCOVERY)),
    ("discovery-fallback", true, Refused(DISCOVERY)),
    ("discovery-proxy", true, Refused(DISCOVERY)),
    (
        "proxy",
        true,
        Refused("`spinney proxy` is one, and is told with --endpoints where members serve clients"),
    ),
    ("gateway", true, Refused("there is no gateway in the server")),
];

/// Makes the flags known to clap, without showing them.
pub(crate) fn define(program: Command) -> Command {
    program.mut_subcommand("serve", |serve| {
        serve.args(FLAGS.iter().map(|(name, has_value, _)| {
            let variable = format!("ETCD_{}", name.replace('-', "_").to_uppercase());
            let action = if *has_value { ArgAction::Set } else { ArgAction::SetTrue };
            Arg::new(*name).long(*name).hide(true).env(variable).action(action)
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
        let given = if *has_value { serve.get_one::<String>(name).is_some() } else { serve.get_flag(name) };
        match fate {
            _ if !given => {}
            Idle(why) => notes.push(format!("--{name} changes nothing: {why}")),
            Refused(why) => return Err(Failure::plain(format_args!("--{name} cannot be had: {why}"))),
        }
    }
    Ok(notes)
}
