//! Random requests about users, roles and the switch, and to keys under them, to this front and to the real etcd: no
//! difference that is not meant.
//!
//! Without etcd on the machine there is nothing to compare with, and the test says so. `SPINNEY_SEED` and
//! `SPINNEY_REQUESTS` make another run of it, or a longer one.

#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod http;
mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::client::{Client, Reply};
use http::etcd::Etcd;
use spinney::Store;
use support::Random;

/// How many requests both are sent, and from which seed, unless something else is said. etcd hashes the password for
/// each that brings one, which takes its time.
const REQUESTS: u64 = 500;
const SEED: u64 = 20_261_126;

/// So many differences are told of at a time.
const TOLD_MAX: usize = 10;

/// What both are sent first, by whom, and with which body: the user root keeps its role, whatever is said; a pattern that
/// is but a star, which etcdctl does not let through, lets at everything.
const BEGINNING: &[(&str, &str, &str, &str)] = &[
    ("PUT", "/v2/auth/users/root", "", r#"{"user":"root","password":"p"}"#),
    ("PUT", "/v2/auth/users/root", "", r#"{"user":"root","grant":["root"]}"#),
    ("PUT", "/v2/auth/users/root", "", r#"{"user":"root","revoke":["root"]}"#),
    ("PUT", "/v2/auth/users/root", "", r#"{"user":"root","grant":["root"]}"#),
    ("PUT", "/v2/auth/users/root", "", r#"{"user":"root","grant":["guest"]}"#),
    ("PUT", "/v2/auth/users/root", "", r#"{"user":"root","revoke":["root"]}"#),
    ("PUT", "/v2/auth/users/root", "", r#"{"user":"root","password":"p"}"#),
    ("PUT", "/v2/keys/star/light?value=1", "", ""),
    ("PUT", "/v2/auth/roles/star", "", r#"{"role":"star","permissions":{"kv":{"read":["*"]}}}"#),
    ("PUT", "/v2/auth/users/star", "", r#"{"user":"star","password":"p","roles":["star"]}"#),
    ("PUT", "/v2/auth/enable", "", ""),
    ("GET", "/v2/keys/star/light", "star:p", ""),
    ("GET", "/v2/keys/star?recursive=true", "star:p", ""),
    ("PUT", "/v2/keys/star/light?value=2", "star:p", ""),
    ("PUT", "/v2/auth/roles/star", "root:p", r#"{"role":"star","grant":{"kv":{"write":["*"]}}}"#),
    ("PUT", "/v2/keys/star/light?value=3", "star:p", ""),
    ("DELETE", "/v2/keys/star?recursive=true", "star:p", ""),
    ("DELETE", "/v2/auth/enable", "root:p", ""),
];

const USERS: &[&str] = &["root", "u", "v", "w x", "é", "<u>"];
const ROLES: &[&str] = &["root", "guest", "r", "s", "a b", "é&"];
const PATTERNS: &[&str] = &["/*", "*", "/a", "/a/*", "/a*", "/b/", "/d/é", "/a b", "", "/a//b", "/<b>"];

/// A request as both are sent it.
#[derive(Debug)]
struct Request {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
}

fn pick<'a>(random: &mut Random, list: &[&'a str]) -> &'a str {
    list[random.below(list.len() as u64) as usize]
}

fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./*".contains(&byte);
    name.bytes()
        .map(|byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02x}") })
        .collect()
}

/// A list of some of `names` in JSON, with what a list may have in it that it should not.
fn list(random: &mut Random, names: &[&str]) -> String {
    match random.below(16) {
        0 => return "null".to_owned(),
        1 => return "[]".to_owned(),
        2 => return pick(random, &["{}", "\"r\"", "[1]", "[null]", "[[\"r\"]]", "[\"\\ud800\"]"]).to_owned(),
        _ => {}
    }
    let count = 1 + random.below(3);
    let names: Vec<_> = (0..count).map(|_| format!("{:?}", pick(random, names))).collect();
    format!("[{}]", names.join(","))
}

/// A name of a field, mostly as it is written.
fn field(random: &mut Random, name: &str) -> String {
    if random.one_in(30) { name.to_uppercase() } else { name.to_owned() }
}

/// An object of these fields, or something that is nearly one.
fn object(random: &mut Random, fields: &[(String, String)]) -> Vec<u8> {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let mut text = format!("{{{}}}", fields.join(","));
    match random.below(60) {
        0 => text.truncate(text.len() - 1),
        1 => text.push_str(" trailing"),
        2 => text.insert_str(0, " \r\n\t"),
        3 => {
            text = pick(
                random,
                &["", "null", "[]", "1", "\"u\"", "{", "[\"u\",\"p\"]", "tru", "{\"user\":\"u\",}"],
            )
            .to_owned()
        }
        4 => text.insert_str(1, "\"more\":{\"a\":[1,2.5e3,null,true]},"),
        5 => text.insert_str(1, "\"user\":\"other\",\"role\":\"other\","),
        _ => {}
    }
    let mut bytes = text.into_bytes();
    if random.one_in(60) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        bytes.insert(at, 0xff);
    }
    bytes
}

fn user(random: &mut Random, name: &str) -> Vec<u8> {
    let said = if random.one_in(15) { pick(random, USERS) } else { name };
    let mut fields = vec![(field(random, "user"), format!("{said:?}"))];
    let word = pick(random, &["\"p\"", "\"p\"", "\"p\"", "\"q\"", "\"\"", "null", "1"]);
    if !random.one_in(4) {
        fields.push((field(random, "password"), word.to_owned()));
    }
    for (list_name, odds) in [("roles", 4), ("grant", 3), ("revoke", 6)] {
        if random.one_in(odds) {
            fields.push((field(random, list_name), list(random, ROLES)));
        }
    }
    object(random, &fields)
}

fn permissions(random: &mut Random) -> String {
    match random.below(30) {
        0 => return "null".to_owned(),
        1 => return "{}".to_owned(),
        2 => {
            return pick(
                random,
                &["{\"kv\":null}", "{\"kv\":{}}", "{\"kv\":[]}", "[]", "{\"KV\":{\"Read\":[\"/a\"]}}"],
            )
            .to_owned();
        }
        _ => {}
    }
    let (read, write) = (list(random, PATTERNS), list(random, PATTERNS));
    match random.below(3) {
        0 => format!("{{\"kv\":{{\"read\":{read},\"write\":{write}}}}}"),
        1 => format!("{{\"kv\":{{\"read\":{read}}}}}"),
        _ => format!("{{\"kv\":{{\"write\":{write}}}}}"),
    }
}

fn role(random: &mut Random, name: &str) -> Vec<u8> {
    let said = if random.one_in(15) { pick(random, ROLES) } else { name };
    let mut fields = vec![(field(random, "role"), format!("{said:?}"))];
    for (list_name, odds) in [("permissions", 2), ("grant", 3), ("revoke", 5)] {
        if random.one_in(odds) {
            fields.push((field(random, list_name), permissions(random)));
        }
    }
    object(random, &fields)
}

/// Who asks: mostly root, whose password is `p` or `q`.
/// What says who asks, made of a name, a colon and a password.
fn basic(who: &str) -> String {
    format!("Basic {}", STANDARD.encode(who))
}

fn credentials(random: &mut Random) -> Option<String> {
    match random.below(12) {
        0..6 => Some(basic("root:p")),
        6 => Some(basic("root:q")),
        7 => Some(basic(&format!("{}:{}", pick(random, USERS), pick(random, &["p", "q", ""])))),
        8 if random.one_in(2) => Some(basic("nobody:p")),
        8 if random.one_in(3) => Some(
            pick(
                random,
                &[
                    "",
                    "Basic",
                    "Basic ",
                    "Basic !",
                    "basic cm9vdDpw",
                    "Bearer x",
                    "Basic cm9vdA==",
                    "Basic cm9vdDpw=",
                    "Basic  cm9vdDpw",
                ],
            )
            .to_owned(),
        ),
        _ => None,
    }
}

fn about_auth(random: &mut Random, is_on: bool) -> Request {
    let method = pick(random, &["GET", "GET", "PUT", "PUT", "PUT", "PUT", "DELETE", "POST", "HEAD"]);
    let method: &'static str = if random.one_in(3) && method != "GET" { "PUT" } else { method };
    let (name, shelf) =
        if random.one_in(2) { (pick(random, USERS), "users") } else { (pick(random, ROLES), "roles") };
    let (target, body) = match random.below(20) {
        0..2 => ("/v2/auth/enable".to_owned(), None),
        2 => (format!("/v2/auth/{shelf}"), None),
        3 => (
            pick(
                random,
                &[
                    "/v2/auth/enable/",
                    "/v2/auth/users/",
                    "/v2/auth/roles/",
                    "/v2/auth",
                    "/v2/auth/",
                    "/v2/auth/users/u/",
                    "/v2/auth/users/a/b",
                    "/v2/auth/userss",
                ],
            )
            .to_owned(),
            None,
        ),
        _ => {
            let body = if shelf == "users" { user(random, name) } else { role(random, name) };
            (format!("/v2/auth/{shelf}/{}", encoded(name)), (method == "PUT").then_some(body))
        }
    };
    let mut headers = Vec::new();
    // While nobody is asked who they are, whoever says so is not looked at.
    let who = if is_on || random.one_in(10) { credentials(random) } else { None };
    headers.extend(who.map(|who| ("Authorization", who)));
    if body.is_some() && !random.one_in(10) {
        headers.push(("Content-Type", "application/json".to_owned()));
    }
    Request { method, target, headers, body }
}

fn about_keys(random: &mut Random) -> Request {
    let method = pick(random, &["GET", "GET", "HEAD", "PUT", "PUT", "POST", "DELETE"]);
    let path = pick(
        random,
        &[
            "",
            "/",
            "/a",
            "/a/",
            "/a/b",
            "/ab",
            "/b",
            "/b/",
            "/d/%c3%a9",
            "/a%20b",
            "/%61",
            "/a%2Fb",
            "/%3Cb%3E",
            "/_h",
        ],
    );
    let query = pick(
        random,
        &["", "", "", "?recursive=true", "?recursive=true&dir=true", "?quorum=true", "?recursive=maybe"],
    );
    let mut headers: Vec<_> = credentials(random).map(|who| ("Authorization", who)).into_iter().collect();
    let body = (method == "PUT").then(|| b"value=1".to_vec());
    if body.is_some() {
        headers.push(("Content-Type", "application/x-www-form-urlencoded".to_owned()));
    }
    Request { method, target: format!("/v2/keys{path}{query}"), headers, body }
}

/// A change of a member that there is not.
fn about_members(random: &mut Random) -> Request {
    const URLS: &[&str] = &[
        "\"http://h:1\"",
        "\"http://h:1\"",
        "\"http://h:1\"",
        "\" http://h:1\\n\"",
        "\"h:1\"",
        "\"127.0.0.1:1\"",
        "\"http://h\"",
        "\"http://h:x\"",
        "\"http://h:1/\"",
        "\"http://h:1/a\"",
        "\"ftp://h:1\"",
        "\"http://h:1?a=b#c\"",
        "\"%zz\"",
        "\"http://h/%zz\"",
        "\"\"",
        "null",
        "1",
        "\":1\"",
        "\"http://\"",
        "\"http://[::1]:1\"",
        "\"http://[::1\"",
        "\"http://[::1]\"",
        "\"http://a b:1\"",
        "\"http://%41:1\"",
        "\"http://u:p@h:1\"",
        "\"http://a:1:2\"",
        "\"HTTP://h:1\"",
        "\"http:h:1\"",
        "\"http://h\\u0001:1\"",
        "\"//h:1\"",
        "\"/a:b\"",
        "\"a/b:c\"",
        "\"http://h:1:x\"",
        "\"*\"",
    ];
    const OTHERS: &[&str] =
        &["null", "1", "\"x\"", "{}", "true", "-", "[", "[1,]", "\"\\u12\"", "tru", "nul ", "1.", "1e", "01"];
    let urls: Vec<_> = (0..random.below(3)).map(|_| pick(random, URLS)).collect();
    let value =
        if random.one_in(8) { pick(random, OTHERS).to_owned() } else { format!("[{}]", urls.join(",")) };
    let name = field(random, "peerURLs");
    let body = object(random, &[(name, value)]);
    let types =
        ["application/json", "application/json", "Application/JSON;x", "Application/JSON", "text/plain", ""];
    let content_type = if random.one_in(8) { pick(random, &types) } else { types[0] };
    let targets = ["/v2/members/abc", "/v2/members/abc", "/v2/members/", "/v2/members/zz", "/v2/members"];
    let target = pick(random, &targets).to_owned();
    let headers = vec![("Content-Type", content_type.to_owned())];
    Request { method: "PUT", target, headers, body: Some(body) }
}

fn plain(method: &'static str, target: &str) -> Request {
    Request { method, target: target.to_owned(), headers: Vec::new(), body: None }
}

fn request(random: &mut Random, is_on: bool) -> Request {
    match random.below(100) {
        0..2 => plain("PUT", "/v2/auth/enable"),
        2..5 => plain("GET", pick(random, &["/v2/members", "/version", "/v2/machines", "/v2/auth/enable"])),
        5 => plain("DELETE", pick(random, &["/v2/members/abc", "/v2/members/+1", "/v2/members/"])),
        6..30 if !is_on => about_members(random),
        6..40 if is_on => about_keys(random),
        30..36 => about_keys(random),
        _ => about_auth(random, is_on),
    }
}

/// The answer; `None` where the server hangs up instead, as etcd does when something panics there.
fn send(client: &mut Option<Client>, address: SocketAddr, request: &Request) -> Option<Reply> {
    let mut open = client.take().unwrap_or_else(|| Client::new(address).unwrap());
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    open.send(request.method, &request.target, &headers, request.body.as_deref()).unwrap();
    let reply = open.reply(request.method).ok()?;
    if reply.head.header("Connection") != Some("close") {
        *client = Some(open);
    }
    Some(reply)
}

/// What of an answer both have to say alike: not the numbers, which count other things, nor who the members are.
fn comparable(request: &Request, reply: &Reply) -> (u16, Vec<String>, String) {
    let mut headers: Vec<_> = reply
        .head
        .headers
        .iter()
        .filter(|(name, _)| {
            !["date", "content-length", "transfer-encoding"].contains(&name.to_lowercase().as_str())
        })
        .map(|(name, value)| match name.to_lowercase().as_str() {
            name if name.starts_with("x-etcd") || name.starts_with("x-raft") => name.to_owned(),
            name => format!("{name}: {value}"),
        })
        .collect();
    headers.sort_unstable();
    let mut text = reply.text();
    if request.method == "GET" && request.target == "/v2/members"
        || request.target.starts_with("/v2/machines")
    {
        text.clear();
    }
    for field in ["\"modifiedIndex\":", "\"createdIndex\":", "\"index\":", "/0000"] {
        let mut from = 0;
        while let Some(at) = text[from..].find(field) {
            from += at + field.len();
            let digits = text[from..].bytes().take_while(u8::is_ascii_digit).count();
            text.replace_range(from..from + digits, "");
        }
    }
    match serde_json::from_str(&text.replace("Index\":", "Index\":0")) {
        // In etcd's listings there is no order.
        Ok(serde_json::Value::Object(fields))
            if fields.get("node").is_some_and(|node| node["nodes"].is_array()) =>
        {
            let mut bytes = text.into_bytes();
            bytes.sort_unstable();
            text = String::from_utf8_lossy(&bytes).into_owned();
        }
        _ => {}
    }
    (reply.head.status, headers, text)
}

#[test]
fn whoever_asks_is_let_in_and_refused_alike() {
    let Some(etcd) = Etcd::start() else {
        println!("etcd is not installed: there is nothing to compare with");
        return;
    };
    let (_running, ours) = http::serve(&Store::in_memory());
    let (mut there, mut here) = (None, None);
    let said = |name, otherwise| std::env::var(name).map_or(otherwise, |said| said.parse().unwrap());
    let (requests, seed) = (said("SPINNEY_REQUESTS", REQUESTS), said("SPINNEY_SEED", SEED));
    let mut random = Random(seed);
    let (mut answers, mut different) = (BTreeMap::new(), Vec::new());
    let (mut is_on, mut unanswered) = (false, 0);
    for number in 0..requests {
        let request = match BEGINNING.get(number as usize) {
            Some(&(method, target, who, body)) => Request {
                headers: (!who.is_empty()).then(|| ("Authorization", basic(who))).into_iter().collect(),
                body: (!body.is_empty()).then(|| body.as_bytes().to_vec()),
                ..plain(method, target)
            },
            None => request(&mut random, is_on),
        };
        let theirs = send(&mut there, etcd.address, &request);
        if theirs.is_none() && request.method != "GET" {
            // It has failed within etcd before it did anything: ours would do it.
            unanswered += 1;
            continue;
        }
        let mine = send(&mut here, ours, &request).expect("ours answers everything");
        let Some(theirs) = theirs else {
            unanswered += 1;
            continue;
        };
        let about = if request.target.starts_with("/v2/auth") { "auth" } else { "else" };
        *answers.entry((about, theirs.head.status)).or_insert(0) += 1;
        if comparable(&request, &mine) != comparable(&request, &theirs) {
            let Request { method, target, headers, body } = request;
            let body = body.map(|body| String::from_utf8_lossy(&body).into_owned());
            let shown =
                |reply: &Reply| format!("{} {:?} {}", reply.head.status, reply.head.headers, reply.text());
            different.push(format!(
                "request {number}: {method} {target} {headers:?} {body:?}\n  here:  {}\n  there: {}",
                shown(&mine),
                shown(&theirs)
            ));
            if different.len() == TOLD_MAX {
                break;
            }
        }
        let switch = send(&mut there, etcd.address, &plain("GET", "/v2/auth/enable")).unwrap();
        is_on = switch.text().contains("true");
    }
    println!(
        "{requests} requests, {unanswered} of which etcd does not answer; answers by status: {answers:?}"
    );
    assert!(different.is_empty(), "seed {seed}:\n{}", different.join("\n"));
    assert!(unanswered <= requests / 100, "{unanswered} requests are not answered");
    assert!(answers.len() >= 9, "the requests are too much alike: {answers:?}");
}
