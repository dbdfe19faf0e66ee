//! What `/v2/stats/store` counts, quirks included: from when the server was made.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;
use crate::store::Store;

/// What a request does to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Get,
    Set,
    Delete,
    Update,
    Create,
    CompareAndSwap,
    CompareAndDelete,
}

/// The counters, in the order in which they are shown.
const NAMES: [&str; 7] = ["gets", "sets", "delete", "update", "create", "compareAndSwap", "compareAndDelete"];

/// How often each kind of request went well, and how often it did not.
#[derive(Debug, Default)]
pub(super) struct Stats {
    counts: [[AtomicU64; 2]; NAMES.len()],
}

impl Stats {
    pub(super) fn count(&self, kind: Kind, went_well: bool) {
        self.counts[kind as usize][usize::from(!went_well)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_write<T>(&self, kind: Kind, outcome: &Result<T, Error>) {
        let Err(error) = outcome else { return self.count(kind, true) };
        // As in v2: these are returned past the place that counts failures.
        let is_missed = match error {
            Error::RootReadOnly { .. } => !matches!(kind, Kind::Set | Kind::Create),
            Error::NotAFile { .. } => kind == Kind::Update,
            Error::CompareFailed { .. } => kind == Kind::CompareAndDelete,
            _ => false,
        };
        self.count(kind, is_missed);
        if kind == Kind::Create && matches!(error, Error::NotADirectory { .. }) {
            self.count(Kind::Set, false);
        }
    }

    /// How often each kind of request went well and not, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        NAMES
            .iter()
            .zip(&self.counts)
            .map(|(name, [well, not])| (*name, well.load(Ordering::Relaxed), not.load(Ordering::Relaxed)))
    }

    pub(super) fn body(&self, store: &Store) -> Vec<u8> {
        let mut body = String::from("{");
        for (name, well, not) in self.all() {
            body.push_str(&format!("\"{name}Success\":{well},\"{name}Fail\":{not},"));
        }
        body.push_str(&format!("\"expireCount\":{},\"watchers\":{}}}", store.expired(), store.watchers()));
        body.into_bytes()
    }
}
