//! A bare group commit: callers queue and sleep, a thread writes and syncs what waits, and wakes each of them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};

use parking_lot::Mutex;

use super::{RECORD, RawLog};
use crate::Result;

/// The log with its thread.
pub(crate) struct GroupCommit {
    queue: Arc<Mutex<Queue>>,
    thread: JoinHandle<()>,
}

/// What waits.
#[derive(Default)]
struct Queue {
    records: Vec<u8>,
    callers: Vec<Arc<Caller>>,
    is_closed: bool,
}

struct Caller {
    thread: Thread,
    is_durable: AtomicBool,
}

impl GroupCommit {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let log = RawLog::create(path)?;
        let queue = Arc::new(Mutex::new(Queue::default()));
        let thread = thread::spawn({
            let queue = Arc::clone(&queue);
            move || commit_what_waits(log, &queue)
        });
        Ok(Self { queue, thread })
    }

    /// For the calling thread: a function that appends one record and returns when it is durable.
    pub(crate) fn committer(&self) -> impl FnMut() {
        let caller = Arc::new(Caller { thread: thread::current(), is_durable: AtomicBool::new(false) });
        move || {
            caller.is_durable.store(false, Ordering::Relaxed);
            let is_first = {
                let mut queue = self.queue.lock();
                queue.records.extend_from_slice(&[1; RECORD]);
                queue.callers.push(Arc::clone(&caller));
                queue.callers.len() == 1
            };
            // Whoever comes after the first finds the thread awake or about to be.
            if is_first {
                self.thread.thread().unpark();
            }
            while !caller.is_durable.load(Ordering::Acquire) {
                thread::park();
            }
        }
    }
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        self.queue.lock().is_closed = true;
        self.thread.thread().unpark();
    }
}

fn commit_what_waits(mut log: RawLog, queue: &Mutex<Queue>) {
    let (mut records, mut callers) = (Vec::new(), Vec::new());
    loop {
        {
            let mut queue = queue.lock();
            if queue.is_closed {
                return;
            }
            std::mem::swap(&mut queue.records, &mut records);
            std::mem::swap(&mut queue.callers, &mut callers);
        }
        if callers.is_empty() {
            thread::park();
            continue;
        }
        log.write(&records).and_then(|()| log.sync()).expect("the scratch disk takes writes");
        records.clear();
        for caller in callers.drain(..) {
            caller.is_durable.store(true, Ordering::Release);
            caller.thread.unpark();
        }
    }
}
