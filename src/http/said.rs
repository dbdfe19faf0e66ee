//! What clients say in JSON, read as Go's library reads it, which etcd has: names of fields in either case, the last of
//! two wins, `null` is as good as nothing, and what is no character becomes U+FFFD. What is wrong is said in its words.

/// A value as it was said. Which number it was is asked by nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Null,
    Bool,
    Number,
    Text(String),
    List(Vec<Said>),
    Object(Vec<(String, Said)>),
}

/// How deep values may be in each other.
const DEPTH_MAX: usize = 1_000;

/// Takes over what was said; fields that nobody said something about stay.
pub(super) trait Hear {
    /// # Errors
    ///
    /// What has another type than it should have.
    fn hear(&mut self, said: &Said) -> Result<(), Mismatch>;
}

/// Something of this kind was said where something else should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) said: &'static str,
    /// What should have been there, as Go calls it.
    pub(super) wanted: &'static str,
}

impl Said {
    /// Reads all of `text`.
    ///
    /// # Errors
    ///
    /// What is wrong, in words.
    pub(super) fn whole(text: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { text, at: 0, depth: 0 };
        let said = reader.value()?;
        match reader.next_visible() {
            None => Ok(said),
            Some(byte) => Err(unexpected(byte, "after top-level value")),
        }
    }

    /// Reads the value that `text` begins with, whatever follows.
    ///
    /// # Errors
    ///
    /// What is wrong, in words.
    pub(super) fn first(text: &[u8]) -> Result<Self, String> {
        Reader { text, at: 0, depth: 0 }.value()
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Number => "number",
            Self::Text(_) => "string",
            Self::List(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// Has `hear` take each field in turn, by its name in lower case.
    pub(super) fn each_field(
        &self,
        mut hear: impl FnMut(&str, &Self) -> Result<(), Mismatch>,
    ) -> Result<(), Mismatch> {
        match self {
            Self::Null => Ok(()),
            Self::Object(fields) => {
                fields.iter().try_for_each(|(name, said)| hear(&name.to_ascii_lowercase(), said))
            }
            _ => Err(self.is_no("object")),
        }
    }

    pub(super) fn is_no(&self, wanted: &'static str) -> Mismatch {
        Mismatch { said: self.kind(), wanted }
    }
}

impl Hear for String {
    fn hear(&mut self, said: &Said) -> Result<(), Mismatch> {
        match said {
            Said::Null => Ok(()),
            Said::Text(text) => {
                self.clone_from(text);
                Ok(())
            }
            _ => Err(said.is_no("string")),
        }
    }
}

/// A list; `None` was never said, or said to be `null`.
impl Hear for Option<Vec<String>> {
    fn hear(&mut self, said: &Said) -> Result<(), Mismatch> {
        match said {
            Said::Null => {
                *self = None;
                Ok(())
            }
            Said::List(elements) => {
                let mut texts = vec![String::new(); elements.len()];
                elements.iter().zip(&mut texts).try_for_each(|(said, text)| text.hear(said))?;
                *self = Some(texts);
                Ok(())
            }
            _ => Err(said.is_no("[]string")),
        }
    }
}

fn unexpected(byte: u8, context: &str) -> String {
    // As in Go, a byte is shown as the character of that number.
    let shown = match byte {
        b'\'' => r"\'".to_owned(),
        b'"' => "\"".to_owned(),
        b'\\' => r"\\".to_owned(),
        b'\x07' => r"\a".to_owned(),
        b'\x08' => r"\b".to_owned(),
        b'\x0b' => r"\v".to_owned(),
        b'\x0c' => r"\f".to_owned(),
        b'\n' | b'\r' | b'\t' => char::from(byte).escape_default().to_string(),
        0..0x20 | 0x7f => format!(r"\x{byte:02x}"),
        0x80..=0xa0 | 0xad => format!(r"\u00{byte:02x}"),
        _ => char::from(byte).to_string(),
    };
    format!("invalid character '{shown}' {context}")
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

const VALUE: &str = "looking for beginning of value";
const KEY: &str = "looking for beginning of object key string";

impl Reader<'_> {
    fn next(&mut self) -> Result<u8, String> {
        let byte = self.text.get(self.at).copied();
        self.at += 1;
        byte.ok_or_else(|| "unexpected end of JSON input".to_owned())
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The next byte that is no blank, which stays the next.
    fn next_visible(&mut self) -> Option<u8> {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.peek()
    }

    fn visible(&mut self) -> Result<u8, String> {
        self.next_visible();
        self.next()
    }

    fn value(&mut self) -> Result<Said, String> {
        match self.visible()? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::list),
            b'"' => self.string().map(Said::Text),
            b't' => self.literal("true", Said::Bool),
            b'f' => self.literal("false", Said::Bool),
            b'n' => self.literal("null", Said::Null),
            first @ (b'-' | b'0'..=b'9') => self.number(first),
            other => Err(unexpected(other, VALUE)),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Said, String>) -> Result<Said, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("exceeded max depth".to_owned());
        }
        let said = read(self)?;
        self.depth -= 1;
        Ok(said)
    }

