//! Watching by callback.

use std::convert::Infallible;
use std::thread::{self, JoinHandle};
use std::{fmt, io};

use crossbeam_channel::{Receiver, Sender, bounded, select_biased};

use super::stream::Watch;
use crate::event::Event;

/// A watch that calls back, as [`Watch::on_event`] began it. Dropping it ends the watch.
///
/// When the drop returns, the callback is not running and will not run again, whatever was still queued. Within
/// the callback itself the drop does not wait: that call is the last one.
#[must_use = "dropping it ends the subscription"]
pub struct Subscription {
    /// Dropped to stop the thread; nothing is ever sent.
    stop: Option<Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Subscription {
    pub(super) fn start(watch: Watch, callback: impl FnMut(Event) + Send + 'static) -> io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let thread = thread::Builder::new()
            .name("spinney-watch".to_owned())
            .spawn(move || call_back(&watch, &stopped, callback))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Whether no call will come any more: the store is closed, or the callback panicked.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// The thread of a subscription.
fn call_back(watch: &Watch, stopped: &Receiver<Infallible>, mut callback: impl FnMut(Event)) {
    loop {
        // The order counts: once stopped, what is queued is left.
        select_biased! {
            recv(stopped) -> _ => return,
            recv(watch.receiver()) -> event => match event {
                Ok(event) => callback(event),
                Err(_closed) => return,
            },
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            // A callback may drop its own subscription, and cannot wait for itself.
            && thread.thread().id() != thread::current().id()
        {
            // A callback that panicked has been reported by its thread, and it is no matter of who drops this.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}
