//! The commands, with their flags and their help.

mod access;
mod cluster;
mod directories;
mod keys;
mod own;
mod watches;

use clap::{Args, Subcommand};

pub(crate) use access::{AuthCommand, GrantRole, RoleCommand, UserCommand};
pub(crate) use cluster::{ClusterHealth, MemberCommand, Proxy};
pub(crate) use directories::{Backup, Recover};
pub(crate) use keys::{Directory, Get, Key, Ls, Mk, Rm, Set, Update};
pub(crate) use own::{Completions, Edit, Export, Import, ImportMode, TextFormat, Tree};
pub(crate) use watches::{ExecWatch, Watch};

use super::serve::Serve;

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

/// Arguments that a command counts itself.
#[derive(Args, Debug)]
pub(crate) struct Names {
    #[arg(hide = true)]
    pub(crate) names: Vec<String>,
}
