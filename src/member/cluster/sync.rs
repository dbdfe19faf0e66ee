//! What the crank is built from. A test plays it with others in their place, which try every order in which threads can
//! run.

pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};

pub(super) use parking_lot::{Mutex, MutexGuard};
