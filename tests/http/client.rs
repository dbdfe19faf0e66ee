//! A client that says exactly what it is told to, and hears exactly what is answered.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than anything here takes, however busy the machine: running into it is a failure.
pub(crate) const FOREVER: Duration = Duration::from_secs(60);

/// One connection.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
    /// How much of a body is left that has a length.
    left: Option<usize>,
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
}

/// An answer, all of it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(FOREVER))?;
        stream.set_write_timeout(Some(FOREVER))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream), left: None })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Sends a request with its body.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> io::Result<()> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match body {
            Some(body) => head.push_str(&format!("Content-Length: {}\r\n", body.len())),
            None if ["PUT", "POST", "PATCH"].contains(&method) => head.push_str("Content-Length: 0\r\n"),
            None => {}
        }
        head.push_str("\r\n");
        let bytes = [head.as_bytes(), body.unwrap_or_default()].concat();
        self.send_raw(&bytes)
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    pub(crate) fn head(&mut self) -> io::Result<Head> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status line: {line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                let head = Head { status, headers };
                self.left = head.header("Content-Length").and_then(|length| length.parse().ok());
                return Ok(head);
            }
            let (name, value) = line.split_once(": ").ok_or_else(|| io::Error::other("no header"))?;
            headers.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The whole answer to a request with this method.
    pub(crate) fn reply(&mut self, method: &str) -> io::Result<Reply> {
        let head = self.head()?;
        let mut body = Vec::new();
        if method == "HEAD" || head.status == 204 {
            return Ok(Reply { head, body });
        }
        if self.left.is_some() || head.header("Transfer-Encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk()? {
                body.extend_from_slice(&chunk);
            }
        } else {
            self.reader.read_to_end(&mut body)?;
        }
        Ok(Reply { head, body })
    }

    pub(crate) fn call(&mut self, method: &str, target: &str, form: Option<&str>) -> io::Result<Reply> {
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        self.send(method, target, if form.is_some() { &headers } else { &[] }, form.map(str::as_bytes))?;
        self.reply(method)
    }

    /// The next piece of a body that comes in pieces: here, one event each. `None` at the end.
    pub(crate) fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(left) = self.left.as_mut() {
            let mut rest = vec![0; std::mem::take(left)];
            self.reader.read_exact(&mut rest)?;
            return Ok((!rest.is_empty()).then_some(rest));
        }
        let length = usize::from_str_radix(&self.line()?, 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; length + 2];
        self.reader.read_exact(&mut chunk)?;
        chunk.truncate(length);
        Ok((length > 0).then_some(chunk))
    }

    /// Whether nothing comes for so long; false, too, when the answer ends.
    pub(crate) fn is_quiet(&mut self, time: Duration) -> io::Result<bool> {
        self.stream().set_read_timeout(Some(time))?;
        let outcome = self.reader.fill_buf().map(<[u8]>::is_empty);
        self.stream().set_read_timeout(Some(FOREVER))?;
        match outcome {
            Ok(_) => Ok(false),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the other end has hung up, for which there is no hurry.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).is_ok() || self.stream().peer_addr().is_err()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches("\r\n").to_owned())
    }
}
