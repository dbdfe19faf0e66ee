//! The machine's own limits: each the least code that does the one thing, and nothing else.

mod callbacks;
mod group_commit;
mod heap;
mod map;
mod pipeline;
mod raw_log;
mod timed_wait;
mod wheel;

pub(crate) use callbacks::Callbacks;
pub(crate) use group_commit::GroupCommit;
pub(crate) use heap::Heap;
pub(crate) use map::Map;
pub(crate) use pipeline::Pipeline;
pub(crate) use raw_log::{RECORD, RawLog};
pub(crate) use timed_wait::TimedWait;
pub(crate) use wheel::Wheel;
