//! The cluster that a store is a member of, and the settings that make it one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Builder, Status, Store};
use crate::entry::{Config, Contact};
use crate::error::Error;
use crate::member::{Clustered, Engine, Head, PeerFacts, Traffic};
use crate::net::TurnedAway;
use crate::raft::{Change, Denied, Granted, Request, Role, Stop};
use crate::types::{ClusterId, LogIndex, MemberId, Term};

/// What makes a store a member of a cluster. A directory belongs to its member: when it is opened again, it is who it was,
/// and `peers` and `join` say nothing new.
impl Builder {
    /// The name of this member, unique in the cluster. Default: `default`.
    ///
    /// ```no_run
    /// use spinney::Store;
    ///
    /// let store = Store::builder()
    ///     .dir("n1")
    ///     .member("n1")
    ///     .listen("127.0.0.1:7001")
    ///     .peers([("n1", "127.0.0.1:7001"), ("n2", "127.0.0.1:7002"), ("n3", "127.0.0.1:7003")])
    ///     .open()?;
    /// store.set("/message1", "Book1")?;
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn member(mut self, name: impl Into<String>) -> Self {
        self.cluster.name = name.into();
        self
    }

    /// Where to listen for other members, as `127.0.0.1:7001`; port 0 takes any that is free. This makes the store a
    /// member of a cluster; alone with neither [`peers`](Self::peers) nor [`join`](Self::join), it founds one that others
    /// may join.
    ///
    /// Beyond loopback it takes a [`secret`](Self::secret), or [`allow_insecure_peers`](Self::allow_insecure_peers).
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.cluster.listen = Some(address.into());
        self
    }

    /// Where other members reach this one. Default: what [`peers`](Self::peers) say of it, or where it listens.
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.cluster.advertise.push(address.into());
        self
    }

    /// Where clients reach this member, for the others to tell.
    pub fn client_url(mut self, url: impl Into<String>) -> Self {
        self.cluster.client_urls.push(url.into());
        self
    }

    /// The founders of the cluster by name, this one included, each with where it is reached. All founders are told the
    /// same. A name that comes twice has two addresses.
    ///
    /// They need not be opened together: a majority begins. But a founder whose directory is empty does not know whether its
    /// disk was lost, and with it what it had acknowledged. It takes no part before a majority, with it, is there that has nothing either
    /// while nobody else can be reached, or all others have told how far they are: [`Status::problems`](super::Status::problems) and
    /// [`Cluster::waits_for`] say for whom it waits. If one of them remembers it, that is [`Error::Forgotten`]. Where one is gone for
    /// good that it waits for, empty its directory and let it [`join`](Self::join). Opening asks the others once, all at the same time,
    /// for some seconds at most where they do not answer.
    ///
    /// Until it takes part, a founder's directory may be opened with other founders: it then begins another cluster, unless
    /// it was told that the first one has begun. Before it has been given a first entry, or told of one or of a later term, it may be
    /// opened alone, and then begins a cluster of its own. One that waited for so long that the members have changed is to join, too.
    pub fn peers<N: Into<String>, A: Into<String>>(
        mut self,
        founders: impl IntoIterator<Item = (N, A)>,
    ) -> Self {
        self.cluster.peers.extend(founders.into_iter().map(|(name, address)| (name.into(), address.into())));
        self
    }

    /// Joins the cluster that a member at `address` belongs to, whichever member that is: first as a learner, and as a
    /// voter once it has caught up. May be given several times; they are asked one after the other.
    ///
    /// Whoever joins under the name of a member takes its place: so a member that has lost its disk comes back.
    pub fn join(mut self, address: impl Into<String>) -> Self {
        self.cluster.join.push(address.into());
        self
    }

    /// Whoever joins stays a learner: it gets everything, and has no vote.
    pub fn learner(mut self) -> Self {
        self.cluster.stays_learner = true;
        self
    }

    /// Tells clusters apart that the same founders found. Default: `spinney-cluster`.
    pub fn cluster_token(mut self, token: impl Into<String>) -> Self {
        self.cluster.token = token.into();
        self
    }

    /// What all members know and nobody else: at least 16 bytes, best drawn at random. Who does not know it is not
    /// listened to. What members say stays readable to whoever listens in.
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.cluster.secret = Some(secret.as_ref().to_vec());
        self
    }

    /// Listens beyond loopback without a secret: whoever reaches the address can do anything to the data.
    pub fn allow_insecure_peers(mut self) -> Self {
        self.cluster.allow_insecure = true;
        self
    }

    /// How often a leader says that it is there. Default: 50 ms.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.cluster.heartbeat = interval;
        self
    }

    /// How long a member waits for word from a leader before it stands for election: drawn from `shortest` to `longest`.
    /// Default: 300 to 600 ms. A leader whose connections break is replaced sooner.
    pub fn election_timeout(mut self, shortest: Duration, longest: Duration) -> Self {
        self.cluster.election = (shortest, longest);
        self
    }

    /// Promises leaders, whenever they are heard, not to vote for another for most of an election timeout; and as a leader
    /// answers [`get_latest`](Store::get_latest) without asking anybody for as long as a majority has promised it that.
    ///
    /// Reads of what is newest then cost the leader nothing but the read. It counts on clocks that differ in speed by
    /// less than a tenth and do not stand still, as they do while a machine is suspended, which the default, asking a majority,
    /// does not; and a leader whose connections break is replaced only when the promises to it are over. A member that is
    /// started again keeps what it may have promised by its present
    /// [`election_timeout`](Builder::election_timeout): before that is made shorter, all members have to run without
    /// leases for once. Each member may have it or not: only promises that were made
    /// count.
    ///
    /// ```
    /// # use spinney::Store;
    /// let builder = Store::builder().dir("./n1").member("n1").listen("127.0.0.1:7001").leases();
    /// ```
    pub fn leases(mut self) -> Self {
        self.cluster.leases = true;
        self
    }

    /// How long a write, a [`get_latest`](Store::get_latest) or a change of the members waits for the cluster.
    /// Default: 5 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.cluster.request_timeout = timeout;
        self
    }
}

