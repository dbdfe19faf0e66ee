//! A bare pipelined log: one caller goes on submitting, a thread writes and syncs what waits and says how far
//! it has come.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle, Thread};

use parking_lot::Mutex;

use super::{RECORD, RawLog};
use crate::Result;

/// The log with its thread. Only the thread that created it may wait.
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
    submitted: u64,
}

struct Shared {
    queue: Mutex<Queue>,
    /// How many records are durable.
    durable: AtomicU64,
    caller: Thread,
}

#[derive(Default)]
struct Queue {
    records: Vec<u8>,
    is_closed: bool,
}

impl Pipeline {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let log = RawLog::create(path)?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            durable: AtomicU64::new(0),
            caller: thread::current(),
        });
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || write_what_waits(log, &shared)
        });
        Ok(Self { shared, thread, submitted: 0 })
    }

    /// Appends one record and returns its number at once.
    pub(crate) fn submit(&mut self) -> u64 {
        let is_first = {
            let mut queue = self.shared.queue.lock();
            queue.records.extend_from_slice(&[1; RECORD]);
            queue.records.len() == RECORD
        };
        if is_first {
            self.thread.thread().unpark();
        }
        self.submitted += 1;
        self.submitted
    }

    /// Returns when the record with this number is durable.
    pub(crate) fn wait(&self, number: u64) {
        while self.shared.durable.load(Ordering::Acquire) < number {
            thread::park();
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.shared.queue.lock().is_closed = true;
        self.thread.thread().unpark();
    }
}

fn write_what_waits(mut log: RawLog, shared: &Shared) {
    let mut records = Vec::new();
    loop {
        {
            let mut queue = shared.queue.lock();
            if queue.is_closed {
                return;
            }
            std::mem::swap(&mut queue.records, &mut records);
        }
        if records.is_empty() {
            thread::park();
            continue;
        }
        log.write(&records).and_then(|()| log.sync()).expect("the scratch disk takes writes");
        shared.durable.fetch_add((records.len() / RECORD) as u64, Ordering::Release);
        shared.caller.unpark();
        records.clear();
    }
}
