//! Beginnings and ends: of watches, of subscriptions, and of the hub.

use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{TryRecvError, bounded, unbounded};
use parking_lot::Mutex;

use super::*;
use crate::watch::Subscription;

/// A hub whose watcher of `/a` lags after the one event in its channel.
fn with_lagging_watch() -> (Arc<Hub>, Watch) {
    let hub = hub(10);
    let watch = begin(&hub, capacity(1, watch("/a")));
    let _ = publish(&hub, "/a", 1);
    let _ = publish(&hub, "/a", 2);
    assert_eq!(hub.stats().lagging, 1);
    (hub, watch)
}

#[test]
fn a_dropped_watch_is_forgotten_at_once() {
    let hub = hub(10);
    let first = begin(&hub, watch("/a"));
    let second = begin(&hub, watch("/a"));
    let third = begin(&hub, recursive("/a"));
    drop(first);
    assert_eq!(hub.stats().watchers, 2);
    let _ = publish(&hub, "/a", 1);
    assert_eq!((queued(&second), queued(&third)), (vec![1], vec![1]));
    drop((second, third));
    assert_eq!(hub.stats().watchers, 0);
    let again = begin(&hub, watch("/a"));
    let _ = publish(&hub, "/a", 2);
    assert_eq!(queued(&again), [2]);
}

#[test]
fn a_clone_of_the_receiver_ends_with_its_watch() {
    let (hub, watch) = with_lagging_watch();
    let catch_up = start_catch_up(&hub, || 2);
    let receiver = watch.receiver().clone();
    drop(watch);
    assert_eq!((hub.stats().watchers, hub.stats().lagging), (0, 0));
    assert!(receiver.recv_timeout(FOREVER).is_ok(), "what was sent before");
    assert!(receiver.recv_timeout(FOREVER).is_err_and(|error| error.is_disconnected()));
    hub.close();
    join(catch_up);
}

#[test]
fn a_dropped_watch_leaves_nothing_behind_while_others_lag() {
    let (hub, lagging) = with_lagging_watch();
    let catch_up = start_catch_up(&hub, || 2);
    let dropped = begin(&hub, capacity(1, watch("/b")));
    let change = set("/b", 3);
    let _ = hub.publish(&change, None);
    let _ = publish(&hub, "/b", 4);
    assert_eq!(hub.stats().lagging, 2);

    drop(dropped);
    let _ = hub.replace_history(History::new(limits(0), Index::new(4)));
    // Only the channel, which nobody reads any more, may still hold the change: until the catch-up lets go.
    eventually("the queue is freed", || Arc::strong_count(&change) == 1);
    drop(lagging);
    hub.close();
    join(catch_up);
}

#[test]
fn a_lagging_watch_may_be_dropped_before_anybody_serves_it() {
    let (hub, watch) = with_lagging_watch();
    drop(watch);
    let catch_up = start_catch_up(&hub, || panic!("nobody is to be served"));
    let other = begin(&hub, self::watch("/a"));
    let _ = publish(&hub, "/a", 3);
    assert_eq!(queued(&other), [3]);
    hub.close();
    join(catch_up);
}

#[test]
fn closing_ends_every_stream_after_what_was_sent() {
    let (hub, lagging) = with_lagging_watch();
    let live = begin(&hub, watch("/a"));
    let _ = publish(&hub, "/a", 3);
    let catch_up = start_catch_up(&hub, || 3);
    hub.close();
    join(catch_up);
    assert_eq!(live.into_iter().map(|event| event.index().get()).collect::<Vec<_>>(), [3]);
    assert_eq!(lagging.iter().next().map(|event| event.index().get()), Some(1));
    assert!(lagging.recv().is_err());
    assert_eq!(hub.stats().watchers, 0);
}

#[test]
fn closing_ends_a_lagging_stream_that_nobody_served() {
    let (hub, lagging) = with_lagging_watch();
    hub.close();
    assert!(lagging.recv_timeout(FOREVER).is_ok());
    assert!(lagging.recv_timeout(FOREVER).is_err_and(|error| error.is_disconnected()));
}

