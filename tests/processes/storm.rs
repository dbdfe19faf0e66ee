//! Three and five members under everything that can happen to processes and to the links between them, while clients
//! write and watch on all sides.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::load::{Acknowledged, Ending, Load};
use crate::registers::{self, Registers};
use crate::support::{self, Random, wait_until};
use crate::watchers::{self, Told};

/// How many more writes are to be acknowledged between two blows, and after each.
const PROGRESS: usize = 40;

/// How many clients add in-order keys, and how many use registers.
const WRITERS: usize = 3;
const REGISTER_CLIENTS: usize = 3;

/// How often, and how far apart, a link is spoilt that has to be spoilt again and again.
const SPOILS: usize = 25;
const SPOIL_PAUSE: Duration = Duration::from_millis(15);

/// What is done to a cluster.
#[derive(Clone, Copy, Debug)]
enum Blow {
    /// kill -9, and a restart once others go on without.
    Kill,
    /// kill -9 and a restart, at once and again and again.
    Flap,
    /// kill -9 of everybody.
    KillAll,
    /// SIGSTOP, and SIGCONT once others go on without.
    Stop,
    /// SIGSTOP of one that follows, who has much to catch up with.
    Nap,
    /// All links to others are cut.
    CutOff,
    /// What it says does not reach anybody, who all reach it.
    Mute,
    /// It hears nobody, and all hear it.
    Deaf,
    /// It and one other cannot reach each other, and all else can.
    Apart,
    /// Whatever anybody says takes its time.
    Slow,
    /// Now and then half of what is said on some link arrives, and the connection ends.
    Halve,
    /// Now and then a bit is flipped on some link.
    Corrupt,
}

impl Blow {
    const ALL: [Self; 12] = [
        Self::Kill,
        Self::CutOff,
        Self::Stop,
        Self::Mute,
        Self::Nap,
        Self::Corrupt,
        Self::Flap,
        Self::Deaf,
        Self::Slow,
        Self::KillAll,
        Self::Apart,
        Self::Halve,
    ];
}

#[test]
fn three_members_with_a_secret_lose_nothing_whatever_happens_to_them_and_their_links() {
    let directory = support::directory();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "a secret of many words\n").unwrap();
    storm(3, &["--peer-secret-file", secret.to_str().unwrap()]);
}

#[test]
fn five_members_lose_nothing_whatever_happens_to_two_of_them_and_their_links() {
    storm(5, &[]);
}

fn storm(count: usize, flags: &[&str]) {
    let seed = RandomState::new().hash_one(count);
    println!("chance begins with {seed}");
    let mut random = Random(seed);
    let mut cluster = Cluster::linked(count, flags);
    let (all, addresses) = ((0..count).collect::<Vec<_>>(), cluster.addresses());
    // One watcher at each member, and one that goes from member to member.
    let load = Load::new(addresses.clone(), count + 1);
    let registers = Registers::default();
    let last = OnceLock::new();
    let until = || last.get().copied();
    let (written, histories, told) = thread::scope(|scope| {
        let ending = Ending(&load);
        let (load, registers, addresses, until) = (&load, &registers, &addresses, &until);
        let writers: Vec<_> = (0..WRITERS).map(|client| scope.spawn(move || load.write(client))).collect();
        let users: Vec<_> = (0..REGISTER_CLIENTS)
            .map(|client| scope.spawn(move || registers.use_them(load, client + 1, seed ^ client as u64)))
            .collect();
        let watchers: Vec<_> = (0..=count)
            .map(|watcher| {
                let members = addresses.get(watcher..=watcher).unwrap_or(addresses);
                scope.spawn(move || watchers::watch(load, watcher, members, until))
            })
            .collect();
        for blow in random.shuffled(&[Blow::ALL, Blow::ALL].concat()) {
            load.progress(PROGRESS, &format!("before {blow:?}"));
            strike(&mut cluster, load, blow, &mut random);
            cluster.wait_until_well();
        }
        load.progress(PROGRESS, "after all");
        drop(ending);
        let written: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        let histories: Vec<_> = users.into_iter().map(|user| user.join().unwrap()).collect();
        // Nothing is under way any more: what a quorum has now is all there will be.
        last.set(cluster.set_last(&all)).unwrap();
        let told: Vec<_> = watchers.into_iter().map(|watcher| watcher.join().unwrap()).collect();
        (written, histories, told)
    });

    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "watchers were told different things");
    are_equal(&cluster, &all, &told[0]);
    are_complete(&written, &told[0]);
    registers::check(histories, &told[0]);
    println!("{} changes, {} connections", told[0].len(), cluster.links().passed());
}

