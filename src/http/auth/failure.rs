//! What goes wrong in `/v2/auth`.

use axum::http::StatusCode;

use crate::error::Error;
use crate::http::refusal::Refusal;
use crate::http::respond::{self, Answer};

/// Why a request about users or roles was not done.
pub(super) enum Failure {
    /// In words, for people.
    Said { status: StatusCode, message: Vec<u8> },
    /// The store would not do it.
    Store(Refusal),
}

impl Failure {
    pub(super) fn new(status: StatusCode, message: impl Into<Vec<u8>>) -> Self {
        Self::Said { status, message: message.into() }
    }

    /// With the word that etcd puts before what its auth says.
    pub(super) fn auth(status: StatusCode, message: impl AsRef<[u8]>) -> Self {
        Self::new(status, [b"auth: ", message.as_ref()].concat())
    }

    pub(super) fn answer(self) -> Answer {
        match self {
            Self::Said { status, message } => respond::message(status, message),
            Self::Store(refusal) => respond::json(refusal.status, refusal.body()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error.into())
    }
}
