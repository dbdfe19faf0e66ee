//! Subscribers that are slow, or late.

use super::*;
use crate::event::Resync;
use crate::watch::testing::{directory, remove_directory};

fn resync(event: Event) -> Arc<Resync> {
    match event {
        Event::Resync(resync) => resync,
        Event::Change(change) => panic!("a resync was due, not {change:?}"),
    }
}

#[test]
fn a_full_channel_is_served_from_history() {
    let hub = hub(100);
    let watch = begin(&hub, capacity(2, watch("/a")));
    assert_eq!(publish(&hub, "/a", 1), CatchUp::Served);
    assert_eq!(publish(&hub, "/a", 2), CatchUp::Served);
    assert_eq!(publish(&hub, "/a", 3), CatchUp::Start, "somebody lags for the first time");
    assert_eq!(publish(&hub, "/b", 4), CatchUp::Served, "said once");
    hub.catch_up_not_started();
    assert_eq!(publish(&hub, "/a", 5), CatchUp::Start, "and again, if it failed");
    assert_eq!(hub.stats().lagging, 1);

    let catch_up = start_catch_up(&hub, || panic!("history has it all"));
    let indexes = [(); 4].map(|()| next(&watch).index().get());
    assert_eq!(indexes, [1, 2, 3, 5]);
    settle(&hub, 0);
    assert_eq!(publish(&hub, "/a", 6), CatchUp::Served);
    assert_eq!(queued(&watch), [6], "live again: the writer itself sends");
    hub.close();
    join(catch_up);
}

#[test]
fn what_did_not_concern_a_watch_is_not_read_again() {
    let hub = hub(100);
    let watch = begin(&hub, capacity(1, watch("/a/b")));
    let _ = publish(&hub, "/a/b", 1);
    // Told to nobody below, since nothing was there. History alone would not know.
    let _ = hub.publish(&remove_directory("/a", 2), Some(&directory("/a", 2)));
    let _ = publish(&hub, "/a/b", 3);
    let catch_up = start_catch_up(&hub, || panic!("history has it all"));
    assert_eq!([(); 2].map(|()| next(&watch).index().get()), [1, 3]);
    hub.close();
    join(catch_up);
}

#[test]
fn what_history_lost_is_told_by_a_resync() {
    let hub = hub(2);
    let watch = begin(&hub, capacity(1, watch("/a")));
    for index in 1..=9 {
        let _ = publish(&hub, "/a", index);
    }
    // The tree is ahead: it has applied two changes that the hub has yet to be given.
    let catch_up = start_catch_up(&hub, || 11);
    assert_eq!(next(&watch).index(), Index::new(1));

    let resync = resync(next(&watch));
    assert_eq!(resync.key, "/a");
    assert_eq!((resync.missed_from, resync.history_from), (Index::new(2), Index::new(8)));
    assert_eq!((resync.index, resync.node.as_ref().and_then(Node::text)), (Index::new(11), Some("11")));

    settle(&hub, 0);
    for index in 10..=12 {
        let _ = publish(&hub, "/a", index);
    }
    assert_eq!(queued(&watch), [12], "what the resync had is passed over");
    assert_eq!(hub.stats().resyncs, 1);
    hub.close();
    join(catch_up);
}

#[test]
fn a_watch_from_the_past_gets_what_is_kept() {
    let hub = hub(3);
    for index in 1..=5 {
        let _ = publish(&hub, if index == 4 { "/b" } else { "/a" }, index);
    }
    let (from_3, catch_up) = hub.watch(since(3, watch("/a")));
    assert_eq!(catch_up, CatchUp::Served);
    let from_5 = begin(&hub, since(5, watch("/a")));
    let from_7 = begin(&hub, since(7, watch("/a")));
    let now = begin(&hub, watch("/a"));
    for index in 6..=7 {
        let _ = publish(&hub, "/a", index);
    }
    assert_eq!(queued(&from_3), [3, 5, 6, 7]);
    assert_eq!(queued(&from_5), [5, 6, 7]);
    assert_eq!(queued(&from_7), [7], "what comes before is passed over");
    assert_eq!(queued(&now), [6, 7]);

    let (from_2, catch_up) = hub.watch(since(2, watch("/a")));
    assert_eq!(catch_up, CatchUp::Start, "history begins with 5 now");
    let catch_up = start_catch_up(&hub, || 7);
    assert_eq!(resync(next(&from_2)).missed_from, Index::new(2));
    hub.close();
    join(catch_up);
}

