//! One direction between two ends, and what may happen to what is said on it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// See the module. What is done to it is done to all connections that it is a part of, whoever opened them.
#[derive(Default)]
pub(crate) struct Line {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    faults: Faults,
    /// Connections are reset, and new ones too.
    is_cut: bool,
    connections: Vec<Weak<Connection>>,
}

/// What is done to what is said.
#[derive(Clone, Copy, Default)]
struct Faults {
    /// Nothing is passed on, and nothing is lost: a link that is cut without anybody being told.
    frozen: bool,
    /// Each piece is held for so long.
    delay: Duration,
    /// A bit of the next piece is flipped.
    corrupt_next: bool,
    /// Half of the next piece is passed on, and then the connection is closed.
    halve_next: bool,
    /// So many bytes are passed on in a second; any number if 0.
    rate: u32,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes all connections, and those that come, until mended.
    pub(crate) fn cut(&self) {
        self.lock().is_cut = true;
        self.cut_once();
    }

    /// Closes all connections; new ones are passed on.
    pub(crate) fn cut_once(&self) {
        let connections = std::mem::take(&mut self.lock().connections);
        connections.iter().filter_map(Weak::upgrade).for_each(|connection| connection.close());
    }

    /// Holds back all that is said, without telling anybody.
    pub(crate) fn freeze(&self) {
        self.lock().faults.frozen = true;
    }

    /// Holds each piece for so long.
    pub(crate) fn delay(&self, delay: Duration) {
        self.lock().faults.delay = delay;
    }

    /// Passes on so many bytes in a second.
    pub(crate) fn narrow(&self, rate: u32) {
        self.lock().faults.rate = rate;
    }

    /// Flips a bit of the next piece.
    pub(crate) fn corrupt_next(&self) {
        self.lock().faults.corrupt_next = true;
    }

    /// Passes on half of the next piece, and closes the connection.
    pub(crate) fn halve_next(&self) {
        self.lock().faults.halve_next = true;
    }

    /// Takes all faults back. What was frozen is passed on.
    pub(crate) fn mend(&self) {
        let mut state = self.lock();
        state.faults = Faults::default();
        state.is_cut = false;
        self.changed.notify_all();
    }

    /// Whether a connection may be made, which ends with a cut from then on.
    fn join(&self, connection: &Arc<Connection>) -> bool {
        let mut state = self.lock();
        if state.is_cut {
            return false;
        }
        state.connections.retain(|known| known.strong_count() > 0);
        state.connections.push(Arc::downgrade(connection));
        true
    }

    /// What is to be done to the next piece; waits while nothing is passed on.
    fn next_faults(&self, connection: &Connection) -> Faults {
        let mut state = self.lock();
        while state.faults.frozen && !connection.is_closed() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let next = state.faults;
        state.faults = Faults { corrupt_next: false, halve_next: false, ..next };
        next
    }
}

/// Two ends and the lines between them: what the caller says, and what it is answered.
pub(crate) struct Connection {
    ends: [TcpStream; 2],
    lines: [Arc<Line>; 2],
    is_closed: AtomicBool,
}

impl Connection {
    /// `None` where a line is cut.
    pub(crate) fn new(caller: TcpStream, callee: TcpStream, lines: [Arc<Line>; 2]) -> Option<Arc<Self>> {
        let _ = (caller.set_nodelay(true), callee.set_nodelay(true));
        let connection = Arc::new(Self { ends: [caller, callee], lines, is_closed: AtomicBool::new(false) });
        connection.lines.iter().all(|line| line.join(&connection)).then_some(connection)
    }

    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        for end in &self.ends {
            let _ = end.shutdown(Shutdown::Both);
        }
        for line in &self.lines {
            // With the lock, so that nobody is just about to wait.
            let _state = line.lock();
            line.changed.notify_all();
        }
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Passes on what comes one way, the caller's or the other, until either end closes.
    pub(crate) fn pass_on(&self, way: usize) {
        let (mut from, mut to, line) = (&self.ends[way], &self.ends[1 - way], &self.lines[way]);
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let faults = line.next_faults(self);
            if !faults.delay.is_zero() {
                std::thread::sleep(faults.delay);
            }
            if faults.rate > 0 {
                std::thread::sleep(Duration::from_secs(count as u64) / faults.rate);
            }
            if faults.corrupt_next {
                bytes[count / 2] ^= 1;
            }
            let passed = if faults.halve_next { count / 2 } else { count };
            if to.write_all(&bytes[..passed]).is_err() || faults.halve_next {
                break;
            }
        }
        // An end that closes is seen as such at the other: what was said before arrives first.
        self.close();
    }
}
