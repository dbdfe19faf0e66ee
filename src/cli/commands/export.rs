//! `export`.

use std::io::{self, Write as _};

use super::document::Document;
use super::source::Source;
use crate::cli::args::Export;
use crate::cli::client::{Node, clean_path};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

pub(crate) fn run(session: &Session, export: &Export) -> Result<(), Failure> {
    let key = directory(&export.key)?;
    let source = Source::open(session, export.data_dir.as_deref())?;
    let Some(node) = source.read(&key)? else {
        return Err(Failure::plain(format_args!("{key}: nothing is there")));
    };
    if !node.dir {
        return Err(Failure::plain(format_args!("{key}: is a value, not a directory; `get` shows it")));
    }
    if let Some(key) = maybe_not_text(&node) {
        eprintln!(
            "{key}: may be other bytes than these: servers show what is no text as U+FFFD; --data-dir tells"
        );
    }
    let (document, left_out) = Document::of(&node, export.with_ttl);
    io::stdout().write_all(document.write(export.format).as_bytes())?;
    if left_out > 0 {
        eprintln!("left out {left_out} that expire; --with-ttl keeps their values");
    }
    Ok(())
}

/// The first key whose value has a character that stands for bytes that are no text, or for itself.
fn maybe_not_text(node: &Node) -> Option<&str> {
    if node.value.contains('\u{fffd}') {
        return Some(&node.key);
    }
    node.nodes.iter().find_map(maybe_not_text)
}

/// The directory that a word names, as text, without a slash at its end.
pub(super) fn directory(word: &std::ffi::OsStr) -> Result<String, Failure> {
    let Some(word) = word.to_str() else {
        return Err(Failure::plain("the key is no text"));
    };
    let clean =
        String::from_utf8(clean_path(word.as_bytes())).expect("text stays text when it is cut at slashes");
    let trimmed = clean.trim_end_matches('/');
    Ok(if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() })
}
