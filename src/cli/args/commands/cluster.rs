//! Commands about the members of a cluster, and the proxy to them.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::Names;
use crate::cli::args::serve::ServerTls;

#[derive(Args, Debug)]
#[command(
    after_help = "Exit code 0 if all members are well, 5 if not.\n\nExamples:\n  spinney cluster-health\n  spinney \
        cluster-health --forever"
)]
pub(crate) struct ClusterHealth {
    /// Ask again every 10 seconds
    #[arg(long, short)]
    pub(crate) forever: bool,
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true, after_help = "Examples:\n  spinney member list")]
pub(crate) enum MemberCommand {
    /// List the members
    #[command(after_help = "Examples:\n  spinney member list")]
    List(Names),
    /// Add a member
    #[command(
        override_usage = "spinney member add <NAME> <PEER-URL>",
        after_help = "Examples:\n  spinney member add n4 http://10.0.0.4:2380"
    )]
    Add(Names),
    /// Remove a member
    #[command(
        override_usage = "spinney member remove <ID>",
        after_help = "Examples:\n  spinney member remove 8e9e05c52164694d"
    )]
    Remove(Names),
    /// Change where a member listens for its peers
    #[command(
        override_usage = "spinney member update <ID> <PEER-URLS>",
        after_help = "Examples:\n  spinney member update 8e9e05c52164694d http://10.0.0.5:2380"
    )]
    Update(Names),
}

#[derive(Args, Debug)]
#[command(
    after_help = "The members are those that --endpoints names, and from then on those that they make known. Those at https:// \
        URLs are asked if --ca-file says whom to trust; they are shown the certificate in --cert-file, if there is one. Members \
        that fail are left alone for a while; where it cannot be known whether one has done what was asked for, the answer is \
        502.\nSIGTERM and SIGINT end the proxy when what is under way is answered.\n\nExamples:\n  spinney proxy --endpoints \
        http://10.0.0.1:2379,http://10.0.0.2:2379\n  spinney proxy --endpoints http://10.0.0.1:2379 --readonly \\\n      \
        --listen-client-urls http://127.0.0.1:8080\n  spinney proxy --endpoints https://db1:2379 --ca-file ca.pem"
)]
pub(crate) struct Proxy {
    /// Where clients are served: http:// or https://, host and port, separated by commas
    #[arg(
        long,
        env = "ETCD_LISTEN_CLIENT_URLS",
        value_name = "URLS",
        default_value = "http://localhost:2379"
    )]
    pub(crate) listen_client_urls: String,
    #[command(flatten)]
    pub(crate) tls: ServerTls,
    /// Refuse everything but GET
    #[arg(long)]
    pub(crate) readonly: bool,
    /// How often to ask who the members are, in milliseconds
    #[arg(long, env = "ETCD_PROXY_REFRESH_INTERVAL", value_name = "MS", default_value_t = 30_000)]
    pub(crate) proxy_refresh_interval: u64,
    /// How long a member that has failed is left alone, in milliseconds
    #[arg(long, env = "ETCD_PROXY_FAILURE_WAIT", value_name = "MS", default_value_t = 5_000)]
    pub(crate) proxy_failure_wait: u64,
    /// How long a connection to a member may take to come about, in milliseconds
    #[arg(long, env = "ETCD_PROXY_DIAL_TIMEOUT", value_name = "MS", default_value_t = 1_000)]
    pub(crate) proxy_dial_timeout: u64,
}
