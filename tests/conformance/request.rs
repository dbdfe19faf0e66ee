//! A recorded request as what it asks of the tree: the parameters of `/v2/keys`, read in etcd's order.

use serde_json::Value;
use spinney::internals::tree::{self, Command, Condition, CreateInOrder, Delete, Put, PutMode};
use spinney::{Index, Key};

/// What a request asks for.
pub(crate) enum Asked {
    Get { key: Key, recursive: bool },
    Watch(Asking),
    Write { command: Command, no_value: bool },
}

/// What a watch asks for.
#[derive(Clone)]
pub(crate) struct Asking {
    pub(crate) key: Key,
    pub(crate) recursive: bool,
    pub(crate) stream: bool,
    /// The first index of interest; 0 for whatever comes next.
    pub(crate) since: Index,
}

/// A request whose parameters are wrong: it never gets as far as the tree.
#[derive(Debug)]
pub(crate) struct BadRequest {
    pub(crate) code: u16,
    pub(crate) cause: String,
}

/// The first error wins, in exactly this order.
pub(crate) fn parse(request: &Value) -> Result<Asked, BadRequest> {
    let method = request["method"].as_str().unwrap();
    let target = request["path"].as_str().unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parameters = Parameters::parse(form(request, method), query)?;
    let prev_index = parameters.number("prevIndex", 203)?.filter(|&index| index > 0);
    let since = parameters.number("waitIndex", 203)?.unwrap_or(0);
    let recursive = parameters.flag("recursive")?;
    // Listings are always sorted.
    let _sorted = parameters.flag("sorted")?;
    let wait = parameters.flag("wait")?;
    let dir = parameters.flag("dir")?;
    let quorum = parameters.flag("quorum")?;
    let stream = parameters.flag("stream")?;
    if wait && method != "GET" {
        return Err(bad(209, r#""wait" can only be used with GET requests"#));
    }
    let prev_value = parameters.first("prevValue");
    if prev_value == Some(b"") {
        return Err(bad(201, r#""prevValue" cannot be empty"#));
    }
    let no_value = parameters.flag("noValueOnSuccess")?;
    let ttl = match parameters.first("ttl") {
        Some(b"") => None,
        _ => parameters.number("ttl", 202)?,
    };
    let prev_exist = parameters.nullable_flag("prevExist")?;
    let refresh = parameters.nullable_flag("refresh")?.unwrap_or(false);
    let value = parameters.first("value").unwrap_or_default();
    if refresh && !value.is_empty() {
        return Err(bad(211, "A value was provided on a refresh"));
    }
    if refresh && ttl.is_none() {
        return Err(bad(212, "No TTL value set"));
    }

    let key = key_of(path);
    let value = tree::Value::new(value);
    let ttl_ms = ttl.map(|seconds| seconds.saturating_mul(1000));
    let condition = (prev_value.is_some() || prev_index.is_some())
        .then(|| Condition { value: prev_value.map(tree::Value::new), index: prev_index.map(Index::new) });
    let command = match method {
        "GET" if wait && !quorum => {
            return Ok(Asked::Watch(Asking { key, recursive, stream, since: since.into() }));
        }
        "GET" | "HEAD" => return Ok(Asked::Get { key, recursive }),
        "DELETE" => Command::Delete(Delete { key, dir, recursive, condition }),
        "POST" => Command::CreateInOrder(CreateInOrder { directory: key, value, ttl_ms, dir }),
        "PUT" => {
            let mode = match (prev_exist, condition) {
                (Some(false), _) => PutMode::Create,
                (_, Some(condition)) => PutMode::Swap(condition),
                (Some(true), None) => PutMode::Update,
                (None, None) => PutMode::Set,
            };
            Command::Put(Put { key, mode, value, ttl_ms, dir, refresh })
        }
        _ => panic!("method {method} is not the tree's"),
    };
    Ok(Asked::Write { command, no_value })
}

/// The key that the path of a URL names.
pub(crate) fn key_of(path: &str) -> Key {
    let path = path.strip_prefix("/v2/keys").unwrap_or_else(|| panic!("{path} is not below the keys"));
    let path = String::from_utf8(unescape(path, false).expect("the path is in form")).expect("keys are text");
    Key::parse(if path.is_empty() { "/" } else { &path }).expect("the path is clean")
}

/// The body, where it counts as parameters.
fn form<'a>(request: &'a Value, method: &str) -> &'a str {
    let body = request.get("form").or(request.get("body")).map_or("", |body| body.as_str().unwrap());
    let default = if request.get("form").is_some() { "application/x-www-form-urlencoded" } else { "" };
    let content_type = request["headers"]["Content-Type"].as_str().unwrap_or(default);
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let counts = matches!(method, "PUT" | "POST")
        && media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded");
    if counts { body } else { "" }
}

/// Names and values in the order in which they count: those of the body, then those of the query.
struct Parameters(Vec<(Vec<u8>, Vec<u8>)>);

impl Parameters {
    fn parse(form: &str, query: &str) -> Result<Self, BadRequest> {
        let mut pairs = Vec::new();
        for piece in form.split('&').chain(query.split('&')).filter(|piece| !piece.is_empty()) {
            if piece.contains(';') {
                return Err(bad(210, "invalid semicolon separator in query"));
            }
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            pairs.push((unescape(name, true)?, unescape(value, true)?));
        }
        Ok(Self(pairs))
    }

    fn first(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(found, _)| found == name.as_bytes()).map(|(_, value)| &value[..])
    }

    fn number(&self, name: &str, code: u16) -> Result<Option<u64>, BadRequest> {
        let parse = |value: &[u8]| {
            let digits = value.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(value).unwrap());
            digits.and_then(|digits| digits.parse().ok())
        };
        self.read(name, parse).map_err(|()| bad(code, &format!("invalid value for \"{name}\"")))
    }

    fn flag(&self, name: &str) -> Result<bool, BadRequest> {
        let flag = self.read(name, truth).map_err(|()| bad(209, &format!("invalid value for \"{name}\"")))?;
        Ok(flag.unwrap_or(false))
    }

    /// The two flags that can also be left open; etcd words their error without quotes.
    fn nullable_flag(&self, name: &str) -> Result<Option<bool>, BadRequest> {
        self.read(name, truth).map_err(|()| bad(209, &format!("invalid value for {name}")))
    }

    fn read<T>(&self, name: &str, parse: impl Fn(&[u8]) -> Option<T>) -> Result<Option<T>, ()> {
        self.first(name).map(|value| parse(value).ok_or(())).transpose()
    }
}

fn truth(value: &[u8]) -> Option<bool> {
    match value {
        b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False" => Some(false),
        _ => None,
    }
}

fn unescape(text: &str, plus_is_space: bool) -> Result<Vec<u8>, BadRequest> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let end = if byte == b'%' { (at + 3).min(bytes.len()) } else { at + 1 };
        out.push(match byte {
            b'%' => {
                let escape = String::from_utf8_lossy(&bytes[at..end]);
                let digits = escape.get(1..).filter(|digits| digits.len() == 2 && !digits.starts_with('+'));
                digits
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                    .ok_or_else(|| bad(210, &format!("invalid URL escape \"{escape}\"")))?
            }
            b'+' if plus_is_space => b' ',
            _ => byte,
        });
        at = end;
    }
    Ok(out)
}

fn bad(code: u16, cause: &str) -> BadRequest {
    BadRequest { code, cause: cause.to_owned() }
}
