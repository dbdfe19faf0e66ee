//! Scripts that read as documentation: commands, and below them what came of it.
//!
//! A folder of `scripts/` holds those of one part, each named by its theme, beside the runner that knows its
//! commands. `UPDATE_GOLDENFILES=1 cargo test --test scripts` writes the outcomes anew; the diff is what to review.
//! `SPINNEY_SCRIPT=NAME` plays only those whose names begin so.

#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod cluster;
#[path = "scripts/raft.rs"]
mod raft;
#[path = "scripts/tree.rs"]
mod tree;
#[path = "scripts/wal.rs"]
mod wal;

use std::path::Path;

#[test]
fn raft() {
    play_all("raft", raft::Runner::new);
}

#[test]
fn tree() {
    play_all("tree", tree::Runner::new);
}

#[test]
fn wal() {
    play_all("wal", wal::Runner::new);
}

/// Plays every script of `folder`, each with a runner of its own.
fn play_all<R: goldenscript::Runner>(folder: &str, runner: impl Fn() -> R) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(folder);
    let mut scripts: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    let wanted = std::env::var("SPINNEY_SCRIPT").unwrap_or_default();
    scripts.retain(|script| script.file_name().unwrap().to_string_lossy().starts_with(&wanted));
    scripts.sort();
    assert!(!scripts.is_empty(), "{} holds no scripts", folder.display());
    for script in scripts {
        println!("{}", script.display());
        goldenscript::run(&mut runner(), &script).unwrap();
    }
}
