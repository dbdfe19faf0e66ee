//! What comes on a connection: frames or not, alike in whatever pieces it comes; and real frames, one bit changed.

use spinney::internals::net::wire::{Check, Decoder, Encoder, FrameError, HEADER_BYTES, Kind};

const KINDS: &[Kind] = &[Kind::Urgent, Kind::Data, Kind::Ping];
const BYTES_MAX: usize = 300;

pub(crate) fn run(bytes: &[u8]) {
    let [mode, a, b, rest @ ..] = bytes else { return };
    let check = if mode & 1 == 0 { Check::Crc } else { Check::Seal([7; 32]) };
    if mode & 2 == 0 {
        read_in_pieces(&check, rest, usize::from(*a) + 1);
    } else {
        change_a_bit(&check, rest, usize::from(u16::from_le_bytes([*a, *b])));
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

fn change_a_bit(check: &Check, bytes: &[u8], bit: usize) {
    let mut encoder = Encoder::new(check.clone());
    let (mut stream, mut payloads, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for payload in bytes.split(|&byte| byte == 0xff).map(|payload| &payload[..payload.len().min(BYTES_MAX)]) {
        let kind = if payload.is_empty() { Kind::Ping } else { KINDS[payload.len() % 2] };
        encoder.encode(kind, payload, &mut stream);
        if kind != Kind::Ping {
            payloads.push(payload.to_vec());
            ends.push(stream.len());
        }
    }
    assert_eq!(read(check, &stream, stream.len()), (payloads.clone(), Ok(0)));
    let bit = bit % (8 * stream.len());
    stream[bit / 8] ^= 1 << (bit % 8);
    let (read, _) = read(check, &stream, stream.len());
    let before = ends.iter().filter(|&&end| end <= bit / 8).count();
    assert_eq!(read, payloads[..before], "nothing from the changed frame on is believed");
}
