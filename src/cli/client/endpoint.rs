//! Where a server is asked for.

use std::fmt;

use super::escape::{clean_path, escape_path};

/// The URL of a server: scheme, host and port, perhaps a path before that of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// As it was given, which is how it is shown.
    text: String,
    scheme: String,
    /// Host and port, as in the URL.
    authority: String,
    path: String,
}

impl Endpoint {
    /// The endpoint that `text` names.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in etcdctl's words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("", _)) => return Err(format!("parse \"{text}\": missing protocol scheme")),
            Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
            _ => return Self::parse_bare(text),
        };
        if let Some(bad) = text.chars().find(|character| character.is_ascii_control()) {
            return Err(format!("parse {text:?}: net/url: invalid control character in URL {bad:?}"));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
        if !authority.ends_with(']') && !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("parse \"{text}\": invalid port \":{port}\" after host"));
        }
        let (authority, path) = (authority.to_owned(), path.to_owned());
        Ok(Self { text: text.to_owned(), scheme, authority, path })
    }

    /// Without a scheme, etcdctl takes what stands before a colon for one, or refuses a number.
    fn parse_bare(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((scheme, _)) if is_scheme(scheme) => {
                let scheme = scheme.to_ascii_lowercase();
                Ok(Self { text: text.to_owned(), scheme, authority: String::new(), path: String::new() })
            }
            Some(_) => Err(format!("parse \"{text}\": first path segment in URL cannot contain colon")),
            None => {
                let (text, scheme) = (format!("http://{text}"), "http".to_owned());
                let authority = text["http://".len()..].to_owned();
                Ok(Self { text, scheme, authority, path: String::new() })
            }
        }
    }

    pub(super) fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The host, without brackets, and the port.
    pub(super) fn host_and_port(&self) -> (&str, u16) {
        let default = if self.scheme == "https" { 443 } else { 80 };
        let (host, port) = match self.authority.rsplit_once(':') {
            Some((host, port)) if !self.authority.ends_with(']') => (host, port.parse().unwrap_or(default)),
            _ => (self.authority.as_str(), default),
        };
        (host.trim_start_matches('[').trim_end_matches(']'), port)
    }

    /// The URL of `path` here; an escaped one, since `..` in it may lead up and out of the API, as in etcdctl.
    pub(super) fn url(&self, path: &[u8], query: &str) -> String {
        let mut whole = self.path.clone().into_bytes();
        whole.extend_from_slice(path);
        let whole = escape_path(&clean_path(&whole));
        let separator = if query.is_empty() { "" } else { "?" };
        format!("{}://{}{whole}{separator}{query}", self.scheme, self.authority)
    }
}

/// Whether what stands before a colon can be a scheme.
fn is_scheme(text: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.');
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.chars().all(is_part)
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_joined() {
        let endpoint = Endpoint::parse("http://127.0.0.1:2379/etcd/").unwrap();
        assert_eq!(
            endpoint.url(b"/v2/keys/a b", "wait=true"),
            "http://127.0.0.1:2379/etcd/v2/keys/a%20b?wait=true"
        );
        assert_eq!(endpoint.to_string(), "http://127.0.0.1:2379/etcd/");
        assert_eq!(Endpoint::parse("https://[::1]").unwrap().host_and_port(), ("::1", 443));
        assert_eq!(Endpoint::parse("http://[::1]:7").unwrap().host_and_port(), ("::1", 7));
    }

    #[test]
    fn what_is_no_url_is_said() {
        let error = Endpoint::parse("127.0.0.1:2379").unwrap_err();
        assert_eq!(error, "parse \"127.0.0.1:2379\": first path segment in URL cannot contain colon");
        let error = Endpoint::parse(" http://a:1").unwrap_err();
        assert_eq!(error, "parse \" http://a:1\": first path segment in URL cannot contain colon");
        assert_eq!(Endpoint::parse("://a").unwrap_err(), "parse \"://a\": missing protocol scheme");
        assert!(Endpoint::parse("http://a:b").is_err());
        assert_eq!(Endpoint::parse("localhost:1").unwrap().scheme(), "localhost");
    }
}