    fn object(&mut self) -> Result<Said, String> {
        let mut fields = Vec::new();
        if self.next_visible() == Some(b'}') {
            self.at += 1;
            return Ok(Said::Object(fields));
        }
        loop {
            match self.visible()? {
                b'"' => {}
                other => return Err(unexpected(other, KEY)),
            }
            let name = self.string()?;
            match self.visible()? {
                b':' => fields.push((name, self.value()?)),
                other => return Err(unexpected(other, "after object key")),
            }
            match self.visible()? {
                b',' => {}
                b'}' => return Ok(Said::Object(fields)),
                other => return Err(unexpected(other, "after object key:value pair")),
            }
        }
    }

    fn list(&mut self) -> Result<Said, String> {
        let mut elements = Vec::new();
        if self.next_visible() == Some(b']') {
            self.at += 1;
            return Ok(Said::List(elements));
        }
        loop {
            elements.push(self.value()?);
            match self.visible()? {
                b',' => {}
                b']' => return Ok(Said::List(elements)),
                other => return Err(unexpected(other, "after array element")),
            }
        }
    }

    fn literal(&mut self, word: &str, said: Said) -> Result<Said, String> {
        for expected in word.bytes().skip(1) {
            let byte = self.next()?;
            if byte != expected {
                let context = format!("in literal {word} (expecting '{}')", char::from(expected));
                return Err(unexpected(byte, &context));
            }
        }
        Ok(said)
    }

