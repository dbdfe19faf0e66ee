//! The load: requests that are ready to be sent, and as little work about answers as can be, since clients and servers
//! share the machine. One thread drives all connections, each with one request under way at a time.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::Result;

/// How long a server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The bytes of a request; `form` is its body, if there is anything in it.
pub(crate) fn request(method: &str, target: &str, form: &str) -> Vec<u8> {
    let body = match form {
        "" => "\r\n".to_owned(),
        form => format!(
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ),
    };
    format!("{method} {target} HTTP/1.1\r\nHost: bench\r\n{body}").into_bytes()
}

pub(crate) fn is_healthy(address: SocketAddr) -> bool {
    let asked =
        Connection::new(address).and_then(|mut connection| connection.call(&request("GET", "/health", "")));
    asked.is_ok_and(|status| status == 200)
}

/// How many requests a second are answered over so many connections, which go to the servers in turns. Connections take
/// from `requests` in turns, too, each beginning elsewhere.
pub(crate) fn rate(
    servers: &[SocketAddr],
    connections: usize,
    slice: Duration,
    requests: &[Vec<u8>],
) -> Result<f64> {
    let mut next: Vec<usize> = (0..connections).map(|number| number * 37).collect();
    let mut request_of = |number: usize| {
        next[number] += 1;
        requests[next[number] % requests.len()].as_slice()
    };
    let mut crowd = Crowd::connect(servers, connections)?;
    for number in 0..connections {
        crowd.send(number, request_of(number))?;
    }
    let (started, mut answered) = (Instant::now(), 0);
    let elapsed = loop {
        let elapsed = started.elapsed();
        if elapsed >= slice {
            break elapsed;
        }
        crowd.turn(|number, status| match status {
            200 | 201 => {
                answered += 1;
                Ok(Some(request_of(number)))
            }
            status => Err(format!("status {status}").into()),
        })?;
    };
    Ok(f64::from(answered) / elapsed.as_secs_f64())
}

/// Writes so many keys.
pub(crate) fn fill(server: SocketAddr, keys: usize) -> Result<()> {
    const CLIENTS: usize = 64;
    let mut crowd = Crowd::connect(&[server], CLIENTS)?;
    let (mut sent, mut answered) = (0, 0);
    for client in 0..CLIENTS.min(keys) {
        crowd.send(client, &put(sent))?;
        sent += 1;
    }
    while answered < keys {
        crowd.turn(|_, _| {
            answered += 1;
            let next = (sent < keys).then(|| put(sent));
            sent += usize::from(next.is_some());
            Ok(next)
        })?;
    }
    Ok(())
}

/// A request that writes the n-th key.
pub(crate) fn put(n: usize) -> Vec<u8> {
    request("PUT", &name(n), "value=a+value+of+some+thirty+bytes+or+so")
}

/// The n-th key.
pub(crate) fn name(n: usize) -> String {
    format!("/v2/keys/bench/{:03}/{n:07}", n % 1000)
}

/// A connection on which one thread waits.
pub(crate) struct Connection {
    stream: TcpStream,
    incoming: Incoming,
}

impl Connection {
    pub(crate) fn new(server: SocketAddr) -> Result<Self> {
        Self::with_room(server, 16 << 10)
    }

    /// One for a client that expects little.
    pub(crate) fn small(server: SocketAddr) -> Result<Self> {
        Self::with_room(server, 512)
    }

    /// Gives up waiting for an answer after so long.
    pub(crate) fn set_patience(&mut self, patience: Duration) -> Result<()> {
        Ok(self.stream.set_read_timeout(Some(patience))?)
    }

    fn with_room(server: SocketAddr, bytes: usize) -> Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, incoming: Incoming::with_room(bytes) })
    }

    /// Sends `request` and returns the status of the answer, once all of it is here.
    pub(crate) fn call(&mut self, request: &[u8]) -> Result<u16> {
        self.send(request)?;
        self.answer()
    }

    pub(crate) fn send(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(request)?)
    }

    /// The status of an answer, once all of it is here.
    pub(crate) fn answer(&mut self) -> Result<u16> {
        loop {
            if let Some(status) = self.incoming.take_answer()? {
                return Ok(status);
            }
            self.incoming.read(&mut self.stream)?;
        }
    }

    /// Waits for the head of an answer. The rest may take its time.
    pub(crate) fn head(&mut self) -> Result<()> {
        while self.incoming.head()?.is_none() {
            self.incoming.read(&mut self.stream)?;
        }
        Ok(())
    }
}

/// Connections that one thread drives, all at once.
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    members: Vec<Member>,
}

struct Member {
    stream: mio::net::TcpStream,
    incoming: Incoming,
}

