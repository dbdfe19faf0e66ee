//! The bytes of requests, one after the other, through the router of a store in memory: each is answered, in form, and
//! what clients cannot reach stays out of their reach.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, Response};
use http_body_util::BodyExt;
use spinney::Store;
use spinney::http::{Limits, Server};
use tower_service::Service;

/// No input has more requests than this, so that none takes long.
const REQUESTS_MAX: usize = 16;

pub(crate) fn run(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let store = Store::in_memory();
        let mut limits = Limits::default();
        limits.body_bytes = 4096;
        let mut router = Server::new(store.clone()).limits(limits).router();
        let mut auth = false;
        for text in split(bytes).take(REQUESTS_MAX) {
            let Some(request) = request(text) else { continue };
            let (path, method) = (request.uri().path().to_owned(), request.method().clone());
            // Hashing a password takes longer than everything else together.
            if request.uri().path().to_ascii_lowercase().contains("users") && method == Method::PUT {
                continue;
            }
            auth |= path.contains("auth") || path.contains('%');
            let before = store.index();
            let answer = router.call(request).await.unwrap();
            check(&method, answer).await;
            assert!(store.index() >= before, "the index never goes back");
            assert!(auth || store.get("/_spinney").is_err(), "only auth writes there");
        }
    });
}

/// An answer is in form, and so is its body, as far as it is there.
async fn check(method: &Method, answer: Response<Body>) {
    let status = answer.status().as_u16();
    assert!(
        [200, 201, 204, 301, 400, 401, 403, 404, 405, 409, 412, 413, 415, 500, 501, 503].contains(&status),
        "{status}"
    );
    let is_json = answer.headers().get("content-type").is_some_and(|value| value == "application/json");
    let has_index = answer.headers().contains_key("x-etcd-index");
    assert!(!has_index || answer.headers().contains_key("x-etcd-cluster-id"));
    let mut body = answer.into_body();
    let Some(first) = first_of(&mut body) else { return };
    if is_json && method != Method::HEAD && !first.is_empty() {
        let text = std::str::from_utf8(&first).expect("JSON is text");
        serde_json::from_str::<serde_json::Value>(text).expect("JSON is JSON");
    }
}

/// What a body begins with; `None` while it waits for what is still to come.
fn first_of(body: &mut Body) -> Option<Bytes> {
    let mut frame = pin!(body.frame());
    match frame.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(frame)) => frame.ok()?.into_data().ok(),
        Poll::Ready(None) | Poll::Pending => None,
    }
}

/// Requests are set apart by lines that hold nothing but a dot.
fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.windows(3).position(|window| window == b"\n.\n");
        rest = end.map(|end| &text[end + 3..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

/// `METHOD TARGET`, then headers as `Name: value`, an empty line, and the body.
fn request(text: &[u8]) -> Option<Request<Body>> {
    let (head, body) = match text.windows(2).position(|window| window == b"\n\n") {
        Some(end) => (&text[..end], &text[end + 2..]),
        None => (text, &b""[..]),
    };
    let mut lines = head.split(|&byte| byte == b'\n');
    let mut first = lines.next()?.splitn(2, |&byte| byte == b' ');
    let mut request = Request::builder().method(first.next()?).uri(first.next()?);
    for line in lines {
        let colon = line.windows(2).position(|window| window == b": ")?;
        request = request.header(&line[..colon], &line[colon + 2..]);
    }
    request.body(Body::from(body.to_vec())).ok()
}
