//! Why a request to the keys is refused, in etcd's codes and words.

use axum::http::StatusCode;

use super::json;
use super::names;
use crate::error::Error;
use crate::key::Key;
use crate::tree::{Condition, Mismatch, Refused, Value};
use crate::types::Index;

/// A refusal: what its body says, and the status that goes with it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: u16,
    /// What it is about; left out when empty.
    pub(super) cause: Vec<u8>,
    /// The store's index; 0 where it never came to that.
    pub(super) index: Index,
}

impl Refusal {
    pub(super) fn new(code: u16, cause: impl Into<Vec<u8>>, index: Index) -> Self {
        Self { status: status_of(code), code, cause: cause.into(), index }
    }

    /// Of a request whose parameters are wrong.
    pub(super) fn bad_request(code: u16, cause: impl Into<Vec<u8>>) -> Self {
        Self::new(code, cause, Index::default())
    }

    pub(super) fn unauthorized() -> Self {
        Self::bad_request(110, "Insufficient credentials")
    }

    /// What a watch is told that asks for what is gone.
    pub(super) fn outdated(first: Index, asked: Index, index: Index) -> Self {
        Self::new(401, format!("the requested history has been cleared [{first}/{asked}]"), index)
    }

    /// The same refusal under another status.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(super) fn body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        out.extend_from_slice(b"{\"errorCode\":");
        json::number(&mut out, self.code);
        out.extend_from_slice(b",\"message\":");
        json::string(&mut out, message_of(self.code).as_bytes());
        if !self.cause.is_empty() {
            out.extend_from_slice(b",\"cause\":");
            json::string(&mut out, &self.cause);
        }
        out.extend_from_slice(b",\"index\":");
        json::number(&mut out, self.index.get());
        out.extend_from_slice(b"}\n");
        out
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::from(Error::from(refused))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match &error {
            Error::KeyNotFound { key, index }
            | Error::NotAFile { key, index }
            | Error::NotADirectory { key, index }
            | Error::KeyExists { key, index }
            | Error::DirectoryNotEmpty { key, index } => {
                let code = error.code().expect("the tree's refusals have one");
                // As in v2: a compare-and-delete of the root, the only way to 102 with the root, says nothing.
                let is_silent = code == 102 && key.is_root();
                Self::new(code, if is_silent { Vec::new() } else { wire(key) }, *index)
            }
            Error::CompareFailed { cause, index, .. } => Self::new(101, cause.as_bytes(), *index),
            Error::RootReadOnly { index } => Self::new(107, "/", *index),
            Error::TooLarge { .. } => {
                Self::bad_request(210, error.to_string()).with_status(StatusCode::PAYLOAD_TOO_LARGE)
            }
            Error::InvalidKey { reason, .. } => Self::bad_request(209, format!("the key {reason}")),
            Error::Unavailable { may_have_applied: true, cause } => {
                Self::bad_request(300, format!("{error}: {cause}"))
            }
            Error::Unavailable { cause, .. } => Self::bad_request(300, cause.to_string()),
            _ => Self::bad_request(300, error.to_string()),
        }
    }
}

/// The refusal of a command that had this condition: its cause shows the values byte for byte.
pub(super) fn of_condition(error: Error, condition: &Condition) -> Refusal {
    let Error::CompareFailed { current: Some(current), index, .. } = &error else {
        return error.into();
    };
    let value = condition.value.as_ref().filter(|value| *value.0 != *current.value());
    let modified = condition.index.filter(|index| *index != current.modified());
    let mismatch = Mismatch {
        value: value.map(|value| (value.clone(), Value::new(current.value()))),
        index: modified.map(|index| (index, current.modified())),
    };
    Refusal::new(101, mismatch.cause(), *index)
}

fn wire(key: &Key) -> Vec<u8> {
    names::to_wire(key).into_owned()
}

fn status_of(code: u16) -> StatusCode {
    match code {
        100 => StatusCode::NOT_FOUND,
        101 | 105 => StatusCode::PRECONDITION_FAILED,
        102 | 108 => StatusCode::FORBIDDEN,
        110 => StatusCode::UNAUTHORIZED,
        300 => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn message_of(code: u16) -> &'static str {
    match code {
        100 => "Key not found",
        101 => "Compare failed",
        102 => "Not a file",
        104 => "Not a directory",
        105 => "Key already exists",
        107 => "Root is read only",
        108 => "Directory not empty",
        110 => "The request requires user authentication",
        201 => "PrevValue is Required in POST form",
        202 => "The given TTL in POST form is not a number",
        203 => "The given index in POST form is not a number",
        209 => "Invalid field",
        210 => "Invalid POST form",
        211 => "Value provided on refresh",
        212 => "A TTL must be provided on refresh",
        401 => "The event in requested index is outdated and cleared",
        _ => "Raft Internal Error",
    }
}
