//! The handshake, over a socket and within a time.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::error::{NetError, Refusal};
use super::handshake::{
    CLOSING_BYTES, Challenge, GREETING_BYTES, Garbage, Hello, NONCE_BYTES, Proof, Purpose, VERSION_MAX,
    VERSION_MIN, Verdict,
};
use super::peer::Rank;
use super::secret::{Check, End, Secret, Transcript};
use super::settings::Speaker;
use crate::types::{BootId, ClusterId, MemberId};

/// Why a handshake ended without a session.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection broke, or was closed.
    Io(io::Error),
    /// It took too long.
    TimedOut,
    /// The other end speaks something else.
    Garbage(&'static str),
    /// The other end refused.
    RefusedThere(Refusal),
    /// This end refused.
    RefusedHere(Refusal),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Io(error),
        }
    }
}

impl From<Garbage> for Failure {
    fn from(garbage: Garbage) -> Self {
        Self::Garbage(garbage.0)
    }
}

impl Failure {
    /// Why one of the two does not talk to the other.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::RefusedThere(refusal) | Self::RefusedHere(refusal) => Some(*refusal),
            Self::Io(_) | Self::TimedOut | Self::Garbage(_) => None,
        }
    }
}

impl From<Failure> for NetError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Io(source) => Self::Io { action: "talk to the member", source },
            Failure::TimedOut => Self::TimedOut,
            Failure::Garbage(problem) => Self::Broken { problem },
            Failure::RefusedThere(refusal) | Failure::RefusedHere(refusal) => Self::Refused(refusal),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the connection broke: {error}"),
            Self::TimedOut => f.write_str("it took too long"),
            Self::Garbage(problem) => f.write_str(problem),
            Self::RefusedThere(refusal) => write!(f, "refused there: {refusal}"),
            Self::RefusedHere(refusal) => write!(f, "refused here: {refusal}"),
        }
    }
}

/// A socket that is read until a deadline, however slowly the bytes come.
pub(super) struct Timed<'a> {
    socket: &'a TcpStream,
    deadline: Instant,
    clock: fn() -> Instant,
}

impl<'a> Timed<'a> {
    /// The socket, for `timeout` from now on.
    pub(super) fn new(
        socket: &'a TcpStream,
        timeout: Duration,
        clock: fn() -> Instant,
    ) -> Result<Self, Failure> {
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(timeout))?;
        Ok(Self { socket, deadline: clock() + timeout, clock })
    }

    /// For `timeout` from now on.
    pub(super) fn go_on_for(&mut self, timeout: Duration) -> Result<(), Failure> {
        self.socket.set_write_timeout(Some(timeout))?;
        self.deadline = (self.clock)() + timeout;
        Ok(())
    }

    /// Reads what is there, at least a byte.
    pub(super) fn read_some(&mut self, bytes: &mut [u8]) -> Result<usize, Failure> {
        loop {
            let left = self.deadline.saturating_duration_since((self.clock)());
            if left.is_zero() {
                return Err(Failure::TimedOut);
            }
            self.socket.set_read_timeout(Some(left))?;
            match self.socket.read(bytes) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.socket.write_all(bytes)?)
    }

    fn read<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let mut bytes = [0; N];
        let mut filled = 0;
        while filled < N {
            filled += self.read_some(&mut bytes[filled..])?;
        }
        Ok(bytes)
    }
}

/// Who is at the other end, and what frames are checked by.
#[derive(Debug)]
pub(super) struct Greeted {
    pub(super) member: MemberId,
    pub(super) boot: BootId,
    pub(super) purpose: Purpose,
    pub(super) rank: Rank,
    /// For the frames that this end sends.
    pub(super) outgoing: Check,
    /// For those that come.
    pub(super) incoming: Check,
}

/// Whom a dialler wants.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// This member, for messages or bulk frames.
    Member(Speaker, MemberId, Purpose),
    /// Any member of any cluster, to ask it for admission.
    Anybody,
}

/// The dialler's part.
pub(super) fn call(
    socket: &mut Timed<'_>,
    secret: Option<&Secret>,
    wanted: Wanted,
    number: u64,
) -> Result<Greeted, Failure> {
    let nobody = Speaker { cluster: ClusterId::new(0), member: MemberId::new(0), boot: BootId::new(0) };
    let (speaker, to, purpose) = match wanted {
        Wanted::Member(speaker, to, purpose) => (speaker, to, purpose),
        Wanted::Anybody => (nobody, MemberId::new(0), Purpose::Join),
    };
    let hello = Hello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        purpose,
        has_secret: secret.is_some(),
        cluster: speaker.cluster,
        from: speaker.member,
        to,
        boot: speaker.boot,
        session: number,
        nonce: nonce()?,
    };
    let hello_bytes = hello.encode();
    socket.write(&hello_bytes)?;

    let challenge_bytes = socket.read::<GREETING_BYTES>()?;
    let challenge = Challenge::decode(&challenge_bytes)?;
    if let Some(refusal) = challenge.refusal {
        return Err(Failure::RefusedThere(refusal));
    }
    check_challenge(&hello, &challenge)?;

    let transcript = Transcript { secret, hello: &hello_bytes, challenge: &challenge_bytes };
    socket.write(&Proof { proof: transcript.proof(End::Dialler) }.encode())?;
    let verdict = Verdict::decode(&socket.read::<CLOSING_BYTES>()?)?;
    if let Some(refusal) = verdict.refusal {
        return Err(Failure::RefusedThere(refusal));
    }
    if !transcript.is_proof(End::Acceptor, verdict.proof) {
        return Err(Failure::RefusedHere(Refusal::SecretDiffers));
    }
    Ok(greeted(&transcript, End::Dialler, &hello, &challenge))
}

