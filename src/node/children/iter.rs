//! Children in order.

use std::slice;

use super::Named;
use super::inner::Branch;
use super::leaf::Slot;
use super::page::Page;

/// A walk over children in order of their names. Cloning it copies a slice position a level.
pub(crate) struct Iter<'a, T> {
    /// What is left of the inner pages on the way, the root first.
    pub(super) above: Vec<slice::Iter<'a, Branch<T>>>,
    pub(super) items: Items<'a, T>,
}

/// What is left of the page that holds the next children.
pub(super) enum Items<'a, T> {
    Few(slice::Iter<'a, Option<T>>),
    Leaf(slice::Iter<'a, Slot<T>>),
}

impl<'a, T: Named + Clone> Iter<'a, T> {
    pub(super) fn new(root: Option<&'a Page<T>>) -> Self {
        let mut iter = Self::empty();
        if let Some(root) = root {
            iter.open(root);
        }
        iter
    }
}

impl<'a, T> Iter<'a, T> {
    pub(super) fn empty() -> Self {
        Self { above: Vec::new(), items: Items::Few([].iter()) }
    }

    /// Goes on with what is in `page`.
    pub(super) fn open(&mut self, page: &'a Page<T>) {
        match page {
            Page::Few(few) => self.items = Items::Few(few.0.iter()),
            Page::Leaf(leaf) => self.items = Items::Leaf(leaf.slots.iter()),
            Page::Inner(inner) => self.above.push(inner.branches.iter()),
        }
    }

    /// The next page that is not open yet, all items being taken.
    pub(super) fn next_branch(&mut self) -> Option<&'a Branch<T>> {
        loop {
            match self.above.last_mut()?.next() {
                Some(branch) => return Some(branch),
                None => self.above.pop(),
            };
        }
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        loop {
            if let Some(child) = self.items.next() {
                return Some(child);
            }
            let branch = self.next_branch()?;
            self.open(&branch.page);
        }
    }
}

impl<T> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Self { above: self.above.clone(), items: self.items.clone() }
    }
}

impl<'a, T> Items<'a, T> {
    pub(super) fn next(&mut self) -> Option<&'a T> {
        match self {
            Self::Few(children) => children.next()?.as_ref(),
            Self::Leaf(slots) => slots.next().map(|slot| &slot.child),
        }
    }
}

impl<T> Clone for Items<'_, T> {
    fn clone(&self) -> Self {
        match self {
            Self::Few(children) => Self::Few(children.clone()),
            Self::Leaf(slots) => Self::Leaf(slots.clone()),
        }
    }
}
