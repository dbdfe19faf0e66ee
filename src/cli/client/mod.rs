//! A client of etcd's v2 API, as etcdctl's is: several endpoints, of which each is tried in turn.
//!
//! ```text
//!   keys, members, auth          what is asked for, and what the answers mean
//!           │
//!        cluster                 which endpoint is asked, and what is made of it when none answers
//!           │
//!       transport                one request to one endpoint, over TCP or TLS
//!           │
//!   request, endpoint, escape, tls, curl, deadline, error
//! ```
//!
//! Requests, their order and the words of errors are etcdctl's to the byte, since scripts depend on them.

mod auth;
mod cluster;
mod curl;
mod deadline;
mod endpoint;
mod error;
mod escape;
mod keys;
mod members;
mod request;
mod tls;
mod transport;

pub(crate) use auth::Access;
pub(crate) use cluster::Cluster;
pub(crate) use deadline::Deadline;
pub(crate) use endpoint::Endpoint;
pub(crate) use error::ClientError;
pub(crate) use escape::{clean_path, quoted};
pub(crate) use keys::{Answer, Exist, Get, Node, Put, Remove, Watcher};
pub(crate) use members::Member;
pub(crate) use request::Request;
pub(crate) use tls::TlsFiles;
pub(crate) use transport::{Credentials, Transport};
