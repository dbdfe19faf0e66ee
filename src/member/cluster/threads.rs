//! The threads beside those of callers and connections: one ticks, three wait for the disk.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::super::clock::Clock;
use super::core::{Core, Event};
use super::crank::{Crank, Left};
use super::mail;
use super::settings::TICK;
use crate::net::Endpoint;
use crate::replica::{Job, State, SyncJob};

/// How many jobs are done at the same time.
const JOBS_AT_A_TIME: usize = 2;

/// Wakes the thread that ticks before its time.
#[derive(Clone)]
pub(super) struct Bell(Sender<()>);

impl Bell {
    pub(super) fn new() -> (Self, Receiver<()>) {
        let (bell, heard) = bounded(1);
        (Self(bell), heard)
    }

    pub(super) fn ring(&self) {
        // If it rings already, that is enough.
        let _ = self.0.try_send(());
    }
}

/// Where things are brought for the core.
pub(super) struct Inbox {
    events: Sender<Event>,
    crank: Crank<Core>,
    bell: Bell,
}

impl Inbox {
    pub(super) fn new(events: Sender<Event>, bell: Bell) -> Arc<Self> {
        Arc::new(Self { events, crank: Crank::new(), bell })
    }

    /// Brings something to the core, and has it taken. Says whether there is a core.
    pub(super) fn bring(&self, event: Event) -> bool {
        let is_taken = self.events.send(event).is_ok();
        self.look();
        is_taken
    }

    /// Something was brought, here or by the net: has it taken.
    pub(super) fn look(&self) {
        if self.crank.turn(Core::turn) == Left::Something {
            self.bell.ring();
        }
    }
}

/// The ways to the threads that wait for the disk; they end when these are dropped.
pub(super) struct Hands {
    pub(super) syncs: Sender<SyncJob>,
    pub(super) jobs: Sender<Job>,
}

/// Starts `run` as a thread of the member's.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

impl Hands {
    /// Starts the thread that syncs and those that do what takes longer; all tell the core what came of it. A segment that is
    /// wanted does not wait for a snapshot to be written.
    pub(super) fn start(
        inbox: &Arc<Inbox>,
        endpoint: &Arc<Endpoint>,
        threads: &mut Vec<JoinHandle<()>>,
    ) -> io::Result<Self> {
        let (syncs, todo) = unbounded();
        let (back, endpoint) = (Arc::clone(inbox), Arc::clone(endpoint));
        threads.push(spawn("spinney-disk", move || sync_all(&todo, &endpoint, &back))?);
        let (jobs, todo) = unbounded();
        for _ in 0..JOBS_AT_A_TIME {
            let (todo, back) = (todo.clone(), Arc::clone(inbox));
            threads.push(spawn("spinney-jobs", move || do_all(&todo, &back))?);
        }
        Ok(Self { syncs, jobs })
    }
}

fn sync_all(todo: &Receiver<SyncJob>, endpoint: &Endpoint, back: &Inbox) {
    for job in todo {
        // A core that has ended needs to know nothing more.
        back.bring(Event::Synced(job.run(|envelope| {
            mail::send(endpoint, &envelope);
        })));
    }
}

fn do_all(todo: &Receiver<Job>, back: &Inbox) {
    for job in todo {
        back.bring(Event::Done(job.run()));
    }
}

/// The thread that ticks: turns when a tick has passed, and when somebody else has turned long enough, until the core has
/// ended; then it ends it.
pub(super) fn keep_time(core: Box<Core>, inbox: &Inbox, bell: &Receiver<()>) {
    inbox.crank.begin(core);
    // Before, nobody could take what had come.
    inbox.look();
    let (next_tick, has_ended) = (Cell::new(Clock::in_(TICK)), Cell::new(false));
    while !has_ended.get() {
        let is_tick = match bell.recv_timeout(Clock::until(next_tick.get())) {
            Ok(()) => Clock::until(next_tick.get()).is_zero(),
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let turned = inbox.crank.wait_and_turn(|core| {
            if is_tick {
                // From when it has its turn: whoever promised something for so many ticks has promised no less time.
                next_tick.set(Clock::in_(TICK));
            }
            let has_more = if is_tick { core.turn_and_tick() } else { core.turn() };
            has_ended.set(core.has_ended());
            has_more
        });
        if turned.is_none() {
            break;
        }
        inbox.look();
    }
    if let Some(core) = inbox.crank.end() {
        core.end();
    }
}

/// Serves watchers that fall behind, until the state is closed.
pub(super) fn serve_watchers(state: &Arc<State>) -> io::Result<JoinHandle<()>> {
    let state = Arc::clone(state);
    spawn("spinney-watch", move || state.run_catch_up())
}
