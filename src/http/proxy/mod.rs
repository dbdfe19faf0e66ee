//! A proxy, as etcd's was: nothing is kept here, and what clients ask is asked of a member that is alive.
//!
//! ```text
//!   client ─► connection ─► proxy ─► members: which are alive ─► upstream ─► a member
//!                                       └─ asks every 30 s, and when one fails, who the members are
//! ```
//! - What clients see is the members' to the byte, watches as they come. What the proxy says itself is etcd's proxy's.
//! - Clients stay with one member as long as it answers, so what was read does not go backwards from request to request.
//! - Where it cannot be known whether a member has done what a request asked for, no other one is asked to do it again:
//!   the answer is 502. (etcd's proxy asks the next, which may be the second time.)

mod members;
mod trust;
mod upstream;

use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use tokio::sync::watch;

use super::connection::{Door, Handler, Stopping};
use super::cors::Cors;
use super::limits::Limits;
use super::metrics::Metrics;
use super::pulse::Company;
use super::respond::{self, Answer};
use super::server::Opened;
use super::tls::Tls;
use members::Members;
pub(crate) use members::parse_url;
pub(crate) use trust::Trust;

/// What concerns this hop alone, and is not passed on.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// How a proxy is to be.
#[derive(Clone, Debug)]
pub(crate) struct ProxySettings {
    /// Where members may be found, until one has said where all are: URLs, of which the form was checked.
    pub(crate) endpoints: Vec<String>,
    /// For members at https:// URLs, of which there are none without.
    pub(crate) trust: Option<Trust>,
    /// Whether everything but GET is refused.
    pub(crate) is_read_only: bool,
    /// How often a member is asked who the members are.
    pub(crate) refresh_interval: Duration,
    /// How long a member that has failed is left alone.
    pub(crate) failure_wait: Duration,
    /// How long a connection to a member may take to come about.
    pub(crate) dial_timeout: Duration,
}

/// Serves what members serve, by asking them.
pub(crate) struct Proxy {
    members: Arc<Members>,
    is_read_only: bool,
    limits: Limits,
    cors: Cors,
    counters: Metrics,
    stopping: Stopping,
}

/// Serves on these listeners, with TLS where it is given, until `until` is over; `log` is told of what happens to members.
///
/// # Errors
///
/// When a listener cannot be used.
pub(crate) async fn run(
    settings: ProxySettings,
    listeners: impl IntoIterator<Item = (TcpListener, Option<Tls>)>,
    log: fn(&str),
    until: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let door = |(listener, tls)| match tls {
        Some(tls) => Door::with_tls(listener, tls),
        None => Door::plain(listener),
    };
    let doors = listeners.into_iter().map(door).collect();
    let members = Arc::new(Members::new(&settings, log));
    let follow = Arc::clone(&members).follow();
    let limits = Limits::default();
    let proxy = Proxy {
        members,
        is_read_only: settings.is_read_only,
        limits: limits.clone(),
        cors: Cors::default(),
        counters: Metrics::new(),
        stopping: Stopping::new(stopped.clone()),
    };
    let opened = Opened::new(doors, proxy, limits, stopped, 1)?;
    let following = tokio::spawn(follow);
    opened.run(stop, until).await;
    following.abort();
    Ok(())
}

impl Handler for Proxy {
    async fn handle(&self, request: Request<Body>, _: Company) -> Answer {
        let (parts, body) = request.into_parts();
        let answer = self.answer(&parts, body).await;
        self.counters.count(&parts.method, answer.status());
        answer
    }
}

impl Proxy {
    async fn answer(&self, parts: &Parts, body: Body) -> Answer {
        if self.is_read_only && parts.method != Method::GET {
            let mut refused = Response::new(Body::empty());
            *refused.status_mut() = StatusCode::NOT_IMPLEMENTED;
            return refused;
        }
        let mut answer = match parts.uri.path() {
            _ if parts.method == Method::OPTIONS => Response::new(Body::empty()),
            "/v2/config/local/proxy" => self.tell_endpoints(&parts.method),
            // The proxy's own, as etcd's: a member's would be another one's each time.
            "/metrics" => self.metrics(&parts.method),
            _ => match self.forward(parts, body).await {
                // What a member says has its own headers.
                Ok(answer) => return answer,
                Err(refusal) => refusal,
            },
        };
        self.cors.apply(&parts.headers, answer.headers_mut());
        answer
    }

    fn metrics(&self, method: &Method) -> Answer {
        respond::unless_allowed(method, "GET").unwrap_or_else(|| {
            let (all, failed) = self.members.counts();
            self.counters.answer(&[
                ("spinney_proxy_members", "Members that are known.", all as f64),
                ("spinney_proxy_members_left_alone", "Members that have failed lately.", failed as f64),
            ])
        })
    }

    fn tell_endpoints(&self, method: &Method) -> Answer {
        respond::unless_allowed(method, "GET").unwrap_or_else(|| {
            let urls: Vec<_> = self.members.alive().iter().map(|member| member.url().to_owned()).collect();
            let body = serde_json::json!({ "endpoints": urls });
            respond::text(StatusCode::OK, format!("{body}\n"))
        })
    }

    /// Asks one member after the other, as long as none can have done what is asked for.
    ///
    /// # Errors
    ///
    /// What the client is told when none answers.
    async fn forward(&self, parts: &Parts, body: Body) -> Result<Answer, Answer> {
        let members = self.members.alive();
        if members.is_empty() {
            let why = "httpproxy: zero endpoints currently available";
            return Err(respond::message(StatusCode::SERVICE_UNAVAILABLE, why));
        }
        let body = self.body(body).await.map_err(|why| {
            let why = format!("httpproxy: failed to read request body: {why}");
            respond::message(StatusCode::INTERNAL_SERVER_ERROR, why)
        })?;
        let is_read = parts.method == Method::GET || parts.method == Method::HEAD;
        for member in &members {
            match member.send(outgoing(parts, body.clone())).await {
                Ok(answer) => return Ok(self.pass(answer)),
                Err(failure) => {
                    self.members.has_failed(member, &failure.what);
                    if failure.may_have_been_done && !is_read {
                        break;
                    }
                }
            }
        }
        let why = format!("httpproxy: unable to get response from {} endpoint(s)", members.len());
        Err(respond::message(StatusCode::BAD_GATEWAY, why))
    }

    /// All of a body: it may have to be sent to more than one member.
    async fn body(&self, body: Body) -> Result<Bytes, String> {
        let all = Limited::new(body, self.limits.body_bytes).collect();
        match tokio::time::timeout(self.limits.body_timeout, all).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it took too long".to_owned()),
        }
    }

    fn pass(&self, answer: Response<Incoming>) -> Answer {
        let (mut parts, body) = answer.into_parts();
        remove_hop_by_hop(&mut parts.headers);
        if body.size_hint().exact().is_some() {
            return Response::from_parts(parts, Body::new(body));
        }
        Response::from_parts(parts, Body::new(Passing { body, stopping: self.stopping.clone() }))
    }
}

/// The request as a member gets it.
fn outgoing(parts: &Parts, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = parts.method.clone();
    *request.headers_mut() = parts.headers.clone();
    remove_hop_by_hop(request.headers_mut());
    // Of an absolute one, the server is the client's word for this proxy.
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = target.parse().unwrap_or_default();
    request
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    HOP_BY_HOP.into_iter().for_each(|name| drop(headers.remove(name)));
}

/// An answer without a known end, as a watch has it: over when the member ends it, or the proxy stops.
struct Passing {
    body: Incoming,
    stopping: Stopping,
}

impl HttpBody for Passing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.stopping.has_begun() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(context)
    }
}
