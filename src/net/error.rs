//! What can go wrong between members, grouped by who can act.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why what connects members could not be set up, or a member could not be asked to be let in.
#[derive(Debug)]
#[non_exhaustive]
pub enum NetError {
    /// Listening at `address`, which others can reach, wants a secret, or the setting that allows doing without.
    Insecure {
        /// Where the listener listens.
        address: SocketAddr,
    },
    /// The secret has too few bytes to be one.
    WeakSecret {
        /// How many it has.
        bytes: usize,
        /// How many it should have at least.
        min: usize,
    },
    /// A setting makes no sense.
    Setting {
        /// Which one, and what it should be.
        problem: &'static str,
    },
    /// What is to be sent is larger than a frame may be.
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// The operating system refused `action`.
    Io {
        /// What was to be done.
        action: &'static str,
        /// Why it was not.
        source: io::Error,
    },
    /// The member at the other end does not talk to this one.
    Refused(Refusal),
    /// There is somebody at the other end, who has not answered in time.
    TimedOut,
    /// There is a member at the other end, which has closed the connection without an answer.
    Unanswered,
    /// What is at the other end is no member of this protocol, or the connection broke.
    Broken {
        /// What was seen.
        problem: &'static str,
    },
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insecure { address } => {
                write!(f, "refusing to listen for peers on {address} without a secret")
            }
            Self::WeakSecret { bytes, min } => {
                write!(f, "the peers' secret has {bytes} bytes and wants at least {min}")
            }
            Self::Setting { problem } => f.write_str(problem),
            Self::TooLarge { bytes, limit } => {
                write!(f, "a frame of {bytes} bytes exceeds frame_bytes_max, {limit}")
            }
            Self::Io { action, .. } => write!(f, "cannot {action}"),
            Self::Refused(refusal) => write!(f, "refused: {refusal}"),
            Self::TimedOut => f.write_str("the member takes too long to answer"),
            Self::Unanswered => f.write_str("the member does not answer"),
            Self::Broken { problem } => f.write_str(problem),
        }
    }
}

impl std::error::Error for NetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why a message was not taken to be sent. None of these is lasting: whoever sends repeats what still matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsent {
    /// The member is not among the peers, and has not connected by itself.
    Unknown,
    /// No connection to it is up.
    NotConnected,
    /// As much as is allowed waits for it already. The newest message is the one that is dropped: what waits came
    /// before it, and the receiver can do nothing with the later part of a sequence without the earlier.
    Full,
    /// It is larger than [`Settings::frame_bytes_max`](super::Settings::frame_bytes_max).
    TooLarge,
    /// The endpoint was stopped.
    Stopped,
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "no such peer",
            Self::NotConnected => "the peer is not connected",
            Self::Full => "too much waits for the peer already",
            Self::TooLarge => "the message is larger than a frame may be",
            Self::Stopped => "the endpoint was stopped",
        })
    }
}

impl std::error::Error for Unsent {}

/// Why a member does not talk to whoever calls it. The numbers are those on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum Refusal {
    /// The two have no version of the protocol in common.
    Version = 1,
    /// The caller belongs to another cluster.
    Cluster = 2,
    /// The caller wanted another member, or calls itself by this one's id.
    Member = 3,
    /// One of the two has a secret and the other has none.
    SecretMissing = 4,
    /// The two have different secrets.
    SecretDiffers = 5,
    /// The caller's process has been started again since.
    OldBoot = 6,
    /// A newer session with the caller is up.
    OldSession = 7,
    /// As many callers as are allowed are being served.
    Busy = 8,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Version,
        Self::Cluster,
        Self::Member,
        Self::SecretMissing,
        Self::SecretDiffers,
        Self::OldBoot,
        Self::OldSession,
        Self::Busy,
    ];

    /// Whether it comes up, and passes, where all is well.
    pub(super) const fn is_passing(self) -> bool {
        matches!(self, Self::OldSession | Self::Busy)
    }

    /// The refusal with this number.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&refusal| refusal as u8 == number)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "no version of the protocol in common",
            Self::Cluster => "a member of another cluster",
            Self::Member => "not the member that was wanted",
            Self::SecretMissing => "one has a secret and the other has none",
            Self::SecretDiffers => "the secrets differ",
            Self::OldBoot => "an earlier life of the member",
            Self::OldSession => "a newer session is up",
            Self::Busy => "too many callers",
        })
    }
}
