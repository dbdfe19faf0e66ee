//! Spinney beside other embedded stores, and beside another Raft: the same work for each, in one interleaved run.
//!
//! ```text
//!   cargo run --release                         100,000 keys, some minutes
//!   cargo run --release -- --quick              the same in under a minute, and rougher
//!   cargo run --release -- --keys 1000000       with a million keys
//!   cargo run --release -- redb spinney         only these (`raw` always runs: it is the yardstick)
//!   cargo run --release -- --dir /mnt/disk      on another disk than the one of the build directory
//!   cargo run --release -- cluster              three members beside three of raft-rs: see [`cluster`]
//! ```
//!
//! Keys are `/svc/NNNN/MMMM`, values 64 bytes, and every set is a transaction of its own on a random key that
//! exists. A run is a number of rounds. In every round each contestant runs one short slice of every row, each
//! in a process of its own ([`child`]), and the order rotates, so that whatever the machine is doing meanwhile
//! falls on all alike. What is printed is the median over the rounds, the lowest and the highest (far apart
//! where the machine was not ours alone: measure again), and the median of the ratios, round by round, to `raw`
//! (a bare file and a bare map: what the machine gives to a program that is no database) and to `spinney`.
//!
//! How each contestant is configured, and why that is fair, stands at the top of its file in `contestants/`.
//! RocksDB takes part only with `--features rocksdb`: it wants libclang, and is a C++ build of many minutes unless
//! the system has it, as Debian has in `librocksdb-dev`:
//!
//! ```text
//!   ROCKSDB_LIB_DIR=/usr/lib/x86_64-linux-gnu ROCKSDB_INCLUDE_DIR=/usr/include cargo run --release --features rocksdb
//! ```

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "../../cluster/bare.rs"]
mod bare;
mod child;
mod cluster;
mod contestants;
#[path = "../../store/keys.rs"]
mod keys;
#[path = "../../store/machine.rs"]
mod machine;
#[allow(dead_code, reason = "shared with benches/cluster")]
#[path = "../../cluster/members.rs"]
mod members;
#[path = "../../store/limits/raw_log.rs"]
mod raw_log;
mod report;
#[path = "../../store/slice.rs"]
mod slice;
#[allow(dead_code, reason = "shared with benches/cluster")]
#[path = "../../store/table.rs"]
mod table;
#[allow(dead_code, reason = "shared with benches/cluster")]
#[path = "../../store/turns.rs"]
mod turns;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use child::Task;
use contestants::Kind;
use report::Results;

/// Whatever a contestant reports; this program only prints it.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What the command line asks for.
struct Options {
    keys: usize,
    rounds: usize,
    slice_ms: u64,
    directory: Option<PathBuf>,
    contestants: Vec<Kind>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some(child::FLAG) => child::run(&arguments[1..]),
        Some(cluster::NAME) => cluster::compare(&arguments[1..]),
        _ => Options::parse(&arguments).and_then(|options| compare(&options)),
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
        let mut options =
            Self { keys: 100_000, rounds: 9, slice_ms: 400, directory: None, contestants: Vec::new() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => (options.rounds, options.slice_ms) = (3, 150),
                "--keys" => options.keys = arguments.next().ok_or("--keys wants a number")?.parse()?,
                "--rounds" => options.rounds = arguments.next().ok_or("--rounds wants a number")?.parse()?,
                "--dir" => options.directory = Some(arguments.next().ok_or("--dir wants a path")?.into()),
                name => options.contestants.push(name.parse()?),
            }
        }
        if options.contestants.is_empty() {
            options.contestants = Kind::all().to_vec();
        }
        if !options.contestants.contains(&Kind::Raw) {
            options.contestants.insert(0, Kind::Raw);
        }
        Ok(options)
    }
}

/// The whole run: load every contestant once, then the rounds, then the table.
fn compare(options: &Options) -> Result<()> {
    // Beside the program, in the build directory: the usual place, `/tmp`, is memory on many machines.
    let program = std::env::current_exe()?;
    let parent =
        options.directory.as_deref().or(program.parent()).ok_or("the program lies in no directory")?;
    let scratch = machine::scratch(parent)?;
    let directory = |kind: Kind, purpose: &str| scratch.path().join(format!("{}-{purpose}", kind.name()));
    let mut results = Results::default();
    for &kind in &options.contestants {
        eprintln!("loading {} with {} keys", kind.name(), options.keys);
        for purpose in ["read", "write"] {
            child::ask(Task::Load, kind, &directory(kind, purpose), options.keys, 0)?;
        }
    }
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        let mut order = options.contestants.clone();
        order.rotate_left(round % options.contestants.len());
        for task in [Task::Durable, Task::Unsynced, Task::Read] {
            for &kind in &order {
                let purpose = if task == Task::Read { "read" } else { "write" };
                // What one leaves in the page cache must not be written back at the expense of the next.
                Command::new("sync").status()?;
                let rows = child::ask(task, kind, &directory(kind, purpose), options.keys, options.slice_ms)?;
                for (row, value) in rows {
                    results.add(row, kind, value);
                }
            }
        }
    }
    let sizes = options.contestants.iter().map(|&kind| (kind, disk_bytes(&directory(kind, "read"))));
    for (kind, bytes) in sizes.collect::<BTreeMap<_, _>>() {
        results.add(report::Row::DiskBytes, kind, bytes? as f64 / options.keys as f64);
    }
    println!("{} keys, {} rounds", options.keys, options.rounds);
    print!("{results}");
    Ok(())
}

/// What the files below `directory` take on the disk. A hole takes nothing.
fn disk_bytes(directory: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;

    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let (path, metadata) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
        bytes += if metadata.is_dir() { disk_bytes(&path)? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}
