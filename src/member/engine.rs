//! What a store runs on: a member alone, or one of a cluster.

use std::io::Write;
use std::sync::Arc;

use crossbeam_utils::sync::ShardedLockReadGuard;

#[cfg(feature = "cluster")]
use super::Clustered;
use super::pending::{Answer, Outcome, Pending};
use super::{Facts, LogFacts, Member, Settings};
use crate::error::Error;
use crate::replica::State;
use crate::tree::{Command, Tree};
use crate::types::Timestamp;
#[cfg(feature = "http")]
use crate::types::{LogIndex, Term};
use crate::wal::Identity;
use crate::watch::{Watch, WatchRequest};

/// Either way the same to a store.
#[derive(Clone)]
pub(crate) enum Engine {
    /// A caller may turn the crank itself.
    Alone(Arc<Member>),
    /// A thread of its own turns it, and the others have a say.
    #[cfg(feature = "cluster")]
    Clustered(Arc<Clustered>),
}

/// The same call, whichever it is.
macro_rules! either {
    ($engine:expr, $member:ident => $call:expr) => {
        match $engine {
            Engine::Alone($member) => $call,
            #[cfg(feature = "cluster")]
            Engine::Clustered($member) => $call,
        }
    };
}

impl Engine {
    /// Writes and waits for the answer.
    pub(crate) fn write(&self, command: Command) -> Answer {
        match self {
            Self::Alone(member) => member.write(command),
            #[cfg(feature = "cluster")]
            Self::Clustered(member) => member.write(&command),
        }
    }

    /// Writes without waiting for the answer.
    pub(crate) fn submit<T: Outcome>(&self, command: Command) -> Pending<T> {
        match self {
            Self::Alone(member) => member.submit(command),
            #[cfg(feature = "cluster")]
            Self::Clustered(member) => member.submit(&command),
        }
    }

    /// Writes at once where that is quick, else without waiting for the answer.
    #[cfg(feature = "http")]
    pub(crate) fn write_or_submit<T: Outcome>(&self, command: Command) -> Pending<T> {
        match self {
            Self::Alone(member) => member.write_or_submit(command),
            #[cfg(feature = "cluster")]
            Self::Clustered(member) => member.submit(&command),
        }
    }

    /// Done when what is read here is the newest there is. A member alone has nothing newer anywhere.
    #[cfg(feature = "http")]
    pub(crate) fn latest<T: Outcome>(&self) -> Option<Pending<T>> {
        match self {
            Self::Alone(_) => None,
            #[cfg(feature = "cluster")]
            Self::Clustered(member) => Some(member.latest()),
        }
    }

    /// Returns when what is read here is the newest there is.
    pub(crate) fn wait_for_latest(&self) -> Result<(), Error> {
        match self {
            Self::Alone(_) => Ok(()),
            #[cfg(feature = "cluster")]
            Self::Clustered(member) => member.wait_for_latest(),
        }
    }

    /// The member of a cluster that this is, if it is one.
    #[cfg(feature = "cluster")]
    pub(crate) fn clustered(&self) -> Option<&Arc<Clustered>> {
        match self {
            Self::Alone(_) => None,
            Self::Clustered(member) => Some(member),
        }
    }

    /// The tree, to read.
    pub(crate) fn tree(&self) -> ShardedLockReadGuard<'_, Tree> {
        either!(self, member => member.tree())
    }

    /// The present moment in log time.
    pub(crate) fn now(&self) -> Timestamp {
        either!(self, member => member.now())
    }

    pub(crate) fn settings(&self) -> &Settings {
        either!(self, member => member.settings())
    }

    pub(crate) fn identity(&self) -> Identity {
        either!(self, member => member.identity())
    }

    pub(crate) fn watch(&self, request: WatchRequest) -> Watch {
        either!(self, member => member.watch(request))
    }

    /// What there is to read and to watch.
    pub(crate) fn state(&self) -> &State {
        either!(self, member => member.state())
    }

    /// How many writes wait.
    pub(crate) fn waiting(&self) -> usize {
        either!(self, member => member.waiting())
    }

    /// How the log is doing, if there is one, and what is wrong, in words.
    pub(crate) fn log_status(&self) -> (Option<LogFacts>, Vec<String>) {
        either!(self, member => member.log_status())
    }

    /// Takes a snapshot, and returns when it is on disk.
    pub(crate) fn save(&self) -> Result<(), Error> {
        either!(self, member => member.save())
    }

    /// Writes everything as it is now to `writer`.
    pub(crate) fn backup(&self, writer: impl Write) -> Result<Facts, Error> {
        either!(self, member => member.backup(writer))
    }

    /// How far the tree has applied the log, and the term of what it applied last.
    #[cfg(feature = "http")]
    pub(crate) fn position(&self) -> (LogIndex, Term) {
        either!(self, member => member.position())
    }

    /// Ends the member. Once is enough.
    pub(crate) fn close(&self) {
        either!(self, member => member.close());
    }
}
