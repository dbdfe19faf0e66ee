//! What can go wrong on the way to a server and back, in etcdctl's words.

use std::fmt;

use serde::Deserialize;

/// Why there is no good answer.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// No endpoint is known.
    NoEndpoints,
    /// Every endpoint failed, each in its own way.
    Cluster(Vec<ClientError>),
    /// The time for the whole command is over.
    Deadline,
    /// An endpoint did not begin to answer in the time that a request has.
    HeaderTimeout {
        /// Its URL.
        endpoint: String,
    },
    /// No connection came about, or it broke.
    Connection {
        /// What happened, in etcdctl's words.
        what: String,
        /// Whether a program may take it for an absent server.
        absent: bool,
    },
    /// The endpoint answered with a status of 500 or more.
    Server {
        /// Its URL.
        endpoint: String,
        /// The status.
        status: u16,
    },
    /// The server led from address to address.
    TooManyRedirects,
    /// An answer without a body, where one is due.
    EmptyBody,
    /// The answer is not what an etcd server says.
    InvalidJson,
    /// The API of the keys refused.
    Refused(Refusal),
    /// Another API refused, and this is all it said.
    Message(String),
    /// Another API answered with this status, where another was due.
    UnexpectedStatus(u16),
}

/// The body of an error of the API of the keys.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Refusal {
    /// etcd's code, such as 100 for a key that is missing.
    #[serde(rename = "errorCode")]
    pub(crate) code: u16,
    /// What the code stands for.
    pub(crate) message: String,
    /// What it is about, such as the key.
    pub(crate) cause: String,
    /// The index of the store.
    pub(crate) index: u64,
}

impl ClientError {
    /// etcd's code, when the API of the keys refused.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            _ => None,
        }
    }

    /// Whether nobody was there to answer, as far as one can tell.
    pub(crate) fn is_absence(&self) -> bool {
        match self {
            Self::Cluster(errors) => errors.iter().all(Self::is_absence),
            Self::Connection { absent, .. } => *absent,
            Self::Deadline => true,
            _ => false,
        }
    }

    /// The errors of the endpoints, one a paragraph; etcdctl says them twice.
    pub(crate) fn detail(&self) -> Option<String> {
        let Self::Cluster(errors) = self else { return None };
        let lines = errors.iter().enumerate().map(|(number, error)| format!("error #{number}: {error}\n"));
        Some(lines.collect())
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEndpoints => f.write_str("client: no endpoints available"),
            Self::Cluster(errors) => {
                f.write_str("client: etcd cluster is unavailable or misconfigured")?;
                let mut errors = errors.iter().enumerate();
                errors.try_for_each(|(number, error)| writeln!(f, "; error #{number}: {error}"))
            }
            Self::Deadline => f.write_str("context deadline exceeded"),
            Self::HeaderTimeout { endpoint } => {
                write!(f, "client: endpoint {endpoint} exceeded header timeout")
            }
            Self::Connection { what, .. } => f.write_str(what),
            Self::Server { endpoint, status: 500 | 503 } => {
                write!(f, "client: etcd member {endpoint} has no leader")
            }
            Self::Server { endpoint, status } => {
                let reason = ureq::http::StatusCode::from_u16(*status).ok();
                let reason = reason.and_then(|status| status.canonical_reason()).unwrap_or_default();
                write!(f, "client: etcd member {endpoint} returns server error [{reason}]")
            }
            Self::TooManyRedirects => f.write_str("client: too many redirects"),
            Self::EmptyBody => f.write_str("client: response body is empty"),
            Self::InvalidJson => f.write_str(
                "client: response is invalid json. The endpoint is probably not valid etcd cluster endpoint",
            ),
            Self::Refused(refusal) => {
                let Refusal { code, message, cause, index } = refusal;
                write!(f, "{code}: {message} ({cause}) [{index}]")
            }
            Self::Message(message) => f.write_str(message),
            Self::UnexpectedStatus(status) => write!(f, "unexpected status code {status}"),
        }
    }
}