impl Store {
    /// The cluster that this store is a member of; `None` for one alone.
    ///
    /// ```
    /// assert!(spinney::Store::in_memory().cluster().is_none());
    /// ```
    #[must_use]
    pub fn cluster(&self) -> Option<Cluster> {
        self.member().clustered().map(|member| Cluster { member: Arc::clone(member), is_impatient: false })
    }
}

/// The cluster as one of its members sees it, from [`Store::cluster`].
///
/// ```
/// use spinney::Store;
///
/// # let directory = tempfile::tempdir().unwrap();
/// let store = Store::builder().dir(directory.path()).member("n1").listen("127.0.0.1:0").open()?;
/// store.set("/a", "1")?;
/// let cluster = store.cluster().expect("it listens");
/// let members = cluster.members();
/// assert_eq!((members.len(), members[0].name.as_str()), (1, "n1"));
/// assert!(members[0].is_leader && cluster.is_leader());
/// # Ok::<(), spinney::Error>(())
/// ```
#[derive(Clone)]
pub struct Cluster {
    member: Arc<Clustered>,
    /// Whoever asks has gone when the whole time that a request has is over.
    is_impatient: bool,
}

/// How long somebody who is impatient waits for what may still become possible.
const IMPATIENT: Duration = Duration::from_secs(1);

/// A member of a cluster, as another one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberInfo {
    /// Who it is, for good.
    pub id: MemberId,
    /// Its name.
    pub name: String,
    /// Where members reach it.
    pub peer_addresses: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Whether it has a vote; a learner has none.
    pub is_voter: bool,
    /// Whether it leads, as far as is known here.
    pub is_leader: bool,
    /// Whether a connection to it stands; this member reaches itself.
    pub is_reachable: bool,
    /// How many entries of the log it is behind. Only the leader knows of all; others know of themselves.
    pub lag: Option<u64>,
}

impl Cluster {
    /// Which cluster it is.
    #[must_use]
    pub fn id(&self) -> ClusterId {
        self.member.identity().cluster
    }

