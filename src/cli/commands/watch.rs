//! `watch`.

use std::io::{self, Write as _};

use super::interrupt;
use super::write::index;
use crate::cli::args::Watch;
use crate::cli::client::Watcher;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::session::{self, Session};

pub(crate) fn run(session: &Session, watch: &Watch) -> Result<(), Failure> {
    let cluster = session.cluster()?;
    let key = session::key(watch.key.as_ref())?;
    interrupt::exit_cleanly()?;
    let mut watcher = Watcher::new(&cluster, key, watch.recursive, index(watch.after_index));
    loop {
        let answer = watcher.next().map_err(|error| Failure::server(&error))?;
        if answer.node.dir {
            continue;
        }
        let mut out = io::stdout().lock();
        if watch.recursive {
            writeln!(out, "[{}] {}", answer.action, answer.node.key)?;
        }
        output::show(&mut out, &answer, &session.format)?;
        out.flush()?;
        if !watch.forever {
            return Ok(());
        }
    }
}
