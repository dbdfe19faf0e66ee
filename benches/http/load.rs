//! The load: threads that each have one connection and one request under way at a time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::servers::connect;

/// A connection that reads no more of an answer than where it ends.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    pub(crate) fn new(address: SocketAddr) -> Result<Self> {
        Ok(Self { stream: connect(address)?, buffer: vec![0; 16 << 10], filled: 0 })
    }

    /// One for a client that expects little.
    pub(crate) fn small(address: SocketAddr) -> Result<Self> {
        Ok(Self { stream: connect(address)?, buffer: vec![0; 512], filled: 0 })
    }

    /// Sends `request` and returns the status of the answer, once all of it is here.
    pub(crate) fn call(&mut self, request: &[u8]) -> Result<u16> {
        self.send(request)?;
        self.answer()
    }

    pub(crate) fn send(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(request)?)
    }

    /// The status of an answer, once all of it is here: with a length, or in pieces of which the last is empty.
    pub(crate) fn answer(&mut self) -> Result<u16> {
        let head = self.read_until(b"\r\n\r\n", 0)?;
        let text = std::str::from_utf8(&self.buffer[..head])?.to_ascii_lowercase();
        let status = text.get(9..12).ok_or("no status")?.parse()?;
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let end = match length {
            Some(length) => {
                let end = head + length.parse::<usize>()?;
                self.read_to(end)?;
                end
            }
            None => self.read_until(b"0\r\n\r\n", head)?,
        };
        self.buffer.copy_within(end..self.filled, 0);
        self.filled -= end;
        Ok(status)
    }

    /// Reads until `mark` is there after `from`; where it ends.
    pub(crate) fn read_until(&mut self, mark: &[u8], from: usize) -> Result<usize> {
        loop {
            let read = &self.buffer[from..self.filled];
            if let Some(at) = read.windows(mark.len()).position(|window| window == mark) {
                return Ok(from + at + mark.len());
            }
            self.read_more()?;
        }
    }

    fn read_to(&mut self, end: usize) -> Result<()> {
        while self.filled < end {
            self.read_more()?;
        }
        Ok(())
    }

    fn read_more(&mut self) -> Result<()> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        let read = self.stream.read(&mut self.buffer[self.filled..])?;
        if read == 0 {
            return Err("the server hung up".into());
        }
        self.filled += read;
        Ok(())
    }
}

pub(crate) fn is_healthy(address: SocketAddr) -> bool {
    let asked =
        Connection::new(address).and_then(|mut connection| connection.call(&request("GET", "/health", "")));
    asked.is_ok_and(|status| status == 200)
}

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

/// How many requests a second are answered over so many connections. `request` makes the n-th of a connection.
pub(crate) fn rate(
    address: SocketAddr,
    connections: usize,
    slice: Duration,
    request: impl Fn(usize, usize) -> Vec<u8> + Sync,
) -> Result<f64> {
    let (start, stop) = (Barrier::new(connections + 1), AtomicBool::new(false));
    let work = |number: usize| -> Result<usize> {
        let connection = Connection::new(address);
        start.wait();
        let mut connection = connection?;
        let mut answered = 0;
        while !stop.load(Ordering::Relaxed) {
            match connection.call(&request(number, answered))? {
                200 | 201 => answered += 1,
                status => return Err(format!("status {status}").into()),
            }
        }
        Ok(answered)
    };
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|number| scope.spawn(move || work(number))).collect();
        start.wait();
        let started = Instant::now();
        thread::sleep(slice);
        stop.store(true, Ordering::Relaxed);
        let mut answered = 0;
        for thread in threads {
            answered += thread.join().map_err(|_| "a client panicked")??;
        }
        Ok(answered as f64 / started.elapsed().as_secs_f64())
    })
}
