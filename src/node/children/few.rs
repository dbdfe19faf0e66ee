//! The page of a small directory: a few children in line, without words.

use super::Named;
use super::leaf::Leaf;

/// As many as make the page no larger than the heads of the other kinds.
pub(super) const FEW: usize = 4;

/// Up to [`FEW`] children in order of their names, at the front of the array.
#[derive(Clone)]
pub(super) struct Few<T>(pub(super) [Option<T>; FEW]);

impl<T: Named> Few<T> {
    pub(super) fn new(child: T) -> Self {
        Self([Some(child), None, None, None])
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// Where the child called `name` is, or else belongs (perhaps one past the end).
    pub(super) fn find(&self, name: &[u8]) -> Result<usize, usize> {
        let is_before = |child: &&T| child.name().as_bytes() < name;
        let position = self.0.iter().flatten().take_while(is_before).count();
        match self.0.get(position) {
            Some(Some(child)) if child.name().as_bytes() == name => Ok(position),
            _ => Err(position),
        }
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        self.0[self.find(name).ok()?].as_ref()
    }

    pub(super) fn get_mut(&mut self, name: &[u8]) -> Option<&mut T> {
        self.0[self.find(name).ok()?].as_mut()
    }

    pub(super) fn last(&self) -> Option<&T> {
        self.0.iter().flatten().last()
    }

    pub(super) fn is_full(&self) -> bool {
        self.0[FEW - 1].is_some()
    }

    /// Puts `child` under its name and returns the one that was there. Not for a new name when full.
    pub(super) fn insert(&mut self, child: T) -> Option<T> {
        match self.find(child.name().as_bytes()) {
            Ok(position) => self.0[position].replace(child),
            Err(position) => {
                debug_assert!(!self.is_full());
                self.0[position..].rotate_right(1);
                self.0[position].replace(child)
            }
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<T> {
        let position = self.find(name).ok()?;
        let removed = self.0[position].take();
        self.0[position..].rotate_left(1);
        removed
    }

    /// The same children in a page that can hold more.
    pub(super) fn take_leaf(&mut self) -> Leaf<T> {
        Leaf::new(self.0.iter_mut().filter_map(Option::take))
    }
}
