//! Where keys are read from, and changed: a server, or a data directory that nobody serves.

use std::path::Path;

use serde::Serialize;

use super::plan::{Guard, Plan, Step};
use crate::cli::client::{ClientError, Cluster, Exist, Get, Node, Put, Remove, Request};
use crate::cli::failure::{Failure, exit, explain};
use crate::cli::serve::refuse_etcds;
use crate::cli::session::Session;
use crate::error::Error;
use crate::node::Node as StoreNode;
use crate::store::Store;
use crate::types::Timestamp;

/// A server, or a data directory.
pub(super) enum Source<'a> {
    Server { session: &'a Session, cluster: Cluster },
    Directory(Store),
}

/// What became of a plan.
pub(super) enum Done {
    /// All of it, and this is the index now.
    All { index: u64 },
    /// Nothing, since the server has no transactions.
    NoTransactions,
}

impl<'a> Source<'a> {
    /// The data directory, if one is named; else the servers of the session.
    pub(super) fn open(session: &'a Session, data_dir: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = data_dir else {
            return Ok(Self::Server { session, cluster: session.cluster()? });
        };
        refuse_etcds(path)?;
        // Opening would make what is not there.
        let opened = Store::verify(path).and_then(|_| Store::open(path));
        let opened = opened.map_err(|error| {
            Failure::plain(format_args!("cannot open {}: {}", path.display(), explain(&error)))
        });
        Ok(Self::Directory(opened?))
    }

    /// What is at `key` and below it; `None` when nothing is.
    pub(super) fn read(&self, key: &str) -> Result<Option<Node>, Failure> {
        match self {
            Self::Server { session, cluster } => {
                let get = Get { key: key.as_bytes(), recursive: true, sorted: true, quorum: true };
                match cluster.get(&get, session.deadline()) {
                    Ok(answer) => Ok(Some(answer.node)),
                    Err(error) if error.code() == Some(100) => Ok(None),
                    Err(error) => Err(Failure::server(&error)),
                }
            }
            Self::Directory(store) => match store.get(key) {
                Ok(node) => convert(&node, store.now()).map(Some).map_err(Failure::plain),
                Err(Error::KeyNotFound { .. }) => Ok(None),
                Err(error) => Err(Failure::plain(explain(&error))),
            },
        }
    }

    /// Does what `plan` says, all of it or nothing.
    pub(super) fn apply(&self, plan: &Plan) -> Result<Done, Failure> {
        match self {
            Self::Server { session, cluster } => apply_on_server(session, cluster, plan),
            Self::Directory(store) => {
                let changes =
                    transaction(store, plan).commit().map_err(|error| Failure::plain(explain(&error)))?;
                let index = changes.last().map_or_else(|| store.index(), |change| change.index());
                Ok(Done::All { index: index.get() })
            }
        }
    }

    /// Does what `plan` says, one step after the other, each only if nobody changed the key meanwhile.
    pub(super) fn apply_one_by_one(&self, plan: &Plan) -> Result<Done, Failure> {
        let Self::Server { session, cluster } = self else { return self.apply(plan) };
        let mut index = 0;
        for (done, step) in plan.steps.iter().enumerate() {
            let answer = write(session, cluster, step).map_err(|error| {
                let all = plan.steps.len();
                let text = format!("{done} of {all} changes were made; then {} failed: {error}", step.key);
                Failure::with_code(text, exit::SERVER_ERROR)
            })?;
            index = answer;
        }
        Ok(Done::All { index })
    }
}

fn write(session: &Session, cluster: &Cluster, step: &Step) -> Result<u64, ClientError> {
    let key = step.key.as_bytes();
    let (exist, prev_index) = match step.guard {
        Guard::Absent => (Exist::No, 0),
        Guard::Index(index) => (Exist::Any, index),
        Guard::Empty => (Exist::Any, 0),
    };
    let answer = match (&step.after, step.is_dir) {
        (None, dir) => {
            cluster.remove(&Remove { key, dir, prev_index, ..Remove::default() }, session.deadline())
        }
        (Some(_), true) => cluster.put(&Put { key, exist, ..Put::default() }, session.deadline()),
        (Some(value), false) => {
            let value = Some(value.as_bytes());
            cluster.put(&Put { key, value, exist, prev_index, ..Put::default() }, session.deadline())
        }
    };
    answer.map(|answer| answer.index)
}