/// Does it, sees that a majority goes on meanwhile, and takes it back.
fn strike(cluster: &mut Cluster, load: &Load, blow: Blow, random: &mut Random) {
    let all: Vec<usize> = (0..cluster.members.len()).collect();
    // As many as may be missing, the leader among them.
    let leader = cluster.leader(&all);
    let mut others = random.shuffled(&all);
    others.retain(|member| *member != leader);
    let second = others[0];
    let struck: Vec<_> = [leader].into_iter().chain(others.drain(..(all.len() - 3) / 2)).collect();
    let passed = cluster.links().passed();
    println!("{blow:?}: {struck:?} of {}", all.len());
    let goes_on = |when: &str| load.progress(PROGRESS, &format!("{when} {blow:?}"));
    let goes_on_without = |cluster: &Cluster| {
        goes_on("during");
        wait_until(format!("another leader during {blow:?}"), || cluster.leader(&others) != leader);
    };
    match blow {
        Blow::Kill => {
            struck.iter().for_each(|&member| cluster.kill(member));
            goes_on_without(cluster);
            struck.iter().for_each(|&member| cluster.start(member, "new"));
        }
        Blow::Flap => {
            for _ in 0..4 {
                for &member in &struck {
                    cluster.kill(member);
                    cluster.start(member, "new");
                }
                thread::sleep(Duration::from_millis(random.below(300)));
            }
            goes_on("after");
        }
        Blow::KillAll => {
            all.iter().for_each(|&member| cluster.kill(member));
            all.iter().for_each(|&member| cluster.start(member, "new"));
            goes_on("after");
        }
        Blow::Stop => {
            struck.iter().for_each(|&member| cluster.signal(member, "STOP"));
            goes_on_without(cluster);
            struck.iter().for_each(|&member| cluster.signal(member, "CONT"));
        }
        Blow::Nap => {
            cluster.signal(second, "STOP");
            goes_on("during");
            cluster.signal(second, "CONT");
        }
        Blow::CutOff => {
            let links = cluster.links();
            links.lines(&struck, &others).chain(links.lines(&others, &struck)).for_each(|line| line.cut());
            goes_on_without(cluster);
        }
        Blow::Mute => {
            cluster.links().lines(&struck, &others).for_each(|line| line.freeze());
            goes_on_without(cluster);
        }
        Blow::Deaf => {
            cluster.links().lines(&others, &struck).for_each(|line| line.freeze());
            goes_on_without(cluster);
        }
        Blow::Apart => {
            cluster.links().line(leader, second).cut();
            cluster.links().line(second, leader).cut();
            goes_on("during");
        }
        Blow::Slow => {
            cluster.links().lines(&all, &all).for_each(|line| line.delay(Duration::from_millis(30)));
            goes_on("during");
        }
        Blow::Halve | Blow::Corrupt => {
            let lines: Vec<_> = cluster.links().lines(&all, &all).collect();
            for _ in 0..SPOILS {
                let line = lines[random.below(lines.len() as u64) as usize];
                if matches!(blow, Blow::Halve) {
                    line.halve_next()
                } else {
                    line.corrupt_next()
                }
                thread::sleep(SPOIL_PAUSE);
            }
            goes_on("during");
            wait_until("connections that were spoilt, and made anew", || cluster.links().passed() > passed);
        }
    }
    cluster.links().mend();
}

/// These members have the same, to the byte, and it is what watchers were told.
pub(crate) fn are_equal(cluster: &Cluster, members: &[usize], told: &[Told]) {
    let everything = "/v2/keys/?recursive=true&quorum=true";
    let all: Vec<_> = members
        .iter()
        .map(|&member| cluster.ask(member, "GET", everything, None).unwrap())
        .map(|reply| (reply.head.status, reply.head.header("X-Etcd-Index").unwrap().to_owned(), reply.body))
        .collect();
    assert_eq!((all[0].0, all[0].1.as_str()), (200, told.len().to_string().as_str()));
    for (member, had) in members.iter().zip(&all) {
        assert_eq!(had, &all[0], "member {member} differs");
    }
    let mut there = BTreeMap::new();
    files(&serde_json::from_slice::<Value>(&all[0].2).unwrap()["node"], &mut there);
    assert_eq!(there, watchers::files_after(told), "what is there is not what was told");
}

fn files(node: &Value, found: &mut BTreeMap<String, (String, u64)>) {
    if let Some(value) = node["value"].as_str() {
        let key = node["key"].as_str().unwrap().to_owned();
        found.insert(key, (value.to_owned(), node["modifiedIndex"].as_u64().unwrap()));
    }
    for child in node["nodes"].as_array().into_iter().flatten() {
        files(child, found);
    }
}

/// Every in-order key that was acknowledged is there, once, and in its client's order.
pub(crate) fn are_complete(written: &[Vec<Acknowledged>], told: &[Told]) {
    let queue: Vec<_> = told.iter().filter(|told| told.key.starts_with("/queue/")).collect();
    let kept: BTreeMap<_, _> = queue.iter().map(|told| (told.key.as_str(), *told)).collect();
    let values: BTreeSet<_> = queue.iter().map(|told| &told.value).collect();
    assert_eq!((kept.len(), values.len()), (queue.len(), queue.len()), "a write was done twice");
    for writes in written {
        assert!(!writes.is_empty(), "somebody never got through");
        assert!(writes.windows(2).all(|pair| pair[0].key < pair[1].key), "out of order");
        for Acknowledged { value, key, index } in writes {
            let had = kept.get(key.as_str()).map(|told| (told.value.as_deref(), told.index));
            assert_eq!(had, Some((Some(value.as_str()), *index)), "{key} was acknowledged");
        }
    }
}
