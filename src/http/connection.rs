//! Connections: taken at the door, served until they end, bounded in number and in patience.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::limits::Limits;
use super::patience::Patience;
use super::respond::Answer;
#[cfg(feature = "tls")]
use super::tls::Tls;

/// After so long without a word the system asks whether a client is still there, and after so long again it asks once
/// more, a few times: a client that has lost its power or its cable is found out.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How long to wait when the system has no connection to give, say for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a client may take to agree on keys.
#[cfg(feature = "tls")]
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// A listener, and how clients speak there.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

/// A door that is open.
pub(super) struct OpenDoor {
    listener: tokio::net::TcpListener,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl Door {
    pub(super) fn plain(listener: TcpListener) -> Self {
        Self {
            listener,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    #[cfg(feature = "tls")]
    pub(super) fn with_tls(listener: TcpListener, tls: Tls) -> Self {
        Self { listener, tls: Some(tls) }
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Its URL, when its address is `address`.
    pub(super) fn url(&self, address: SocketAddr) -> String {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return format!("https://{address}");
        }
        format!("http://{address}")
    }

    /// Hands the listener to the runtime.
    pub(super) fn open(self) -> io::Result<OpenDoor> {
        self.listener.set_nonblocking(true)?;
        Ok(OpenDoor {
            listener: tokio::net::TcpListener::from_std(self.listener)?,
            #[cfg(feature = "tls")]
            tls: self.tls,
        })
    }
}

/// Who answers the requests of all connections.
pub(super) trait Handler: Send + Sync + 'static {
    /// Answers one request.
    fn handle(&self, request: Request<Body>) -> impl Future<Output = Answer> + Send;
}

/// Is over when the server stops.
pub(super) type Stopping = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What all connections share.
struct House<H> {
    handler: Arc<H>,
    limits: Arc<Limits>,
    stopped: watch::Receiver<bool>,
    /// Room for connections.
    room: Arc<Semaphore>,
}

impl<H> Clone for House<H> {
    fn clone(&self) -> Self {
        let Self { handler, limits, stopped, room } = self;
        let (handler, limits, room) = (Arc::clone(handler), Arc::clone(limits), Arc::clone(room));
        Self { handler, limits, stopped: stopped.clone(), room }
    }
}

/// Runs `serving`, and has it told to stop when `until` is over.
pub(super) async fn run(
    serving: impl Future<Output = ()>,
    stop: watch::Sender<bool>,
    until: impl Future<Output = ()>,
) {
    let stopping = async move {
        until.await;
        let _ = stop.send(true);
        // Dropped at the end only: its being gone means "stop", too.
        stop.closed().await;
    };
    tokio::pin!(stopping, serving);
    tokio::select! {
        () = &mut serving => {}
        () = &mut stopping => serving.await,
    }
}

/// Serves at all doors until `stopped` says so, then lets what is under way end.
pub(super) async fn serve<H: Handler>(
    doors: Vec<OpenDoor>,
    handler: Arc<H>,
    limits: Limits,
    stopped: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let house = House { handler, limits: Arc::new(limits), stopped, room };
    let mut tasks = JoinSet::new();
    for door in doors {
        tasks.spawn(attend(door, house.clone()));
    }
    while tasks.join_next().await.is_some() {}
}

/// Takes connections at one door.
async fn attend<H: Handler>(door: OpenDoor, mut house: House<H>) {
    let mut connections = JoinSet::new();
    let House { room, limits, .. } = house.clone();
    loop {
        let accepted = async {
            let place = Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed");
            (door.listener.accept().await, place)
        };
        tokio::select! {
            biased;
            () = stop(&mut house.stopped) => break,
            Some(_) = connections.join_next() => {}
            (accepted, place) = accepted => match accepted {
                Ok((stream, _)) => {
                    prepare(&stream);
                    #[cfg(feature = "tls")]
                    if let Some(tls) = &door.tls {
                        connections.spawn(shake_hands(tls.clone(), stream, house.clone(), place));
                        continue;
                    }
                    connections.spawn(converse(stream, house.clone(), place));
                }
                Err(error) if is_of_one(&error) => {}
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(door);
    let ended = async { while connections.join_next().await.is_some() {} };
    // What takes longer is cut off when the set is dropped.
    let _ = tokio::time::timeout(limits.stop_timeout, ended).await;
}

/// Whether an error is of the connection that was to be accepted, and not of the listener.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn prepare(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    // What the system does not grant here is a loss of speed or of patience, not of correctness.
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
    let _ = stream.set_nodelay(true);
}

/// Agrees on keys with a client, then answers it.
#[cfg(feature = "tls")]
async fn shake_hands<H: Handler>(
    tls: Tls,
    stream: TcpStream,
    mut house: House<H>,
    place: OwnedSemaphorePermit,
) {
    let limit = house.limits.head_timeout.min(HANDSHAKE_MAX);
    tokio::select! {
        () = stop(&mut house.stopped) => {}
        agreed = tokio::time::timeout(limit, tls.acceptor().accept(stream)) => {
            if let Ok(Ok(stream)) = agreed {
                converse(stream, house.clone(), place).await;
            }
        }
    }
}

/// Is over when the server is to stop, or nobody is left who could say so.
pub(super) async fn stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stops| *stops).await;
}

/// Answers the requests of one connection until it ends.
async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static, H: Handler>(
    stream: S,
    house: House<H>,
    _place: OwnedSemaphorePermit,
) {
    let House { handler, limits, mut stopped, .. } = house;
    let service = service_fn(move |request: Request<Incoming>| {
        let handler = Arc::clone(&handler);
        async move { Ok::<_, Infallible>(handler.handle(request.map(Body::new)).await) }
    });
    let stream = TokioIo::new(Patience::new(stream, limits.write_timeout));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(limits.headers)
        .max_buf_size(limits.head_bytes.max(8192))
        .title_case_headers(true)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    // What goes wrong with a connection is the client's to notice.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
