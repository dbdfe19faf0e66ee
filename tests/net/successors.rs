//! Connections that take the place of others with the same member, while somebody writes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use spinney::internals::BootId;
use spinney::internals::net::Rejection::Refused;
use spinney::internals::net::wire::{
    CLOSING_BYTES, Challenge, Check, Decoder, GREETING_BYTES, Hello, Kind, Proof, Purpose, Verdict,
};
use spinney::internals::net::{Class, Refusal, Settings};

use crate::member::{CLUSTER, LONG, Member, id, settings, speaker};
use crate::support::wait_until;

/// One who calls member 2 as member 1, which numbers the sessions of the two, and hears what member 2 says.
struct Caller {
    socket: TcpStream,
    decoder: Decoder,
    heard: Vec<u8>,
}

impl Caller {
    fn connect(to: &Member, boot: u64, session: u64) -> Result<Self, Refusal> {
        let hello = Hello {
            version_min: 1,
            version_max: 1,
            purpose: Purpose::Messages,
            has_secret: false,
            cluster: CLUSTER,
            from: id(1),
            to: id(2),
            boot: BootId::new(boot),
            session,
            nonce: [3; 32],
        };
        let mut socket = TcpStream::connect(to.address()).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.write_all(&hello.encode()).unwrap();
        let mut challenge = [0; GREETING_BYTES];
        socket.read_exact(&mut challenge).unwrap();
        assert_eq!(Challenge::decode(&challenge).unwrap().session, session);
        socket.write_all(&Proof { proof: [0; 32] }.encode()).unwrap();
        let mut verdict = [0; CLOSING_BYTES];
        socket.read_exact(&mut verdict).unwrap();
        match Verdict::decode(&verdict).unwrap().refusal {
            Some(refusal) => Err(refusal),
            None => {
                let decoder = Decoder::new(Check::Crc, &[Kind::Urgent, Kind::Ping], 1000);
                Ok(Self { socket, decoder, heard: Vec::new() })
            }
        }
    }

    /// Waits until something comes that is whole; a ping is. Says whether there was a message.
    fn hear(&mut self) -> bool {
        loop {
            let mut piece = [0; 4096];
            let count = self.socket.read(&mut piece).expect("nothing comes");
            assert!(count > 0, "the connection was closed");
            self.heard.extend_from_slice(&piece[..count]);
            let mut spans = Vec::new();
            let decoded = self.decoder.decode(&self.heard, &mut spans).expect("a frame that is the next one");
            self.heard.drain(..decoded.taken);
            if decoded.taken > 0 {
                return !spans.is_empty();
            }
        }
    }

    fn has_been_closed(&mut self) -> bool {
        // What was under way may come first.
        loop {
            match self.socket.read(&mut [0; 4096]) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }
}

/// How many connections follow each other.
const SUCCESSORS: u64 = 3000;

/// So short that the writer of a connection looks around all the time.
fn restless() -> Settings {
    Settings { ping_interval: Duration::from_micros(50), ..settings() }
}

#[test]
fn only_a_newer_session_takes_the_place_of_another() {
    let member = Member::start_as(speaker(2, 1), None, settings());
    let mut first = Caller::connect(&member, 7, 5).ok().unwrap();
    let begun = member.connected(1);
    for (session, boot, refusal) in
        [(5, 7, Refusal::OldSession), (4, 7, Refusal::OldSession), (9, 6, Refusal::OldBoot)]
    {
        assert_eq!(Caller::connect(&member, boot, session).err(), Some(refusal), "{session} of {boot}");
    }
    let mut second = Caller::connect(&member, 7, 6).ok().unwrap();
    assert!(member.connected(1) > begun && first.has_been_closed());
    let _third = Caller::connect(&member, 8, 1).ok().unwrap();
    assert!(second.has_been_closed());
    wait_until("all are counted", || {
        (member.refused(Refusal::OldSession), member.refused(Refusal::OldBoot)) == (2, 1)
    });
    let told = member.endpoint.stats().turned_away;
    let told: Vec<_> = told.iter().map(|one| (one.rejection, one.count)).collect();
    assert_eq!(told, [(Refused(Refusal::OldSession), 2), (Refused(Refusal::OldBoot), 1)]);
}

#[test]
fn whoever_calls_says_why_nothing_comes_of_it() {
    let called = Member::start_as(speaker(2, 1), None, settings());
    let newer = Member::start_as(speaker(1, 8), None, settings());
    newer.peers(&[(2, called.address())]);
    newer.connected(2);
    let older = Member::start_as(speaker(1, 7), None, settings());
    older.peers(&[(2, called.address())]);
    let refusal = || older.endpoint.refusal(id(2));
    wait_until("it is told", || refusal().as_deref() == Some("refused there: an earlier life of the member"));
    drop(called);
    wait_until("nobody is there to refuse it", || refusal().is_none());
    assert_eq!(newer.endpoint.refusal(id(2)), None);
}

/// The writer of a connection that was replaced in this very moment must not take what its successor writes with.
#[test]
fn each_connection_is_written_to_though_its_forerunner_is_about_to_ping() {
    let member = Member::start_as(speaker(2, 1), None, restless());
    let mut before = None;
    for session in 1..=SUCCESSORS {
        let mut caller = Caller::connect(&member, 1, session).ok().unwrap();
        (0..2).for_each(|_| assert!(!caller.hear()));
        before = Some(caller);
        member.events.try_iter().for_each(drop);
    }
    drop(before);
}

/// Nor may a sender that comes back from writing to the one put its pen in the place of the other's.
#[test]
fn each_connection_has_its_own_frames_though_senders_are_writing_to_its_forerunner() {
    let member = Member::start_as(speaker(2, 1), None, restless());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let _ = member.send(1, Class::Urgent, b"word".to_vec());
                }
            });
        }
        // Ends the senders, however this ends.
        let _ending = Ending(&is_over);
        let mut before = None;
        for session in 1..=SUCCESSORS {
            let mut caller = Caller::connect(&member, 1, session).ok().unwrap();
            for _ in 0..2 {
                while !caller.hear() {}
            }
            before = Some(caller);
            member.events.try_iter().for_each(drop);
        }
        drop(before);
    });
}

struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
