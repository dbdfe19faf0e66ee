//! How a member of a cluster comes to be: from its directory, as a founder, or by joining.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crossbeam_channel::{bounded, unbounded};
use parking_lot::Mutex;

use super::super::clock::Clock;
use super::super::open::{FOUNDER, random, random_cluster};
use super::super::{Callbacks, Settings};
use super::Clustered;
use super::admission::{JoinAnswer, JoinAsk, Question};
use super::core::Core;
use super::health::Health;
use super::inquiry::{ANSWER_TIMEOUT, Asker};
use super::joining::Joining;
use super::picture::{Head, Picture};
use super::settings::ClusterSettings;
use super::threads::{Bell, Hands, Inbox, keep_time, serve_watchers, spawn};
use super::traffic::Counting;
use super::waiting::Waiting;
use crate::codec;
use crate::entry::{Config, Contact, EntryId, HardState};
use crate::error::Error;
use crate::net::{self, Endpoint, Secret, Speaker};
use crate::raft::{Witness, is_founder};
use crate::replica::{self, Founding, Input, OpenError, Output, Replica};
use crate::types::{ClusterId, MemberId, Term};
use crate::wal::{Disk, Identity, Recovery, WalSettings};

/// What the id of a cluster is derived from, besides the founders and the token.
const CONTEXT: &str = "spinney cluster id, version 1";

/// Where and how the member speaks with others.
struct Net {
    listener: TcpListener,
    secret: Option<Secret>,
    contact: Contact,
}

/// Opens the member.
pub(super) fn open(
    disk: Arc<dyn Disk>,
    settings: Settings,
    cluster: &ClusterSettings,
) -> Result<Arc<Clustered>, Error> {
    let known = known(&disk, cluster)?;
    let secret = cluster.secret.as_deref().map(Secret::new).transpose()?;
    let ask = |identity, founders| Asker::new(identity, founders, secret.clone(), asking(cluster));
    let mut asker = None;
    if known.is_none()
        && cluster.join.is_empty()
        && let (identity, Founding::InDoubt(founders)) = founders(cluster, &Contact::default())
    {
        // Before it listens: of founders that begin at the same moment, none waits for another.
        let asker = asker.insert(ask(identity, founders.clone()));
        if let Err(forgotten) = asker.ask_all() {
            let replica = Replica::open(
                disk,
                replica_settings(&settings, cluster),
                identity,
                Founding::InDoubt(founders),
                random(),
            );
            // If it cannot be written, it is asked again when this member is started again.
            let _ = replica.map(|replica| remember(replica, asker.heard()));
            return Err(forgotten);
        }
    }
    let listener = listen(cluster)?;
    let contact = contact(cluster, &listener)?;
    // Before anybody is asked for admission: who is let in and cannot listen is a member that never comes.
    net::check(&listener, secret.is_some() || cluster.allow_insecure)?;
    let (identity, founding) = match known {
        Some(identity) => (identity, founders(cluster, &contact).1),
        None if !cluster.join.is_empty() => (join(cluster, &contact, secret.as_ref())?, Founding::Joining),
        None => founders(cluster, &contact),
    };
    let replica = Replica::open(disk, replica_settings(&settings, cluster), identity, founding, random())
        .map_err(|error| match error {
            OpenError::Log(error) => Error::from(error),
            other @ OpenError::OtherMember { .. } => {
                Error::InvalidSetting { setting: "dir", reason: other.to_string() }
            }
        })?;
    let asker = replica
        .raft()
        .is_in_doubt()
        .then(|| asker.unwrap_or_else(|| ask(replica.identity(), replica.raft().config().clone())));
    start(replica, settings, cluster, Net { listener, secret, contact }, asker)
}

