//! Contestants in turns, and what they measured.

use crate::Result;

/// One contestant: a call is its turn and gives what it measured.
pub(crate) type Turn<'a, const VALUES: usize> = Box<dyn FnMut() -> Result<[f64; VALUES]> + 'a>;

/// Gives everyone a turn in each round, in an order that rotates, and returns what everyone measured.
pub(crate) fn in_turns<const TURNS: usize, const VALUES: usize>(
    rounds: usize,
    mut turns: [Turn<'_, VALUES>; TURNS],
) -> Result<[[Series; VALUES]; TURNS]> {
    let mut measured = [const { Vec::new() }; TURNS];
    for round in 0..rounds {
        for place in 0..TURNS {
            let contestant = (round + place) % TURNS;
            measured[contestant].push(turns[contestant]()?);
        }
    }
    Ok(measured.map(|values: Vec<[f64; VALUES]>| {
        std::array::from_fn(|value| Series(values.iter().map(|round| round[value]).collect()))
    }))
}

/// A value that was measured in every round.
#[derive(Clone)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The highest alone.
    #[allow(dead_code, reason = "benches/cluster wants it")]
    pub(crate) fn worst(&self) -> Self {
        Self(self.sorted().last().copied().into_iter().collect())
    }

    /// How many times the lowest the highest is.
    pub(crate) fn spread(&self) -> f64 {
        let sorted = self.sorted();
        sorted.last().zip(sorted.first()).map_or(f64::NAN, |(highest, lowest)| highest / lowest)
    }

    /// This and another series of the same rounds, joined round by round. So the median of the ratios is that
    /// of what was measured side by side: what slowed both down at that time falls out.
    pub(crate) fn with(&self, other: &Self, join: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(&one, &other)| join(one, other)).collect())
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}
