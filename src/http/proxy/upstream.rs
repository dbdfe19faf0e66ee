//! One member, as the proxy knows it: its connections, and whether it has failed lately.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::header::HOST;
use axum::http::{HeaderValue, Request, Response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::trust::Trust;

/// How long a member may take to begin its answer: it lets no request wait that long, and a watch begins at once.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// So many connections are kept for later.
const IDLE_MAX: usize = 64;

type Connection = SendRequest<Full<Bytes>>;

/// A member.
pub(super) struct Upstream {
    url: String,
    /// Connections that nobody uses.
    idle: Mutex<Vec<Connection>>,
    is_left_alone: AtomicBool,
    dial_timeout: Duration,
    /// For https:// URLs.
    trust: Option<Trust>,
}

/// A member has not answered.
pub(super) struct Failure {
    pub(super) what: String,
    /// The request may have reached it.
    pub(super) may_have_been_done: bool,
}

impl Failure {
    fn before(what: impl ToString) -> Self {
        Self { what: what.to_string(), may_have_been_done: false }
    }

    fn after(what: impl ToString) -> Self {
        Self { what: what.to_string(), may_have_been_done: true }
    }
}

impl Upstream {
    pub(super) fn new(url: &str, dial_timeout: Duration, trust: Option<Trust>) -> Self {
        let trust = trust.filter(|_| url.starts_with("https://"));
        let idle = Mutex::default();
        Self { url: url.to_owned(), idle, is_left_alone: AtomicBool::new(false), dial_timeout, trust }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn is_left_alone(&self) -> bool {
        self.is_left_alone.load(Ordering::Relaxed)
    }

    /// Has it not be asked for a while; `false` when that is so already.
    pub(super) fn leave_alone(self: &Arc<Self>, wait: Duration) -> bool {
        if self.is_left_alone.swap(true, Ordering::Relaxed) {
            return false;
        }
        self.idle.lock().clear();
        let member = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            member.is_left_alone.store(false, Ordering::Relaxed);
        });
        true
    }

    /// Sends a request, and returns when the answer has begun.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Failure> {
        if !request.headers().contains_key(HOST)
            && let Ok(host) = HeaderValue::try_from(self.authority())
        {
            request.headers_mut().insert(HOST, host);
        }
        loop {
            let (mut connection, is_new) = match self.take_idle() {
                Some(connection) => (connection, false),
                None => (self.connect().await?, true),
            };
            match tokio::time::timeout(HEAD_TIMEOUT, connection.try_send_request(request)).await {
                Ok(Ok(answer)) => {
                    self.keep(connection);
                    return Ok(answer);
                }
                Ok(Err(mut error)) => match error.take_message() {
                    // The member had closed it meanwhile, as is its right.
                    Some(unsent) if !is_new => request = unsent,
                    Some(_) => return Err(Failure::before(error.into_error())),
                    None => return Err(Failure::after(error.into_error())),
                },
                Err(_) => return Err(Failure::after("it took too long")),
            }
        }
    }

    fn authority(&self) -> &str {
        self.url.split_once("://").map_or(self.url.as_str(), |(_, authority)| authority)
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock();
        std::iter::from_fn(|| idle.pop()).find(|connection| connection.is_ready())
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        match tokio::time::timeout(self.dial_timeout, self.dial()).await {
            Ok(connection) => connection,
            Err(_) => Err(Failure::before("no connection comes about")),
        }
    }

    async fn dial(&self) -> Result<Connection, Failure> {
        let stream = TcpStream::connect(self.authority()).await.map_err(Failure::before)?;
        // What the system does not grant here is a loss of speed.
        let _ = stream.set_nodelay(true);
        match &self.trust {
            None => agree(stream).await,
            Some(trust) => {
                let stream = trust.greet(self.authority(), stream).await;
                agree(stream.map_err(Failure::before)?).await
            }
        }
    }

    /// Keeps the connection for later, once the answer that comes over it has been read to its end.
    fn keep(self: &Arc<Self>, mut connection: Connection) {
        let member = Arc::clone(self);
        tokio::spawn(async move {
            if connection.ready().await.is_ok() && !member.is_left_alone() {
                let mut idle = member.idle.lock();
                if idle.len() < IDLE_MAX {
                    idle.push(connection);
                }
            }
        });
    }
}

/// A connection over a stream that stands.
async fn agree(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Connection, Failure> {
    let agreed = http1::Builder::new().title_case_headers(true).handshake(TokioIo::new(stream)).await;
    let (connection, driver) = agreed.map_err(Failure::before)?;
    // What goes wrong with it is told to whoever waits for an answer.
    tokio::spawn(driver);
    Ok(connection)
}
