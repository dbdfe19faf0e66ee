//! Random numbers that mean the same for ever: a seed that failed once fails until it is mended.

/// The generator xoshiro256++ (Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2021).
#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

impl Random {
    /// The stream called `name` of `seed`. Each purpose has its own, so that turning one fault off leaves what is
    /// drawn for the others as it was.
    #[must_use]
    pub fn stream(seed: u64, name: &str) -> Self {
        let mut state = name.bytes().fold(mix(seed), |state, byte| mix(state ^ u64::from(byte)));
        Self([(); 4].map(|()| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(state)
        }))
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number from 0 to `bound - 1`.
    ///
    /// # Panics
    ///
    /// When `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is no number below 0");
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True once in `n` times; never for 0.
    pub fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.below(n) == 0
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of `choices`.
    ///
    /// # Panics
    ///
    /// When there are none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }

    /// A time with this mean: mostly short, now and then several times as long.
    pub fn exponential(&mut self, mean: u64) -> u64 {
        // The number of leading zeros of a random word halves in likelihood with each: a coarse exponential,
        // without a float whose last bit might differ from machine to machine.
        let zeros = u64::from(self.next().leading_zeros().min(8));
        (mean * zeros + self.below(mean.max(1) * 2)) / 2
    }
}

/// Spreads the bits of a number: the finaliser of splitmix64.
pub fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
