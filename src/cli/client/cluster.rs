//! Several endpoints of one cluster, of which any will do.

use std::cell::{Cell, RefCell};

use super::deadline::Deadline;
use super::endpoint::Endpoint;
use super::error::ClientError;
use super::request::{Reply, Request};
use super::transport::Transport;

/// The members of a cluster, as far as they are known, and the one that answered last.
pub(crate) struct Cluster {
    transport: Transport,
    endpoints: RefCell<Vec<Endpoint>>,
    /// Where to begin: the endpoint that answered last.
    pinned: Cell<usize>,
}

impl Cluster {
    pub(crate) fn new(transport: Transport, endpoints: Vec<Endpoint>) -> Self {
        Self { transport, endpoints: RefCell::new(endpoints), pinned: Cell::new(0) }
    }

    /// The URLs of the endpoints, joined by `separator`.
    pub(crate) fn endpoints(&self, separator: &str) -> String {
        let endpoints = self.endpoints.borrow();
        endpoints.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(separator)
    }

    /// Goes by what the members say of themselves from now on.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoEndpoints`] when they name none, and whatever may happen on the way.
    pub(crate) fn synchronize(&self, deadline: Deadline) -> Result<(), ClientError> {
        let members = self.members(deadline)?;
        let mut urls: Vec<_> = members.into_iter().flat_map(|member| member.client_urls).collect();
        urls.sort_unstable();
        if urls.is_empty() {
            return Err(ClientError::NoEndpoints);
        }
        let mut known: Vec<_> = self.endpoints.borrow().iter().map(Endpoint::to_string).collect();
        known.sort_unstable();
        if urls != known {
            let endpoints = urls.iter().map(|url| Endpoint::parse(url).map_err(ClientError::Message));
            self.endpoints.replace(endpoints.collect::<Result<_, _>>()?);
            self.pinned.set(0);
        }
        Ok(())
    }

    /// Asks one endpoint after the other, until one answers.
    ///
    /// # Errors
    ///
    /// [`ClientError::Cluster`] when none does; the first endpoint's own error when only one may be asked.
    pub(crate) fn send(&self, request: &Request, deadline: Deadline) -> Result<Reply, ClientError> {
        let endpoints = self.endpoints.borrow();
        let mut errors = Vec::new();
        for step in 0..endpoints.len() {
            let number = (self.pinned.get() + step) % endpoints.len();
            let endpoint = &endpoints[number];
            let error = match self.transport.send(endpoint, request, deadline) {
                Ok(Reply { status, .. }) if status >= 500 => {
                    ClientError::Server { endpoint: endpoint.to_string(), status }
                }
                Ok(reply) => {
                    self.pinned.set(number);
                    return Ok(reply);
                }
                Err(ClientError::Deadline) => return Err(ClientError::Deadline),
                Err(error) => error,
            };
            if request.once {
                return Err(error);
            }
            errors.push(error);
        }
        if errors.is_empty() { Err(ClientError::NoEndpoints) } else { Err(ClientError::Cluster(errors)) }
    }
}
