//! What two members say before the first frame.
//!
//! ```text
//!   dialler ──► Hello                  who it is, whom it wants, what for
//!           ◄── Challenge              the version chosen, who is there; or a refusal
//!           ──► Proof                  that it knows the secret
//!           ◄── Verdict                that the acceptor knows it too; or a refusal
//!
//!   hello      │ magic 8 │ version min u16 │ max u16 │ purpose u8 │ secret u8 │ zeros 2 │ cluster u128 │
//!    128       │ from u64 │ to u64 │ boot u64 │ session u64 │ nonce 32 │ zeros 28 │ crc32 u32 │
//!   challenge  │ magic 8 │ version min u16 │ max u16 │ version u16 │ refusal u8 │ secret u8 │ cluster u128 │
//!    128       │ from u64 │ to u64 │ boot u64 │ session u64 │ nonce 32 │ zeros 28 │ crc32 u32 │
//!   proof, 48  │ magic 8 │ proof 32 │ zeros 4 │ crc32 u32 │
//!   verdict    │ magic 8 │ proof 32 │ refusal u8 │ zeros 3 │ crc32 u32 │                                      48
//! ```
//! All integers are little-endian; the checksum covers what stands before it. These layouts are the same in every
//! version of the protocol: what the versions differ in comes after them. The dialler proves itself first, so whoever
//! only knocks learns nothing that was computed from the secret. What a refusal would tell of the acceptor is left
//! out of it.

use super::error::Refusal;
use super::secret::PROOF_BYTES;
use crate::types::{BootId, ClusterId, MemberId};

/// What every part begins with.
const MAGIC: [u8; 8] = *b"SPINPEER";

/// The oldest version of the protocol that this one speaks: what the version before it spoke, once there is one.
pub const VERSION_MIN: u16 = 1;

/// The newest.
pub const VERSION_MAX: u16 = 1;

/// How long a hello is, and a challenge.
pub const GREETING_BYTES: usize = 128;

/// How long a proof is, and a verdict.
pub const CLOSING_BYTES: usize = 48;

/// How many bytes each side draws at random for one connection.
pub const NONCE_BYTES: usize = 32;

/// What a connection is for. The numbers are those on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Messages both ways.
    Messages = 1,
    /// Bulk frames from the dialler.
    Bulk = 2,
    /// One request of somebody who is no member yet, and one answer.
    Join = 3,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::Messages, Self::Bulk, Self::Join];
}

/// Bytes that are no part of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbage(pub &'static str);

/// What the dialler begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The oldest version that it speaks.
    pub version_min: u16,
    /// The newest.
    pub version_max: u16,
    /// What it wants.
    pub purpose: Purpose,
    /// Whether it has a secret.
    pub has_secret: bool,
    /// Its cluster; 0 when it has none yet.
    pub cluster: ClusterId,
    /// The member that it is; 0 when it is none yet.
    pub from: MemberId,
    /// The member that it wants; 0 for any.
    pub to: MemberId,
    /// Which of its lives speaks.
    pub boot: BootId,
    /// The session's number, if it is the dialler who numbers it.
    pub session: u64,
    /// Never used before.
    pub nonce: [u8; NONCE_BYTES],
}

impl Hello {
    /// The bytes to send.
    #[must_use]
    pub fn encode(&self) -> [u8; GREETING_BYTES] {
        let mut bytes = [0; GREETING_BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 8, self.version_min.to_le_bytes());
        put(&mut bytes, 10, self.version_max.to_le_bytes());
        put(&mut bytes, 12, [self.purpose as u8, u8::from(self.has_secret)]);
        put(&mut bytes, 16, self.cluster.get().to_le_bytes());
        put(&mut bytes, 32, self.from.get().to_le_bytes());
        put(&mut bytes, 40, self.to.get().to_le_bytes());
        put(&mut bytes, 48, self.boot.get().to_le_bytes());
        put(&mut bytes, 56, self.session.to_le_bytes());
        put(&mut bytes, 64, self.nonce);
        seal(&mut bytes);
        bytes
    }

