//! What members prove to each other, and the keys that their frames are sealed with.
//!
//! ```text
//!   secret ── derive ──► key ── keyed hash of (label │ hello │ challenge) ──┬─► proof of the dialler
//!                                                                           ├─► proof of the acceptor
//!                                                                           ├─► frames of the dialler
//!                                                                           └─► frames of the acceptor
//! ```
//! Hello and challenge hold a nonce of each side, so proofs and keys are those of one connection. BLAKE3 is made for
//! all three uses: deriving keys, keyed hashes, and codes that are compared in constant time.

use std::fmt;

use super::error::NetError;

/// A secret has at least this many bytes.
const SECRET_BYTES_MIN: usize = 16;

/// What the key is derived for: no other use of the same secret gives the same key.
const CONTEXT: &str = "spinney 2026-11 the key that peers prove to each other";

/// How many bytes a proof has.
pub(super) const PROOF_BYTES: usize = 32;

/// How many bytes of the keyed hash seal a frame.
pub(super) const SEAL_BYTES: usize = 16;

/// What all members of a cluster know and nobody else.
///
/// It should be drawn at random, for whoever listens in can try out what words it might be; 32 bytes of
/// `/dev/urandom` are good. What members send stays readable to whoever listens in: the secret keeps others from
/// speaking, not from hearing.
#[derive(Clone)]
pub struct Secret {
    key: [u8; 32],
}

impl Secret {
    /// The secret with these bytes, at least 16 of them.
    ///
    /// # Errors
    ///
    /// [`NetError::WeakSecret`] when there are fewer.
    pub fn new(bytes: &[u8]) -> Result<Self, NetError> {
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(NetError::WeakSecret { bytes: bytes.len(), min: SECRET_BYTES_MIN });
        }
        Ok(Self { key: blake3::derive_key(CONTEXT, bytes) })
    }

    /// What only one who knows the secret can compute for this use of this connection.
    fn bind(&self, label: &[u8; 16], hello: &[u8], challenge: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(label).update(hello).update(challenge);
        hasher.finalize()
    }
}

/// Tells nothing.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The one that called.
    Dialler,
    /// The one that was called.
    Acceptor,
}

impl End {
    /// The one at the other end.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Acceptor,
            Self::Acceptor => Self::Dialler,
        }
    }
}

/// What both ends have said before they prove anything, and the secret if they have one.
pub(super) struct Transcript<'a> {
    pub(super) secret: Option<&'a Secret>,
    pub(super) hello: &'a [u8],
    pub(super) challenge: &'a [u8],
}

impl Transcript<'_> {
    /// What `end` proves itself with; zeros without a secret.
    pub(super) fn proof(&self, end: End) -> [u8; PROOF_BYTES] {
        self.expected_proof(end).map_or([0; PROOF_BYTES], |hash| *hash.as_bytes())
    }

    /// Whether this is the proof of `end`. Takes as long for a nearly right one as for a wrong one.
    pub(super) fn is_proof(&self, end: End, proof: [u8; PROOF_BYTES]) -> bool {
        match self.expected_proof(end) {
            Some(expected) => expected == blake3::Hash::from_bytes(proof),
            None => proof == [0; PROOF_BYTES],
        }
    }

    /// What the frames that `end` sends are checked by.
    pub(super) fn check(&self, end: End) -> Check {
        let label = match end {
            End::Dialler => b"frames: dialler ",
            End::Acceptor => b"frames: acceptor",
        };
        match self.secret {
            Some(secret) => Check::Seal(secret.bind(label, self.hello, self.challenge).into()),
            None => Check::Crc,
        }
    }

    fn expected_proof(&self, end: End) -> Option<blake3::Hash> {
        let label = match end {
            End::Dialler => b"proof: dialler  ",
            End::Acceptor => b"proof: acceptor ",
        };
        self.secret.map(|secret| secret.bind(label, self.hello, self.challenge))
    }
}

/// What a frame is checked by.
#[derive(Clone)]
pub enum Check {
    /// A checksum: finds damage.
    Crc,
    /// A keyed hash under the key of this direction of this connection: finds forgery too.
    Seal([u8; 32]),
}

impl Check {
    /// How many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Crc => 4,
            Self::Seal(_) => SEAL_BYTES,
        }
    }

    /// Adds the check of the frame with this number in its direction, which is what `bytes` have from `begins` on: header and
    /// payload.
    pub(super) fn write(&self, number: u64, begins: usize, bytes: &mut Vec<u8>) {
        let frame = &bytes[begins..];
        match self {
            Self::Crc => bytes.extend_from_slice(&crc_of(number, frame).to_le_bytes()),
            Self::Seal(key) => {
                let seal = seal_of(key, number, frame);
                bytes.extend_from_slice(&seal.as_bytes()[..SEAL_BYTES]);
            }
        }
    }

    /// Whether `check`, which has the right length, is that of the frame with this number that has these bytes.
    pub(super) fn verify(&self, number: u64, frame: &[u8], check: &[u8]) -> bool {
        match self {
            Self::Crc => check == crc_of(number, frame).to_le_bytes(),
            Self::Seal(key) => {
                // The rest is filled in with what is expected, so that the comparison is that of whole hashes, which
                // takes constant time.
                let expected = seal_of(key, number, frame);
                let mut whole = *expected.as_bytes();
                whole[..SEAL_BYTES].copy_from_slice(check);
                expected == blake3::Hash::from_bytes(whole)
            }
        }
    }
}

/// Tells no key.
impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crc => "Crc",
            Self::Seal(_) => "Seal",
        })
    }
}

fn crc_of(number: u64, frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(frame);
    hasher.finalize()
}

fn seal_of(key: &[u8; 32], number: u64, frame: &[u8]) -> blake3::Hash {
    blake3::Hasher::new_keyed(key).update(&number.to_le_bytes()).update(frame).finalize()
}
