//! `/v2/keys`: from a request to its answer.
//!
//! ```text
//!   method ─► form and query ─► parameters ─► may they? ─┬─► read ──────────────────────────► node
//!             (the first thing that is wrong answers)    ├─► write ─► submitted, awaited ───► change
//!                                                        └─► watch ─► history ─► open body ─► changes
//! ```
//! No thread waits in here: a write is awaited, a watch is a body that is polled. (For a client that is alone, see
//! `pulse`, the thread may do a write itself.)

pub(super) mod event;
mod request;
mod watch;

pub(super) use watch::Written;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};

use super::form::{self, Parameters};
use super::front::Front;
use super::pulse::Company;
use super::refusal::{self, Refusal};
use super::respond::{self, Answer, X_ETCD_CLUSTER_ID, X_ETCD_INDEX, X_RAFT_INDEX, X_RAFT_TERM};
use super::stats::Kind;
use crate::event::Action;
use crate::node::Node;
use crate::store::Reading;
use crate::tree::{Command, Condition, PutMode};
use crate::types::{Index, Timestamp};
use request::{Asked, Asking, Request};
use watch::Begun;

/// The methods that keys know.
const METHODS: &str = "HEAD,GET,PUT,POST,DELETE";

/// A listing of more than this is put together off the threads that serve everybody.
const LISTING_MAX: usize = 500;

impl Front {
    /// Answers a request to the key at `path`: what follows `/v2/keys`, decoded.
    pub(super) async fn keys(&self, parts: &Parts, path: &[u8], body: Body, company: Company) -> Answer {
        if let Some(answer) = respond::unless_allowed(&parts.method, METHODS) {
            return answer;
        }
        let answer = match self.ask(parts, path, body).await {
            Ok(asked) => self.answer(asked, company).await,
            Err(refusal) => Err(refusal),
        };
        let mut answer = answer.unwrap_or_else(|refusal| {
            let mut answer = respond::json(refusal.status, refusal.body());
            respond::number(answer.headers_mut(), X_ETCD_INDEX, refusal.index.get());
            answer
        });
        answer.headers_mut().insert(X_ETCD_CLUSTER_ID, self.cluster_id());
        answer
    }

    /// What is asked for, if it is in form and the asker may.
    async fn ask(&self, parts: &Parts, path: &[u8], body: Body) -> Result<Asked, Refusal> {
        let form = self.form(parts, body).await?;
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let parameters = Parameters::parse(&form, query).map_err(|cause| Refusal::bad_request(210, cause))?;
        let request = Request::parse(&parts.method, &parameters)?;
        if !self.may_access(parts, path, request.recursive).await {
            return Err(Refusal::unauthorized());
        }
        request.asks(path)
    }

    /// The body, where it counts as parameters.
    async fn form(&self, parts: &Parts, body: Body) -> Result<Vec<u8>, Refusal> {
        if parts.method != Method::PUT && parts.method != Method::POST {
            return Ok(Vec::new());
        }
        let content_type = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        if !form::is_form(content_type).map_err(|cause| Refusal::bad_request(210, cause))? {
            return Ok(Vec::new());
        }
        self.body(body).await.map_err(|cause| Refusal::bad_request(210, cause))
    }

    async fn answer(&self, asked: Asked, company: Company) -> Result<Answer, Refusal> {
        match asked {
            Asked::Get { key, recursive, latest } => {
                if latest && let Some(latest) = self.store().latest() {
                    latest.await?;
                }
                let Reading { node, index, now } = self.store().read(&key);
                self.stats().count(Kind::Get, node.is_ok());
                let body = listing(node?, recursive, now).await;
                Ok(self.node(StatusCode::OK, body, index))
            }
            Asked::Watch(asking) => self.watch(asking),
            Asked::Write { command, no_value } => self.write(command, no_value, company).await,
        }
    }

    fn watch(&self, asking: Asking) -> Result<Answer, Refusal> {
        let place = self.place_to_wait()?;
        let index = self.store().index();
        match watch::begin(self.store(), index, asking, place, self.stopping(), self.written())? {
            Begun::Answered(change) => Ok(self.node(StatusCode::OK, event::change(&change), index)),
            Begun::Open(body) => Ok(self.node(StatusCode::OK, Body::new(body), index)),
        }
    }

    async fn write(&self, command: Command, no_value: bool, company: Company) -> Result<Answer, Refusal> {
        let (kind, condition) = (kind_of(&command), condition_of(&command).cloned());
        let pending = match company {
            Company::Nobody => self.store().write_or_submit(command),
            Company::Others => self.store().submit(command),
        };
        let outcome = pending.await;
        self.stats().count_write(kind, &outcome);
        let change = outcome.map_err(|error| match &condition {
            Some(condition) => refusal::of_condition(error, condition),
            None => error.into(),
        })?;
        let made =
            change.action == Action::Create || change.action == Action::Set && change.prev_node.is_none();
        let body = if no_value && !change.action.is_removal() {
            event::action_alone(change.action)
        } else {
            event::change(&change)
        };
        let status = if made { StatusCode::CREATED } else { StatusCode::OK };
        Ok(self.node(status, body, change.index()))
    }

    /// An answer with the headers of a success.
    fn node(&self, status: StatusCode, body: impl Into<Body>, index: Index) -> Answer {
        let mut answer = respond::json(status, body);
        let headers = answer.headers_mut();
        respond::number(headers, X_ETCD_INDEX, index.get());
        self.raft_headers(headers);
        answer
    }

    fn raft_headers(&self, headers: &mut HeaderMap) {
        let (log_index, term) = self.store().position();
        respond::number(headers, X_RAFT_INDEX, log_index.get());
        respond::number(headers, X_RAFT_TERM, term.get());
    }
}

/// The answer to a read; a long one keeps no thread from serving others.
async fn listing(node: Node, recursive: bool, now: Timestamp) -> Vec<u8> {
    let is_short = node.entries().is_none_or(|entries| !recursive && entries.len() <= LISTING_MAX);
    if is_short {
        return event::read(&node, recursive, now);
    }
    let written = tokio::task::spawn_blocking(move || event::read(&node, recursive, now)).await;
    written.expect("writing does not panic, and nobody cancels it")
}

fn kind_of(command: &Command) -> Kind {
    match command {
        Command::Put(put) => match put.mode {
            PutMode::Set => Kind::Set,
            PutMode::Create => Kind::Create,
            PutMode::Update => Kind::Update,
            PutMode::Swap(_) => Kind::CompareAndSwap,
        },
        Command::Delete(delete) if delete.condition.is_some() => Kind::CompareAndDelete,
        Command::Delete(_) => Kind::Delete,
        _ => Kind::Create,
    }
}

fn condition_of(command: &Command) -> Option<&Condition> {
    match command {
        Command::Put(put) => match &put.mode {
            PutMode::Swap(condition) => Some(condition),
            _ => None,
        },
        Command::Delete(delete) => delete.condition.as_ref(),
        _ => None,
    }
}
