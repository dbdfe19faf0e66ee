//! `edit`: a value in an editor, written back if nobody changed it meanwhile.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

use tempfile::TempPath;

use crate::cli::args::Edit;
use crate::cli::client::{Exist, Get, Node, Put};
use crate::cli::failure::{Failure, exit};
use crate::cli::session::Session;

pub(crate) fn run(session: &Session, edit: &Edit) -> Result<(), Failure> {
    let cluster = session.cluster()?;
    let key = edit.key.as_encoded_bytes();
    let shown = edit.key.to_string_lossy();
    let get = Get { key, quorum: true, ..Get::default() };
    let before = match cluster.get(&get, session.deadline()) {
        Ok(answer) if answer.node.dir => {
            return Err(Failure::plain(format_args!(
                "{shown}: is a directory; `export` and `import` change those"
            )));
        }
        Ok(answer) => Some(answer.node),
        Err(error) if error.code() == Some(100) => None,
        Err(error) => return Err(Failure::server(&error)),
    };
    let value = before.as_ref().map_or("", |node| node.value.as_str());
    let file = write(value).map_err(|error| Failure::plain(format_args!("no file to edit: {error}")))?;
    open_editor(&file)?;
    let after =
        fs::read(&file).map_err(|error| Failure::plain(format_args!("{}: {error}", file.display())))?;
    let after = without_added_newline(value, &after);
    if after == value.as_bytes() && before.is_some() {
        writeln!(io::stdout(), "{shown} is as before")?;
        return Ok(());
    }
    let put = guarded(key, after, before.as_ref());
    match cluster.put(&put, session.deadline()) {
        Ok(answer) => {
            writeln!(
                io::stdout(),
                "{} is changed; its index is {}",
                answer.node.key,
                answer.node.modified_index
            )?;
            Ok(())
        }
        Err(error) => {
            // Nobody's work is thrown away.
            let kept =
                file.keep().map_or_else(|error| format!("lost: {error}"), |path| path.display().to_string());
            let failure = Failure::server(&error);
            let why = if matches!(error.code(), Some(101 | 105)) {
                "somebody else changed it meanwhile. "
            } else {
                ""
            };
            let text = format!("{}{shown} is not changed: {why}What was edited is in {kept}", failure.text());
            Err(Failure::with_code(text, exit::SERVER_ERROR))
        }
    }
}

/// A write that does not overwrite what came between, and lets the key live as long as it would have.
fn guarded<'a>(key: &'a [u8], value: &'a [u8], before: Option<&Node>) -> Put<'a> {
    let put = Put { key, value: Some(value), ..Put::default() };
    match before {
        Some(node) => Put { prev_index: node.modified_index, ttl: node.ttl, ..put },
        None => Put { exist: Exist::No, ..put },
    }
}

fn write(value: &str) -> io::Result<TempPath> {
    let mut file = tempfile::Builder::new().prefix("spinney-").suffix(".txt").tempfile()?;
    file.write_all(value.as_bytes())?;
    file.flush()?;
    Ok(file.into_temp_path())
}

/// Runs the editor and waits until it ends.
fn open_editor(file: &Path) -> Result<(), Failure> {
    let editor = ["VISUAL", "EDITOR"].iter().filter_map(env::var_os).find(|editor| !editor.is_empty());
    let editor = editor.unwrap_or_else(|| "vi".into());
    // By the shell, since editors come with flags, such as `code --wait`.
    let mut script = OsString::from(&editor);
    script.push(" \"$1\"");
    let status = Command::new("sh").arg("-c").arg(script).arg("sh").arg(file).status();
    let status = status.map_err(|error| Failure::plain(format_args!("cannot run the editor: {error}")))?;
    if status.success() {
        return Ok(());
    }
    let editor = editor.to_string_lossy();
    Err(Failure::plain(format_args!("nothing is changed: the editor {editor} failed ({status})")))
}

/// What was edited; editors end the last line, though the value may not have.
fn without_added_newline<'a>(before: &str, after: &'a [u8]) -> &'a [u8] {
    match after.strip_suffix(b"\n") {
        Some(shorter) if !before.ends_with('\n') && !shorter.contains(&b'\n') => shorter,
        _ => after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_editor_ends_lines() {
        assert_eq!(without_added_newline("a", b"b\n"), b"b");
        assert_eq!(without_added_newline("a\n", b"b\n"), b"b\n");
        assert_eq!(without_added_newline("a", b"b\nc\n"), b"b\nc\n");
        assert_eq!(without_added_newline("", b"\n"), b"");
    }
}
