//! The parts of a handshake: garbage, or what encodes to the same bytes again.

use spinney::internals::net::wire::{
    CLOSING_BYTES, Challenge, GREETING_BYTES, Hello, Proof, VERSION_MAX, Verdict,
};

pub(crate) fn run(bytes: &[u8]) {
    if let Some(part) = bytes.first_chunk::<GREETING_BYTES>() {
        greeting(part);
        greeting(&with_its_checksum(*part));
    }
    if let Some(part) = bytes.first_chunk::<CLOSING_BYTES>() {
        closing(part);
        closing(&with_its_checksum(*part));
    }
}

/// The same with magic and a checksum that fits, which the fuzzer would not find.
fn with_its_checksum<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    bytes[..8].copy_from_slice(b"SPINPEER");
    let crc = crc32fast::hash(&bytes[..N - 4]);
    bytes[N - 4..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn greeting(bytes: &[u8; GREETING_BYTES]) {
    if let Ok(hello) = Hello::decode(bytes) {
        assert_eq!(&hello.encode(), bytes);
        if let Some(version) = hello.version() {
            assert!(version <= VERSION_MAX && (hello.version_min..=hello.version_max).contains(&version));
        }
    }
    if let Ok(challenge) = Challenge::decode(bytes) {
        assert_eq!(&challenge.encode(), bytes);
    }
}

fn closing(bytes: &[u8; CLOSING_BYTES]) {
    if let Ok(proof) = Proof::decode(bytes) {
        assert_eq!(&proof.encode(), bytes);
    }
    if let Ok(verdict) = Verdict::decode(bytes) {
        assert_eq!(&verdict.encode(), bytes);
    }
}
