//! The bytes on the wire, pinned, and what is not accepted for them.
//!
//! Members of neighbouring versions talk to each other: a change here wants a new version of the protocol, and the old
//! one beside it.

use super::error::Refusal;
use super::frame::{Decoder, Encoder, FrameError, HEADER_BYTES, Kind, Span, header_of};
use super::handshake::{Challenge, Garbage, Hello, Proof, Purpose, VERSION_MAX, VERSION_MIN, Verdict};
use super::secret::{Check, End, Secret, Transcript};
use crate::types::{BootId, ClusterId, MemberId};

const ALL_KINDS: &[Kind] =
    &[Kind::Urgent, Kind::Data, Kind::Bulk, Kind::Ping, Kind::JoinRequest, Kind::JoinAnswer];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bare(pinned: &str) -> String {
    pinned.split_whitespace().collect()
}

fn hello() -> Hello {
    Hello {
        version_min: 1,
        version_max: 2,
        purpose: Purpose::Bulk,
        has_secret: true,
        cluster: ClusterId::new(0x0102),
        from: MemberId::new(3),
        to: MemberId::new(4),
        boot: BootId::new(5),
        session: 6,
        nonce: [7; 32],
    }
}

fn challenge() -> Challenge {
    Challenge {
        version_min: 1,
        version_max: 2,
        version: 1,
        refusal: None,
        has_secret: true,
        cluster: ClusterId::new(0x0102),
        from: MemberId::new(4),
        to: MemberId::new(3),
        boot: BootId::new(8),
        session: 6,
        nonce: [9; 32],
    }
}

