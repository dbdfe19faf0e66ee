//! All keys at one moment.

use super::canonical;
use crate::error::Error;
use crate::node::Node;
use crate::types::{Index, Timestamp};

/// All keys at one moment, from [`Store::view`](super::Store::view). Later writes leave it as it is; cloning it
/// costs nothing.
///
/// With its index, a watch goes on where the view ends: nothing is missed in between, and nothing told twice.
///
/// ```
/// let store = spinney::Store::in_memory();
/// store.set("/app/port", 8080)?;
/// let view = store.view();
/// store.delete("/app/port")?;
/// assert_eq!(view.list("/app")?[0].text(), Some("8080"));
///
/// let watch = store.watch("/app").recursive().since(view.index().next()).start()?;
/// assert_eq!(watch.try_recv().unwrap().change().unwrap().key(), "/app/port");
/// # Ok::<(), spinney::Error>(())
/// ```
#[derive(Clone)]
pub struct View {
    root: Node,
    index: Index,
    time: Timestamp,
}

/// What differs between two views at one key, from [`View::diff`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// Something is there now that was not.
    Added(Node),
    /// Something is there no more.
    Removed(Node),
    /// A file has another value, index or deadline, a directory another deadline, or one has become the other.
    Changed {
        /// What was there.
        before: Node,
        /// What is there now.
        after: Node,
    },
}

impl Difference {
    /// Where the difference is.
    #[must_use]
    pub fn key(&self) -> &crate::Key {
        match self {
            Self::Added(node) | Self::Removed(node) | Self::Changed { after: node, .. } => node.key(),
        }
    }
}

impl View {
    pub(super) fn new(root: Node, index: Index, time: Timestamp) -> Self {
        Self { root, index, time }
    }

    /// The index of the newest change that the view shows.
    #[must_use]
    pub fn index(&self) -> Index {
        self.index
    }

    /// The log time of the newest entry that the view shows.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The root directory, with everything below it.
    #[must_use]
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// The node at `key`, as it was.
    ///
    /// # Errors
    ///
    /// As [`Store::get`](super::Store::get).
    pub fn get(&self, key: impl AsRef<str>) -> Result<Node, Error> {
        let path = canonical(key.as_ref())?;
        Ok(crate::tree::find(&self.root, &path, self.index)?.clone())
    }

    /// The children of the directory at `key`, as they were, in order of their names, hidden ones left out.
    ///
    /// # Errors
    ///
    /// As [`Store::list`](super::Store::list).
    pub fn list(&self, key: impl AsRef<str>) -> Result<Vec<Node>, Error> {
        let node = self.get(key)?;
        if !node.is_dir() {
            return Err(Error::NotADirectory { key: node.key().clone(), index: self.index });
        }
        Ok(node.children().cloned().collect())
    }

    /// What is different in `later`, directory by directory, each before what is in it, hidden nodes included. What the two share is not
    /// looked at: the cost is that of the differences, not of the views.
    ///
    /// ```
    /// use spinney::Difference;
    ///
    /// let store = spinney::Store::in_memory();
    /// store.set("/app/a", "1")?;
    /// store.set("/app/b", "1")?;
    /// let before = store.view();
    /// store.set("/app/b", "2")?;
    /// store.set("/app/c", "3")?;
    /// let keys: Vec<_> = before.diff(&store.view()).iter().map(|d| d.key().to_string()).collect();
    /// assert_eq!(keys, ["/app/b", "/app/c"]);
    /// # Ok::<(), spinney::Error>(())
    /// ```
    #[must_use]
    pub fn diff(&self, later: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        below(Some(&self.root), Some(&later.root), &mut differences);
        differences
    }
}

/// Adds the differences between two nodes at the same key, then those below them.
fn compare(before: Option<&Node>, after: Option<&Node>, differences: &mut Vec<Difference>) {
    let difference = match (before, after) {
        (Some(before), Some(after)) if before.is_same(after) => return,
        (Some(before), Some(after)) => (!looks_same(before, after)).then(|| Difference::Changed {
            before: before.without_children(),
            after: after.without_children(),
        }),
        (Some(before), None) => Some(Difference::Removed(before.without_children())),
        (None, Some(after)) => Some(Difference::Added(after.without_children())),
        (None, None) => None,
    };
    differences.extend(difference);
    below(before, after, differences);
}

/// Whether the nodes are alike but for what is below them.
fn looks_same(before: &Node, after: &Node) -> bool {
    before.without_children() == after.without_children()
}

/// No deeper than keys are long: `KEY_PARTS_MAX` at most.
fn below(before: Option<&Node>, after: Option<&Node>, differences: &mut Vec<Difference>) {
    match (before.and_then(Node::entries), after.and_then(Node::entries)) {
        (Some(before), Some(after)) => {
            for (before, after) in before.differences(after) {
                compare(before, after, differences);
            }
        }
        (Some(before), None) => before.iter().for_each(|node| compare(Some(node), None, differences)),
        (None, Some(after)) => after.iter().for_each(|node| compare(None, Some(node), differences)),
        (None, None) => {}
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("index", &self.index.get()).finish_non_exhaustive()
    }
}
