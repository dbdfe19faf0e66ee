//! How somebody who is no member yet asks to become one: one request, one answer.
//!
//! The endpoint knows nothing of what they say; the owner decides, and may answer that somebody else should be asked.

use std::net::TcpStream;
use std::sync::Arc;

use crossbeam_channel::select;

use super::dial::resolve;
use super::error::NetError;
use super::event::{Event, JoinRequest};
use super::frame::{Decoder, Encoder, Kind};
use super::greet::{self, Failure, Greeted, Timed, Wanted};
use super::secret::Secret;
use super::settings::Settings;
use super::shared::Shared;

/// Requests and answers have at most this many bytes: 1 MiB.
pub const JOIN_BYTES_MAX: usize = 1 << 20;

/// How much is read at once.
const READ_BYTES: usize = 4 << 10;

/// Asks the member at `address` (`127.0.0.1:7001`, `host:7001`), whoever it is, and gives its answer.
///
/// Blocks until the answer is there, for [`Settings::join_timeout`] and the time of the handshake at most.
///
/// # Errors
///
/// [`NetError::Refused`] when the member has another secret or version, or too many callers. [`NetError::TooLarge`]
/// when the request exceeds [`JOIN_BYTES_MAX`]. [`NetError::Io`] and [`NetError::Broken`] when no member could be reached;
/// [`NetError::TimedOut`] and [`NetError::Unanswered`] when it did not answer: whether it heard the request is not known.
pub fn join(
    address: &str,
    request: &[u8],
    secret: Option<&Secret>,
    settings: &Settings,
) -> Result<Vec<u8>, NetError> {
    settings.check()?;
    if request.len() > JOIN_BYTES_MAX {
        return Err(NetError::TooLarge { bytes: request.len(), limit: JOIN_BYTES_MAX });
    }
    let mut failed = None;
    for candidate in resolve(address, settings.connect_timeout)? {
        let error = match TcpStream::connect_timeout(&candidate, settings.connect_timeout) {
            Ok(socket) => match ask(&socket, request, secret, settings) {
                // It may have heard the request.
                Err(error @ (NetError::TimedOut | NetError::Unanswered)) => return Err(error),
                Err(error) => error,
                answer => return answer,
            },
            Err(source) => NetError::Io { action: "connect to the member", source },
        };
        // That a member is there, and refuses, says more than that something else is, or nothing.
        if !matches!(failed, Some(NetError::Refused(_))) {
            failed = Some(error);
        }
    }
    Err(failed.unwrap_or(NetError::Broken { problem: "the name has no address" }))
}

fn ask(
    socket: &TcpStream,
    request: &[u8],
    secret: Option<&Secret>,
    settings: &Settings,
) -> Result<Vec<u8>, NetError> {
    let mut timed = Timed::new(socket, settings.handshake_timeout, settings.clock)?;
    let greeted = greet::call(&mut timed, secret, Wanted::Anybody, 0)?;
    ask_member(&mut timed, greeted, request, settings).map_err(|failure| match failure {
        Failure::Io(_) | Failure::Garbage(_) => NetError::Unanswered,
        other => other.into(),
    })
}

fn ask_member(
    timed: &mut Timed<'_>,
    greeted: Greeted,
    request: &[u8],
    settings: &Settings,
) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    Encoder::new(greeted.outgoing).encode(Kind::JoinRequest, request, &mut bytes);
    timed.write(&bytes)?;
    timed.go_on_for(settings.join_timeout)?;
    read_one(timed, Decoder::new(greeted.incoming, &[Kind::JoinAnswer], JOIN_BYTES_MAX))
}

/// The acceptor's part, once the handshake is done: hands the request to the owner and sends the answer.
pub(super) fn serve(shared: &Shared, socket: &Arc<TcpStream>, greeted: Greeted) -> Result<(), Failure> {
    let settings = &shared.settings;
    let mut timed = Timed::new(socket, settings.handshake_timeout, settings.clock)?;
    let decoder = Decoder::new(greeted.incoming, &[Kind::JoinRequest], JOIN_BYTES_MAX);
    let bytes = read_one(&mut timed, decoder)?;
    let (answer, answered) = crossbeam_channel::bounded(1);
    if !shared.emit(Event::Join(JoinRequest { bytes, answer })) {
        return Ok(());
    }
    shared.told();
    let answer: Vec<u8> = select! {
        recv(answered) -> answer => match answer {
            Ok(answer) => answer,
            Err(_) => return Ok(()), // The owner does not want to answer.
        },
        recv(shared.stop.closed()) -> _ => return Ok(()),
        default(settings.join_timeout) => return Err(Failure::TimedOut),
    };
    let mut bytes = Vec::new();
    Encoder::new(greeted.outgoing).encode(Kind::JoinAnswer, &answer, &mut bytes);
    timed.write(&bytes)
}

/// Reads until there is one frame.
fn read_one(socket: &mut Timed<'_>, mut decoder: Decoder) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut spans = Vec::new();
    let mut piece = [0; READ_BYTES];
    loop {
        let count = socket.read_some(&mut piece)?;
        bytes.extend_from_slice(&piece[..count]);
        let decoded = decoder
            .decode(&bytes, &mut spans)
            .map_err(|_| Failure::Garbage("something that is not the frame expected"))?;
        match spans.as_slice() {
            [] => {}
            [span] if decoded.taken == bytes.len() => return Ok(bytes[span.start..span.end].to_vec()),
            _ => return Err(Failure::Garbage("more than the one frame expected")),
        }
    }
}
