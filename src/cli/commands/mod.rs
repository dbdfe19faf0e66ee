//! The commands, a file for what belongs together.

pub(super) mod auth;
pub(super) mod backup;
pub(super) mod completions;
mod confirm;
pub(super) mod document;
pub(super) mod edit;
pub(super) mod exec_watch;
pub(super) mod export;
pub(super) mod health;
pub(super) mod import;
pub(super) mod interrupt;
pub(super) mod member;
pub(super) mod plan;
pub(super) mod read;
pub(super) mod recover;
pub(super) mod remove;
pub(super) mod role;
pub(super) mod source;
pub(super) mod tree;
mod unique;
pub(super) mod user;
pub(super) mod watch;
pub(super) mod write;