fn transcript<T>(use_it: impl FnOnce(Transcript<'_>) -> T) -> T {
    let secret = Secret::new(b"0123456789abcdef").unwrap();
    let (hello, challenge) = (hello().encode(), challenge().encode());
    use_it(Transcript { secret: Some(&secret), hello: &hello, challenge: &challenge })
}

#[test]
fn the_bytes_of_the_handshake() {
    let nonce = "07".repeat(32);
    let zeros = "00".repeat(28);
    let pinned = format!(
        "5350494e50454552 0100 0200 02 01 0000 02010000000000000000000000000000
         0300000000000000 0400000000000000 0500000000000000 0600000000000000 {nonce} {zeros} fd99251d"
    );
    assert_eq!(hex(&hello().encode()), bare(&pinned));
    assert_eq!(Hello::decode(&hello().encode()), Ok(hello()));

    let nonce = "09".repeat(32);
    let pinned = format!(
        "5350494e50454552 0100 0200 0100 00 01 02010000000000000000000000000000
         0400000000000000 0300000000000000 0800000000000000 0600000000000000 {nonce} {zeros} 5feb24d8"
    );
    assert_eq!(hex(&challenge().encode()), bare(&pinned));
    assert_eq!(Challenge::decode(&challenge().encode()), Ok(challenge()));
    let refusal = Challenge::refusing(Refusal::Cluster);
    assert_eq!(refusal.encode()[8..16], [VERSION_MIN as u8, 0, VERSION_MAX as u8, 0, 0, 0, 2, 0]);
    assert_eq!(Challenge::decode(&refusal.encode()), Ok(refusal));

    let proof = Proof { proof: transcript(|transcript| transcript.proof(End::Dialler)) };
    let pinned =
        "5350494e50454552 c8d2ae751bbad2385365a8cbe0f6faffcce77bc69ad7b188712cdb385bd8231f 00000000 e20bd265";
    assert_eq!(hex(&proof.encode()), bare(pinned));
    assert_eq!(Proof::decode(&proof.encode()), Ok(proof));

    let verdict = Verdict { proof: transcript(|transcript| transcript.proof(End::Acceptor)), refusal: None };
    let pinned =
        "5350494e50454552 07c688273f41c8eab54a11d7d27dd5873b7955f2bdd92b272fe587d70c5a0e32 00000000 ae0dc1d4";
    assert_eq!(hex(&verdict.encode()), bare(pinned));
    assert_eq!(Verdict::decode(&verdict.encode()), Ok(verdict));
    for (number, refusal) in (1..).zip(Refusal::ALL) {
        let verdict = Verdict { proof: [0; 32], refusal: Some(refusal) };
        assert_eq!(verdict.encode()[40], number, "{refusal:?}");
        assert_eq!(Verdict::decode(&verdict.encode()), Ok(verdict));
    }
}

#[test]
fn the_bytes_of_frames() {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(Check::Crc);
    encoder.encode(Kind::Urgent, b"ab", &mut bytes);
    encoder.encode(Kind::Urgent, b"ab", &mut bytes);
    encoder.encode(Kind::Ping, b"", &mut bytes);
    let pinned =
        "02000000 01 7425b3 6162 0dcf4e2b   02000000 01 f1fc25 6162 5f74d81f   00000000 04 d03745 7ad941ff";
    assert_eq!(hex(&bytes), bare(pinned));

    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(transcript(|transcript| transcript.check(End::Dialler)));
    encoder.encode(Kind::Data, b"ab", &mut bytes);
    encoder.encode(Kind::Bulk, b"", &mut bytes);
    let pinned = "02000000 02 ce74ba 6162 5ae1464581b822db5bb5368c76b5f4a5   00000000 03 bdceeb 74fb43cd7f8317cf1b9743b2606e944e";
    assert_eq!(hex(&bytes), bare(pinned));
    assert_eq!(Kind::JoinRequest as u8, 5);
    assert_eq!(Kind::JoinAnswer as u8, 6);
}

#[test]
fn a_handshake_with_any_bit_flipped_is_none() {
    let (hello, challenge) = (hello().encode(), challenge().encode());
    let proof = Proof { proof: [1; 32] }.encode();
    let verdict = Verdict { proof: [1; 32], refusal: None }.encode();
    for bit in 0..8 * hello.len() {
        let flip = |bytes: &mut [u8]| bytes[bit / 8] ^= 1 << (bit % 8);
        let (mut flipped_hello, mut flipped_challenge) = (hello, challenge);
        flip(&mut flipped_hello);
        flip(&mut flipped_challenge);
        assert!(Hello::decode(&flipped_hello).is_err() && Challenge::decode(&flipped_challenge).is_err());
        if bit < 8 * proof.len() {
            let (mut flipped_proof, mut flipped_verdict) = (proof, verdict);
            flip(&mut flipped_proof);
            flip(&mut flipped_verdict);
            assert!(Proof::decode(&flipped_proof).is_err() && Verdict::decode(&flipped_verdict).is_err());
        }
    }
    assert_eq!(Hello::decode(&[0; 128]), Err(Garbage("not the protocol of members")));
}

#[test]
fn versions_overlap_or_do_not() {
    let speaks = |min, max| Hello { version_min: min, version_max: max, ..hello() }.version();
    assert_eq!(speaks(VERSION_MIN, VERSION_MAX), Some(VERSION_MAX));
    assert_eq!(speaks(0, u16::MAX), Some(VERSION_MAX));
    assert_eq!(speaks(VERSION_MAX + 1, u16::MAX), None);
    assert_eq!(speaks(0, VERSION_MIN - 1), None);
    assert_eq!(speaks(2, 1), None);
}

#[test]
fn proofs_and_keys_differ_by_secret_connection_and_direction() {
    let secrets = [*b"0123456789abcdef", *b"0123456789abcdeg"].map(|bytes| Secret::new(&bytes).unwrap());
    let connections = [(hello(), challenge()), (Hello { nonce: [1; 32], ..hello() }, challenge())];
    let mut proofs = std::collections::BTreeSet::new();
    let mut keys = std::collections::BTreeSet::new();
    for secret in &secrets {
        for (hello, challenge) in &connections {
            let (hello, challenge) = (hello.encode(), challenge.encode());
            let transcript = Transcript { secret: Some(secret), hello: &hello, challenge: &challenge };
            for end in [End::Dialler, End::Acceptor] {
                let proof = transcript.proof(end);
                assert!(transcript.is_proof(end, proof));
                assert!(!transcript.is_proof(end.other(), proof) && !transcript.is_proof(end, [0; 32]));
                proofs.insert(proof);
                let Check::Seal(key) = transcript.check(end) else { panic!() };
                keys.insert(key);
            }
        }
    }
    assert_eq!((proofs.len(), keys.len()), (8, 8));
    assert!(proofs.is_disjoint(&keys));
    assert_eq!(format!("{:?}", secrets[0]), "Secret");
}

fn checks() -> [Check; 2] {
    [Check::Crc, transcript(|transcript| transcript.check(End::Dialler))]
}

/// Three frames, and where each begins.
fn three(check: &Check) -> (Vec<u8>, Vec<usize>) {
    let mut encoder = Encoder::new(check.clone());
    let (mut bytes, mut starts) = (Vec::new(), Vec::new());
    for (kind, payload) in [(Kind::Data, &b"first"[..]), (Kind::Urgent, b""), (Kind::Data, b"the third")] {
        starts.push(bytes.len());
        encoder.encode(kind, payload, &mut bytes);
    }
    starts.push(bytes.len());
    (bytes, starts)
}

fn decode(check: &Check, bytes: &[u8]) -> Result<Vec<Span>, FrameError> {
    let mut spans = Vec::new();
    Decoder::new(check.clone(), ALL_KINDS, 100).decode(bytes, &mut spans).map(|_| spans)
}

#[test]
fn frames_are_read_however_they_come() {
    for check in checks() {
        let (bytes, _) = three(&check);
        for piece in 1..=bytes.len() {
            let mut decoder = Decoder::new(check.clone(), ALL_KINDS, 100);
            let (mut waiting, mut payloads) = (Vec::new(), Vec::new());
            for piece in bytes.chunks(piece) {
                waiting.extend_from_slice(piece);
                let mut spans = Vec::new();
                let decoded = decoder.decode(&waiting, &mut spans).unwrap();
                assert!(waiting.len() - decoded.taken < decoded.wanted);
                payloads.extend(spans.iter().map(|span| waiting[span.start..span.end].to_vec()));
                waiting.drain(..decoded.taken);
            }
            assert!(waiting.is_empty());
            assert_eq!(payloads, [&b"first"[..], b"", b"the third"]);
        }
    }
}

#[test]
fn a_stream_with_any_bit_flipped_ends_there() {
    for check in checks() {
        let (bytes, starts) = three(&check);
        let whole = decode(&check, &bytes).unwrap();
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let before = starts[1..].iter().filter(|&&end| end <= bit / 8).count();
            // Frames before it are as they were, and the one that was hit is refused.
            let mut spans = Vec::new();
            let decoded = Decoder::new(check.clone(), ALL_KINDS, 100).decode(&flipped, &mut spans);
            assert_eq!((spans, decoded.is_err()), (whole[..before].to_vec(), true));
        }
    }
}

