//! What has to change for keys to be as a file says.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::document::{self, Document};
use crate::cli::client::{Node, quoted};

/// How much of a value is shown.
const SHOWN_MAX: usize = 100;

/// Changes, in an order in which they can be made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// Keys that the file does not have, and that stay.
    pub(super) kept: usize,
    /// The keys of the steps that take something away.
    removed: BTreeSet<String>,
}

/// One change of one key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) key: String,
    pub(super) is_dir: bool,
    /// The value so far; none of a directory, and where nothing is.
    before: Option<String>,
    /// The value from now on, empty for a directory; `None` for what goes.
    pub(super) after: Option<String>,
    pub(super) guard: Guard,
}

/// On what condition a change is made: nobody came between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Nothing is there.
    Absent,
    /// The last change of what is there has this index.
    Index(u64),
    /// It is a directory and nothing is in it.
    Empty,
}

impl Plan {
    /// What has to change for `now`, what is at `key`, to be as `wanted`. What `wanted` does not have goes if `prune` says
    /// so, unless it expires.
    ///
    /// # Errors
    ///
    /// Where a value stands in the way of a directory or the other way round, and nothing may go.
    pub(super) fn new(key: &str, now: Option<&Node>, wanted: &Document, prune: bool) -> Result<Self, String> {
        let mut plan = Self::default();
        plan.compare(key, now, wanted, prune)?;
        Ok(plan)
    }

    /// Whether something is taken away at `key`, or above it, before something else is put there.
    pub(super) fn replaces(&self, key: &str) -> bool {
        let slashes = key.match_indices('/').map(|(position, _)| &key[..position]);
        slashes.chain([key]).any(|above| self.removed.contains(above))
    }

    fn compare(
        &mut self,
        key: &str,
        now: Option<&Node>,
        wanted: &Document,
        prune: bool,
    ) -> Result<(), String> {
        let now = match now {
            Some(node) if node.dir != matches!(wanted, Document::Directory(_)) => {
                self.clear_the_way(key, node, prune)?;
                None
            }
            now => now,
        };
        match wanted {
            Document::Value(value) => self.value(key, now, value),
            Document::Directory(children) => {
                let mut present: BTreeMap<&str, &Node> = BTreeMap::new();
                if let Some(now) = now {
                    present.extend(now.nodes.iter().map(|child| (document::name(&child.key), child)));
                } else if children.is_empty() {
                    self.step(key, true, None, Some(String::new()), Guard::Absent);
                }
                for (name, child) in &present {
                    if !children.contains_key(*name) {
                        self.surplus(child, prune);
                    }
                }
                for (name, child) in children {
                    self.compare(
                        &document::below(key, name),
                        present.get(name.as_str()).copied(),
                        child,
                        prune,
                    )?;
                }
            }
        }
        Ok(())
    }

    fn value(&mut self, key: &str, now: Option<&Node>, value: &str) {
        match now {
            None => self.step(key, false, None, Some(value.to_owned()), Guard::Absent),
            Some(node) if node.value == value => {}
            Some(node) => {
                let before = Some(node.value.clone());
                self.step(key, false, before, Some(value.to_owned()), Guard::Index(node.modified_index));
            }
        }
    }

    fn clear_the_way(&mut self, key: &str, node: &Node, prune: bool) -> Result<(), String> {
        let kinds = if node.dir { ("directory", "value") } else { ("value", "directory") };
        if !prune {
            return Err(format!(
                "{key} is a {}, in the file a {}; --prune lets the first go",
                kinds.0, kinds.1
            ));
        }
        if !self.surplus(node, true) {
            return Err(format!(
                "{key} is a {}, in the file a {}; what is there expires, so it stays",
                kinds.0, kinds.1
            ));
        }
        Ok(())
    }

    /// Lets a node go, with all below it, if it may; what expires stays, and so do the directories that it is in.
    fn surplus(&mut self, node: &Node, prune: bool) -> bool {
        if !prune || node.expiration.is_some() {
            self.kept += 1;
            return false;
        }
        // All of them are asked, whatever one says.
        let stays = node.nodes.iter().filter(|child| !self.surplus(child, prune)).count();
        if stays > 0 {
            return false;
        }
        if node.dir {
            self.step(&node.key, true, None, None, Guard::Empty);
        } else {
            self.step(&node.key, false, Some(node.value.clone()), None, Guard::Index(node.modified_index));
        }
        true
    }

