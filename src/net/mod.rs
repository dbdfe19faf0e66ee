//! Bytes between members, over TCP. It knows nothing of what they mean.
//!
//! ```text
//!   owner ── set_peers, send ──► Endpoint ──► peer ─┬─ queue ─ writer ──►┐
//!                                                   ├─ dialler           ├── one connection, both ways
//!         ◄─ Connected, Messages, Disconnected ─────┴─────────  reader ◄─┘
//!         ◄─ Room, Join                                bulk: connections of their own, one a direction
//!
//!   connection │ handshake: hello, challenge, proof, verdict │ frame │ frame │ …     see `handshake`, `frame`
//! ```
//! One connection serves a pair of members both ways, whoever opened it, so that it is enough if one of them knows an
//! address of the other: a member that was away meets others that it has never heard of. Each calls the peers that it
//! knows and is not connected with; where two connections come up, both ends keep the same one (`peer` says which).
//! Heartbeats and votes overtake data in the queue; large data is sent in pieces, and the kernel is given no more than it can
//! send soon, so that they wait for a moment at most on a narrow link, too. Snapshots have
//! connections of their own, which are opened when needed and sent on at a limited rate.
//!
//! # Threads
//!
//! An acceptor; a writer and a reader a connection; and a dialler a peer, which is the reader of a connection that it
//! opened. What is read at once is handed over at once, so that the owner can write it to disk with one sync; the owner
//! is told on the reader's own thread, and may work there. What is sent is written by the sender while the kernel takes
//! it without waiting (`pen`), and by the writer from there on.
//!
//! # Invariants
//!
//! - The owner never waits for a peer. Queues are bounded in bytes and number; what is too much, the newest, is dropped
//!   and the owner told. What waits for a connection that ends is dropped with it.
//! - Memory is bounded by settings, whatever comes: no length is believed before it is checked, what is read counts
//!   until the owner lets go of it, and callers that have not said who they are have few places and little time.
//! - What the owner is told of a peer is in order of its sessions: nothing of an older one after a newer one is up.
//! - A connection on which anything comes that is not the next frame is closed. Nothing that comes makes a panic.
//! - Without a secret, nobody listens where other machines can reach it, unless allowed by name.
//! - When an endpoint is stopped, no thread is left.
//!
//! # What is not protected
//!
//! A secret keeps others from speaking as members, from changing, repeating, moving and withholding frames, and from
//! joining parts of different connections. It does not keep them from reading, nor from cutting connections.

mod bucket;
mod dial;
mod endpoint;
mod error;
mod event;
mod frame;
mod greet;
mod handshake;
mod join;
mod peer;
mod pen;
mod queue;
mod secret;
mod session;
mod settings;
mod shared;
mod stats;

#[cfg(test)]
mod tests;

pub use endpoint::{Endpoint, check};
pub use error::{NetError, Refusal, Unsent};
pub use event::{Event, Frames, JoinRequest, SessionId};
pub use join::{JOIN_BYTES_MAX, RESOLVE_TIMEOUT, is_of_no_family, join};
pub use queue::Class;
pub use secret::Secret;
pub use settings::{Settings, Speaker};
pub use stats::{PeerStats, Rejection, Stats, TurnedAway};

/// The bytes on the wire, for fuzzing.
pub mod wire {
    pub use super::frame::{Decoded, Decoder, Encoder, FrameError, HEADER_BYTES, Kind, Span};
    pub use super::handshake::{
        CLOSING_BYTES, Challenge, GREETING_BYTES, Garbage, Hello, NONCE_BYTES, Proof, Purpose, VERSION_MAX,
        VERSION_MIN, Verdict,
    };
    pub use super::secret::Check;
}
