//! One member's end of all its connections.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::dial;
use super::error::{NetError, Refusal, Unsent};
use super::event::Event;
use super::greet::{self, Failure, Greeted, Timed};
use super::handshake::Purpose;
use super::join;
use super::peer::{Lane, Peer, Sending};
use super::queue::Class;
use super::secret::Secret;
use super::session;
use super::settings::{Settings, Speaker};
use super::shared::Shared;
use super::stats::{PeerStats, Rejection, Stats};
use crate::types::MemberId;

/// How many events may wait for the owner. Those with messages are bounded in bytes besides.
const EVENTS_MAX: usize = 1024;

/// How long the acceptor pauses when the system gives it no connection, for want of descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// How long stopping waits for threads, beyond the time that a call may take. All of them end at once unless the
/// machine is overwhelmed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// One member's end of all its connections: it calls the peers and is called by them, sends and receives.
///
/// Nothing here blocks, apart from [`stop`](Self::stop), which dropping does too.
pub struct Endpoint {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Endpoint {
    /// Starts to listen. Peers are called once they are named with [`set_peers`](Self::set_peers).
    ///
    /// The owner takes the events from the channel. It should not hold what it takes for long: when too much waits, or
    /// is held, nothing more is read from anybody until there is room again. After something was put into the channel,
    /// `told` is called, on a thread of the endpoint's and with nothing locked: the owner may take the events there and
    /// then.
    ///
    /// # Errors
    ///
    /// [`NetError::Insecure`] when the listener can be reached from other machines, there is no secret, and
    /// [`Settings::allow_insecure`] is not set. [`NetError::Setting`] when a setting makes no sense. [`NetError::Io`]
    /// when the system gives no thread or the listener is unusable.
    pub fn start(
        listener: TcpListener,
        speaker: Speaker,
        secret: Option<Secret>,
        settings: Settings,
        told: impl Fn() + Send + Sync + 'static,
    ) -> Result<(Self, Receiver<Event>), NetError> {
        settings.check()?;
        let address = check(&listener, secret.is_some() || settings.allow_insecure)?;
        let io = |action| move |source| NetError::Io { action, source };
        listener.set_nonblocking(false).map_err(io("prepare the listener"))?;
        let (events, receiver) = crossbeam_channel::bounded(EVENTS_MAX);
        let shared = Arc::new(Shared::new(speaker, secret, settings, events, told));
        let accepting = Arc::clone(&shared);
        let name = "spinney-accept".to_owned();
        let started = shared.threads.spawn(name, move || accept_all(&accepting, &listener));
        started.map_err(io("start a thread"))?;
        Ok((Self { shared, address }, receiver))
    }

    /// Where the endpoint listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Names the peers and where each may be called, in order of preference: `127.0.0.1:7001`, `host:7001`.
    ///
    /// Replaces what was said before. The sessions with peers that are no longer named end; if such a member calls, it
    /// is taken in as any member of the cluster that was not named is, up to [`Settings::strangers_max`], for it may
    /// be the owner who has yet to hear of it. Sessions with peers whose addresses change go on: the new addresses
    /// count from the next call on. A peer without an address is waited for.
    pub fn set_peers(&self, peers: &BTreeMap<MemberId, Vec<String>>) {
        let shared = &self.shared;
        let mut known = shared.peers.lock();
        for (&member, addresses) in peers.iter().filter(|(member, _)| **member != shared.speaker.member) {
            let peer = known.entry(member).or_insert_with(|| Arc::new(Peer::new(member, &shared.settings)));
            peer.is_named.store(true, Ordering::Relaxed);
            self.set_addresses(peer, addresses);
        }
        for (member, peer) in known.iter().filter(|(member, _)| !peers.contains_key(member)) {
            debug_assert_ne!(*member, shared.speaker.member);
            if peer.is_named.swap(false, Ordering::Relaxed) {
                self.set_addresses(peer, &[]);
                peer.disconnect();
            }
        }
    }

    /// Counts a message of a member, that the owner can make nothing of: see [`Rejection::Nonsense`].
    pub fn pass_over(&self, from: MemberId, what: &str) {
        self.shared.counters.turned_away(Rejection::Nonsense, format!("member {from}: {what}"));
    }

