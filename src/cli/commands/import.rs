//! `import`.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use super::confirm::confirm;
use super::document::Document;
use super::export::directory;
use super::plan::Plan;
use super::source::{Done, Source};
use crate::cli::args::{Import, ImportMode, TextFormat};
use crate::cli::failure::{Failure, exit};
use crate::cli::output::count;
use crate::cli::session::Session;

pub(crate) fn run(session: &Session, import: &Import) -> Result<(), Failure> {
    let key = directory(&import.key)?;
    let wanted = read(import, &key)?;
    let source = Source::open(session, import.data_dir.as_deref())?;
    let ImportMode { prune, yes, dry_run, one_by_one } = import.mode;
    let plan = Plan::new(&key, source.read(&key)?.as_ref(), &wanted, prune).map_err(Failure::plain)?;

    let mut out = anstream::stdout();
    plan.show(&mut out)?;
    if plan.kept > 0 && !plan.steps.is_empty() {
        let why = if prune { "they expire" } else { "--prune removes what does not expire" };
        writeln!(out, "kept {} that the file does not have: {why}", plan.kept)?;
    }
    if plan.steps.is_empty() {
        writeln!(out, "{key} is as the file says")?;
        return Ok(());
    }
    if dry_run {
        return Err(Failure::silent(exit::BAD_ARGUMENTS));
    }
    if !yes {
        confirm(&format!("Make {}?", count(plan.steps.len(), "change", "changes")))?;
    }
    match if one_by_one { source.apply_one_by_one(&plan)? } else { source.apply(&plan)? } {
        Done::All { index } => {
            writeln!(out, "{} made; the index is {index}", count(plan.steps.len(), "change", "changes"))?;
        }
        Done::NoTransactions => {
            return Err(Failure::with_code(
                "nothing was changed: this server has no transactions, as etcd's v2 API has none; --one-by-one makes the \
                 changes one after the other, each on condition that nobody changed the key meanwhile",
                exit::SERVER_ERROR,
            ));
        }
    }
    Ok(())
}

fn read(import: &Import, key: &str) -> Result<Document, Failure> {
    let path = import.file.as_path();
    let format = match import.format {
        Some(format) => format,
        None => format_of(path)?,
    };
    let text = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    let text = text.map_err(|error| Failure::plain(format_args!("{}: {error}", path.display())))?;
    Document::parse(&text, format, key)
        .map_err(|why| Failure::plain(format_args!("{}: {why}", path.display())))
}

/// What the name of a file tells; what comes from stdin is JSON, as `export` writes it.
fn format_of(path: &Path) -> Result<TextFormat, Failure> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => Ok(TextFormat::Json),
        Some("toml") => Ok(TextFormat::Toml),
        _ if path == Path::new("-") => Ok(TextFormat::Json),
        _ => Err(Failure::plain(format_args!("{}: is it JSON or TOML? Please say --format", path.display()))),
    }
}
