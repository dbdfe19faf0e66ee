//! A process that is killed with -9 in mid-write, again and again. Every write it was told is done is there.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use spinney::Store;

const ROUNDS: u64 = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(path) = std::env::args().nth(1) {
        return write_until_killed(Path::new(&path));
    }
    let directory = tempfile::tempdir()?;
    let mut acknowledged = 0u64;
    for round in 1..=ROUNDS {
        let mut child =
            Command::new(std::env::current_exe()?).arg(directory.path()).stdout(Stdio::piped()).spawn()?;
        // A line a write; the last may be cut in the middle, and then lacks its full stop.
        let lines = BufReader::new(child.stdout.take().ok_or("stdout is piped")?).lines();
        let mut numbers = lines.map_while(Result::ok).filter_map(|line| line.strip_suffix('.')?.parse().ok());
        let some = numbers.by_ref().take(50 + round as usize * 13 % 50).last();
        child.kill()?; // SIGKILL: nothing runs any more, no buffer is flushed.
        acknowledged = numbers.last().or(some).unwrap_or(acknowledged);
        child.wait()?;

        let store = Store::open(directory.path())?;
        let found = store.list("/writes").map_or(0, |writes| writes.len() as u64);
        let missing = (1..=acknowledged).filter(|n| store.get(format!("/writes/{n:08}")).is_err()).count();
        println!(
            "round {round:2}: killed; {acknowledged} writes acknowledged, {found} found, {missing} missing"
        );
        if missing > 0 {
            return Err("an acknowledged write was lost".into());
        }
    }
    println!("killed {ROUNDS} times in mid-write; all {acknowledged} acknowledged writes are there");
    Ok(())
}

/// Writes numbered keys, and says of each that it is done once the store has said so.
fn write_until_killed(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::open(path)?;
    let mut stdout = std::io::stdout();
    let next = store.list("/writes").map_or(1, |writes| writes.len() + 1);
    for n in next.. {
        store.set(format!("/writes/{n:08}"), "x".repeat(100))?;
        stdout.write_all(format!("{n}.\n").as_bytes())?;
    }
    Ok(())
}
