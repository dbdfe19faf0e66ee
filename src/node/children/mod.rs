//! A directory's children by name: a persistent B+-tree.
//!
//! ```text
//!   Children ──► nothing                                      an empty directory
//!            ──► Few   │ child │ child │ child │   │          up to 4, in one allocation
//!            ──► Leaf  │ word child │ word child │ …          up to 64
//!            ──► Inner │ word low page │ word low page │ …    up to 32 pages below, Inner or Leaf
//! ```
//! Pages are in `Arc`s. Whoever changes a map changes its pages in place while nobody else holds them, and
//! copies those on the path otherwise. So a clone costs one reference count and never changes, and the first
//! write after it copies a page a level, whatever the width of the directory.
//!
//! A name is not stored again: a child knows its own. What stands beside the child is a *word*, the eight bytes
//! of its name that follow the `skip` bytes which all names of the page begin with. Most comparisons are of words
//! and touch no child's memory, also where all names begin alike, as the numbered keys of a queue do. Between
//! pages stand the shortest texts that tell them apart (`low`), not names, so that a removal need not mend them.
//!
//! Invariants:
//!
//! - Names are in bytewise order, and every leaf is equally deep.
//! - `low <= names below < low of the next branch`. The first `low` of an inner page is the one that stands for
//!   the page above it, and empty at the root.
//! - A page's names (in an inner page: its lows but the first) share their first `skip` bytes.
//! - No page is empty. `Few` is a root only; an inner root has at least two branches.
//! - A page that loses a child becomes one with a neighbour below the same page if half a page holds both. So
//!   removals leave pages more than a quarter full on average; splits, where names come in order, nearly full.

mod differences;
mod few;
mod inner;
mod iter;
mod leaf;
mod page;
mod word;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use iter::Iter;

use differences::Differences;
use few::Few;
use inner::Inner;
use page::{Inserted, Page, Place};

/// What has a name to be found by. It has no zero byte, and must not change while the value is in a map.
pub(crate) trait Named {
    /// The name.
    fn name(&self) -> &str;
}

/// An ordered map from a child's name to the child; cloning it is one reference count.
///
/// One pointer: most nodes are files, and they pay for the width of what a directory needs.
#[derive(Clone)]
pub(crate) struct Children<T>(Option<Arc<Page<T>>>);

impl<T> Default for Children<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Named + Clone> Children<T> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.as_deref().map_or(0, Page::len)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The child called `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.0.as_deref()?.get(name.as_bytes())
    }

    /// The child called `name`, to change anything of it but its name, or to put another of that name in its place. The pages that lead to it are copied if
    /// they are shared.
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        Page::get_mut(self.0.as_mut()?, name.as_bytes())
    }

    /// The last child in order.
    pub(crate) fn last(&self) -> Option<&T> {
        self.0.as_deref()?.last()
    }

    /// Puts `child` under its name, and returns the one that was there.
    pub(crate) fn insert(&mut self, child: T) -> Option<T> {
        self.insert_at(child, Place::Edge)
    }

    /// [`Children::insert`], cheaper when the name is greater than all that are there. Building a map in order
    /// leaves its pages full.
    pub(crate) fn append(&mut self, child: T) -> Option<T> {
        let is_greatest = self.last().is_none_or(|last| last.name() < child.name());
        self.insert_at(child, if is_greatest { Place::End } else { Place::Edge })
    }

    fn insert_at(&mut self, child: T, place: Place) -> Option<T> {
        let Some(root) = &mut self.0 else {
            self.0 = Some(Arc::new(Page::Few(Few::new(child))));
            return None;
        };
        match Page::insert(root, child, place) {
            Inserted::Replaced(previous) => Some(previous),
            Inserted::Added(None) => None,
            Inserted::Added(Some(right)) => {
                let left = Arc::clone(root);
                self.0 = Some(Arc::new(Page::Inner(Inner::over(left, right))));
                None
            }
        }
    }

    /// Takes out the child called `name`. The pages that lead to it are copied if they are shared.
    pub(crate) fn remove(&mut self, name: &str) -> Option<T> {
        let root = self.0.as_mut()?;
        let removed = Page::remove(root, name.as_bytes())?;
        while let Some(only) = root.only_branch() {
            *root = only;
        }
        if root.width() == 0 {
            self.0 = None;
        } else if let Some(few) = root.as_few() {
            *root = Arc::new(Page::Few(few));
        }
        Some(removed)
    }

    /// All children in order of their names, bytewise.
    pub(crate) fn iter(&self) -> Iter<'_, T> {
        Iter::new(self.0.as_deref())
    }

    /// What this map and `other` have under each name, in order of the names, without the parts that they share.
    ///
    /// Where one is a clone of the other with a few changes, this visits little more than those changes. A pair of
    /// two children may still be equal: they were merely not in a shared page.
    pub(crate) fn differences<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (Option<&'a T>, Option<&'a T>)> {
        Differences::new(self.0.as_ref(), other.0.as_ref())
    }
}

impl<T: Named + Clone + PartialEq> PartialEq for Children<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.differences(other).all(|(mine, theirs)| mine == theirs)
    }
}

impl<T: Named + Clone + Eq> Eq for Children<T> {}
