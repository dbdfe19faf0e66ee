//! Commands that wait for changes.

use std::ffi::OsString;

use clap::Args;

use crate::cli::args::values::integer;

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
