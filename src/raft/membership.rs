//! Who the members are.

use serde::{Deserialize, Serialize};

use crate::entry::Contact;
use crate::types::MemberId;

/// A change of who the members are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Change {
    /// A new member, as a learner. It gets an id that nobody had before.
    Add(Contact),
    /// The learner becomes a voter. It must have caught up.
    Promote(MemberId),
    /// The voter becomes a learner.
    Demote(MemberId),
    /// The member leaves.
    Remove(MemberId),
    /// The member is called or reached in another way.
    Update(MemberId, Contact),
}
