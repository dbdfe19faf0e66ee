//! The pages that hold the children.

use std::mem;
use std::sync::Arc;

use super::Named;
use super::inner::Branch;
use super::page::{Inserted, Page, Place, split_point};
use super::word::{separator, shared, word};

/// How many children a leaf holds at most: 1 KiB of slots.
pub(super) const SLOTS_MAX: usize = 64;

/// By how many slots the memory of a leaf grows and shrinks.
const STEP: usize = 8;

/// Children in order of their names.
#[derive(Clone)]
pub(super) struct Leaf<T> {
    /// All names share this many bytes; the words are of what follows.
    pub(super) skip: u16,
    pub(super) slots: Vec<Slot<T>>,
}

/// A child and eight bytes of its name.
#[derive(Clone)]
pub(super) struct Slot<T> {
    pub(super) word: u64,
    pub(super) child: T,
}

impl<T: Named> Leaf<T> {
    /// A leaf of children that are in order.
    pub(super) fn new(children: impl Iterator<Item = T>) -> Self {
        let mut slots = Vec::with_capacity(STEP);
        slots.extend(children.map(|child| Slot { word: word(child.name().as_bytes(), 0), child }));
        let mut leaf = Self { skip: 0, slots };
        leaf.fit_skip();
        leaf
    }

    /// Where the child called `name` is.
    fn find(&self, name: &[u8]) -> Option<usize> {
        // Whether `name` begins as all others do is not asked: if it does not, no full comparison finds it.
        self.search(name).ok()
    }

    /// Where the child called `name`, which begins as all others do, is or else belongs.
    fn search(&self, name: &[u8]) -> Result<usize, usize> {
        let word = word(name, self.skip);
        // By words alone first: that touches no child.
        let begin = self.slots.partition_point(|slot| slot.word < word);
        let alike = self.slots[begin..].iter().take_while(|slot| slot.word == word).count();
        // No name has a zero byte: a word that ends in one holds all of a name that nothing was skipped of.
        if alike > 0 && self.skip == 0 && word.trailing_zeros() >= 8 {
            return Ok(begin);
        }
        let found = self.slots[begin..begin + alike].binary_search_by(|slot| slot.name().cmp(name));
        found.map(|at| begin + at).map_err(|at| begin + at)
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        self.find(name).map(|position| &self.slots[position].child)
    }

    pub(super) fn get_mut(&mut self, name: &[u8]) -> Option<&mut T> {
        self.find(name).map(|position| &mut self.slots[position].child)
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<T> {
        let position = self.find(name)?;
        let removed = self.slots.remove(position);
        if self.slots.capacity() - self.slots.len() > 2 * STEP {
            self.slots.shrink_to(self.slots.len() + STEP);
        }
        Some(removed.child)
    }

    /// Moves what is in `right`, the next leaf, to the end of this one.
    pub(super) fn absorb(&mut self, right: Self) {
        self.slots.reserve_exact(right.slots.len());
        self.slots.extend(right.slots);
        // The words of the two may be of different places.
        self.set_skip(self.shared_by_all());
    }

    /// Puts `child` at `position`; the name begins as all others do.
    fn put(&mut self, position: usize, child: T) {
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(STEP);
        }
        let word = word(child.name().as_bytes(), self.skip);
        self.slots.insert(position, Slot { word, child });
    }

    /// Shortens `skip` to what `name` shares with the names that are here.
    fn admit(&mut self, name: &[u8]) {
        if self.skip > 0
            && let Some(first) = self.slots.first()
        {
            let shared = shared(first.name(), name);
            if shared < self.skip {
                self.set_skip(shared);
            }
        }
    }

    /// Lengthens `skip` if the words fail to tell neighbours apart. Looking for that touches no child.
    fn fit_skip(&mut self) {
        if self.slots.windows(2).any(|pair| pair[0].word == pair[1].word) {
            self.set_skip(self.shared_by_all());
        }
    }

    /// How many bytes all names share: those that the first and the last do.
    fn shared_by_all(&self) -> u16 {
        match (self.slots.first(), self.slots.last()) {
            (Some(first), Some(last)) => shared(first.name(), last.name()),
            _ => 0,
        }
    }

    fn set_skip(&mut self, skip: u16) {
        self.skip = skip;
        for slot in &mut self.slots {
            slot.word = word(slot.child.name().as_bytes(), skip);
        }
    }
}

impl<T: Named + Clone> Leaf<T> {
    pub(super) fn insert(&mut self, child: T, place: Place) -> Inserted<T> {
        let name = child.name().as_bytes();
        self.admit(name);
        let position = if place == Place::End {
            self.slots.len()
        } else {
            match self.search(name) {
                Ok(position) => {
                    return Inserted::Replaced(mem::replace(&mut self.slots[position].child, child));
                }
                Err(position) => position,
            }
        };
        if self.slots.len() < SLOTS_MAX {
            self.put(position, child);
            return Inserted::Added(None);
        }
        Inserted::Added(Some(self.split_for(position, child, place)))
    }

    /// Splits this full leaf and puts `child`, which belongs at `position`, into one of the halves.
    fn split_for(&mut self, position: usize, child: T, place: Place) -> Branch<T> {
        let middle = split_point(position, self.slots.len(), place);
        let mut right = Self { skip: self.skip, slots: self.slots.split_off(middle) };
        self.slots.shrink_to(middle.next_multiple_of(STEP));
        if position < middle {
            self.put(position, child);
        } else {
            right.put(position - middle, child);
        }
        self.fit_skip();
        right.fit_skip();
        if let [only] = &right.slots[..] {
            // Likely the first of many in order: they will go on like the names before, and need the same `skip`.
            right.set_skip(self.skip.min(shared(self.slots[0].name(), only.name())));
        }
        let low = separator(self.slots[self.slots.len() - 1].name(), right.slots[0].name());
        Branch::new(low, Arc::new(Page::Leaf(right)))
    }
}

impl<T: Named> Slot<T> {
    pub(super) fn name(&self) -> &[u8] {
        self.child.name().as_bytes()
    }
}