    /// Which member this is.
    #[must_use]
    pub fn this(&self) -> MemberId {
        self.member.identity().member
    }

    /// Who leads, as far as is known here.
    #[must_use]
    pub fn leader(&self) -> Option<MemberId> {
        self.head().leader
    }

    /// How long that has been so, as far as is known here.
    #[cfg(feature = "http")]
    pub(crate) fn leader_for(&self) -> Duration {
        self.member.leader_for()
    }

    /// Whether this member leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.head().role == Role::Leader
    }

    /// The term: how many times, at most, a leader was elected.
    #[must_use]
    pub fn term(&self) -> Term {
        self.head().term
    }

    /// How this member is doing and, as far as it can tell, its cluster: the same as [`Store::status`]. What is wrong is said in
    /// words: that there is no leader, and how many are within reach; that a disk is slow, a member lags behind, a clock is off.
    ///
    /// ```
    /// use spinney::Store;
    ///
    /// # let directory = tempfile::tempdir().unwrap();
    /// let store = Store::builder().dir(directory.path()).member("n1").listen("127.0.0.1:0").open()?;
    /// let cluster = store.cluster().expect("it listens");
    /// store.set("/a", "1")?;
    /// assert!(cluster.status().problems.is_empty());
    /// cluster.add("n2", ["127.0.0.1:1"])?;
    /// // It takes a tick until that shows.
    /// std::thread::sleep(std::time::Duration::from_secs(1));
    /// assert_eq!(cluster.status().problems, ["member n2 is not within reach"]);
    /// # Ok::<(), spinney::Error>(())
    /// ```
    #[must_use]
    pub fn status(&self) -> Status {
        Status::of(&Engine::Clustered(Arc::clone(&self.member)))
    }

    /// The members, in order of their ids.
    #[must_use]
    pub fn members(&self) -> Vec<MemberInfo> {
        let head = self.head();
        let (me, picture) = (self.this(), self.member.picture());
        let committed = picture.committed();
        let behind = |matched: LogIndex| committed.get().saturating_sub(matched.get());
        let info = |(&id, contact): (&MemberId, &Contact)| {
            let facts = head.peers.iter().find(|facts| facts.member == id);
            let lag = match facts {
                Some(PeerFacts { matched, .. }) => matched.map(behind),
                None => (id == me).then(|| behind(picture.applied().index)),
            };
            MemberInfo {
                id,
                name: contact.name.clone(),
                peer_addresses: contact.peer_addresses.clone(),
                client_urls: contact.client_addresses.clone(),
                is_voter: head.config.voters.contains(&id),
                is_leader: head.leader == Some(id),
                is_reachable: id == me || facts.is_some_and(|facts| facts.is_connected),
                lag,
            }
        };
        head.config.contacts.iter().map(info).collect()
    }

    /// What this member has sent to its followers and received from leaders, and how long followers take: for whoever wants to
    /// see it drawn. It is some 10 ms old.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// let builder = spinney::Store::builder().dir(directory.path()).member("n1");
    /// let store = builder.listen("127.0.0.1:0").open()?;
    /// // Alone it sends nothing to anybody.
    /// let traffic = store.cluster().expect("it is a member").traffic();
    /// assert!(traffic.sent.messages == 0 && traffic.followers.is_empty());
    /// # Ok::<(), spinney::Error>(())
    /// ```
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        Traffic::clone(&self.head().traffic)
    }

    /// Where this member listens for others.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.member.address()
    }

    /// Makes room for a member that is reached at these addresses: it is a learner from now on, under the id that is
    /// returned. It begins with [`Builder::join`], which does this by itself: this is for those who want the id before.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] and what [`Cluster::remove`] has.
    pub fn add(
        &self,
        name: impl Into<String>,
        addresses: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<MemberId, Error> {
        let contact = Contact {
            name: name.into(),
            peer_addresses: addresses.into_iter().map(Into::into).collect(),
            client_addresses: Vec::new(),
        };
        match self.change(Change::Add(contact))? {
            Granted::Change { added: Some(member), .. } => Ok(member),
            _ => Err(Error::Unavailable { may_have_applied: true, cause: Arc::new(Error::NoLeader) }),
        }
    }

    /// Gives a learner a vote, once it has caught up.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] while it has not, and what [`Cluster::remove`] has.
    pub fn promote(&self, member: MemberId) -> Result<(), Error> {
        self.change(Change::Promote(member)).map(drop)
    }

    /// Takes a voter's vote: it is a learner from now on, which gets everything and decides nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] when nobody would have a vote, and what [`Cluster::remove`] has.
    pub fn demote(&self, member: MemberId) -> Result<(), Error> {
        self.change(Change::Demote(member)).map(drop)
    }

    /// Has a member leave, for good: its id is never used again, and it takes no part any more.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] when too few of those that are left would be within reach, or another change is under way;
    /// [`Error::NoLeader`] when there was none to be asked; [`Error::Unavailable`] when the leader was asked and it is not known what
    /// came of it: see who the [`members`](Cluster::members) are.
    pub fn remove(&self, member: MemberId) -> Result<(), Error> {
        self.change(Change::Remove(member)).map(drop)
    }

    /// Whether this member was removed, as far as it has been told: it takes no part any more, for good. What is in its
    /// directory is of use to nobody; wiped, it may join as a new member.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.head().stopped == Some(Stop::Removed)
    }

    /// Whether this member's disk has lost what it had said was durable, as far as it has been told: it takes no part any
    /// more, for good. Wiped, it may join as a new member.
    #[must_use]
    pub fn has_lost_data(&self) -> bool {
        self.head().stopped == Some(Stop::LostData)
    }

    /// Whether this founder, whose directory was empty, has been told what [`Error::Forgotten`] says when it is told before it
    /// is open: another founder knows it from before, or that the members have changed. It takes no part, and may join as a new member.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        self.head().stopped == Some(Stop::Disowned)
    }

    /// The names of the founders that this one waits to hear from before it takes part. Its directory was empty when it was
    /// opened, and they may remember what it does not: see `Builder::peers`. Nobody, when it takes part.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// let founders = [("n1", "127.0.0.1:0"), ("n2", "127.0.0.1:9")];
    /// let builder = spinney::Store::builder().dir(directory.path().join("n1")).member("n1");
    /// let store = builder.listen("127.0.0.1:0").peers(founders).open()?;
    /// // Where nobody else is there yet, there is no cluster yet.
    /// assert_eq!(store.cluster().expect("it is a member").waits_for(), ["n2"]);
    /// # Ok::<(), spinney::Error>(())
    /// ```
    #[must_use]
    pub fn waits_for(&self) -> Vec<String> {
        let head = self.head();
        head.waits_for.iter().map(|&member| head.name_of(member)).collect()
    }

    /// Whom this member has turned away where it listens for others, each reason once: members of other clusters, those that
    /// do not know the secret, whatever speaks something else; and members that sent what makes no sense. At most one for each
    /// [`Rejection`], whoever calls and how often; so each can be told of once.
    ///
    /// ```
    /// use std::{io::Write, net::TcpStream};
    /// use spinney::Store;
    ///
    /// # let directory = tempfile::tempdir().unwrap();
    /// let store = Store::builder().dir(directory.path()).member("n1").listen("127.0.0.1:0").open()?;
    /// let cluster = store.cluster().expect("it listens");
    /// assert!(cluster.turned_away().is_empty());
    /// let mut stranger = TcpStream::connect(cluster.address()).unwrap();
    /// stranger.write_all(&[b'?'; 200]).unwrap();
    /// while cluster.turned_away().is_empty() {}
    /// assert!(cluster.turned_away()[0].first.ends_with("not the protocol of members"));
    /// # Ok::<(), spinney::Error>(())
    /// ```
    ///
    /// [`Rejection`]: crate::Rejection
    #[must_use]
    pub fn turned_away(&self) -> Vec<TurnedAway> {
        self.member.turned_away()
    }

    /// Tells all where a member is reached.
    ///
    /// # Errors
    ///
    /// Those of [`Cluster::remove`].
    pub fn readdress(
        &self,
        member: MemberId,
        addresses: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<(), Error> {
        let head = self.head();
        let mut contact = head.config.contacts.get(&member).cloned().unwrap_or_default();
        contact.peer_addresses = addresses.into_iter().map(Into::into).collect();
        self.change(Change::Update(member, contact)).map(drop)
    }

    /// Has another member lead: this one, or without it the one that is best prepared. Returns when that is known here to
    /// have happened.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] when it is no voter; [`Error::TimedOut`] when it did not happen.
    pub fn transfer(&self, to: Option<MemberId>) -> Result<(), Error> {
        let before = self.leader();
        let granted = self.member.ask(Request::Transfer(to))?;
        let wanted = match granted {
            Granted::Transfer { to } => Some(to),
            Granted::Change { .. } => to,
        };
        self.member.wait_for(self.member.request_timeout(), |head| {
            head.leader.is_some() && (head.leader == wanted || to.is_none() && head.leader != before)
        })
    }

    /// Waits until a leader is known here.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`].
    pub fn wait_for_leader(&self, timeout: Duration) -> Result<MemberId, Error> {
        self.member.wait_for(timeout, |head| head.leader.is_some())?;
        self.leader().ok_or(Error::NoLeader)
    }

    /// The same, for changes on behalf of somebody who waits a few seconds for an answer: what cannot be done is then said
    /// in time.
    #[cfg(feature = "http")]
    pub(crate) fn impatient(self) -> Self {
        Self { is_impatient: true, ..self }
    }

    /// One change, made when it is its turn: another that is under way is waited for.
    fn change(&self, change: Change) -> Result<Granted, Error> {
        let end = self.member.in_(self.member.request_timeout());
        let end_of_patience = if self.is_impatient { self.member.in_(IMPATIENT).min(end) } else { end };
        if self.is_impatient {
            self.wait_for_leader(IMPATIENT).map_err(|_| Error::NoLeader)?;
        }
        loop {
            let request = Request::Change { changes: vec![change.clone()], expected: None };
            let denied = match self.member.ask(request) {
                Err(Error::Denied { reason }) => reason,
                Ok(granted) => return self.settled(granted, &change, end),
                Err(error) => return Err(error),
            };
            let may_pass = matches!(denied, Denied::NotNow | Denied::NotCaughtUp | Denied::WouldLoseQuorum);
            if !may_pass || !self.member.pause_until(end_of_patience) {
                return Err(Error::Denied { reason: denied });
            }
        }
    }

    /// Waits until a change that is in the log of a leader is complete, and agreed on.
    fn settled(&self, granted: Granted, change: &Change, end: Instant) -> Result<Granted, Error> {
        let Granted::Change { entry, added } = granted else { return Ok(granted) };
        let unknown = |cause| Error::Unavailable { may_have_applied: true, cause: Arc::new(cause) };
        let is_complete =
            |head: &Head| head.config_index >= entry.index && head.is_settled && !head.config.is_joint();
        let timeout = self.member.until(end);
        self.member.wait_for(timeout, is_complete).map_err(|_| unknown(Error::TimedOut))?;
        // Another leader may have taken it back, and what is agreed on is what it has made of it.
        if is_made(change, added, &self.head().config) { Ok(granted) } else { Err(unknown(Error::NoLeader)) }
    }

    fn head(&self) -> Head {
        self.member.picture().head()
    }
}

/// Whether the members are what this change, which has added `added`, makes of them.
fn is_made(change: &Change, added: Option<MemberId>, config: &Config) -> bool {
    match change {
        Change::Add(_) => added.is_some_and(|added| config.contains(added)),
        Change::Promote(member) => config.voters.contains(member),
        Change::Demote(member) => config.learners.contains(member),
        Change::Remove(member) => !config.contains(*member),
        Change::Update(member, wanted) => {
            config.contacts.get(member).is_some_and(|contact| contact.peer_addresses == wanted.peer_addresses)
        }
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("id", &self.id()).field("this", &self.this()).finish_non_exhaustive()
    }
}
