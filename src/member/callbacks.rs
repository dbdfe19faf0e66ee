//! Callbacks of writes, on a thread of their own: what callers do in them holds nobody else up.

use std::panic::{self, AssertUnwindSafe};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, unbounded};
use parking_lot::Mutex;

/// A callback with what it is called with.
type Call = Box<dyn FnOnce() + Send>;

/// The thread that runs callbacks, from the first one that is asked for to the end of the store.
#[derive(Default)]
pub(super) struct Callbacks(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Unused,
    Running(Sender<Call>, JoinHandle<()>),
    Closed,
}

impl Callbacks {
    /// Somebody wants to be called.
    pub(super) fn start(&self) {
        let mut state = self.0.lock();
        if let State::Unused = *state {
            let (sender, calls) = unbounded::<Call>();
            let run_all = move || calls.iter().for_each(run);
            let started = thread::Builder::new().name("spinney-callback".to_owned()).spawn(run_all);
            // A system that has no thread left lets callbacks run where they come.
            *state = started.map_or(State::Closed, |thread| State::Running(sender, thread));
        }
    }

    /// Runs `call` after all that came before it.
    pub(super) fn run(&self, call: Call) {
        let state = self.0.lock();
        let call = match &*state {
            State::Running(calls, _) => calls.send(call).err().map(|unsent| unsent.0),
            // Better here than never.
            State::Unused | State::Closed => Some(call),
        };
        drop(state);
        if let Some(call) = call {
            run(call);
        }
    }

    /// Waits for those that came. Later ones run where they come.
    pub(super) fn close(&self) {
        let state = std::mem::replace(&mut *self.0.lock(), State::Closed);
        if let State::Running(calls, runner) = state {
            drop(calls);
            // The last handle may have gone in a callback. What came after it still runs.
            if runner.thread().id() != thread::current().id() {
                let _ = runner.join();
            }
        }
    }
}

fn run(call: Call) {
    // What a callback does to itself is its own affair; the next one is somebody else's.
    let _ = panic::catch_unwind(AssertUnwindSafe(call));
}
