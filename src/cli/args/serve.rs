//! `serve`, with the names that etcd gives to flags and to variables of the environment.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values;

/// How far a write has to get before it counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// On disk
    Disk,
    /// With the operating system: survives a crash of the program, not of the machine
    Process,
}

/// Whether a member begins a cluster or joins one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClusterState {
    New,
    Existing,
}

/// How clients are served at https:// URLs.
#[derive(Args, Debug)]
#[command(next_help_heading = "Clients")]
pub(crate) struct ServerTls {
    /// The certificate of the server, in PEM, for https:// URLs
    #[arg(long, env = "ETCD_CERT_FILE", value_name = "FILE", value_parser = values::path())]
    pub(crate) cert_file: Option<PathBuf>,
    /// The key of that certificate, in PEM
    #[arg(long, env = "ETCD_KEY_FILE", value_name = "FILE", value_parser = values::path())]
    pub(crate) key_file: Option<PathBuf>,
    /// Serve only clients that show a certificate of an authority in --trusted-ca-file
    #[arg(long, env = "ETCD_CLIENT_CERT_AUTH", value_parser = values::switch)]
    pub(crate) client_cert_auth: bool,
    /// The authorities for clients' certificates, in PEM
    #[arg(long, env = "ETCD_TRUSTED_CA_FILE", value_name = "FILE", value_parser = values::path())]
    pub(crate) trusted_ca_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Each flag can be set by a variable, too: ETCD_DATA_DIR for --data-dir and so on.\nOther flags of etcd's \
        are known: each is either without meaning here, or refused with the reason.\nSIGTERM and SIGINT end the server \
        when what is under way is answered.\n\nExamples:\n  spinney serve\n  spinney serve --data-dir ./data \
        --listen-client-urls http://10.0.0.1:2379\n  spinney serve --listen-client-urls https://0.0.0.0:2379 \\\n      \
        --advertise-client-urls https://db.example.com:2379 \\\n      --cert-file server.pem --key-file server.key\n  \
        spinney serve --name n1 --peer-secret-file secret \\\n      --listen-client-urls http://10.0.0.1:2379 \\\n      \
        --listen-peer-urls http://10.0.0.1:2380 \\\n      \
        --initial-cluster n1=http://10.0.0.1:2380,n2=http://10.0.0.2:2380"
)]
pub(crate) struct Serve {
    /// What the member is called
    #[arg(long, env = "ETCD_NAME", default_value = "default", help_heading = "Member")]
    pub(crate) name: String,
    /// Where the data is kept; made if missing [default: NAME.spinney]
    #[arg(
        long,
        env = "ETCD_DATA_DIR",
        value_name = "DIR",
        value_parser = values::path(),
        help_heading = "Member"
    )]
    pub(crate) data_dir: Option<PathBuf>,
    /// How far a write has to get before it is answered
    #[arg(long, value_enum, default_value_t = Durability::Disk, help_heading = "Member")]
    pub(crate) durability: Durability,

    /// Where clients are served: http:// or https://, host and port, separated by commas
    #[arg(
        long,
        env = "ETCD_LISTEN_CLIENT_URLS",
        value_name = "URLS",
        default_value = "http://localhost:2379",
        help_heading = "Clients"
    )]
    pub(crate) listen_client_urls: String,
    /// The URLs that clients are told to use [default: those where they are served]
    #[arg(long, env = "ETCD_ADVERTISE_CLIENT_URLS", value_name = "URLS", help_heading = "Clients")]
    pub(crate) advertise_client_urls: Option<String>,
    /// Which pages of other sites may use the API: origins separated by commas, or * for all
    #[arg(long, env = "ETCD_CORS", value_name = "ORIGINS", default_value = "*", help_heading = "Clients")]
    pub(crate) cors: String,
    #[command(flatten)]
    pub(crate) tls: ServerTls,

    /// Where other members are served: one place. Naming it makes the member one of a cluster, of one to begin with
    /// [default: http://localhost:2380 where there are other members, else nothing]
    #[arg(long, env = "ETCD_LISTEN_PEER_URLS", value_name = "URL", help_heading = "Cluster")]
    pub(crate) listen_peer_urls: Option<String>,
    /// The URLs at which other members reach this one [default: those in --initial-cluster, or where it listens]
    #[arg(long, env = "ETCD_INITIAL_ADVERTISE_PEER_URLS", value_name = "URLS", help_heading = "Cluster")]
    pub(crate) initial_advertise_peer_urls: Option<String>,
    /// The members that the cluster begins with, or those to join, as NAME=URL separated by commas
    #[arg(long, env = "ETCD_INITIAL_CLUSTER", value_name = "MEMBERS", help_heading = "Cluster")]
    pub(crate) initial_cluster: Option<String>,
    /// Whether the member begins a cluster or joins one
    #[arg(
        long,
        env = "ETCD_INITIAL_CLUSTER_STATE",
        value_enum,
        value_name = "STATE",
        default_value = "new",
        help_heading = "Cluster"
    )]
    pub(crate) initial_cluster_state: ClusterState,
    /// A word that tells clusters with the same members apart
    #[arg(
        long,
        env = "ETCD_INITIAL_CLUSTER_TOKEN",
        value_name = "WORD",
        default_value = "etcd-cluster",
        help_heading = "Cluster"
    )]
    pub(crate) initial_cluster_token: String,
    /// Make a cluster of its own of this member first, without the others, when too few of those are left: see `spinney help
    /// recover`. Take the flag away again afterwards
    #[arg(long, env = "ETCD_FORCE_NEW_CLUSTER", value_parser = values::switch, help_heading = "Cluster")]
    pub(crate) force_new_cluster: bool,
    /// What all members know and nobody else, at least 16 bytes: who does not know it is not listened to
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    pub(crate) peer_secret_file: Option<PathBuf>,
    /// Serve members beyond this machine without a secret: whoever reaches that port can do anything to the data
    #[arg(long, help_heading = "Cluster")]
    pub(crate) allow_insecure_peers: bool,
    /// How often a leader says that it is there, in milliseconds [default: 50]
    #[arg(long, env = "ETCD_HEARTBEAT_INTERVAL", value_name = "MS", help_heading = "Cluster")]
    pub(crate) heartbeat_interval: Option<u64>,
    /// How long a member waits at least for its leader before it stands for election, in milliseconds; at most twice as
    /// long [default: 300]
    #[arg(long, env = "ETCD_ELECTION_TIMEOUT", value_name = "MS", help_heading = "Cluster")]
    pub(crate) election_timeout: Option<u64>,
}
