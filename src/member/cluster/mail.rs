//! What members say to each other, as bytes.

use crate::codec;
use crate::net::{Class, Endpoint};
use crate::raft::{Envelope, Message};
use crate::types::MemberId;

/// Sends it, if it can be sent; it may be lost, as it may be on the way. Says how many bytes it has.
pub(super) fn send(endpoint: &Endpoint, envelope: &Envelope) -> usize {
    let class = match &envelope.message {
        Message::SnapshotChunk { .. } => Class::Bulk,
        message if message.goes_ahead() => Class::Urgent,
        Message::Append { .. } | Message::Committed { .. } | Message::Forward { .. } => Class::Data,
        _ => Class::Urgent,
    };
    let encoded = codec::encode(envelope);
    let bytes = encoded.len();
    let _ = endpoint.send(envelope.to, class, encoded);
    bytes
}

/// What `from` has sent to `to`. What this version does not understand is as if it were lost.
pub(super) fn open(bytes: &[u8], from: MemberId, to: MemberId) -> Option<Envelope> {
    codec::decode::<Envelope>(bytes).ok().filter(|envelope| envelope.from == from && envelope.to == to)
}
