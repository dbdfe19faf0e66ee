//! Members that talk over real sockets on loopback, and what may happen to them on the way.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

#[path = "net/damage.rs"]
mod damage;
#[path = "net/ending.rs"]
mod ending;
#[path = "net/limits.rs"]
mod limits;
#[path = "net/links.rs"]
mod links;
#[path = "net/member.rs"]
mod member;
#[path = "net/strangers.rs"]
mod strangers;
#[path = "net/successors.rs"]
mod successors;
mod support;