impl Crowd {
    /// So many connections, to the servers in turns.
    pub(crate) fn connect(servers: &[SocketAddr], count: usize) -> Result<Self> {
        let connections = servers.iter().cycle().take(count).map(|server| Connection::new(*server));
        Self::of(connections.collect::<Result<_>>()?)
    }

    /// Those that are given, numbered in their order, with what they have heard already.
    pub(crate) fn of(connections: Vec<Connection>) -> Result<Self> {
        let poll = Poll::new()?;
        let mut members = Vec::with_capacity(connections.len());
        for (number, Connection { stream, incoming }) in connections.into_iter().enumerate() {
            stream.set_nonblocking(true)?;
            let mut stream = mio::net::TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
            members.push(Member { stream, incoming });
        }
        Ok(Self { poll, events: Events::with_capacity(members.len().max(1)), members })
    }

    /// Sends a request, which is small enough that the system takes it at once.
    pub(crate) fn send(&mut self, number: usize, request: &[u8]) -> Result<()> {
        self.members[number].send(request)
    }

    /// Waits until something is there to be read and reads it. `answered` is told of each answer, by the number of its
    /// connection and its status; what it returns is sent next.
    pub(crate) fn turn<T: AsRef<[u8]>>(
        &mut self,
        mut answered: impl FnMut(usize, u16) -> Result<Option<T>>,
    ) -> Result<()> {
        self.poll.poll(&mut self.events, Some(PATIENCE))?;
        if self.events.is_empty() {
            return Err("the server does not answer".into());
        }
        for event in &self.events {
            let Token(number) = event.token();
            let member = &mut self.members[number];
            if let Some(status) = member.answer()?
                && let Some(request) = answered(number, status)?
            {
                member.send(request.as_ref())?;
            }
        }
        Ok(())
    }
}

impl Member {
    fn send(&mut self, request: &[u8]) -> Result<()> {
        match self.stream.write(request)? {
            sent if sent == request.len() => Ok(()),
            _ => Err("the system has no room for a request".into()),
        }
    }

    /// The status of the answer if all of it is here. Nothing follows it before the next request.
    fn answer(&mut self) -> Result<Option<u16>> {
        loop {
            match self.incoming.read(&mut self.stream) {
                Ok(()) => {}
                Err(error) if is_later(&*error) => return Ok(None),
                Err(error) => return Err(error),
            }
            if let Some(status) = self.incoming.take_answer()? {
                return Ok(Some(status));
            }
        }
    }
}

fn is_later(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// What has come of answers.
struct Incoming {
    buffer: Vec<u8>,
    filled: usize,
    /// The head of the answer that is coming, once all of it is here.
    head: Option<Head>,
}

#[derive(Clone, Copy)]
struct Head {
    status: u16,
    /// How long it is itself.
    bytes: usize,
    /// The length of what follows; in pieces, of which the last is empty, where nothing is said of it.
    length: Option<usize>,
}

impl Incoming {
    fn with_room(bytes: usize) -> Self {
        Self { buffer: vec![0; bytes], filled: 0, head: None }
    }

    /// Takes an answer off, if all of it is here.
    fn take_answer(&mut self) -> Result<Option<u16>> {
        let Some(head) = self.head()? else { return Ok(None) };
        let end = match head.length {
            Some(length) => head.bytes + length,
            // Nothing follows before the next request.
            None if self.buffer[head.bytes..self.filled].ends_with(b"0\r\n\r\n") => self.filled,
            None => return Ok(None),
        };
        if end > self.filled {
            return Ok(None);
        }
        self.buffer.copy_within(end..self.filled, 0);
        self.filled -= end;
        self.head = None;
        Ok(Some(head.status))
    }

    /// The head of the answer that is coming, if all of it is here. It is read once.
    fn head(&mut self) -> Result<Option<Head>> {
        if self.head.is_none() {
            self.head = Head::read(&self.buffer[..self.filled])?;
        }
        Ok(self.head)
    }

    fn read(&mut self, stream: &mut impl Read) -> Result<()> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        match stream.read(&mut self.buffer[self.filled..])? {
            0 => Err("the server hung up".into()),
            read => {
                self.filled += read;
                Ok(())
            }
        }
    }
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Option<Self>> {
        const END: &[u8; 4] = b"\r\n\r\n";
        const LENGTH: &str = "content-length: ";
        let Some(end) = bytes.windows(END.len()).position(|window| window == END) else { return Ok(None) };
        let text = std::str::from_utf8(&bytes[..end])?;
        let status = text.get(9..12).ok_or("no status")?.parse()?;
        let says_length =
            |line: &&str| line.get(..LENGTH.len()).is_some_and(|name| name.eq_ignore_ascii_case(LENGTH));
        let length = text.lines().find(says_length).map(|line| line[LENGTH.len()..].parse()).transpose()?;
        Ok(Some(Self { status, bytes: end + END.len(), length }))
    }
}
