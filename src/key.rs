//! Keys: paths of the tree, parsed once at the edge.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

/// The path of a node: `/`, or parts joined by `/`, each with a leading one. Always valid, cheap to clone.
///
/// A part is any text without `/` and NUL except the empty one, `.` and `..`; case counts. A node whose
/// name begins with `_` is hidden: listings and recursive watches of what is above pass over it.
///
/// What callers write is taken as etcd's users write it: a leading `/` may be missing and one at the end is
/// dropped. Anything else that is not in form is refused.
///
/// ```
/// use spinney::Key;
///
/// let key = Key::parse("message/1/")?;
/// assert_eq!(key.as_str(), "/message/1");
/// assert_eq!(key.name(), "1");
/// assert_eq!(key.parent().unwrap().as_str(), "/message");
/// assert!(Key::parse("/message//1").is_err());
/// # Ok::<(), spinney::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(SmolStr);

/// Why a text is not a key. `Display` says what is wrong in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is empty; the root is `/`.
    Empty,
    /// Two slashes in a row leave a part without a name.
    EmptyPart,
    /// A part is `.` or `..`, which no node can be called.
    DotPart,
    /// The text has a NUL character.
    Nul,
    /// There are more than [`KEY_PARTS_MAX`] parts.
    TooDeep,
}

/// How deep a tree can grow: the most parts a key can have.
///
/// Whoever frees or compares a tree descends as deep as it is; this keeps that within any thread's stack.
pub const KEY_PARTS_MAX: usize = 1000;

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty (the root is \"/\")",
            Self::EmptyPart => "has an empty part",
            Self::DotPart => "has a part \".\" or \"..\"",
            Self::Nul => "has a NUL character",
            Self::TooDeep => "has more than 1000 parts",
        })
    }
}

impl std::error::Error for KeyError {}

impl Key {
    /// The directory that holds everything.
    #[must_use]
    pub fn root() -> Self {
        Self(SmolStr::new_static("/"))
    }

    /// The key that `text` names.
    ///
    /// # Errors
    ///
    /// When a part is empty, `.` or `..`, when a NUL is in it, or when there are too many parts. How many bytes a
    /// key may have is the store's to say.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        canonical(text).map(|path| Self(SmolStr::new(path)))
    }

    /// A key from a path that is known to be in canonical form.
    pub(crate) fn from_canonical(path: &str) -> Self {
        debug_assert_eq!(canonical(path).as_deref(), Ok(path));
        Self(SmolStr::new(path))
    }

    /// The key as text: it begins with `/` and, but for the root, does not end with one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The last part; empty for the root.
    #[must_use]
    pub fn name(&self) -> &str {
        name(&self.0)
    }

    /// The key of the directory above; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        parent(&self.0).map(|path| Self(SmolStr::new(path)))
    }

    /// The key of the child called `name`.
    ///
    /// # Errors
    ///
    /// When `name` is empty, `.` or `..`, or has a NUL or a `/` that leaves an empty part. A `/` within it
    /// descends further.
    ///
    /// ```
    /// # use spinney::Key;
    /// assert_eq!(Key::root().join("a")?.join("b/c")?.as_str(), "/a/b/c");
    /// # Ok::<(), spinney::KeyError>(())
    /// ```
    pub fn join(&self, name: &str) -> Result<Self, KeyError> {
        if name.is_empty() {
            return Err(KeyError::EmptyPart);
        }
        let above = if self.is_root() { "" } else { self.as_str() };
        Self::parse(&format!("{above}/{name}"))
    }

    /// The parts from the root down; none for the root.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        parts(&self.0)
    }

    /// Whether this key lies below `directory`, at any depth.
    ///
    /// ```
    /// # use spinney::Key;
    /// let key = Key::parse("/foo/bar")?;
    /// assert!(key.is_below(&Key::parse("/foo")?));
    /// assert!(!key.is_below(&Key::parse("/fo")?) && !key.is_below(&key));
    /// # Ok::<(), spinney::KeyError>(())
    /// ```
    #[must_use]
    pub fn is_below(&self, directory: &Self) -> bool {
        below(self, directory).is_some()
    }
}

/// The parts of a path in canonical form, or of a relative one, from the top down.
pub(crate) fn parts(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path.strip_prefix('/').unwrap_or(path);
    std::iter::from_fn(move || {
        // Names are short, and the search that the standard library has is made for long texts: so here and below.
        let end = rest.bytes().position(|byte| byte == b'/').unwrap_or(rest.len());
        let part = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        (!part.is_empty()).then_some(part)
    })
}

/// The canonical `path` and the paths above it but the root, from the top down, each with its last part.
pub(crate) fn prefixes(path: &str) -> impl Iterator<Item = (&str, &str)> {
    let ends = path.bytes().enumerate().skip(1).filter(|&(_, byte)| byte == b'/').map(|(at, _)| at);
    let last = (path.len() > 1).then_some(path.len());
    ends.chain(last).map(|end| (&path[..end], name(&path[..end])))
}

/// The last part of the canonical `path`.
pub(crate) fn name(path: &str) -> &str {
    last_slash(path).map_or(path, |slash| &path[slash + 1..])
}

