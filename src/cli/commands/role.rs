//! `role add`, `get`, `list`, `remove`, `grant`, `revoke`.

use std::io::{self, Write as _};

use crate::cli::args::{GrantRole, RoleCommand};
use crate::cli::client::{Access, clean_path};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

pub(crate) fn run(session: &Session, command: &RoleCommand) -> Result<(), Failure> {
    match command {
        RoleCommand::Add(names) => add(session, name(&names.names)?),
        RoleCommand::Get(names) => get(session, name(&names.names)?),
        RoleCommand::List(names) => list(session, &names.names),
        RoleCommand::Remove(names) => remove(session, name(&names.names)?),
        RoleCommand::Grant(grant) => change(session, grant, true),
        RoleCommand::Revoke(grant) => change(session, grant, false),
    }
}

fn name(names: &[String]) -> Result<&str, Failure> {
    match names {
        [name] => Ok(name),
        _ => Err(Failure::plain("Please provide a role name")),
    }
}

fn add(session: &Session, role: &str) -> Result<(), Failure> {
    let cluster = session.cluster_for_auth()?;
    let deadline = session.deadline();
    if cluster.role(role, deadline).is_ok() {
        return Err(Failure::plain(format_args!("Role {role} already exists")));
    }
    cluster.add_role(role, deadline).map_err(Failure::plain)?;
    writeln!(io::stdout(), "Role {role} created")?;
    Ok(())
}

fn get(session: &Session, role: &str) -> Result<(), Failure> {
    let cluster = session.cluster_for_auth()?;
    let role = cluster.role(role, session.deadline()).map_err(Failure::plain)?;
    let mut out = io::stdout().lock();
    writeln!(out, "Role: {}", role.role)?;
    for (title, patterns) in [("Read", role.permissions.kv.read), ("Write", role.permissions.kv.write)] {
        writeln!(out, "KV {title}:")?;
        for pattern in patterns.unwrap_or_default() {
            writeln!(out, "\t{pattern}")?;
        }
    }
    Ok(())
}

fn list(session: &Session, names: &[String]) -> Result<(), Failure> {
    if !names.is_empty() {
        return Err(Failure::plain("No arguments accepted"));
    }
    let cluster = session.cluster_for_auth()?;
    let mut out = io::stdout().lock();
    for role in cluster.roles(session.deadline()).map_err(Failure::plain)? {
        writeln!(out, "{role}")?;
    }
    Ok(())
}

fn remove(session: &Session, role: &str) -> Result<(), Failure> {
    let cluster = session.cluster_for_auth()?;
    cluster.remove_role(role, session.deadline()).map_err(Failure::plain)?;
    writeln!(io::stdout(), "Role {role} removed")?;
    Ok(())
}

fn change(session: &Session, change: &GrantRole, grant: bool) -> Result<(), Failure> {
    let path = change.path.as_deref().unwrap_or_default();
    if path.is_empty() {
        return Err(Failure::plain("No path specified; please use `--path`"));
    }
    let clean = String::from_utf8_lossy(&clean_path(path.as_bytes())).into_owned();
    if clean != path {
        return Err(Failure::plain(format_args!("Not canonical path; please use `--path={clean}`")));
    }
    let access = match (change.read, change.write, change.readwrite) {
        (true, false, false) => Access::Read,
        (false, true, false) => Access::Write,
        (false, false, true) => Access::ReadWrite,
        _ => return Err(Failure::plain("Please specify exactly one of --read, --write or --readwrite")),
    };
    let role = name(&change.names)?;
    let cluster = session.cluster_for_auth()?;
    let deadline = session.deadline();
    let before = cluster.role(role, deadline).map_err(Failure::plain)?;
    let after = cluster.grant_role(role, path, access, grant, deadline).map_err(Failure::plain)?;
    let mut out = io::stdout().lock();
    if before == after {
        let done = if grant { "granted" } else { "revoked" };
        write!(out, "Role unchanged; already {done}")?;
    }
    writeln!(out, "Role {role} updated")?;
    Ok(())
}
