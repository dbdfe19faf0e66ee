//! Messages between members: `length u32 little-endian │ the message as protobuf`, one after the other.

use std::io::{BufReader, Read};
use std::net::TcpStream;

use protobuf::Message as _;
use raft::eraftpb::Message;

use super::inbox::Inbox;
use crate::Result;

const LENGTH_BYTES: usize = 4;
const BUFFER_BYTES: usize = 256 << 10;

/// Adds `message` to what goes out to a peer.
pub(super) fn encode(message: &Message, outgoing: &mut Vec<u8>) -> Result<()> {
    let start = outgoing.len();
    outgoing.extend_from_slice(&[0; LENGTH_BYTES]);
    message.write_to_vec(outgoing)?;
    let length = (outgoing.len() - start - LENGTH_BYTES) as u32;
    outgoing[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Brings what a peer says to `inbox`, all that is here at once, until the connection ends.
pub(super) fn read(stream: TcpStream, inbox: &Inbox) -> Result<()> {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, stream);
    let (mut length, mut messages) = ([0; LENGTH_BYTES], Vec::new());
    loop {
        reader.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_le_bytes(length) as usize];
        reader.read_exact(&mut frame)?;
        // Entries are not copied: they share the frame.
        messages.push(Message::parse_from_carllerche_bytes(&frame.into())?);
        if !begins_with_a_frame(reader.buffer()) {
            inbox.receive(&mut messages);
        }
    }
}

fn begins_with_a_frame(bytes: &[u8]) -> bool {
    bytes.split_first_chunk().is_some_and(|(length, rest)| rest.len() >= u32::from_le_bytes(*length) as usize)
}
