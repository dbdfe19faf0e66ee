//! Calling a peer, again and again.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::error::NetError;
use super::greet::{self, Failure, Greeted, Timed, Wanted};
use super::peer::{Lane, Peer};
use super::session;
use super::settings::Settings;
use super::shared::{KeptSocket, Shared};

/// The delays between calls: doubled with each failure, and half of each drawn at random, so that members which lost
/// each other at the same moment do not call in step.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
    random: u64,
}

impl Backoff {
    pub(super) fn new(settings: &Settings, salt: u64) -> Self {
        Self {
            min: settings.reconnect_delay_min,
            max: settings.reconnect_delay_max,
            failures: 0,
            random: settings.seed ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        }
    }

    /// All is well.
    fn reset(&mut self) {
        self.failures = 0;
    }

    fn fail(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// How long to wait before the next call; nothing before the first if the member `is_first` to call.
    fn delay(&mut self, is_first: bool) -> Duration {
        if self.failures == 0 && is_first {
            return Duration::ZERO;
        }
        let doubled = self.min.saturating_mul(1 << self.failures.min(16));
        let whole = doubled.min(self.max);
        let half = whole / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).saturating_add(1);
        half + Duration::from_nanos(self.draw() % nanos)
    }

    /// A number from a small generator (splitmix64): a seed means the same for ever.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Starts the thread that calls a peer. The line's `has_dialler` is set already.
pub(super) fn start(shared: &Arc<Shared>, peer: &Arc<Peer>, lane: Lane) {
    let name = format!("spinney-call-{}", peer.member);
    let (shared_, peer_) = (Arc::clone(shared), Arc::clone(peer));
    if let Err(error) = shared.threads.spawn(name, move || keep_calling(&shared_, &peer_, lane)) {
        shared.counters.say(format!("cannot start a thread: {error}"));
        peer.line(lane).state.lock().has_dialler = false;
    }
}

/// Calls the peer whenever it should be and is not connected, and reads from the connection while it is up.
fn keep_calling(shared: &Arc<Shared>, peer: &Arc<Peer>, lane: Lane) {
    let salt = peer.member.get() << 2 | lane as u64;
    let mut backoff = Backoff::new(&shared.settings, salt);
    // Where both would call at the same moment, the one with the smaller id goes first.
    let is_first = lane == Lane::BulkOut || shared.speaker.member < peer.member;
    while wait_for_reason(shared, peer, lane, &mut backoff) {
        if !wait_for_turn(shared, peer, lane, backoff.delay(is_first)) {
            continue;
        }
        match call(shared, peer, lane) {
            Ok((greeted, socket, _kept)) => {
                if session::run(shared, peer, lane, greeted, socket) {
                    backoff.reset();
                } else {
                    // Nobody spoke: the peer closes what it accepts, or another connection came up meanwhile.
                    backoff.fail();
                }
            }
            Err(words) => {
                backoff.fail();
                shared.counters.dial_failures.add(1);
                shared.counters.say(format!("calling member {}: {words}", peer.member));
                if lane == Lane::BulkOut {
                    peer.give_up_bulk(shared);
                    shared.told();
                }
            }
        }
    }
}

/// Waits until there is a reason to call; false when there never will be. A session that the peer opened, and spoke in,
/// is as good as one of this side's.
fn wait_for_reason(shared: &Shared, peer: &Peer, lane: Lane, backoff: &mut Backoff) -> bool {
    let line = peer.line(lane);
    let mut state = line.state.lock();
    loop {
        let is_idle = lane == Lane::BulkOut && state.queue.is_empty() && state.session.is_none();
        if shared.stop.is_set() || state.addresses.is_empty() || is_idle {
            state.has_dialler = false;
            return false;
        }
        let Some(session) = state.session.clone() else { return true };
        line.callable.wait(&mut state);
        if session.heard.load(Ordering::Relaxed) {
            backoff.reset();
        }
    }
}

/// Waits for the delay to pass; false when something changed before.
fn wait_for_turn(shared: &Shared, peer: &Peer, lane: Lane, delay: Duration) -> bool {
    if delay.is_zero() {
        return true;
    }
    let line = peer.line(lane);
    let mut state = line.state.lock();
    let is_over = line.callable.wait_for(&mut state, delay).timed_out();
    is_over && !shared.stop.is_set() && state.session.is_none()
}

/// Calls the peer at each of its addresses until one answers as it should.
fn call(shared: &Shared, peer: &Peer, lane: Lane) -> Result<(Greeted, Arc<TcpStream>, KeptSocket), String> {
    let addresses = peer.line(lane).state.lock().addresses.clone();
    let mut words = "it has no address".to_owned();
    let mut refusals = Vec::new();
    for address in &addresses {
        let candidates = match resolve(address, shared.settings.connect_timeout) {
            Ok(candidates) => candidates,
            Err(problem) => {
                words = format!("{address}: {problem}");
                continue;
            }
        };
        for candidate in candidates {
            if shared.stop.is_set() {
                return Err("stopped".to_owned());
            }
            match call_at(shared, peer, lane, candidate) {
                Ok(called) => return Ok(called),
                Err(failure) => {
                    words = format!("{address}: {failure}");
                    refusals.extend(failure.refusal().map(|refusal| (refusal, failure.to_string())));
                }
            }
        }
    }
    peer.note(lane, refusals);
    Err(words)
}

fn call_at(
    shared: &Shared,
    peer: &Peer,
    lane: Lane,
    address: SocketAddr,
) -> Result<(Greeted, Arc<TcpStream>, KeptSocket), Failure> {
    let settings = &shared.settings;
    let socket = Arc::new(TcpStream::connect_timeout(&address, settings.connect_timeout)?);
    let kept = shared.sockets.keep(&socket).ok_or(Failure::TimedOut)?;
    let mut timed = Timed::new(&socket, settings.handshake_timeout, settings.clock)?;
    let wanted = Wanted::Member(shared.speaker, peer.member, lane.purpose());
    let greeted = greet::call(&mut timed, shared.secret.as_ref(), wanted, shared.next_number())?;
    Ok((greeted, socket, kept))
}

/// The addresses that `address` (`127.0.0.1:7001`, `[::1]:7001`, `host:7001`) stands for.
///
/// Asking for a name may take long and cannot be broken off, so a thread of its own does it, and outlives the timeout
/// if it must.
///
/// # Errors
///
/// [`NetError::Broken`] when the name stands for none, [`NetError::Io`] when that could not be found out.
pub(super) fn resolve(address: &str, timeout: Duration) -> Result<Vec<SocketAddr>, NetError> {
    if let Ok(literal) = address.parse() {
        return Ok(vec![literal]);
    }
    let (answer, answered) = crossbeam_channel::bounded(1);
    let name = address.to_owned();
    let asking = thread::Builder::new().name("spinney-resolve".to_owned()).spawn(move || {
        let found = name.to_socket_addrs().map(|found| found.collect::<Vec<_>>());
        // Nobody waits any more if it took too long.
        let _ = answer.send(found);
    });
    let unknown = |source| NetError::Io { action: "find out what the name stands for", source };
    asking.map_err(unknown)?;
    match answered.recv_timeout(timeout) {
        Ok(Ok(found)) if !found.is_empty() => Ok(found),
        // With a number it is of this machine; without, of the name, as far as anybody can tell.
        Ok(Err(error)) if error.raw_os_error().is_some() => Err(unknown(error)),
        Ok(_) => Err(NetError::Broken { problem: "the name has no address" }),
        // Not `TimedOut`, as if it had been called.
        Err(_) => Err(unknown(io::ErrorKind::Other.into())),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "settings want a clock")]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_are_drawn_from_the_seed() {
        let settings = Settings::new(std::time::Instant::now);
        let delays = |seed: u64| {
            let mut backoff = Backoff::new(&Settings { seed, ..settings.clone() }, 7);
            let mut delays = vec![backoff.delay(false)];
            for _ in 0..40 {
                backoff.fail();
                delays.push(backoff.delay(true));
            }
            delays
        };
        let (min, max) = (settings.reconnect_delay_min, settings.reconnect_delay_max);
        for (failures, delay) in delays(1).into_iter().enumerate() {
            let whole = (min * (1 << failures.min(16))).min(max);
            assert!((whole / 2..=whole).contains(&delay), "{failures}: {delay:?}");
        }
        assert_eq!(delays(1), delays(1));
        assert_ne!(delays(1), delays(2));
        assert_eq!(Backoff::new(&settings, 7).delay(true), Duration::ZERO);
    }

    #[test]
    fn addresses_are_literal_or_names() {
        let timeout = Duration::from_secs(20);
        assert_eq!(resolve("127.0.0.1:7001", timeout).unwrap(), ["127.0.0.1:7001".parse().unwrap()]);
        assert!(resolve("localhost:7001", timeout).unwrap().iter().all(|found| found.ip().is_loopback()));
        assert!(resolve("nowhere", timeout).is_err(), "no port");
    }
}
