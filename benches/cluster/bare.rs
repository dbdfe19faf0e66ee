//! A bare replication loop: callers queue, a thread sends what waits to two copies and syncs it meanwhile, and wakes the
//! callers when it and one of the copies have synced.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};

use crossbeam_channel::{Receiver, Sender, unbounded};
use parking_lot::Mutex;

use crate::Result;
use crate::raw_log::{RECORD, RawLog};

/// The loop.
pub(crate) struct Bare {
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

impl Bare {
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        let log = RawLog::create(&directory.join("bare-0"))?;
        let (answers, answered) = unbounded();
        let mut copies = Vec::new();
        for copy in 1..3 {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let stream = TcpStream::connect(listener.local_addr()?)?;
            stream.set_nodelay(true)?;
            let copy_log = RawLog::create(&directory.join(format!("bare-{copy}")))?;
            thread::spawn(move || follow(&listener, copy_log));
            let (answers, reader) = (answers.clone(), stream.try_clone()?);
            thread::spawn(move || read_answers(reader, &answers));
            copies.push(stream);
        }
        let queue = Arc::new(Mutex::new(Queue::default()));
        let thread = thread::spawn({
            let queue = Arc::clone(&queue);
            move || lead(log, &queue, copies, &answered)
        });
        Ok(Self { queue, thread })
    }

    /// For the calling thread: a function that appends one record and returns when a majority has it.
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
            if is_first {
                self.thread.thread().unpark();
            }
            while !caller.is_durable.load(Ordering::Acquire) {
                thread::park();
            }
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.queue.lock().is_closed = true;
        self.thread.thread().unpark();
    }
}

fn lead(mut log: RawLog, queue: &Mutex<Queue>, mut copies: Vec<TcpStream>, answered: &Receiver<u64>) {
    let (mut records, mut callers, mut message, mut batch) = (Vec::new(), Vec::new(), Vec::new(), 0u64);
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
        batch += 1;
        message.clear();
        message.extend_from_slice(&(records.len() as u32).to_le_bytes());
        message.extend_from_slice(&records);
        for copy in &mut copies {
            copy.write_all(&message).expect("the copy listens");
        }
        log.write(&records).and_then(|()| log.sync()).expect("the scratch disk takes writes");
        // The faster of the two; the other one's answer comes with a number that is behind.
        while answered.recv().expect("the copies answer") < batch {}
        records.clear();
        for caller in callers.drain(..) {
            caller.is_durable.store(true, Ordering::Release);
            caller.thread.unpark();
        }
    }
}

/// A copy: whatever came is written and synced at once, and the number of batches is said.
fn follow(listener: &TcpListener, mut log: RawLog) {
    let Ok((mut stream, _)) = listener.accept() else { return };
    let _ = stream.set_nodelay(true);
    let (mut length, mut records, mut batch) = ([0; 4], Vec::new(), 0u64);
    while stream.read_exact(&mut length).is_ok() {
        records.resize(u32::from_le_bytes(length) as usize, 0);
        if stream.read_exact(&mut records).is_err() {
            return;
        }
        log.write(&records).and_then(|()| log.sync()).expect("the scratch disk takes writes");
        batch += 1;
        if stream.write_all(&batch.to_le_bytes()).is_err() {
            return;
        }
    }
}

fn read_answers(mut stream: TcpStream, answers: &Sender<u64>) {
    let mut batch = [0; 8];
    while stream.read_exact(&mut batch).is_ok() {
        if answers.send(u64::from_le_bytes(batch)).is_err() {
            return;
        }
    }
}
