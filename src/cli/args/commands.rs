//! The commands, with their flags and their help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::serve::Serve;
use super::values::integer;

/// A command of the program.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Command {
    /// Serve a data directory over etcd's v2 API
    Serve(Box<Serve>),
    /// Serve the API by asking the members of a cluster, on a host that has none
    Proxy(Proxy),
    /// Show the value of a key
    Get(Get),
    /// List the keys in a directory
    Ls(Ls),
    /// Draw the keys below a directory
    Tree(Tree),
    /// Set the value of a key, which is made if missing
    Set(Set),
    /// Make a key
    Mk(Mk),
    /// Change the value of a key
    Update(Update),
    /// Remove a key or a directory
    Rm(Rm),
    /// Remove an empty directory, or a key
    Rmdir(Key),
    /// Make a directory
    Mkdir(Directory),
    /// Make a directory, also in place of a key
    Setdir(Directory),
    /// Change the time that a directory has to live
    Updatedir(Directory),
    /// Wait for changes of a key
    Watch(Watch),
    /// Run a program for each change of a key
    ExecWatch(ExecWatch),
    /// Change a value in an editor
    Edit(Edit),
    /// Write the keys below a directory as JSON or TOML
    Export(Export),
    /// Bring the keys below a directory to what a file says
    Import(Import),
    /// Ask each member of the cluster how it is
    ClusterHealth(ClusterHealth),
    /// The members of the cluster
    #[command(subcommand)]
    Member(MemberCommand),
    /// The users, and which roles they have
    #[command(subcommand)]
    User(UserCommand),
    /// The roles, and what they may do
    #[command(subcommand)]
    Role(RoleCommand),
    /// Whether users and roles count
    #[command(subcommand)]
    Auth(AuthCommand),
    /// Copy a data directory that nobody serves
    Backup(Backup),
    /// Make a cluster of its own of one member, when too few of the others are left
    Recover(Recover),
    /// Write completions for a shell
    Completions(Completions),
}

#[derive(Args, Debug)]
#[command(
    override_usage = "spinney get [OPTIONS] <KEY>",
    after_help = "Examples:\n  spinney get /message\n  spinney -o extended get /message\n  spinney -o json get --quorum \
        /message"
)]
pub(crate) struct Get {
    /// The key
    pub(crate) key: Option<OsString>,
    #[arg(hide = true)]
    rest: Vec<OsString>,
    /// Sort the answer
    #[arg(long)]
    pub(crate) sort: bool,
    /// Ask a majority of the members, so that the answer is the newest
    #[arg(long, short)]
    pub(crate) quorum: bool,
}

#[derive(Args, Debug)]
#[command(
    override_usage = "spinney ls [OPTIONS] [KEY]",
    after_help = "Examples:\n  spinney ls /services\n  spinney ls --recursive --sort -p /"
)]
pub(crate) struct Ls {
    /// The directory; the root if none is named
    pub(crate) key: Option<OsString>,
    #[arg(hide = true)]
    rest: Vec<OsString>,
    /// Sort the keys
    #[arg(long)]
    pub(crate) sort: bool,
    /// List everything below the directory
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// Put a slash after directories
    #[arg(short = 'p')]
    pub(crate) slash: bool,
    /// Ask a majority of the members, so that the answer is the newest
    #[arg(long, short)]
    pub(crate) quorum: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  spinney tree\n  spinney tree --depth 2 /services\n  spinney tree --keys-only /"
)]
pub(crate) struct Tree {
    /// The directory; the root if none is named
    #[arg(default_value = "/")]
    pub(crate) key: OsString,
    /// How many levels to draw
    #[arg(long, value_name = "LEVELS")]
    pub(crate) depth: Option<usize>,
    /// Leave the values out
    #[arg(long)]
    pub(crate) keys_only: bool,
}

#[derive(Args, Debug)]
#[command(
    override_usage = "spinney set [OPTIONS] <KEY> [VALUE]",
    after_help = "Examples:\n  spinney set /message Hello\n  spinney set --ttl 30 /session alive\n  spinney set \
        --swap-with-value Hello /message Goodbye\n  spinney set /config < config.json"
)]
pub(crate) struct Set {
    /// The key
    pub(crate) key: Option<OsString>,
    /// The value; all of stdin if there is none
    pub(crate) value: Option<OsString>,
    #[arg(hide = true)]
    rest: Vec<OsString>,
    /// Seconds to live
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = integer, hide_default_value = true)]
    pub(crate) ttl: i64,
    /// Only if this is the value so far
    #[arg(long, value_name = "VALUE")]
    pub(crate) swap_with_value: Option<OsString>,
    /// Only if this is the index of the last change so far
    #[arg(long, value_name = "INDEX", default_value = "0", value_parser = integer, hide_default_value = true)]
    pub(crate) swap_with_index: i64,
}

