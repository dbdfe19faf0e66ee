//! Texts as keys: what is taken and what is refused, against the rules read naively; then there and back.

use spinney::internals::codec;
use spinney::{KEY_PARTS_MAX, Key};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let parsed = Key::parse(text);
    assert_eq!(parsed.as_ref().ok().map(Key::as_str), path_of(text).as_deref(), "{text:?}");
    // Bytes from a disk or a peer are taken in canonical form alone.
    let decoded = codec::decode::<Key>(&codec::encode(&text));
    assert_eq!(decoded.ok().as_deref(), parsed.as_deref().ok().filter(|&path| path == text));

    let Ok(key) = parsed else { return };
    assert_eq!(Key::parse(&key).as_ref(), Ok(&key));
    assert_eq!(codec::decode(&codec::encode(&key)).as_ref(), Ok(&key));
    assert_eq!(key.is_root(), key.parent().is_none());
    if let Some(parent) = key.parent() {
        assert_eq!(parent.join(key.name()).as_ref(), Ok(&key));
        assert!(key.is_below(&parent) && key.is_below(&Key::root()) && !parent.is_below(&key));
        assert_eq!(key.parts().collect::<Vec<_>>(), key[1..].split('/').collect::<Vec<_>>());
    }
}

/// The canonical form of `text`, if it is a key at all.
fn path_of(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let inner = text.strip_prefix('/').unwrap_or(text);
    if inner.is_empty() {
        return Some("/".to_owned());
    }
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let parts: Vec<&str> = inner.split('/').collect();
    let is_good = |part: &&str| !["", ".", ".."].contains(part) && !part.contains('\0');
    (parts.len() <= KEY_PARTS_MAX && parts.iter().all(is_good)).then(|| format!("/{inner}"))
}
