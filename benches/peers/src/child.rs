//! Each slice runs in a process of its own: this program again, with other arguments.
//!
//! So no contestant's allocator, caches or background threads touch another's numbers, and what a store costs
//! in memory is what its process grew by. The child answers on its standard output with one line a row: the
//! row's name and the value.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::Result;
use crate::contestants::{Contestant, Kind, Sync};
use crate::keys::{self, VALUE, Values};
use crate::machine::Memory;
use crate::report::Row;
use crate::slice::per_second;

/// The argument that makes this program a child.
pub const FLAG: &str = "--child";

/// What a child can be asked to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Fill an empty directory.
    Load,
    /// Set keys, each durable before the next.
    Durable,
    /// Set keys without waiting for the device.
    Unsynced,
    /// Open, read every key once, say what that took, then get keys.
    Read,
}

const TASKS: [(Task, &str); 4] =
    [(Task::Load, "load"), (Task::Durable, "durable"), (Task::Unsynced, "unsynced"), (Task::Read, "read")];

impl Task {
    fn name(self) -> &'static str {
        TASKS.iter().find(|(task, _)| *task == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for Task {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let found = TASKS.iter().find(|(_, name)| *name == text);
        found.map(|(task, _)| *task).ok_or_else(|| format!("there is no task {text}"))
    }
}

/// Has a child do `task` and returns its rows. A child that fails says why itself, and ends the run: the rounds
/// of the others would have nothing to be compared with.
pub fn ask(task: Task, kind: Kind, directory: &Path, keys: usize, slice_ms: u64) -> Result<Vec<(Row, f64)>> {
    let output = Command::new(std::env::current_exe()?)
        .args([FLAG, task.name(), kind.name()])
        .arg(directory)
        .args([keys.to_string(), slice_ms.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("{} failed at {}", kind.name(), task.name()).into());
    }
    String::from_utf8(output.stdout)?
        .lines()
        .map(|line| {
            let (row, value) = line.split_once(' ').ok_or("a line without a value")?;
            Ok((row.parse()?, value.parse()?))
        })
        .collect()
}

/// The child: `arguments` are those that [`ask`] passed, without the flag.
pub fn run(arguments: &[String]) -> Result<()> {
    let [task, kind, directory, keys, slice_ms] = arguments else {
        return Err("a child wants five arguments".into());
    };
    let (task, kind, directory): (Task, Kind, _) = (task.parse()?, kind.parse()?, Path::new(directory));
    let (keys, slice) = (keys.parse()?, Duration::from_millis(slice_ms.parse()?));
    match task {
        Task::Load => load(kind, directory, keys),
        Task::Durable => durable(kind.open(directory, Sync::Each)?.as_ref(), keys, slice),
        Task::Unsynced => unsynced(kind.open(directory, Sync::Never)?.as_ref(), keys, slice),
        Task::Read => read(kind, directory, keys, slice),
    }
}

fn load(kind: Kind, directory: &Path, keys: usize) -> Result<()> {
    fs::create_dir_all(directory)?;
    kind.open(directory, Sync::Never)?.load(&mut (0..keys).map(keys::key))
}

fn durable(contestant: &dyn Contestant, keys: usize, slice: Duration) -> Result<()> {
    let keys = keys::shuffled(keys);
    for (row, threads) in [(Row::Durable1, 1), (Row::Durable16, 16), (Row::Durable64, 64)] {
        answer(row, per_second(&keys, threads, slice, 1, || Ok(setter(contestant)))?);
    }
    Ok(())
}

fn unsynced(contestant: &dyn Contestant, keys: usize, slice: Duration) -> Result<()> {
    let keys = keys::shuffled(keys);
    answer(Row::Unsynced, per_second(&keys, 1, slice, 16, || Ok(setter(contestant)))?);
    Ok(())
}

/// One thread's way to set.
fn setter(contestant: &dyn Contestant) -> impl FnMut(&str) -> Result<()> {
    let mut values = Values::new();
    move |key| contestant.set(key, &values.next())
}

fn read(kind: Kind, directory: &Path, keys: usize, slice: Duration) -> Result<()> {
    let before = Memory::now()?;
    let start = Instant::now();
    let contestant = kind.open(directory, Sync::Each)?;
    let mut reader = contestant.reader()?;
    reader.get(&keys::key(0))?;
    answer(Row::Open, start.elapsed().as_secs_f64() * 1e3);
    for number in 0..keys {
        let length = reader.get(&keys::key(number))?;
        if length != Some(VALUE.len()) {
            return Err(format!("{} lost {}", kind.name(), keys::key(number)).into());
        }
    }
    let grown = Memory::now()?.since(&before);
    answer(Row::MemoryOwn, grown.own as f64 / keys as f64);
    answer(Row::MemoryMapped, grown.mapped as f64 / keys as f64);
    drop(reader);

    let keys = keys::shuffled(keys);
    for (row, threads) in [(Row::Get1, 1), (Row::Get2, 2)] {
        let get = || {
            let mut reader = contestant.reader()?;
            Ok(move |key: &str| reader.get(key).map(drop))
        };
        answer(row, per_second(&keys, threads, slice, 64, get)?);
    }
    Ok(())
}

fn answer(row: Row, value: f64) {
    println!("{} {value}", row.name());
}
