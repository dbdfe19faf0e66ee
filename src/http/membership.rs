//! Who belongs to the cluster, as clients are told, and what can be changed about that.
//!
//! A store that is alone is the only member of its own cluster, and leads it.

use std::time::Duration;

use super::front::Front;
use crate::error::Error;
#[cfg(feature = "cluster")]
use crate::net::{Rejection, TurnedAway};
use crate::types::MemberId;

/// A member as clients are told of it.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) id: MemberId,
    /// Empty until it has been started once.
    pub(super) name: String,
    pub(super) peer_urls: Vec<String>,
    pub(super) client_urls: Vec<String>,
}

/// The members at one moment.
#[derive(Clone, Debug)]
pub(super) struct Membership {
    /// In order of their ids.
    pub(super) members: Vec<Listed>,
    pub(super) leader: Option<MemberId>,
    /// How long that has been so; `None` for as long as the server has run.
    pub(super) leader_for: Option<Duration>,
}

/// A change of the members that somebody wants.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "cluster"), allow(dead_code, reason = "there is nobody to want it of"))]
pub(super) enum Wanted {
    Add { peer_urls: Vec<String> },
    Remove(MemberId),
    Update { member: MemberId, peer_urls: Vec<String> },
}

impl Front {
    /// Who belongs to the cluster, as far as is known here.
    pub(super) fn membership(&self) -> Membership {
        self.clustered().unwrap_or_else(|| {
            let me = self.member_id();
            Membership { members: vec![self.myself(me)], leader: Some(me), leader_for: None }
        })
    }

    /// This member, as the server was told to present it.
    fn myself(&self, id: MemberId) -> Listed {
        let profile = self.profile();
        Listed {
            id,
            name: profile.name.clone(),
            peer_urls: profile.peer_urls.clone(),
            client_urls: profile.client_urls.clone(),
        }
    }

    #[cfg(feature = "cluster")]
    fn clustered(&self) -> Option<Membership> {
        let cluster = self.store().cluster()?;
        let members: Vec<_> = cluster.members().into_iter().map(|member| self.listed(member)).collect();
        let leader_for = Some(cluster.leader_for());
        Some(Membership { members, leader: cluster.leader(), leader_for })
    }

    #[cfg(not(feature = "cluster"))]
    fn clustered(&self) -> Option<Membership> {
        None
    }

    /// How many callers were turned away where members call, and how often members made no sense; `None` where there is no such
    /// place.
    #[cfg(feature = "cluster")]
    pub(super) fn turned_away(&self) -> Option<(u64, u64)> {
        let turned_away = self.store().cluster()?.turned_away();
        let is_nonsense = |one: &&TurnedAway| one.rejection == Rejection::Nonsense;
        let (nonsense, callers): (Vec<_>, Vec<_>) = turned_away.iter().partition(is_nonsense);
        let count = |those: Vec<&TurnedAway>| those.iter().map(|one| one.count).sum();
        Some((count(callers), count(nonsense)))
    }

    #[cfg(not(feature = "cluster"))]
    #[allow(clippy::unused_self, reason = "with the feature, it knows")]
    pub(super) fn turned_away(&self) -> Option<(u64, u64)> {
        None
    }

    #[cfg(feature = "cluster")]
    fn listed(&self, member: crate::store::MemberInfo) -> Listed {
        let mut client_urls = member.client_urls;
        if client_urls.is_empty() && member.id == self.member_id() {
            // What the others will be told of it, too, in a moment.
            client_urls.clone_from(&self.profile().client_urls);
        }
        let peer_urls = member.peer_addresses.iter().map(|address| format!("http://{address}")).collect();
        Listed { id: member.id, name: member.name, peer_urls, client_urls }
    }

    /// Makes a change of the members, and gives the id of who was added.
    ///
    /// # Errors
    ///
    /// [`Error::Alone`] where there is no cluster, and those of the cluster.
    #[cfg(feature = "cluster")]
    pub(super) async fn change_members(&self, wanted: Wanted) -> Result<Option<MemberId>, Error> {
        let cluster = self.store().cluster().ok_or(Error::Alone)?.impatient();
        let change = move || match wanted {
            Wanted::Add { peer_urls } => cluster.add("", bare(&peer_urls)).map(Some),
            Wanted::Remove(member) => cluster.remove(member).map(|()| None),
            Wanted::Update { member, peer_urls } => {
                cluster.readdress(member, bare(&peer_urls)).map(|()| None)
            }
        };
        // It waits until the change is complete: off the threads that serve everybody.
        let changed = tokio::task::spawn_blocking(change).await;
        changed.expect("a change does not panic, and nobody cancels it")
    }

    #[cfg(not(feature = "cluster"))]
    #[allow(clippy::unused_async, reason = "with the feature, it waits")]
    pub(super) async fn change_members(&self, _: Wanted) -> Result<Option<MemberId>, Error> {
        Err(Error::Alone)
    }
}

impl Membership {
    pub(super) fn member(&self, id: MemberId) -> Option<&Listed> {
        self.members.iter().find(|member| member.id == id)
    }
}

/// `127.0.0.1:7001` of `http://127.0.0.1:7001`: members speak no HTTP to each other.
#[cfg(feature = "cluster")]
fn bare(urls: &[String]) -> Vec<String> {
    urls.iter().map(|url| url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).to_owned()).collect()
}
