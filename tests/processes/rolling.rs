//! All members are restarted, one after the other, while clients count.

use std::sync::OnceLock;
use std::thread;

use crate::cluster::{Cluster, json};
use crate::load::{Alarm, Caller, Ending, Load, PAUSE, Said};
use crate::watchers;

const COUNTERS: usize = 4;

/// How many more writes are to be acknowledged after each step.
const PROGRESS: usize = 100;

/// How often a write is tried at most: each member several times.
const TRIES_MAX: usize = 20;

/// What a client has done.
#[derive(Default)]
struct Counted {
    /// How far it has counted.
    to: u64,
    /// How many tries came to nothing that is known.
    unknown: usize,
    /// How many tries nobody heard.
    not_heard: usize,
    /// How many writes were done by a try whose answer was lost.
    done_unheard: usize,
}

/// Counts by swaps, each tried until it is known to be done: what was done twice, or not at all, would end it.
fn count(load: &Load, counter: usize) -> Counted {
    let _alarm = Alarm(load);
    let mut counted = Counted::default();
    let mut caller = Caller::new(load, counter);
    let target = format!("/v2/keys/counter/{counter}");
    while load.goes_on() {
        let next = counted.to + 1;
        let condition = match counted.to {
            0 => "prevExist=false".to_owned(),
            before => format!("prevValue={before}"),
        };
        let form = format!("value={next}&{condition}");
        let mut may_be_done = false;
        let index = (0..TRIES_MAX).find_map(|_| match caller.call("PUT", &target, Some(&form)) {
            Said::Answer(reply) if matches!(reply.head.status, 200 | 201) => {
                Some(json(&reply)["node"]["modifiedIndex"].as_u64().unwrap())
            }
            Said::Answer(reply) => {
                assert!(may_be_done, "{form} was refused at once: {}", reply.text());
                let Said::Answer(there) = caller.call("GET", &format!("{target}?quorum=true"), None) else {
                    return None;
                };
                let node = &json(&there)["node"];
                assert_eq!(node["value"], next.to_string(), "{form} was refused: {}", reply.text());
                counted.done_unheard += 1;
                Some(node["modifiedIndex"].as_u64().unwrap())
            }
            Said::Unknown => {
                may_be_done = true;
                counted.unknown += 1;
                None
            }
            Said::NotHeard => {
                counted.not_heard += 1;
                None
            }
        });
        counted.to = next;
        load.acknowledge(index.unwrap_or_else(|| panic!("{form} has failed {TRIES_MAX} times")));
        thread::sleep(PAUSE);
    }
    counted
}

#[test]
fn members_are_restarted_one_by_one_and_each_write_is_done_once() {
    let mut cluster = Cluster::of_three(&[]);
    let load = Load::new(cluster.addresses(), 1);
    let last = OnceLock::new();
    let until = || last.get().copied();
    let (counted, told) = thread::scope(|scope| {
        let ending = Ending(&load);
        let (load, until) = (&load, &until);
        let watcher = scope.spawn(move || watchers::watch(load, 0, &load.addresses, until));
        let counters: Vec<_> =
            (0..COUNTERS).map(|counter| scope.spawn(move || count(load, counter))).collect();
        for member in (0..3).chain(0..3) {
            load.progress(PROGRESS, "before a restart");
            cluster.stop(member);
            load.progress(PROGRESS, "while a member is away");
            cluster.start(member, "new");
            cluster.wait_until_well();
            cluster.wait_until_whole(member);
        }
        load.progress(PROGRESS, "after all");
        drop(ending);
        let counted: Vec<_> = counters.into_iter().map(|counter| counter.join().unwrap()).collect();
        last.set(cluster.set_last(&[0, 1, 2])).unwrap();
        (counted, watcher.join().unwrap())
    });

    for (counter, Counted { to, .. }) in counted.iter().enumerate() {
        let key = format!("/counter/{counter}");
        let values: Vec<_> =
            told.iter().filter(|told| told.key == key).map(|told| told.value.clone().unwrap()).collect();
        assert!(values.into_iter().eq((1..=*to).map(|n| n.to_string())), "{key}: not each number once");
    }
    let sum = |count: fn(&Counted) -> usize| counted.iter().map(count).sum::<usize>();
    let writes: u64 = counted.iter().map(|counted| counted.to).sum();
    let (unknown, not_heard) = (sum(|counted| counted.unknown), sum(|counted| counted.not_heard));
    println!(
        "{writes} writes; {unknown} tries were not answered, {not_heard} not heard; {} were done all the same",
        sum(|counted| counted.done_unheard)
    );
    // A restart costs each client a few tries, and no more.
    assert!(unknown + not_heard <= 6 * COUNTERS * 5, "{unknown} and {not_heard} tries for {writes} writes");
}