    /// The hello that these bytes are.
    ///
    /// # Errors
    ///
    /// [`Garbage`] when they are none.
    pub fn decode(bytes: &[u8; GREETING_BYTES]) -> Result<Self, Garbage> {
        open(bytes)?;
        zeros(&bytes[14..16])?;
        zeros(&bytes[96..124])?;
        let purpose = Purpose::ALL.into_iter().find(|&purpose| purpose as u8 == bytes[12]);
        Ok(Self {
            version_min: u16::from_le_bytes(take(bytes, 8)),
            version_max: u16::from_le_bytes(take(bytes, 10)),
            purpose: purpose.ok_or(Garbage("a hello for an unknown purpose"))?,
            has_secret: flag(bytes[13])?,
            cluster: ClusterId::new(u128::from_le_bytes(take(bytes, 16))),
            from: MemberId::new(u64::from_le_bytes(take(bytes, 32))),
            to: MemberId::new(u64::from_le_bytes(take(bytes, 40))),
            boot: BootId::new(u64::from_le_bytes(take(bytes, 48))),
            session: u64::from_le_bytes(take(bytes, 56)),
            nonce: take(bytes, 64),
        })
    }

    /// The newest version that this side speaks too.
    #[must_use]
    pub fn version(&self) -> Option<u16> {
        let newest = self.version_max.min(VERSION_MAX);
        (newest >= self.version_min.max(VERSION_MIN)).then_some(newest)
    }
}

/// What the acceptor answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The oldest version that it speaks.
    pub version_min: u16,
    /// The newest.
    pub version_max: u16,
    /// The one that is spoken from here on; 0 in a refusal.
    pub version: u16,
    /// Why it does not go on.
    pub refusal: Option<Refusal>,
    /// Whether it has a secret.
    pub has_secret: bool,
    /// Its cluster.
    pub cluster: ClusterId,
    /// The member that it is.
    pub from: MemberId,
    /// The member that it answers.
    pub to: MemberId,
    /// Which of its lives speaks.
    pub boot: BootId,
    /// The session's number, whoever numbered it.
    pub session: u64,
    /// Never used before.
    pub nonce: [u8; NONCE_BYTES],
}

impl Challenge {
    /// The answer that ends the conversation.
    #[must_use]
    pub fn refusing(refusal: Refusal) -> Self {
        Self {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            version: 0,
            refusal: Some(refusal),
            has_secret: false,
            cluster: ClusterId::new(0),
            from: MemberId::new(0),
            to: MemberId::new(0),
            boot: BootId::new(0),
            session: 0,
            nonce: [0; NONCE_BYTES],
        }
    }

    /// The bytes to send.
    #[must_use]
    pub fn encode(&self) -> [u8; GREETING_BYTES] {
        let mut bytes = [0; GREETING_BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 8, self.version_min.to_le_bytes());
        put(&mut bytes, 10, self.version_max.to_le_bytes());
        put(&mut bytes, 12, self.version.to_le_bytes());
        put(&mut bytes, 14, [number_of(self.refusal), u8::from(self.has_secret)]);
        put(&mut bytes, 16, self.cluster.get().to_le_bytes());
        put(&mut bytes, 32, self.from.get().to_le_bytes());
        put(&mut bytes, 40, self.to.get().to_le_bytes());
        put(&mut bytes, 48, self.boot.get().to_le_bytes());
        put(&mut bytes, 56, self.session.to_le_bytes());
        put(&mut bytes, 64, self.nonce);
        seal(&mut bytes);
        bytes
    }

