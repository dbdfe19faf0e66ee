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
