//! What every kind of answer has in common.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::json;

pub(super) type Answer = Response<Body>;

pub(super) const X_ETCD_CLUSTER_ID: HeaderName = HeaderName::from_static("x-etcd-cluster-id");
pub(super) const X_ETCD_INDEX: HeaderName = HeaderName::from_static("x-etcd-index");
pub(super) const X_RAFT_INDEX: HeaderName = HeaderName::from_static("x-raft-index");
pub(super) const X_RAFT_TERM: HeaderName = HeaderName::from_static("x-raft-term");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");

fn answer(status: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

pub(super) fn json(status: StatusCode, body: impl Into<Body>) -> Answer {
    answer(status, JSON, body)
}

pub(super) fn text(status: StatusCode, body: impl Into<Body>) -> Answer {
    answer(status, TEXT, body)
}

/// An error in words, which no browser is to take for anything else.
pub(super) fn error_text(status: StatusCode, body: impl Into<Body>) -> Answer {
    let mut answer = text(status, body);
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
    answer
}

/// `{"message": …}`.
pub(super) fn message(status: StatusCode, message: impl AsRef<[u8]>) -> Answer {
    let mut out = b"{\"message\":".to_vec();
    json::string(&mut out, message.as_ref());
    out.push(b'}');
    json(status, out)
}

pub(super) fn not_found() -> Answer {
    error_text(StatusCode::NOT_FOUND, "404 page not found\n")
}

pub(super) fn method_not_allowed() -> Answer {
    error_text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n")
}

/// The answer to a method that is not one of `allowed`; `None` where it is.
pub(super) fn unless_allowed(method: &Method, allowed: &'static str) -> Option<Answer> {
    if allowed.split(',').any(|name| name == method.as_str()) {
        return None;
    }
    let mut answer = method_not_allowed();
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    Some(answer)
}

pub(super) fn number(headers: &mut HeaderMap, name: HeaderName, number: u64) {
    headers.insert(name, HeaderValue::from(number));
}