/// Whether the acceptor is who was wanted and speaks what can be spoken.
fn check_challenge(hello: &Hello, challenge: &Challenge) -> Result<(), Failure> {
    if !(hello.version_min..=hello.version_max).contains(&challenge.version) {
        return Err(Failure::RefusedHere(Refusal::Version));
    }
    if challenge.has_secret != hello.has_secret {
        return Err(Failure::RefusedHere(Refusal::SecretMissing));
    }
    if hello.purpose == Purpose::Join {
        return Ok(());
    }
    if challenge.cluster != hello.cluster {
        return Err(Failure::RefusedHere(Refusal::Cluster));
    }
    if challenge.from != hello.to || challenge.to != hello.from {
        return Err(Failure::RefusedHere(Refusal::Member));
    }
    if !numbered_by_acceptor(hello, challenge.from) && challenge.session != hello.session {
        return Err(Failure::Garbage("a challenge for another session"));
    }
    Ok(())
}

/// The acceptor's part. `admit` decides about a caller that has proved itself, and knows the rank of the session.
pub(super) fn answer(
    socket: &mut Timed<'_>,
    secret: Option<&Secret>,
    speaker: Speaker,
    number: u64,
    admit: impl FnOnce(&Greeted) -> Result<(), Refusal>,
) -> Result<Greeted, Failure> {
    let hello_bytes = socket.read::<GREETING_BYTES>()?;
    let hello = Hello::decode(&hello_bytes)?;
    let version = match check_hello(&hello, secret, speaker) {
        Ok(version) => version,
        Err(refusal) => {
            socket.write(&Challenge::refusing(refusal).encode())?;
            return Err(Failure::RefusedHere(refusal));
        }
    };
    let challenge = Challenge {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        version,
        refusal: None,
        has_secret: secret.is_some(),
        cluster: speaker.cluster,
        from: speaker.member,
        to: hello.from,
        boot: speaker.boot,
        session: if numbered_by_acceptor(&hello, speaker.member) { number } else { hello.session },
        nonce: nonce()?,
    };
    let challenge_bytes = challenge.encode();
    socket.write(&challenge_bytes)?;

    let proof = Proof::decode(&socket.read::<CLOSING_BYTES>()?)?;
    let transcript = Transcript { secret, hello: &hello_bytes, challenge: &challenge_bytes };
    let verdict = if transcript.is_proof(End::Dialler, proof.proof) {
        let greeted = greeted(&transcript, End::Acceptor, &hello, &challenge);
        admit(&greeted).map(|()| greeted)
    } else {
        Err(Refusal::SecretDiffers)
    };
    match verdict {
        Ok(greeted) => {
            socket.write(&Verdict { proof: transcript.proof(End::Acceptor), refusal: None }.encode())?;
            Ok(greeted)
        }
        Err(refusal) => {
            socket.write(&Verdict { proof: [0; 32], refusal: Some(refusal) }.encode())?;
            Err(Failure::RefusedHere(refusal))
        }
    }
}

/// Tells a caller that was not listened to why, as far as that goes without waiting: it is not to take this member for one that
/// is not there.
pub(super) fn turn_away(mut socket: &TcpStream, refusal: Refusal) {
    if socket.set_nonblocking(true).is_ok()
        && socket.write_all(&Challenge::refusing(refusal).encode()).is_ok()
    {
        // What it has said by now is taken, or closing would take back what it is told.
        let _ =
            socket.shutdown(Shutdown::Write).and_then(|()| socket.read(&mut [0; GREETING_BYTES]).map(drop));
    }
}

/// The version to speak with whoever says this.
fn check_hello(hello: &Hello, secret: Option<&Secret>, speaker: Speaker) -> Result<u16, Refusal> {
    let version = hello.version().ok_or(Refusal::Version)?;
    if hello.purpose != Purpose::Join {
        if hello.cluster != speaker.cluster {
            return Err(Refusal::Cluster);
        }
        let nobody = MemberId::new(0);
        if hello.to != speaker.member || hello.from == speaker.member || hello.from == nobody {
            return Err(Refusal::Member);
        }
    }
    if hello.has_secret != secret.is_some() {
        return Err(Refusal::SecretMissing);
    }
    Ok(version)
}

/// The smaller id numbers the sessions of a pair; whoever opens a connection for bulk frames numbers it.
fn numbered_by_acceptor(hello: &Hello, acceptor: MemberId) -> bool {
    hello.purpose == Purpose::Messages && acceptor < hello.from
}

fn greeted(transcript: &Transcript<'_>, end: End, hello: &Hello, challenge: &Challenge) -> Greeted {
    let by_acceptor = numbered_by_acceptor(hello, challenge.from);
    let (member, boot) = match end {
        End::Dialler => (challenge.from, challenge.boot),
        End::Acceptor => (hello.from, hello.boot),
    };
    Greeted {
        member,
        boot,
        purpose: hello.purpose,
        rank: Rank { boot: if by_acceptor { challenge.boot } else { hello.boot }, number: challenge.session },
        outgoing: transcript.check(end),
        incoming: transcript.check(end.other()),
    }
}

/// Bytes that were never drawn before and that nobody can foretell.
fn nonce() -> Result<[u8; NONCE_BYTES], Failure> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|error| Failure::Io(error.into()))?;
    Ok(nonce)
}
