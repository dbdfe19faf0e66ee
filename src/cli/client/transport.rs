//! One request to one endpoint.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::http;
use ureq::{Agent, Timeout};

use super::curl;
use super::deadline::Deadline;
use super::endpoint::Endpoint;
use super::error::ClientError;
use super::request::{Reply, Request};
use super::tls::{self, TlsFiles};

/// The longest that a connection may take to come about, whatever else is allowed.
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a server may send us elsewhere for one answer.
const REDIRECTS_MAX: usize = 10;
/// What a reply may take in memory: far more than a store of default size ever says.
const REPLY_BYTES_MAX: u64 = 4 << 30;

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// How servers are spoken to.
pub(crate) struct Transport {
    agent: Agent,
    credentials: Option<Credentials>,
    /// How long an endpoint may take to begin its answer; zero for no limit.
    header_timeout: Duration,
    dial_timeout: Duration,
    debug: bool,
}

impl Transport {
    /// # Errors
    ///
    /// What is wrong with the files, in etcdctl's words.
    pub(crate) fn new(
        files: &TlsFiles,
        header_timeout: Duration,
        total_timeout: Duration,
    ) -> Result<Self, String> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("spinney/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls::config(files)?);
        let dial_timeout =
            if total_timeout.is_zero() { DIAL_TIMEOUT } else { DIAL_TIMEOUT.min(total_timeout) };
        let agent = config.build().new_agent();
        Ok(Self { agent, credentials: None, header_timeout, dial_timeout, debug: false })
    }

    pub(crate) fn authorize(&mut self, credentials: Credentials) {
        self.credentials = Some(credentials);
    }

    /// Shows each request on stderr from now on.
    pub(crate) fn debug(&mut self) {
        self.debug = true;
    }

    /// Asks `endpoint` and follows it where it sends us.
    pub(crate) fn send(
        &self,
        endpoint: &Endpoint,
        request: &Request,
        deadline: Deadline,
    ) -> Result<Reply, ClientError> {
        let mut url = endpoint.url(&request.path, &request.query);
        for _ in 0..=REDIRECTS_MAX {
            let response = self.send_to(endpoint, &url, request, deadline)?;
            let location = response.headers().get("location").and_then(|location| location.to_str().ok());
            match location {
                Some(location) if response.status().is_redirection() => {
                    url =
                        if location.starts_with('/') { origin(&url) + location } else { location.to_owned() };
                }
                _ => return self.read(endpoint, response),
            }
        }
        Err(ClientError::TooManyRedirects)
    }

