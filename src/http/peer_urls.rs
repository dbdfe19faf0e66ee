//! URLs of members for their peers, checked as etcd and etcdctl do, with what Go's library says of them.

/// The URLs in order, each in one form.
///
/// # Errors
///
/// What is wrong with the first that is none.
pub(crate) fn peer_urls<T: AsRef<str>>(given: impl IntoIterator<Item = T>) -> Result<Vec<String>, String> {
    let urls: Result<Vec<_>, _> = given.into_iter().map(|url| peer_url(url.as_ref().trim())).collect();
    let mut urls = urls?;
    if urls.is_empty() {
        return Err("no valid URLs given".to_owned());
    }
    urls.sort_unstable();
    Ok(urls)
}

fn peer_url(text: &str) -> Result<String, String> {
    let Parts { scheme, authority, path, rest } = Parts::of(text.split('#').next().unwrap_or_default())?;
    let scheme = scheme.to_ascii_lowercase();
    if !["http", "https", "unix", "unixs"].contains(&scheme.as_str()) {
        return Err(format!("URL scheme must be http, https, unix, or unixs: {text}"));
    }
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if !has_port(host) {
        return Err(format!("URL address does not have the form \"host:port\": {text}"));
    }
    if !path.is_empty() {
        return Err(format!("URL must not contain a path: {text}"));
    }
    Ok(format!("{scheme}://{authority}{rest}"))
}

/// Whether there is one host and one port, which nobody could leave out here.
fn has_port(host: &str) -> bool {
    let Some((name, port)) = host.rsplit_once(':') else { return false };
    let inside = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    !port.is_empty() && inside.map_or(!name.contains(':'), |name| !name.contains(']')) && !port.contains(']')
}

/// A URL taken apart.
struct Parts<'a> {
    scheme: &'a str,
    authority: &'a str,
    path: &'a str,
    /// The query, with its question mark.
    rest: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self, String> {
        let wrong = |why: &str| format!("parse {text:?}: {why}");
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(wrong("net/url: invalid control character in URL"));
        }
        let (scheme, after) = scheme(text).ok_or_else(|| wrong("missing protocol scheme"))?;
        let (before, rest) = after.split_at(after.find('?').unwrap_or(after.len()));
        if !before.starts_with('/') && !scheme.is_empty() {
            // Nothing that is known here: a mail address, say.
            return Ok(Self { scheme, authority: "", path: "", rest });
        }
        if before.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return Err(wrong("first path segment in URL cannot contain colon"));
        }
        let (authority, path) = match before.strip_prefix("//") {
            Some(hierarchy) if !scheme.is_empty() || !hierarchy.starts_with('/') => {
                hierarchy.split_at(hierarchy.find('/').unwrap_or(hierarchy.len()))
            }
            _ => ("", before),
        };
        check_host(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
            .map_err(|why| wrong(&why))?;
        match broken_escape(path, |_| false) {
            Some(escape) => Err(wrong(&format!("invalid URL escape {escape:?}"))),
            None => Ok(Self { scheme, authority, path, rest }),
        }
    }
}

/// What stands before the colon, if that can be a scheme, and what follows; `None` where nothing stands before it.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|character: char| !(character.is_ascii_alphanumeric() || "+-.".contains(character)));
    match end {
        Some(0) if text.starts_with(':') => None,
        Some(end)
            if text[end..].starts_with(':')
                && text.starts_with(|first: char| first.is_ascii_alphabetic()) =>
        {
            Some((&text[..end], &text[end + 1..]))
        }
        _ => Some(("", text)),
    }
}

fn check_host(host: &str) -> Result<(), String> {
    let port = if host.starts_with('[') {
        host.rfind(']').map(|end| &host[end + 1..]).ok_or("missing ']' in host")?
    } else {
        host.rfind(':').map_or("", |colon| &host[colon..])
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    if (digits == port && !port.is_empty()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("invalid port {port:?} after host"));
    }
    // Only bytes beyond ASCII have to be escaped in a host.
    if let Some(escape) = broken_escape(host, |byte| byte < 0x80) {
        return Err(format!("invalid URL escape {escape:?}"));
    }
    match host.chars().find(|character| " \\^`{|}".contains(*character)) {
        Some(character) => Err(format!("invalid character \"{}\" in host name", character.escape_default())),
        None => Ok(()),
    }
}

/// The first escape that is none, or of a byte that `may_not` be escaped.
fn broken_escape(text: &str, may_not: impl Fn(u8) -> bool) -> Option<&str> {
    text.match_indices('%').map(|(at, _)| &text[at..]).find_map(|from| {
        let escape = &from[..from.char_indices().nth(3).map_or(from.len(), |(end, _)| end)];
        let byte = escape.get(1..3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = byte.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let is_well = byte.is_some_and(|byte| !may_not(byte) || byte == b'%');
        (!is_well).then_some(escape)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_brought_into_one_form_and_order() {
        let given = [" http://h:2 ", "HTTP://a:1", "https://[::1]:3", "http://h:2?x"];
        let expected = ["http://a:1", "http://h:2", "http://h:2?x", "https://[::1]:3"];
        assert_eq!(peer_urls(given).unwrap(), expected);
    }

    /// What etcd 3.4.23 says.
    #[test]
    fn what_is_none_is_refused_in_etcds_words() {
        let form = |url: &str| format!("URL address does not have the form \"host:port\": {url}");
        for (url, why) in [
            ("", "URL scheme must be http, https, unix, or unixs: ".to_owned()),
            ("h", "URL scheme must be http, https, unix, or unixs: h".to_owned()),
            ("h:1", "URL scheme must be http, https, unix, or unixs: h:1".to_owned()),
            ("ftp://h:1", "URL scheme must be http, https, unix, or unixs: ftp://h:1".to_owned()),
            (
                "127.0.0.1:1",
                "parse \"127.0.0.1:1\": first path segment in URL cannot contain colon".to_owned(),
            ),
            (":1", "parse \":1\": missing protocol scheme".to_owned()),
            ("%zz", "parse \"%zz\": invalid URL escape \"%zz\"".to_owned()),
            ("http://h:x", "parse \"http://h:x\": invalid port \":x\" after host".to_owned()),
            ("http://[::1", "parse \"http://[::1\": missing ']' in host".to_owned()),
            ("http://a b:1", "parse \"http://a b:1\": invalid character \" \" in host name".to_owned()),
            ("http://%41:1", "parse \"http://%41:1\": invalid URL escape \"%41\"".to_owned()),
            ("http://h", form("http://h")),
            ("http://", form("http://")),
            ("http:h:1", form("http:h:1")),
            ("http://a:1:2", form("http://a:1:2")),
            ("http://h:1/", "URL must not contain a path: http://h:1/".to_owned()),
            ("http://h:1/x", "URL must not contain a path: http://h:1/x".to_owned()),
        ] {
            assert_eq!(peer_urls([url]), Err(why), "{url}");
        }
        assert_eq!(peer_urls::<&str>([]), Err("no valid URLs given".to_owned()));
    }
}
