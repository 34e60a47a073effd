//! Random numbers that depend on names, not on who asks first.
//!
//! Every random decision of training draws from a [`Stream`] keyed by what it
//! is for (a purpose, the run's seed, the epoch, the galaxy's id). Workers may
//! thus be as many as they like and finish in any order: the run is the same.
//!
//! Invariant: the numbers of a key are part of the file format of a run. They
//! come from ChaCha8, which is a standard, and from arithmetic written out
//! here, so that no new version of a library changes an old run.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of a key: `purpose` says what the numbers are for, so that
    /// two uses of one seed are independent; `parts` say for what exactly.
    pub fn new(purpose: &str, seed: u64, parts: &[&[u8]]) -> Self {
        Self(ChaCha8Rng::from_seed(digest(purpose, seed, parts)))
    }

    /// Uniform in [0, 1), with 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [`low`, `high`); `low` if both are the same.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform among 0 … `n` − 1; 0 for `n` = 0. No number is favoured by more
    /// than `n`/2⁶⁴.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Fisher and Yates' shuffle.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// SHA-256 of a key. Every part is preceded by its length, so that no two
/// keys run into one another.
pub fn digest(purpose: &str, seed: u64, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [b"hiwl".as_slice(), purpose.as_bytes(), &seed.to_le_bytes()].iter().chain(parts) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A number for each place: whoever takes the places with the least numbers has a
/// sample of them, whatever passes by in between, and need not know how many there
/// are. (Steele et al. 2014's SplitMix64 from a seed and a place: fast, and no
/// secret.)
pub fn scattered(seed: u64, place: u64) -> u64 {
    let mixed = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    mixed(mixed(seed.wrapping_add(GOLDEN)) ^ place.wrapping_add(1).wrapping_mul(GOLDEN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_the_same_numbers_for_ever() {
        let mut stream = Stream::new("test", 7, &[b"125460"]);
        let drawn = [stream.unit(), stream.uniform(-25.0, 25.0), stream.below(17) as f64];
        // Written down once: should they change, no old run can be repeated.
        let expected = [0.6576846539822667, -9.595682357630885, 6.0];
        assert_eq!(drawn, expected);
    }

    #[test]
    fn keys_do_not_run_into_one_another() {
        let digests = [
            digest("test", 7, &[b"ab", b"c"]),
            digest("test", 7, &[b"a", b"bc"]),
            digest("test", 7, &[b"abc"]),
            digest("test", 8, &[b"abc"]),
            digest("text", 7, &[b"abc"]),
        ];
        for (i, a) in digests.iter().enumerate() {
            assert!(!digests[..i].contains(a));
        }
    }

    #[test]
    fn numbers_below_n_are_even() {
        let mut stream = Stream::new("test", 1, &[]);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[stream.below(7)] += 1;
        }
        // Six standard deviations of a binomial count.
        assert!(counts.iter().all(|&c| (f64::from(c) - 10_000.0).abs() < 6.0 * 93.0), "{counts:?}");
        assert_eq!(stream.below(1), 0);
        assert_eq!(stream.below(0), 0);
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..1000).collect();
        Stream::new("test", 1, &[]).shuffle(&mut items);
        assert_ne!(items, (0..1000).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..1000).collect::<Vec<_>>());
    }
}
