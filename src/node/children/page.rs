//! One page of any kind: what the three have in common.

use std::sync::Arc;

use super::Named;
use super::few::{FEW, Few};
use super::inner::{BRANCHES_MAX, Branch, Inner};
use super::leaf::{Leaf, SLOTS_MAX};

/// A page of the B+-tree.
#[derive(Clone)]
pub(super) enum Page<T> {
    Few(Few<T>),
    Leaf(Leaf<T>),
    Inner(Inner<T>),
}

/// What the caller knows about where a new child belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a page that others follow.
    Within,
    /// In the last page of its level.
    Edge,
    /// After all that are there.
    End,
}

/// What an insertion did.
pub(super) enum Inserted<T> {
    /// The name was there; here is the child that had it.
    Replaced(T),
    /// The name is new. If the page became too large for it, here is what was split off to its right.
    Added(Option<Branch<T>>),
}

impl<T: Named + Clone> Page<T> {
    /// How many children are in this page and below it.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Leaf(leaf) => leaf.slots.len(),
            Self::Inner(inner) => inner.len,
        }
    }

    /// How many children or pages are in this page itself.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Leaf(leaf) => leaf.slots.len(),
            Self::Inner(inner) => inner.branches.len(),
        }
    }

    /// How wide pages of this kind may be.
    pub(super) fn width_max(&self) -> usize {
        match self {
            Self::Few(_) => FEW,
            Self::Leaf(_) => SLOTS_MAX,
            Self::Inner(_) => BRANCHES_MAX,
        }
    }

    /// How many levels are below.
    pub(super) fn height(&self) -> u16 {
        match self {
            Self::Few(_) | Self::Leaf(_) => 0,
            Self::Inner(inner) => inner.height,
        }
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        let mut page = self;
        loop {
            match page {
                Self::Few(few) => return few.get(name),
                Self::Leaf(leaf) => return leaf.get(name),
                Self::Inner(inner) => page = &inner.branches[inner.route(name)].page,
            }
        }
    }

    pub(super) fn get_mut<'a>(mut page: &'a mut Arc<Self>, name: &[u8]) -> Option<&'a mut T> {
        loop {
            match Arc::make_mut(page) {
                Self::Few(few) => return few.get_mut(name),
                Self::Leaf(leaf) => return leaf.get_mut(name),
                Self::Inner(inner) => {
                    let route = inner.route(name);
                    page = &mut inner.branches[route].page;
                }
            }
        }
    }

    pub(super) fn last(&self) -> Option<&T> {
        let mut page = self;
        loop {
            match page {
                Self::Few(few) => return few.last(),
                Self::Leaf(leaf) => return leaf.slots.last().map(|slot| &slot.child),
                Self::Inner(inner) => page = &inner.branches.last()?.page,
            }
        }
    }

    pub(super) fn insert(page: &mut Arc<Self>, child: T, place: Place) -> Inserted<T> {
        let page = Arc::make_mut(page);
        if let Self::Few(few) = page
            && few.is_full()
            && few.get(child.name().as_bytes()).is_none()
        {
            *page = Self::Leaf(few.take_leaf());
        }
        match page {
            Self::Few(few) => few.insert(child).map_or(Inserted::Added(None), Inserted::Replaced),
            Self::Leaf(leaf) => leaf.insert(child, place),
            Self::Inner(inner) => inner.insert(child, place),
        }
    }

    /// Takes out the child called `name`. This may leave the page itself too narrow or empty.
    pub(super) fn remove(page: &mut Arc<Self>, name: &[u8]) -> Option<T> {
        match Arc::make_mut(page) {
            Self::Few(few) => few.remove(name),
            Self::Leaf(leaf) => leaf.remove(name),
            Self::Inner(inner) => inner.remove(name),
        }
    }

    /// Moves what is in `right`, the next page of the same height, to the end of `left`.
    pub(super) fn merge(left: &mut Arc<Self>, right: Arc<Self>) {
        match (Arc::make_mut(left), Arc::unwrap_or_clone(right)) {
            (Self::Leaf(left), Self::Leaf(right)) => left.absorb(right),
            (Self::Inner(left), Self::Inner(right)) => left.absorb(right),
            _ => unreachable!("neighbours are of one kind"),
        }
    }

    /// The page below an inner page that leads to no other.
    pub(super) fn only_branch(&self) -> Option<Arc<Self>> {
        match self {
            Self::Inner(inner) if inner.branches.len() == 1 => Some(Arc::clone(&inner.branches[0].page)),
            _ => None,
        }
    }

    /// A leaf's children in the smallest kind of page, when that leaves room to grow again.
    pub(super) fn as_few(&self) -> Option<Few<T>> {
        match self {
            Self::Leaf(leaf) if leaf.slots.len() <= FEW / 2 => {
                let mut children = leaf.slots.iter().map(|slot| slot.child.clone());
                Some(Few(std::array::from_fn(|_| children.next())))
            }
            _ => None,
        }
    }
}

/// Where a full page of `width` is to be split for something new at `position`.
///
/// In the middle, unless it looks like names that come in order: then the side that will not grow is left full,
/// or nearly so where it is not the last one. A few greater names that were there before do not hide the order.
pub(super) fn split_point(position: usize, width: usize, place: Place) -> usize {
    let margin = width / 16;
    if position == width && place != Place::Within {
        width
    } else if position >= width - margin {
        width - margin
    } else if position <= margin {
        margin
    } else {
        width / 2
    }
}