    fn step(&mut self, key: &str, is_dir: bool, before: Option<String>, after: Option<String>, guard: Guard) {
        if after.is_none() {
            self.removed.insert(key.to_owned());
        }
        self.steps.push(Step { key: key.to_owned(), is_dir, before, after, guard });
    }

    /// Shows the changes as a diff.
    pub(super) fn show(&self, out: &mut impl Write) -> io::Result<()> {
        let (red, green) =
            (Style::new().fg_color(Some(AnsiColor::Red.into())), AnsiColor::Green.on_default());
        for Step { key, is_dir, before, after, .. } in &self.steps {
            if *is_dir {
                let (style, sign) = if after.is_some() { (green, '+') } else { (red, '-') };
                writeln!(out, "{style}{sign} {key}/{style:#}")?;
                continue;
            }
            if let Some(before) = before {
                writeln!(out, "{red}- {key} = {}{red:#}", shown(before))?;
            }
            if let Some(after) = after {
                writeln!(out, "{green}+ {key} = {}{green:#}", shown(after))?;
            }
        }
        Ok(())
    }
}

/// A value between quotes, cut where it is long.
pub(super) fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}… ({} bytes)", quoted(&value[..end]), value.len()),
        None => quoted(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::TextFormat;

    fn file(key: &str, value: &str, index: u64) -> Node {
        Node { key: key.to_owned(), value: value.to_owned(), modified_index: index, ..Node::default() }
    }

    fn directory(key: &str, nodes: Vec<Node>) -> Node {
        Node { key: key.to_owned(), dir: true, nodes, ..Node::default() }
    }

    fn plan(now: Option<&Node>, wanted: &str, prune: bool) -> Result<Vec<String>, String> {
        let wanted = Document::parse(wanted, TextFormat::Json, "/d").unwrap();
        let plan = Plan::new("/d", now, &wanted, prune)?;
        let mut shown = Vec::new();
        plan.show(&mut anstream::StripStream::new(&mut shown)).unwrap();
        Ok(String::from_utf8(shown).unwrap().lines().map(str::to_owned).collect())
    }

    #[test]
    fn what_is_as_it_should_be_stays() {
        let now = directory("/d", vec![file("/d/a", "1", 5), directory("/d/e", vec![])]);
        assert!(plan(Some(&now), r#"{"a": 1, "e": {}}"#, true).unwrap().is_empty());
        assert!(plan(Some(&now), "{}", false).unwrap().is_empty());
    }

    #[test]
    fn keys_come_change_and_go() {
        let now = directory(
            "/d",
            vec![file("/d/a", "1", 5), file("/d/b", "2", 6), directory("/d/e", vec![file("/d/e/f", "3", 7)])],
        );
        let wanted = r#"{"a": "x", "c": {"d": {}, "e": "4"}}"#;
        let added = ["+ /d/c/d/", "+ /d/c/e = \"4\""];
        assert_eq!(
            plan(Some(&now), wanted, false).unwrap(),
            [&["- /d/a = \"1\"", "+ /d/a = \"x\""][..], &added].concat()
        );
        let pruned = ["- /d/b = \"2\"", "- /d/e/f = \"3\"", "- /d/e/", "- /d/a = \"1\"", "+ /d/a = \"x\""];
        assert_eq!(plan(Some(&now), wanted, true).unwrap(), [&pruned[..], &added].concat());
        assert_eq!(plan(None, "{}", false).unwrap(), ["+ /d/"]);
    }

    #[test]
    fn what_expires_stays_with_its_directories() {
        let mut lease = file("/d/e/lease", "me", 7);
        lease.expiration = Some("soon".to_owned());
        let now = directory("/d", vec![directory("/d/e", vec![lease, file("/d/e/f", "1", 8)])]);
        assert_eq!(plan(Some(&now), "{}", true).unwrap(), ["- /d/e/f = \"1\""]);
        assert!(plan(Some(&now), r#"{"e": 1}"#, true).unwrap_err().contains("expires"));
    }

    #[test]
    fn a_value_for_a_directory_needs_leave() {
        let now =
            directory("/d", vec![directory("/d/e", vec![file("/d/e/f", "1", 8)]), file("/d/g", "2", 9)]);
        let wanted = r#"{"e": 1, "g": {"h": 3}}"#;
        assert!(plan(Some(&now), wanted, false).unwrap_err().contains("--prune"));
        let steps = ["- /d/e/f = \"1\"", "- /d/e/", "+ /d/e = \"1\"", "- /d/g = \"2\"", "+ /d/g/h = \"3\""];
        assert_eq!(plan(Some(&now), wanted, true).unwrap(), steps);
    }
}
