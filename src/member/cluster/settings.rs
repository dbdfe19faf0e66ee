//! What a member of a cluster is told besides the settings of any store.

use std::time::Duration;

use crate::error::Error;
use crate::raft;

/// How long a tick is.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// What leases count on. Ticks never come sooner after each other than that.
const LEASE: raft::Lease = raft::Lease { tick_ms: TICK.as_millis() as u32, drift_percent: 10 };

/// Who a member is to be, whom it begins with, and how patient it is.
#[derive(Clone, Debug)]
pub(crate) struct ClusterSettings {
    /// Its name, unique in the cluster.
    pub(crate) name: String,
    /// Where it listens for peers.
    pub(crate) listen: Option<String>,
    /// Where peers reach it, if not where it listens.
    pub(crate) advertise: Vec<String>,
    /// Where clients reach it, for the others to tell.
    pub(crate) client_urls: Vec<String>,
    /// The founders, itself included, by name, with an address or several each.
    pub(crate) peers: Vec<(String, String)>,
    /// Members of a cluster to join.
    pub(crate) join: Vec<String>,
    /// Tells clusters apart that are founded by the same members.
    pub(crate) token: String,
    pub(crate) secret: Option<Vec<u8>>,
    pub(crate) allow_insecure: bool,
    /// Whether one who joins stays a learner.
    pub(crate) stays_learner: bool,
    pub(crate) heartbeat: Duration,
    /// The shortest and the longest election timeout.
    pub(crate) election: (Duration, Duration),
    /// Whether leaders are promised that nobody else is voted for, and count on it.
    pub(crate) leases: bool,
    /// How long a write, a read or a change of the members waits for its answer.
    pub(crate) request_timeout: Duration,
    /// How far the wall clock is taken to be ahead of the machine's: for tests of clocks that differ.
    pub(crate) clock_ahead: Duration,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            listen: None,
            advertise: Vec::new(),
            client_urls: Vec::new(),
            peers: Vec::new(),
            join: Vec::new(),
            token: "spinney-cluster".to_owned(),
            secret: None,
            allow_insecure: false,
            stays_learner: false,
            heartbeat: Duration::from_millis(50),
            election: (Duration::from_millis(300), Duration::from_millis(600)),
            leases: false,
            request_timeout: Duration::from_secs(5),
            clock_ahead: Duration::ZERO,
        }
    }
}

impl ClusterSettings {
    /// Whether anybody asked for a cluster.
    pub(crate) fn is_wanted(&self) -> bool {
        self.listen.is_some() || !self.peers.is_empty() || !self.join.is_empty()
    }

    /// # Errors
    ///
    /// [`Error::InvalidSetting`] where settings make no sense, alone or together.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse =
            |setting, reason: &str| Err(Error::InvalidSetting { setting, reason: reason.to_owned() });
        if self.name.is_empty() || self.name.len() > 256 {
            return refuse("member", "must have from 1 to 256 bytes");
        }
        if self.listen.is_none() {
            return refuse("listen", "is missing: peers must reach this member");
        }
        if !self.peers.is_empty() && !self.join.is_empty() {
            return refuse("join", "contradicts `peers`: a cluster is founded or joined");
        }
        if !self.peers.is_empty() && !self.peers.iter().any(|(name, _)| *name == self.name) {
            return refuse("peers", "do not name this member");
        }
        if self.request_timeout.is_zero() {
            return refuse("request_timeout", "leaves no time");
        }
        self.raft().check().map_err(|bad| Error::InvalidSetting {
            setting: "election_timeout",
            reason: format!("or `heartbeat` makes no sense: {bad}"),
        })
    }

    /// The same, as the core counts.
    pub(super) fn raft(&self) -> raft::Settings {
        let ticks =
            |time: Duration| u32::try_from(time.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u32::MAX);
        raft::Settings {
            heartbeat_ticks: ticks(self.heartbeat),
            election_ticks_min: ticks(self.election.0),
            election_ticks_max: ticks(self.election.1),
            lease: self.leases.then_some(LEASE),
            ..raft::Settings::default()
        }
    }
}