#[derive(Args, Debug)]
#[command(
    override_usage = "spinney mk [OPTIONS] <KEY> [VALUE]",
    after_help = "Examples:\n  spinney mk /lock me --ttl 30\n  spinney mk --in-order /queue job"
)]
pub(crate) struct Mk {
    /// The key, where nothing may be yet
    pub(crate) key: Option<OsString>,
    /// The value; all of stdin if there is none
    pub(crate) value: Option<OsString>,
    #[arg(hide = true)]
    rest: Vec<OsString>,
    /// Make a key in the directory KEY, under a name that sorts after all before it
    #[arg(long)]
    pub(crate) in_order: bool,
    /// Seconds to live
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = integer, hide_default_value = true)]
    pub(crate) ttl: i64,
}

#[derive(Args, Debug)]
#[command(
    override_usage = "spinney update [OPTIONS] <KEY> [VALUE]",
    after_help = "Examples:\n  spinney update /message Goodbye\n  spinney update --ttl 30 /session alive"
)]
pub(crate) struct Update {
    /// The key, which must be there
    pub(crate) key: Option<OsString>,
    /// The value; all of stdin if there is none
    pub(crate) value: Option<OsString>,
    #[arg(hide = true)]
    rest: Vec<OsString>,
    /// Seconds to live
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = integer, hide_default_value = true)]
    pub(crate) ttl: i64,
}

#[derive(Args, Debug)]
#[command(
    override_usage = "spinney rm [OPTIONS] <KEY>",
    after_help = "Examples:\n  spinney rm /message\n  spinney rm --recursive /services\n  spinney rm --with-value me \
        /lock"
)]
pub(crate) struct Rm {
    /// The key
    pub(crate) key: Option<OsString>,
    #[arg(hide = true)]
    rest: Vec<OsString>,
    /// Remove an empty directory
    #[arg(long)]
    pub(crate) dir: bool,
    /// Remove a directory and everything below it
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// Only if this is the value
    #[arg(long, value_name = "VALUE")]
    pub(crate) with_value: Option<OsString>,
    /// Only if this is the index of the last change
    #[arg(long, value_name = "INDEX", default_value = "0", value_parser = integer, hide_default_value = true)]
    pub(crate) with_index: i64,
}

#[derive(Args, Debug)]
#[command(override_usage = "spinney rmdir <KEY>", after_help = "Examples:\n  spinney rmdir /empty")]
pub(crate) struct Key {
    /// The key
    pub(crate) key: Option<OsString>,
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

#[derive(Args, Debug)]
#[command(
    override_usage = "spinney mkdir [OPTIONS] <KEY>\n       spinney setdir [OPTIONS] <KEY>\n       spinney updatedir \
        [OPTIONS] <KEY>",
    after_help = "Examples:\n  spinney mkdir /services\n  spinney setdir --ttl 30 /sessions\n  spinney updatedir --ttl \
        60 /sessions"
)]
pub(crate) struct Directory {
    /// The directory
    pub(crate) key: Option<OsString>,
    #[arg(hide = true)]
    rest: Vec<OsString>,
    /// Seconds to live
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = integer, hide_default_value = true)]
    pub(crate) ttl: i64,
}

#[derive(Args, Debug)]
#[command(
    override_usage = "spinney watch [OPTIONS] <KEY>",
    after_help = "Examples:\n  spinney watch /message\n  spinney watch --forever --recursive /\n  spinney watch \
        --after-index 7 /message"
)]
pub(crate) struct Watch {
    /// The key, where nothing needs to be yet
    pub(crate) key: Option<OsString>,
    #[arg(hide = true)]
    rest: Vec<OsString>,
    /// Go on after the first change
    #[arg(long, short)]
    pub(crate) forever: bool,
    /// Begin with the change after this index
    #[arg(long, value_name = "INDEX", default_value = "0", value_parser = integer, hide_default_value = true)]
    pub(crate) after_index: i64,
    /// Watch everything below the key, too
    #[arg(long, short)]
    pub(crate) recursive: bool,
}

#[derive(Args, Debug)]
#[command(
    override_usage = "spinney exec-watch [OPTIONS] <KEY> [--] <PROGRAM> [ARGUMENTS]...",
    after_help = "The program is told of the change by ETCD_WATCH_ACTION, ETCD_WATCH_KEY, ETCD_WATCH_VALUE and \
        ETCD_WATCH_MODIFIED_INDEX in its environment.\n\nExamples:\n  spinney exec-watch --recursive /config -- sh -c \
        'echo $ETCD_WATCH_KEY'"
)]
pub(crate) struct ExecWatch {
    /// The key
    pub(crate) key: Option<OsString>,
    /// What to run
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) program: Vec<OsString>,
    /// Begin with the change after this index
    #[arg(long, value_name = "INDEX", default_value = "0", value_parser = integer, hide_default_value = true)]
    pub(crate) after_index: i64,
    /// Watch everything below the key, too
    #[arg(long, short)]
    pub(crate) recursive: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "The editor is $VISUAL, or $EDITOR, or vi. The value is written only if nobody changed it meanwhile; \
        otherwise the edited text is kept in a file. A key that is not there is made.\n\nExamples:\n  spinney edit \
        /config"
)]
pub(crate) struct Edit {
    /// The key
    pub(crate) key: OsString,
}

