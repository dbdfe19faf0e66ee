//! Who an endpoint is, and its limits.

use std::time::{Duration, Instant};

use super::error::NetError;
use crate::codec::ENCODED_BYTES_MAX;
use crate::types::{BootId, ClusterId, MemberId};

/// Who speaks: a life of a member of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// The cluster. Members of another one are refused.
    pub cluster: ClusterId,
    /// The member.
    pub member: MemberId,
    /// Its life, greater than those before: connections of earlier lives are refused once it was heard.
    pub boot: BootId,
}

/// Limits and times of an endpoint.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The largest payload of a frame, sent or received, in bytes. Default: 16 MiB; at most 64 MiB.
    pub frame_bytes_max: usize,
    /// How many bytes may wait for one peer in each class, beyond which a message is dropped; a single larger message
    /// is taken when nothing waits. Default: 16 MiB.
    pub outgoing_bytes_max: usize,
    /// How many messages may wait for one peer in each class. Default: 4,096.
    pub outgoing_messages_max: usize,
    /// How many bytes from all peers together the owner may hold in [`Frames`](super::Frames), those not yet taken
    /// from the channel included, before reading pauses. Default: 64 MiB.
    pub incoming_bytes_max: usize,
    /// How fast bulk frames are sent to all peers together, in bytes a second. Default: 64 MiB/s.
    pub bulk_bytes_per_second: u64,
    /// How long a connection may take to open, per address. Stopping may wait for it. Default: 500 ms.
    pub connect_timeout: Duration,
    /// How long a handshake may take as a whole. Default: 2 s.
    pub handshake_timeout: Duration,
    /// How many callers may be in the handshake, or waiting for an answer to a request to join, at a time. Default: 64.
    pub handshakes_max: usize,
    /// How many members that are not among the peers may be connected at a time. Default: 16.
    pub strangers_max: usize,
    /// How long a peer may take no byte of what is written to it before the connection is given up. Default: 5 s.
    pub write_timeout: Duration,
    /// After how long without anything to send a ping is sent. Default: 1 s.
    pub ping_interval: Duration,
    /// How long nothing may come from a peer, pings included, before the connection is given up. Default: 5 s; at
    /// least two ping intervals of the peer.
    pub silence_timeout: Duration,
    /// How long a connection for bulk frames stays open without any. Default: 10 s.
    pub bulk_idle_timeout: Duration,
    /// The delay before a peer is called again, about; doubled with each failure. Default: 20 ms.
    pub reconnect_delay_min: Duration,
    /// The longest such delay. Default: 500 ms.
    pub reconnect_delay_max: Duration,
    /// How long whoever wants to join waits for the answer, and an answer may take. Default: 10 s.
    pub join_timeout: Duration,
    /// What the jitter of these delays is drawn from. Default: 0; give each member its own.
    pub seed: u64,
    /// Allows listening where others can reach it without a secret. Default: false.
    pub allow_insecure: bool,
    /// Reads the clock, which this module does not. Deadlines of handshakes and the rate of bulk frames need it.
    pub clock: fn() -> Instant,
}

impl Settings {
    /// The defaults, with this clock.
    #[must_use]
    pub fn new(clock: fn() -> Instant) -> Self {
        Self {
            frame_bytes_max: 16 << 20,
            outgoing_bytes_max: 16 << 20,
            outgoing_messages_max: 4096,
            incoming_bytes_max: 64 << 20,
            bulk_bytes_per_second: 64 << 20,
            connect_timeout: Duration::from_millis(500),
            handshake_timeout: Duration::from_secs(2),
            handshakes_max: 64,
            strangers_max: 16,
            write_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(1),
            silence_timeout: Duration::from_secs(5),
            bulk_idle_timeout: Duration::from_secs(10),
            reconnect_delay_min: Duration::from_millis(20),
            reconnect_delay_max: Duration::from_millis(500),
            join_timeout: Duration::from_secs(10),
            seed: 0,
            allow_insecure: false,
            clock,
        }
    }

    /// Whether they make sense together.
    pub(super) fn check(&self) -> Result<(), NetError> {
        let durations = [
            self.connect_timeout,
            self.handshake_timeout,
            self.write_timeout,
            self.ping_interval,
            self.bulk_idle_timeout,
            self.reconnect_delay_min,
            self.join_timeout,
        ];
        let problem = if !(1..=ENCODED_BYTES_MAX).contains(&self.frame_bytes_max) {
            "frame_bytes_max must be from 1 to 64 MiB"
        } else if durations.contains(&Duration::ZERO) {
            "timeouts and delays must be longer than nothing"
        } else if self.silence_timeout < 2 * self.ping_interval {
            "silence_timeout must be at least two ping intervals"
        } else if self.reconnect_delay_max < self.reconnect_delay_min {
            "reconnect_delay_max must not be shorter than reconnect_delay_min"
        } else if self.handshakes_max == 0
            || self.outgoing_messages_max == 0
            || self.bulk_bytes_per_second == 0
        {
            "handshakes_max, outgoing_messages_max and bulk_bytes_per_second must be at least 1"
        } else {
            return Ok(());
        };
        Err(NetError::Setting { problem })
    }
}
