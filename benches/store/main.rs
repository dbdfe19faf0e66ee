//! Spinney against the machine's own limits: a bare file, a bare map, a bare wheel, written by hand beside it.
//!
//! ```text
//!   cargo bench --bench store                   every row, some minutes
//!   cargo bench --bench store -- get ttl        only the groups whose name contains one of these
//!   cargo bench --bench store -- --quick        fewer and shorter rounds
//!   cargo bench --bench store -- --dir /mnt/d   on another disk than the one of the build directory
//! ```
//!
//! A group measures what it compares in turns ([`turns`]): round after round, each for a short slice, in
//! rotating order, so that whatever the machine is doing meanwhile falls on all alike. What is printed is the
//! median of each, the median of the ratios round by round, whether that reaches what we promise ourselves, and
//! how far the rounds lie apart: far, where the machine was not ours alone, and then measure again.
//!
//! The limits are in [`limits`], one small file each; how the rows are made is in [`rows`]; what they ask of
//! spinney is in [`subject`]. Other databases are in `benches/peers`, which is a package of its own.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod child;
mod device;
mod keys;
mod limits;
mod machine;
mod rows;
mod slice;
mod subject;
mod table;
mod turns;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use table::Table;

/// A benchmark has nothing better to do with an error than to print it.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What the command line asks for.
struct Options {
    rounds: usize,
    slice: Duration,
    directory: PathBuf,
    groups: Vec<String>,
}

/// What a group gets to work with.
struct Bench<'a> {
    /// How often every contestant has its turn.
    rounds: usize,
    /// How long a turn is, where it is for as long as one likes.
    slice: Duration,
    /// An empty directory on a real disk.
    scratch: &'a Path,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some(child::FLAG) => child::run(&arguments[1..]),
        // Cargo says `--bench` when it means it: `cargo test --all-targets` starts this program, too.
        _ if arguments.iter().all(|argument| argument != "--bench") => {
            println!("nothing is measured except by `cargo bench`");
            Ok(())
        }
        _ => Options::parse(&arguments).and_then(|options| measure(&options)),
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
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            rounds: 11,
            slice: Duration::from_millis(300),
            directory: env!("CARGO_TARGET_TMPDIR").into(),
            groups: Vec::new(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => {}
                "--quick" => (options.rounds, options.slice) = (3, Duration::from_millis(100)),
                "--dir" => options.directory = arguments.next().ok_or("--dir wants a path")?.into(),
                group if rows::GROUPS.iter().any(|(name, _)| name.contains(group)) => {
                    options.groups.push(group.to_owned());
                }
                other => {
                    let names: Vec<_> = rows::GROUPS.iter().map(|(name, _)| *name).collect();
                    return Err(format!("no group is called {other}; there are: {}", names.join(", ")).into());
                }
            }
        }
        Ok(options)
    }

    fn wants(&self, group: &str) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|part| group.contains(part.as_str()))
    }
}

/// Runs the groups that are wanted, each in a directory of its own, and prints one table.
fn measure(options: &Options) -> Result<()> {
    let scratch = machine::scratch(&options.directory)?;
    let mut table = Table::default();
    for (name, group) in rows::GROUPS {
        if options.wants(name) {
            eprintln!("measuring {name}");
            let directory = scratch.path().join(name);
            std::fs::create_dir(&directory)?;
            let bench = Bench { rounds: options.rounds, slice: options.slice, scratch: &directory };
            group(&bench, &mut table)?;
            std::fs::remove_dir_all(&directory)?;
        }
    }
    print!("{table}");
    Ok(())
}
