//! The handle: what it takes, what it refuses, and with which error.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

use std::time::Duration;

use spinney::{Action, Difference, Error, Event, KeyError, Pending, Store};

fn text(store: &Store, key: &str) -> Option<String> {
    store.get(key).ok().and_then(|node| node.parse())
}

#[test]
fn keys_that_no_node_can_have_are_refused_by_every_call() {
    let store = Store::in_memory();
    for (key, reason) in [
        ("", KeyError::Empty),
        ("/a//b", KeyError::EmptyPart),
        ("/a/./b", KeyError::DotPart),
        ("/..", KeyError::DotPart),
        ("/a\0", KeyError::Nul),
    ] {
        let errors = [
            store.get(key).unwrap_err(),
            store.list(key).unwrap_err(),
            store.set(key, "1").unwrap_err(),
            store.delete(key).unwrap_err(),
            store.watch(key).start().unwrap_err(),
            store.view().get(key).unwrap_err(),
            store.put(key).submit().wait().unwrap_err(),
            store.txn().set(key, "1").commit().unwrap_err(),
            store.txn().check(key).exists().commit().unwrap_err(),
        ];
        for error in errors {
            let Error::InvalidKey { text, reason: found } = &error else { panic!("{error:?}") };
            assert_eq!((text.as_str(), *found), (key, reason));
            assert!(error.to_string().contains("key"), "{error}");
        }
    }
    assert_eq!(store.index().get(), 0);
}

#[test]
fn limits_name_what_how_much_and_the_setting() {
    let store = Store::builder().key_bytes(10).value_bytes(4).transaction_bytes(64).open().unwrap();
    let too_large = |error: Error| match error {
        Error::TooLarge { what, actual, limit, setting } => (what, actual, limit, setting),
        other => panic!("{other:?}"),
    };
    assert_eq!(too_large(store.set("/0123456789", "1").unwrap_err()), ("key", 11, 10, "key_bytes"));
    assert_eq!(too_large(store.set("/a", "12345").unwrap_err()), ("value", 5, 4, "value_bytes"));
    // The name that an in-order key gets counts as well.
    assert_eq!(too_large(store.create_in_order("/q", "1").unwrap_err()), ("key", 23, 10, "key_bytes"));
    let many = (0..20).fold(store.txn(), |txn, n| txn.set(format!("/{n}"), "1"));
    let (what, actual, limit, setting) = too_large(many.commit().unwrap_err());
    assert_eq!((what, limit, setting), ("transaction", 64, "transaction_bytes"));
    assert!(actual > 64);
    assert_eq!(store.index().get(), 0, "nothing was changed");
    assert!(store.set("/012345678", "1234").is_ok(), "the limits themselves are fine");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let setting = |error: Error| match error {
        Error::InvalidSetting { setting, .. } => setting,
        other => panic!("{other:?}"),
    };
    let builder = Store::builder;
    assert_eq!(setting(builder().key_bytes(0).open().unwrap_err()), "key_bytes");
    assert_eq!(setting(builder().segment_bytes(1000).open().unwrap_err()), "segment_bytes");
    assert_eq!(setting(builder().value_bytes(100 << 20).open().unwrap_err()), "value_bytes");
    assert_eq!(setting(builder().transaction_bytes(100 << 20).open().unwrap_err()), "transaction_bytes");
    assert_eq!(setting(builder().log_bytes(1).open().unwrap_err()), "log_bytes");
}

#[test]
fn requests_that_contradict_themselves_are_refused() {
    let store = Store::in_memory();
    let ttl = Duration::from_secs(5);
    let puts = [
        store.put("/a").refresh(),
        store.put("/a").refresh().ttl(ttl).value("1"),
        store.put("/a").refresh().ttl(ttl).if_absent(),
        store.put("/a").dir().value("1"),
        store.put("/a").dir().if_value("1"),
        store.put("/a").if_absent().if_index(3),
        store.put("/a").in_order().if_exists(),
    ];
    for put in puts {
        let said = format!("{put:?}");
        assert!(matches!(put.send(), Err(Error::InvalidRequest { .. })), "{said}");
    }
    let delete = store.remove("/a").recursive().if_value("1").send();
    assert!(matches!(delete, Err(Error::InvalidRequest { .. })));
}

