//! Three members on loopback beside a bare replication loop: TCP, a sync by a majority, and no Raft. With feature `cli` also
//! three `spinney serve`, beside three etcd 3.4 if it is installed.
//!
//! ```text
//!   cargo bench --features cli --bench cluster                  every row
//!   cargo bench --features cli --bench cluster -- PUT killed    only the rows whose name contains one of these
//!   cargo bench --features cli --bench cluster -- --quick       fewer and shorter rounds, fewer keys
//!   cargo bench --bench cluster                                 the rows about members in one process
//!   cargo bench --bench cluster -- --dir /mnt/d                 on another disk than the one of the build directory
//! ```
//! All members share the cores and the disk of this machine, and so do the copies of the bare loop: what is compared
//! is what each makes of that. As in `benches/store`, contestants take turns, and what is printed is the median and the
//! median of the ratios round by round.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(dead_code, reason = "parts that are shared with benches/store")]

mod bare;
#[path = "../store/machine.rs"]
mod machine;
mod members;
#[cfg(feature = "cli")]
mod processes;
#[path = "../store/limits/raw_log.rs"]
mod raw_log;
#[cfg(feature = "cli")]
mod served;
#[cfg(feature = "cli")]
#[path = "../shared/mod.rs"]
mod shared;
#[path = "../store/slice.rs"]
mod slice;
#[path = "../store/table.rs"]
mod table;
#[path = "../store/turns.rs"]
mod turns;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bare::Bare;
use members::{Members, keys};
use slice::per_second;
use table::{Reach, Row, Table, Unit};
use turns::in_turns;

/// A benchmark has nothing better to do with an error than to print it.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How many callers write at a time, row by row, and how many read.
const CALLERS: [usize; 4] = [1, 16, 64, 256];
const READERS: usize = 64;

const LATEST: &str = "linearizable get by the leader, 64 callers";
const LEASED: &str = "the same with leases, 64 callers";
const LOCAL: &str = "local get, 1 caller";
const CLOSES: &str = "a leader closes: until the next write";

fn write_row(callers: usize) -> String {
    format!("durable set by the leader, {callers} callers; a bare replication loop")
}

/// What the command line asks for.
struct Options {
    rounds: usize,
    slice: Duration,
    directory: PathBuf,
    /// How many leaders end.
    ends: usize,
    /// How many keys the row about memory writes.
    keys: usize,
    /// Parts of the names of rows; every row if there are none.
    wanted: Vec<String>,
}

impl Options {
    fn wants(&self, row: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|part| row.contains(part.as_str()))
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    #[cfg(feature = "cli")]
    if arguments.first().is_some_and(|first| first == shared::servers::FLAG) {
        return exit(shared::servers::serve(&arguments[1..]));
    }
    // Cargo says `--bench` when it means it: `cargo test --all-targets` starts this program, too.
    if arguments.iter().all(|argument| argument != "--bench") {
        println!("nothing is measured except by `cargo bench`");
        return ExitCode::SUCCESS;
    }
    exit(parse(&arguments).and_then(|options| measure(&options)))
}

fn exit(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options {
        rounds: 9,
        slice: Duration::from_millis(500),
        directory: env!("CARGO_TARGET_TMPDIR").into(),
        ends: 20,
        keys: 1_000_000,
        wanted: Vec::new(),
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => {}
            "--quick" => {
                (options.rounds, options.slice) = (3, Duration::from_millis(200));
                (options.ends, options.keys) = (5, 50_000);
            }
            "--dir" => options.directory = arguments.next().ok_or("--dir wants a path")?.into(),
            other if other.starts_with("--") => return Err(format!("{other} is not known").into()),
            part => options.wanted.push(part.to_owned()),
        }
    }
    Ok(options)
}

fn measure(options: &Options) -> Result<()> {
    let scratch = machine::scratch(&options.directory)?;
    let mut table = Table::default();
    let names = CALLERS.map(write_row).into_iter().chain([LATEST, LEASED, LOCAL, CLOSES].map(str::to_owned));
    if names.into_iter().any(|name| options.wants(&name)) {
        in_this_process(options, scratch.path(), &mut table)?;
    }
    #[cfg(feature = "cli")]
    served::measure(options, scratch.path(), &mut table)?;
    #[cfg(not(feature = "cli"))]
    eprintln!("rows about processes want --features cli");
    print!("{table}");
    Ok(())
}

/// The rows about members in this process.
fn in_this_process(options: &Options, scratch: &Path, table: &mut Table) -> Result<()> {
    let bare = Bare::start(scratch)?;
    let members = Members::start(scratch)?;
    writes(options, &bare, &members, table)?;
    if [LATEST, LEASED, LOCAL].iter().any(|name| options.wants(name)) {
        let leased = scratch.join("leases");
        std::fs::create_dir(&leased)?;
        reads(options, &members, &Members::start_with_leases(&leased)?, table)?;
    }
    drop(bare);
    if options.wants(CLOSES) {
        table.add(members.failovers(CLOSES, options.ends)?);
    }
    Ok(())
}

fn writes(options: &Options, bare: &Bare, members: &Members, table: &mut Table) -> Result<()> {
    let keys = keys();
    let bare = |callers| {
        let commit = || {
            let mut commit = bare.committer();
            Ok(move |_: &str| {
                commit();
                Ok(())
            })
        };
        Ok([per_second(&keys, callers, options.slice, 1, commit)?])
    };
    let spinney = |callers| {
        let leader = members.leader()?;
        Ok([per_second(&keys, callers, options.slice, 1, || Ok(|key: &str| members::set(&leader, key)))?])
    };
    for callers in CALLERS.into_iter().filter(|callers| options.wants(&write_row(*callers))) {
        let [[limit], [spinney]] =
            in_turns(options.rounds, [Box::new(|| bare(callers)), Box::new(|| spinney(callers))])?;
        table.add(Row {
            what: write_row(callers),
            unit: Unit::PerSecond,
            spinney,
            limit: Some(limit),
            reach: Reach::TimesAtLeast(0.85),
        });
    }
    Ok(())
}

fn reads(options: &Options, members: &Members, leased: &Members, table: &mut Table) -> Result<()> {
    let keys = keys();
    let (leader, leased) = (members.leader()?, leased.leader()?);
    let latest_of = |store: &spinney::Store| {
        let read = || Ok(|key: &str| store.get_latest(key).map(drop).map_err(Into::into));
        Ok([per_second(&keys, READERS, options.slice, 1, read)?])
    };
    let (latest, leased) = (|| latest_of(&leader), || latest_of(&leased));
    let local = || {
        let read = || Ok(|key: &str| leader.get(key).map(drop).map_err(Into::into));
        Ok([per_second(&keys, 1, options.slice, 64, read)?])
    };
    let [[latest], [leased], [local]] =
        in_turns(options.rounds, [Box::new(latest), Box::new(leased), Box::new(local)])?;
    table.add(Row {
        what: LATEST.to_owned(),
        unit: Unit::PerSecond,
        spinney: latest,
        limit: None,
        reach: Reach::AtLeast(300_000.0),
    });
    table.add(Row {
        what: LEASED.to_owned(),
        unit: Unit::PerSecond,
        spinney: leased,
        limit: None,
        reach: Reach::AtLeast(300_000.0),
    });
    table.add(Row {
        what: LOCAL.to_owned(),
        unit: Unit::PerSecond,
        spinney: local,
        limit: None,
        reach: Reach::ToCompare,
    });
    Ok(())
}
