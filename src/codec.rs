//! The one door to the encoding: serde with bincode, little-endian, integers of variable length.
//!
//! Everything that reaches a disk or a peer goes through [`encode`] and [`decode`]. Decoding never allocates
//! more than the bytes at hand can justify and refuses what is left over. What wraps the bytes (segment,
//! record, chunk) carries the format version; golden-bytes tests pin the layouts.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Nothing that is encoded is larger: 64 MiB. A length found in damaged bytes cannot ask for more memory.
pub const ENCODED_BYTES_MAX: usize = 64 << 20;

const CONFIG: Configuration<LittleEndian, Varint, Limit<ENCODED_BYTES_MAX>> =
    bincode::config::standard().with_limit::<ENCODED_BYTES_MAX>();

/// Why bytes could not be turned into what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(String);

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DecodeError {}

/// Adds the encoding of `value` to `bytes`.
///
/// # Panics
///
/// When `value` cannot be encoded at all, which none of this crate's types can cause: their sizes are checked
/// where they enter.
pub fn encode_into(value: &impl Serialize, bytes: &mut Vec<u8>) {
    // The writer is a vector and the types are ours: neither can refuse.
    bincode::serde::encode_into_std_write(value, bytes, bincode::config::standard())
        .expect("the crate's own types can be encoded");
}

/// The encoding of `value`.
#[must_use]
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    encode_into(value, &mut bytes);
    bytes
}

/// The value that all of `bytes` encode.
///
/// # Errors
///
/// When they encode something else, or something follows.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, read) = decode_prefix(bytes)?;
    if read != bytes.len() {
        return Err(DecodeError(format!("{} bytes follow the value", bytes.len() - read)));
    }
    Ok(value)
}

/// The value that `bytes` begin with, and how many of them it takes.
///
/// # Errors
///
/// When they begin with something else.
pub fn decode_prefix<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, usize), DecodeError> {
    bincode::serde::borrow_decode_from_slice(bytes, CONFIG).map_err(|error| DecodeError(error.to_string()))
}

/// Borrowed bytes, written and read as one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice<'a>(pub &'a [u8]);

impl Serialize for Slice<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Slice<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Self)
    }
}

/// For byte strings of one's own: written as one run instead of number by number (a tenth of the time).
pub mod bytes {
    use std::fmt;
    use std::marker::PhantomData;

    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    /// Writes the length, then the bytes.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &impl AsRef<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes.as_ref())
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    ///
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>, T: for<'a> From<&'a [u8]>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        struct Bytes<T>(PhantomData<T>);
        impl<'de, T: for<'a> From<&'a [u8]>> Visitor<'de> for Bytes<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte string")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<T, E> {
                Ok(T::from(bytes))
            }
        }
        deserializer.deserialize_bytes(Bytes(PhantomData))
    }
}
