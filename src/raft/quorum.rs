//! Majorities: of the voters, and in a joint configuration of the old voters too.

use std::collections::BTreeSet;

use crate::entry::Config;
use crate::types::MemberId;

/// What became of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tally {
    Won,
    Open,
    /// Too many have refused for it to be won.
    Lost,
}

/// How many of `voters` make a majority.
const fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// The majorities that must agree: one, or in a joint configuration two. Never one of both sets together, which
/// could be had from either alone.
fn halves(config: &Config) -> impl Iterator<Item = &BTreeSet<MemberId>> {
    [&config.voters, &config.outgoing].into_iter().filter(|half| !half.is_empty())
}

/// The greatest value that a majority has reached, or in a joint configuration two; `default` without voters.
pub(super) fn agreed<T: Copy + Ord + Default>(config: &Config, reached: impl Fn(MemberId) -> T) -> T {
    let of_half = |voters: &BTreeSet<MemberId>| {
        if let (1, Some(&only)) = (voters.len(), voters.first()) {
            return reached(only);
        }
        let mut values: Vec<T> = voters.iter().map(|&member| reached(member)).collect();
        values.sort_unstable_by(|a, b| b.cmp(a));
        values[majority(values.len()) - 1]
    };
    halves(config).map(of_half).min().unwrap_or_default()
}

/// Whether those of whom `holds` is true are a majority, or in a joint configuration two.
pub(super) fn is_quorum(config: &Config, holds: impl Fn(MemberId) -> bool) -> bool {
    agreed(config, holds)
}

/// What the votes say; `None` where a member has not voted. Those of others than voters do not count.
pub(super) fn tally(config: &Config, vote: impl Fn(MemberId) -> Option<bool>) -> Tally {
    if is_quorum(config, |member| vote(member) == Some(true)) {
        Tally::Won
    } else if is_quorum(config, |member| vote(member) != Some(false)) {
        Tally::Open
    } else {
        Tally::Lost
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn voters(bits: u8) -> BTreeSet<MemberId> {
        (0..8).filter(|bit| bits & (1 << bit) != 0).map(MemberId::new).collect()
    }

    fn config(new: u8, old: u8) -> Config {
        Config { voters: voters(new), outgoing: voters(old), ..Config::default() }
    }

    /// By counting, for each half, how many of its members are among `members`.
    fn naive_quorum(config: &Config, members: &BTreeSet<MemberId>) -> bool {
        let has = |half: &BTreeSet<MemberId>| half.intersection(members).count() * 2 > half.len();
        has(&config.voters) && (config.outgoing.is_empty() || has(&config.outgoing))
    }

    proptest! {
        #[test]
        fn a_quorum_is_what_a_naive_count_finds(new in 1u8.., old: u8, members: u8) {
            let (config, members) = (config(new, old), voters(members));
            prop_assert_eq!(is_quorum(&config, |member| members.contains(&member)), naive_quorum(&config, &members));
        }

        #[test]
        fn agreed_is_what_a_naive_search_finds(new in 1u8.., old: u8, values: [u64; 8]) {
            let config = config(new, old);
            let values = values.map(|value| value % 9);
            let value = |member: MemberId| values[member.get() as usize];
            let reached = |least: u64| (0..8).map(MemberId::new).filter(|&member| value(member) >= least).collect();
            let naive = (0..9).filter(|&least| naive_quorum(&config, &reached(least))).max();
            prop_assert_eq!(Some(agreed(&config, value)), naive);
        }

        #[test]
        fn two_quorums_always_meet_in_each_half(new in 1u8.., old: u8, a: u8, b: u8) {
            let config = config(new, old);
            let (a, b) = (voters(a), voters(b));
            if naive_quorum(&config, &a) && naive_quorum(&config, &b) {
                for half in halves(&config) {
                    prop_assert!(half.iter().any(|member| a.contains(member) && b.contains(member)));
                }
            }
        }

        #[test]
        fn no_later_vote_changes_what_is_decided(new in 1u8.., old: u8, yes: u8, no: u8, later: u8) {
            let (config, no) = (config(new, old), no & !yes);
            let (early, late) = (voters(yes), voters(yes | later & !no));
            let no = voters(no);
            let vote = |yes: &BTreeSet<MemberId>, member| {
                if yes.contains(&member) { Some(true) } else { no.contains(&member).then_some(false) }
            };
            let before = tally(&config, |member| vote(&early, member));
            let after = tally(&config, |member| vote(&late, member));
            prop_assert!(before == Tally::Open || before == after);
        }
    }

    #[test]
    fn without_voters_nothing_is_agreed_on() {
        assert!(!is_quorum(&Config::default(), |_| true));
        assert_eq!(agreed(&Config::default(), |_| 7), 0);
    }
}
