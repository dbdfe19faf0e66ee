//! The rows, and the table: median, lowest and highest, and the ratios.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::contestants::Kind;

/// Something that is measured of every contestant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    Durable1,
    Durable16,
    Durable64,
    Unsynced,
    Get1,
    Get2,
    Open,
    MemoryOwn,
    MemoryMapped,
    DiskBytes,
}

/// Each row with its name between processes and its title for people.
const ROWS: [(Row, &str, &str); 10] = [
    (Row::Durable1, "durable-1", "durable set, 1 thread: sets/s"),
    (Row::Durable16, "durable-16", "durable set, 16 threads: sets/s"),
    (Row::Durable64, "durable-64", "durable set, 64 threads: sets/s"),
    (Row::Unsynced, "unsynced", "set that does not wait for the device, 1 thread: sets/s"),
    (Row::Get1, "get-1", "get, 1 thread: gets/s"),
    (Row::Get2, "get-2", "get, 2 threads: gets/s"),
    (Row::Open, "open", "open with the keys present, to the first get: ms"),
    (Row::MemoryOwn, "memory", "memory of its own, all keys read once: bytes/key"),
    (Row::MemoryMapped, "mapped", "mapped files in memory, all keys read once: bytes/key"),
    (Row::DiskBytes, "disk", "disk, before any change: bytes/key"),
];

impl Row {
    /// What a child calls it.
    pub fn name(self) -> &'static str {
        ROWS.iter().find(|(row, ..)| *row == self).map_or("", |(_, name, _)| name)
    }
}

impl FromStr for Row {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = ROWS.iter().find(|(_, name, _)| *name == text);
        found.map(|(row, ..)| *row).ok_or_else(|| format!("there is no row {text}"))
    }
}

/// Everything measured so far. Printed, it is the table.
#[derive(Default)]
pub struct Results(BTreeMap<(Row, Kind), Vec<f64>>);

impl Results {
    /// Adds the value of one round.
    pub fn add(&mut self, row: Row, kind: Kind, value: f64) {
        self.0.entry((row, kind)).or_default().push(value);
    }

    /// The median over the rounds of how many times what `base` reached in the same round: what slowed both
    /// down at that time falls out.
    fn ratio(&self, row: Row, kind: Kind, base: Kind) -> Option<f64> {
        let (values, bases) = (self.0.get(&(row, kind))?, self.0.get(&(row, base))?);
        let ratios: Vec<f64> = values.iter().zip(bases).map(|(value, base)| value / base).collect();
        sorted(&ratios).get(ratios.len() / 2).copied().filter(|ratio| ratio.is_finite())
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |ratio: Option<f64>| ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"));
        for (row, _, title) in ROWS {
            writeln!(f, "\n{title}")?;
            for &kind in Kind::all() {
                let Some(values) = self.0.get(&(row, kind)).map(|values| sorted(values)) else { continue };
                let [low, median, high] =
                    [0, values.len() / 2, values.len() - 1].map(|at| number(values[at]));
                write!(f, "  {:<8} {median:>10}  {:>22}", kind.name(), format!("({low} to {high})"))?;
                write!(f, "  {:>9} x raw", show(self.ratio(row, kind, Kind::Raw)))?;
                write!(f, "  {:>9} x spinney", show(self.ratio(row, kind, Kind::Spinney)))?;
                writeln!(f, "  {}", kind.note(row))?;
            }
        }
        Ok(())
    }
}

/// Nobody reads a tenth of a set a second, but everybody the tenth of a millisecond.
fn number(value: f64) -> String {
    if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}
