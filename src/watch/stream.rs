//! The subscriber's end of a watch.

use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::sync::{Arc, Once, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use crossbeam_channel::{Iter, Receiver, RecvError, RecvTimeoutError, TryIter, TryRecvError};

use super::bell::Bell;
use super::filter::Filter;
use super::hub::Hub;
use super::subscription::Subscription;
use super::watcher::WatcherId;
use crate::event::Event;
use crate::key::Key;

/// A stream of what changes at a key, in the order of the indexes, each change once.
///
/// It is an iterator, a receiver to be polled or selected on, or, with [`Watch::on_event`], a callback. It ends
/// when the store is closed, after what was sent before; and dropping it ends the watch at once. It does not
/// keep the store open.
///
/// A subscriber may take its time: writers never wait for it. A number of events waits for it, and when there
/// are more, it is served from the history of the store. Where that does not reach back far enough either, the
/// subscriber gets an [`Event::Resync`] with what is there now, and then what follows.
///
/// ```
/// let store = spinney::Store::in_memory();
/// let watch = store.watch("/jobs").recursive().start()?;
/// store.set("/jobs/7", "queued")?;
/// store.set("/jobs/7", "done")?;
///
/// let values = watch.iter().take(2).map(|event| event.change().unwrap().node.text().unwrap().to_owned());
/// assert_eq!(values.collect::<Vec<_>>(), ["queued", "done"]);
/// # Ok::<(), spinney::Error>(())
/// ```
///
/// A watch may begin in the past: here with the change after the one that was read last.
///
/// ```
/// let store = spinney::Store::in_memory();
/// let seen = store.set("/a", "1")?.index();
/// store.set("/a", "2")?;
///
/// let watch = store.watch("/a").since(seen.next()).start()?;
/// assert_eq!(watch.try_recv().unwrap().change().unwrap().node.text(), Some("2"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Watch {
    // Dropped before the receiver: the hub forgets the watcher while its channel is whole.
    registration: Registration,
    receiver: Receiver<Event>,
    /// Where a task waits that is no thread.
    bell: Arc<Bell>,
    /// Done when the hub knows of that.
    polled: Once,
}

impl Watch {
    pub(super) fn new(registration: Registration, receiver: Receiver<Event>, bell: Arc<Bell>) -> Self {
        Self { registration, receiver, bell, polled: Once::new() }
    }

