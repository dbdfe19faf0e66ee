//! `serve`: a data directory over etcd's v2 API, until a signal ends it.

pub(super) mod foreign;
pub(super) mod listen;
mod peers;
pub(super) mod plan;

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::args::Serve;
use crate::cli::commands::recover::describe;
use crate::cli::failure::{Failure, explain};
use crate::cli::output::count;
use crate::error::Error;
use crate::http::Server;
use crate::net::{NetError, Refusal, Rejection, TurnedAway};
use crate::store::{Cluster, Status, Store};
use crate::wal::WalError;
use plan::Plan;

/// Serves until SIGTERM or SIGINT, and returns when all that was under way is answered.
pub(super) fn run(serve: &Serve, notes: &[String]) -> Result<(), Failure> {
    for note in notes {
        log(&format!("note: {note}"));
    }
    let plan = Plan::of(serve).map_err(Failure::plain)?;
    for warning in &plan.warnings {
        log(&format!("warning: {warning}"));
    }
    let listeners = listen::bind(&plan.listen).map_err(Failure::plain)?;
    let client_urls = plan.advertised(&listeners);
    let places: Vec<_> = listeners.iter().map(|listener| listener.url.clone()).collect();
    // Files that are wrong are found before anything is made.
    let doors = listeners.into_iter().map(|listener| listener.into_parts(plan.tls.as_ref()));
    let doors = doors.collect::<io::Result<Vec<_>>>().map_err(|error| cannot_serve(&error))?;
    let store = open(&plan, &client_urls)?;
    let Status { index, files, .. } = store.status();
    let keys = count(files, "key", "keys");
    log(&format!("{} is open: {keys}, index {}", plan.data_dir.display(), index.get()));
    if let Some(cluster) = store.cluster() {
        let (id, member, address) = (cluster.id(), cluster.this(), cluster.address());
        log(&format!(
            "member {} has id {member} in cluster {id}, and serves members on {address}",
            plan.name
        ));
    }

    let server = Server::new(store.clone()).name(plan.name.clone()).cors(plan.cors.clone());
    let server = server.client_urls(client_urls).peer_urls(plan.peers.urls.clone());
    let server = doors.into_iter().fold(server, |server, (socket, tls)| match tls {
        Some(tls) => server.listen_tls(socket, tls),
        None => server.listen(socket),
    });
    for place in places {
        log(&format!("member {} serves clients on {place}", plan.name));
    }
    // The server has threads of its own, each of which serves its connections from end to end; this one waits.
    let waiting = runtime(Builder::new_current_thread())?;
    let signals = waiting.block_on(async { until_signal() })?;
    let running = server.start().map_err(|error| cannot_serve(&error))?;
    waiting.block_on(async {
        tokio::select! {
            () = signals => {}
            why = until_expelled(store.cluster()) => log(&format!(
                "this member has {why}: taking no more requests, answering those under way"
            )),
        }
    });
    running.stop();
    let (index, expelled) = (store.index(), store.cluster().and_then(|cluster| Expelled::of(&cluster)));
    drop(store);
    if let Some(why) = expelled {
        return Err(Failure::plain(format_args!(
            "member {} has {why}; without {}, it may join as a new one, with --initial-cluster-state existing",
            plan.name,
            plan.data_dir.display()
        )));
    }
    log(&format!(
        "stopped at index {}; everything that was answered is in {}",
        index.get(),
        plan.data_dir.display()
    ));
    Ok(())
}

pub(super) fn cannot_serve(error: &io::Error) -> Failure {
    Failure::plain(format_args!("cannot serve: {error}"))
}

/// A runtime of this kind.
pub(super) fn runtime(mut kind: Builder) -> Result<Runtime, Failure> {
    let runtime = kind.enable_all().thread_name("spinney-http").build();
    runtime.map_err(|error| Failure::plain(format_args!("cannot start: {error}")))
}

/// Is over when the first signal comes that asks for the end.
pub(super) fn until_signal() -> Result<impl Future<Output = ()>, Failure> {
    let take = |kind| signal(kind).map_err(|error| Failure::plain(format_args!("no signals: {error}")));
    let (mut terminate, mut interrupt) = (take(SignalKind::terminate())?, take(SignalKind::interrupt())?);
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        log(&format!("{name}: taking no more requests, answering those under way"));
    })
}

/// How often a member asks itself whether it still is one, and whom it has turned away.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Why a member takes no part any more.
#[derive(Clone, Copy)]
enum Expelled {
    Removed,
    LostData,
    Forgotten,
}

impl Expelled {
    fn of(cluster: &Cluster) -> Option<Self> {
        let removed = cluster.is_removed().then_some(Self::Removed);
        let lost = || cluster.has_lost_data().then_some(Self::LostData);
        removed.or_else(lost).or_else(|| cluster.is_forgotten().then_some(Self::Forgotten))
    }
}

impl fmt::Display for Expelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Removed => "been removed from its cluster for good",
            Self::LostData => "lost data that its cluster counts on",
            Self::Forgotten => {
                "an empty directory, while its cluster knows it from before, or has changed its members"
            }
        })
    }
}

