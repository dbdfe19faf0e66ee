//! `serve`, with the names that etcd gives to flags and to variables of the environment.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

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

#[derive(Args, Debug)]
#[command(
    after_help = "Each flag can be set by a variable, too: ETCD_DATA_DIR for --data-dir and so on.\nOther flags of etcd's \
        are known: each is either without meaning here, or refused with the reason.\nSIGTERM and SIGINT end the server \
        when what is under way is answered.\n\nExamples:\n  spinney serve\n  spinney serve --name n1 --data-dir \
        /var/lib/spinney --listen-client-urls http://10.0.0.1:2379\n  spinney serve --listen-client-urls \
        https://0.0.0.0:2379 --advertise-client-urls https://db.example.com:2379 \\\n      --cert-file server.pem \
        --key-file server.key"
)]
pub(crate) struct Serve {
    /// What the member is called
    #[arg(long, env = "ETCD_NAME", default_value = "default", help_heading = "Member")]
    pub(crate) name: String,
    /// Where the data is kept; made if missing [default: NAME.spinney]
    #[arg(long, env = "ETCD_DATA_DIR", value_name = "DIR", help_heading = "Member")]
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
    /// The certificate of the server, in PEM, for https:// URLs
    #[arg(long, env = "ETCD_CERT_FILE", value_name = "FILE", help_heading = "Clients")]
    pub(crate) cert_file: Option<PathBuf>,
    /// The key of that certificate, in PEM
    #[arg(long, env = "ETCD_KEY_FILE", value_name = "FILE", help_heading = "Clients")]
    pub(crate) key_file: Option<PathBuf>,
    /// Serve only clients that show a certificate of an authority in --trusted-ca-file
    #[arg(long, env = "ETCD_CLIENT_CERT_AUTH", help_heading = "Clients")]
    pub(crate) client_cert_auth: bool,
    /// The authorities for clients' certificates, in PEM
    #[arg(long, env = "ETCD_TRUSTED_CA_FILE", value_name = "FILE", help_heading = "Clients")]
    pub(crate) trusted_ca_file: Option<PathBuf>,

    /// Where other members would be served; nothing listens there as long as the member is alone
    #[arg(
        long,
        env = "ETCD_LISTEN_PEER_URLS",
        value_name = "URLS",
        default_value = "http://localhost:2380",
        help_heading = "Cluster"
    )]
    pub(crate) listen_peer_urls: String,
    /// The URLs that the member is listed with for its peers [default: http://localhost:2380]
    #[arg(long, env = "ETCD_INITIAL_ADVERTISE_PEER_URLS", value_name = "URLS", help_heading = "Cluster")]
    pub(crate) initial_advertise_peer_urls: Option<String>,
    /// The members that the cluster begins with, as NAME=URL separated by commas: this one alone, so far
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
}
