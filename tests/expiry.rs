//! Keys that go when their time is up: by themselves, in order, never early, and the same after a restart.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use spinney::{Action, Change, Error, Event, Store, Timestamp, Watch};
use support::{Random, directory, is_alone, patiently, small, threads, wait_until};

const LONG: Duration = Duration::from_secs(3600);

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The next change, which must be an expiry at or after the deadline that its node had.
fn next_expiry(watch: &Watch) -> Arc<Change> {
    match watch.recv_timeout(Duration::from_secs(30)) {
        Ok(Event::Change(change)) => {
            assert_eq!(change.action, Action::Expire);
            let deadline = deadline_of(&change);
            assert!(deadline <= change.time, "{change:?} is early by {:?}", deadline.since(change.time));
            change
        }
        other => panic!("{other:?}"),
    }
}

fn deadline_of(expired: &Change) -> Timestamp {
    expired.prev_node.as_ref().unwrap().deadline().unwrap()
}

#[test]
fn keys_expire_by_themselves_in_order_of_deadline_and_age_and_never_early() {
    let store = Store::in_memory();
    let mut random = Random(7);
    let mut expected = Vec::new();
    for n in 0..300 {
        let ttl = millis(300 + random.below(700));
        let change = store.put(format!("/{n}")).value(n).ttl(ttl).send().unwrap();
        let deadline = change.node.deadline().unwrap();
        assert_eq!(deadline, change.time.after(ttl));
        expected.push((deadline, change.node.created(), change.key().to_string()));
    }
    let watch = store.watch("/").recursive().buffer(1000).since(301).start().unwrap();
    expected.sort();
    for (deadline, created, key) in expected {
        let change = next_expiry(&watch);
        assert_eq!(*change.key(), *key, "created at {created}");
        assert_eq!(deadline_of(&change), deadline);
        assert!(change.node.value().is_empty(), "a node that is gone has no value");
        assert!(store.get(&key).is_err(), "when watchers hear of it, it is gone");
    }
    assert_eq!((store.status().timers, store.status().files, store.index().get()), (0, 0, 600));
}

#[test]
fn whoever_looks_on_while_many_expire_sees_them_go_in_order() {
    const MANY: u64 = 20_000;
    let store = Store::in_memory();
    let key = |n: u64| format!("/many/{n}");
    // All at one moment: only their age tells them apart.
    let transaction =
        (0..MANY).fold(store.txn(), |txn, n| txn.put(key(n), |put| put.value("v").ttl(millis(700))));
    let set = transaction.commit().unwrap();
    let base = set.last().unwrap().index().get();
    let watch = store.watch("/many").recursive().buffer(MANY as usize).start().unwrap();
    let mut gone = 0;
    while gone < MANY {
        let view = store.view();
        let left = MANY - (view.index().get() - base);
        assert!(left <= MANY - gone, "nothing comes back");
        gone = MANY - left;
        assert_eq!(view.list("/many").unwrap().len() as u64, left);
        assert!(gone == 0 || view.get(key(gone - 1)).is_err());
        assert!(left == 0 || view.get(key(gone)).is_ok());
    }
    for n in 0..MANY {
        assert_eq!(*next_expiry(&watch).key(), *key(n));
    }
    assert!(watch.try_recv().is_err(), "one event each");
}

