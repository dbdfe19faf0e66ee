//! Majorities.

use crate::entry::Config;
use crate::types::{LogIndex, MemberId};

/// How many of `voters` make a majority.
const fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// Whether `members` (each named once) are a majority of the voters; others do not count.
pub(super) fn is_majority(config: &Config, members: impl IntoIterator<Item = MemberId>) -> bool {
    let votes = members.into_iter().filter(|member| config.voters.contains(member)).count();
    votes >= majority(config.voters.len())
}

/// The newest position that a majority of the voters has, each having all up to what `durable` says of it.
///
/// Without voters nothing is agreed on.
pub(super) fn committed(config: &Config, durable: impl Fn(MemberId) -> LogIndex) -> LogIndex {
    let mut positions: Vec<LogIndex> = config.voters.iter().map(|&member| durable(member)).collect();
    positions.sort_unstable_by(|a, b| b.cmp(a));
    positions.get(majority(positions.len()) - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn committed_is_what_a_naive_count_finds(positions in proptest::collection::vec(0u64..9, 0..8)) {
            let voters = (0..positions.len() as u64).map(MemberId::new).collect();
            let config = Config { voters, ..Config::default() };
            let at = |member: MemberId| LogIndex::new(positions[member.get() as usize]);
            let held = |index: u64| positions.iter().filter(|&&position| position >= index).count();
            let naive = (0..9).filter(|&index| held(index) * 2 > positions.len()).max().unwrap_or(0);
            prop_assert_eq!(committed(&config, at), LogIndex::new(naive));
        }

        #[test]
        fn two_majorities_always_meet(voters in 1u64..9, a in any::<u16>(), b in any::<u16>()) {
            let config = Config { voters: (0..voters).map(MemberId::new).collect(), ..Config::default() };
            let members = |bits: u16| (0..12).filter(move |bit| bits & (1 << bit) != 0).map(MemberId::new);
            if is_majority(&config, members(a)) && is_majority(&config, members(b)) {
                let common = members(a & b).filter(|member| config.voters.contains(member)).count();
                prop_assert!(common > 0);
            }
        }
    }
}
