//! Answers in the three formats of `-o`.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter};

use super::client::Answer;

/// What `-o` says; another word than the three known ones is only found out when there is something to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Simple,
    Extended,
    Json,
    Unknown(String),
}

impl From<&str> for Format {
    fn from(name: &str) -> Self {
        match name {
            "simple" => Self::Simple,
            "extended" => Self::Extended,
            "json" => Self::Json,
            name => Self::Unknown(name.to_owned()),
        }
    }
}

/// Shows the answer to a read or a write.
pub(crate) fn show(out: &mut impl Write, answer: &Answer, format: &Format) -> io::Result<()> {
    let node = &answer.node;
    let is_delete = answer.action == "delete";
    let prev_value = answer.prev_node.as_ref().map(|node| node.value.as_str());
    match format {
        Format::Simple if is_delete => writeln!(out, "PrevNode.Value: {}", prev_value.unwrap_or_default()),
        Format::Simple => writeln!(out, "{}", node.value),
        Format::Extended => {
            writeln!(out, "Key: {}", node.key)?;
            writeln!(out, "Created-Index: {}", node.created_index)?;
            writeln!(out, "Modified-Index: {}", node.modified_index)?;
            if let Some(prev_value) = prev_value {
                writeln!(out, "PrevNode.Value: {prev_value}")?;
            }
            writeln!(out, "TTL: {}", node.ttl)?;
            writeln!(out, "Index: {}", answer.index)?;
            if is_delete { Ok(()) } else { writeln!(out, "\n{}", node.value) }
        }
        Format::Json => writeln!(out, "{}", json(answer)),
        Format::Unknown(name) => {
            eprintln!("Unsupported output format: {name}");
            Ok(())
        }
    }
}

/// `number` of something.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// `value` as Go's standard library writes JSON.
pub(crate) fn json(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, GoFormatter);
    value.serialize(&mut serializer).expect("what came as JSON can be written as JSON");
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// Escapes what Go does beyond what JSON asks for: what could end a script in a web page.
struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let special = |character| matches!(character, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
        for piece in fragment.split_inclusive(special) {
            match piece.chars().next_back().filter(|&last| special(last)) {
                Some(last) => {
                    out.write_all(&piece.as_bytes()[..piece.len() - last.len_utf8()])?;
                    write!(out, "\\u{:04x}", last as u32)?;
                }
                None => out.write_all(piece.as_bytes())?,
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, out: &mut W, escape: CharEscape) -> io::Result<()> {
        match escape {
            CharEscape::Quote => out.write_all(b"\\\""),
            CharEscape::ReverseSolidus => out.write_all(b"\\\\"),
            CharEscape::Solidus => out.write_all(b"\\/"),
            CharEscape::Backspace => out.write_all(b"\\u0008"),
            CharEscape::FormFeed => out.write_all(b"\\u000c"),
            CharEscape::LineFeed => out.write_all(b"\\n"),
            CharEscape::CarriageReturn => out.write_all(b"\\r"),
            CharEscape::Tab => out.write_all(b"\\t"),
            CharEscape::AsciiControl(byte) => write!(out, "\\u{byte:04x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_escaped_as_go_does() {
        assert_eq!(json(&"<a>&\u{2028}\u{8}\u{1}\"é\n"), r#""\u003ca\u003e\u0026\u2028\u0008\u0001\"é\n""#);
        assert_eq!(json(&""), r#""""#);
    }
}