    fn number(&mut self, first: u8) -> Result<Said, String> {
        let first = if first == b'-' { self.digit("in numeric literal")? } else { first };
        if first != b'0' {
            self.digits();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        Ok(Said::Number)
    }

    fn digit(&mut self, context: &str) -> Result<u8, String> {
        match self.next()? {
            digit @ b'0'..=b'9' => Ok(digit),
            other => Err(unexpected(other, context)),
        }
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    /// What follows an opening quote.
    fn string(&mut self) -> Result<String, String> {
        let (mut out, mut plain) = (String::new(), Vec::new());
        loop {
            match self.next()? {
                b'"' => {
                    push_lossy(&mut out, &mut plain);
                    return Ok(out);
                }
                b'\\' => {
                    push_lossy(&mut out, &mut plain);
                    out.push(self.escape()?);
                }
                control @ 0..0x20 => return Err(unexpected(control, "in string literal")),
                byte => plain.push(byte),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        Ok(match self.next()? {
            same @ (b'"' | b'\\' | b'/') => char::from(same),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.hexadecimal()?;
                self.character(unit)?
            }
            other => return Err(unexpected(other, "in string escape code")),
        })
    }

    fn hexadecimal(&mut self) -> Result<u16, String> {
        (0..4).try_fold(0, |unit, _| {
            let byte = self.next()?;
            let digit = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok());
            let digit = digit.ok_or_else(|| unexpected(byte, r"in \u hexadecimal character escape"))?;
            Ok(unit << 4 | digit)
        })
    }

    /// The character of `unit`, which may be the first half of a pair. A half without the other is none.
    fn character(&mut self, unit: u16) -> Result<char, String> {
        if (0xd800..0xdc00).contains(&unit) && self.text[self.at.min(self.text.len())..].starts_with(br"\u") {
            let before = self.at;
            self.at += 2;
            let second = self.hexadecimal()?;
            if let Some(Ok(pair)) = char::decode_utf16([unit, second]).next() {
                return Ok(pair);
            }
            // The second is read again, on its own.
            self.at = before;
        }
        Ok(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

/// Moves bytes to a text; each that belongs to no character becomes U+FFFD.
fn push_lossy(out: &mut String, bytes: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|_| out.push(char::REPLACEMENT_CHARACTER));
    }
    bytes.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(said: &[u8]) -> String {
        match Said::whole(said) {
            Ok(Said::Text(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn texts_are_whatever_can_be_made_of_them() {
        assert_eq!(text(br#""a\n\u00e9\ud83d\ude00\/""#), "a\né😀/");
        assert_eq!(text(br#""\ud800""#), "\u{fffd}");
        assert_eq!(text(br#""\ud800\u0041\ud800\ud83d\ude00""#), "\u{fffd}A\u{fffd}😀");
        assert_eq!(text(b"\"a\xff\xe2\x80\""), "a\u{fffd}\u{fffd}\u{fffd}");
    }

    /// What etcd 3.4.23 says.
    #[test]
    fn what_is_wrong_is_said_in_gos_words() {
        for (said, why) in [
            (&b""[..], "unexpected end of JSON input"),
            (b"x", "invalid character 'x' looking for beginning of value"),
            (b"{'a'", r"invalid character '\'' looking for beginning of object key string"),
            (b"{\"a\",", "invalid character ',' after object key"),
            (b"{\"a\":1;", "invalid character ';' after object key:value pair"),
            (b"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            (b"[1 2]", "invalid character '2' after array element"),
            (b"[1,]", "invalid character ']' looking for beginning of value"),
            (b"{} \"", "invalid character '\"' after top-level value"),
            (b"\"\n", r"invalid character '\n' in string literal"),
            (b"\"\\x", "invalid character 'x' in string escape code"),
            (b"\"\\u12g", r"invalid character 'g' in \u hexadecimal character escape"),
            (b"-x", "invalid character 'x' in numeric literal"),
            (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
            (b"1e+x", "invalid character 'x' in exponent of numeric literal"),
            (b"01", "invalid character '1' after top-level value"),
            (b"nulL", "invalid character 'L' in literal null (expecting 'l')"),
            (b"\xff", "invalid character 'ÿ' looking for beginning of value"),
            (b"\x00", r"invalid character '\x00' looking for beginning of value"),
            (b"[1", "unexpected end of JSON input"),
        ] {
            assert_eq!(Said::whole(said), Err(why.to_owned()), "{}", String::from_utf8_lossy(said));
        }
        assert_eq!(Said::whole(&b"[".repeat(100_000)), Err("exceeded max depth".to_owned()));
    }

    #[test]
    fn what_follows_the_first_value_may_be_anything() {
        assert_eq!(Said::first(b" [ null , true ] }"), Ok(Said::List(vec![Said::Null, Said::Bool])));
    }

    #[test]
    fn nothing_panics_on_what_is_cut_anywhere() {
        let all = br#" {"a":[1.5e-3,-0,"\u12aB\ud83d\ude00",null,true,false],"b":{}} "#;
        assert!(Said::whole(all).is_ok());
        for end in 0..all.len() - 1 {
            assert!(Said::whole(&all[..end]).is_err(), "{end}");
        }
    }
}