/// A transaction as the server takes it.
#[derive(Serialize)]
struct Body<'a> {
    checks: Vec<Check<'a>>,
    operations: Vec<Operation<'a>>,
}

#[derive(Serialize)]
struct Check<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<bool>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Operation<'a> {
    Set { set: &'a str, value: &'a str },
    Mkdir { mkdir: &'a str },
    Remove { remove: &'a str, dir: bool },
}

fn apply_on_server(session: &Session, cluster: &Cluster, plan: &Plan) -> Result<Done, Failure> {
    let mut body = Body { checks: Vec::new(), operations: Vec::new() };
    for Step { key, is_dir, after, guard, .. } in &plan.steps {
        match *guard {
            Guard::Index(index) => body.checks.push(Check { key, index: Some(index), absent: None }),
            // After what was in the way is gone, nothing is there: no check before that can say so.
            Guard::Absent if plan.replaces(key) => {}
            Guard::Absent => body.checks.push(Check { key, index: None, absent: Some(true) }),
            Guard::Empty => {}
        }
        body.operations.push(match after {
            Some(_) if *is_dir => Operation::Mkdir { mkdir: key },
            Some(value) => Operation::Set { set: key, value },
            None => Operation::Remove { remove: key, dir: *is_dir },
        });
    }
    let body = serde_json::to_string(&body).expect("text and numbers can be written as JSON");
    // A second server would find what the first one did.
    let request = Request::new("POST", "/spinney/v1/txn").json(body).once(true);
    let reply = cluster.send(&request, session.deadline()).map_err(|error| Failure::server(&error))?;
    match reply.status {
        200 => Ok(Done::All { index: reply.index.unwrap_or_default() }),
        status => match serde_json::from_slice(&reply.body) {
            Ok(refusal) => Err(too_much(Failure::server(&ClientError::Refused(refusal)))),
            // etcd says in plain text that it knows no such path.
            Err(_) if status == 404 || status == 405 => Ok(Done::NoTransactions),
            Err(_) => Err(Failure::server(&ClientError::UnexpectedStatus(status))),
        },
    }
}

/// Says what can be done where there is more than a transaction takes.
fn too_much(failure: Failure) -> Failure {
    if !failure.text().contains("(setting `transaction_bytes`)") {
        return failure;
    }
    let way = "--one-by-one makes the changes one after the other, each on condition that nobody changed the key meanwhile";
    Failure::with_code(format_args!("{}nothing was changed: {way}", failure.text()), failure.code())
}

fn transaction<'a>(store: &'a Store, plan: &Plan) -> crate::store::Transaction<'a> {
    let mut transaction = store.txn();
    for Step { key, guard, .. } in &plan.steps {
        transaction = match *guard {
            Guard::Index(index) => transaction.check(key).at(index),
            Guard::Absent if !plan.replaces(key) => transaction.check(key).absent(),
            Guard::Absent | Guard::Empty => transaction,
        };
    }
    for Step { key, is_dir, after, .. } in &plan.steps {
        transaction = match (after, is_dir) {
            (Some(_), true) => transaction.put(key, |put| put.dir().if_absent()),
            (Some(value), false) => transaction.set(key, value.as_str()),
            (None, true) => transaction.remove(key, |remove| remove.dir()),
            (None, false) => transaction.delete(key),
        };
    }
    transaction
}

/// A node of a store as a server would tell of it.
fn convert(node: &StoreNode, now: Timestamp) -> Result<Node, String> {
    let key = if node.key().is_root() { String::new() } else { node.key().to_string() };
    let value = match node.text() {
        Some(text) => text.to_owned(),
        None if node.is_dir() => String::new(),
        None => return Err(format!("the value of {key} is no text, which neither JSON nor TOML can carry")),
    };
    let ttl = node
        .ttl_at(now)
        .map_or(0, |left| i64::try_from(left.as_secs()).unwrap_or(i64::MAX).saturating_add(1));
    Ok(Node {
        key,
        dir: node.is_dir(),
        value,
        nodes: node.children().map(|child| convert(child, now)).collect::<Result<_, _>>()?,
        created_index: node.created().get(),
        modified_index: node.modified().get(),
        expiration: node.deadline().map(|deadline| deadline.get().to_string()),
        ttl,
    })
}