    /// Sends a message to a peer, behind those of its class that wait, and never blocks: what cannot be written at once is
    /// left to a thread.
    ///
    /// # Errors
    ///
    /// [`Unsent`] says why the message was not taken. One that was taken may still be lost with the connection: what
    /// the owner has to know, the peer has to answer.
    pub fn send(&self, to: MemberId, class: Class, message: Vec<u8>) -> Result<(), Unsent> {
        let sent = self.try_send(to, class, message);
        if sent.is_err() {
            self.shared.counters.messages_dropped.add(1);
        }
        sent
    }

    /// Why no session with a peer comes about though it was reached when it was called last, in words.
    #[must_use]
    pub fn refusal(&self, member: MemberId) -> Option<String> {
        let peer = self.shared.peers.lock().get(&member).cloned()?;
        peer.line(Lane::Messages).state.lock().refusal.clone()
    }

    /// What has been counted, and how the peers are.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.shared.counters.stats();
        stats.incoming_bytes = self.shared.budget.held();
        for (&member, peer) in &*self.shared.peers.lock() {
            let mut peer_stats = PeerStats::default();
            for lane in [Lane::Messages, Lane::BulkOut] {
                let state = peer.line(lane).state.lock();
                let (bytes, messages) = state.queue.level();
                peer_stats.waiting_bytes += bytes;
                peer_stats.waiting_messages += messages;
                if lane == Lane::Messages {
                    peer_stats.session = state.session.as_ref().map(|session| session.id);
                }
            }
            stats.peers.insert(member, peer_stats);
        }
        stats
    }

    /// Ends all connections and threads, and waits for their end: a moment, or [`Settings::connect_timeout`] if a peer
    /// is being called. Events that the owner has not taken stay in the channel; no more come.
    pub fn stop(&self) {
        let shared = &self.shared;
        if !shared.stop.set() {
            return;
        }
        shared.budget.close();
        shared.sockets.close();
        for peer in shared.peers.lock().values() {
            peer.wake();
        }
        self.wake_acceptor();
        shared.threads.wait(shared.settings.connect_timeout + STOP_TIMEOUT);
    }

    fn set_addresses(&self, peer: &Arc<Peer>, addresses: &[String]) {
        for lane in [Lane::Messages, Lane::BulkOut] {
            let line = peer.line(lane);
            let mut state = line.state.lock();
            if state.addresses != addresses {
                state.addresses = addresses.to_vec();
                line.callable.notify_all();
            }
            let wants_dialler = lane == Lane::Messages && !addresses.is_empty() && !state.has_dialler;
            if wants_dialler && !self.shared.stop.is_set() {
                state.has_dialler = true;
                drop(state);
                dial::start(&self.shared, peer, lane);
            }
        }
    }

    fn try_send(&self, to: MemberId, class: Class, message: Vec<u8>) -> Result<(), Unsent> {
        if self.shared.stop.is_set() {
            return Err(Unsent::Stopped);
        }
        if message.len() > self.shared.settings.frame_bytes_max {
            return Err(Unsent::TooLarge);
        }
        let peer = self.shared.peers.lock().get(&to).cloned().ok_or(Unsent::Unknown)?;
        if peer.send(&self.shared, class, message)? == Sending::WantsDialler {
            dial::start(&self.shared, &peer, Lane::BulkOut);
        }
        Ok(())
    }

    /// A thread that waits for callers can only be woken by one.
    fn wake_acceptor(&self) {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        // It fails if so many callers wait that none gets in any more: then one of those does it.
        let _ = TcpStream::connect_timeout(&address, self.shared.settings.connect_timeout);
    }
}

/// Where the listener listens, unless others can reach it there and nothing allows that: a secret, or the setting.
///
/// # Errors
///
/// [`NetError::Insecure`] then, and [`NetError::Io`] when the listener is unusable.
pub fn check(listener: &TcpListener, may_be_reached: bool) -> Result<SocketAddr, NetError> {
    let address = listener.local_addr();
    let address =
        address.map_err(|source| NetError::Io { action: "ask for the listener's address", source })?;
    if may_be_reached || address.ip().to_canonical().is_loopback() {
        return Ok(address);
    }
    Err(NetError::Insecure { address })
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({} at {})", self.shared.speaker.member, self.address)
    }
}

