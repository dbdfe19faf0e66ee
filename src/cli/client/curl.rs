//! The same request as a line for curl, for `--debug`.

use super::escape::quoted;
use super::request::Request;

/// Says on stderr how curl would ask the same of `url`.
pub(super) fn show(request: &Request, url: &str) {
    let body = request.body.as_ref().map(|body| format!(" -d {}", quoted(&body.text))).unwrap_or_default();
    eprintln!("cURL Command: curl -X {} {url}{body}", request.method);
}
