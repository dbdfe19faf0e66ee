//! JSON byte for byte as etcd writes it.
//!
//! Texts come from bytes that need not be UTF-8. `<`, `>`, `&` and the two line separators of Unicode are escaped, so
//! that the result can stand in a page; each byte that belongs to no character is written as `\ufffd`, while a
//! genuine U+FFFD stands for itself.

use std::io::Write;

/// Adds `bytes` as a string.
pub(super) fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        text(out, chunk.valid());
        for _ in chunk.invalid() {
            out.extend_from_slice(br"\ufffd");
        }
    }
    out.push(b'"');
}

/// Adds a number.
pub(super) fn number(out: &mut Vec<u8>, number: impl Into<i128>) {
    write!(out, "{}", number.into()).expect("a vector takes everything");
}

/// Adds a list of strings.
pub(super) fn strings<T: AsRef<[u8]>>(out: &mut Vec<u8>, list: impl IntoIterator<Item = T>) {
    out.push(b'[');
    for (position, item) in list.into_iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        string(out, item.as_ref());
    }
    out.push(b']');
}

fn text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    let mut at = 0;
    while at < bytes.len() {
        let (length, escaped): (usize, &[u8]) = match bytes[at] {
            b'"' => (1, br#"\""#),
            b'\\' => (1, br"\\"),
            b'\n' => (1, br"\n"),
            b'\r' => (1, br"\r"),
            b'\t' => (1, br"\t"),
            b'<' => (1, br"\u003c"),
            b'>' => (1, br"\u003e"),
            b'&' => (1, br"\u0026"),
            0xE2 if bytes[at..].starts_with("\u{2028}".as_bytes()) => (3, br"\u2028"),
            0xE2 if bytes[at..].starts_with("\u{2029}".as_bytes()) => (3, br"\u2029"),
            0..0x20 => (1, b""),
            _ => {
                at += 1;
                continue;
            }
        };
        out.extend_from_slice(&bytes[plain_from..at]);
        if escaped.is_empty() {
            write!(out, "\\u{:04x}", bytes[at]).expect("a vector takes everything");
        } else {
            out.extend_from_slice(escaped);
        }
        at += length;
        plain_from = at;
    }
    out.extend_from_slice(&bytes[plain_from..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        string(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn writes_strings_as_go_does() {
        for (bytes, expected) in [
            (&b""[..], r#""""#),
            (b"plain caf\xc3\xa9", r#""plain café""#),
            (br#"a"b\c"#, r#""a\"b\\c""#),
            (b"\n\r\t\x08\x0c\x00\x1f\x7f", "\"\\n\\r\\t\\u0008\\u000c\\u0000\\u001f\x7f\""),
            (b"<a>&b", r#""\u003ca\u003e\u0026b""#),
            ("\u{2028}x\u{2029}\u{2027}".as_bytes(), "\"\\u2028x\\u2029\u{2027}\""),
            (b"a\xff\xc3(", r#""a\ufffd\ufffd(""#),
            (b"\xe2\x80", r#""\ufffd\ufffd""#),
            ("\u{FFFD}".as_bytes(), "\"\u{FFFD}\""),
        ] {
            assert_eq!(shown(bytes), expected);
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in ["", "a<b>&\"\\\n\u{1}", "\u{2028}\u{2029}é😀"] {
            assert_eq!(serde_json::from_str::<String>(&shown(text.as_bytes())).unwrap(), text);
        }
    }
}