#[test]
fn a_new_tree_has_all_there_ever_was() {
    let hub = hub(3);
    let from_0 = begin(&hub, since(0, watch("/a")));
    let _ = publish(&hub, "/a", 1);
    assert_eq!(queued(&from_0), [1]);
    assert_eq!(hub.stats().lagging, 0);
}

#[test]
fn a_replaced_history_is_gone_on_with_or_resynced() {
    let old = hub(10);
    let _ = publish(&old, "/a", 1);
    let seen = begin(&old, since(1, watch("/a")));
    let later = begin(&old, since(9, watch("/a")));
    let much_later = begin(&old, since(50, watch("/a")));

    // A snapshot from a peer, whose history begins with 6.
    let changes = (6..=8).map(|index| set("/a", index)).collect();
    assert_eq!(old.replace_history(History::restore(limits(3), Index::new(8), changes)), CatchUp::Start);
    let catch_up = start_catch_up(&old, || 8);
    assert_eq!(next(&seen).index(), Index::new(1));
    assert_eq!(resync(next(&seen)).missed_from, Index::new(2));
    settle(&old, 0);

    // And one whose history has everything that was missed.
    let changes = (8..=12).map(|index| set("/a", index)).collect();
    let _ = old.replace_history(History::restore(limits(5), Index::new(12), changes));
    assert_eq!([(); 4].map(|()| next(&seen).index().get()), [9, 10, 11, 12]);
    assert_eq!([(); 4].map(|()| next(&later).index().get()), [9, 10, 11, 12]);
    settle(&old, 0);
    assert_eq!(publish(&old, "/a", 13), CatchUp::Served);
    assert_eq!((queued(&seen), queued(&later), queued(&much_later)), (vec![13], vec![13], vec![]));
    old.close();
    join(catch_up);
}

#[test]
fn a_quiet_watch_needs_no_resync_where_the_new_history_joins_the_old() {
    let hub = hub(2);
    let quiet = begin(&hub, watch("/quiet"));
    for index in 1..=5 {
        let _ = publish(&hub, "/a", index);
    }
    let changes = vec![set("/a", 6), set("/quiet", 7)];
    let _ = hub.replace_history(History::restore(limits(2), Index::new(7), changes));
    let catch_up = start_catch_up(&hub, || panic!("history has all it has not seen"));
    assert_eq!(next(&quiet).index(), Index::new(7));
    hub.close();
    join(catch_up);
}

#[test]
fn a_history_longer_than_one_go_is_read_in_pieces() {
    let hub = hub(10_000);
    for index in 1..=5_000 {
        let _ = publish(&hub, if index % 1_000 == 0 { "/rare" } else { "/a" }, index);
    }
    let rare = begin(&hub, since(1, watch("/rare")));
    let catch_up = start_catch_up(&hub, || panic!("history has it all"));
    assert_eq!([(); 5].map(|()| next(&rare).index().get()), [1_000, 2_000, 3_000, 4_000, 5_000]);
    hub.close();
    join(catch_up);
}

#[test]
fn the_writer_passes_over_a_thousand_full_channels() {
    let hub = hub(10);
    let watches: Vec<Watch> = (0..1_000).map(|_| begin(&hub, capacity(1, recursive("/")))).collect();
    for index in 1..=1_000 {
        let _ = publish(&hub, "/a", index);
    }
    assert_eq!(hub.stats().lagging, 1_000);
    let catch_up = start_catch_up(&hub, || 1_000);
    for watch in &watches {
        assert_eq!(next(watch).index(), Index::new(1));
        assert_eq!(resync(next(watch)).missed_from, Index::new(2));
    }
    settle(&hub, 0);
    assert_eq!(hub.stats().resyncs, 1_000);
    hub.close();
    join(catch_up);
}

/// Waits until `lagging` watchers lag. The catch-up makes a watcher live just after it sent the last event.
fn settle(hub: &Hub, lagging: usize) {
    eventually("the catch-up is done", || hub.stats().lagging == lagging);
}
