//! How a command ends that does not succeed: what stands on stderr, and the exit code.

use std::error::Error as _;
use std::fmt::Display;
use std::io;

use super::client::ClientError;
use crate::error::Error;

/// The exit codes, which are etcdctl's.
pub(crate) mod exit {
    /// Wrong arguments, and whatever has no code of its own.
    pub(crate) const BAD_ARGUMENTS: u8 = 1;
    /// No server is there.
    pub(crate) const BAD_CONNECTION: u8 = 2;
    /// There is no such command.
    pub(crate) const UNKNOWN_COMMAND: u8 = 3;
    /// The server refused.
    pub(crate) const SERVER_ERROR: u8 = 4;
    /// A member of the cluster is not well.
    pub(crate) const NOT_HEALTHY: u8 = 5;
}

/// Why a command ends early.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What stands on stderr, line ends included; may be nothing.
    text: String,
    code: u8,
}

impl Failure {
    /// What etcdctl says of wrong arguments to the commands about keys.
    pub(crate) fn arguments(what: &str) -> Self {
        Self { text: format!("Error:  {what}\n"), code: exit::BAD_ARGUMENTS }
    }

    /// What a server, or nobody, said to a command about keys.
    pub(crate) fn server(error: &ClientError) -> Self {
        Self::client(error, exit::SERVER_ERROR)
    }

    /// As [`Failure::server`], with another exit code.
    pub(crate) fn client(error: &ClientError, code: u8) -> Self {
        let detail = error.detail().map(|detail| format!("{detail}\n")).unwrap_or_default();
        Self { text: format!("Error:  {error}\n{detail}"), code }
    }

    /// A line by itself, as the commands about members, users and roles have it.
    pub(crate) fn plain(what: impl Display) -> Self {
        Self::with_code(what, exit::BAD_ARGUMENTS)
    }

    /// A line by itself.
    pub(crate) fn with_code(what: impl Display, code: u8) -> Self {
        Self { text: format!("{what}\n"), code }
    }

    /// Nothing to say, since it has been said.
    pub(crate) fn silent(code: u8) -> Self {
        Self { text: String::new(), code }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

/// What a store says, with the causes.
pub(crate) fn explain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// For what is written to stdout: a reader that has seen enough is no news to anybody.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::silent(exit::BAD_ARGUMENTS),
            _ => Self::plain(error),
        }
    }
}