/// How keys and values are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextFormat {
    Json,
    Toml,
}

#[derive(Args, Debug)]
#[command(
    after_help = "A directory becomes an object, a value becomes text. Keys that expire are left out, and so are hidden \
        ones, which v2 never lists.\n\nExamples:\n  spinney export /app > app.json\n  spinney export --format toml /app > \
        app.toml\n  spinney export --data-dir ./data /"
)]
pub(crate) struct Export {
    /// The directory
    pub(crate) key: OsString,
    /// The form of the text
    #[arg(long, value_enum, default_value_t = TextFormat::Json)]
    pub(crate) format: TextFormat,
    /// Keep the values of keys that expire
    #[arg(long)]
    pub(crate) with_ttl: bool,
    /// Read this data directory, which nobody may serve, and ask no server
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "What would change is shown first. It is then done as one transaction, all of it or none, and only if \
        nobody changed those keys meanwhile. A server that is not Spinney has no transactions: there, nothing is done \
        without --one-by-one.\n\nExamples:\n  spinney import /app app.toml\n  spinney import --prune --yes /app \
        app.json\n  spinney export /app | spinney --endpoints http://other:2379 import --yes /app -\n  spinney import \
        --data-dir ./data / all.json"
)]
pub(crate) struct Import {
    /// The directory, made if missing
    pub(crate) key: OsString,
    /// JSON or TOML as `export` writes it; - for stdin
    pub(crate) file: PathBuf,
    /// The form of the text; else the name of the file tells
    #[arg(long, value_enum)]
    pub(crate) format: Option<TextFormat>,
    #[command(flatten)]
    pub(crate) mode: ImportMode,
    /// Write to this data directory, which nobody may serve, and ask no server
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct ImportMode {
    /// Remove keys that the file does not have; keys that expire stay
    #[arg(long)]
    pub(crate) prune: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Only show what would change; exit code 1 if anything would
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Where the server has no transactions, make the changes one by one, each on condition that nobody changed the key
    #[arg(long, conflicts_with = "data_dir")]
    pub(crate) one_by_one: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Exit code 0 if all members are well, 5 if not.\n\nExamples:\n  spinney cluster-health"
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

/// Arguments that a command counts itself.
#[derive(Args, Debug)]
pub(crate) struct Names {
    #[arg(hide = true)]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Subcommand)]
#[command(
    disable_help_subcommand = true,
    after_help = "Examples:\n  spinney user add alice\n  spinney user grant alice --roles editor"
)]
pub(crate) enum UserCommand {
    /// Add a user, asking for a password if there is none
    #[command(
        override_usage = "spinney user add <USER>[:<PASSWORD>]",
        after_help = "Examples:\n  spinney user add alice\n  spinney user add alice:secret"
    )]
    Add(Names),
    /// Show a user's roles
    #[command(override_usage = "spinney user get <USER>", after_help = "Examples:\n  spinney user get alice")]
    Get(Names),
    /// List the users
    #[command(after_help = "Examples:\n  spinney user list")]
    List(Names),
    /// Remove a user
    #[command(
        override_usage = "spinney user remove <USER>",
        after_help = "Examples:\n  spinney user remove alice"
    )]
    Remove(Names),
    /// Give roles to a user
    #[command(
        override_usage = "spinney user grant --roles <ROLE> <USER>",
        after_help = "Examples:\n  spinney user grant alice --roles editor --roles reader"
    )]
    Grant(GrantUser),
    /// Take roles from a user
    #[command(
        override_usage = "spinney user revoke --roles <ROLE> <USER>",
        after_help = "Examples:\n  spinney user revoke alice --roles editor"
    )]
    Revoke(GrantUser),
    /// Change a user's password, which is asked for
    #[command(
        override_usage = "spinney user passwd <USER>",
        after_help = "Examples:\n  spinney user passwd alice"
    )]
    Passwd(Names),
}

#[derive(Args, Debug)]
pub(crate) struct GrantUser {
    #[arg(hide = true)]
    pub(crate) names: Vec<String>,
    /// A role; may be given several times
    #[arg(long, value_name = "ROLE")]
    pub(crate) roles: Vec<String>,
}

