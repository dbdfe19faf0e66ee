//! Three members of Spinney beside three with the core of raft-rs, and beside a bare replication loop: TCP, a sync by a
//! majority, and no Raft.
//!
//! ```text
//!   cargo run --release -- cluster                    a minute
//!   cargo run --release -- cluster --quick            some seconds, and rougher
//!   cargo run --release -- cluster --callers 1,64     with other numbers of callers
//!   cargo run --release -- cluster --dir /mnt/disk    on another disk than the one of the build directory
//! ```
//!
//! All run in this process, over loopback, on one disk, and set the same small records durably: callers wait until the
//! leader has applied theirs. In every round each has a short slice to itself, in an order that rotates, while the others are
//! idle. What is printed is the median over the rounds and the median of the ratios round by round; `rounds` says how far the
//! rounds lie apart; and `cpu` is the processor time a set, of all threads together: members, copies and callers.
//!
//! What raft-rs gets around it, and why that is fair, stands at the top of [`raft_rs`].

mod raft_rs;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::Result;
use crate::bare::Bare;
use crate::machine;
use crate::members::{self, Members};
use crate::slice::per_second;
use crate::turns::{Series, in_turns};
use raft_rs::Group;

/// The argument that asks for this.
pub const NAME: &str = "cluster";

/// How long the kernel's unit of processor time is: the same on every Linux that we know of.
const KERNEL_TICK_US: f64 = 10_000.0;

/// What the command line asks for.
struct Options {
    callers: Vec<usize>,
    rounds: usize,
    slice: Duration,
    directory: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            callers: vec![1, 16, 64, 256],
            rounds: 9,
            slice: Duration::from_millis(500),
            directory: None,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => (options.rounds, options.slice) = (3, Duration::from_millis(200)),
                "--callers" => {
                    let numbers = arguments.next().ok_or("--callers wants numbers")?.split(',');
                    options.callers = numbers.map(str::parse).collect::<std::result::Result<_, _>>()?;
                }
                "--rounds" => options.rounds = arguments.next().ok_or("--rounds wants a number")?.parse()?,
                "--dir" => options.directory = Some(arguments.next().ok_or("--dir wants a path")?.into()),
                other => return Err(format!("{other} is not known").into()),
            }
        }
        Ok(options)
    }
}

/// Measures what `arguments` ask for, and prints the table.
pub fn compare(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let program = std::env::current_exe()?;
    let parent =
        options.directory.as_deref().or(program.parent()).ok_or("the program lies in no directory")?;
    let scratch = machine::scratch(parent)?;
    let keys = members::keys();
    let bare = Bare::start(scratch.path())?;
    let spinney = Members::start(scratch.path())?;
    let raft_rs = Group::start(scratch.path(), &keys)?;
    println!("{HEAD}");
    for &callers in &options.callers {
        let spinney = || {
            let leader = spinney.leader()?;
            measure(|| {
                per_second(&keys, callers, options.slice, 1, || Ok(|key: &str| members::set(&leader, key)))
            })
        };
        let raft_rs = || measure(|| per_second(&keys, callers, options.slice, 1, || raft_rs.setter()));
        let bare = || {
            let commit = || {
                let mut commit = bare.committer();
                Ok(move |_: &str| {
                    commit();
                    Ok(())
                })
            };
            measure(|| per_second(&keys, callers, options.slice, 1, commit))
        };
        let measured = in_turns(options.rounds, [Box::new(spinney), Box::new(raft_rs), Box::new(bare)])?;
        print_row(callers, &measured);
    }
    raft_rs.close()
}

/// What `run` gives, and the microseconds of processor time it took for each of those.
fn measure(run: impl FnOnce() -> Result<f64>) -> Result<[f64; 2]> {
    let (began, before) = (Instant::now(), processor_us()?);
    let per_second = run()?;
    let count = per_second * began.elapsed().as_secs_f64();
    Ok([per_second, (processor_us()? - before) / count])
}

/// The processor time of this process so far.
fn processor_us() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name, which may hold anything, is in brackets; of what follows, user and system time are the 12th and 13th.
    let (_, fields) = stat.rsplit_once(") ").ok_or("the kernel does not say")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<std::result::Result<f64, _>>()? * KERNEL_TICK_US)
}

const HEAD: &str = "
         ----- a second ------------   ----- ratio -----------------------------   ----- cpu us -----------
callers  spinney   raft-rs      bare   spinney/raft-rs  spinney/bare  raft-rs/bare   spinney  raft-rs  bare  rounds";

fn print_row(callers: usize, measured: &[[Series; 2]; 3]) {
    let [[spinney, spinney_cpu], [raft_rs, raft_rs_cpu], [bare, bare_cpu]] = measured;
    let ratio = |one: &Series, other: &Series| one.with(other, |one, other| one / other).median();
    let spread = [spinney, raft_rs, bare].into_iter().map(Series::spread).fold(f64::NAN, f64::max);
    println!(
        "{callers:>7}  {:>7.0}  {:>8.0}  {:>8.0}   {:>15.2}  {:>12.2}  {:>12.2}   {:>7.1}  {:>7.1}  {:>4.1}  {spread:.1} x",
        spinney.median(),
        raft_rs.median(),
        bare.median(),
        ratio(spinney, raft_rs),
        ratio(spinney, bare),
        ratio(raft_rs, bare),
        spinney_cpu.median(),
        raft_rs_cpu.median(),
        bare_cpu.median(),
    );
}
