//! The locks that the round is built from. A test plays the round with others in their place, which try every
//! order in which threads can run.

pub(super) use std::thread::{Thread, current, park, park_timeout};

pub(super) use parking_lot::{Condvar, Mutex, MutexGuard};
