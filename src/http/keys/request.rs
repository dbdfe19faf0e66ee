//! What a request to `/v2/keys` asks for, once its parameters are read.

use axum::http::Method;

use crate::error::Error;
use crate::http::form::Parameters;
use crate::http::names;
use crate::http::refusal::Refusal;
use crate::key::Key;
use crate::tree::{Command, Condition, CreateInOrder, Delete, Put, PutMode, Value};
use crate::types::Index;

/// A TTL that reaches beyond what etcd can count in nanoseconds lasts for ever.
const TTL_SECONDS_MAX: u64 = i64::MAX as u64 / 1_000_000_000;

/// What a request asks for.
#[derive(Debug)]
pub(super) enum Asked {
    Get {
        key: Key,
        recursive: bool,
        /// Whether it must see everything that was answered before, to anybody.
        latest: bool,
    },
    Watch(Asking),
    Write {
        command: Command,
        no_value: bool,
    },
}

/// What a watch asks for.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) key: Key,
    pub(super) recursive: bool,
    pub(super) stream: bool,
    /// The first index of interest; `None` for whatever comes next.
    pub(super) since: Option<Index>,
}

/// A request that is in form. What it asks for is not looked at before it is known whether it may.
#[derive(Debug)]
pub(super) struct Request {
    method: Method,
    pub(super) recursive: bool,
    wait: bool,
    stream: bool,
    quorum: bool,
    dir: bool,
    since: Option<Index>,
    condition: Option<Condition>,
    value: Vec<u8>,
    no_value: bool,
    ttl_ms: Option<u64>,
    prev_exist: Option<bool>,
    refresh: bool,
}

impl Request {
    /// # Errors
    ///
    /// The first thing that is wrong, in exactly this order.
    pub(super) fn parse(method: &Method, parameters: &Parameters<'_>) -> Result<Self, Refusal> {
        let read = Reader(parameters);
        let prev_index = read.number("prevIndex", 203)?.filter(|&index| index > 0);
        let since = read.number("waitIndex", 203)?.filter(|&index| index > 0);
        let recursive = read.flag("recursive")?;
        // Listings are sorted anyway.
        let _sorted = read.flag("sorted")?;
        let wait = read.flag("wait")?;
        let dir = read.flag("dir")?;
        let quorum = read.flag("quorum")?;
        let stream = read.flag("stream")?;
        if wait && method != Method::GET {
            return Err(Refusal::bad_request(209, r#""wait" can only be used with GET requests"#));
        }
        let prev_value = parameters.first("prevValue");
        if prev_value == Some(b"") {
            return Err(Refusal::bad_request(201, r#""prevValue" cannot be empty"#));
        }
        let no_value = read.flag("noValueOnSuccess")?;
        let ttl = match parameters.first("ttl") {
            Some(b"") => None,
            _ => read.number("ttl", 202)?,
        };
        let prev_exist = read.nullable_flag("prevExist")?;
        let refresh = read.nullable_flag("refresh")?.unwrap_or(false);
        let value = parameters.first("value").unwrap_or_default();
        if refresh && !value.is_empty() {
            return Err(Refusal::bad_request(211, "A value was provided on a refresh"));
        }
        if refresh && ttl.is_none() {
            return Err(Refusal::bad_request(212, "No TTL value set"));
        }
        let condition = (prev_value.is_some() || prev_index.is_some())
            .then(|| Condition { value: prev_value.map(Value::new), index: prev_index.map(Index::new) });
        Ok(Self {
            method: method.clone(),
            recursive,
            wait,
            stream,
            quorum,
            dir,
            since: since.map(Index::new),
            condition,
            value: value.to_vec(),
            no_value,
            ttl_ms: ttl.filter(|&seconds| seconds <= TTL_SECONDS_MAX).map(|seconds| seconds * 1000),
            prev_exist,
            refresh,
        })
    }

    /// What is asked for of the node at `path`, which is decoded and clean.
    ///
    /// # Errors
    ///
    /// When no key of the tree can have that path.
    pub(super) fn asks(self, path: &[u8]) -> Result<Asked, Refusal> {
        let Self { recursive, dir, ttl_ms, no_value, .. } = self;
        let key = key_of(path)?;
        let command = match self.method {
            Method::GET if self.wait && !self.quorum => {
                let Self { stream, since, .. } = self;
                return Ok(Asked::Watch(Asking { key, recursive, stream, since }));
            }
            Method::GET => return Ok(Asked::Get { key, recursive, latest: self.quorum }),
            Method::HEAD => return Ok(Asked::Get { key, recursive, latest: false }),
            Method::DELETE => Command::Delete(Delete { key, dir, recursive, condition: self.condition }),
            Method::POST => {
                let value = Value::new(self.value);
                Command::CreateInOrder(CreateInOrder { directory: key, value, ttl_ms, dir })
            }
            _ => {
                let mode = match (self.prev_exist, self.condition) {
                    (Some(false), _) => PutMode::Create,
                    (_, Some(condition)) => PutMode::Swap(condition),
                    (Some(true), None) => PutMode::Update,
                    (None, None) => PutMode::Set,
                };
                let (value, refresh) = (Value::new(self.value), self.refresh);
                Command::Put(Put { key, mode, value, ttl_ms, dir, refresh })
            }
        };
        Ok(Asked::Write { command, no_value })
    }
}

/// The key that the decoded and clean `path` below `/v2/keys` names.
fn key_of(path: &[u8]) -> Result<Key, Refusal> {
    let text = names::to_tree(if path.is_empty() { b"/" } else { path });
    Key::parse(&text)
        .map_err(|reason| Error::InvalidKey { text: text.into_owned(), reason })
        .map_err(Refusal::from)
}

/// Parameters as what they should be.
struct Reader<'a>(&'a Parameters<'a>);

impl Reader<'_> {
    fn number(&self, name: &str, code: u16) -> Result<Option<u64>, Refusal> {
        let parse = |value: &[u8]| {
            let digits = value.iter().all(u8::is_ascii_digit).then_some(value)?;
            str::from_utf8(digits).ok()?.parse().ok()
        };
        self.read(name, parse)
            .map_err(|()| Refusal::bad_request(code, format!("invalid value for \"{name}\"")))
    }

    fn flag(&self, name: &str) -> Result<bool, Refusal> {
        let flag = self.read(name, truth);
        let flag = flag.map_err(|()| Refusal::bad_request(209, format!("invalid value for \"{name}\"")))?;
        Ok(flag.unwrap_or(false))
    }

    /// One of the two flags that can also be left open; etcd words their error without quotes.
    fn nullable_flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        let flag = self.read(name, truth);
        flag.map_err(|()| Refusal::bad_request(209, format!("invalid value for {name}")))
    }

    fn read<T>(&self, name: &str, parse: impl Fn(&[u8]) -> Option<T>) -> Result<Option<T>, ()> {
        self.0.first(name).map(|value| parse(value).ok_or(())).transpose()
    }
}

fn truth(value: &[u8]) -> Option<bool> {
    match value {
        b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False" => Some(false),
        _ => None,
    }
}
