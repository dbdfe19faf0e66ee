//! What the fuzzer has found worth keeping, replayed on every run: no nightly compiler, no libFuzzer.
//!
//! `fuzz/README.md` says how the files came about and how to fuzz on.

#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::path::Path;

#[path = "../fuzz/bodies/command.rs"]
mod command;
#[cfg(feature = "cluster")]
#[path = "../fuzz/bodies/frame.rs"]
mod frame;
#[cfg(feature = "cluster")]
#[path = "../fuzz/bodies/handshake.rs"]
mod handshake;
#[cfg(feature = "http")]
#[path = "../fuzz/bodies/http_request.rs"]
mod http_request;
#[path = "../fuzz/bodies/image.rs"]
mod image;
#[cfg(feature = "cluster")]
#[path = "../fuzz/bodies/joining.rs"]
mod joining;
#[path = "../fuzz/bodies/key.rs"]
mod key;
#[path = "../fuzz/bodies/log_recovery.rs"]
mod log_recovery;
#[path = "../fuzz/bodies/message.rs"]
mod message;
#[path = "../fuzz/bodies/snapshot.rs"]
mod snapshot;
#[path = "../fuzz/bodies/tree_model.rs"]
mod tree_model;

#[test]
fn key() {
    replay("key", key::run);
}

#[test]
fn command() {
    replay("command", command::run);
}

#[test]
fn tree_model() {
    replay("tree_model", tree_model::run);
}

#[test]
fn image() {
    replay("image", image::run);
}

#[test]
fn log_recovery() {
    replay("log_recovery", log_recovery::run);
}

#[test]
fn snapshot() {
    replay("snapshot", snapshot::run);
}

#[cfg(feature = "cluster")]
#[test]
fn frame() {
    replay("frame", frame::run);
}

#[cfg(feature = "cluster")]
#[test]
fn handshake() {
    replay("handshake", handshake::run);
}

#[test]
fn message() {
    replay("message", message::run);
}

#[cfg(feature = "cluster")]
#[test]
fn joining() {
    replay("joining", joining::run);
}

#[cfg(feature = "http")]
#[test]
fn http_request() {
    replay("http_request", http_request::run);
}

fn replay(target: &str, run: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = corpus.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", corpus.display());
    for file in files {
        println!("{}", file.display());
        run(&std::fs::read(file).unwrap());
    }
}