    /// The challenge that these bytes are.
    ///
    /// # Errors
    ///
    /// [`Garbage`] when they are none.
    pub fn decode(bytes: &[u8; GREETING_BYTES]) -> Result<Self, Garbage> {
        open(bytes)?;
        zeros(&bytes[96..124])?;
        Ok(Self {
            version_min: u16::from_le_bytes(take(bytes, 8)),
            version_max: u16::from_le_bytes(take(bytes, 10)),
            version: u16::from_le_bytes(take(bytes, 12)),
            refusal: refusal_of(bytes[14])?,
            has_secret: flag(bytes[15])?,
            cluster: ClusterId::new(u128::from_le_bytes(take(bytes, 16))),
            from: MemberId::new(u64::from_le_bytes(take(bytes, 32))),
            to: MemberId::new(u64::from_le_bytes(take(bytes, 40))),
            boot: BootId::new(u64::from_le_bytes(take(bytes, 48))),
            session: u64::from_le_bytes(take(bytes, 56)),
            nonce: take(bytes, 64),
        })
    }
}

/// What the dialler ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// That it knows the secret; zeros without one.
    pub proof: [u8; PROOF_BYTES],
}

impl Proof {
    /// The bytes to send.
    #[must_use]
    pub fn encode(&self) -> [u8; CLOSING_BYTES] {
        let mut bytes = [0; CLOSING_BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 8, self.proof);
        seal(&mut bytes);
        bytes
    }

    /// The proof that these bytes are.
    ///
    /// # Errors
    ///
    /// [`Garbage`] when they are none.
    pub fn decode(bytes: &[u8; CLOSING_BYTES]) -> Result<Self, Garbage> {
        open(bytes)?;
        zeros(&bytes[40..44])?;
        Ok(Self { proof: take(bytes, 8) })
    }
}

/// What the acceptor ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// That it knows the secret; zeros without one, and in a refusal.
    pub proof: [u8; PROOF_BYTES],
    /// Why there will be no frames.
    pub refusal: Option<Refusal>,
}

impl Verdict {
    /// The bytes to send.
    #[must_use]
    pub fn encode(&self) -> [u8; CLOSING_BYTES] {
        let mut bytes = [0; CLOSING_BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 8, self.proof);
        bytes[40] = number_of(self.refusal);
        seal(&mut bytes);
        bytes
    }

    /// The verdict that these bytes are.
    ///
    /// # Errors
    ///
    /// [`Garbage`] when they are none.
    pub fn decode(bytes: &[u8; CLOSING_BYTES]) -> Result<Self, Garbage> {
        open(bytes)?;
        zeros(&bytes[41..44])?;
        Ok(Self { proof: take(bytes, 8), refusal: refusal_of(bytes[40])? })
    }
}

fn put<const N: usize>(bytes: &mut [u8], offset: usize, field: [u8; N]) {
    bytes[offset..offset + N].copy_from_slice(&field);
}

fn take<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[offset..offset + N]);
    field
}

/// Sets the checksum, the last four bytes.
fn seal(bytes: &mut [u8]) {
    let (checked, crc) = bytes.split_at_mut(bytes.len() - 4);
    crc.copy_from_slice(&crc32fast::hash(checked).to_le_bytes());
}

fn open(bytes: &[u8]) -> Result<(), Garbage> {
    let (checked, crc) = bytes.split_at(bytes.len() - 4);
    if checked[..8] != MAGIC {
        return Err(Garbage("not the protocol of members"));
    }
    if crc != crc32fast::hash(checked).to_le_bytes() {
        return Err(Garbage("a part of a handshake whose checksum fails"));
    }
    Ok(())
}

fn zeros(bytes: &[u8]) -> Result<(), Garbage> {
    if bytes.iter().any(|&byte| byte != 0) {
        return Err(Garbage("a part of a handshake with something where zeros should be"));
    }
    Ok(())
}

fn flag(byte: u8) -> Result<bool, Garbage> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Garbage("a part of a handshake with a flag that is neither set nor clear")),
    }
}

fn number_of(refusal: Option<Refusal>) -> u8 {
    refusal.map_or(0, |refusal| refusal as u8)
}

fn refusal_of(number: u8) -> Result<Option<Refusal>, Garbage> {
    match number {
        0 => Ok(None),
        number => Refusal::from_number(number).map(Some).ok_or(Garbage("an unknown refusal")),
    }
}
