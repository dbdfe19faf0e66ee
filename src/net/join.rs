//! How somebody who is no member yet asks to become one: one request, one answer.
//!
//! The endpoint knows nothing of what they say; the owner decides, and may answer that somebody else should be asked.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

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

/// How long it may take to ask for a name. Of one that stands for nothing, some are told late.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How much is read at once.
const READ_BYTES: usize = 4 << 10;

/// Asks the member at `address` (`127.0.0.1:7001`, `host:7001`), whoever it is, and gives its answer.
///
/// Where it is a name that stands for several addresses, it calls one after the other until a member may have heard it.
///
/// Blocks until the answer is there: for [`RESOLVE_TIMEOUT`] at most where it is a name, and at each address for those of connecting and
/// of the handshake; at one, for [`Settings::join_timeout`] as well.
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
    for candidate in resolve(address, RESOLVE_TIMEOUT)? {
        let error = match TcpStream::connect_timeout(&candidate, settings.connect_timeout) {
            Ok(socket) => match ask(&socket, request, secret, settings) {
                // It is there, and may have heard the request.
                Err(error @ (NetError::TimedOut | NetError::Unanswered)) => return Err(error),
                Err(error) => error,
                answer => return answer,
            },
            Err(source) => NetError::Io { action: "connect to the member", source },
        };
        if failed.as_ref().is_none_or(|before| weight(&error) > weight(before)) {
            failed = Some(error);
        }
    }
    Err(failed.unwrap_or(NetError::Broken { problem: "the name has no address" }))
}

/// Which of the errors at several addresses of one name counts: that a member is there and refuses says most, and that there is no
/// way to an address from here, least. Between those, what leaves it open whether a member is there says more than that none is.
fn weight(error: &NetError) -> u8 {
    use std::io::ErrorKind::{
        AddrNotAvailable, ConnectionAborted, ConnectionRefused, ConnectionReset, NetworkUnreachable,
    };
    match error {
        NetError::Refused(_) => 3,
        NetError::Io { source, .. } => match source.kind() {
            AddrNotAvailable | NetworkUnreachable => 0,
            _ if is_of_no_family(source) => 0,
            ConnectionRefused | ConnectionReset | ConnectionAborted => 1,
            _ => 2,
        },
        _ => 1,
    }
}

/// Whether this machine does not know the family of an address at all: IPv6, mostly, where it is switched off.
pub fn is_of_no_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAFNOSUPPORT)
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

#[cfg(test)]
mod tests {
    use super::super::error::Refusal;
    use super::*;

    #[test]
    fn of_several_addresses_that_failed_the_one_that_leaves_most_open_counts() {
        let io = |kind: io::ErrorKind| NetError::Io { action: "test", source: kind.into() };
        let of_no_family =
            NetError::Io { action: "test", source: io::Error::from_raw_os_error(libc::EAFNOSUPPORT) };
        let no_way =
            [io(io::ErrorKind::AddrNotAvailable), io(io::ErrorKind::NetworkUnreachable), of_no_family];
        let nobody = [io(io::ErrorKind::ConnectionRefused), NetError::Broken { problem: "test" }];
        let open = [io(io::ErrorKind::TimedOut), io(io::ErrorKind::Other)];
        let ordered = [&no_way[..], &nobody, &open, &[NetError::Refused(Refusal::Busy)]];
        for (weights, errors) in ordered.iter().enumerate() {
            for error in *errors {
                assert_eq!(usize::from(weight(error)), weights, "{error:?}");
            }
        }
    }
}
