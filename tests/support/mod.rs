//! What the attacks on the whole store share.
#![allow(dead_code, reason = "each test program uses some of it")]

pub(crate) mod line;
pub(crate) mod places;
pub(crate) mod proxy;
pub(crate) mod run;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use spinney::{Builder, Error, Store, WalError};
use tempfile::TempDir;

use run::Run as _;

/// The smallest segment that there is.
pub(crate) const SEGMENT: u32 = 64 << 10;

/// A small generator; a seed means the same for ever.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// The same in an order of chance.
    pub(crate) fn shuffled<T: Copy>(&mut self, all: &[T]) -> Vec<T> {
        let mut shuffled = all.to_vec();
        for place in (1..shuffled.len()).rev() {
            shuffled.swap(place, self.below(place as u64 + 1) as usize);
        }
        shuffled
    }

    pub(crate) fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

/// Settings so small that segments are left, and snapshots taken, every few dozen writes.
pub(crate) fn small() -> Builder {
    let sizes = Store::builder().segment_bytes(SEGMENT).log_bytes(u64::from(SEGMENT));
    sizes.key_bytes(256).value_bytes(32 << 10).transaction_bytes(40 << 10)
}

/// Opens a directory that nobody has open. A process that another test starts holds its lock until it runs its own
/// program: a moment, which is waited for.
pub(crate) fn patiently<T>(open: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 0..200 {
        match open() {
            Err(Error::Log(WalError::InUse { .. })) => std::thread::sleep(Duration::from_millis(10)),
            opened => return opened,
        }
    }
    open()
}

pub(crate) fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Waits for what must come sooner or later; generous, since it only ends what would hang.
pub(crate) fn wait_until(what: impl std::fmt::Display, holds: impl FnMut() -> bool) {
    assert!(comes(holds), "this never came: {what}");
}

/// The same, for those who have more to say when it does not come.
pub(crate) fn comes(mut holds: impl FnMut() -> bool) -> bool {
    let started = now();
    while !holds() {
        if started.elapsed() > Duration::from_secs(60) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

#[allow(clippy::disallowed_methods, reason = "tests measure")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Runs the test called `name`, with its modules, again, in a process of its own: for what is counted there. True in that process.
pub(crate) fn is_alone(name: &str) -> bool {
    const CHILD: &str = "SPINNEY_ALONE";
    if std::env::var(CHILD).is_ok() {
        return true;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", name, "--nocapture"]).env(CHILD, name).run();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("test result: ok. 1 passed"), "no test is called {name}: {said}");
    false
}

/// How many bytes the files of a directory have.
pub(crate) fn bytes_of(directory: &Path) -> u64 {
    let entries = directory.read_dir().unwrap().filter_map(Result::ok);
    // A file may go while we look.
    entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}

/// The names of this process's threads that a store started.
pub(crate) fn threads() -> Vec<(u32, String)> {
    let tasks = Path::new("/proc/self/task").read_dir().unwrap().filter_map(Result::ok);
    let named = tasks.filter_map(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        Some((task.file_name().to_str()?.parse().ok()?, name.trim().to_owned()))
    });
    named.filter(|(_, name)| name.starts_with("spinney")).collect()
}