/// Whose directory it is, if it is anybody's. Who the members are, only entries say: without any, a founder is to be told the same as
/// when it began. It is as good as an empty one to whoever founds something else now, as long as it has not begun; and to whoever
/// founds a cluster alone, which has an id of its own.
fn known(disk: &Arc<dyn Disk>, cluster: &ClusterSettings) -> Result<Option<Identity>, Error> {
    let recovery = Recovery::scan(Arc::clone(disk))?;
    let Some(known) = recovery.identity() else { return Ok(None) };
    let has_entries = recovery.last() != EntryId::default();
    if has_entries || !is_founder(known.member) {
        return Ok(Some(known));
    }
    let not_this = |reason: &str| Error::InvalidSetting { setting: "dir", reason: reason.to_owned() };
    if !cluster.join.is_empty() {
        // It may have lost what it had, and those that it would join count on it under the id that it has here.
        return Err(not_this("is of a founder that has no entries yet: emptied, it joins as a new member"));
    }
    let (identity, founding) = founders(cluster, &Contact::default());
    let is_alone = matches!(founding, Founding::Together(_));
    if !is_alone && identity == known {
        return Ok(Some(known));
    }
    let HardState { term, floor, .. } = recovery.hard_state().unwrap_or_default();
    let has_begun = term.max(floor.term) > Term::default();
    if !recovery.is_empty() || has_begun && !is_alone {
        return Err(not_this("is of a founder of a cluster with other members, which has begun"));
    }
    recovery.discard_empty()?;
    Ok(None)
}

fn listen(cluster: &ClusterSettings) -> Result<TcpListener, Error> {
    let address = bare(cluster.listen.as_deref().expect("checked before"));
    TcpListener::bind(address).map_err(|source| Error::InvalidSetting {
        setting: "listen",
        reason: format!("{address} cannot be listened at: {source}"),
    })
}

/// `127.0.0.1:7001` of `http://127.0.0.1:7001/` and the like.
fn bare(address: &str) -> &str {
    let after = address.split_once("://").map_or(address, |(_, after)| after);
    after.trim_end_matches('/')
}

fn contact(cluster: &ClusterSettings, listener: &TcpListener) -> Result<Contact, Error> {
    let mut peer_addresses: Vec<String> = cluster.advertise.iter().map(|one| bare(one).to_owned()).collect();
    if peer_addresses.is_empty() {
        peer_addresses = of_founder(cluster, &cluster.name);
    }
    if peer_addresses.is_empty() {
        let reason = |source| Error::InvalidSetting { setting: "listen", reason: format!("{source}") };
        let address = listener.local_addr().map_err(reason)?;
        if address.ip().is_unspecified() {
            let reason = "is missing: peers cannot call an address that stands for all".to_owned();
            return Err(Error::InvalidSetting { setting: "advertise", reason });
        }
        peer_addresses.push(address.to_string());
    }
    Ok(Contact { name: cluster.name.clone(), peer_addresses, client_addresses: cluster.client_urls.clone() })
}

fn of_founder(cluster: &ClusterSettings, name: &str) -> Vec<String> {
    let of_name = cluster.peers.iter().filter(|(founder, _)| founder == name);
    of_name.map(|(_, address)| bare(address).to_owned()).collect()
}

