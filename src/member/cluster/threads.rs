//! The threads beside the core's: they do what waits for the disk.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::core::Event;
use crate::replica::{Job, State, SyncJob};

/// The ways to the threads; they end when these are dropped.
pub(super) struct Hands {
    pub(super) syncs: Sender<SyncJob>,
    pub(super) jobs: Sender<Job>,
}

/// Starts `run` as a thread of the member's.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

impl Hands {
    /// Starts the thread that syncs and the one that does what takes longer; both tell `core` what came of it.
    pub(super) fn start(core: &Sender<Event>, threads: &mut Vec<JoinHandle<()>>) -> io::Result<Self> {
        let (syncs, todo) = unbounded();
        let back = core.clone();
        threads.push(spawn("spinney-disk", move || sync_all(&todo, &back))?);
        let (jobs, todo) = unbounded();
        let back = core.clone();
        threads.push(spawn("spinney-jobs", move || do_all(&todo, &back))?);
        Ok(Self { syncs, jobs })
    }
}

fn sync_all(todo: &Receiver<SyncJob>, back: &Sender<Event>) {
    for job in todo {
        // A core that has ended needs to know nothing more.
        let _ = back.send(Event::Synced(job.run()));
    }
}

fn do_all(todo: &Receiver<Job>, back: &Sender<Event>) {
    for job in todo {
        let _ = back.send(Event::Done(job.run()));
    }
}

/// Serves watchers that fall behind, until the state is closed.
pub(super) fn serve_watchers(state: &Arc<State>) -> io::Result<JoinHandle<()>> {
    let state = Arc::clone(state);
    spawn("spinney-watch", move || state.run_catch_up())
}
