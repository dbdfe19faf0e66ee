//! The API of the keys.

use serde::{Deserialize, Serialize, Serializer};

use super::cluster::Cluster;
use super::deadline::Deadline;
use super::error::ClientError;
use super::escape::{escape_query, form};
use super::request::{Reply, Request};

/// What the API of the keys answers, and what `-o json` shows.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Answer {
    #[serde(default)]
    pub(crate) action: String,
    pub(crate) node: Node,
    #[serde(default, rename = "prevNode")]
    pub(crate) prev_node: Option<Node>,
    /// The index of the store, from the header.
    #[serde(skip)]
    pub(crate) index: u64,
}

/// A node, with the fields in the order in which etcdctl shows them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Node {
    pub(crate) key: String,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) dir: bool,
    pub(crate) value: String,
    /// The children of a directory; shown as `null` where there are none.
    #[serde(serialize_with = "null_if_empty")]
    pub(crate) nodes: Vec<Self>,
    pub(crate) created_index: u64,
    pub(crate) modified_index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expiration: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) ttl: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn null_if_empty<S: Serializer>(nodes: &[Node], serializer: S) -> Result<S::Ok, S::Error> {
    (!nodes.is_empty()).then_some(nodes).serialize(serializer)
}

/// Whether something has to be at a key for a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Exist {
    /// Either way.
    #[default]
    Any,
    /// It has to.
    Yes,
    /// It must not.
    No,
}

/// A write to be.
#[derive(Debug, Default)]
pub(crate) struct Put<'a> {
    pub(crate) key: &'a [u8],
    /// `None` for a directory.
    pub(crate) value: Option<&'a [u8]>,
    /// In seconds; none unless positive.
    pub(crate) ttl: i64,
    pub(crate) exist: Exist,
    /// Not compared when empty.
    pub(crate) prev_value: &'a [u8],
    /// Not compared when 0.
    pub(crate) prev_index: u64,
    /// Under a name of the server's making.
    pub(crate) in_order: bool,
}

/// A read to be.
#[derive(Debug, Default)]
pub(crate) struct Get<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) recursive: bool,
    pub(crate) sorted: bool,
    pub(crate) quorum: bool,
}

/// A removal to be.
#[derive(Debug, Default)]
pub(crate) struct Remove<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) dir: bool,
    pub(crate) recursive: bool,
    /// Not compared when empty.
    pub(crate) prev_value: &'a [u8],
    /// Not compared when 0.
    pub(crate) prev_index: u64,
}

impl Cluster {
    pub(crate) fn get(&self, get: &Get<'_>, deadline: Deadline) -> Result<Answer, ClientError> {
        let Get { key, recursive, sorted, quorum } = *get;
        let query = format!("quorum={quorum}&recursive={recursive}&sorted={sorted}");
        self.ask(&Request::new("GET", path(key)).query(query), deadline)
    }

    pub(crate) fn put(&self, put: &Put<'_>, deadline: Deadline) -> Result<Answer, ClientError> {
        let mut fields = Vec::new();
        fields.extend(put.value.map(|value| ("value", value)));
        let ttl = put.ttl.to_string();
        if put.ttl > 0 {
            fields.push(("ttl", ttl.as_bytes()));
        }
        if put.in_order {
            return self.ask(&Request::new("POST", path(put.key)).form(form(&fields)), deadline);
        }
        let mut query = conditions(put.prev_value, put.prev_index);
        match put.exist {
            Exist::Any => {}
            Exist::Yes => query.insert(0, "prevExist=true".to_owned()),
            Exist::No => query.insert(0, "prevExist=false".to_owned()),
        }
        if put.value.is_none() {
            query.insert(0, "dir=true".to_owned());
        }
        let request = Request::new("PUT", path(put.key)).query(query.join("&")).form(form(&fields));
        // A second endpoint would find what the first one made.
        self.ask(&request.once(put.exist == Exist::No), deadline)
    }

    pub(crate) fn remove(&self, remove: &Remove<'_>, deadline: Deadline) -> Result<Answer, ClientError> {
        let mut query = conditions(remove.prev_value, remove.prev_index);
        if remove.recursive {
            query.push("recursive=true".to_owned());
        }
        if remove.dir {
            query.insert(0, "dir=true".to_owned());
        }
        // A second endpoint would miss what the first one removed.
        self.ask(&Request::new("DELETE", path(remove.key)).query(query.join("&")).once(true), deadline)
    }

    fn ask(&self, request: &Request, deadline: Deadline) -> Result<Answer, ClientError> {
        answer(self.send(request, deadline)?)
    }
}

/// Waits for one change after the other.
pub(crate) struct Watcher<'a> {
    cluster: &'a Cluster,
    key: &'a [u8],
    recursive: bool,
    /// The first index that counts; 0 for whatever comes.
    since: u64,
}

impl<'a> Watcher<'a> {
    /// A watch of `key` that begins with the change after `index`, or now when that is 0.
    pub(crate) fn new(cluster: &'a Cluster, key: &'a [u8], recursive: bool, index: u64) -> Self {
        let since = if index == 0 { 0 } else { index.saturating_add(1) };
        Self { cluster, key, recursive, since }
    }

    /// The next change, however long it takes.
    pub(crate) fn next(&mut self) -> Result<Answer, ClientError> {
        loop {
            let query = format!("recursive={}&wait=true&waitIndex={}", self.recursive, self.since);
            let request = Request::new("GET", path(self.key)).query(query).wait();
            match self.cluster.ask(&request, Deadline::NEVER) {
                // The server ended the wait without news, as one does that is being stopped.
                Err(ClientError::EmptyBody) => {}
                Err(error) => return Err(error),
                Ok(answer) => {
                    self.since = answer.node.modified_index.saturating_add(1);
                    return Ok(answer);
                }
            }
        }
    }
}

fn conditions(prev_value: &[u8], prev_index: u64) -> Vec<String> {
    let mut query = Vec::new();
    if prev_index > 0 {
        query.push(format!("prevIndex={prev_index}"));
    }
    if !prev_value.is_empty() {
        query.push(format!("prevValue={}", escape_query(prev_value)));
    }
    query
}

fn path(key: &[u8]) -> Vec<u8> {
    let separator: &[u8] = if key.is_empty() || key.starts_with(b"/") { b"" } else { b"/" };
    [b"/v2/keys", separator, key].concat()
}

fn answer(reply: Reply) -> Result<Answer, ClientError> {
    match reply.status {
        200 | 201 if reply.body.is_empty() => Err(ClientError::EmptyBody),
        200 | 201 => {
            let answer: Answer = serde_json::from_slice(&reply.body).map_err(|_| ClientError::InvalidJson)?;
            Ok(Answer { index: reply.index.unwrap_or_default(), ..answer })
        }
        _ => match serde_json::from_slice(&reply.body) {
            Ok(refusal) => Err(ClientError::Refused(refusal)),
            Err(_) => Err(ClientError::InvalidJson),
        },
    }
}
