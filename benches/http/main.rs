//! The HTTP front against the server whose API it speaks: etcd 3.4 in its v2 mode, if it is installed.
//!
//! ```text
//!   cargo bench --features http --bench http                 every row
//!   cargo bench --features http --bench http -- get put      only the rows whose name contains one of these
//!   cargo bench --features http --bench http -- --quick      fewer and shorter rounds, fewer keys
//! ```
//!
//! The servers are processes of their own, on the same disk, with every write synced. The same load comes to them in
//! turns, round after round, from one thread of this process over connections that stay open; what is printed is the
//! median of the rounds, and the median of the ratios round by round. Clients and server share the machine, as they
//! would in no real setting, and a client's work is as little as can be. A third server does nothing but receive, sync
//! and answer: `bare` is what this machine and these clients get at most.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod bare;
mod rows;
#[path = "../shared/mod.rs"]
mod shared;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use shared::{Result, servers};

/// What the command line asks for.
struct Options {
    rounds: usize,
    slice: Duration,
    /// How many keys the row about memory writes.
    keys: usize,
    wanted: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some(servers::FLAG) => servers::serve(&arguments[1..]),
        Some(bare::FLAG) => bare::serve(&arguments[1..]),
        // Cargo says `--bench` when it means it: `cargo test --all-targets` starts this program, too.
        _ if arguments.iter().all(|argument| argument != "--bench") => {
            println!("nothing is measured except by `cargo bench`");
            Ok(())
        }
        _ => rows::measure(&Options::parse(&arguments), &scratch()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn parse(arguments: &[String]) -> Self {
        let is_quick = arguments.iter().any(|argument| argument == "--quick");
        let wanted = arguments.iter().filter(|argument| !argument.starts_with("--")).cloned().collect();
        if is_quick {
            Self { rounds: 3, slice: Duration::from_millis(500), keys: 50_000, wanted }
        } else {
            Self { rounds: 7, slice: Duration::from_secs(2), keys: 1_000_000, wanted }
        }
    }

    fn wants(&self, row: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|part| row.contains(part.as_str()))
    }
}

/// A directory of this run's own, on the disk of the build directory.
fn scratch() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("http-{}", std::process::id()))
}
