//! Commands about data directories that nobody serves.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::cli::args::values::path;

#[derive(Args, Debug)]
#[command(
    after_help = "The copy is a data directory itself, of a cluster with another id, whose index has jumped ahead.\n\n\
        Examples:\n  spinney backup --data-dir ./data --backup-dir ./copy\n  spinney serve --data-dir ./copy"
)]
pub(crate) struct Backup {
    /// The data directory
    #[arg(long, value_name = "DIR", default_value = "", value_parser = path(), hide_default_value = true)]
    pub(crate) data_dir: PathBuf,
    /// Where the copy goes: empty, or not there yet
    #[arg(long, value_name = "DIR", default_value = "", value_parser = path(), hide_default_value = true)]
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
