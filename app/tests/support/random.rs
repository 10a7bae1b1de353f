//! Chance that can be repeated.

use std::hash::{BuildHasher, RandomState};
use std::thread;

/// A small generator (splitmix64). When its test fails it prints the seed; ROWFERRY_TEST_SEED sets
/// it.
pub(crate) struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// A generator with a seed of its own, or the one that ROWFERRY_TEST_SEED names.
    pub(crate) fn new() -> Self {
        let seed = match std::env::var("ROWFERRY_TEST_SEED") {
            Ok(seed) => seed
                .parse()
                .unwrap_or_else(|_| panic!("ROWFERRY_TEST_SEED is no number: {seed}")),
            Err(_) => RandomState::new().hash_one(0) >> 16,
        };
        Self::seeded(seed)
    }

    /// A generator that always gives the same numbers.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 to `limit` - 1.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// One of the things.
    pub(crate) fn pick<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.below(things.len() as u64) as usize]
    }

    /// Bytes of any kind.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len.div_ceil(8))
            .flat_map(|_| self.next().to_le_bytes())
            .take(len)
            .collect()
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("to repeat this: ROWFERRY_TEST_SEED={}", self.seed);
        }
    }
}
