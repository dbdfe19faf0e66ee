//! The commands, a file for what belongs together.

pub(super) mod auth;
pub(super) mod backup;
pub(super) mod completions;
//TMP pub(super) mod document;
//TMP pub(super) mod edit;
pub(super) mod exec_watch;
//TMP pub(super) mod export;
pub(super) mod health;
//TMP pub(super) mod import;
pub(super) mod interrupt;
pub(super) mod member;
//TMP pub(super) mod plan;
pub(super) mod read;
pub(super) mod remove;
pub(super) mod role;
//TMP pub(super) mod source;
//TMP pub(super) mod tree;
pub(super) mod user;
pub(super) mod watch;
pub(super) mod write;