/// Is over when this member takes no part in its cluster any more. Tells meanwhile of those whom it turns away, and of those
/// without whom it does not begin.
async fn until_expelled(cluster: Option<Cluster>) -> Expelled {
    let Some(cluster) = cluster else { return std::future::pending().await };
    let mut told = 0;
    let mut founding = Founding::default();
    loop {
        founding.look(&cluster);
        let turned_away = cluster.turned_away();
        for one in &turned_away[told..] {
            tell_of(one);
        }
        told = turned_away.len();
        if let Some(why) = Expelled::of(&cluster) {
            return why;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// A founder whose directory was empty, and which waits for the others.
#[derive(Default)]
struct Founding {
    looks: u32,
}

impl Founding {
    /// At first the others may just not have come up.
    const PATIENCE: u32 = 40;

    /// Tells for whom it waits, if that takes long, and when it waits no more.
    fn look(&mut self, cluster: &Cluster) {
        let silent = cluster.waits_for();
        if silent.is_empty() {
            if self.looks >= Self::PATIENCE {
                log("those that this member waited for have answered: it takes part");
            }
            self.looks = 0;
            return;
        }
        self.looks += 1;
        if self.looks == Self::PATIENCE {
            log(&format!(
                "the data directory was empty: this member takes no part yet, and waits to hear from {} whether it has lost anything",
                silent.join(" and ")
            ));
        }
    }
}

/// Tells of the first that was turned away for a reason, once.
fn tell_of(turned_away: &TurnedAway) {
    let first = &turned_away.first;
    match turned_away.rejection {
        Rejection::Refused(Refusal::OldSession) => log(&format!(
            "closed a connection for a newer one ({first}), as when two members call each other; others are only counted, in /metrics"
        )),
        Rejection::Nonsense => {
            log(&format!(
                "a member sent what makes no sense, {first}; more of it is only counted, in /metrics"
            ));
        }
        _ => log(&format!(
            "turned away a caller, {first}; others for this reason are only counted, in /metrics"
        )),
    }
}

fn open(plan: &Plan, client_urls: &[String]) -> Result<Store, Failure> {
    refuse_etcds(&plan.data_dir)?;
    if plan.recovers {
        recover(&plan.data_dir)?;
    }
    let mut builder = Store::builder().dir(&plan.data_dir).durability(plan.durability);
    if let Some(membership) = &plan.peers.membership {
        builder = membership.build(builder, client_urls).map_err(Failure::plain)?;
    }
    builder.open().map_err(|error| Failure::plain(refused(&plan.data_dir, &error)))
}

/// Makes a cluster of its own of what is at `path`, unless it is one.
fn recover(path: &Path) -> Result<(), Failure> {
    const FLAG: &str = "--force-new-cluster";
    let failed = |error: &Error| Failure::plain(format_args!("{FLAG}: {}", explain(error)));
    match Store::survivor(path) {
        Ok(survivor) => {
            describe(&survivor).iter().for_each(|line| log(&format!("{FLAG}: {line}")));
            survivor.recover().map_err(|error| failed(&error))?;
            log(&format!("{FLAG}: done; without the flag, later starts leave the cluster as it is"));
        }
        Err(Error::NothingToRecover { is_alone: true, .. }) => {
            log(&format!("note: {FLAG} changes nothing: {} is a cluster of one already", path.display()));
        }
        Err(error) => return Err(failed(&error)),
    }
    Ok(())
}

/// Fails where etcd keeps its data at `path`.
pub(super) fn refuse_etcds(path: &Path) -> Result<(), Failure> {
    if !path.join("member").join("snap").is_dir() {
        return Ok(());
    }
    Err(Failure::plain(format_args!(
        "{} is a data directory of etcd's, which cannot be read; while etcd serves it, `spinney export` and `import` bring \
         keys over",
        path.display()
    )))
}

fn refused(path: &Path, error: &Error) -> String {
    let flag = match error {
        Error::InvalidSetting { setting: "listen", .. } => Some("--listen-peer-urls"),
        Error::InvalidSetting { setting: "advertise", .. } => Some("--initial-advertise-peer-urls"),
        Error::InvalidSetting { setting: "election_timeout", .. } => Some("--election-timeout"),
        _ => None,
    };
    if let (Some(flag), Error::InvalidSetting { reason, .. }) = (flag, error) {
        return format!("{flag} {reason}");
    }
    let hint = match error {
        Error::Net(NetError::Insecure { .. }) => {
            "; name a file with --peer-secret-file, or accept the danger with --allow-insecure-peers"
        }
        Error::NotJoined { .. } => "; --initial-cluster names the members that are asked",
        Error::Forgotten { .. } => ", with --initial-cluster-state existing",
        Error::Log(WalError::InUse { .. }) => "; is a server running on it?",
        _ => "",
    };
    format!("cannot open {}: {}{hint}", path.display(), explain(error))
}

/// Tells on stderr what happens.
pub(super) fn log(line: &str) {
    // Whoever listened may have gone; what there is to do is done all the same.
    let _ = writeln!(io::stderr(), "spinney: {line}");
}
