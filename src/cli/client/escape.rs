//! Bytes in paths, queries and quotes, as Go's standard library writes them and etcdctl sends and shows them.

use std::fmt::Write as _;

/// `path` with everything escaped that cannot stand in the path of a URL as it is.
pub(crate) fn escape_path(path: &[u8]) -> String {
    escape(path, |byte| b"-_.~$&+,/:;=@".contains(&byte).then_some(byte as char))
}

/// `text` as a name or a value of a query or a form.
pub(crate) fn escape_query(text: &[u8]) -> String {
    escape(text, |byte| match byte {
        b' ' => Some('+'),
        b'-' | b'_' | b'.' | b'~' => Some(byte as char),
        _ => None,
    })
}

/// Letters and digits as they are, the rest as `plain` says, or in hexadecimal.
fn escape(text: &[u8], plain: impl Fn(u8) -> Option<char>) -> String {
    let mut escaped = String::with_capacity(text.len());
    for &byte in text {
        match plain(byte) {
            _ if byte.is_ascii_alphanumeric() => escaped.push(byte as char),
            Some(plain) => escaped.push(plain),
            None => write!(escaped, "%{byte:02X}").expect("a string takes all that is written"),
        }
    }
    escaped
}

/// `pairs` as a query or a form: in order of their names.
pub(crate) fn form(pairs: &[(&str, &[u8])]) -> String {
    let mut pairs = pairs.to_vec();
    pairs.sort_by_key(|(name, _)| *name);
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", escape_query(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// `path` without empty parts and without `.` and `..`, which leads up. A slash at its end stays.
pub(crate) fn clean_path(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut cleaned = b"/".to_vec();
    cleaned.extend(parts.join(&b'/'));
    if path.ends_with(b"/") && !parts.is_empty() {
        cleaned.push(b'/');
    }
    cleaned
}

/// `text` between double quotes, with what is not plain escaped.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            control if (control as u32) < 0x20 || control == '\u{7f}' => {
                write!(quoted, "\\x{:02x}", control as u32).expect("a string takes all that is written");
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_escaped_as_etcdctl_does() {
        assert_eq!(escape_path("/we?ird #%é!(*)'".as_bytes()), "/we%3Fird%20%23%25%C3%A9%21%28%2A%29%27");
        assert_eq!(
            form(&[("value", "a b&é\"'<".as_bytes()), ("ttl", b"5")]),
            "ttl=5&value=a+b%26%C3%A9%22%27%3C"
        );
        assert_eq!(escape_query(b"\xff"), "%FF");
    }

    #[test]
    fn paths_are_cleaned() {
        for (path, cleaned) in [
            ("", "/"),
            ("/", "/"),
            ("a//b/", "/a/b/"),
            ("/v2/keys/../../a", "/a"),
            ("/..", "/"),
            ("/./a", "/a"),
        ] {
            assert_eq!(clean_path(path.as_bytes()), cleaned.as_bytes(), "{path}");
        }
    }
}