/// What is wrong with a length is seen before so many bytes are waited for: with heartbeats coming, that could take hours in
/// which nothing is heard.
#[test]
fn a_header_with_any_bit_flipped_is_refused_at_once() {
    for check in checks() {
        let mut bytes = Vec::new();
        Encoder::new(check.clone()).encode(Kind::Data, b"", &mut bytes);
        for bit in 0..8 * HEADER_BYTES {
            let mut header = bytes[..HEADER_BYTES].to_vec();
            header[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&check, &header), Err(FrameError::Check));
        }
    }
}

#[test]
fn frames_that_are_lost_doubled_moved_or_from_elsewhere_are_refused() {
    for check in checks() {
        let (bytes, starts) = three(&check);
        let frame = |n: usize| &bytes[starts[n]..starts[n + 1]];
        for order in [&[0, 2][..], &[1], &[0, 0], &[0, 2, 1], &[1, 0, 2], &[0, 1, 1], &[0, 1, 2, 0]] {
            let moved: Vec<u8> = order.iter().flat_map(|&n| frame(n)).copied().collect();
            assert_eq!(decode(&check, &moved), Err(FrameError::Check), "{order:?}");
        }
    }
    let (theirs, ours) =
        transcript(|transcript| (transcript.check(End::Acceptor), transcript.check(End::Dialler)));
    assert_eq!(decode(&ours, &three(&theirs).0), Err(FrameError::Check), "sent back to where it came from");
    assert!(decode(&ours, &three(&Check::Crc).0).is_err(), "without a secret");
}

#[test]
fn limits_hold_before_anything_is_believed() {
    let header = |length: u32, kind: u8| header_of(0, length, kind);
    let decode = |header: &[u8]| {
        let allowed = &[Kind::Data, Kind::Ping];
        Decoder::new(Check::Crc, allowed, 100).decode(header, &mut Vec::new()).map(|decoded| decoded.wanted)
    };
    assert_eq!(decode(&header(100, 2)), Ok(HEADER_BYTES + 100 + 4));
    assert_eq!(decode(&header(101, 2)), Err(FrameError::TooLarge { bytes: 101 }));
    assert_eq!(decode(&header(u32::MAX, 2)), Err(FrameError::TooLarge { bytes: u32::MAX }));
    assert_eq!(decode(&header(1, 1)), Err(FrameError::Kind), "not on this connection");
    assert_eq!(decode(&header(1, 0)), Err(FrameError::Kind));
    assert_eq!(decode(&header(1, 7)), Err(FrameError::Kind));
    assert_eq!(decode(&header(1, 4)), Err(FrameError::Ping));
    assert_eq!(decode(&header(1, 2)[..7]), Ok(HEADER_BYTES), "not yet a header");
}
