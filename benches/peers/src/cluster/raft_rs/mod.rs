//! Three members with the core of raft-rs, in this process, over plain TCP on loopback.
//!
//! raft-rs is the protocol alone: threads, sockets, log and state are its user's. These are as lean as we could write
//! them. A member is one thread that owns all of it, and one that reads a peer's connection; see [`member`]. The state
//! is a `HashMap`. The log is the one that the bare loop has, the fastest we know, and nobody could recover from it:
//! nothing says where its end is. Nothing is checked that comes from a socket, and a member that was away too long is not helped.
//! So what is measured is what a store upon raft-rs could at the most be.
//!
//! The settings are those of Spinney where it has them: ticks of 10 ms, heartbeats every 5, elections after 30 to 60, votes
//! asked for before they are cast, a leader that hears from no majority steps down, and followers are told at once what is
//! committed.

mod inbox;
mod member;
mod wire;

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use inbox::{Caller, Proposal};
use member::{Map, Member, Shared};

use crate::Result;
use crate::members::VALUE;
use crate::raw_log::RawLog;

const IDS: [u64; 3] = [1, 2, 3];

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The members.
pub(super) struct Group {
    members: Vec<Running>,
    readers: Vec<JoinHandle<()>>,
}

struct Running {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<Map>>,
}

impl Group {
    /// Members with logs in `directory`, one of which leads, and every key of `keys` set.
    pub(super) fn start(directory: &Path, keys: &[String]) -> Result<Self> {
        let shared = IDS.map(|_| Arc::new(Shared::default()));
        let mut streams: [Vec<(u64, TcpStream)>; 3] = Default::default();
        let mut readers = Vec::new();
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            let (stream_of_one, stream_of_other) = connect()?;
            readers.push(read(&stream_of_one, &shared[one])?);
            readers.push(read(&stream_of_other, &shared[other])?);
            streams[one].push((IDS[other], stream_of_one));
            streams[other].push((IDS[one], stream_of_other));
        }
        let mut members = Vec::new();
        for ((id, shared), streams) in IDS.into_iter().zip(shared).zip(streams) {
            let log = RawLog::create(&directory.join(format!("raft-rs-{id}")))?;
            let mut member = Member::new(Arc::clone(&shared), id, &IDS, log, streams)?;
            if id == IDS[0] {
                member.campaign()?;
            }
            let thread = thread::Builder::new().name(format!("raft-rs {id}")).spawn(move || member.run())?;
            members.push(Running { shared, thread });
        }
        let group = Self { members, readers };
        let mut set = group.setter()?;
        keys.iter().try_for_each(|key| set(key))?;
        drop(set);
        Ok(group)
    }

    /// For the calling thread: a function that sets a key by the leader and returns when that is applied there.
    pub(super) fn setter(&self) -> Result<impl FnMut(&str) -> Result<()>> {
        let leader = wait_for("nobody leads", || {
            let mut shared = self.members.iter().map(|member| &member.shared);
            shared.find(|shared| shared.is_leader.load(Ordering::Acquire)).map(Arc::clone)
        })?;
        let caller = Arc::new(Caller::new());
        Ok(move |key: &str| {
            caller.begin();
            let data = member::encode(key, &VALUE);
            leader.inbox.propose(Proposal { data, caller: Arc::clone(&caller) });
            if caller.wait() { Ok(()) } else { Err("the member does not lead any more".into()) }
        })
    }

    /// Ends the members, when all have applied the same.
    pub(super) fn close(self) -> Result<()> {
        wait_for("a member has not applied what the others have", || {
            let applied = |member: &Running| member.shared.applied.load(Ordering::Acquire);
            let first = self.members.first().map(applied);
            self.members.iter().all(|member| Some(applied(member)) == first).then_some(())
        })?;
        self.members.iter().for_each(|member| member.shared.inbox.close());
        let join = |member: Running| member.thread.join().map_err(|_| "a member panicked")?;
        let maps: Vec<Map> = self.members.into_iter().map(join).collect::<Result<_>>()?;
        for reader in self.readers {
            reader.join().map_err(|_| "a reader panicked")?;
        }
        if maps.windows(2).all(|pair| pair[0] == pair[1]) { Ok(()) } else { Err("members differ".into()) }
    }
}

/// Both ends of a connection over loopback.
fn connect() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let dialed = TcpStream::connect(listener.local_addr()?)?;
    let (accepted, _) = listener.accept()?;
    dialed.set_nodelay(true)?;
    accepted.set_nodelay(true)?;
    Ok((dialed, accepted))
}

fn read(stream: &TcpStream, shared: &Arc<Shared>) -> Result<JoinHandle<()>> {
    let (stream, shared) = (stream.try_clone()?, Arc::clone(shared));
    Ok(thread::Builder::new().name("raft-rs reads".into()).spawn(move || {
        // It ends when the connection does.
        let _ = wire::read(stream, &shared.inbox);
    })?)
}

fn wait_for<T>(what: &str, mut is_there: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(it) = is_there() {
            return Ok(it);
        }
        if Instant::now() >= deadline {
            return Err(what.into());
        }
        thread::sleep(Duration::from_millis(5));
    }
}
