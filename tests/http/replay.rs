//! The replay of one recorded case against a server, over the wire.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::client::{Client, Head, Reply};
use super::expected::Expected;
use crate::support::now;

/// The headers that every recorded answer states in full: one that is not in the recording has to be absent.
const COMPARED: [&str; 7] =
    ["Content-Type", "X-Etcd-Index", "X-Etcd-Cluster-Id", "X-Raft-Index", "X-Raft-Term", "Allow", "Location"];

/// A key that is never there: asking for it tells the index.
const PROBE: &str = "/v2/keys/_conformance_probe";

/// Plays `case` against the server at `address`.
///
/// # Errors
///
/// What differs first.
pub(crate) fn play(address: SocketAddr, case: &Value) -> Result<(), String> {
    let mut client = Calls { address, client: None };
    client.clean(case, None)?;
    let mut replay = Replay {
        expected: Expected::new(client.index()?, client.stats(case)?),
        client,
        watches: BTreeMap::new(),
    };
    let outcome =
        case["steps"].as_array().expect("steps").iter().enumerate().try_for_each(|(number, step)| {
            replay.step(step).map_err(|problem| format!("step {number}: {problem}\n    {}", step["request"]))
        });
    replay.watches.clear();
    let cleaned = replay.client.clean(case, Some(&replay.expected));
    outcome.and(cleaned)
}

/// Requests that are answered at once, over one connection for as long as it holds.
struct Calls {
    address: SocketAddr,
    client: Option<Client>,
}

struct Replay {
    client: Calls,
    expected: Expected,
    watches: BTreeMap<String, Client>,
}

impl Calls {
    fn call(&mut self, request: &Request) -> Result<Reply, String> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::new(self.address).map_err(failed)?,
        };
        let reply = request.send(&mut client).and_then(|()| client.reply(&request.method)).map_err(failed)?;
        if reply.head.header("Connection") != Some("close") {
            self.client = Some(client);
        }
        Ok(reply)
    }

    fn plain(&mut self, method: &str, target: String) -> Result<Reply, String> {
        self.call(&Request { method: method.to_owned(), target, headers: Vec::new(), body: None })
    }

    fn index(&mut self) -> Result<u64, String> {
        let reply = self.plain("GET", PROBE.to_owned())?;
        let index = reply.head.header("X-Etcd-Index").and_then(|index| index.parse().ok());
        index.ok_or_else(|| format!("no index: {:?}", reply.head))
    }

    fn stats(&mut self, case: &Value) -> Result<Value, String> {
        if case["stats"].as_bool() != Some(true) {
            return Ok(Value::Null);
        }
        let reply = self.plain("GET", "/v2/stats/store".to_owned())?;
        serde_json::from_slice(&reply.body).map_err(|error| error.to_string())
    }

    /// Removes what the case makes, before and after.
    fn clean(&mut self, case: &Value, expected: Option<&Expected>) -> Result<(), String> {
        for request in case["auth_cleanup"].as_array().into_iter().flatten() {
            self.call(&Request::of(request, &Expected::new(0, Value::Null)))?;
        }
        let mut names: Vec<String> =
            case["dir"].as_str().map(|name| format!("/{name}")).into_iter().collect();
        for name in case["cleanup"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            match expected {
                Some(expected) => names.push(expected.fill(name)),
                None if name.contains("${idx") => {}
                None => names.push(name.to_owned()),
            }
        }
        for name in names {
            self.plain("DELETE", format!("/v2/keys{name}?recursive=true"))?;
        }
        Ok(())
    }
}

impl Replay {
    fn step(&mut self, step: &Value) -> Result<(), String> {
        let field = |name| step[name].as_str();
        if let Some(name) = field("open") {
            let mut client = Client::new(self.client.address).map_err(failed)?;
            let request = Request::of(&step["request"], &self.expected);
            request.send(&mut client).map_err(failed)?;
            let head = client.head().map_err(failed)?;
            self.watches.insert(name.to_owned(), client);
            compare_head(&mut self.expected, step, &head)
        } else if let Some(times) = step["repeat"].as_u64() {
            let request = Request::of(&step["request"], &self.expected);
            (0..times).try_for_each(|_| match self.client.call(&request)?.head.status {
                200 | 201 => Ok(()),
                status => Err(format!("status {status} in a repeated request")),
            })
        } else if step.get("request").is_some() {
            let reply = self.client.call(&Request::of(&step["request"], &self.expected))?;
            compare_head(&mut self.expected, step, &reply.head)?;
            compare_body(&mut self.expected, &step["response"], &reply)
        } else if let Some(name) = field("expect") {
            self.expect(name, step)
        } else if let Some(name) = field("quiet") {
            let quiet = self.watch(name)?.is_quiet(seconds(&step["for"])).map_err(failed)?;
            if quiet { Ok(()) } else { Err(format!("{name} is not quiet")) }
        } else if let Some(name) = field("close") {
            self.watches.remove(name).map(|_| ()).ok_or_else(|| format!("no watch {name}"))
        } else if let Some(path) = field("gone") {
            self.until_gone(&self.expected.fill(path))
        } else if step.get("sleep").is_some() {
            std::thread::sleep(seconds(&step["sleep"]));
            Ok(())
        } else {
            Err("unknown kind of step".to_owned())
        }
    }