#[test]
fn a_directory_is_no_file_and_a_file_no_directory() {
    let store = Store::in_memory();
    store.set("/dir/file", "1").unwrap();
    assert!(matches!(store.set("/dir", "1"), Err(Error::NotAFile { .. })));
    assert!(matches!(store.delete("/dir"), Err(Error::NotAFile { .. })));
    assert!(matches!(store.set("/dir/file/x", "1"), Err(Error::NotADirectory { .. })));
    assert!(matches!(store.list("/dir/file"), Err(Error::NotADirectory { .. })));
    assert!(matches!(store.mkdir("/dir"), Err(Error::KeyExists { .. })));
    assert!(matches!(store.remove("/dir").dir().send(), Err(Error::DirectoryNotEmpty { .. })));
    assert!(matches!(store.set("/", "1"), Err(Error::RootReadOnly { .. })));
    assert_eq!(store.index().get(), 1);
}

#[test]
fn errors_have_etcds_codes_messages_and_causes() {
    let store = Store::in_memory();
    store.set("/a", "one").unwrap();
    store.set("/d/x", "1").unwrap();
    let of = |error: Error| (error.code().unwrap(), error.message().unwrap(), error.cause().to_owned());
    let cas = store.put("/a").value("2").if_value("two").if_index(9).send();
    for (error, code, message, cause) in [
        (store.get("/x/y").unwrap_err(), 100, "Key not found", "/x"),
        (cas.unwrap_err(), 101, "Compare failed", "[two != one] [9 != 1]"),
        (store.set("/d", "1").unwrap_err(), 102, "Not a file", "/d"),
        (store.set("/a/b", "1").unwrap_err(), 104, "Not a directory", "/a"),
        (store.put("/a").if_absent().send().unwrap_err(), 105, "Key already exists", "/a"),
        (store.set("/", "1").unwrap_err(), 107, "Root is read only", "/"),
        (store.remove("/d").dir().send().unwrap_err(), 108, "Directory not empty", "/d"),
    ] {
        assert_eq!(error.index(), Some(store.index()));
        assert!(!error.is_retryable());
        assert_eq!(of(error), (code, message, cause.to_owned()));
    }
}

#[test]
fn a_failed_comparison_brings_what_is_there() {
    let store = Store::in_memory();
    store.set("/a", "1").unwrap();
    let Err(Error::CompareFailed { current, .. }) = store.put("/a").value("3").if_value("2").send() else {
        panic!()
    };
    let current = current.unwrap();
    store.put("/a").value("3").if_index(current.modified()).send().unwrap();
    assert_eq!(text(&store, "/a").as_deref(), Some("3"));
}

#[test]
fn submitted_writes_are_done_in_order_and_tell_when() {
    let store = Store::in_memory();
    let writes: Vec<Pending<_>> = (0..500).map(|n| store.put("/counter").value(n).submit()).collect();
    let indexes: Vec<_> = writes.into_iter().map(|write| write.wait().unwrap().index()).collect();
    assert!(indexes.is_sorted_by(|a, b| a < b));
    assert_eq!(text(&store, "/counter").as_deref(), Some("499"));
    let refused = store.put("/counter").value(1).if_absent().submit().wait();
    assert!(matches!(refused, Err(Error::KeyExists { .. })));
}

#[test]
fn callbacks_may_use_the_store_and_wait_in_it() {
    let store = Store::in_memory();
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let inner = store.clone();
    store.put("/first").value("1").submit().on_done(move |outcome| {
        outcome.unwrap();
        inner.set("/second", "2").unwrap();
        let third = inner.put("/third").value("3").submit();
        third.wait().unwrap();
        sender.send(()).unwrap();
    });
    receiver.recv_timeout(Duration::from_secs(10)).expect("the callback ends");
    assert_eq!(text(&store, "/third").as_deref(), Some("3"));
}

