//! Commands about users and roles.

use clap::{Args, Subcommand};

use super::Names;

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
