//! Watches: a look at history, then a response that goes on for as long as it takes, on nobody's thread.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Bytes;
use http_body::{Body, Frame};
use parking_lot::Mutex;

use super::event;
use super::request::Asking;
use crate::event::{Change, Event};
use crate::http::connection::Stopping;
use crate::http::front::Place;
use crate::http::names;
use crate::http::refusal::Refusal;
use crate::store::Store;
use crate::types::Index;
use crate::watch::{Watch, WatchRequest};

/// How much of history is looked at in one go, with the hub locked.
const LOOK_MAX: usize = 1_000;

/// How many events wait for a stream before it is served from history; as many as in etcd.
const STREAM_BUFFER: usize = 100;

/// The last change as text: those who watch the same key share one copy of it.
#[derive(Default)]
pub(in crate::http) struct Written(Mutex<Option<(Arc<Change>, Bytes)>>);

impl Written {
    fn line(&self, change: &Arc<Change>) -> Bytes {
        let mut last = self.0.lock();
        if let Some((written, line)) = &*last
            && Arc::ptr_eq(written, change)
        {
            return line.clone();
        }
        let line = Bytes::from(event::change(change));
        *last = Some((Arc::clone(change), line.clone()));
        line
    }
}

/// What has come of a watch so far.
pub(super) enum Begun {
    /// History had what was asked for.
    Answered(Arc<Change>),
    /// There is more to come.
    Open(WatchBody),
}

/// Begins what `asking` asks for.
///
/// # Errors
///
/// When some of what is asked for is gone.
pub(super) fn begin(
    store: &Store,
    index: Index,
    asking: Asking,
    place: Option<Place>,
    stopping: Option<Stopping>,
    written: Arc<Written>,
) -> Result<Begun, Refusal> {
    let (found, next) = look(store, index, &asking)?;
    if !asking.stream
        && let Some(change) = found.front()
    {
        return Ok(Begun::Answered(Arc::clone(change)));
    }
    let Asking { key, recursive, stream, since } = asking;
    let next = next.or(since).unwrap_or(index.next());
    let capacity = if stream { STREAM_BUFFER } else { 1 };
    let request = WatchRequest { key, recursive, hidden: false, since: Some(next), capacity };
    let watch = store.begin_watch(request);
    Ok(Begun::Open(WatchBody {
        watch,
        past: found,
        again: None,
        stream,
        is_over: false,
        stopping,
        written,
        _place: place,
    }))
}

/// What history has of what is asked for, if it asks for the past, and the index that follows; of a long poll, no
/// more than the first.
fn look(
    store: &Store,
    index: Index,
    asking: &Asking,
) -> Result<(VecDeque<Arc<Change>>, Option<Index>), Refusal> {
    let mut found = VecDeque::new();
    let Some(since) = asking.since else { return Ok((found, None)) };
    let mut next = since;
    loop {
        let past = store.past(next, LOOK_MAX);
        if next < past.first {
            return Err(Refusal::outdated(past.first, since, index));
        }
        for change in past.changes {
            next = change.index().next();
            if matches_past(&change, asking) {
                found.push_back(change);
                if !asking.stream {
                    return Ok((found, Some(next)));
                }
            }
        }
        if next > past.last {
            return Ok((found, Some(next)));
        }
    }
}

/// As in v2: hidden keys are not left out of a look at history, and what a directory that went away took along is
/// decided by the text of the paths.
fn matches_past(change: &Change, asking: &Asking) -> bool {
    let (key, watched) = (change.key(), &asking.key);
    let removed_directory = change.action.is_removal() && change.node.is_dir();
    !change.refresh
        && !names::is_own(key)
        && (key == watched
            || asking.recursive && key.is_below(watched)
            || removed_directory && watched.as_str().starts_with(key.as_str()))
}

/// The body of a response that waits. Dropping it, as happens when the client goes away, ends the watch.
pub(super) struct WatchBody {
    watch: Watch,
    /// What history had.
    past: VecDeque<Arc<Change>>,
    /// What is sent twice.
    again: Option<Bytes>,
    stream: bool,
    /// The last line is on its way.
    is_over: bool,
    /// `None` where nobody stops the server.
    stopping: Option<Stopping>,
    written: Arc<Written>,
    /// Its place among those that may wait.
    _place: Option<Place>,
}

impl Body for WatchBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.poll_line(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over && self.again.is_none()
    }
}

impl WatchBody {
    fn poll_line(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(line) = self.again.take() {
            return Poll::Ready(Some(line));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Some(change) = self.past.pop_front() {
            return Poll::Ready(Some(self.written.line(&change)));
        }
        if self.stopping.as_ref().is_some_and(Stopping::has_begun) {
            // The client sees the end and comes back, maybe to another member.
            self.is_over = true;
            return Poll::Ready(None);
        }
        match self.watch.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                self.is_over = true;
                Poll::Ready(None)
            }
            Poll::Ready(Some(event)) => Poll::Ready(Some(self.line(&event))),
        }
    }

    fn line(&mut self, event: &Event) -> Bytes {
        match event {
            Event::Change(change) => {
                let line = self.written.line(change);
                self.is_over = !self.stream;
                // As in v2: a stream of what is removed itself is told so twice.
                if self.stream && change.action.is_removal() && change.key() == self.watch.key() {
                    self.again = Some(line.clone());
                }
                line
            }
            Event::Resync(resync) => {
                self.is_over = true;
                Refusal::outdated(resync.history_from, resync.missed_from, resync.index).body().into()
            }
        }
    }
}
