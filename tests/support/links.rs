//! Links between members that are processes: each member is reached through a proxy, and what one says to another is a
//! line of its own, whichever of the two opened the connection.
//!
//! ```text
//!   n1 ──► proxy of n2 ──► n2      who calls is in the first words of the caller: the line from n1 to n2, and back
//! ```

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use spinney::internals::net::wire::{GREETING_BYTES, Hello};

use crate::support::line::Line;
use crate::support::proxy::Proxy;

/// How long a caller may take to say who it is.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// The links between the founders of a cluster, which are numbered from 0 here.
pub(crate) struct Links {
    /// By who speaks and who listens.
    lines: Arc<Vec<Vec<Arc<Line>>>>,
    proxies: Vec<Proxy>,
}

impl Links {
    /// Links between members that listen at these addresses, the first of which is member 1.
    pub(crate) fn between(members: &[SocketAddr]) -> Self {
        let new_lines = || members.iter().map(|_| Arc::default()).collect();
        let lines: Arc<Vec<Vec<Arc<Line>>>> = Arc::new(members.iter().map(|_| new_lines()).collect());
        let proxies = (0..).zip(members).map(|(listener, &address)| {
            let lines = Arc::clone(&lines);
            let of_caller = move |caller: &TcpStream| {
                let said = greeting(caller).ok()?;
                let Some(speaker) = Hello::decode(&said).ok()?.from.get().checked_sub(1) else {
                    // Whoever asks to join, or whether it has been a member, does not say who it is: nothing spoils that.
                    return Some([Arc::default(), Arc::default()]);
                };
                let speaker = usize::try_from(speaker).ok().filter(|speaker| *speaker < lines.len())?;
                Some([&lines[speaker][listener], &lines[listener][speaker]].map(Arc::clone))
            };
            Proxy::of_lines(address, Box::new(of_caller))
        });
        Self { proxies: proxies.collect(), lines }
    }

    /// Where others reach a member.
    pub(crate) fn address(&self, member: usize) -> SocketAddr {
        self.proxies[member].address()
    }

    /// What `speaker` says to `listener`.
    pub(crate) fn line(&self, speaker: usize, listener: usize) -> &Line {
        &self.lines[speaker][listener]
    }

    /// What goes from any of `speakers` to any of `listeners`.
    pub(crate) fn lines<'a>(
        &'a self,
        speakers: &'a [usize],
        listeners: &'a [usize],
    ) -> impl Iterator<Item = &'a Line> {
        speakers.iter().flat_map(move |&speaker| {
            let others = listeners.iter().filter(move |&&listener| listener != speaker);
            others.map(move |&listener| self.line(speaker, listener))
        })
    }

    /// Takes all faults back.
    pub(crate) fn mend(&self) {
        self.lines.iter().flatten().for_each(|line| line.mend());
    }

    /// How many connections have been passed on so far.
    pub(crate) fn passed(&self) -> usize {
        self.proxies.iter().map(Proxy::passed).sum()
    }
}

/// The first words of a caller, which stay to be read.
fn greeting(caller: &TcpStream) -> io::Result<[u8; GREETING_BYTES]> {
    let mut said = [0; GREETING_BYTES];
    caller.set_read_timeout(Some(GREETING_TIMEOUT))?;
    for _ in 0..GREETING_TIMEOUT.as_millis() {
        match caller.peek(&mut said)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            GREETING_BYTES => {
                caller.set_read_timeout(None)?;
                return Ok(said);
            }
            // Part of it, which would be seen again at once.
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}
