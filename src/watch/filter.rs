//! Which changes a watch is about.

use crate::event::Change;
use crate::key::{self, Key};

/// What a watch wants to see.
///
/// Keys are compared part by part, never as text: `/foobar` is not below `/foo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// The key that is watched; nothing needs to be there.
    pub(crate) key: Key,
    /// Whether changes below the key count too.
    pub(crate) recursive: bool,
    /// Whether changes below the key count even where a part below it is hidden.
    pub(crate) hidden: bool,
}

impl Filter {
    /// Whether the watch is told of `change`, as far as the change alone says.
    ///
    /// The removal of a directory matches every key below it. Live, when what was removed is at hand, those
    /// keys are left out where nothing was; see [`Watchers::visit`](super::watchers::Watchers::visit).
    pub(crate) fn matches(&self, change: &Change) -> bool {
        if change.refresh {
            return false;
        }
        if change.key() == &self.key {
            return true;
        }
        if let Some(below) = key::below(change.key(), &self.key) {
            return self.recursive && (self.hidden || !has_hidden_part(below));
        }
        removes_directory(change) && self.key.is_below(change.key())
    }
}

/// Whether `change` took a directory away, with all that was below it.
pub(super) fn removes_directory(change: &Change) -> bool {
    let is_dir = change.prev_node.as_ref().unwrap_or(&change.node).is_dir();
    change.action.is_removal() && is_dir
}

/// Whether a part of `path` begins with `_`.
fn has_hidden_part(path: &str) -> bool {
    key::parts(path).any(is_hidden)
}

/// Whether a node called `name` is hidden.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::testing::{filter, refresh, remove, remove_directory, set};

    #[test]
    fn a_plain_watch_is_about_its_key_alone() {
        let watch = filter("/a");
        assert!(watch.matches(&set("/a", 1)));
        assert!(
            !watch.matches(&set("/a/b", 1)) && !watch.matches(&set("/", 1)) && !watch.matches(&set("/ab", 1))
        );
    }

    #[test]
    fn a_recursive_watch_is_about_what_is_below_too() {
        let watch = Filter { recursive: true, ..filter("/a") };
        assert!(watch.matches(&set("/a", 1)) && watch.matches(&set("/a/b/c", 1)));
        assert!(!watch.matches(&set("/ab", 1)), "compared by parts, not as text");
        let root = Filter { recursive: true, ..filter("/") };
        assert!(root.matches(&set("/a", 1)) && root.matches(&set("/", 1)));
    }

    #[test]
    fn hidden_is_relative_to_the_watch() {
        let watch = Filter { recursive: true, ..filter("/a") };
        assert!(!watch.matches(&set("/a/_b", 1)) && !watch.matches(&set("/a/_b/c", 1)));
        let hidden = Filter { recursive: true, ..filter("/a/_b") };
        assert!(hidden.matches(&set("/a/_b", 1)) && hidden.matches(&set("/a/_b/c", 1)));
        assert!(!hidden.matches(&set("/a/_b/_c", 1)));
        let all = Filter { hidden: true, ..watch };
        assert!(all.matches(&set("/a/_b/c", 1)));
    }

    #[test]
    fn removing_a_directory_is_about_every_key_below_it() {
        let watch = filter("/a/b/_c");
        assert!(watch.matches(&remove_directory("/a", 1)) && watch.matches(&remove_directory("/a/b", 1)));
        assert!(!watch.matches(&remove("/a/b", 1)), "a file has nothing below it");
        assert!(!watch.matches(&set("/a", 1)));
        assert!(!filter("/ab").matches(&remove_directory("/a", 1)), "compared by parts, not as text");
    }

    #[test]
    fn a_refresh_is_never_shown() {
        assert!(!filter("/a").matches(&refresh("/a", 1)));
    }
}
