//! Which pages of other sites may use the API.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN,
};
use axum::http::{HeaderMap, HeaderValue};

const ANY: HeaderValue = HeaderValue::from_static("*");
const METHODS: HeaderValue = HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static("accept, content-type, authorization");

/// Which pages browsers let use the API: those of any site, as in etcd, or of a list.
///
/// ```
/// use spinney::http::Cors;
///
/// let cors = Cors::Origins(vec!["https://example.com:8443".to_owned()]);
/// # let _ = cors;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cors {
    /// Any page may: the default, as in etcd 3.4.
    #[default]
    Any,
    /// Pages of these origins may, each written as `scheme://host:port`, the port left out where it is the
    /// scheme's own. An empty list lets no page.
    Origins(Vec<String>),
}

impl Cors {
    /// Adds to an answer what lets the page that asked read it, if it may.
    pub(super) fn apply(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        let origin = match self {
            Self::Any => ANY,
            Self::Origins(origins) => {
                let asked = request.get(ORIGIN);
                let is_listed = |asked: &&HeaderValue| origins.iter().any(|origin| origin == *asked);
                let Some(origin) = asked.filter(is_listed) else { return };
                origin.clone()
            }
        };
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    }
}
