//! What the benchmarks of servers share: processes that serve, and clients that ask.

#![allow(dead_code, reason = "each benchmark takes what it needs")]

pub(crate) mod load;
pub(crate) mod servers;

use std::error::Error;

/// A benchmark has nothing better to do with an error than to print it.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
