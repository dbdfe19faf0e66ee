//! Keys and values as JSON or TOML: a directory is an object, a value is text.

use std::collections::BTreeMap;

use super::unique::Unique;
use crate::cli::args::TextFormat;
use crate::cli::client::Node;

/// What is in a file to import, or in an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Document {
    Value(String),
    Directory(BTreeMap<String, Document>),
}

impl Document {
    /// What is at and below `node`, without what expires, unless that is asked for, and how many keys were left out.
    pub(super) fn of(node: &Node, with_ttl: bool) -> (Self, usize) {
        if !node.dir {
            return (Self::Value(node.value.clone()), 0);
        }
        let (mut children, mut left_out) = (BTreeMap::new(), 0);
        for child in &node.nodes {
            if child.expiration.is_some() && !with_ttl {
                left_out += 1;
                continue;
            }
            let (document, left_out_below) = Self::of(child, with_ttl);
            left_out += left_out_below;
            children.insert(name(&child.key).to_owned(), document);
        }
        (Self::Directory(children), left_out)
    }

    /// As text, with an end of the line.
    pub(super) fn write(&self, format: TextFormat) -> String {
        match format {
            TextFormat::Json => {
                let text = serde_json::to_string_pretty(&self.to_json());
                text.expect("text and objects can be written as JSON") + "\n"
            }
            TextFormat::Toml => {
                let text = toml::to_string_pretty(&self.to_toml());
                text.expect("text and tables can be written as TOML")
            }
        }
    }

    /// What `text` says, for the directory `key`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and where.
    pub(super) fn parse(text: &str, format: TextFormat, key: &str) -> Result<Self, String> {
        let document = match format {
            TextFormat::Json => {
                let value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
                let Unique = serde_json::from_str(text).map_err(|error| error.to_string())?;
                Self::from_json(value, key)?
            }
            TextFormat::Toml => {
                let table: toml::Table =
                    toml::from_str(text).map_err(|error| format!("not TOML: {error}"))?;
                Self::from_toml(toml::Value::Table(table), key)?
            }
        };
        match document {
            Self::Directory(_) => Ok(document),
            Self::Value(_) => Err("there should be an object, which stands for a directory".to_owned()),
        }
    }

    fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Value(text) => text.as_str().into(),
            Self::Directory(children) => {
                children.iter().map(|(name, child)| (name.clone(), child.to_json())).collect()
            }
        }
    }

    fn to_toml(&self) -> toml::Value {
        match self {
            Self::Value(text) => text.as_str().into(),
            Self::Directory(children) => toml::Value::Table(
                children.iter().map(|(name, child)| (name.clone(), child.to_toml())).collect(),
            ),
        }
    }

    fn from_json(value: serde_json::Value, key: &str) -> Result<Self, String> {
        use serde_json::Value;
        match value {
            Value::String(text) => Ok(Self::Value(text)),
            Value::Number(number) if number.is_f64() => decimal(number.to_string(), key),
            Value::Number(number) => Ok(Self::Value(number.to_string())),
            Value::Bool(truth) => Ok(Self::Value(truth.to_string())),
            Value::Object(fields) => Self::directory(fields, key, Self::from_json),
            Value::Array(_) => Err(format!("{key}: a list has no place in a tree of keys")),
            Value::Null => Err(format!("{key}: null is no value")),
        }
    }

    fn from_toml(value: toml::Value, key: &str) -> Result<Self, String> {
        use toml::Value;
        match value {
            Value::String(text) => Ok(Self::Value(text)),
            Value::Integer(number) => Ok(Self::Value(number.to_string())),
            Value::Boolean(truth) => Ok(Self::Value(truth.to_string())),
            Value::Float(_) => decimal(value.to_string(), key),
            Value::Datetime(_) => Ok(Self::Value(value.to_string())),
            Value::Table(fields) => Self::directory(fields, key, Self::from_toml),
            Value::Array(_) => Err(format!("{key}: a list has no place in a tree of keys")),
        }
    }

    fn directory<T>(
        fields: impl IntoIterator<Item = (String, T)>,
        key: &str,
        convert: impl Fn(T, &str) -> Result<Self, String>,
    ) -> Result<Self, String> {
        let mut children = BTreeMap::new();
        for (name, field) in fields {
            check_name(&name).map_err(|why| format!("{key}: the name {name:?} {why}"))?;
            let document = convert(field, &below(key, &name))?;
            children.insert(name, document);
        }
        Ok(Self::Directory(children))
    }
}