    /// The key that is watched.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.registration.filter.key
    }

    /// Waits for the next event.
    ///
    /// # Errors
    ///
    /// When the store is closed and all was received.
    pub fn recv(&self) -> Result<Event, RecvError> {
        self.receiver.recv()
    }

    /// Waits for the next event, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// When the time is over, or the store is closed and all was received.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Event, RecvTimeoutError> {
        self.receiver.recv_timeout(timeout)
    }

    /// The next event, if it is there.
    ///
    /// # Errors
    ///
    /// When there is none now, or the store is closed and all was received.
    pub fn try_recv(&self) -> Result<Event, TryRecvError> {
        self.receiver.try_recv()
    }

    /// The next event, if it is there; if not, the task of `context` is woken when one is. `None` when the store is
    /// closed and all was received. For tasks of any async runtime; one task waits at a time, the last that asked.
    ///
    /// ```
    /// use std::future::poll_fn;
    ///
    /// # use std::{pin::pin, sync::Arc, task::{Context, Poll, Wake, Waker}, thread::{self, Thread}};
    /// # struct Unpark(Thread);
    /// # impl Wake for Unpark { fn wake(self: Arc<Self>) { self.0.unpark() } }
    /// # fn block_on<T>(future: impl Future<Output = T>) -> T {
    /// #     let waker = Waker::from(Arc::new(Unpark(thread::current())));
    /// #     let mut future = pin!(future);
    /// #     loop {
    /// #         match future.as_mut().poll(&mut Context::from_waker(&waker)) {
    /// #             Poll::Ready(value) => return value,
    /// #             Poll::Pending => thread::park(),
    /// #         }
    /// #     }
    /// # }
    /// let store = spinney::Store::in_memory();
    /// let watch = store.watch("/a").start()?;
    /// let writer = store.clone();
    /// let thread = thread::spawn(move || writer.set("/a", "1").map(|change| change.index()));
    /// let event = block_on(poll_fn(|context| watch.poll_recv(context)));
    /// assert_eq!(event.map(|event| event.index()), thread.join().unwrap().ok());
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn poll_recv(&self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Ok(event) = self.receiver.try_recv() {
            return Poll::Ready(Some(event));
        }
        self.polled.call_once(|| self.registration.poll());
        let ended = self.bell.listen(context.waker());
        // What was sent before the task began to listen has woken nobody.
        match self.receiver.try_recv() {
            Ok(event) => Poll::Ready(Some(event)),
            Err(TryRecvError::Empty) if !ended => Poll::Pending,
            Err(_) => Poll::Ready(None),
        }
    }

    /// The events from here on, waiting for each, until the store is closed.
    pub fn iter(&self) -> Iter<'_, Event> {
        self.receiver.iter()
    }

    /// The events that are there, without waiting.
    pub fn try_iter(&self) -> TryIter<'_, Event> {
        self.receiver.try_iter()
    }

    /// The channel itself, for [`crossbeam_channel::select!`]. A clone of it does not keep the watch: it ends
    /// when the watch is dropped, after what was sent before.
    ///
    /// ```
    /// use std::time::Duration;
    /// use crossbeam_channel::{after, select};
    ///
    /// let store = spinney::Store::in_memory();
    /// let (orders, stock) = (store.watch("/orders").start()?, store.watch("/stock").start()?);
    /// store.set("/stock", 5)?;
    /// select! {
    ///     recv(orders.receiver()) -> event => panic!("nothing was ordered: {event:?}"),
    ///     recv(stock.receiver()) -> event => assert_eq!(event?.index(), store.get("/stock")?.modified()),
    ///     recv(after(Duration::from_secs(5))) -> _ => panic!("the stock did change"),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn receiver(&self) -> &Receiver<Event> {
        &self.receiver
    }

    /// Calls `callback` with every event, on a thread of its own, until what is returned is dropped or the
    /// store is closed.
    ///
    /// A callback that panics ends its own subscription and nothing else. One that owns a handle of the store
    /// keeps the store open.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    ///
    /// ```
    /// use std::sync::mpsc;
    ///
    /// let store = spinney::Store::in_memory();
    /// let (sender, changed) = mpsc::channel();
    /// let subscription = store.watch("/config").start()?.on_event(move |event| {
    ///     sender.send(event.index()).ok();
    /// })?;
    /// let index = store.set("/config", "new")?.index();
    /// assert_eq!(changed.recv()?, index);
    /// drop(subscription);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_event(self, callback: impl FnMut(Event) + Send + 'static) -> io::Result<Subscription> {
        Subscription::start(self, callback)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("key", self.key())
            .field("recursive", &self.registration.filter.recursive)
            .field("queued", &self.receiver.len())
            .finish_non_exhaustive()
    }
}

impl<'a> IntoIterator for &'a Watch {
    type Item = Event;
    type IntoIter = Iter<'a, Event>;

    fn into_iter(self) -> Iter<'a, Event> {
        self.iter()
    }
}

impl IntoIterator for Watch {
    type Item = Event;
    type IntoIter = WatchIter;

    fn into_iter(self) -> WatchIter {
        WatchIter { watch: self }
    }
}

/// The events of a watch, waiting for each until the store is closed. Dropping it ends the watch.
#[derive(Debug)]
pub struct WatchIter {
    watch: Watch,
}

impl Iterator for WatchIter {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.watch.recv().ok()
    }
}

impl FusedIterator for WatchIter {}

/// A watcher's place in its hub, which is given up when this is dropped.
pub(super) struct Registration {
    /// Weak: a watch keeps nothing open.
    hub: Weak<Hub>,
    id: WatcherId,
    filter: Filter,
}

impl Registration {
    pub(super) fn new(hub: &Arc<Hub>, id: WatcherId, filter: Filter) -> Self {
        Self { hub: Arc::downgrade(hub), id, filter }
    }

    fn poll(&self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.poll(self.id, &self.filter);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.unregister(self.id, &self.filter);
        }
    }
}