    fn send_to(
        &self,
        endpoint: &Endpoint,
        url: &str,
        request: &Request,
        deadline: Deadline,
    ) -> Result<http::Response<ureq::Body>, ClientError> {
        if self.debug {
            curl::show(request, url);
        }
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let what = format!("unsupported protocol scheme \"{}\"", endpoint.scheme());
            return Err(ClientError::Connection { what, absent: false });
        }
        if origin(url).ends_with("://") {
            let what = "http: no Host in request URL".to_owned();
            return Err(ClientError::Connection { what, absent: false });
        }
        if deadline.left().is_some_and(|left| left.is_zero()) {
            return Err(ClientError::Deadline);
        }
        let mut message = http::Request::builder().method(request.method).uri(url);
        if let Some(Credentials { user, password }) = &self.credentials {
            let secret = STANDARD.encode(format!("{user}:{password}"));
            message = message.header("Authorization", format!("Basic {secret}"));
        }
        let outcome = match &request.body {
            Some(body) => {
                let message = message.header("Content-Type", body.content_type).body(body.text.clone());
                self.run(endpoint, message, request.wait, deadline)
            }
            None => self.run(endpoint, message.body(()), request.wait, deadline),
        };
        outcome.map_err(|error| self.explain(endpoint, error))
    }

    fn run<B: ureq::AsSendBody>(
        &self,
        endpoint: &Endpoint,
        message: http::Result<http::Request<B>>,
        wait: bool,
        deadline: Deadline,
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let limit = (!wait && !self.header_timeout.is_zero()).then_some(self.header_timeout);
        let dial = limit.map_or(self.dial_timeout, |limit| limit.min(self.dial_timeout));
        // A deadline that has passed must not read as none at all.
        let left = deadline.left().map(|left| left.max(Duration::from_millis(1)));
        let mut message = self
            .agent
            .configure_request(message?)
            .timeout_global(if wait { None } else { left })
            .timeout_resolve(Some(dial))
            .timeout_connect(Some(dial))
            .timeout_send_request(limit)
            .timeout_send_body(limit)
            .timeout_recv_response(limit);
        if is_loopback(endpoint) {
            // As Go has it: a proxy is for servers elsewhere.
            message = message.proxy(None);
        }
        self.agent.run(message.build())
    }

    fn read(
        &self,
        endpoint: &Endpoint,
        mut response: http::Response<ureq::Body>,
    ) -> Result<Reply, ClientError> {
        let index =
            response.headers().get("x-etcd-index").and_then(|index| index.to_str().ok()?.parse().ok());
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(REPLY_BYTES_MAX).read_to_vec();
        let body = body.map_err(|error| self.explain(endpoint, error))?;
        Ok(Reply { status, index, body })
    }

    fn explain(&self, endpoint: &Endpoint, error: ureq::Error) -> ClientError {
        let (host, _) = endpoint.host_and_port();
        let dial = |what: &str| ClientError::Connection {
            what: format!("dial tcp {}: {what}", address(endpoint)),
            absent: true,
        };
        let other = |what: String| ClientError::Connection { what, absent: false };
        let no_such_host = || ClientError::Connection {
            what: format!("dial tcp: lookup {host}: no such host"),
            absent: true,
        };
        match error {
            ureq::Error::Timeout(Timeout::Global) => ClientError::Deadline,
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve)
                if self.header_timeout > self.dial_timeout =>
            {
                dial("i/o timeout")
            }
            ureq::Error::Timeout(_) => ClientError::HeaderTimeout { endpoint: endpoint.to_string() },
            ureq::Error::HostNotFound => no_such_host(),
            ureq::Error::Io(_) if !is_known(endpoint) => no_such_host(),
            ureq::Error::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => dial("connect: connection refused"),
                io::ErrorKind::HostUnreachable => dial("connect: no route to host"),
                io::ErrorKind::NetworkUnreachable => dial("connect: network is unreachable"),
                io::ErrorKind::ConnectionReset => {
                    let what = format!("read tcp {}: read: connection reset by peer", address(endpoint));
                    ClientError::Connection { what, absent: true }
                }
                io::ErrorKind::UnexpectedEof => other("EOF".to_owned()),
                _ => other(tls::refusal(&error).unwrap_or_else(|| error.to_string())),
            },
            ureq::Error::Protocol(error) => other(format!(
                "net/http: HTTP/1.x transport connection broken: malformed HTTP response ({error}); is it served at \
                 https://{host}?"
            )),
            error => other(error.to_string()),
        }
    }
}

/// Scheme, host and port of `url`.
fn origin(url: &str) -> String {
    let start = url.find("://").map_or(0, |colon| colon + "://".len());
    let end = url[start..].find('/').map_or(url.len(), |slash| start + slash);
    url[..end].to_owned()
}

/// The address that is tried first.
fn address(endpoint: &Endpoint) -> String {
    let (host, port) = endpoint.host_and_port();
    let first = (host, port).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    first.map_or_else(|| format!("{host}:{port}"), |address| address.to_string())
}

/// Whether its host has an address: the system's error for one that has none is of no kind of its own.
fn is_known(endpoint: &Endpoint) -> bool {
    endpoint.host_and_port().to_socket_addrs().is_ok()
}

fn is_loopback(endpoint: &Endpoint) -> bool {
    let (host, _) = endpoint.host_and_port();
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
