//! What one server takes at most, of everything that clients decide.

use std::time::Duration;

/// The bounds of a server. All have sane values by default; change what should be otherwise.
///
/// ```
/// use spinney::http::Limits;
///
/// let mut limits = Limits::default();
/// limits.connections = 100;
/// assert_eq!(limits.waits, 20_000);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// How many connections are open at once: 20,000 by default. More wait in the system's queue.
    pub connections: usize,
    /// How many watches wait at once: 20,000 by default. More are refused with status 503.
    pub waits: usize,
    /// The largest body of a request, in bytes: 10 MiB by default, as in etcd. (What a value may take is the
    /// store's to say.)
    pub body_bytes: usize,
    /// The largest head of a request, in bytes: 1 MiB by default. The request line is limited to 64 KiB beside it.
    pub head_bytes: usize,
    /// How many headers a request may have: 100 by default.
    pub headers: usize,
    /// How long a connection may take to bring the head of a request, the time that it is idle before included: 5
    /// minutes by default, as in etcd.
    pub head_timeout: Duration,
    /// How long a request may take to bring its body: 30 seconds by default.
    pub body_timeout: Duration,
    /// How long a client may take no byte of what is waiting for it: 30 seconds by default. What waits for news has
    /// nothing to take.
    pub write_timeout: Duration,
    /// How long requests under way may take when the server stops: 5 seconds by default.
    pub stop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            waits: 20_000,
            body_bytes: 10 << 20,
            head_bytes: 1 << 20,
            headers: 100,
            head_timeout: Duration::from_secs(5 * 60),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            stop_timeout: Duration::from_secs(5),
        }
    }
}
