//! Three members in one process, each with a directory and a colour of its own: a configuration that is set on one and
//! seen on another, a key that expires everywhere, a leader that is lost, and nothing lost with it.
//!
//! ```text
//!   cargo run --release --example cluster
//! ```

#![allow(clippy::disallowed_methods, reason = "an example may read the clock")]

use std::error::Error;
use std::io::IsTerminal;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use spinney::{Event, Store};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const PATIENCE: Duration = Duration::from_secs(10);

/// A member that can be dropped and opened again.
struct Member {
    name: String,
    dir: PathBuf,
    store: Option<Store>,
}

fn main() -> Result<()> {
    let root = std::env::temp_dir().join(format!("spinney-cluster-{}", std::process::id()));
    let outcome = run(&root);
    std::fs::remove_dir_all(&root)?;
    outcome
}

fn run(root: &std::path::Path) -> Result<()> {
    // Ports that are free just now; a real cluster would say which.
    let listeners: Vec<_> =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    let address = |n: usize| listeners[n].local_addr().map(|address| address.to_string());
    let peers: Vec<(String, String)> =
        (0..3).map(|n| Ok((format!("n{}", n + 1), address(n)?))).collect::<std::io::Result<_>>()?;
    drop(listeners);

    let mut members: Vec<Member> = Vec::new();
    for (name, _) in &peers {
        let mut member = Member { name: name.clone(), dir: root.join(name), store: None };
        member.open(&peers)?;
        members.push(member);
    }
    let leader = leader_of(&members)?;
    say(&members[leader], &format!("leads; the members are {}", names(&members)));

    // Set on one member, seen on another.
    let (writer, watcher) = ((leader + 1) % 3, (leader + 2) % 3);
    let watch = members[watcher].store().watch("/config").recursive().start()?;
    members[writer].store().set("/config/port", 8080)?;
    say(&members[writer], "sets /config/port to 8080");
    if let Event::Change(change) = watch.recv_timeout(PATIENCE)? {
        say(
            &members[watcher],
            &format!("sees {} = {}", change.key(), change.node.text().unwrap_or_default()),
        );
    }

    // A key with a TTL goes everywhere.
    let expiries: Vec<_> = members
        .iter()
        .map(|member| member.store().watch("/lock").start())
        .collect::<std::result::Result<_, _>>()?;
    members[writer].store().put("/lock").value("mine").ttl(Duration::from_millis(500)).send()?;
    for (member, watch) in members.iter().zip(&expiries) {
        let actions: Vec<String> =
            watch.iter().take(2).filter_map(|event| Some(event.change()?.action.to_string())).collect();
        say(member, &format!("sees /lock: {}", actions.join(", then ")));
    }

    // The leader goes in the middle of writing: half a second of writes, and what they waited for longest.
    let lost = members[leader].store.take();
    let dropping = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        drop(lost);
    });
    let (mut acknowledged, mut pause, began) = (0, Duration::ZERO, Instant::now());
    while began.elapsed() < Duration::from_millis(1500) {
        let asked = Instant::now();
        members[writer].store().set(format!("/jobs/{acknowledged}"), "x")?;
        acknowledged += 1;
        pause = pause.max(asked.elapsed());
    }
    dropping.join().map_err(|_| "dropping the leader failed")?;
    let next = leader_of(&members)?;
    say(
        &members[next],
        &format!("leads after {} was dropped; one write waited {pause:.0?}, the longest", peers[leader].0),
    );

    // It comes back, and catches up.
    members[leader].open(&peers)?;
    let jobs = members[leader].store().get_latest("/jobs")?.children().count();
    say(&members[leader], &format!("is back and has all {jobs} jobs"));

    let counts: Vec<usize> = members
        .iter()
        .map(|member| member.store().get_latest("/jobs").map(|jobs| jobs.children().count()))
        .collect::<std::result::Result<_, _>>()?;
    if counts.iter().any(|&count| count != acknowledged) {
        return Err(format!("{acknowledged} writes were acknowledged, the members have {counts:?}").into());
    }
    println!("{acknowledged} acknowledged writes, {} of them on each member: nothing lost", counts[0]);
    Ok(())
}

impl Member {
    fn open(&mut self, peers: &[(String, String)]) -> Result<()> {
        let address = peers.iter().find(|(name, _)| *name == self.name).map_or("", |(_, address)| address);
        let builder = Store::builder().dir(&self.dir).member(&self.name).listen(address);
        self.store = Some(builder.peers(peers.iter().cloned()).open()?);
        Ok(())
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is running")
    }
}

fn leader_of(members: &[Member]) -> Result<usize> {
    let Some(cluster) = members.iter().find_map(|member| member.store.as_ref()?.cluster()) else {
        return Err("no member is running".into());
    };
    let id = cluster.wait_for_leader(PATIENCE)?;
    let is_leader = |member: &Member| {
        member.store.as_ref().and_then(Store::cluster).is_some_and(|cluster| cluster.this() == id)
    };
    members.iter().position(is_leader).ok_or_else(|| "the leader is not running".into())
}

fn names(members: &[Member]) -> String {
    members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Says what a member does, in its colour where there are colours.
fn say(member: &Member, what: &str) {
    let number = member.name.trim_start_matches('n');
    if std::io::stdout().is_terminal() {
        println!("\x1b[3{number}m{:4}\x1b[0m {what}", member.name);
    } else {
        println!("{:4} {what}", member.name);
    }
}