#[test]
fn callbacks_run_one_at_a_time_on_a_thread_of_the_stores() {
    let store = Store::in_memory();
    let (sender, receiver) = crossbeam_channel::unbounded();
    let done = store.put("/a").submit();
    while !done.is_done() {
        std::thread::yield_now();
    }
    for write in [done, store.put("/b").submit(), store.put("/c").submit()] {
        let sender = sender.clone();
        write.on_done(move |_| sender.send(std::thread::current().id()).unwrap());
    }
    let threads: Vec<_> = receiver.iter().take(3).collect();
    assert!(threads.iter().all(|&thread| thread == threads[0] && thread != std::thread::current().id()));
}

#[test]
fn a_panic_in_a_callback_harms_nobody_else() {
    let store = Store::in_memory();
    store.put("/a").submit().on_done(|_| panic!("in a callback"));
    store.put("/b").value("1").submit().wait().unwrap();
    store.set("/c", "1").unwrap();
}

#[test]
fn the_last_handle_may_go_in_a_callback() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = Store::open(directory.path()).unwrap();
    let (sender, receiver) = crossbeam_channel::bounded::<()>(0);
    let last = std::sync::Mutex::new(Some(store.clone()));
    store.put("/first").submit().on_done(move |_| {
        let _ = receiver.recv_timeout(Duration::from_secs(10));
        drop(last.lock().unwrap().take());
    });
    // These wait while the callback runs, and are done all the same.
    let writes: Vec<_> = (0..100).map(|n| store.put(format!("/n/{n}")).value(n).submit()).collect();
    drop(store);
    drop(sender);
    for write in writes {
        write.wait().unwrap();
    }
    // The directory is let go of when the callback has ended.
    let store = (0..1000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        Store::open(directory.path()).ok()
    });
    assert_eq!(store.unwrap().list("/n").unwrap().len(), 100);
}

#[test]
fn a_slow_callback_holds_no_write_up() {
    let store = Store::in_memory();
    let (sender, receiver) = crossbeam_channel::bounded::<()>(0);
    store.put("/a").submit().on_done(move |_| {
        let _ = receiver.recv();
    });
    for _ in 0..10 {
        store.put("/b").submit().wait_timeout(Duration::from_secs(60)).unwrap().unwrap();
        store.set("/c", "1").unwrap();
    }
    drop(sender);
}

#[test]
fn waiting_may_end_before_the_write() {
    let store = Store::in_memory();
    for _ in 0..100 {
        // Whichever comes first: the write is done once, and told once.
        match store.put("/a").submit().wait_timeout(Duration::ZERO) {
            Ok(outcome) => drop(outcome.unwrap()),
            Err(write) => drop(write.wait().unwrap()),
        }
    }
    assert_eq!(store.index().get(), 100);
}

#[test]
fn watchers_are_told_of_all_that_is_submitted_before_the_end() {
    let store = Store::in_memory();
    let watch = store.watch("/").recursive().buffer(5000).start().unwrap();
    let writes: Vec<_> = (0..5000).map(|n| store.put(format!("/{n}")).submit()).collect();
    drop(store);
    assert!(writes.into_iter().all(|write| write.wait().is_ok()));
    assert_eq!(watch.iter().count(), 5000);
}

#[test]
fn a_refresh_keeps_value_and_age_of_files_and_directories() {
    let store = Store::in_memory();
    let ttl = Duration::from_secs(60);
    store.put("/file").value("v").ttl(ttl).send().unwrap();
    store.put("/dir").dir().ttl(ttl).send().unwrap();
    for key in ["/file", "/dir"] {
        let before = store.get(key).unwrap();
        store.put(key).ttl(ttl * 2).refresh().send().unwrap();
        let after = store.get(key).unwrap();
        assert_eq!((after.created(), after.value()), (before.created(), before.value()));
        assert!(after.deadline() > before.deadline());
    }
    let missing = store.put("/missing").ttl(ttl).refresh().send();
    assert!(matches!(missing, Err(Error::KeyNotFound { .. })));
}

