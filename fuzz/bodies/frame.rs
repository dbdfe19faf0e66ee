//! What comes on a connection: frames or not, alike in whatever pieces it comes; and real frames, one bit changed.

use spinney::internals::net::wire::{Check, Decoder, Encoder, FrameError, HEADER_BYTES, Kind};

const KINDS: &[Kind] = &[Kind::Urgent, Kind::Data, Kind::Part, Kind::Ping];
const BYTES_MAX: usize = 300;

pub(crate) fn run(bytes: &[u8]) {
    let [mode, a, b, rest @ ..] = bytes else { return };
    let check = if mode & 1 == 0 { Check::Crc } else { Check::Seal([7; 32]) };
    match mode & 6 {
        0 => read_in_pieces(&check, rest, usize::from(*a) + 1),
        // Frames, and then the same bytes as they are.
        4 => read_in_pieces(&check, &[&stream(&check, rest).bytes, rest].concat(), usize::from(*a) + 1),
        _ => change_a_bit(&check, rest, usize::from(u16::from_le_bytes([*a, *b]))),
    }
}

/// The payloads, until there are no more or something is no frame.
fn read(check: &Check, bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, Result<usize, FrameError>) {
    let mut decoder = Decoder::new(check.clone(), KINDS, BYTES_MAX);
    let (mut waiting, mut payloads, mut spans) = (Vec::new(), Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        waiting.extend_from_slice(piece);
        spans.clear();
        let decoded = decoder.decode(&waiting, &mut spans);
        for span in &spans {
            assert!(span.kind != Kind::Ping && span.end - span.start <= BYTES_MAX);
            payloads.push(waiting[span.start..span.end].to_vec());
        }
        match decoded {
            Err(error) => return (payloads, Err(error)),
            Ok(decoded) => {
                // The reader makes room for what is wanted: more than there is, and no more than the limit.
                assert!(decoded.wanted > waiting.len() - decoded.taken);
                assert!(decoded.wanted <= HEADER_BYTES + BYTES_MAX + 16);
                waiting.drain(..decoded.taken);
            }
        }
    }
    (payloads, Ok(waiting.len()))
}

fn read_in_pieces(check: &Check, bytes: &[u8], piece: usize) {
    assert_eq!(read(check, bytes, piece), read(check, bytes, bytes.len().max(1)));
}

/// Real frames.
struct Stream {
    bytes: Vec<u8>,
    payloads: Vec<Vec<u8>>,
    /// Where the frame of each payload ends.
    ends: Vec<usize>,
}

/// A frame for each part of `bytes`.
fn stream(check: &Check, bytes: &[u8]) -> Stream {
    let mut encoder = Encoder::new(check.clone());
    let mut stream = Stream { bytes: Vec::new(), payloads: Vec::new(), ends: Vec::new() };
    for payload in bytes.split(|&byte| byte == 0xff).map(|payload| &payload[..payload.len().min(BYTES_MAX)]) {
        let kind = if payload.is_empty() { Kind::Ping } else { KINDS[payload.len() % 2] };
        encoder.encode(kind, payload, &mut stream.bytes);
        if kind != Kind::Ping {
            stream.payloads.push(payload.to_vec());
            stream.ends.push(stream.bytes.len());
        }
    }
    stream
}

fn change_a_bit(check: &Check, bytes: &[u8], bit: usize) {
    let Stream { mut bytes, payloads, ends } = stream(check, bytes);
    assert_eq!(read(check, &bytes, bytes.len()), (payloads.clone(), Ok(0)));
    let bit = bit % (8 * bytes.len());
    bytes[bit / 8] ^= 1 << (bit % 8);
    let (read, end) = read(check, &bytes, bytes.len());
    let before = ends.iter().filter(|&&end| end <= bit / 8).count();
    assert_eq!(read, payloads[..before], "nothing from the changed frame on is believed");
    assert!(end.is_err(), "the changed frame is refused, and not waited for");
}
