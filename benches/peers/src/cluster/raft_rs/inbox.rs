//! What waits for a member's thread, and how callers wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, Thread};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use raft::eraftpb::Message;

/// The door of one member: callers and the readers of its connections bring, its thread takes.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

/// What was brought, in the order in which it came.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) messages: Vec<Message>,
    pub(super) proposals: Vec<Proposal>,
    pub(super) is_closed: bool,
}

/// A record, and who waits for it.
pub(super) struct Proposal {
    pub(super) data: Vec<u8>,
    pub(super) caller: Arc<Caller>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.proposals.is_empty() && !self.is_closed
    }
}

impl Inbox {
    pub(super) fn propose(&self, proposal: Proposal) {
        self.bring(|waiting| {
            if waiting.is_closed {
                proposal.caller.answer(false);
            } else {
                waiting.proposals.push(proposal);
            }
        });
    }

    pub(super) fn receive(&self, messages: &mut Vec<Message>) {
        self.bring(|waiting| waiting.messages.append(messages));
    }

    /// From now on nobody is waited for.
    pub(super) fn close(&self) {
        self.bring(|waiting| waiting.is_closed = true);
    }

    /// Only the first who brings something has anybody to wake.
    fn bring(&self, add: impl FnOnce(&mut Waiting)) {
        let was_empty = {
            let mut waiting = self.waiting.lock();
            let was_empty = waiting.is_empty();
            add(&mut waiting);
            was_empty
        };
        if was_empty {
            self.arrived.notify_one();
        }
    }

    /// Gives all that waits in exchange for `taken`, which is empty. Waits until `deadline` at the latest.
    pub(super) fn take(&self, deadline: Instant, taken: &mut Waiting) {
        let mut waiting = self.waiting.lock();
        while waiting.is_empty() && !self.arrived.wait_until(&mut waiting, deadline).timed_out() {}
        taken.is_closed = waiting.is_closed;
        std::mem::swap(&mut taken.messages, &mut waiting.messages);
        std::mem::swap(&mut taken.proposals, &mut waiting.proposals);
    }
}

/// A thread that waits for one proposal at a time.
pub(super) struct Caller {
    thread: Thread,
    state: AtomicU8,
}

const WAITS: u8 = 0;
const APPLIED: u8 = 1;
const REFUSED: u8 = 2;

impl Caller {
    /// For the calling thread.
    pub(super) fn new() -> Self {
        Self { thread: thread::current(), state: AtomicU8::new(WAITS) }
    }

    /// Before a proposal is made.
    pub(super) fn begin(&self) {
        self.state.store(WAITS, Ordering::Relaxed);
    }

    pub(super) fn answer(&self, is_applied: bool) {
        self.state.store(if is_applied { APPLIED } else { REFUSED }, Ordering::Release);
        self.thread.unpark();
    }

    /// Whether the proposal was applied.
    pub(super) fn wait(&self) -> bool {
        loop {
            match self.state.load(Ordering::Acquire) {
                WAITS => thread::park(),
                state => return state == APPLIED,
            }
        }
    }
}