#[test]
fn closing_ends_a_thousand_waiting_subscribers() {
    let hub = hub(10);
    let subscribers: Vec<_> = (0..1_000)
        .map(|_| begin(&hub, watch("/a")))
        .map(|watch| thread::Builder::new().stack_size(64 << 10).spawn(move || watch.iter().count()).unwrap())
        .collect();
    let _ = publish(&hub, "/a", 1);
    hub.close();
    for subscriber in subscribers {
        assert_eq!(subscriber.join().unwrap(), 1);
    }
}

#[test]
fn a_closed_hub_gives_streams_that_have_ended() {
    let hub = hub(10);
    hub.close();
    hub.close();
    let (late, catch_up) = hub.watch(since(0, watch("/a")));
    assert_eq!(catch_up, CatchUp::Served);
    let _ = publish(&hub, "/a", 1);
    assert_eq!(late.try_recv(), Err(TryRecvError::Disconnected));
    hub.run_catch_up(&|_| panic!("it returns at once"));
}

#[test]
fn a_watch_keeps_no_hub() {
    let (hub, lagging) = with_lagging_watch();
    let live = begin(&hub, watch("/a"));
    drop(hub);
    assert_eq!(live.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(lagging.iter().count(), 1);
}

#[test]
fn two_watches_can_be_selected_on() {
    let hub = hub(10);
    let (a, b) = (begin(&hub, watch("/a")), begin(&hub, watch("/b")));
    let _ = publish(&hub, "/b", 1);
    crossbeam_channel::select! {
        recv(a.receiver()) -> event => panic!("not {event:?}"),
        recv(b.receiver()) -> event => assert_eq!(event.unwrap().index(), Index::new(1)),
        default(FOREVER) => panic!("there is one"),
    }
}

#[test]
fn a_subscription_calls_back_in_order_until_it_is_dropped() {
    let hub = hub(10);
    let (sender, seen) = unbounded();
    let subscription = begin(&hub, watch("/a"))
        .on_event(move |event| {
            let name = thread::current().name().map(str::to_owned);
            sender.send((event.index().get(), name)).unwrap();
        })
        .unwrap();
    let name = Some("spinney-watch".to_owned());
    for index in 1..=3 {
        let _ = publish(&hub, "/a", index);
        assert_eq!(seen.recv_timeout(FOREVER), Ok((index, name.clone())));
    }
    assert!(!subscription.is_finished());
    drop(subscription);
    assert_eq!(hub.stats().watchers, 0);
    assert!(seen.recv_timeout(FOREVER).is_err_and(|error| error.is_disconnected()), "the callback is gone");
}

#[test]
fn dropping_a_subscription_leaves_what_is_queued_and_waits_for_the_call_that_runs() {
    let hub = hub(10);
    let calls = Arc::new(AtomicUsize::new(0));
    let (entered, in_callback) = bounded(0);
    let subscription = {
        let calls = Arc::clone(&calls);
        begin(&hub, watch("/a")).on_event(move |_| {
            entered.send(()).unwrap();
            thread::sleep(Duration::from_millis(20));
            calls.fetch_add(1, Ordering::SeqCst);
        })
    };
    for index in 1..=5 {
        let _ = publish(&hub, "/a", index);
    }
    in_callback.recv_timeout(FOREVER).unwrap();
    drop(subscription.unwrap());
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn a_callback_may_drop_its_own_subscription() {
    let hub = hub(10);
    let own: Arc<Mutex<Option<Subscription>>> = Arc::default();
    let (sender, seen) = unbounded();
    let in_callback = Arc::clone(&own);
    let subscription = begin(&hub, watch("/a")).on_event(move |event| {
        drop(in_callback.lock().take());
        sender.send(event.index().get()).unwrap();
    });
    *own.lock() = Some(subscription.unwrap());
    let _ = publish(&hub, "/a", 1);
    let _ = publish(&hub, "/a", 2);
    assert_eq!(seen.recv_timeout(FOREVER), Ok(1));
    assert!(seen.recv_timeout(FOREVER).is_err_and(|error| error.is_disconnected()), "that call was the last");
}

#[test]
fn a_callback_that_panics_ends_its_own_subscription() {
    let hub = hub(10);
    let (sender, seen) = unbounded();
    let panics = begin(&hub, watch("/a")).on_event(|_| panic!("as this test wants it")).unwrap();
    let other = begin(&hub, watch("/a")).on_event(move |event| sender.send(event.index().get()).unwrap());
    for index in 1..=2 {
        let _ = publish(&hub, "/a", index);
        assert_eq!(seen.recv_timeout(FOREVER), Ok(index));
    }
    drop(panics);
    assert_eq!(hub.stats().watchers, 1);
    drop(other);
}

#[test]
fn closing_ends_a_subscription() {
    let hub = hub(10);
    let (sender, seen) = bounded::<()>(0);
    let subscription = begin(&hub, watch("/a")).on_event(move |_| sender.send(()).unwrap()).unwrap();
    hub.close();
    assert!(seen.recv_timeout(FOREVER).is_err_and(|error| error.is_disconnected()));
    drop(subscription);
}

/// A waker that says how often it was woken.
#[derive(Default)]
struct Woken(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn a_task_that_waits_is_woken_by_an_event_by_a_resync_and_by_the_end() {
    use std::task::{Context, Poll, Waker};

    let hub = hub(1);
    let woken = Arc::new(Woken::default());
    let count = || woken.0.load(std::sync::atomic::Ordering::SeqCst);
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let watch = begin(&hub, capacity(1, watch("/a")));

    assert!(watch.poll_recv(&mut context).is_pending());
    let _ = publish(&hub, "/b", 1);
    assert_eq!(count(), 0, "this was somebody else's");
    let _ = publish(&hub, "/a", 2);
    assert_eq!(count(), 1);
    let Poll::Ready(Some(event)) = watch.poll_recv(&mut context) else { panic!() };
    assert_eq!(event.index().get(), 2);

    // One fills the channel, the others are more than history keeps.
    for index in 3..6 {
        let _ = publish(&hub, "/a", index);
    }
    assert_eq!(queued(&watch), [3]);
    assert!(watch.poll_recv(&mut context).is_pending());
    let catch_up = start_catch_up(&hub, || 5);
    eventually("the task is woken for the resync", || count() == 2);
    let Poll::Ready(Some(Event::Resync(resync))) = watch.poll_recv(&mut context) else { panic!() };
    assert_eq!(resync.index.get(), 5);

    assert!(watch.poll_recv(&mut context).is_pending());
    hub.close();
    assert_eq!(count(), 3);
    assert_eq!(watch.poll_recv(&mut context), Poll::Ready(None));
    assert_eq!(watch.poll_recv(&mut context), Poll::Ready(None));
    join(catch_up);
}

/// It begins to wait while the event is being sent: whichever comes first, it hears of it.
#[test]
fn a_task_sleeps_through_nothing() {
    use std::task::{Context, Poll, Wake, Waker};

    struct Tell(crossbeam_channel::Sender<()>);
    impl Wake for Tell {
        fn wake(self: Arc<Self>) {
            // Whoever has heard of it before it was woken is gone.
            let _ = self.0.send(());
        }
    }
    let hub = hub(10);
    let (begin_now, now) = bounded(0);
    thread::scope(|scope| {
        let publisher = &hub;
        scope.spawn(move || {
            now.iter().for_each(|index| {
                let _ = publish(publisher, "/a", index);
            })
        });
        for index in 1..=20_000 {
            let (woken, wakes) = unbounded();
            let waker = Waker::from(Arc::new(Tell(woken)));
            let mut context = Context::from_waker(&waker);
            let watch = begin(&hub, watch("/a"));
            begin_now.send(index).unwrap();
            // Sometimes before it is sent, sometimes after.
            (0..index % 500 * 4).for_each(|_| std::hint::spin_loop());
            while watch.poll_recv(&mut context) == Poll::Pending {
                wakes.recv_timeout(FOREVER).expect("somebody wakes it");
            }
        }
        drop(begin_now);
    });
}
