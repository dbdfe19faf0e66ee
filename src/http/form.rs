//! The parameters of a request: those of its form, then those of its query.

use std::borrow::Cow;

use super::url::hex_pair;

/// Names and values in the order in which they count: of a name that comes twice, the first does.
#[derive(Debug, Default)]
pub(super) struct Parameters<'a>(Vec<Parameter<'a>>);

/// A name and its value.
type Parameter<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

impl<'a> Parameters<'a> {
    /// # Errors
    ///
    /// What is wrong, in Go's words: of the form if it is there, else of the query.
    pub(super) fn parse(form: &'a [u8], query: &'a [u8]) -> Result<Self, Vec<u8>> {
        let mut pairs = Vec::new();
        let outcome = read(form, &mut pairs);
        outcome.and(read(query, &mut pairs)).map(|()| Self(pairs))
    }

    /// The value that counts of `name`.
    pub(super) fn first(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(found, _)| **found == *name.as_bytes()).map(|(_, value)| &**value)
    }
}

fn read<'a>(text: &'a [u8], pairs: &mut Vec<Parameter<'a>>) -> Result<(), Vec<u8>> {
    for piece in text.split(|&byte| byte == b'&').filter(|piece| !piece.is_empty()) {
        if piece.contains(&b';') {
            return Err(b"invalid semicolon separator in query".to_vec());
        }
        let end = piece.iter().position(|&byte| byte == b'=').unwrap_or(piece.len());
        let value = piece.get(end + 1..).unwrap_or_default();
        pairs.push((unescape(&piece[..end])?, unescape(value)?));
    }
    Ok(())
}

fn unescape(text: &[u8]) -> Result<Cow<'_, [u8]>, Vec<u8>> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'%' => {
                let escape = &text[at..text.len().min(at + 3)];
                out.push(hex_pair(&escape[1..]).ok_or_else(|| invalid_escape(escape))?);
                at += 3;
            }
            b'+' => {
                out.push(b' ');
                at += 1;
            }
            byte => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Ok(Cow::Owned(out))
}

fn invalid_escape(escape: &[u8]) -> Vec<u8> {
    let mut message = String::from("invalid URL escape \"");
    for chunk in escape.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => message.push_str("\\\""),
                '\\' => message.push_str("\\\\"),
                '\u{7}' => message.push_str("\\a"),
                '\u{8}' => message.push_str("\\b"),
                '\u{c}' => message.push_str("\\f"),
                '\n' => message.push_str("\\n"),
                '\r' => message.push_str("\\r"),
                '\t' => message.push_str("\\t"),
                '\u{b}' => message.push_str("\\v"),
                '\0'..' ' | '\u{7f}' => message.push_str(&format!("\\x{:02x}", character as u32)),
                other => message.push(other),
            }
        }
        for byte in chunk.invalid() {
            message.push_str(&format!("\\x{byte:02x}"));
        }
    }
    message.push('"');
    message.into_bytes()
}

/// Whether a body of this content type is a form.
///
/// # Errors
///
/// Why the content type cannot be read, in Go's words.
pub(super) fn is_form(content_type: &[u8]) -> Result<bool, &'static str> {
    let content_type = String::from_utf8_lossy(content_type);
    if content_type.is_empty() {
        return Ok(false);
    }
    let (media_type, parameters) = content_type.split_once(';').unwrap_or((&content_type, ""));
    let media_type = media_type.trim().to_ascii_lowercase();
    check_media_type(&media_type)?;
    check_media_parameters(parameters)?;
    Ok(media_type == "application/x-www-form-urlencoded")
}

fn check_media_type(media_type: &str) -> Result<(), &'static str> {
    let (kind, rest) = token(media_type);
    if kind.is_empty() {
        return Err("mime: no media type");
    }
    if rest.is_empty() {
        return Ok(());
    }
    let Some(rest) = rest.strip_prefix('/') else {
        return Err("mime: expected slash after first token");
    };
    let (subtype, rest) = token(rest);
    if subtype.is_empty() {
        return Err("mime: expected token after slash");
    }
    if rest.is_empty() { Ok(()) } else { Err("mime: unexpected content after media subtype") }
}

