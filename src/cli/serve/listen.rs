//! Where clients are served.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs as _};

use super::plan::Tls;
use crate::http;

/// The URL of a place to listen at, or of a member for others: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Url {
    is_tls: bool,
    /// Without brackets.
    host: String,
    port: u16,
}

/// A place where clients are served.
pub(in crate::cli) struct Listener {
    /// With the port that there is in the end.
    pub(in crate::cli) url: String,
    is_tls: bool,
    socket: TcpListener,
}

impl Url {
    /// # Errors
    ///
    /// What is wrong with it.
    pub(in crate::cli) fn parse(text: &str) -> Result<Self, String> {
        let (is_tls, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(("unix" | "unixs", _)) => return Err("Unix sockets are not served".to_owned()),
            _ => return Err(format!("should begin with http:// or https://, such as http://{text}")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('/') {
            return Err("should have no path".to_owned());
        }
        let Some((host, port)) = rest.rsplit_once(':').filter(|_| !rest.ends_with(']')) else {
            return Err("should have a port, such as :2379".to_owned());
        };
        let port = port.parse().map_err(|_| format!("{port:?} is no port"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err("should have a host; 0.0.0.0 stands for all addresses of this machine".to_owned());
        }
        Ok(Self { is_tls, host: host.to_owned(), port })
    }

    pub(in crate::cli) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Whether it stands for all addresses of the machine.
    pub(in crate::cli) fn is_everywhere(&self) -> bool {
        self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_unspecified())
    }

    fn with_port(&self, port: u16) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{port}")
    }

    /// The address to listen at: of several, one that every client can reach.
    fn address(&self) -> io::Result<SocketAddr> {
        let addresses: Vec<_> = (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        let first = addresses.iter().find(|address| address.is_ipv4()).or_else(|| addresses.first());
        Ok(first.copied().unwrap_or_else(|| (Ipv4Addr::LOCALHOST, self.port).into()))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_port(self.port))
    }
}

/// Listens at all of `urls`.
///
/// # Errors
///
/// Where that is not possible, and why.
pub(in crate::cli) fn bind(urls: &[Url]) -> Result<Vec<Listener>, String> {
    let listen = |url: &Url| -> io::Result<Listener> {
        let socket = TcpListener::bind(url.address()?)?;
        let port = socket.local_addr()?.port();
        Ok(Listener { url: url.with_port(port), is_tls: url.is_tls, socket })
    };
    urls.iter()
        .map(|url| {
            listen(url).map_err(|error| match error.kind() {
                io::ErrorKind::AddrInUse => {
                    format!("cannot listen at {url}: another program does; --listen-client-urls chooses another place")
                }
                _ => format!("cannot listen at {url}: {error}"),
            })
        })
        .collect()
}

impl Listener {
    /// The socket itself, and how TLS is spoken there, if it is.
    ///
    /// # Errors
    ///
    /// What is wrong with the files.
    pub(in crate::cli) fn into_parts(
        self,
        tls: Option<&Tls>,
    ) -> io::Result<(TcpListener, Option<http::Tls>)> {
        let tls = self.tls(tls)?;
        Ok((self.socket, tls))
    }

    fn tls(&self, files: Option<&Tls>) -> io::Result<Option<http::Tls>> {
        let Some(Tls { certificate, key, client_authorities }) = files.filter(|_| self.is_tls) else {
            return Ok(None);
        };
        let tls = match client_authorities {
            Some(authorities) => http::Tls::with_client_auth(certificate, key, authorities),
            None => http::Tls::new(certificate, key),
        };
        tls.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_scheme_host_and_port() {
        for url in ["http://localhost:2379", "https://[::1]:1", "http://0.0.0.0:0"] {
            assert_eq!(Url::parse(url).unwrap().to_string(), url);
        }
        for url in
            ["localhost:2379", "http://localhost", "http://:1", "http://a:1/b", "ftp://a:1", "http://[::1]"]
        {
            assert!(Url::parse(url).is_err(), "{url}");
        }
        assert!(Url::parse("http://[::]:1").unwrap().is_everywhere());
    }
}
