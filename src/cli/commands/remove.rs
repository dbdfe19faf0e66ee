//! `rm` and `rmdir`.

use std::io;

use super::write::index;
use crate::cli::args::{Key, Rm};
use crate::cli::client::Remove;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Format};
use crate::cli::session::{self, Session};

pub(crate) fn rm(session: &Session, rm: &Rm) -> Result<(), Failure> {
    let cluster = session.cluster()?;
    let remove = Remove {
        key: session::key(rm.key.as_ref())?,
        dir: rm.dir,
        recursive: rm.recursive,
        prev_value: rm.with_value.as_ref().map_or(b"", |value| value.as_encoded_bytes()),
        prev_index: index(rm.with_index),
    };
    finish(session, &cluster, &remove)
}

pub(crate) fn rmdir(session: &Session, key: &Key) -> Result<(), Failure> {
    let cluster = session.cluster()?;
    let remove = Remove { key: session::key(key.key.as_ref())?, dir: true, ..Remove::default() };
    finish(session, &cluster, &remove)
}

fn finish(
    session: &Session,
    cluster: &crate::cli::client::Cluster,
    remove: &Remove<'_>,
) -> Result<(), Failure> {
    let answer = cluster.remove(remove, session.deadline()).map_err(|error| Failure::server(&error))?;
    // A directory that is gone had no value to show.
    if answer.node.dir && session.format == Format::Simple {
        return Ok(());
    }
    Ok(output::show(&mut io::stdout().lock(), &answer, &session.format)?)
}
