//! What to do when a cluster has lost its majority for good.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::{BackupInfo, RESTORE_INDEX_JUMP, Store};
use crate::entry::Contact;
use crate::error::Error;
use crate::member;
use crate::types::{ClusterId, Index, MemberId};
use crate::wal::Disk;

/// A data directory that is what is left of a cluster, from [`Store::survivor`]: nobody else has it open while this
/// lives, and nothing in it has been changed yet.
#[non_exhaustive]
pub struct Survivor {
    /// The cluster that is lost.
    pub cluster: ClusterId,
    /// Which member of it this is, and will be.
    pub member: MemberId,
    /// Its name.
    pub name: String,
    /// The other members, in order of their ids: the cluster of one has none of them, and they never get into it again.
    pub lost: Vec<LostMember>,
    /// The index of the newest change that came here. What the others had agreed on beyond it is lost with them.
    pub index: Index,
    /// How many files there are.
    pub files: usize,
    /// How many entries at the end of its log this member was not told to be agreed on, at most. They are kept: the
    /// others may have agreed on them, and said so.
    pub unconfirmed: u64,
    /// Whether this member is known to lack changes that it acknowledged once, before it lost its disk: it has not been given all
    /// of them back. Another member is the better choice, if one is left.
    pub is_incomplete: bool,
    directory: member::Survivor,
}

/// A member that goes when a cluster is recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LostMember {
    /// Who it was.
    pub id: MemberId,
    /// Its name.
    pub name: String,
    /// Where members reached it.
    pub peer_addresses: Vec<String>,
    /// Whether it had a vote.
    pub is_voter: bool,
}

impl Store {
    /// Looks at the data directory at `path`, of a member whose cluster has lost its majority for good. Nothing is
    /// changed before [`Survivor::recover`].
    ///
    /// Where several members are left, choose the one with the greatest [`index`](Survivor::index); wipe the others, and
    /// let them join again.
    ///
    /// # Errors
    ///
    /// [`Error::NothingToRecover`] when it is a cluster of one already, or has never heard from its cluster; else those of
    /// [`Store::open`].
    ///
    /// ```no_run
    /// use spinney::Store;
    ///
    /// let survivor = Store::survivor("data/n2")?;
    /// println!("{} keys at index {} are kept", survivor.files, survivor.index);
    /// for member in &survivor.lost {
    ///     println!("{} goes", member.name);
    /// }
    /// survivor.recover()?;
    /// let store = Store::builder().dir("data/n2").member("n2").listen("127.0.0.1:7002").open()?;
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn survivor(path: impl AsRef<Path>) -> Result<Survivor, Error> {
        Ok(Survivor::new(member::Survivor::survey(path.as_ref())?))
    }
}

impl Survivor {
    fn new(directory: member::Survivor) -> Self {
        let member::Facts { identity, index, files } = directory.facts();
        let config = directory.config();
        let contact = |member| config.contacts.get(&member).cloned().unwrap_or_default();
        let lost = |id| {
            let Contact { name, peer_addresses, .. } = contact(id);
            LostMember { id, name, peer_addresses, is_voter: config.is_voter(id) }
        };
        Self {
            cluster: identity.cluster,
            member: identity.member,
            name: contact(identity.member).name,
            lost: config.members().filter(|&id| id != identity.member).map(lost).collect(),
            index,
            files,
            unconfirmed: directory.unconfirmed(),
            is_incomplete: directory.may_lack_more(),
            directory,
        }
    }

    /// Has the directory be that of a cluster of one, with an id of its own: none of the lost members is ever heard again,
    /// should it come back. The index jumps ahead by [`RESTORE_INDEX_JUMP`], beyond all that anybody has seen.
    ///
    /// Open it as before. Alone, it is a store like any other; listening, others join it, and so may those who were lost
    /// once their directories are wiped.
    ///
    /// # Errors
    ///
    /// Those of the disk. Whatever happens, the directory is then either as it was before, or recovered.
    pub fn recover(self) -> Result<BackupInfo, Error> {
        Ok(self.directory.recover(RESTORE_INDEX_JUMP)?.into())
    }
}

impl fmt::Debug for Survivor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, member, name, lost, index, files, unconfirmed, is_incomplete, .. } = self;
        f.debug_struct("Survivor")
            .field("cluster", cluster)
            .field("member", member)
            .field("name", name)
            .field("lost", lost)
            .field("index", index)
            .field("files", files)
            .field("unconfirmed", unconfirmed)
            .field("is_incomplete", is_incomplete)
            .finish_non_exhaustive()
    }
}

/// [`Store::survivor`], on a disk of one's own.
///
/// # Errors
///
/// Those of [`Store::survivor`].
pub fn survivor_on(disk: Arc<dyn Disk>) -> Result<Survivor, Error> {
    Ok(Survivor::new(member::Survivor::survey_on(disk)?))
}