#[test]
fn buffers_and_comparisons_have_limits_too() {
    let store = Store::builder().value_bytes(4).open().unwrap();
    let watch = store.watch("/a").buffer(usize::MAX).start().unwrap();
    store.set("/a", "1").unwrap();
    assert!(watch.try_recv().is_ok());
    for error in [
        store.put("/a").if_value("12345").send().unwrap_err(),
        store.remove("/a").if_value("12345").send().unwrap_err(),
    ] {
        assert!(matches!(error, Error::TooLarge { setting: "value_bytes", .. }), "{error:?}");
    }
}

/// What is to be removed may be called whatever it likes, since limits change; but what is asked for has to fit.
#[test]
fn a_key_that_no_record_can_hold_is_too_large_to_remove() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let settings = Store::builder().segment_bytes(64 << 10).value_bytes(4096).transaction_bytes(4096);
    let store = settings.dir(directory.path()).open().unwrap();
    let long = |bytes: usize| format!("/{}", "x".repeat(bytes));
    assert!(matches!(store.delete(long(10_000)), Err(Error::KeyNotFound { .. })));
    for error in [
        store.delete(long(70_000)).unwrap_err(),
        store.remove(long(70_000)).recursive().submit().wait().unwrap_err(),
        store.remove(long(47_000)).if_value([0; 4000]).send().unwrap_err(),
        store.txn().delete(long(70_000)).commit().unwrap_err(),
        store.txn().check(long(70_000)).exists().commit().unwrap_err(),
    ] {
        assert!(matches!(error, Error::TooLarge { .. }) && !error.is_retryable(), "{error:?}");
    }
    assert!(store.status().problems.is_empty(), "{:?}", store.status().problems);
}

#[test]
fn what_is_submitted_beyond_what_may_wait_is_not_done() {
    let store = Store::builder().queue_bytes(1000).open().unwrap();
    let writes: Vec<_> = (0..20_000).map(|n| store.put("/n").value(n).submit()).collect();
    let answers: Vec<_> = writes.into_iter().map(Pending::wait).collect();
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(
        answers
            .iter()
            .flat_map(|answer| answer.as_ref().err())
            .all(|error| { matches!(error, Error::Busy) && error.is_retryable() })
    );
    assert!(0 < done && done < answers.len(), "{done} done");
    assert_eq!(store.index().get(), done as u64);
    store.put("/n").value("again").submit().wait().unwrap();
    store.set("/n", "whoever waits has no need to come again").unwrap();
}

#[test]
fn transactions_are_all_or_nothing() {
    let store = Store::in_memory();
    store.set("/from", 10).unwrap();
    store.set("/to", 1).unwrap();
    let watch = store.watch("/").recursive().start().unwrap();
    let changes = store
        .txn()
        .check("/from")
        .is(10)
        .check("/to")
        .exists()
        .set("/from", 7)
        .set("/to", 4)
        .commit()
        .unwrap();
    assert_eq!(changes[1].index(), changes[0].index().next());
    let refused = store.txn().set("/from", 0).put("/to", |put| put.value(9).if_absent()).commit();
    assert!(matches!(refused, Err(Error::KeyExists { .. })));
    assert_eq!((text(&store, "/from").unwrap(), text(&store, "/to").unwrap()), ("7".into(), "4".into()));
    let seen: Vec<_> = watch.try_iter().map(|event| event.index()).collect();
    assert_eq!(seen, [changes[0].index(), changes[1].index()]);
    assert!(store.txn().check("/from").absent().commit().is_err());
    assert!(store.txn().check("/gone").absent().commit().unwrap().is_empty());
    store.txn().remove("/to", |delete| delete.if_value(4)).submit().wait().unwrap();
}

