//! A TCP proxy that stands between two members and spoils what they say: cuts, freezes, delays, halves and corrupts,
//! each way by itself.
//!
//! ```text
//!   caller ──► proxy.address() ══ To ══► target      Way::To is what the caller says
//!          ◄════════════════════ Back ══             Way::Back is what the target answers
//! ```

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::line::{Connection, Line};

/// One of the two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    To = 0,
    Back = 1,
}

/// Which lines a connection is made of, by what its caller begins with; `None` where nobody waits for that.
pub(crate) type Lines = dyn Fn(&TcpStream) -> Option<[Arc<Line>; 2]> + Send + Sync;

struct State {
    target: SocketAddr,
    /// Its connections hold little that is not passed on yet.
    is_shallow: bool,
    connections: Vec<Arc<Connection>>,
    threads: Vec<JoinHandle<()>>,
    /// How many connections were passed on.
    passed: usize,
    is_over: bool,
}

struct Shared {
    lines: Box<Lines>,
    state: Mutex<State>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module. Ends its threads and connections when dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    own: [Arc<Line>; 2],
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy in front of `target` that spoils nothing yet.
    pub(crate) fn start(target: SocketAddr) -> Self {
        let own: [Arc<Line>; 2] = Default::default();
        let lines = own.clone();
        Self::begin(target, own, Box::new(move |_| Some(lines.clone())))
    }

    /// A proxy that passes on so many bytes in a second each way, as a narrow link does that holds little itself.
    pub(crate) fn narrow(target: SocketAddr, rate: u32) -> Self {
        let own: [Arc<Line>; 2] = Default::default();
        own.iter().for_each(|line| line.narrow(rate));
        let lines = own.clone();
        Self::begin_with(target, true, own, Box::new(move |_| Some(lines.clone())))
    }

    /// A proxy whose connections are made of lines that others spoil.
    pub(crate) fn of_lines(target: SocketAddr, lines: Box<Lines>) -> Self {
        Self::begin(target, Default::default(), lines)
    }

    fn begin(target: SocketAddr, own: [Arc<Line>; 2], lines: Box<Lines>) -> Self {
        Self::begin_with(target, false, own, lines)
    }

    fn begin_with(target: SocketAddr, is_shallow: bool, own: [Arc<Line>; 2], lines: Box<Lines>) -> Self {
        let socket = stream_socket(is_shallow);
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(128).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let (connections, threads) = (Vec::new(), Vec::new());
        let state = Mutex::new(State { target, is_shallow, connections, threads, passed: 0, is_over: false });
        let shared = Arc::new(Shared { lines, state });
        let accepting = Arc::clone(&shared);
        let acceptor = Some(std::thread::spawn(move || accept_all(&accepting, &listener)));
        Self { address, own, shared, acceptor }
    }

    /// Where to call instead of the target.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes new connections on to another place.
    pub(crate) fn retarget(&self, target: SocketAddr) {
        self.shared.lock().target = target;
    }

    /// Closes all connections, and those that come, until mended.
    pub(crate) fn cut(&self) {
        self.own.iter().for_each(|line| line.cut());
    }

    /// Closes all connections; new ones are passed on.
    pub(crate) fn cut_once(&self) {
        self.own.iter().for_each(|line| line.cut_once());
    }

    /// Holds back all that goes this way, without telling anybody.
    pub(crate) fn freeze(&self, way: Way) {
        self.own[way as usize].freeze();
    }

    /// Holds each piece that goes this way for so long.
    pub(crate) fn delay(&self, way: Way, delay: Duration) {
        self.own[way as usize].delay(delay);
    }

    /// Flips a bit of the next piece that goes this way.
    pub(crate) fn corrupt_next(&self, way: Way) {
        self.own[way as usize].corrupt_next();
    }

    /// Passes on half of the next piece that goes this way, and closes the connection.
    pub(crate) fn halve_next(&self, way: Way) {
        self.own[way as usize].halve_next();
    }

    /// Takes all faults back. What was frozen is passed on.
    pub(crate) fn mend(&self) {
        self.own.iter().for_each(|line| line.mend());
    }

    /// How many connections have been passed on so far.
    pub(crate) fn passed(&self) -> usize {
        self.shared.lock().passed
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let connections = {
            let mut state = self.shared.lock();
            state.is_over = true;
            std::mem::take(&mut state.connections)
        };
        connections.iter().for_each(|connection| connection.close());
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

/// What a shallow connection holds, about.
const SHALLOW_BYTES: usize = 16 << 10;

/// A socket that is neither bound nor connected: later, others would have been told of a deeper buffer.
fn stream_socket(is_shallow: bool) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    if is_shallow {
        socket.set_recv_buffer_size(SHALLOW_BYTES).unwrap();
    }
    socket
}

fn accept_all(shared: &Arc<Shared>, listener: &TcpListener) {
    for caller in listener.incoming() {
        let mut state = shared.lock();
        if state.is_over {
            return;
        }
        state.threads.retain(|thread| !thread.is_finished());
        state.connections.retain(|connection| Arc::strong_count(connection) > 1);
        let Ok(caller) = caller else { continue };
        let serving = Arc::clone(shared);
        state.threads.push(std::thread::spawn(move || serve(&serving, caller)));
    }
}

/// Connects a caller with the target, and passes on what both say.
fn serve(shared: &Shared, caller: TcpStream) {
    let Some(lines) = (shared.lines)(&caller) else { return };
    let (target, is_shallow) = {
        let state = shared.lock();
        (state.target, state.is_shallow)
    };
    let callee = stream_socket(is_shallow);
    if callee.connect_timeout(&target.into(), Duration::from_secs(1)).is_err() {
        return;
    }
    let callee = TcpStream::from(callee);
    let Some(connection) = Connection::new(caller, callee, lines) else { return };
    {
        let mut state = shared.lock();
        if state.is_over {
            return;
        }
        state.connections.push(Arc::clone(&connection));
        state.passed += 1;
    }
    std::thread::scope(|scope| {
        scope.spawn(|| connection.pass_on(Way::Back as usize));
        connection.pass_on(Way::To as usize);
    });
}