/// A number that is no integer of 64 bits, if it surely has not lost digits, or got others, when it was read.
fn decimal(text: String, key: &str) -> Result<Document, String> {
    const DIGITS_MAX: usize = 15;
    let is_plain = !text.contains(['e', 'E']);
    if is_plain && text.bytes().filter(u8::is_ascii_digit).count() <= DIGITS_MAX {
        return Ok(Document::Value(text));
    }
    Err(format!("{key}: such a number should be text, in quotes, to keep all of its digits"))
}

/// The key of `name` in the directory `key`.
pub(super) fn below(key: &str, name: &str) -> String {
    format!("{}/{name}", key.trim_end_matches('/'))
}

/// The last part of `key`.
pub(super) fn name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or_default()
}

fn check_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("is empty"),
        "." | ".." => Err("leads elsewhere"),
        _ if name.contains('/') => Err("has a slash: directories are objects in objects"),
        // Listings leave it out, so what is there could not be compared.
        _ if name.starts_with('_') => Err("is hidden; set such keys one by one"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, format: TextFormat) -> Result<Document, String> {
        Document::parse(text, format, "/app")
    }

    #[test]
    fn both_forms_say_the_same() {
        let json = parse(r#"{"port": 8080, "on": true, "db": {"host": "h", "empty": {}}}"#, TextFormat::Json)
            .unwrap();
        let toml = parse("port = 8080\non = true\n[db]\nhost = 'h'\n[db.empty]\n", TextFormat::Toml).unwrap();
        assert_eq!(json, toml);
        for format in [TextFormat::Json, TextFormat::Toml] {
            assert_eq!(parse(&json.write(format), format).unwrap(), json, "{format:?}");
        }
    }

    #[test]
    fn a_name_that_is_there_twice_is_refused() {
        let json = parse(r#"{"a": {"b": "1", "c": [], "b": "2"}}"#, TextFormat::Json).unwrap_err();
        assert_eq!(json, r#""b" is there twice at line 1 column 29"#);
        let toml = parse("[a]\nb = '1'\nb = '2'\n", TextFormat::Toml).unwrap_err();
        assert!(toml.contains("duplicate key"), "{toml}");
        let apart = r#"{"a": {"b": true}, "b": {"a": 1.5, "b": -1}, "c": {"a": "", "b": 1}}"#;
        assert!(parse(apart, TextFormat::Json).is_ok());
    }

    #[test]
    fn awkward_names_and_values_come_back() {
        let text = r#"{"a b": "x\ny\n", "q\"": "\"", "ü.": "'''", "dir": {"=": " "}, "end": "\u0000"}"#;
        let document = parse(text, TextFormat::Json).unwrap();
        for format in [TextFormat::Json, TextFormat::Toml] {
            assert_eq!(parse(&document.write(format), format).unwrap(), document, "{format:?}");
        }
    }

    #[test]
    fn numbers_are_what_they_were() {
        let text = r#"{"a": 18446744073709551615, "b": -9223372036854775808, "c": 9.5, "d": -0.001}"#;
        let Document::Directory(children) = parse(text, TextFormat::Json).unwrap() else { panic!() };
        let values: Vec<_> = children.into_values().collect();
        let expected = ["18446744073709551615", "-9223372036854775808", "9.5", "-0.001"];
        assert_eq!(values, expected.map(|number| Document::Value(number.to_owned())));
        let toml = parse("a = 0.1234567890123456789", TextFormat::Toml).unwrap_err();
        assert!(toml.contains("/app/a: such a number should be text"), "{toml}");
    }

    #[test]
    fn what_is_no_tree_is_named() {
        for (text, why) in [
            (r#"{"a": {"b": [1]}}"#, "/app/a/b: a list"),
            (r#"{"a": null}"#, "/app/a: null"),
            (r#"{"a": 123456789012345678901234567890}"#, "/app/a: such a number should be text"),
            (r#"{"a": 100000000000000000000}"#, "/app/a: such a number should be text"),
            (r#"{"a": 0.1234567890123456789}"#, "/app/a: such a number should be text"),
            (r#"{"a/b": 1}"#, "has a slash"),
            (r#"{"": 1}"#, "is empty"),
            (r#"{"_a": 1}"#, "is hidden"),
            ("[]", "a list"),
            ("3", "should be an object"),
            ("{", "not JSON"),
        ] {
            let error = parse(text, TextFormat::Json).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
