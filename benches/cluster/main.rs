//! Three members on loopback beside a bare replication loop: TCP, a sync by a majority, and no Raft.
//!
//! ```text
//!   cargo bench --bench cluster                   every row
//!   cargo bench --bench cluster -- --quick        fewer and shorter rounds
//!   cargo bench --bench cluster -- --dir /mnt/d   on another disk than the one of the build directory
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
#[path = "../store/limits/raw_log.rs"]
mod raw_log;
#[path = "../store/slice.rs"]
mod slice;
#[path = "../store/table.rs"]
mod table;
#[path = "../store/turns.rs"]
mod turns;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bare::Bare;
use members::Members;
use slice::per_second;
use table::{Reach, Row, Table, Unit};
use turns::in_turns;

/// A benchmark has nothing better to do with an error than to print it.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What the command line asks for.
struct Options {
    rounds: usize,
    slice: Duration,
    directory: PathBuf,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().all(|argument| argument != "--bench") {
        println!("nothing is measured except by `cargo bench`");
        return ExitCode::SUCCESS;
    }
    match parse(&arguments).and_then(|options| measure(&options)) {
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
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => {}
            "--quick" => (options.rounds, options.slice) = (3, Duration::from_millis(200)),
            "--dir" => options.directory = arguments.next().ok_or("--dir wants a path")?.into(),
            other => return Err(format!("{other} is not known").into()),
        }
    }
    Ok(options)
}

fn measure(options: &Options) -> Result<()> {
    let scratch = machine::scratch(&options.directory)?;
    let mut table = Table::default();
    let bare = Bare::start(scratch.path())?;
    let members = Members::start(scratch.path())?;
    writes(options, &bare, &members, &mut table)?;
    reads(options, &members, &mut table)?;
    drop(bare);
    table.add(members.failovers(if options.rounds < 9 { 5 } else { 20 })?);
    print!("{table}");
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
    for callers in [1, 16, 64, 256] {
        let [[limit], [spinney]] =
            in_turns(options.rounds, [Box::new(|| bare(callers)), Box::new(|| spinney(callers))])?;
        table.add(Row {
            what: format!("durable set by the leader, {callers} callers; a bare replication loop"),
            unit: Unit::PerSecond,
            spinney,
            limit: Some(limit),
            reach: Reach::TimesAtLeast(0.85),
        });
    }
    Ok(())
}

fn reads(options: &Options, members: &Members, table: &mut Table) -> Result<()> {
    const CALLERS: usize = 64;

    let keys = keys();
    let leader = members.leader()?;
    let latest = || {
        let read = || Ok(|key: &str| leader.get_latest(key).map(drop).map_err(Into::into));
        Ok([per_second(&keys, CALLERS, options.slice, 1, read)?])
    };
    let local = || {
        let read = || Ok(|key: &str| leader.get(key).map(drop).map_err(Into::into));
        Ok([per_second(&keys, 1, options.slice, 64, read)?])
    };
    let [[latest], [local]] = in_turns(options.rounds, [Box::new(latest), Box::new(local)])?;
    table.add(Row {
        what: format!("linearizable get by the leader, {CALLERS} callers"),
        unit: Unit::PerSecond,
        spinney: latest,
        limit: None,
        reach: Reach::AtLeast(300_000.0),
    });
    table.add(Row {
        what: "local get, 1 caller".to_owned(),
        unit: Unit::PerSecond,
        spinney: local,
        limit: None,
        reach: Reach::ToCompare,
    });
    Ok(())
}

fn keys() -> Vec<String> {
    (0..10_000).map(|n| format!("/svc/{:04}/{:04}", n % 100, n / 100)).collect()
}
