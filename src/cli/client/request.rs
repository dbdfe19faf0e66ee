//! A request that any endpoint can be asked, and the reply.

/// What is asked for, without saying whom.
#[derive(Debug)]
pub(crate) struct Request {
    pub(super) method: &'static str,
    /// From the root of the server, not escaped.
    pub(super) path: Vec<u8>,
    /// Escaped.
    pub(super) query: String,
    pub(super) body: Option<Body>,
    /// Whether the answer may take for ever.
    pub(super) wait: bool,
    /// Whether to ask no second endpoint, since the first may have done what a second time is refused.
    pub(super) once: bool,
}

/// What is sent along.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) content_type: &'static str,
    pub(super) text: String,
}

/// What an endpoint said.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The index of the store, from the header.
    pub(crate) index: Option<u64>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &'static str, path: impl Into<Vec<u8>>) -> Self {
        Self { method, path: path.into(), query: String::new(), body: None, wait: false, once: false }
    }

    pub(super) fn query(mut self, query: String) -> Self {
        self.query = query;
        self
    }

    pub(super) fn form(mut self, text: String) -> Self {
        self.body = Some(Body { content_type: "application/x-www-form-urlencoded", text });
        self
    }

    pub(crate) fn json(mut self, text: String) -> Self {
        self.body = Some(Body { content_type: "application/json", text });
        self
    }

    pub(crate) fn once(mut self, once: bool) -> Self {
        self.once = once;
        self
    }

    pub(super) fn wait(mut self) -> Self {
        self.wait = true;
        self
    }
}
