//! `cluster-health`.

use std::io::{self, Write as _};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::interrupt;
use crate::cli::args::ClusterHealth;
use crate::cli::client::{ClientError, Deadline, Endpoint, Member, Request, Transport};
use crate::cli::failure::{Failure, exit};
use crate::cli::session::Session;

pub(crate) fn run(session: &Session, health: &ClusterHealth) -> Result<(), Failure> {
    if health.forever {
        interrupt::exit_cleanly()?;
    }
    // Who asks is not said: health is nobody's secret.
    let transport = session.transport()?;
    let cluster = session.cluster_as_given()?;
    let members = match cluster.members(session.deadline()) {
        Ok(members) => members,
        Err(error) => {
            writeln!(io::stdout(), "cluster may be unhealthy: failed to list members")?;
            return Err(Failure::server(&error));
        }
    };
    loop {
        let healthy = check_all(&transport, &members)?;
        let verdict = match healthy {
            0 => "unavailable",
            healthy if healthy == members.len() => "healthy",
            _ => "degraded",
        };
        let mut out = io::stdout().lock();
        writeln!(out, "cluster is {verdict}")?;
        if !health.forever {
            let well = healthy == members.len() && healthy > 0;
            return if well { Ok(()) } else { Err(Failure::silent(exit::NOT_HEALTHY)) };
        }
        writeln!(out, "\nnext check after 10 second...\n")?;
        out.flush()?;
        drop(out);
        thread::sleep(Duration::from_secs(10));
    }
}

/// Asks every member, and says how many are well.
fn check_all(transport: &Transport, members: &[Member]) -> Result<usize, Failure> {
    let mut healthy = 0;
    for member in members {
        healthy += usize::from(check(transport, member)?);
    }
    Ok(healthy)
}

/// Asks one member at one URL after the other, until it answers.
fn check(transport: &Transport, member: &Member) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    let Member { id, client_urls, .. } = member;
    if client_urls.is_empty() {
        writeln!(out, "member {id} is unreachable: no available published client urls")?;
        return Ok(false);
    }
    for url in client_urls {
        match ask(transport, url) {
            Ok(true) => {
                writeln!(out, "member {id} is healthy: got healthy result from {url}")?;
                return Ok(true);
            }
            Ok(false) => {
                writeln!(out, "member {id} is unhealthy: got unhealthy result from {url}")?;
                return Ok(false);
            }
            Err(error) => writeln!(out, "failed to check the health of member {id} on {url}: {error}")?,
        }
    }
    writeln!(out, "member {id} is unreachable: [{}] are all unreachable", client_urls.join(" "))?;
    Ok(false)
}

/// Whether the member at `url` says that it is well.
fn ask(transport: &Transport, url: &str) -> Result<bool, String> {
    let endpoint = Endpoint::parse(url)?;
    let reply = transport.send(&endpoint, &Request::new("GET", "/health"), Deadline::NEVER);
    let reply = reply.map_err(|error| match error {
        // In the words of Go's client, which names the request.
        ClientError::Connection { what, .. } => format!("Get \"{url}/health\": {what}"),
        error => error.to_string(),
    })?;
    let answer: Value = serde_json::from_slice(&reply.body).map_err(|error| error.to_string())?;
    let health = &answer["health"];
    Ok(health == "true" || *health == Value::Bool(true))
}
