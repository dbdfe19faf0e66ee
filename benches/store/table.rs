//! The table: what | spinney | limit | ratio | reach | ok | how far the rounds lie apart.

use std::fmt;

use crate::turns::Series;

/// Everything measured, in the order in which it came.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

/// One line. Without a limit, spinney stands for itself.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) spinney: Series,
    pub(crate) limit: Option<Series>,
    pub(crate) reach: Reach,
}

/// What is counted.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    PerSecond,
    Nanoseconds,
    Milliseconds,
    Bytes,
    /// A number of its own.
    Plain,
}

/// What we promise ourselves.
#[derive(Clone, Copy)]
pub(crate) enum Reach {
    /// At least so many times the limit.
    TimesAtLeast(f64),
    /// At most so many times the limit.
    TimesAtMost(f64),
    /// At most so much more than the limit.
    MoreAtMost(f64),
    /// At least this, whatever the limit.
    AtLeast(f64),
    /// At most this, whatever the limit.
    AtMost(f64),
    /// Nothing: the row is there to be compared with.
    ToCompare,
}

impl Table {
    pub(crate) fn add(&mut self, row: Row) {
        self.0.push(row);
    }
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        let ratio = self.spinney.with(self.limit.as_ref()?, |spinney, limit| spinney / limit);
        Some(ratio.median()).filter(|ratio| ratio.is_finite())
    }

    fn more(&self) -> Option<f64> {
        Some(self.spinney.with(self.limit.as_ref()?, |spinney, limit| spinney - limit).median())
    }

    /// Whether it reaches; `None` where that cannot be said.
    fn is_reached(&self) -> Option<bool> {
        let spinney = self.spinney.median();
        match self.reach {
            Reach::TimesAtLeast(times) => Some(self.ratio()? >= times),
            Reach::TimesAtMost(times) => Some(self.ratio()? <= times),
            Reach::MoreAtMost(more) => Some(self.more()? <= more),
            Reach::AtLeast(value) => Some(spinney >= value),
            Reach::AtMost(value) => Some(spinney <= value),
            Reach::ToCompare => None,
        }
    }

    fn reach(&self) -> String {
        match self.reach {
            Reach::TimesAtLeast(times) => format!(">= {times} x"),
            Reach::TimesAtMost(times) => format!("<= {times} x"),
            Reach::MoreAtMost(more) => format!("<= + {}", self.unit.show(more)),
            Reach::AtLeast(value) => format!(">= {}", self.unit.show(value)),
            Reach::AtMost(value) => format!("<= {}", self.unit.show(value)),
            Reach::ToCompare => String::new(),
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.is_reached(), self.reach) {
            (Some(true), _) => "ok",
            (Some(false), _) => "short",
            (None, Reach::ToCompare) => "",
            (None, _) => "n/a",
        }
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::PerSecond if value >= 1e6 => format!("{:.2} M/s", value / 1e6),
            Self::PerSecond if value >= 1e3 => format!("{:.1} k/s", value / 1e3),
            Self::PerSecond => format!("{value:.0} /s"),
            Self::Nanoseconds if value >= 1e3 => format!("{:.1} us", value / 1e3),
            Self::Nanoseconds => format!("{value:.0} ns"),
            Self::Milliseconds if value >= 1e3 => format!("{:.2} s", value / 1e3),
            Self::Milliseconds if value >= 1.0 => format!("{value:.1} ms"),
            Self::Milliseconds => format!("{:.0} us", value * 1e3),
            Self::Bytes if value >= 1e6 => format!("{:.1} MiB", value / f64::from(1 << 20)),
            Self::Bytes => format!("{value:.0} B"),
            Self::Plain => format!("{value:.2}"),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let head = ["what", "spinney", "limit", "ratio", "reach", "", "rounds"].map(String::from);
        let body = self.0.iter().map(|row| {
            let median = |series: &Series| row.unit.show(series.median());
            let spread = std::iter::once(&row.spinney).chain(&row.limit).map(Series::spread).reduce(f64::max);
            [
                row.what.clone(),
                median(&row.spinney),
                or_dash(row.limit.as_ref().map(median)),
                or_dash(row.ratio().map(|ratio| format!("{ratio:.2}"))),
                row.reach(),
                row.verdict().into(),
                or_dash(spread.filter(|times| times.is_finite()).map(|times| format!("{times:.1} x"))),
            ]
        });
        let lines: Vec<[String; 7]> = std::iter::once(head).chain(body).collect();
        let widths: [usize; 7] =
            std::array::from_fn(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0));
        for line in &lines {
            write!(f, "{:<width$}", line[0], width = widths[0])?;
            for column in 1..7 {
                write!(f, "  {:>width$}", line[column], width = widths[column])?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
