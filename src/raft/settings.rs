//! What can be set, in ticks and bytes.

use std::fmt;

/// The habits and limits of the core of one member. Time is in ticks: how long one is, is the owner's.
///
/// The defaults are meant for ticks of 10 ms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// A leader says that it is there every so many ticks. Default: 5.
    pub heartbeat_ticks: u32,
    /// For how long a follower waits at least for word from a leader before it stands for election, and for how long
    /// having heard from one is a reason not to vote for another. Default: 30.
    pub election_ticks_min: u32,
    /// The wait is drawn anew each time from the minimum up to this, so that members rarely stand at the same time.
    /// Default: 60.
    pub election_ticks_max: u32,
    /// The wait is drawn from 0 up to this when the connection to the leader has broken. Default: 5.
    pub failover_ticks_max: u32,
    /// Entries are sent, and written, together up to this many bytes; a larger one is alone. Default: 1 MiB.
    pub message_bytes: u64,
    /// How many messages with entries may be under way to one member. Default: 8.
    pub inflight_messages: usize,
    /// How many bytes of entries may be under way to one member; one message always may. Default: 8 MiB.
    pub inflight_bytes: u64,
    /// How many bytes of proposals may wait here, forwarded or appended but not committed; one always may.
    /// Default: 64 MiB.
    pub uncommitted_bytes: u64,
    /// How many bytes of applied entries are kept in memory for members that are a little behind. Default: 8 MiB.
    pub cache_bytes: u64,
    /// How many reads may wait for their index. Default: 65,536.
    pub reads: usize,
    /// How many bytes of a snapshot are sent together. Default: 256 KiB.
    pub chunk_bytes: u64,
    /// Whether this member promises leaders not to vote for another for a while, and as a leader answers reads without
    /// asking anybody for as long as a majority has promised it that. Who has promised waits for the time to be over
    /// even when the leader's connection breaks. Default: `None`, no leases.
    pub lease: Option<Lease>,
}

/// What leases may count on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// How many milliseconds a tick has: on no member may fewer pass between two ticks than this less the drift.
    pub tick_ms: u32,
    /// By how much, in percent, the clocks of two members may differ in speed.
    pub drift_percent: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat_ticks: 5,
            election_ticks_min: 30,
            election_ticks_max: 60,
            failover_ticks_max: 5,
            message_bytes: 1 << 20,
            inflight_messages: 8,
            inflight_bytes: 8 << 20,
            uncommitted_bytes: 64 << 20,
            cache_bytes: 8 << 20,
            reads: 1 << 16,
            chunk_bytes: 256 << 10,
            lease: None,
        }
    }
}

/// A setting that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSetting {
    /// Which one.
    pub setting: &'static str,
    /// Why not.
    pub reason: &'static str,
}

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "setting `{}` {}", self.setting, self.reason)
    }
}

impl std::error::Error for BadSetting {}

impl Settings {
    /// # Errors
    ///
    /// [`BadSetting`] for the first that makes no sense, alone or beside the others.
    pub fn check(&self) -> Result<(), BadSetting> {
        let bad = |setting, reason| Err(BadSetting { setting, reason });
        if self.heartbeat_ticks == 0 {
            return bad("heartbeat_ticks", "must be at least 1");
        }
        if self.election_ticks_min < self.heartbeat_ticks.saturating_mul(2) {
            return bad("election_ticks_min", "must be at least twice `heartbeat_ticks`: one may be lost");
        }
        if self.election_ticks_max <= self.election_ticks_min {
            return bad(
                "election_ticks_max",
                "must be more than `election_ticks_min`: members would stand together",
            );
        }
        if self.election_ticks_max > 1 << 20 {
            return bad("election_ticks_max", "is out of all proportion");
        }
        if self.failover_ticks_max > self.election_ticks_min {
            return bad("failover_ticks_max", "must not be more than `election_ticks_min`");
        }
        if self.inflight_messages == 0 {
            return bad("inflight_messages", "must be at least 1");
        }
        if self.uncommitted_bytes == 0 {
            return bad("uncommitted_bytes", "must be at least 1");
        }
        if self.reads == 0 {
            return bad("reads", "must be at least 1");
        }
        if self.chunk_bytes == 0 {
            return bad("chunk_bytes", "must be at least 1");
        }
        match self.lease {
            Some(lease) if lease.tick_ms == 0 => bad("lease", "needs ticks of at least 1 ms"),
            Some(lease) if lease.drift_percent >= 100 => bad("lease", "cannot allow for such a drift"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_sense() {
        Settings::default().check().unwrap();
    }

    #[test]
    fn senseless_settings_are_refused_by_name() {
        let refused = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check().unwrap_err().setting
        };
        assert_eq!(refused(|settings| settings.heartbeat_ticks = 0), "heartbeat_ticks");
        assert_eq!(refused(|settings| settings.heartbeat_ticks = 16), "election_ticks_min");
        assert_eq!(refused(|settings| settings.election_ticks_max = 30), "election_ticks_max");
        assert_eq!(refused(|settings| settings.failover_ticks_max = 31), "failover_ticks_max");
        assert_eq!(refused(|settings| settings.inflight_messages = 0), "inflight_messages");
        assert_eq!(
            refused(|settings| settings.lease = Some(Lease { tick_ms: 0, drift_percent: 5 })),
            "lease"
        );
    }
}
