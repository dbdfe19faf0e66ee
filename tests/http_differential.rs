//! Random requests to this front and to the real etcd, in its v2 mode: no difference that is not meant.
//!
//! Without etcd on the machine there is nothing to compare with, and the test says so. `SPINNEY_SEED` and
//! `SPINNEY_REQUESTS` make another run of it, or a longer one.

#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod http;
mod support;

use std::net::SocketAddr;

use http::client::{Client, Reply};
use http::etcd::Etcd;
use spinney::Store;
use support::Random;

/// How many requests both are sent, and from which seed, unless something else is said.
const REQUESTS: u64 = 1_500;
const SEED: u64 = 20_261_123;

/// A request as both are sent it.
#[derive(Debug)]
struct Request {
    method: &'static str,
    target: String,
    content_type: Option<&'static str>,
    body: Option<String>,
}

fn pick<'a>(random: &mut Random, list: &[&'a str]) -> &'a str {
    list[random.below(list.len() as u64) as usize]
}

fn path(random: &mut Random) -> String {
    const NAMES: &[&str] = &[
        "a",
        "b",
        "c",
        "d",
        "_h",
        "_i",
        "a%20b",
        "%c3%a9",
        "%ff",
        "%fe%20",
        "%3f",
        "a+b",
        "%00",
        "%3Cx%3E",
        "...",
        "%f4%8f%bf%bf",
        "_spinney",
        "A",
        "%5c%22",
        "%e2%80%a8",
    ];
    let mut path = String::from("/v2/keys");
    for _ in 0..random.below(4) {
        path.push('/');
        // Mostly those that others use, too.
        let names = if random.one_in(4) { NAMES } else { &NAMES[..5] };
        path.push_str(pick(random, names));
    }
    match random.below(40) {
        0 => path.push_str("//x"),
        1 => path.push_str("/../a"),
        2 => path.push_str("/./"),
        3..8 => path.push('/'),
        _ => {}
    }
    path
}

fn parameters(random: &mut Random, index: u64) -> String {
    let mut pairs: Vec<String> = Vec::new();
    let truth: &[&str] = &["true", "true", "true", "false", "1", "", "yes"];
    for (name, odds) in [("recursive", 4), ("dir", 4), ("sorted", 8), ("quorum", 8), ("noValueOnSuccess", 10)]
    {
        if random.one_in(odds) {
            pairs.push(format!("{name}={}", pick(random, truth)));
        }
    }
    if random.one_in(3) {
        pairs.push(format!(
            "value={}",
            pick(random, &["1", "2", "", "x%20y", "%ff%fe", "%3Ca%3E%26", "%0a%00%08", "%E2%80%A9"])
        ));
    }
    if random.one_in(8) {
        pairs.push(format!("prevExist={}", pick(random, &["true", "true", "false", "false", "", "no"])));
    }
    if random.one_in(8) {
        pairs.push(format!("prevValue={}", pick(random, &["1", "2", "x+y", "%ff%fe", "", "%3C"])));
    }
    if random.one_in(8) {
        let near = index.saturating_sub(random.below(6)).to_string();
        pairs.push(format!("prevIndex={}", pick(random, &[&near, &near, "0", "1", "-1", "x"])));
    }
    if random.one_in(8) {
        pairs.push(format!("ttl={}", pick(random, &["1000", "5000", "100", "", "x", "-1", "1.5"])));
    }
    if random.one_in(12) {
        pairs.push(format!("refresh={}", pick(random, &["true", "true", "false", "maybe"])));
    }
    if random.one_in(40) {
        pairs.push(
            pick(random, &["a;b=1", "x=%zz", "%=1", "&&", "stream=true", "wait=nope", "unknown=1"])
                .to_owned(),
        );
    }
    pairs.join("&")
}

fn request(random: &mut Random, index: u64) -> Request {
    const METHODS: &[&str] =
        &["PUT", "PUT", "PUT", "PUT", "GET", "GET", "GET", "DELETE", "DELETE", "POST", "HEAD", "PATCH"];
    const METHODS_ODD: &[&str] = &["OPTIONS", "get", "TRACE"];
    let methods = if random.one_in(50) { METHODS_ODD } else { METHODS };
    let method = pick(random, methods);
    let mut target = path(random);
    let parameters = parameters(random, index);
    let in_form = matches!(method, "PUT" | "POST") && !random.one_in(4);
    if !in_form && !parameters.is_empty() {
        target.push_str(&format!("?{parameters}"));
    }
    let content_type = match random.below(20) {
        0 => Some("text/plain"),
        1 => Some("application/"),
        2 => Some("Application/X-WWW-Form-URLencoded; charset=utf-8"),
        _ => Some("application/x-www-form-urlencoded"),
    };
    let body = in_form.then_some(parameters);
    Request { method, target, content_type: body.is_some().then_some(content_type).flatten(), body }
}

