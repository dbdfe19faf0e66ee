//! Writes that are awaited: by a task, where [`Pending::wait`] is for threads.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::pending::{Answer, Outcome, Pending};
use crate::error::Error;

/// Where the answer is left for a task, and the task its waker.
#[derive(Default)]
pub(super) struct Arrival(Mutex<State>);

#[derive(Default)]
struct State {
    answer: Option<Answer>,
    waker: Option<Waker>,
}

impl Arrival {
    fn arrive(&self, answer: Answer) {
        let mut state = self.0.lock();
        state.answer = Some(answer);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Answer> {
        let mut state = self.0.lock();
        match state.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// What [`Pending::wait`] returns, without a thread that waits. Like any future it is not to be polled again once it
/// was ready.
///
/// ```
/// async fn write(store: &spinney::Store) -> Result<u64, spinney::Error> {
///     let change = store.put("/a").value("1").submit().await?;
///     Ok(change.index().get())
/// }
/// ```
impl<T: Outcome> Future for Pending<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let arrival = match &self.arrival {
            Some(arrival) => arrival,
            None => {
                let arrival = Arc::new(Arrival::default());
                let left = Arc::clone(&arrival);
                self.notify(Box::new(move |answer| left.arrive(answer)));
                self.arrival.insert(arrival)
            }
        };
        arrival.poll(context).map(|answer| answer.map(T::from_written))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::thread::{self, Thread};

    use super::*;
    use crate::store::Store;

    /// Counts how often it is woken, and wakes a thread.
    struct Alarm(AtomicUsize, Thread);

    impl Wake for Alarm {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
            self.1.unpark();
        }
    }

    #[test]
    fn an_awaited_write_wakes_its_task_once() {
        let store = Store::in_memory();
        for n in 0..200 {
            let alarm = Arc::new(Alarm(AtomicUsize::new(0), thread::current()));
            let waker = Waker::from(Arc::clone(&alarm));
            let mut write = pin!(store.put("/a").value(n).submit());
            let mut polled = 0;
            let change = loop {
                polled += 1;
                match write.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Ready(outcome) => break outcome.unwrap(),
                    Poll::Pending => thread::park(),
                }
            };
            assert_eq!(change.node.parse::<i32>(), Some(n));
            assert!(alarm.0.load(Ordering::SeqCst) <= 1 && polled <= 3, "{polled}");
        }
    }

    #[test]
    fn what_was_refused_at_once_is_ready_at_once_and_a_dropped_future_takes_nothing_back() {
        let store = Store::in_memory();
        let mut refused = pin!(store.put("//").submit());
        let polled = refused.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Err(Error::InvalidKey { .. }))));

        let mut dropped = Box::pin(store.put("/a").value("1").submit());
        let _ = dropped.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(dropped);
        // Those that are submitted later are done later.
        store.put("/b").submit().wait().unwrap();
        assert_eq!(store.get("/a").unwrap().text(), Some("1"));
    }
}
