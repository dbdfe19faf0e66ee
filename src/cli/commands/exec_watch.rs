//! `exec-watch`.

use std::process::{self, Command, Stdio};
use std::thread;

use super::interrupt;
use super::write::index;
use crate::cli::args::ExecWatch;
use crate::cli::client::{Answer, Watcher};
use crate::cli::failure::{Failure, exit};
use crate::cli::session::{self, Session};

pub(crate) fn run(session: &Session, watch: &ExecWatch) -> Result<(), Failure> {
    let cluster = session.cluster()?;
    if watch.program.is_empty() {
        return Err(Failure::arguments("key and command to exec required"));
    }
    let key = session::key(watch.key.as_ref())?;
    interrupt::exit_cleanly()?;
    let mut watcher = Watcher::new(&cluster, key, watch.recursive, index(watch.after_index));
    loop {
        let answer = watcher.next().map_err(|error| Failure::server(&error))?;
        if answer.node.dir {
            eprintln!("Ignored dir {} change", answer.node.key);
            continue;
        }
        start(&watch.program, &answer)?;
    }
}

/// Starts the program and goes on: the next change may come before it ends.
fn start(program: &[std::ffi::OsString], answer: &Answer) -> Result<(), Failure> {
    let (name, arguments) = program.split_first().expect("there is a program, as was checked");
    let child = Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .env("ETCD_WATCH_ACTION", &answer.action)
        .env("ETCD_WATCH_MODIFIED_INDEX", answer.node.modified_index.to_string())
        .env("ETCD_WATCH_KEY", &answer.node.key)
        .env("ETCD_WATCH_VALUE", &answer.node.value)
        .spawn();
    match child {
        Ok(mut child) => {
            let reap = move || drop(child.wait());
            thread::Builder::new().name("spinney-exec".to_owned()).spawn(reap).map_err(Failure::plain)?;
            Ok(())
        }
        Err(error) => {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                _ => error.to_string(),
            };
            // As in etcdctl, without an end of the line.
            eprint!("fork/exec {}: {why}", name.to_string_lossy());
            process::exit(i32::from(exit::BAD_ARGUMENTS));
        }
    }
}