#[test]
fn a_lock_whose_time_is_up_is_free_for_the_very_next_command() {
    let store = Store::in_memory();
    let take = |who: usize| store.put("/lock").value(who).ttl(millis(20)).if_absent().send();
    let mut held = take(0).unwrap();
    let mut holders = 1;
    while holders < 15 {
        match take(holders) {
            Ok(taken) => {
                assert!(held.node.deadline().unwrap() <= taken.time, "taken while it was held");
                assert!(taken.index() > held.index().next(), "the expiry has an index of its own");
                holders += 1;
                held = taken;
            }
            // Refused at the time of an entry before the deadline; after it, refusing would be wrong.
            Err(Error::KeyExists { .. }) => {
                let view = store.view();
                assert!(view.get("/lock").is_err() || view.time() < held.node.deadline().unwrap());
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn many_wait_for_one_lock_and_each_gets_it_alone() {
    let store = Store::in_memory();
    thread::scope(|scope| {
        for who in 0..4 {
            let store = &store;
            scope.spawn(move || {
                let mut held = 0;
                while held < 5 {
                    let taken = store.put("/lock").value(who).ttl(millis(15)).if_absent().send();
                    held += usize::from(taken.is_ok());
                    thread::yield_now();
                }
            });
        }
    });
    let watch = store.watch("/lock").since(1).start().unwrap();
    let changes: Vec<_> = watch.try_iter().filter_map(|event| event.change().cloned()).collect();
    let mut held_until = None;
    for change in changes {
        match change.action {
            Action::Create => {
                assert!(held_until.is_none(), "two hold it");
                held_until = change.node.deadline();
            }
            Action::Expire => assert!(change.time >= held_until.take().unwrap()),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn what_was_due_while_closed_expires_on_opening_once_and_in_order() {
    let directory = directory();
    let mut random = Random(3);
    let open = || patiently(|| small().dir(directory.path()).open()).unwrap();
    let store = open();
    let mut expected = Vec::new();
    for n in 0..100 {
        let put = store.put(format!("/{n}")).value(n).ttl(millis(1500 + random.below(200)));
        let change = put.send().unwrap();
        expected.push((change.node.deadline().unwrap(), change.node.created(), change.key().to_string()));
    }
    store.put("/later").value(1).ttl(LONG).send().unwrap();
    let index = store.index();
    drop(store);
    thread::sleep(millis(1800));

    expected.sort();
    let store = open();
    let watch = store.watch("/").recursive().since(index.next()).buffer(500).start().unwrap();
    for (_, _, key) in &expected {
        let change = next_expiry(&watch);
        assert_eq!(*change.key(), **key);
    }
    assert_eq!(store.index().get(), index.get() + expected.len() as u64);
    assert!(watch.try_recv().is_err(), "one event each");
    let left = store.view();
    drop(store);

    let again = open();
    assert_eq!(again.index(), left.index(), "nothing expires twice");
    assert!(left.diff(&again.view()).is_empty());
    let watch = again.watch("/").recursive().since(index.next()).buffer(500).start().unwrap();
    let told: Vec<_> = watch.try_iter().map(|event| event.change().unwrap().key().to_string()).collect();
    assert_eq!(told, expected.into_iter().map(|(_, _, key)| key).collect::<Vec<_>>());
    assert_eq!(again.get("/later").unwrap().deadline(), left.get("/later").unwrap().deadline());
}

#[test]
fn refreshing_keeps_alive_and_tells_nobody() {
    let store = Store::in_memory();
    let ttl = millis(3000);
    store.put("/kept").value("v").ttl(ttl).send().unwrap();
    store.put("/left").value("v").ttl(ttl).send().unwrap();
    let watch = store.watch("/").recursive().start().unwrap();
    let mut deadline = store.get("/kept").unwrap().deadline().unwrap();
    while store.get("/left").is_ok() {
        let refreshed = store.put("/kept").refresh().ttl(ttl).send().unwrap();
        let next = refreshed.node.deadline().unwrap();
        assert!(next >= deadline);
        deadline = next;
        thread::sleep(millis(50));
    }
    assert_eq!(store.get("/kept").unwrap().text(), Some("v"), "its value stays");
    assert_eq!(next_expiry(&watch).key(), "/left", "the refreshes were not told");
    assert_eq!(next_expiry(&watch).key(), "/kept", "and then nobody refreshed");
}

#[test]
fn a_new_ttl_or_none_takes_the_place_of_the_old() {
    let store = Store::in_memory();
    for key in ["/longer", "/never", "/gone", "/short"] {
        store.put(key).value(1).ttl(millis(400)).send().unwrap();
    }
    store.put("/longer").value(2).ttl(LONG).send().unwrap();
    store.set("/never", 2).unwrap();
    store.delete("/gone").unwrap();
    store.put("/dir").dir().ttl(millis(400)).send().unwrap();
    store.set("/dir/below/file", 1).unwrap();
    let watch = store.watch("/").recursive().start().unwrap();
    assert_eq!(next_expiry(&watch).key(), "/short");
    let directory = next_expiry(&watch);
    assert!(directory.key() == "/dir" && store.get("/dir/below/file").is_err());
    thread::sleep(millis(300));
    assert!(watch.try_recv().is_err());
    assert_eq!(store.list("/").unwrap().len(), 2);
}

/// How often each of the store's threads has gone to sleep of its own accord, so far.
fn sleeps() -> BTreeMap<u32, u64> {
    let count = |id: u32| {
        let status = std::fs::read_to_string(format!("/proc/self/task/{id}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse().ok()
    };
    threads().into_iter().filter_map(|(id, _)| Some((id, count(id)?))).collect()
}

/// In a process of its own: the threads of other tests' stores are busy.
#[test]
fn a_store_with_nothing_due_sleeps() {
    if !is_alone("a_store_with_nothing_due_sleeps") {
        return;
    }
    let directory = directory();
    let store = small().dir(directory.path()).open().unwrap();
    let watches: Vec<_> = (0..100).map(|n| store.watch(format!("/{n}")).start().unwrap()).collect();
    for ttl in [None, Some(LONG * 24 * 30)] {
        for n in 0..200 {
            let put = store.put(format!("/{n}")).value([0; 500]);
            let put = if let Some(ttl) = ttl { put.ttl(ttl) } else { put };
            put.submit().wait().unwrap();
        }
        // What the writes have led to comes to rest first.
        let mut before = sleeps();
        wait_until("rest", || {
            thread::sleep(millis(200));
            std::mem::replace(&mut before, sleeps()) == sleeps()
        });
        assert!(before.len() >= 2, "{before:?}");
        thread::sleep(millis(1500));
        let woken: u64 = sleeps().iter().map(|(id, count)| count - before.get(id).unwrap_or(count)).sum();
        assert_eq!(woken, 0, "times woken with nothing to do: {:?}", threads());
    }
    drop(watches);
}

#[test]
fn threads_have_the_stores_name() {
    let directory = directory();
    let _store = small().dir(directory.path()).open().unwrap();
    let runs = |name| threads().into_iter().any(|(_, thread)| thread == name);
    wait_until("its threads", || runs("spinney") && runs("spinney-log"));
}
