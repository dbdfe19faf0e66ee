//! `POST /spinney/v1/txn`: several keys at once, which etcd's v2 API has no words for.
//!
//! ```text
//!   {"checks": [{"key": "/a", "index": 7},           the last change of /a has index 7
//!               {"key": "/b", "value": "x"},         the value of /b is x
//!               {"key": "/c", "absent": true}],      nothing is at /c
//!    "operations": [{"set": "/a", "value": "1"},     and "ttl", in seconds, if wanted
//!                   {"mkdir": "/d"},                 where nothing may be yet
//!                   {"remove": "/b"}]}               "dir": true for an empty directory, "recursive": true for all of it
//!   ──►
//!   {"index": 9, "changes": [{"action": "set", "node": {…}, "prevNode": {…}}, …]}
//! ```
//! All of it is done, or nothing: then the answer is an error as of the keys, whose cause begins with the key. Whoever
//! asks needs to have leave to write every key that is named, those in checks included. Other fields are refused.

use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use serde::Deserialize;

use super::front::Front;
use super::json;
use super::keys::event;
use super::names;
use super::refusal::Refusal;
use super::respond::{self, Answer, X_ETCD_CLUSTER_ID, X_ETCD_INDEX};
use crate::error::Error;
use crate::event::Change;
use crate::store::{Store, Transaction};

/// The body of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    checks: Vec<Check>,
    operations: Vec<Operation>,
}

/// What must hold before anything is done: exactly one of the three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    key: String,
    index: Option<u64>,
    value: Option<String>,
    absent: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Operation {
    Set(Set),
    Mkdir(Mkdir),
    Remove(Remove),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    set: String,
    value: String,
    ttl: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mkdir {
    mkdir: String,
    ttl: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Remove {
    remove: String,
    #[serde(default)]
    dir: bool,
    #[serde(default)]
    recursive: bool,
}

impl Operation {
    fn key(&self) -> &str {
        match self {
            Self::Set(set) => &set.set,
            Self::Mkdir(mkdir) => &mkdir.mkdir,
            Self::Remove(remove) => &remove.remove,
        }
    }

    fn is_recursive(&self) -> bool {
        matches!(self, Self::Remove(remove) if remove.recursive)
    }
}

impl Front {
    /// Answers a request for a transaction.
    pub(super) async fn transaction(&self, parts: &Parts, body: Body) -> Answer {
        if let Some(answer) = respond::unless_allowed(&parts.method, Method::POST.as_str()) {
            return answer;
        }
        let mut answer = match self.transact(parts, body).await {
            Ok((index, body)) => {
                let mut answer = respond::json(StatusCode::OK, body);
                respond::number(answer.headers_mut(), X_ETCD_INDEX, index);
                answer
            }
            Err(refusal) => {
                let mut answer = respond::json(refusal.status, refusal.body());
                respond::number(answer.headers_mut(), X_ETCD_INDEX, refusal.index.get());
                answer
            }
        };
        answer.headers_mut().insert(X_ETCD_CLUSTER_ID, self.cluster_id());
        answer
    }

    async fn transact(&self, parts: &Parts, body: Body) -> Result<(u64, Vec<u8>), Refusal> {
        let body = self.body(body).await.map_err(|cause| Refusal::bad_request(210, cause))?;
        let asked: Asked =
            serde_json::from_slice(&body).map_err(|error| Refusal::bad_request(210, error.to_string()))?;
        for check in &asked.checks {
            self.may_write(parts, &check.key, false).await?;
        }
        for operation in &asked.operations {
            self.may_write(parts, operation.key(), operation.is_recursive()).await?;
        }
        let pending = prepare(self.store(), &asked)?.submit();
        let changes = pending.await.map_err(refused)?;
        let index = changes.last().map_or_else(|| self.store().index(), |change| change.index()).get();
        Ok((index, shown(index, &changes)))
    }

    async fn may_write(&self, parts: &Parts, key: &str, recursive: bool) -> Result<(), Refusal> {
        // As a path after /v2/keys would be: with a slash before it.
        let slash = if key.starts_with('/') { "" } else { "/" };
        let path = format!("{slash}{key}");
        if self.may_access(parts, path.as_bytes(), recursive).await {
            Ok(())
        } else {
            Err(Refusal::unauthorized())
        }
    }
}

/// What is asked for, as the store takes it.
fn prepare<'a>(store: &'a Store, asked: &Asked) -> Result<Transaction<'a>, Refusal> {
    let mut transaction = store.txn();
    for Check { key, index, value, absent } in &asked.checks {
        let check = transaction.check(names::to_tree(key.as_bytes()));
        transaction = match (index, value, absent) {
            (Some(index), None, None) => check.at(*index),
            (None, Some(value), None) => check.is(value.as_str()),
            (None, None, Some(true)) => check.absent(),
            (None, None, Some(false)) => check.exists(),
            _ => {
                let cause = format!("the check of {key} needs exactly one of index, value and absent");
                return Err(Refusal::bad_request(209, cause));
            }
        };
    }
    for operation in &asked.operations {
        let key = names::to_tree(operation.key().as_bytes());
        transaction = match operation {
            Operation::Set(set) => transaction.put(key, |put| {
                let put = put.value(set.value.as_str());
                set.ttl.iter().fold(put, |put, ttl| put.ttl(Duration::from_secs(*ttl)))
            }),
            Operation::Mkdir(mkdir) => transaction.put(key, |put| {
                let put = put.dir().if_absent();
                mkdir.ttl.iter().fold(put, |put, ttl| put.ttl(Duration::from_secs(*ttl)))
            }),
            Operation::Remove(remove) => {
                transaction.remove(key, |delete| match (remove.recursive, remove.dir) {
                    (true, _) => delete.recursive(),
                    (false, true) => delete.dir(),
                    (false, false) => delete,
                })
            }
        };
    }
    Ok(transaction)
}

/// A refusal that says which of the keys it is about.
fn refused(error: Error) -> Refusal {
    match &error {
        Error::CompareFailed { key, cause, index, .. } => {
            let mut about = names::to_wire(key).into_owned();
            if !cause.is_empty() {
                about.push(b' ');
                about.extend_from_slice(cause.as_bytes());
            }
            Refusal::new(101, about, *index)
        }
        _ => error.into(),
    }
}

fn shown(index: u64, changes: &[std::sync::Arc<Change>]) -> Vec<u8> {
    let mut out = b"{\"index\":".to_vec();
    json::number(&mut out, index);
    out.extend_from_slice(b",\"changes\":[");
    for (position, change) in changes.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        out.extend_from_slice(event::change(change).trim_ascii_end());
    }
    out.extend_from_slice(b"]}\n");
    out
}
