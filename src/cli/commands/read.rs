//! `get` and `ls`.

use std::io::{self, Write};

use crate::cli::args::{Get, Ls};
use crate::cli::client::{self, Node};
use crate::cli::failure::Failure;
use crate::cli::output::{self, Format};
use crate::cli::session::{self, Session};

pub(crate) fn get(session: &Session, get: &Get) -> Result<(), Failure> {
    let cluster = session.cluster()?;
    let key = session::key(get.key.as_ref())?;
    let request = client::Get { key, recursive: false, sorted: get.sort, quorum: get.quorum };
    let answer = cluster.get(&request, session.deadline()).map_err(|error| Failure::server(&error))?;
    if answer.node.dir {
        return Err(Failure::plain(format_args!("{}: is a directory", answer.node.key)));
    }
    Ok(output::show(&mut io::stdout().lock(), &answer, &session.format)?)
}

pub(crate) fn ls(session: &Session, ls: &Ls) -> Result<(), Failure> {
    let cluster = session.cluster()?;
    let key = ls.key.as_ref().map_or(&b"/"[..], |key| key.as_encoded_bytes());
    let request = client::Get { key, recursive: ls.recursive, sorted: ls.sort, quorum: ls.quorum };
    let answer = cluster.get(&request, session.deadline()).map_err(|error| Failure::server(&error))?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    if session.format == Format::Simple {
        if !answer.node.dir {
            writeln!(out, "{}", answer.node.key)?;
        }
        list(&mut out, &answer.node, ls.slash)?;
    } else {
        output::show(&mut out, &answer, &session.format)?;
    }
    Ok(out.flush()?)
}

/// The keys below `node`, each directory before what is in it.
fn list(out: &mut impl Write, node: &Node, slash: bool) -> io::Result<()> {
    for child in &node.nodes {
        let end = if child.dir && slash { "/" } else { "" };
        writeln!(out, "{}{end}", child.key)?;
        list(out, child, slash)?;
    }
    Ok(())
}
