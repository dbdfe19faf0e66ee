//! Connections: taken at the door, served until they end, bounded in number and in patience.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
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
#[cfg(feature = "tls")]
use tokio_rustls::server::TlsStream;

use super::lanes::Lanes;
use super::limits::Limits;
use super::patience::Patience;
use super::pulse::{Company, Pulse};
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
    /// Answers one request of somebody in this company.
    fn handle(&self, request: Request<Body>, company: Company) -> impl Future<Output = Answer> + Send;
}

/// Whether the server is to stop. The task of a connection is woken then and polls what it serves, so an answer that goes on
/// only has to look.
#[derive(Clone)]
pub(super) struct Stopping(watch::Receiver<bool>);

impl Stopping {
    pub(super) fn new(stopped: watch::Receiver<bool>) -> Self {
        Self(stopped)
    }

    pub(super) fn has_begun(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

/// What all connections share.
pub(super) struct House<H> {
    pub(super) handler: Arc<H>,
    pub(super) limits: Arc<Limits>,
    pub(super) stopped: watch::Receiver<bool>,
}

impl<H> Clone for House<H> {
    fn clone(&self) -> Self {
        let Self { handler, limits, stopped } = self;
        Self { handler: Arc::clone(handler), limits: Arc::clone(limits), stopped: stopped.clone() }
    }
}

/// A connection that was taken, and its place among those that may be open.
pub(super) struct Arrival {
    stream: std::net::TcpStream,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    _place: OwnedSemaphorePermit,
}

#[cfg(test)]
impl Arrival {
    /// One without TLS that takes no other's place.
    pub(super) fn of(stream: std::net::TcpStream) -> Self {
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("nobody else has it");
        Self {
            stream,
            #[cfg(feature = "tls")]
            tls: None,
            _place: place,
        }
    }
}

/// Takes connections at all doors until the server stops, and hands each to a lane.
pub(super) async fn attend<H>(doors: Vec<OpenDoor>, house: House<H>, lanes: Lanes) {
    let room = Semaphore::new(house.limits.connections.clamp(1, Semaphore::MAX_PERMITS));
    let (room, lanes) = (Arc::new(room), Arc::new(lanes));
    let mut tasks = JoinSet::new();
    for door in doors {
        tasks.spawn(attend_one(door, house.stopped.clone(), Arc::clone(&room), Arc::clone(&lanes)));
    }
    while tasks.join_next().await.is_some() {}
}

async fn attend_one(
    door: OpenDoor,
    mut stopped: watch::Receiver<bool>,
    room: Arc<Semaphore>,
    lanes: Arc<Lanes>,
) {
    loop {
        let accepted = async {
            let place = Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed");
            (door.listener.accept().await, place)
        };
        tokio::select! {
            biased;
            () = stop(&mut stopped) => return,
            (accepted, place) = accepted => match accepted {
                Ok((stream, _)) => {
                    prepare(&stream);
                    // One that cannot be taken off this runtime is closed, as one that has broken.
                    if let Ok(stream) = stream.into_std() {
                        lanes.take(Arrival {
                            stream,
                            #[cfg(feature = "tls")]
                            tls: door.tls.clone(),
                            _place: place,
                        });
                    }
                }
                Err(error) if is_of_one(&error) => {}
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
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

/// Serves a connection to its end, on the runtime that this runs on.
pub(super) async fn serve<H: Handler>(arrival: Arrival, house: House<H>, pulse: Option<Arc<Pulse>>) {
    let Ok(stream) = TcpStream::from_std(arrival.stream) else { return };
    #[cfg(feature = "tls")]
    if let Some(tls) = &arrival.tls {
        if let Some(stream) = shake_hands(tls, stream, &house).await {
            converse(stream, house, pulse).await;
        }
        return;
    }
    converse(stream, house, pulse).await;
}

/// Agrees on keys with a client.
#[cfg(feature = "tls")]
async fn shake_hands<H>(tls: &Tls, stream: TcpStream, house: &House<H>) -> Option<TlsStream<TcpStream>> {
    let limit = house.limits.head_timeout.min(HANDSHAKE_MAX);
    let mut stopped = house.stopped.clone();
    tokio::select! {
        () = stop(&mut stopped) => None,
        agreed = tokio::time::timeout(limit, tls.acceptor().accept(stream)) => agreed.ok()?.ok(),
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
    pulse: Option<Arc<Pulse>>,
) {
    let House { handler, limits, mut stopped } = house;
    let pulse = pulse.map(|pulse| (pulse.asker(), pulse));
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, pulse) = (Arc::clone(&handler), pulse.clone());
        async move {
            let company = pulse.as_ref().map_or(Company::Others, |(asker, pulse)| pulse.asked(*asker));
            let answer = handler.handle(request.map(Body::new), company).await;
            if let (Company::Nobody, Some((_, pulse))) = (company, pulse) {
                pulse.answered();
            }
            Ok::<_, Infallible>(answer)
        }
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
