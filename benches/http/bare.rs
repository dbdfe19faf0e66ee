//! A server that does nothing but receive, sync and answer: the limit that clients and machine set.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::num::NonZero;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::shared::Result;
use crate::shared::servers::Contestant;

/// The argument that makes this program a bare server.
pub(crate) const FLAG: &str = "--bare";

/// As long as etcd's are: an answer, and one that waits for news, in two parts.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Headers: accept, content-type, authorization\r\n\
Access-Control-Allow-Methods: POST, GET, OPTIONS, PUT, DELETE\r\nAccess-Control-Allow-Origin: *\r\n\
Content-Type: application/json\r\nX-Etcd-Cluster-Id: cdf818194e3a8c32\r\nX-Etcd-Index: 12345678\r\n\
X-Raft-Index: 12345678\r\nX-Raft-Term: 12345678\r\nDate: Mon, 23 Nov 2026 02:11:18 GMT\r\nContent-Length: 122\r\n\r\n\
{\"action\":\"get\",\"node\":{\"key\":\"/123/1234567\",\"value\":\"a value of some thirty\",\
\"modifiedIndex\":123456,\"createdIndex\":123}}\n";
const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
const NEWS: &[u8] = b"56\r\n\
{\"action\":\"set\",\"node\":{\"key\":\"/1\",\"value\":\"now\",\"modifiedIndex\":1,\"createdIndex\":1}}\n\r\n0\r\n\r\n";

/// What one write adds to the file, and the file's length, after which it begins anew.
const RECORD: [u8; 128] = [7; 128];
const FILE_BYTES: u64 = 16 << 20;

/// How often it looks whether something is there before it sleeps: some 50 us.
const LOOKS: usize = 100;

/// Serves until the parent is gone.
pub(crate) fn serve(arguments: &[String]) -> Result<()> {
    let [path] = arguments else { return Err("a bare server wants a file".into()) };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    thread::spawn(|| {
        let _ = io::stdin().read_line(&mut String::new());
        std::process::exit(0);
    });
    listener.set_nonblocking(true)?;
    Bare::new(listener, Path::new(path))?.serve()
}

/// One that serves on a file.
pub(crate) fn start(path: &Path) -> Result<Contestant> {
    Contestant::of_this_program("bare", [FLAG.as_ref(), path.as_os_str()])
}

/// One thread for all connections: it reads what is there, writes and syncs at once if there are writes among it, and
/// answers. Only those who wait are told by several.
struct Bare {
    listener: mio::net::TcpListener,
    poll: Poll,
    connections: Vec<Option<TcpStream>>,
    /// Those that wait for the next write.
    waiting: Vec<usize>,
    disk: Disk,
}

const DOOR: Token = Token(usize::MAX);

impl Bare {
    fn new(listener: TcpListener, path: &Path) -> Result<Self> {
        let (poll, mut listener) = (Poll::new()?, mio::net::TcpListener::from_std(listener));
        poll.registry().register(&mut listener, DOOR, Interest::READABLE)?;
        Ok(Self { listener, poll, connections: Vec::new(), waiting: Vec::new(), disk: Disk::new(path)? })
    }

    fn serve(mut self) -> Result<()> {
        let (mut events, mut buffer) = (Events::with_capacity(256), vec![0; 16 << 10]);
        let (mut asked, mut writes) = (Vec::new(), 0);
        loop {
            self.look(&mut events)?;
            for event in &events {
                match event.token() {
                    DOOR => self.accept()?,
                    Token(number) => match self.read(number, &mut buffer) {
                        Some(request) if find(request, b"wait=true") => {
                            self.waiting.push(number);
                            self.write(number, HEAD);
                        }
                        Some(request) => {
                            writes += usize::from(request.starts_with(b"PUT"));
                            asked.push(number);
                        }
                        None => {}
                    },
                }
            }
            if writes > 0 {
                self.disk.write(std::mem::take(&mut writes))?;
                self.tell();
            }
            for number in asked.drain(..) {
                self.write(number, ANSWER);
            }
        }
    }

    /// Waits until something is there: awake at first, since to wake up takes longer than to serve.
    fn look(&mut self, events: &mut Events) -> Result<()> {
        for _ in 0..LOOKS {
            self.poll.poll(events, Some(Duration::ZERO))?;
            if !events.is_empty() {
                return Ok(());
            }
        }
        Ok(self.poll.poll(events, None)?)
    }

    fn accept(&mut self) -> Result<()> {
        while let Ok((mut stream, _)) = self.listener.accept() {
            stream.set_nodelay(true)?;
            let token = Token(self.connections.len());
            self.poll.registry().register(&mut stream, token, Interest::READABLE)?;
            self.connections.push(Some(stream));
        }
        Ok(())
    }

    /// What is there to be read. Requests are small and come one by one, so that each read is one of them.
    fn read<'a>(&mut self, number: usize, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let stream = self.connections[number].as_mut()?;
        match stream.read(buffer) {
            Ok(read) if read > 0 => Some(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            _ => {
                self.connections[number] = None;
                None
            }
        }
    }

    /// Writes to all who wait, from as many threads as the system runs at once.
    fn tell(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let this = &*self;
        thread::scope(|scope| {
            for part in waiting.chunks(waiting.len().div_ceil(threads).max(1)) {
                scope.spawn(move || part.iter().for_each(|number| this.write(*number, NEWS)));
            }
        });
    }

    fn write(&self, number: usize, answer: &[u8]) {
        if let Some(mut stream) = self.connections[number].as_ref() {
            // What becomes of it is the client's to notice.
            let _ = stream.write(answer);
        }
    }
}

fn find(request: &[u8], mark: &[u8]) -> bool {
    request.windows(mark.len()).any(|window| window == mark)
}

/// A file that was written before, so that a sync is of its bytes alone.
struct Disk {
    file: File,
    end: u64,
}

impl Disk {
    fn new(path: &Path) -> Result<Self> {
        let file = File::create(path)?;
        for page in (0..FILE_BYTES).step_by(4096) {
            file.write_all_at(&[0; 4096], page)?;
        }
        file.sync_all()?;
        Ok(Self { file, end: 0 })
    }

    /// Adds so many records and syncs them.
    fn write(&mut self, count: usize) -> Result<()> {
        let records = RECORD.repeat(count);
        if self.end + records.len() as u64 > FILE_BYTES {
            self.end = 0;
        }
        self.file.write_all_at(&records, self.end)?;
        self.end += records.len() as u64;
        Ok(self.file.sync_data()?)
    }
}