fn plain(method: &'static str, target: String) -> Request {
    Request { method, target, content_type: None, body: None }
}

fn send(client: &mut Option<Client>, address: SocketAddr, request: &Request) -> Reply {
    let mut open = client.take().unwrap_or_else(|| Client::new(address).unwrap());
    let content_type = request.content_type.map(|value| ("Content-Type", value));
    let headers: Vec<(&str, &str)> = content_type.into_iter().collect();
    open.send(request.method, &request.target, &headers, request.body.as_deref().map(str::as_bytes)).unwrap();
    let reply = open.reply(request.method).unwrap();
    if reply.head.header("Connection") != Some("close") {
        *client = Some(open);
    }
    reply
}

/// What of an answer both have to say alike. A listing's order is etcd's whim; moments are not the same moment.
fn comparable(reply: &Reply) -> (u16, Vec<Option<String>>, String) {
    let headers = ["Content-Type", "X-Etcd-Index", "Allow", "Location", "X-Content-Type-Options"];
    let headers = headers.map(|name| reply.head.header(name).map(str::to_owned)).to_vec();
    let mut text = reply.text();
    for (field, end) in [("\"expiration\":\"", '"'), ("\"ttl\":", ',')] {
        let mut from = 0;
        while let Some(at) = text[from..].find(field) {
            let start = from + at + field.len();
            let length = text[start..].find(end).unwrap_or(0);
            text.replace_range(start..start + length, "*");
            from = start;
        }
    }
    match serde_json::from_str(&text.replace(":*,", ":0,")) {
        Ok(serde_json::Value::Object(fields)) if fields.contains_key("node") => {
            let mut value = serde_json::Value::Object(fields);
            sort(&mut value);
            let bytes = text.len();
            text = format!("{value} in {bytes} bytes");
        }
        _ => {}
    }
    (reply.head.status, headers, text)
}

fn sort(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Array(elements) => {
            elements.iter_mut().for_each(sort);
            elements.sort_by_cached_key(|element| element.to_string());
        }
        serde_json::Value::Object(fields) => fields.values_mut().for_each(sort),
        _ => {}
    }
}

#[test]
fn random_requests_are_answered_alike() {
    let Some(etcd) = Etcd::start() else {
        println!("etcd is not installed: there is nothing to compare with");
        return;
    };
    let store = Store::in_memory();
    let (_running, ours) = http::serve(&store);
    let (mut there, mut here) = (None, None);
    let probe = plain("GET", "/v2/keys/nothing".to_owned());
    // etcd has written a few things about itself: as many are written here, where no client looks.
    let index: u64 =
        send(&mut there, etcd.address, &probe).head.header("X-Etcd-Index").unwrap().parse().unwrap();
    for _ in 0..index {
        store.set("/_spinney/padding", "").unwrap();
    }
    let said = |name, otherwise| std::env::var(name).map_or(otherwise, |said| said.parse().unwrap());
    let requests: u64 = said("SPINNEY_REQUESTS", REQUESTS);
    let mut random = Random(said("SPINNEY_SEED", SEED));
    let mut statuses = std::collections::BTreeMap::new();
    for number in 0..requests {
        let request = match number % 25 {
            // A write, and then a look at the last few that there were: this one at least is found.
            23 => plain("PUT", "/v2/keys/last".to_owned()),
            24 => {
                let since = store.index().get().saturating_sub(random.below(10)).max(index + 1);
                plain("GET", format!("/v2/keys?wait=true&recursive=true&waitIndex={since}"))
            }
            _ => request(&mut random, store.index().get()),
        };
        let theirs = send(&mut there, etcd.address, &request);
        let mine = send(&mut here, ours, &request);
        *statuses.entry(theirs.head.status).or_insert(0) += 1;
        assert_eq!(
            comparable(&mine),
            comparable(&theirs),
            "request {number}: {request:?}\nhere:  {mine:?}\nthere: {theirs:?}"
        );
    }
    println!("{requests} requests; answers by status: {statuses:?}");
    assert!(statuses.len() >= 7, "the requests are too much alike: {statuses:?}");
}