fn check_media_parameters(text: &str) -> Result<(), &'static str> {
    const INVALID: &str = "mime: invalid media parameter";
    let mut known: Vec<(String, &str)> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = token(rest);
        if name.is_empty() {
            return if rest.trim() == ";" { Ok(()) } else { Err(INVALID) };
        }
        let after = after.trim_start().strip_prefix('=').ok_or(INVALID)?.trim_start();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted).ok_or(INVALID)?,
            None => token(after),
        };
        if value.is_empty() && !after.starts_with(';') && !after.is_empty() {
            return Err(INVALID);
        }
        let name = name.to_ascii_lowercase();
        if known.iter().any(|(other, other_value)| *other == name && *other_value != value) {
            return Err("mime: duplicate parameter name");
        }
        known.push((name, value));
        let after = after.trim_start();
        rest = match after.strip_prefix(';') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => "",
            None => return Err(INVALID),
        };
    }
    Ok(())
}

/// What stands before the closing quote, as it is written, and what comes after it.
fn quoted_value(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while *bytes.get(at)? != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    Some((&text[..at], &text[at + 1..]))
}

fn token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c);
    text.split_at(text.find(|c| !is_token(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(query: &str) -> String {
        String::from_utf8(Parameters::parse(b"", query.as_bytes()).unwrap_err()).unwrap()
    }

    #[test]
    fn the_first_value_counts_and_the_form_comes_first() {
        let parameters = Parameters::parse(b"ttl=&a=1&a=2", b"ttl=5&&b&c=%20+%ff&=x").unwrap();
        let first = |name| parameters.first(name);
        assert_eq!((first("ttl"), first("a"), first("b")), (Some(&b""[..]), Some(&b"1"[..]), Some(&b""[..])));
        assert_eq!((first("c"), first(""), first("d")), (Some(&b"  \xff"[..]), Some(&b"x"[..]), None));
    }

    #[test]
    fn broken_escapes_are_quoted() {
        for (query, quoted) in [
            ("a=%zz", r#""%zz""#),
            ("a=%", r#""%""#),
            ("a=%4", r#""%4""#),
            ("a=%%", r#""%%""#),
            ("a=%u0041", r#""%u0""#),
            ("%\"=1", r#""%\"""#),
        ] {
            assert_eq!(wrong(query), format!("invalid URL escape {quoted}"));
        }
        assert_eq!(wrong("a=1;b=2"), "invalid semicolon separator in query");
        let both = Parameters::parse(b"x=%1", b"y=%2").unwrap_err();
        assert_eq!(both, br#"invalid URL escape "%1""#);
    }

    #[test]
    fn only_forms_are_forms() {
        for (content_type, expected) in [
            ("", Ok(false)),
            ("application/json", Ok(false)),
            ("application/x-www-form-urlencoded", Ok(true)),
            ("Application/X-WWW-Form-Urlencoded; charset=utf-8", Ok(true)),
            ("application/x-www-form-urlencoded;", Ok(true)),
            ("application/x-www-form-urlencoded; a=\"b;c\"; d=e", Ok(true)),
            ("multipart/form-data; boundary=x", Ok(false)),
            ("application/", Err("mime: expected token after slash")),
            (";", Err("mime: no media type")),
            ("a b", Err("mime: expected slash after first token")),
            ("a/b c", Err("mime: unexpected content after media subtype")),
            ("a/b; c", Err("mime: invalid media parameter")),
            ("a/b; c=1; c=2", Err("mime: duplicate parameter name")),
        ] {
            assert_eq!(is_form(content_type.as_bytes()), expected, "{content_type}");
        }
    }
}
