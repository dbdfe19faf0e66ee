//! `user add`, `get`, `list`, `remove`, `grant`, `revoke`, `passwd`.

use std::io::{self, Write as _};

use crate::cli::args::UserCommand;
use crate::cli::failure::Failure;
use crate::cli::session::{self, Session};

pub(crate) fn run(session: &Session, command: &UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Add(names) => add(session, name(&names.names)?),
        UserCommand::Get(names) => get(session, name(&names.names)?),
        UserCommand::List(names) => list(session, &names.names),
        UserCommand::Remove(names) => remove(session, name(&names.names)?),
        UserCommand::Grant(grant) => change_roles(session, &grant.names, &grant.roles, true),
        UserCommand::Revoke(grant) => change_roles(session, &grant.names, &grant.roles, false),
        UserCommand::Passwd(names) => change_password(session, name(&names.names)?),
    }
}

fn name(names: &[String]) -> Result<&str, Failure> {
    match names {
        [name] => Ok(name),
        _ => Err(Failure::plain("Please provide a username")),
    }
}

fn add(session: &Session, argument: &str) -> Result<(), Failure> {
    let cluster = session.cluster_for_auth()?;
    let deadline = session.deadline();
    let (user, password) = session::user_and_password(argument, "New password: ").map_err(unread)?;
    cluster.add_user(&user, &password, deadline).map_err(Failure::plain)?;
    writeln!(io::stdout(), "User {user} created")?;
    Ok(())
}

fn get(session: &Session, user: &str) -> Result<(), Failure> {
    let cluster = session.cluster_for_auth()?;
    let (user, roles) = cluster.user(user, session.deadline()).map_err(Failure::plain)?;
    writeln!(io::stdout(), "User: {user}\nRoles: {roles}")?;
    Ok(())
}

fn list(session: &Session, names: &[String]) -> Result<(), Failure> {
    if !names.is_empty() {
        return Err(Failure::plain("No arguments accepted"));
    }
    let cluster = session.cluster_for_auth()?;
    let mut out = io::stdout().lock();
    for user in cluster.users(session.deadline()).map_err(Failure::plain)? {
        writeln!(out, "{user}")?;
    }
    Ok(())
}

fn remove(session: &Session, user: &str) -> Result<(), Failure> {
    let cluster = session.cluster_for_auth()?;
    cluster.remove_user(user, session.deadline()).map_err(Failure::plain)?;
    writeln!(io::stdout(), "User {user} removed")?;
    Ok(())
}

fn change_roles(session: &Session, names: &[String], roles: &[String], grant: bool) -> Result<(), Failure> {
    if roles.is_empty() {
        return Err(Failure::plain("No roles specified; please use `--roles`"));
    }
    let user = name(names)?;
    let cluster = session.cluster_for_auth()?;
    cluster.grant_user(user, roles, grant, session.deadline()).map_err(Failure::plain)?;
    writeln!(io::stdout(), "User {user} updated")?;
    Ok(())
}

fn change_password(session: &Session, user: &str) -> Result<(), Failure> {
    let cluster = session.cluster_for_auth()?;
    let deadline = session.deadline();
    let password = session::ask_password("New password: ").map_err(unread)?;
    cluster.change_password(user, &password, deadline).map_err(Failure::plain)?;
    writeln!(io::stdout(), "Password updated")?;
    Ok(())
}

fn unread(error: io::Error) -> Failure {
    Failure::plain(format_args!("Error reading password: {error}"))
}
