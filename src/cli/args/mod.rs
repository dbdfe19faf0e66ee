//! What can be asked of the program, as clap knows it.
//!
//! [`words`] comes first: it brings the words of the command line into the one form that clap expects, since flags may
//! stand on either side of the command and have one dash or two, as in etcdctl.

mod commands;
mod serve;
mod values;
pub(crate) mod words;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser};

pub(crate) use commands::{
    AuthCommand, Backup, ClusterHealth, Command, Completions, Directory, Edit, ExecWatch, Export, Get,
    GrantRole, Import, ImportMode, Key, Ls, MemberCommand, Mk, Proxy, Recover, Rm, RoleCommand, Set,
    TextFormat, Tree, Update, UserCommand, Watch,
};
pub(crate) use serve::{ClusterState, Durability, Serve, ServerTls};
pub(crate) use values::{named, switch};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "spinney",
    about = "A server of etcd's v2 API, and a client of it",
    long_about = "A server of etcd's v2 API, and a client of it: commands, flags, output and exit codes are those of \
        etcdctl with ETCDCTL_API=2.",
    after_help = "Examples:\n  spinney serve --data-dir ./data\n  spinney set /message Hello\n  spinney get /message\n  \
        spinney ls --recursive /\n  spinney watch --forever --recursive /\n\n`spinney help COMMAND` says more about a \
        command.\nFlags may stand before or after the command; what follows -- is no flag.",
    disable_help_subcommand = true,
    disable_version_flag = true,
    args_override_self = true,
    max_term_width = 110
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What every command that speaks to a server takes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Global {
    /// URLs of servers, separated by commas; each is tried in turn [default:
    /// http://127.0.0.1:2379,http://127.0.0.1:4001]
    #[arg(long, value_name = "URLS", env = "ETCDCTL_ENDPOINTS")]
    pub(crate) endpoints: Option<String>,
    /// Old name of --endpoints
    #[arg(long, value_name = "URLS", env = "ETCDCTL_ENDPOINT", hide = true)]
    pub(crate) endpoint: Option<String>,
    /// Old name of --endpoints
    #[arg(long, short = 'C', value_name = "URLS", env = "ETCDCTL_PEERS")]
    pub(crate) peers: Option<String>,
    /// Ask only the endpoints that were given, not all that the members make known
    #[arg(long)]
    pub(crate) no_sync: bool,
    /// How answers are shown: simple, extended or json
    #[arg(long, short, value_name = "FORMAT", default_value = "simple")]
    pub(crate) output: String,
    /// Who asks; without a password, one is asked for
    #[arg(long, short, value_name = "USER[:PASSWORD]", env = "ETCDCTL_USERNAME", hide_env_values = true)]
    pub(crate) username: Option<String>,
    /// How long an endpoint may take to begin its answer
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = values::duration)]
    pub(crate) timeout: Duration,
    /// How long a command may take in all, watches aside
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = values::duration)]
    pub(crate) total_timeout: Duration,
    /// Certificates of the authorities to trust, in PEM, in place of the public ones
    #[arg(long, value_name = "FILE", env = "ETCDCTL_CA_FILE", value_parser = values::path())]
    pub(crate) ca_file: Option<PathBuf>,
    /// The certificate to show to servers, in PEM
    #[arg(long, value_name = "FILE", env = "ETCDCTL_CERT_FILE", value_parser = values::path())]
    pub(crate) cert_file: Option<PathBuf>,
    /// The key of that certificate, in PEM
    #[arg(long, value_name = "FILE", env = "ETCDCTL_KEY_FILE", value_parser = values::path())]
    pub(crate) key_file: Option<PathBuf>,
    /// Find servers by the SRV records of a domain: not supported
    #[arg(long, short = 'D', value_name = "DOMAIN", env = "ETCDCTL_DISCOVERY_SRV", hide = true)]
    pub(crate) discovery_srv: Option<String>,
    /// Goes with --discovery-srv
    #[arg(long, hide = true)]
    pub(crate) insecure_discovery: bool,
    /// Show each request on stderr, as a line for curl
    #[arg(long)]
    pub(crate) debug: bool,
    /// Show the version
    #[arg(long, short = 'v')]
    pub(crate) version: bool,
}