/// Takes callers in until stopped.
fn accept_all(shared: &Arc<Shared>, listener: &TcpListener) {
    loop {
        let accepted = listener.accept();
        if shared.stop.is_set() {
            return;
        }
        match accepted {
            Ok((socket, address)) => {
                shared.counters.accepted.add(1);
                take_in(shared, socket, address);
            }
            Err(error) => {
                shared.counters.say(format!("accepting a connection: {error}"));
                shared.stop.wait(ACCEPT_PAUSE);
            }
        }
    }
}

/// Gives a caller a thread, unless too many have one before it is known who they are.
fn take_in(shared: &Arc<Shared>, socket: TcpStream, address: SocketAddr) {
    let Some(place) = Place::take(shared) else {
        greet::turn_away(&socket, Refusal::Busy);
        shared.counters.crowded_out.add(1);
        return turned_away(shared, address, &Failure::RefusedHere(Refusal::Busy));
    };
    let name = "spinney-greet".to_owned();
    let socket = Arc::new(socket);
    let (serving, served) = (Arc::clone(shared), Arc::clone(&socket));
    if let Err(error) = shared.threads.spawn(name, move || serve(&serving, served, address, place)) {
        greet::turn_away(&socket, Refusal::Busy);
        shared.counters.say(format!("cannot start a thread: {error}"));
    }
}

/// One of the places for callers that are in the handshake.
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let taken = shared.handshakes.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(shared));
        (taken < shared.settings.handshakes_max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Finds out who calls and what for, and then serves it until the connection ends.
fn serve(shared: &Arc<Shared>, socket: Arc<TcpStream>, address: SocketAddr, place: Place) {
    let Some(_kept) = shared.sockets.keep(&socket) else { return };
    let mut peer = None;
    let greeted = Timed::new(&socket, shared.settings.handshake_timeout, shared.settings.clock).and_then(
        |mut timed| {
            let (secret, number) = (shared.secret.as_ref(), shared.next_number());
            greet::answer(&mut timed, secret, shared.speaker, number, |greeted| {
                peer = admit(shared, greeted)?;
                Ok(())
            })
        },
    );
    match (greeted, peer) {
        (Ok(greeted), Some((peer, lane))) => {
            drop(place);
            session::run(shared, &peer, lane, greeted, socket);
        }
        (Ok(greeted), None) => {
            if let Err(failure) = join::serve(shared, &socket, greeted) {
                turned_away(shared, address, &failure);
            }
        }
        (Err(failure), _) => turned_away(shared, address, &failure),
    }
}

fn turned_away(shared: &Shared, address: SocketAddr, failure: &Failure) {
    let rejection = match failure {
        Failure::RefusedHere(refusal) => Rejection::Refused(*refusal),
        _ => Rejection::Garbage,
    };
    shared.counters.turned_away(rejection, format!("{address}: {failure}"));
}

/// The peer that a caller is, and which of its connections this is; none for one that is to join.
fn admit(shared: &Shared, greeted: &Greeted) -> Result<Option<(Arc<Peer>, Lane)>, Refusal> {
    let lane = match greeted.purpose {
        Purpose::Messages => Lane::Messages,
        Purpose::Bulk => Lane::BulkIn,
        Purpose::Join => return Ok(None),
    };
    let peer = peer_or_stranger(shared, greeted.member)?;
    peer.admit(lane, greeted.boot, greeted.rank)?;
    Ok(Some((peer, lane)))
}

/// A member of the cluster that was not named is taken in too: perhaps the owner has yet to hear of it, and hears of
/// it from nobody else. There are not many such.
fn peer_or_stranger(shared: &Shared, member: MemberId) -> Result<Arc<Peer>, Refusal> {
    let mut known = shared.peers.lock();
    if let Some(peer) = known.get(&member) {
        return Ok(Arc::clone(peer));
    }
    let is_stranger = |peer: &Peer| !peer.is_named.load(Ordering::Relaxed);
    // Whom no thread knows any more has no session, and cannot get one while the lock is held.
    known.retain(|_, peer| !is_stranger(peer) || Arc::strong_count(peer) > 1);
    if known.values().filter(|peer| is_stranger(peer)).count() >= shared.settings.strangers_max {
        return Err(Refusal::Busy);
    }
    let peer = Arc::new(Peer::new(member, &shared.settings));
    known.insert(member, Arc::clone(&peer));
    Ok(peer)
}