#[test]
fn views_stay_as_they_are_and_tell_what_differs() {
    let store = Store::in_memory();
    for n in 0..1000 {
        store.set(format!("/n/{n:04}"), n).unwrap();
    }
    store.set("/dir/x", "1").unwrap();
    let before = store.view();
    store.set("/n/0500", "changed").unwrap();
    store.delete("/n/0501").unwrap();
    store.remove("/dir").recursive().send().unwrap();
    store.set("/new/_hidden", "1").unwrap();
    let after = store.view();
    let differences: Vec<_> = before
        .diff(&after)
        .iter()
        .map(|difference| match difference {
            Difference::Added(node) => format!("+{}", node.key()),
            Difference::Removed(node) => format!("-{}", node.key()),
            Difference::Changed { before, after } => {
                format!("{} {:?}->{:?}", after.key(), before.text().unwrap(), after.text().unwrap())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        differences,
        ["-/dir", "-/dir/x", "/n/0500 \"500\"->\"changed\"", "-/n/0501", "+/new", "+/new/_hidden"]
    );
    assert!(before.diff(&before).is_empty());
    assert_eq!(before.get("/n/0501").unwrap().text(), Some("501"));
    assert_eq!(before.list("/dir").unwrap().len(), 1);
    assert_eq!(before.index().get() + 4, after.index().get());
}

#[test]
fn the_tree_takes_no_more_than_its_setting() {
    let store = Store::builder().tree_bytes(100_000).open().unwrap();
    let full = (0..10_000).find_map(|n| store.set(format!("/{n}"), [0; 64]).err()).unwrap();
    assert!(matches!(full, Error::NoSpace { .. }) && full.is_retryable(), "{full:?}");
    assert!(full.to_string().contains("tree_bytes"), "{full}");
    assert!(store.status().problems.iter().any(|problem| problem.contains("tree_bytes")));
    store.txn().delete("/0").delete("/1").commit().unwrap();
    while store.status().tree_bytes >= 100_000 {
        store.delete(store.list("/").unwrap()[0].key()).unwrap();
    }
    store.set("/0", "fits again").unwrap();
}

#[test]
fn a_watch_resumes_where_it_was() {
    let store = Store::builder().history(5).open().unwrap();
    let seen = store.set("/app/a", 1).unwrap().index();
    for n in 2..5 {
        store.set("/app/a", n).unwrap();
    }
    let watch = store.watch("/app").recursive().since(seen.next()).start().unwrap();
    let values: Vec<_> = watch.try_iter().map(|event| event.change().unwrap().node.parse::<u32>()).collect();
    assert_eq!(values, [Some(2), Some(3), Some(4)]);
    for n in 5..20 {
        store.set("/app/a", n).unwrap();
    }
    // Too far back: what is there now comes first, then what follows.
    let watch = store.watch("/app").recursive().since(seen).start().unwrap();
    let Ok(Event::Resync(resync)) = watch.recv_timeout(Duration::from_secs(10)) else { panic!() };
    assert_eq!(resync.node.as_ref().unwrap().children().next().unwrap().parse::<u32>(), Some(19));
    assert_eq!((resync.missed_from, resync.index), (seen, store.index()));
    store.set("/app/a", 20).unwrap();
    let next = watch.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(next.index(), store.index());
}

#[test]
fn watches_work_in_select() {
    let store = Store::in_memory();
    let (a, b) = (store.watch("/a").start().unwrap(), store.watch("/b").start().unwrap());
    store.set("/b", "1").unwrap();
    crossbeam_channel::select! {
        recv(a.receiver()) -> event => panic!("{event:?}"),
        recv(b.receiver()) -> event => assert_eq!(event.unwrap().change().unwrap().action, Action::Set),
    }
}

#[test]
fn dropping_the_store_ends_its_watches_at_once() {
    let store = Store::in_memory();
    let watches: Vec<_> = (0..1000).map(|n| store.watch(format!("/{n}")).start().unwrap()).collect();
    store.set("/7", "1").unwrap();
    drop(store);
    assert!(watches[7].recv().is_ok(), "what was sent is still there");
    assert!(watches.iter().all(|watch| watch.recv().is_err()));
}
