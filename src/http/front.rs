//! The front: what all requests to one server share, and the way from a path to who answers.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, LOCATION};
use axum::http::request::Parts;
use axum::http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::auth::Credentials;
use super::connection::{Handler, Stopping};
use super::cors::Cors;
use super::keys::Written;
use super::limits::Limits;
use super::metrics::Metrics;
use super::pulse::Company;
use super::refusal::Refusal;
use super::respond::{self, Answer};
use super::stats::Stats;
use super::url;
use crate::store::Store;
use crate::types::{ClusterId, MemberId, Timestamp};
use crate::wal::Identity;

/// One of the places for those who wait.
pub(super) type Place = OwnedSemaphorePermit;

/// How the server is known to others.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) client_urls: Vec<String>,
    pub(super) peer_urls: Vec<String>,
}

/// What all requests to one server share.
pub(super) struct Front {
    store: Store,
    cluster_id: HeaderValue,
    member_id: MemberId,
    /// When the server was made, in log time.
    started: Timestamp,
    profile: Profile,
    cors: Cors,
    limits: Limits,
    stats: Stats,
    counters: Metrics,
    credentials: Credentials,
    written: Arc<Written>,
    /// Places for those who wait.
    places: Arc<Semaphore>,
    /// Whether the server is stopping; `None` where nobody stops it.
    stop: Option<Stopping>,
}

impl Front {
    pub(super) fn new(
        store: Store,
        profile: Profile,
        cors: Cors,
        limits: Limits,
        stop: Option<Stopping>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(limits.waits.min(Semaphore::MAX_PERMITS)));
        let Identity { cluster, member: member_id } = store.identity();
        let cluster_id =
            HeaderValue::try_from(short_id(cluster)).expect("hexadecimal digits can stand in a header");
        let (started, stats, counters) = (store.now(), Stats::default(), Metrics::new());
        let (credentials, written) = (Credentials::new(), Arc::default());
        Self {
            store,
            cluster_id,
            member_id,
            started,
            profile,
            cors,
            limits,
            stats,
            counters,
            credentials,
            written,
            places,
            stop,
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn profile(&self) -> &Profile {
        &self.profile
    }

    pub(super) fn stats(&self) -> &Stats {
        &self.stats
    }

    pub(super) fn counters(&self) -> &Metrics {
        &self.counters
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The last change as text.
    pub(super) fn written(&self) -> Arc<Written> {
        Arc::clone(&self.written)
    }

    pub(super) fn member_id(&self) -> MemberId {
        self.member_id
    }

    /// When the server was made, in log time.
    pub(super) fn started(&self) -> Timestamp {
        self.started
    }

    /// The cluster's id as clients see it.
    pub(super) fn cluster_id(&self) -> HeaderValue {
        self.cluster_id.clone()
    }

    /// A place among those who wait; given back when it is dropped.
    pub(super) fn place_to_wait(&self) -> Result<Option<Place>, Refusal> {
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Ok(Some(place)),
            Err(_) => Err(Refusal::bad_request(300, "too many watches are waiting")
                .with_status(StatusCode::SERVICE_UNAVAILABLE)),
        }
    }

    pub(super) fn stopping(&self) -> Option<Stopping> {
        self.stop.clone()
    }

    /// All of a body, if it is not too large and does not take too long.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub(super) async fn body(&self, body: Body) -> Result<Vec<u8>, String> {
        let limited = Limited::new(body, self.limits.body_bytes).collect();
        match tokio::time::timeout(self.limits.body_timeout, limited).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes().into()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err("http: POST too large".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the body took too long".to_owned()),
        }
    }

    async fn route(&self, parts: &Parts, path: Cow<'_, [u8]>, body: Body, company: Company) -> Answer {
        if *path == *b"*" {
            return ending(Response::new(Body::empty()));
        }
        if parts.method != Method::CONNECT
            && let Some(clean) = url::cleaned(&path)
        {
            return redirect(parts, &clean);
        }
        if let Some(key) = path.strip_prefix(b"/v2/keys")
            && (key.is_empty() || key.starts_with(b"/"))
        {
            return self.keys(parts, key, body, company).await;
        }
        if let Some(rest) = path.strip_prefix(b"/v2/members")
            && (rest.is_empty() || rest.starts_with(b"/"))
        {
            return self.members(parts, rest, body).await;
        }
        if let Some(rest) = path.strip_prefix(b"/v2/auth") {
            return self.auth(parts, rest, body).await;
        }
        if *path == *b"/spinney/v1/txn" {
            return self.transaction(parts, body).await;
        }
        self.other(&parts.method, &path).await
    }
}

impl Handler for Front {
    async fn handle(&self, request: Request<Body>, company: Company) -> Answer {
        let (parts, body) = request.into_parts();
        let Some(path) = url::decode_path(parts.uri.path()) else {
            return broken_path();
        };
        let mut answer = if parts.method == Method::OPTIONS {
            Response::new(Body::empty())
        } else {
            self.route(&parts, path, body, company).await
        };
        self.cors.apply(&parts.headers, answer.headers_mut());
        self.counters.count(&parts.method, answer.status());
        answer
    }
}

/// The id of a cluster, shortened to what etcd's ids have room for, as etcd writes it.
fn short_id(cluster: ClusterId) -> String {
    let (high, low) = (cluster.get() >> 64, cluster.get() & u128::from(u64::MAX));
    format!("{:x}", high ^ low)
}

/// The answer to a path with a broken escape: below the API, and the end of the connection.
fn broken_path() -> Answer {
    ending(respond::text(StatusCode::BAD_REQUEST, "400 Bad Request"))
}

/// Makes `answer` one to what is no question, after which the connection ends.
fn ending(mut answer: Answer) -> Answer {
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Sends a request to where its path should have led.
fn redirect(parts: &Parts, clean: &[u8]) -> Answer {
    let mut location = url::encode_path(clean);
    if let Some(query) = parts.uri.query() {
        location.push('?');
        location.push_str(query);
    }
    let is_read = parts.method == Method::GET || parts.method == Method::HEAD;
    let body = match parts.method {
        Method::GET => format!("<a href=\"{}\">Moved Permanently</a>.\n\n", url::escape_html(&location)),
        _ => String::new(),
    };
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if is_read {
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        answer.headers_mut().insert(CONTENT_TYPE, html);
    }
    match HeaderValue::try_from(location) {
        Ok(location) => {
            answer.headers_mut().insert(LOCATION, location);
            answer
        }
        Err(_) => broken_path(),
    }
}
