//! Names on the wire, which are any bytes, as names in the tree, which are text without NUL; there and back.
//!
//! ```text
//!   wire     any byte string without a slash                        /café  /a\xff  /a\0
//!   tree     the same where it is text ……………………………………………………………… /café
//!            else one private character for each byte that is not    /a\u{10ffff}  /a\u{10ff00}
//! ```
//! The characters from U+10FF00 to U+10FFFF, which no standard will ever give a meaning, stand for the bytes. Where a
//! client uses one of them itself, its four bytes are written in this way; so no two names on the wire are one
//! in the tree, and each comes back as it went in.
//!
//! One directory at the root, [`RESERVED`], is the front's own: users and roles are kept there. A client that says the
//! same name gets another one, written in this way as well. Nothing that it can say leads in there.

use std::borrow::Cow;

/// The directory in the tree that clients cannot reach.
pub(super) const RESERVED: &str = "/_spinney";

/// What stands for byte 0; those for the others follow.
const FIRST: u32 = 0x10_FF00;

/// The bytes that every character in question begins with in UTF-8; a third one from 0xBC on follows.
const LEAD: [u8; 2] = [0xF4, 0x8F];

/// The path in the tree that `path` on the wire means.
pub(super) fn to_tree(path: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(path) {
        Ok(text) if !path.contains(&0) && !has_stand_in(path) && !is_reserved(path) => Cow::Borrowed(text),
        _ => Cow::Owned(written(path)),
    }
}

/// The path on the wire that `path` in the tree came from.
pub(super) fn to_wire(path: &str) -> Cow<'_, [u8]> {
    if !has_stand_in(path.as_bytes()) {
        return Cow::Borrowed(path.as_bytes());
    }
    let mut bytes = Vec::with_capacity(path.len());
    for character in path.chars() {
        match u8::try_from((character as u32).wrapping_sub(FIRST)) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}

/// Whether the path in the tree is the front's own.
pub(super) fn is_own(path: &str) -> bool {
    is_reserved(path.as_bytes())
}

/// Whether `path` leads into the reserved directory; with or without a slash before it, as keys are taken.
fn is_reserved(path: &[u8]) -> bool {
    let name = &RESERVED.as_bytes()[1..];
    let rest = path.strip_prefix(b"/").unwrap_or(path).strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

fn has_stand_in(bytes: &[u8]) -> bool {
    // Hardly any name has this byte at all.
    bytes.contains(&LEAD[0]) && bytes.windows(3).any(|window| window[..2] == LEAD && window[2] >= 0xBC)
}

fn written(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len() + 16);
    let mut rest = path;
    if is_reserved(path) {
        // It stays hidden: only its second character is written differently.
        let hidden = path.iter().position(|&byte| byte == b'_').expect("its name begins with it");
        text.push_str(if hidden == 0 { "_" } else { "/_" });
        text.push(stand_in(path[hidden + 1]));
        rest = &path[hidden + 2..];
    }
    for chunk in rest.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\0' {
                text.push(stand_in(0));
            } else if character as u32 >= FIRST {
                text.extend(character.encode_utf8(&mut [0; 4]).bytes().map(stand_in));
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().copied().map(stand_in));
    }
    text
}

fn stand_in(byte: u8) -> char {
    char::from_u32(FIRST + u32::from(byte)).expect("all of them are characters")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn there_and_back(path: &[u8]) -> String {
        let tree = to_tree(path).into_owned();
        assert_eq!(to_wire(&tree), path, "{tree:?}");
        assert!(!is_own(&tree) && !tree.contains('\0'), "{tree:?}");
        tree
    }

    #[test]
    fn text_stays_as_it_is() {
        for text in
            ["/", "/a/b", "/café", "/_hidden", "/_spinney2", "/a/_spinney", "/\u{10FEFF}", "/\u{FFFD}"]
        {
            assert_eq!(there_and_back(text.as_bytes()), text);
        }
    }

    #[test]
    fn other_bytes_become_private_characters() {
        assert_eq!(there_and_back(b"/a\xff"), "/a\u{10FFFF}");
        assert_eq!(there_and_back(b"/a\0b"), "/a\u{10FF00}b");
        assert_eq!(there_and_back("/\u{10FF41}".as_bytes()), "/\u{10FFF4}\u{10FF8F}\u{10FFBD}\u{10FF81}");
    }

    #[test]
    fn the_reserved_directory_cannot_be_said() {
        assert_eq!(there_and_back(b"/_spinney"), "/_\u{10FF73}pinney");
        assert_eq!(there_and_back(b"/_spinney/auth\xff"), "/_\u{10FF73}pinney/auth\u{10FFFF}");
        assert_eq!(there_and_back(b"_spinney/auth"), "_\u{10FF73}pinney/auth");
        assert!(is_own("/_spinney") && is_own("/_spinney/auth") && !is_own("/_spinneyx"));
    }

    proptest! {
        #[test]
        fn no_two_names_become_one(paths in proptest::collection::vec(piece(), 1..6)) {
            there_and_back(&[b"/".to_vec(), paths.concat()].concat());
            there_and_back(&paths.concat());
        }
    }

    /// Bytes of which many are at the edges of what is written differently.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(b"_spinney".to_vec()),
            Just(b"/".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..5),
            any::<char>().prop_map(|character| character.to_string().into_bytes()),
            (0x10_FEFE_u32..=0x10_FFFF)
                .prop_map(|code| char::from_u32(code).unwrap().to_string().into_bytes()),
        ]
    }
}