#[derive(Debug, Subcommand)]
#[command(
    disable_help_subcommand = true,
    after_help = "Examples:\n  spinney role add editor\n  spinney role grant editor --path '/app/*' --readwrite"
)]
pub(crate) enum RoleCommand {
    /// Add a role
    #[command(
        override_usage = "spinney role add <ROLE>",
        after_help = "Examples:\n  spinney role add editor"
    )]
    Add(Names),
    /// Show what a role may do
    #[command(
        override_usage = "spinney role get <ROLE>",
        after_help = "Examples:\n  spinney role get editor"
    )]
    Get(Names),
    /// List the roles
    #[command(after_help = "Examples:\n  spinney role list")]
    List(Names),
    /// Remove a role
    #[command(
        override_usage = "spinney role remove <ROLE>",
        after_help = "Examples:\n  spinney role remove editor"
    )]
    Remove(Names),
    /// Allow something to a role
    #[command(
        override_usage = "spinney role grant --path <PATTERN> <--read|--write|--readwrite> <ROLE>",
        after_help = "Examples:\n  spinney role grant editor --path '/app/*' --readwrite"
    )]
    Grant(GrantRole),
    /// Allow something no more
    #[command(
        override_usage = "spinney role revoke --path <PATTERN> <--read|--write|--readwrite> <ROLE>",
        after_help = "Examples:\n  spinney role revoke editor --path '/app/*' --write"
    )]
    Revoke(GrantRole),
}

#[derive(Args, Debug)]
pub(crate) struct GrantRole {
    #[arg(hide = true)]
    pub(crate) names: Vec<String>,
    /// A key, or the beginning of keys and a star
    #[arg(long, value_name = "PATTERN")]
    pub(crate) path: Option<String>,
    /// To read
    #[arg(long)]
    pub(crate) read: bool,
    /// To write
    #[arg(long)]
    pub(crate) write: bool,
    /// Both
    #[arg(long, alias = "rw")]
    pub(crate) readwrite: bool,
}

#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true, after_help = "Examples:\n  spinney auth enable")]
pub(crate) enum AuthCommand {
    /// From now on, who may do what goes by roles
    #[command(after_help = "Examples:\n  spinney user add root\n  spinney auth enable")]
    Enable(Names),
    /// From now on, everybody may do everything
    #[command(after_help = "Examples:\n  spinney -u root auth disable")]
    Disable(Names),
}

#[derive(Args, Debug)]
#[command(
    after_help = "The copy is a data directory itself, of a cluster with another id, whose index has jumped ahead.\n\n\
        Examples:\n  spinney backup --data-dir ./data --backup-dir ./copy\n  spinney serve --data-dir ./copy"
)]
pub(crate) struct Backup {
    /// The data directory
    #[arg(long, value_name = "DIR", default_value = "")]
    pub(crate) data_dir: PathBuf,
    /// Where the copy goes: empty, or not there yet
    #[arg(long, value_name = "DIR", default_value = "")]
    pub(crate) backup_dir: PathBuf,
    /// etcd's log directory: here, the log is part of the data directory
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) wal_dir: Option<PathBuf>,
    /// etcd's log directory: here, the log is part of the data directory
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) backup_wal_dir: Option<PathBuf>,
    /// Also copy what etcd's v3 API wrote: there is none here
    #[arg(long, hide = true)]
    pub(crate) with_v3: bool,
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "The members are those that --endpoints names (http:// only), and from then on those that they make known. \
        Members that fail are left alone for a while; where it cannot be known whether one has done what was asked for, the \
        answer is 502.\nSIGTERM and SIGINT end the proxy when what is under way is answered.\n\nExamples:\n  spinney proxy --endpoints \
        http://10.0.0.1:2379,http://10.0.0.2:2379\n  spinney proxy --endpoints http://10.0.0.1:2379 --readonly \
        --listen-client-urls http://127.0.0.1:8080"
)]
pub(crate) struct Proxy {
    /// Where clients are served: http://, host and port, separated by commas
    #[arg(
        long,
        env = "ETCD_LISTEN_CLIENT_URLS",
        value_name = "URLS",
        default_value = "http://localhost:2379"
    )]
    pub(crate) listen_client_urls: String,
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

#[derive(Args, Debug)]
#[command(
    after_help = "For when a cluster has lost its majority for good. Choose the directory with the greatest index; what it \
        has is kept, under a new cluster id and with an index that has jumped ahead. The members that are lost can never \
        take part again as they are: wiped, they join as new ones.\n\nExamples:\n  spinney recover --dry-run n2.spinney\n  \
        spinney recover n2.spinney"
)]
pub(crate) struct Recover {
    /// The data directory
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Only show what is kept and what is lost; exit code 1 if there is something to recover
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  source <(spinney completions bash)\n  spinney completions fish > \
        ~/.config/fish/completions/spinney.fish")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}
