//! Commands about keys, as etcdctl has them.

use std::ffi::OsString;

use clap::Args;

use crate::cli::args::values::integer;

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