    fn watch(&mut self, name: &str) -> Result<&mut Client, String> {
        self.watches.get_mut(name).ok_or_else(|| format!("no watch {name}"))
    }

    fn expect(&mut self, name: &str, step: &Value) -> Result<(), String> {
        for wanted in step["events"].as_array().expect("a list of events") {
            let line = self.watch(name)?.chunk().map_err(failed)?.ok_or("ended without the event")?;
            let line = String::from_utf8(line).map_err(|error| error.to_string())?;
            let event = line.strip_suffix('\n').ok_or("no newline at the end of an event")?;
            self.expected.compare_text(wanted, event)?;
        }
        if step["end"].as_bool() == Some(true)
            && let Some(more) = self.watch(name)?.chunk().map_err(failed)?
        {
            return Err(format!("more comes: {}", String::from_utf8_lossy(&more)));
        }
        Ok(())
    }

    fn until_gone(&mut self, path: &str) -> Result<(), String> {
        let started = now();
        while self.client.plain("GET", path.to_owned())?.head.status != 404 {
            if started.elapsed() > Duration::from_secs(20) {
                return Err(format!("{path} is still there"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// A recorded request with its placeholders filled in.
struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    fn of(recorded: &Value, expected: &Expected) -> Self {
        let text = |name: &str| recorded[name].as_str();
        let headers = recorded["headers"].as_object().into_iter().flatten();
        let mut headers: Vec<(String, String)> =
            headers.map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned())).collect();
        if text("form").is_some() && !headers.iter().any(|(name, _)| name == "Content-Type") {
            headers.push(("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        }
        let body = text("form").or(text("body")).map(|body| expected.fill(body).into_bytes());
        let encoded = text("body_b64").map(|body| STANDARD.decode(body).expect("base64"));
        Self {
            method: text("method").expect("a method").to_owned(),
            target: expected.fill(text("path").expect("a path")),
            headers,
            body: body.or(encoded),
        }
    }

    fn send(&self, client: &mut Client) -> io::Result<()> {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        client.send(&self.method, &self.target, &headers, self.body.as_deref())
    }
}

fn compare_head(expected: &mut Expected, step: &Value, head: &Head) -> Result<(), String> {
    let recorded = &step["response"];
    if let Some(status) = recorded["status"].as_u64()
        && u64::from(head.status) != status
    {
        return Err(format!("status: expected {status}, got {}", head.status));
    }
    let Some(headers) = recorded["headers"].as_object() else { return Ok(()) };
    let wanted = spelled_out(headers);
    let more = step["check_headers"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for name in COMPARED.into_iter().chain(more) {
        match (wanted.get(&name.to_lowercase()), head.header(name)) {
            (None, None) => {}
            (Some(wanted), Some(got)) => {
                let is_number = wanted.get("$idx").is_some() || wanted["$any"] == "uint";
                let number = is_number.then(|| got.parse::<u64>().ok().map(Value::from)).flatten();
                expected.compare(wanted, &number.unwrap_or_else(|| got.into()), name)?;
            }
            (wanted, got) => return Err(format!("header {name}: expected {wanted:?}, got {got:?}")),
        }
    }
    Ok(())
}

/// The headers by their names in lower case, with the usual sets of them spelled out.
fn spelled_out(headers: &serde_json::Map<String, Value>) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for (name, value) in headers {
        if name == "@node" || name == "@error" {
            all.insert("content-type".to_owned(), json!("application/json"));
            all.insert("x-etcd-index".to_owned(), value.clone());
            all.insert("x-etcd-cluster-id".to_owned(), json!({"$any": "hex"}));
            if name == "@node" {
                all.insert("x-raft-index".to_owned(), json!({"$any": "uint"}));
                all.insert("x-raft-term".to_owned(), json!({"$any": "uint"}));
            }
        } else {
            all.insert(name.to_lowercase(), value.clone());
        }
    }
    all
}

fn compare_body(expected: &mut Expected, recorded: &Value, reply: &Reply) -> Result<(), String> {
    let text = String::from_utf8(reply.body.clone()).map_err(|error| error.to_string())?;
    if let Some(wanted) = recorded["text"].as_str() {
        let wanted = expected.fill(wanted);
        return if text == wanted { Ok(()) } else { Err(format!("expected {wanted:?}, got {text:?}")) };
    }
    let Some(wanted) = recorded.get("json") else { return Ok(()) };
    let has_newline = recorded["eol"].as_bool() != Some(false);
    if text.ends_with('\n') != has_newline {
        return Err(format!("a newline at the end: expected {has_newline}, got {text:?}"));
    }
    expected.compare_text(wanted, text.trim_end_matches('\n'))
}

fn seconds(number: &Value) -> Duration {
    Duration::from_secs_f64(number.as_f64().expect("seconds"))
}

fn failed(error: io::Error) -> String {
    error.to_string()
}
