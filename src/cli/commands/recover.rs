//! `recover`: the directory of one member becomes a cluster of its own.

use std::io::{self, Write};

use super::confirm::confirm;
use crate::cli::args::Recover;
use crate::cli::failure::{Failure, exit, explain};
use crate::cli::output::count;
use crate::store::{BackupInfo, Store, Survivor};

pub(crate) fn run(recover: &Recover) -> Result<(), Failure> {
    let path = &recover.directory;
    let failed = |error| Failure::plain(explain(&error));
    let survivor = Store::survivor(path).map_err(failed)?;
    let mut out = anstream::stdout();
    for line in describe(&survivor) {
        writeln!(out, "{line}")?;
    }
    if recover.dry_run {
        return Err(Failure::silent(exit::BAD_ARGUMENTS));
    }
    if !recover.yes {
        confirm("Make it a cluster of its own?")?;
    }
    let (name, member) = (survivor.name.clone(), survivor.member);
    let BackupInfo { cluster, index, .. } = survivor.recover().map_err(failed)?;
    let next = index.next().get();
    writeln!(
        io::stdout(),
        "{} is of cluster {cluster}, with {name} (member {member}) alone; the index goes on at {next}",
        path.display()
    )?;
    Ok(())
}

/// What is kept and what is lost, in words.
pub(in crate::cli) fn describe(survivor: &Survivor) -> Vec<String> {
    let Survivor { cluster, member, name, lost, index, files, unconfirmed, is_incomplete, .. } = survivor;
    let keys = count(*files, "key", "keys");
    let mut lines =
        vec![format!("kept: {name} (member {member} of cluster {cluster}), {keys}, index {index}")];
    for member in lost {
        let learner = if member.is_voter { "" } else { ", a learner" };
        let addresses = member.peer_addresses.join(", ");
        lines.push(format!("lost: {} (member {}, {addresses}{learner})", member.name, member.id));
    }
    if *unconfirmed > 0 {
        lines.push(format!(
            "kept: the last entries of its log, up to {unconfirmed}, though nobody had said yet that they were agreed on"
        ));
    }
    if *is_incomplete {
        let what = "its disk was emptied once, and the others have not given it all of that back";
        lines.push(format!("lost: changes that this member had acknowledged: {what}"));
    }
    lines.push(format!("lost: whatever the others agreed on beyond index {index}"));
    lines
}
