//! Two maps side by side, without what they share.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Named;
use super::iter::Iter;
use super::page::Page;

/// A walk over two maps at once that passes over the pages they share.
///
/// Each side shows what comes next in it: a child, or a page that is still closed. Two sides that show the same
/// page both pass over it. Otherwise the page that begins first is opened, and of two that begin alike the higher
/// one, so that the sides keep meeting at the same pages.
pub(super) struct Differences<'a, T> {
    left: Side<'a, T>,
    right: Side<'a, T>,
}

struct Side<'a, T> {
    front: Option<Front<'a, T>>,
    rest: Iter<'a, T>,
}

/// What comes next in a map.
enum Front<'a, T> {
    Child(&'a T),
    /// A closed page, and the least name that may be in it.
    Page(&'a [u8], &'a Arc<Page<T>>),
}

/// What to do about the two fronts.
enum Step {
    Yield(Sides),
    Open(Sides),
    PassBoth,
}

/// Whether something is about the left side and whether it is about the right one.
type Sides = (bool, bool);
const LEFT: Sides = (true, false);
const RIGHT: Sides = (false, true);
const BOTH: Sides = (true, true);

impl<'a, T: Named + Clone> Differences<'a, T> {
    pub(super) fn new(left: Option<&'a Arc<Page<T>>>, right: Option<&'a Arc<Page<T>>>) -> Self {
        let side = |root: Option<&'a Arc<Page<T>>>| Side {
            front: root.map(|root| Front::Page(&[], root)),
            rest: Iter::empty(),
        };
        Self { left: side(left), right: side(right) }
    }
}

impl<'a, T: Named + Clone> Iterator for Differences<'a, T> {
    type Item = (Option<&'a T>, Option<&'a T>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match step(self.left.front.as_ref(), self.right.front.as_ref())? {
                Step::Yield((left, right)) => {
                    return Some((
                        left.then(|| self.left.take()).flatten(),
                        right.then(|| self.right.take()).flatten(),
                    ));
                }
                Step::Open((left, right)) => {
                    if left {
                        self.left.open();
                    }
                    if right {
                        self.right.open();
                    }
                }
                Step::PassBoth => {
                    self.left.pass();
                    self.right.pass();
                }
            }
        }
    }
}

/// What to do about the two fronts; `None` at the end of both.
fn step<T: Named + Clone>(left: Option<&Front<'_, T>>, right: Option<&Front<'_, T>>) -> Option<Step> {
    use Front::{Child, Page};
    Some(match (left, right) {
        (None, None) => return None,
        (Some(Child(_)), None) => Step::Yield(LEFT),
        (None, Some(Child(_))) => Step::Yield(RIGHT),
        (Some(Page(..)), None) => Step::Open(LEFT),
        (None, Some(Page(..))) => Step::Open(RIGHT),
        (Some(Child(left)), Some(Child(right))) => match left.name().cmp(right.name()) {
            Ordering::Less => Step::Yield(LEFT),
            Ordering::Equal => Step::Yield(BOTH),
            Ordering::Greater => Step::Yield(RIGHT),
        },
        (Some(Child(left)), Some(Page(low, _))) if left.name().as_bytes() < *low => Step::Yield(LEFT),
        (Some(Child(_)), Some(Page(..))) => Step::Open(RIGHT),
        (Some(Page(low, _)), Some(Child(right))) if right.name().as_bytes() < *low => Step::Yield(RIGHT),
        (Some(Page(..)), Some(Child(_))) => Step::Open(LEFT),
        (Some(Page(_, left)), Some(Page(_, right))) if Arc::ptr_eq(left, right) => Step::PassBoth,
        (Some(Page(left_low, left)), Some(Page(right_low, right))) => {
            match left_low.cmp(right_low).then_with(|| right.height().cmp(&left.height())) {
                Ordering::Less => Step::Open(LEFT),
                Ordering::Equal => Step::Open(BOTH),
                Ordering::Greater => Step::Open(RIGHT),
            }
        }
    })
}

impl<'a, T: Named> Side<'a, T> {
    /// Passes over the front.
    fn pass(&mut self) {
        self.front = match self.rest.items.next() {
            Some(child) => Some(Front::Child(child)),
            None => self.rest.next_branch().map(|branch| Front::Page(&branch.low, &branch.page)),
        };
    }

    /// Passes over the front and returns it, if it is a child.
    fn take(&mut self) -> Option<&'a T> {
        let front = self.front.take();
        self.pass();
        match front {
            Some(Front::Child(child)) => Some(child),
            _ => None,
        }
    }

    /// Shows what is in the front page instead of it.
    fn open(&mut self) {
        if let Some(Front::Page(_, page)) = self.front {
            self.rest.open(page);
        }
        self.pass();
    }
}
