//! The numbers that everything speaks of, each a type of its own: swapping two does not compile.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $visibility:vis $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        $visibility struct $name($inner);

        impl $name {
            /// The type for a plain number.
            #[must_use]
            pub const fn new(number: $inner) -> Self {
                Self(number)
            }

            /// The plain number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl From<$inner> for $name {
            fn from(number: $inner) -> Self {
                Self(number)
            }
        }
    };
}

number! {
    /// The tree's change counter: every successful change takes the next one, and it never goes back.
    ///
    /// `created` and `modified` of a node, and the point that a watch resumes from, are of this type. It is what
    /// etcd v2 calls `createdIndex`, `modifiedIndex` and `X-Etcd-Index`.
    ///
    /// ```
    /// let store = spinney::Store::in_memory();
    /// let first = store.set("/a", "1")?.node.modified();
    /// let second = store.set("/a", "2")?.node.modified();
    /// assert_eq!(second, first.next());
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub Index(u64)
}

number! {
    /// A position in the log; not to be confused with [`Index`], which counts the tree's changes.
    pub LogIndex(u64)
}

number! {
    /// A reign in Raft's sense: at most one member leads in it.
    pub Term(u64)
}

number! {
    /// Who a participant of a cluster is. Never used twice within one cluster.
    pub MemberId(u64)
}

number! {
    /// One life of a member, from a start of its process to the next. Each is greater than those before.
    pub BootId(u64)
}

number! {
    /// Which cluster a log belongs to: drawn at random when the cluster begins.
    pub ClusterId(u128)
}

number! {
    /// A moment in log time: milliseconds since the start of 1970, UTC.
    ///
    /// Log time is the leader's wall clock when it took office plus the time that has passed since, so it
    /// never goes back, whatever happens to the wall clock.
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    ///
    /// let store = spinney::Store::in_memory();
    /// let change = store.put("/lock").value("me").ttl(Duration::from_secs(30)).send()?;
    /// let deadline = change.node.deadline().expect("it has a TTL");
    /// assert_eq!(deadline, change.time.after(Duration::from_secs(30)));
    /// let on_the_wall = UNIX_EPOCH + Duration::from_millis(deadline.get());
    /// assert!(on_the_wall > UNIX_EPOCH + deadline.since(change.time));
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub Timestamp(u64)
}

impl Index {
    /// The index that the next change takes.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl LogIndex {
    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The position before this one; 0, which no entry has, stays 0.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl Term {
    /// The term that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Timestamp {
    /// This moment moved by `duration`, cut to whole milliseconds; the end of time is as far as it goes.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to this moment; zero when it lies before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LogIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// As etcd prints ids: lower-case hexadecimal without leading zeros.
impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// As etcd prints ids: lower-case hexadecimal without leading zeros.
impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}
