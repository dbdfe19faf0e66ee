//! What the benchmarks set and get: `/svc/NNNN/MMMM`, 64 bytes each.

use std::sync::atomic::{AtomicU64, Ordering};

/// What every key holds after loading.
pub(crate) const VALUE: [u8; 64] = [b'v'; 64];

/// The key with this number: 1,000 keys a directory.
pub(crate) fn key(number: usize) -> String {
    format!("/svc/{:04}/{:04}", number / 1_000, number % 1_000)
}

/// The first `count` keys in an order that is random and always the same.
///
/// They lie in memory in this order, so that walking them costs the processor no misses of its own.
pub(crate) fn shuffled(count: usize) -> Vec<String> {
    let mut numbers: Vec<usize> = (0..count).collect();
    let mut random = Random::new(count as u64);
    for last in (1..count).rev() {
        numbers.swap(last, random.below(last as u64 + 1) as usize);
    }
    numbers.into_iter().map(key).collect()
}

/// Values that differ from [`VALUE`] and from each other: some stores notice that a set changes nothing, and
/// then neither write nor sync (SQLite does).
pub(crate) struct Values(u64);

impl Values {
    /// A series of its own: no other of this process, and hardly one of another, has a value of it.
    pub(crate) fn new() -> Self {
        static SERIES: AtomicU64 = AtomicU64::new(0);
        Self(SERIES.fetch_add(1, Ordering::Relaxed) << 48 | u64::from(std::process::id()) << 28)
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> [u8; 64] {
        self.0 += 1;
        let mut value = VALUE;
        value[..8].copy_from_slice(&self.0.to_le_bytes());
        value
    }
}

/// SplitMix64: the same numbers in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 to below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}
