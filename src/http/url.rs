//! The path of a request: what it says once it is decoded, and where an unclean one is sent instead.

use std::borrow::Cow;

/// The bytes that the percent-encoded `path` says; `None` when an escape is broken.
pub(super) fn decode_path(path: &str) -> Option<Cow<'_, [u8]>> {
    let bytes = path.as_bytes();
    if !bytes.contains(&b'%') {
        return Some(Cow::Borrowed(bytes));
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            decoded.push(hex_pair(bytes.get(at + 1..at + 3)?)?);
            at += 3;
        } else {
            decoded.push(byte);
            at += 1;
        }
    }
    Some(Cow::Owned(decoded))
}

/// The byte that two hexadecimal digits stand for.
pub(super) fn hex_pair(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else { return None };
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// The decoded `path` without empty, `.` and `..` parts, when it has any; `None` when it is clean. A slash at the end
/// stays.
pub(super) fn cleaned(path: &[u8]) -> Option<Vec<u8>> {
    let is_clean = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
    if let Some(relative) = path.strip_prefix(b"/") {
        let inner = relative.strip_suffix(b"/").unwrap_or(relative);
        if path == b"/" || !inner.is_empty() && inner.split(|&byte| byte == b'/').all(is_clean) {
            return None;
        }
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut cleaned = vec![b'/'];
    cleaned.extend_from_slice(&parts.join(&b'/'));
    if path.ends_with(b"/") && cleaned.len() > 1 {
        cleaned.push(b'/');
    }
    Some(cleaned)
}

/// `path` percent-encoded, as Go writes it.
pub(super) fn encode_path(path: &[u8]) -> String {
    let mut encoded = String::with_capacity(path.len());
    for &byte in path {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => encoded.push(char::from(byte)),
            b'-' | b'_' | b'.' | b'~' | b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'@' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// `text` as it may stand in a page, as Go writes it.
pub(super) fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_escapes_and_nothing_else() {
        assert_eq!(*decode_path("/a%2Fb+c%ff").unwrap(), *b"/a/b+c\xff");
        for broken in ["/%", "/%4", "/%zz", "/%+1", "/%%", "/a%4/"] {
            assert_eq!(decode_path(broken), None, "{broken}");
        }
    }

    #[test]
    fn cleans_what_is_unclean() {
        for clean in ["/", "/a", "/a/", "/a/...", "/..a/.b"] {
            assert_eq!(cleaned(clean.as_bytes()), None, "{clean}");
        }
        for (path, expected) in [
            ("", "/"),
            ("a", "/a"),
            ("//", "/"),
            ("//a", "/a"),
            ("/a//", "/a/"),
            ("/a//b", "/a/b"),
            ("/a/./b/", "/a/b/"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/../a", "/a"),
            ("/a/.", "/a"),
        ] {
            assert_eq!(cleaned(path.as_bytes()).unwrap(), expected.as_bytes(), "{path}");
        }
    }

    #[test]
    fn encodes_as_go_does() {
        assert_eq!(encode_path(b"/a b?c#d%e\xff!'()*[]"), "/a%20b%3Fc%23d%25e%FF%21%27%28%29%2A%5B%5D");
        assert_eq!(encode_path(b"/-_.~$&+,/:;=@"), "/-_.~$&+,/:;=@");
    }
}
