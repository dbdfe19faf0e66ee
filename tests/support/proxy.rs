//! A TCP proxy that stands between two members and spoils what they say: cuts, freezes, delays, halves and corrupts,
//! each way by itself.
//!
//! ```text
//!   caller ──► proxy.address() ══ To ══► target      Way::To is what the caller says
//!          ◄════════════════════ Back ══             Way::Back is what the target answers
//! ```

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// One of the two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    To = 0,
    Back = 1,
}

/// What is done to one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    /// Nothing is passed on, and nothing is lost: a link that is cut without anybody being told.
    frozen: bool,
    /// Each piece is held for so long.
    delay: Duration,
    /// A bit of the next piece is flipped.
    corrupt_next: bool,
    /// Half of the next piece is passed on, and then the connection is closed.
    halve_next: bool,
}

#[derive(Default)]
struct State {
    faults: [Faults; 2],
    /// Connections are reset, and new ones too.
    is_cut: bool,
    is_over: bool,
    target: Option<SocketAddr>,
    sockets: Vec<TcpStream>,
    threads: Vec<JoinHandle<()>>,
    /// How many connections were passed on.
    passed: usize,
}

impl State {
    fn close_all(&mut self) {
        for socket in self.sockets.drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module. Ends its threads and connections when dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy in front of `target` that spoils nothing yet.
    pub(crate) fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Mutex::new(State { target: Some(target), ..State::default() });
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        let acceptor = Some(std::thread::spawn(move || accept_all(&accepting, &listener)));
        Self { address, shared, acceptor }
    }

    /// Where to call instead of the target.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes new connections on to another place.
    pub(crate) fn retarget(&self, target: SocketAddr) {
        self.shared.lock().target = Some(target);
    }

    /// Closes all connections, and those that come, until mended.
    pub(crate) fn cut(&self) {
        let mut state = self.shared.lock();
        state.is_cut = true;
        state.close_all();
        self.shared.changed.notify_all();
    }

    /// Closes all connections; new ones are passed on.
    pub(crate) fn cut_once(&self) {
        self.shared.lock().close_all();
        self.shared.changed.notify_all();
    }

    /// Holds back all that goes this way, without telling anybody.
    pub(crate) fn freeze(&self, way: Way) {
        self.shared.lock().faults[way as usize].frozen = true;
    }

    /// Holds each piece that goes this way for so long.
    pub(crate) fn delay(&self, way: Way, delay: Duration) {
        self.shared.lock().faults[way as usize].delay = delay;
    }

    /// Flips a bit of the next piece that goes this way.
    pub(crate) fn corrupt_next(&self, way: Way) {
        self.shared.lock().faults[way as usize].corrupt_next = true;
    }

    /// Passes on half of the next piece that goes this way, and closes the connection.
    pub(crate) fn halve_next(&self, way: Way) {
        self.shared.lock().faults[way as usize].halve_next = true;
    }

    /// Takes all faults back. What was frozen is passed on.
    pub(crate) fn mend(&self) {
        let mut state = self.shared.lock();
        state.faults = Default::default();
        state.is_cut = false;
        self.shared.changed.notify_all();
    }

    /// How many connections have been passed on so far.
    pub(crate) fn passed(&self) -> usize {
        self.shared.lock().passed
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.is_over = true;
            state.close_all();
            self.shared.changed.notify_all();
        }
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        let threads = std::mem::take(&mut self.shared.lock().threads);
        for thread in threads {
            let _ = thread.join();
        }
    }
}

fn accept_all(shared: &Arc<Shared>, listener: &TcpListener) {
    for caller in listener.incoming() {
        let target = {
            let mut state = shared.lock();
            if state.is_over {
                return;
            }
            state.threads.retain(|thread| !thread.is_finished());
            state.target.filter(|_| !state.is_cut)
        };
        let (Ok(caller), Some(target)) = (caller, target) else { continue };
        let Ok(callee) = TcpStream::connect_timeout(&target, Duration::from_secs(1)) else { continue };
        let _ = (caller.set_nodelay(true), callee.set_nodelay(true));
        let mut state = shared.lock();
        if state.is_cut || state.is_over {
            continue;
        }
        let ends = [(&caller, &callee, Way::To), (&callee, &caller, Way::Back)];
        for (from, to, way) in ends {
            let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
            let shared = Arc::clone(shared);
            state.threads.push(std::thread::spawn(move || pass_on(&shared, from, to, way)));
        }
        state.sockets.extend([caller, callee]);
        state.passed += 1;
    }
}

/// Passes on what comes until either end closes.
fn pass_on(shared: &Shared, mut from: TcpStream, mut to: TcpStream, way: Way) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let faults = {
            let mut state = shared.lock();
            while state.faults[way as usize].frozen && !state.is_over && !state.is_cut {
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let faults = &mut state.faults[way as usize];
            let now = *faults;
            faults.corrupt_next = false;
            faults.halve_next = false;
            now
        };
        if !faults.delay.is_zero() {
            std::thread::sleep(faults.delay);
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
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
