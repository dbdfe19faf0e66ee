//! Chance that can be played again: each core owns a generator and was given its seed.

/// A sequence of numbers that look random, all of it determined by the seed (Steele, Lea and Flood,
/// "Fast Splittable Pseudorandom Number Generators", 2014).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(super) const fn between(&mut self, low: u32, high: u32) -> u32 {
        let count = (high - low) as u64 + 1;
        low + (((self.next() >> 32) * count) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_every_number_of_the_range_and_no_other() {
        let mut random = Random::new(7);
        let mut drawn = [0; 8];
        for _ in 0..800 {
            drawn[random.between(2, 7) as usize] += 1;
        }
        assert_eq!(drawn[..2], [0, 0]);
        assert!(drawn[2..].iter().all(|&times| times > 80), "{drawn:?}");
        assert_eq!(random.between(5, 5), 5);
    }
}