/// The path above the canonical `path`; `None` for the root.
pub(crate) fn parent(path: &str) -> Option<&str> {
    match last_slash(path) {
        _ if path.len() == 1 => None,
        Some(0) => Some("/"),
        Some(slash) => Some(&path[..slash]),
        None => None,
    }
}

fn last_slash(path: &str) -> Option<usize> {
    path.bytes().rposition(|byte| byte == b'/')
}

/// What follows `directory` and a slash in `path`, when `path` lies below it. Both are canonical.
pub(crate) fn below<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    if directory.len() == 1 {
        return (path.len() > 1).then(|| &path[1..]);
    }
    path.strip_prefix(directory)?.strip_prefix('/')
}

/// `text` in canonical form, borrowed when it already is: the way of a read, which allocates nothing.
pub(crate) fn canonical(text: &str) -> Result<Cow<'_, str>, KeyError> {
    if text.is_empty() {
        return Err(KeyError::Empty);
    }
    let path = text.strip_prefix('/').unwrap_or(text);
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    if trimmed.is_empty() {
        return if path.is_empty() { Ok(Cow::Borrowed("/")) } else { Err(KeyError::EmptyPart) };
    }
    check_parts(trimmed)?;
    if path.len() != text.len() {
        return Ok(Cow::Borrowed(&text[..trimmed.len() + 1]));
    }
    Ok(Cow::Owned(format!("/{trimmed}")))
}

/// One pass over the bytes: a part's end is where a slash or the end comes.
fn check_parts(path: &str) -> Result<(), KeyError> {
    let bytes = path.as_bytes();
    let (mut start, mut slashes) = (0, 0);
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'/' => {
                check_part(&bytes[start..at])?;
                start = at + 1;
                slashes += 1;
            }
            0 => return Err(KeyError::Nul),
            _ => {}
        }
    }
    if slashes >= KEY_PARTS_MAX {
        return Err(KeyError::TooDeep);
    }
    check_part(&bytes[start..])
}

fn check_part(part: &[u8]) -> Result<(), KeyError> {
    match part {
        b"" => Err(KeyError::EmptyPart),
        b"." | b".." => Err(KeyError::DotPart),
        _ => Ok(()),
    }
}

impl Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Key {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Key {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl std::str::FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Bytes from disk or a peer are an edge like any other: only what is in canonical form is taken.
impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Path;
        impl serde::de::Visitor<'_> for Path {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key in canonical form")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Key, E> {
                match canonical(text) {
                    Ok(Cow::Borrowed(path)) if path.len() == text.len() => Ok(Key(SmolStr::new(path))),
                    Ok(_) => Err(E::custom("key not in canonical form")),
                    Err(error) => Err(E::custom(format_args!("key {text:?} {error}"))),
                }
            }
        }
        deserializer.deserialize_str(Path).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_etcd_users_write() {
        for (text, path) in [
            ("/", "/"),
            ("/a", "/a"),
            ("a", "/a"),
            ("a/", "/a"),
            ("/a/b/", "/a/b"),
            ("/...", "/..."),
            ("/..a/.b", "/..a/.b"),
            ("/ä ?#%", "/ä ?#%"),
        ] {
            assert_eq!(Key::parse(text).unwrap().as_str(), path, "{text:?}");
        }
    }

    #[test]
    fn refuses_what_no_node_can_be_called() {
        for (text, error) in [
            ("", KeyError::Empty),
            ("//", KeyError::EmptyPart),
            ("/a//b", KeyError::EmptyPart),
            ("a//", KeyError::EmptyPart),
            ("//a", KeyError::EmptyPart),
            (".", KeyError::DotPart),
            ("/a/../b", KeyError::DotPart),
            ("/a/.", KeyError::DotPart),
            ("/a\0b", KeyError::Nul),
        ] {
            assert_eq!(Key::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn prefixes_lead_from_the_top_down() {
        let of = |path| prefixes(path).collect::<Vec<_>>();
        assert_eq!(of("/"), []);
        assert_eq!(of("/a"), [("/a", "a")]);
        assert_eq!(of("/a/bc/d"), [("/a", "a"), ("/a/bc", "bc"), ("/a/bc/d", "d")]);
    }

    #[test]
    fn depth_is_bounded() {
        assert!(Key::parse(&"/a".repeat(KEY_PARTS_MAX)).is_ok());
        assert_eq!(Key::parse(&"/a".repeat(KEY_PARTS_MAX + 1)), Err(KeyError::TooDeep));
    }

    #[test]
    fn a_canonical_text_is_borrowed() {
        assert!(matches!(canonical("/a/b"), Ok(Cow::Borrowed("/a/b"))));
        assert!(matches!(canonical("/a/b/"), Ok(Cow::Borrowed("/a/b"))));
        assert!(matches!(canonical("a/b"), Ok(Cow::Owned(_))));
    }

    #[test]
    fn only_canonical_bytes_decode() {
        assert_eq!(crate::codec::decode::<Key>(&crate::codec::encode(&"/a/b")).unwrap(), "/a/b");
        for text in ["", "a", "/a/", "//", "/a/..", "/a\0"] {
            assert!(crate::codec::decode::<Key>(&crate::codec::encode(&text)).is_err(), "{text:?}");
        }
    }
}
