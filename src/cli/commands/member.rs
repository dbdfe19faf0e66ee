//! `member list`, `add`, `remove`, `update`.

use std::io::{self, Write as _};

use crate::cli::args::MemberCommand;
use crate::cli::client::quoted;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

pub(crate) fn run(session: &Session, command: &MemberCommand) -> Result<(), Failure> {
    match command {
        MemberCommand::List(names) => list(session, &names.names),
        MemberCommand::Add(names) => add(session, &names.names),
        MemberCommand::Remove(names) => remove(session, &names.names),
        MemberCommand::Update(names) => update(session, &names.names),
    }
}

fn list(session: &Session, names: &[String]) -> Result<(), Failure> {
    if !names.is_empty() {
        return Err(Failure::plain("No arguments accepted"));
    }
    let cluster = session.cluster()?;
    let deadline = session.deadline();
    let members = cluster.members(deadline).map_err(Failure::plain)?;
    let leader = cluster.leader(deadline);
    let leader = leader.map_err(|error| Failure::plain(format_args!("Failed to get leader:  {error}")))?;
    let mut out = io::stdout().lock();
    for member in members {
        let (id, peers) = (&member.id, member.peer_urls.join(","));
        if member.name.is_empty() {
            writeln!(out, "{id}[unstarted]: peerURLs={peers}")?;
        } else {
            let (name, clients, is_leader) = (&member.name, member.client_urls.join(","), *id == leader.id);
            writeln!(out, "{id}: name={name} peerURLs={peers} clientURLs={clients} isLeader={is_leader}")?;
        }
    }
    Ok(())
}

fn add(session: &Session, names: &[String]) -> Result<(), Failure> {
    let [name, url] = names else {
        return Err(Failure::plain("Provide a name and a single member peerURL"));
    };
    let cluster = session.cluster()?;
    let deadline = session.deadline();
    let added = cluster.add_member(url, deadline).map_err(Failure::plain)?;
    let mut out = io::stdout().lock();
    writeln!(out, "Added member named {name} with ID {} to cluster", added.id)?;
    let members = cluster.members(deadline).map_err(Failure::plain)?;
    let urls = members.iter().flat_map(|member| {
        let name = if member.id == added.id { name } else { &member.name };
        member.peer_urls.iter().map(move |url| format!("{name}={url}"))
    });
    let urls = urls.collect::<Vec<_>>().join(",");
    writeln!(out, "\nETCD_NAME={}", quoted(name))?;
    writeln!(out, "ETCD_INITIAL_CLUSTER={}", quoted(&urls))?;
    writeln!(out, "ETCD_INITIAL_CLUSTER_STATE=\"existing\"")?;
    Ok(())
}

fn remove(session: &Session, names: &[String]) -> Result<(), Failure> {
    let [id] = names else {
        return Err(Failure::plain("Provide a single member ID"));
    };
    let cluster = session.cluster()?;
    let deadline = session.deadline();
    let members = cluster.members(deadline);
    let members = members.map_err(|error| {
        Failure::plain(format_args!("Error while verifying ID against known members: {error}"))
    })?;
    for member in members.iter().filter(|member| member.name == *id) {
        eprintln!("Found a member named {id}; if this is correct, please use its ID, eg:");
        eprintln!("\tetcdctl member remove {}", member.id);
        eprintln!(
            "For more details, read the documentation at https://github.com/etcd-io/etcd/blob/master/Documentation/\
             runtime-configuration.md#remove-a-member\n"
        );
    }
    if !members.iter().any(|member| member.id == *id) {
        return Err(Failure::plain(format_args!(
            "Couldn't find a member in the cluster with an ID of {id}."
        )));
    }
    if let Err(error) = cluster.remove_member(id, deadline) {
        // As in etcdctl, without an end of the line.
        eprint!("Received an error trying to remove member {id}: {error}");
        return Err(Failure::silent(1));
    }
    writeln!(io::stdout(), "Removed member {id} from cluster")?;
    Ok(())
}

fn update(session: &Session, names: &[String]) -> Result<(), Failure> {
    let [id, urls] = names else {
        return Err(Failure::plain(
            "Provide an ID and a list of comma separated peerURL (0xabcd http://example.com,http://example1.com)",
        ));
    };
    let cluster = session.cluster()?;
    let urls: Vec<_> = urls.split(',').collect();
    cluster.update_member(id, &urls, session.deadline()).map_err(Failure::plain)?;
    writeln!(io::stdout(), "Updated member with ID {id} in cluster")?;
    Ok(())
}
