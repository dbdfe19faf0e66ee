//! The pages above the leaves: they lead to the page that a name belongs in.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Named;
use super::page::{Inserted, Page, Place, split_point};
use super::word::{shared, word};

/// How many pages an inner page leads to at most: 1 KiB of branches.
pub(super) const BRANCHES_MAX: usize = 32;

/// Pages in order of the names in them.
#[derive(Clone)]
pub(super) struct Inner<T> {
    /// How many children are below.
    pub(super) len: usize,
    /// All lows but the first share this many bytes; the words are of what follows.
    pub(super) skip: u16,
    /// How many levels are below: one more than the height of each page here.
    pub(super) height: u16,
    pub(super) branches: Vec<Branch<T>>,
}

/// A page, and where the names in it begin.
#[derive(Clone)]
pub(super) struct Branch<T> {
    /// Eight bytes of `low`. The first one of an inner page is not used.
    pub(super) word: u64,
    /// No name in the page is less, and all names in the page before are.
    pub(super) low: Arc<[u8]>,
    pub(super) page: Arc<Page<T>>,
}

impl<T> Branch<T> {
    /// A branch whose word is still to be found.
    pub(super) fn new(low: Arc<[u8]>, page: Arc<Page<T>>) -> Self {
        Self { word: 0, low, page }
    }
}

impl<T: Named + Clone> Branch<T> {
    /// Lowers where the names in the page begin, and likewise for the first page in it.
    fn begin_at(&mut self, low: &Arc<[u8]>) {
        self.low = Arc::clone(low);
        // Leaves have no lows, so they may stay shared.
        if self.page.height() > 0
            && let Page::Inner(inner) = Arc::make_mut(&mut self.page)
        {
            inner.branches[0].begin_at(low);
        }
    }
}

impl<T: Named + Clone> Inner<T> {
    /// A root over the two pages that the old root became.
    pub(super) fn over(left: Arc<Page<T>>, right: Branch<T>) -> Self {
        Self::new(left.height() + 1, vec![Branch::new(Arc::default(), left), right])
    }

    fn new(height: u16, branches: Vec<Branch<T>>) -> Self {
        let len = branches.iter().map(|branch| branch.page.len()).sum();
        let mut inner = Self { len, skip: 0, height, branches };
        inner.fit_skip();
        inner
    }

    /// Which branch leads to where `name` is or belongs.
    pub(super) fn route(&self, name: &[u8]) -> usize {
        let later = &self.branches[1..];
        let skip = usize::from(self.skip);
        if skip > 0 {
            let begin = &name[..skip.min(name.len())];
            match begin.cmp(&later[0].low[..skip]) {
                Ordering::Less => return 0,
                Ordering::Equal => {}
                Ordering::Greater => return later.len(),
            }
        }
        let word = word(name, self.skip);
        later.partition_point(|branch| branch.word < word || branch.word == word && *branch.low <= *name)
    }

    pub(super) fn insert(&mut self, child: T, place: Place) -> Inserted<T> {
        let last = self.branches.len() - 1;
        let route = if place == Place::End { last } else { self.route(child.name().as_bytes()) };
        let place = if route == last { place } else { Place::Within };
        let inserted = Page::insert(&mut self.branches[route].page, child, place);
        let Inserted::Added(split) = inserted else { return inserted };
        self.len += 1;
        Inserted::Added(split.and_then(|right| self.add(route + 1, right, place)))
    }

    /// Puts a new branch at `position`, and returns what that splits off to the right.
    fn add(&mut self, position: usize, branch: Branch<T>, place: Place) -> Option<Branch<T>> {
        if self.branches.len() < BRANCHES_MAX {
            self.put(position, branch);
            return None;
        }
        let middle = split_point(position, self.branches.len(), place);
        let mut right = self.branches.split_off(middle);
        if position < middle {
            self.branches.insert(position, branch);
        } else {
            right.insert(position - middle, branch);
        }
        let right = Self::new(self.height, right);
        self.len -= right.len;
        self.branches.shrink_to_fit();
        self.fit_skip();
        Some(Branch::new(Arc::clone(&right.branches[0].low), Arc::new(Page::Inner(right))))
    }

    /// Puts a branch at `position`, where there is room for it and another one before.
    fn put(&mut self, position: usize, mut branch: Branch<T>) {
        branch.word = word(&branch.low, self.skip);
        let begins_alike =
            self.branches.get(1).is_some_and(|second| shared(&second.low, &branch.low) >= self.skip);
        let is_like = |neighbour: &Branch<T>| neighbour.word == branch.word;
        let is_ambiguous = self.branches.get(position).is_some_and(is_like)
            || position > 1 && is_like(&self.branches[position - 1]);
        self.branches.reserve_exact(1);
        self.branches.insert(position, branch);
        if !begins_alike || is_ambiguous {
            self.fit_skip();
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<T> {
        let route = self.route(name);
        let removed = Page::remove(&mut self.branches[route].page, name)?;
        self.len -= 1;
        self.tidy(route);
        Some(removed)
    }

    /// Drops the page at `position` if it is empty, or merges it with a neighbour if half a page holds both.
    fn tidy(&mut self, position: usize) {
        let width = self.width(position);
        if width == 0 {
            self.drop_branch(position);
        } else if width < self.branches[position].page.width_max() / 2 {
            let fits = |&left: &usize| {
                left + 1 < self.branches.len()
                    && self.width(left) + self.width(left + 1) <= self.branches[left].page.width_max() / 2
            };
            if let Some(left) = (position.saturating_sub(1)..=position).find(fits) {
                let right = self.branches.remove(left + 1);
                Page::merge(&mut self.branches[left].page, right.page);
                self.fit_skip();
            }
        }
    }

    fn width(&self, position: usize) -> usize {
        self.branches[position].page.width()
    }

    fn drop_branch(&mut self, position: usize) {
        let dropped = self.branches.remove(position);
        if position == 0
            && let Some(first) = self.branches.first_mut()
        {
            // What belonged in the dropped page belongs in this one now.
            first.begin_at(&dropped.low);
        }
        self.fit_skip();
    }

    /// Moves what is in `right`, the next page, to the end of this one.
    pub(super) fn absorb(&mut self, right: Self) {
        self.len += right.len;
        self.branches.extend(right.branches);
        self.fit_skip();
    }

    /// Sets `skip` to what all lows but the first share, and the words accordingly.
    fn fit_skip(&mut self) {
        self.skip = match &self.branches[..] {
            [_, second, .., last] => shared(&second.low, &last.low),
            _ => 0,
        };
        for branch in &mut self.branches {
            branch.word = word(&branch.low, self.skip);
        }
    }
}
