//! Watches: every change goes to those it concerns, in order, and no writer waits for anybody.
//!
//! ```text
//!                      ┌──────────────────── Hub, one lock ────────────────────┐
//!   writer ── publish ─┼─► History   a ring of the last changes                │
//!                      │      │                                                │
//!                      │      ▼                                                │
//!                      │   Watchers  by key ─► Watcher { next, sender } ───────┼─► channel ─► Watch
//!                      │                          ▲         ▲                  │
//!                      └──────────────────────────┼─────────┼──────────────────┘
//!                                    live: publish     lagging: the catch-up, one thread for all
//! ```
//! A watcher is *live*, and the writer sends to it, until its channel is full. Then it is *lagging*: the writer
//! passes over it, and the catch-up sends to it from history as its channel gets room, from `next` on. When it
//! has come to the end of history, it is live again. When what is next is not in history any more, it gets a
//! `Resync`: what is at its key now. A watch that begins in the past is a watcher that was always behind.
//!
//! Who is told of a change is a matter of its path alone, see [`Filter`](filter::Filter), with one exception: the
//! removal of a directory is told to those who watch what was in it. The writer knows what that was. History
//! does not, and tells all who watch a key below.
//!
//! Invariants, all under the hub's lock:
//!
//! - **Once, in order.** What is sent to a watcher is sent with the lock held, by the writer while it is live,
//!   by the catch-up while it lags; and `next` moves past each index as it is sent.
//! - **No gap.** A live watcher has been sent all that matches up to the history's last index. `next` of a
//!   lagging one moves over nothing that matches but by sending it, or by a `Resync` of a later index.
//! - **A resync may be ahead.** The tree applies a change before it is published, so the content that is read
//!   for a `Resync` may be newer than the hub: what is then published up to its index is passed over.
//!
//! **Lock order: there is none, because the tree's lock and the hub's are never held together.** The writer
//! publishes after it has let go of the tree; the catch-up reads the tree for a `Resync` without the hub's lock.
//! In between the watcher lags, so nobody sends to it. Nothing of a caller's is called under the hub's lock: the
//! wakers of tasks that wait are collected under it and woken after.
//!
//! Nothing here reads a clock, polls, or starts a thread, save [`Watch::on_event`], which is asked to.

mod bell;
mod catch_up;
mod filter;
mod history;
mod hub;
mod stream;
mod subscription;
mod watcher;
mod watchers;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub(crate) use catch_up::Laggards;
pub(crate) use history::History;
pub use history::HistoryLimits;
#[cfg(feature = "http")]
pub(crate) use hub::Past;
pub use hub::WatchStats;
pub(crate) use hub::{CatchUp, Hub, WatchRequest};
pub use stream::{Watch, WatchIter};
pub use subscription::Subscription;
