//! `tree`: the keys below a directory, drawn.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::plan::shown;
use crate::cli::args::Tree;
use crate::cli::client::{Get, Node};
use crate::cli::failure::Failure;
use crate::cli::output::count;
use crate::cli::session::Session;

/// Directories, as `ls` on a terminal has them.
const DIRECTORY: Style = AnsiColor::Blue.on_default().bold();
/// What is said of a node beside its name.
const ASIDE: Style = Style::new().dimmed();

pub(crate) fn run(session: &Session, tree: &Tree) -> Result<(), Failure> {
    let cluster = session.cluster()?;
    let key = tree.key.as_encoded_bytes();
    let get = Get { key, recursive: true, sorted: true, quorum: false };
    let answer = cluster.get(&get, session.deadline()).map_err(|error| Failure::server(&error))?;
    let root = &answer.node;
    let mut out = io::BufWriter::new(anstream::stdout().lock());
    let name = if root.key.is_empty() { "/" } else { &root.key };
    describe(&mut out, root, name, tree)?;
    let mut drawing = Drawing { out, tree, directories: 0, values: 0 };
    drawing.children(root, "", 1)?;
    let Drawing { mut out, directories, values, .. } = drawing;
    if root.dir {
        writeln!(
            out,
            "\n{}, {}",
            count(directories, "directory", "directories"),
            count(values, "value", "values")
        )?;
    }
    Ok(out.flush()?)
}

/// A drawing under way.
struct Drawing<'a, W> {
    out: W,
    tree: &'a Tree,
    directories: usize,
    values: usize,
}

impl<W: Write> Drawing<'_, W> {
    /// Draws what is in `node`, on lines that begin with `margin`.
    fn children(&mut self, node: &Node, margin: &str, level: usize) -> io::Result<()> {
        let mut children = node.nodes.iter().peekable();
        while let Some(child) = children.next() {
            let is_last = children.peek().is_none();
            let (branch, below) = if is_last { ("└── ", "    ") } else { ("├── ", "│   ") };
            *if child.dir { &mut self.directories } else { &mut self.values } += 1;
            if self.tree.depth.is_some_and(|depth| level > depth) {
                self.children(child, margin, level + 1)?;
                continue;
            }
            write!(self.out, "{ASIDE}{margin}{branch}{ASIDE:#}")?;
            describe(&mut self.out, child, child.key.rsplit('/').next().unwrap_or_default(), self.tree)?;
            self.children(child, &format!("{margin}{below}"), level + 1)?;
        }
        Ok(())
    }
}

/// Writes what there is to say of a node on one line.
fn describe(out: &mut impl Write, node: &Node, name: &str, tree: &Tree) -> io::Result<()> {
    if node.dir {
        let slash = if name.ends_with('/') { "" } else { "/" };
        write!(out, "{DIRECTORY}{name}{slash}{DIRECTORY:#}")?;
    } else {
        write!(out, "{name}")?;
        if !tree.keys_only {
            write!(out, " = {}", shown(&node.value))?;
        }
    }
    if node.ttl > 0 {
        write!(out, " {ASIDE}({} s left){ASIDE:#}", node.ttl)?;
    }
    writeln!(out)
}