/// Who this member is as a founder, and who founds the cluster with it: all founders find the same.
fn founders(cluster: &ClusterSettings, contact: &Contact) -> (Identity, Founding) {
    let mut names: Vec<&str> = cluster.peers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() <= 1 {
        // Whoever founds one alone has nobody to find the same id as, and nobody to ask whether it did so before: should its disk be
        // lost, it begins another cluster, which those that have joined meanwhile do not take for theirs.
        let identity = Identity { cluster: random_cluster(), member: FOUNDER };
        return (identity, Founding::Together(Config::founded_by([(FOUNDER, contact.clone())])));
    }
    let mut hash = blake3::Hasher::new_derive_key(CONTEXT);
    let mut add = |text: &str| {
        // With its length, so that no two lists read alike.
        hash.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    };
    add(&cluster.token);
    let mut members = Vec::new();
    let mut member = FOUNDER;
    for (id, name) in (FOUNDER.get()..).zip(names) {
        let peer_addresses = of_founder(cluster, name);
        add(name);
        peer_addresses.iter().for_each(|address| add(address));
        if name == cluster.name {
            member = MemberId::new(id);
        }
        // Where clients reach it, each founder says itself, later: all must begin with the same.
        let contact = Contact { name: name.to_owned(), peer_addresses, client_addresses: Vec::new() };
        members.push((MemberId::new(id), contact));
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    let identity = Identity { cluster: ClusterId::new(u128::from_le_bytes(id)), member };
    (identity, Founding::InDoubt(Config::founded_by(members)))
}

/// Asks one after the other of the members to be let in.
fn join(cluster: &ClusterSettings, contact: &Contact, secret: Option<&Secret>) -> Result<Identity, Error> {
    let ask = codec::encode(&JoinAsk::new(Question::LetMeIn(contact.clone())));
    let settings = net_settings(cluster);
    let mut last = String::new();
    for address in &cluster.join {
        match net::join(bare(address), &ask, secret, &settings) {
            Ok(answer) => match codec::decode(&answer) {
                Ok(JoinAnswer::Welcome { cluster, member }) => return Ok(Identity { cluster, member }),
                Ok(JoinAnswer::Refused(why)) => last = format!("{address} refuses: {why}"),
                Ok(JoinAnswer::Known | JoinAnswer::Unknown { .. } | JoinAnswer::Stranger) | Err(_) => {
                    last = format!("{address} is not understood")
                }
            },
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(Error::NotJoined { why: last })
}

fn asking(cluster: &ClusterSettings) -> net::Settings {
    net::Settings { handshake_timeout: ANSWER_TIMEOUT, join_timeout: ANSWER_TIMEOUT, ..net_settings(cluster) }
}

fn net_settings(cluster: &ClusterSettings) -> net::Settings {
    net::Settings {
        seed: random(),
        allow_insecure: cluster.allow_insecure,
        ..net::Settings::new(|| Clock::in_(Duration::ZERO))
    }
}

fn replica_settings(settings: &Settings, cluster: &ClusterSettings) -> replica::Settings {
    let mut raft = cluster.raft();
    // What is written and sent together has to fit into a segment, and should waste little at the end of one.
    raft.message_bytes = raft.message_bytes.min(u64::from(settings.segment_bytes) / 4);
    replica::Settings {
        raft,
        wal: WalSettings { segment_bytes: settings.segment_bytes, salt_seed: random() },
        history: settings.history,
        log_bytes: settings.log_bytes,
        lives_from: Clock::lives_from(),
        ..replica::Settings::default()
    }
}

fn start(
    mut replica: Replica,
    settings: Settings,
    cluster: &ClusterSettings,
    Net { listener, secret, contact }: Net,
    asker: Option<Asker>,
) -> Result<Arc<Clustered>, Error> {
    let identity = replica.identity();
    let clock = Clock::start(replica.state().tree().time()).set_ahead(cluster.clock_ahead);
    let outputs = begin_life(&mut replica, &clock)?;
    let speaker = Speaker { cluster: identity.cluster, member: identity.member, boot: replica.raft().boot() };
    let (events, heard) = unbounded();
    let (bell, rung) = Bell::new();
    let inbox = Inbox::new(events, bell.clone());
    let told = Arc::clone(&inbox);
    let (endpoint, peers) =
        Endpoint::start(listener, speaker, secret, net_settings(cluster), move || told.look())?;

    let endpoint = Arc::new(endpoint);
    let is_alone = replica.raft().config().is_alone(identity.member);
    let mut threads = Vec::new();
    let no_thread = |source| Error::NoThread { source };
    let hands = Hands::start(&inbox, &endpoint, &mut threads).map_err(no_thread)?;
    threads.push(serve_watchers(replica.state()).map_err(no_thread)?);
    let mut asking = None;
    if let Some(asker) = asker {
        let (wanted, is_over) = bounded(0);
        asking = Some(wanted);
        let inbox = Arc::clone(&inbox);
        threads.push(spawn("spinney-asks", move || asker.run(&inbox, &is_over)).map_err(no_thread)?);
    }
    let picture = Arc::new(Picture::new(head(&replica)));
    let (state, queued) = (Arc::clone(replica.state()), Arc::new(AtomicUsize::new(0)));
    let mut core = Box::new(Core {
        replica,
        clock,
        events: heard,
        endpoint: Arc::clone(&endpoint),
        peers,
        hands,
        bell,
        waiting: Waiting::new(cluster.request_timeout),
        queued: Arc::clone(&queued),
        picture: Arc::clone(&picture),
        joining: Joining::new(contact, cluster.stays_learner),
        asking,
        health: Health::default(),
        traffic: Counting::default(),
        outputs,
        batch: Vec::new(),
        reads: Vec::new(),
        sessions: std::collections::BTreeMap::new(),
        saves: Vec::new(),
        closing: None,
        has_handed_over: false,
        shown: None,
    });
    core.connect();
    let turned = Arc::clone(&inbox);
    let keep_time = move || keep_time(core, &turned, &rung);
    threads.insert(0, spawn("spinney-core", keep_time).map_err(no_thread)?);
    let member = Arc::new(Clustered {
        identity,
        settings,
        clock,
        state,
        inbox,
        queued,
        picture,
        callbacks: Arc::new(Callbacks::default()),
        endpoint,
        request_timeout: cluster.request_timeout,
        threads: Mutex::new(threads),
    });
    if is_alone {
        // There is nobody to wait for but itself: whoever opens it finds what it left. Should the disk refuse, reads show
        // what is known to be agreed on, and writes say why.
        let _ = member.latest::<()>().wait();
    }
    Ok(member)
}

/// Makes it durable that it was disowned: whoever said so may be gone when it is started again.
fn remember(mut replica: Replica, answers: BTreeMap<MemberId, Witness>) -> Result<(), Error> {
    let clock = Clock::start(replica.state().tree().time());
    begin_life(&mut replica, &clock)?;
    step_durably(&mut replica, &clock, Input::Heard(answers))?;
    Ok(replica.close()?)
}

/// Makes it durable that a new life has begun, before anybody hears of it.
fn begin_life(replica: &mut Replica, clock: &Clock) -> Result<Vec<Output>, Error> {
    step_durably(replica, clock, Input::Tick)
}

/// Steps it, and does all that it asks the disk for. Gives the rest of what it asks for.
fn step_durably(replica: &mut Replica, clock: &Clock, input: Input) -> Result<Vec<Output>, Error> {
    let mut outputs = Vec::new();
    replica.step(clock.moment(), input, &mut outputs);
    replica.flush(clock.moment(), &mut outputs);
    let mut kept = Vec::new();
    let mut next = 0;
    while next < outputs.len() {
        match std::mem::replace(&mut outputs[next], Output::Applied(Vec::new())) {
            Output::Sync(job) => {
                let mut told = Vec::new();
                let synced = job.run(|envelope| told.push(Output::Send(envelope)));
                kept.append(&mut told);
                replica.step(clock.moment(), Input::Synced(synced), &mut outputs);
            }
            Output::Failed(error) => {
                let error = Arc::try_unwrap(error).map_or_else(
                    |error| Error::Unavailable {
                        may_have_applied: false,
                        cause: Arc::new(Error::NoSpace { what: error.to_string() }),
                    },
                    Error::from,
                );
                return Err(error);
            }
            other => kept.push(other),
        }
        next += 1;
    }
    Ok(kept)
}

fn head(replica: &Replica) -> Head {
    let raft = replica.raft();
    Head {
        role: raft.role(),
        term: raft.hard_state().term,
        leader: raft.leader(),
        leader_since: Clock::in_(Duration::ZERO),
        config: Arc::new(raft.config().clone()),
        config_index: raft.config_index(),
        is_settled: raft.committed() >= raft.config_index(),
        stopped: None,
        failure: None,
        waits_for: raft.untold(),
        traffic: Arc::default(),
        peers: Vec::new(),
        problems: Vec::new(),
    }
}
