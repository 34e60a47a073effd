//! Bits of a byte stream, the most significant first, as RICE and HCOMPRESS
//! write them.
//!
//! Invariant: no bit is read that the stream does not have.

use super::Damage;

/// What a read past the end is.
const ENDS: Damage = Damage("the stream ends early");

/// A stream, read bit by bit.
pub struct Bits<'a> {
    bytes: &'a [u8],
    /// The next byte to load.
    next: usize,
    /// Loaded bits, from the top. Below the first `count` of them may be more
    /// of the stream, which counts only when it is loaded again.
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    /// Starts at the first bit of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, next: 0, held: 0, count: 0 }
    }

    /// Loads what fits: at least 56 bits, unless the stream ends.
    #[inline]
    fn load(&mut self) {
        if self.count > 56 {
            return;
        }
        if let Some(word) = self.bytes[self.next..].first_chunk() {
            self.held |= u64::from_be_bytes(*word) >> self.count;
            let whole = (63 - self.count) / 8;
            self.next += whole as usize;
            self.count += 8 * whole;
        } else {
            self.load_last();
        }
    }

    #[cold]
    fn load_last(&mut self) {
        while self.count <= 56 && self.next < self.bytes.len() {
            self.held |= u64::from(self.bytes[self.next]) << (56 - self.count);
            self.next += 1;
            self.count += 8;
        }
    }

    /// Drops bits that were looked at; at most 63.
    #[inline]
    fn skip(&mut self, bits: u32) {
        self.held <<= bits;
        self.count -= bits;
    }

    /// The next bits as a number; at most 32 of them.
    ///
    /// # Errors
    /// If the stream has fewer.
    #[inline]
    pub fn take(&mut self, bits: u32) -> Result<u32, Damage> {
        if self.count < bits {
            self.load();
            if self.count < bits {
                return Err(ENDS);
            }
        }
        // In two steps, as none may be taken.
        let value = (self.held >> 1) >> (63 - bits);
        self.skip(bits);
        Ok(value as u32)
    }

    /// The number of zeros before the next one, and the `bits` bits after it;
    /// at most 32 of them.
    ///
    /// # Errors
    /// If the stream has fewer.
    #[inline]
    pub fn unary(&mut self, bits: u32) -> Result<(u64, u32), Damage> {
        self.load();
        let zeros = self.held.leading_zeros();
        if zeros + 1 + bits <= self.count {
            self.skip(zeros);
            self.skip(1);
            return Ok((u64::from(zeros), self.take(bits)?));
        }
        let mut before = 0;
        loop {
            let zeros = self.held.leading_zeros();
            if zeros < self.count {
                self.skip(zeros);
                self.skip(1);
                return Ok((before + u64::from(zeros), self.take(bits)?));
            }
            before += u64::from(self.count);
            (self.held, self.count) = (0, 0);
            self.load();
            if self.count == 0 {
                return Err(ENDS);
            }
        }
    }

    /// The next six bits, with zeros after the end of the stream, to look up
    /// a code whose length [`drop`](Self::drop) is then told.
    #[inline]
    pub fn peek_six(&mut self) -> usize {
        if self.count < 6 {
            self.load();
        }
        (self.held >> 58) as usize
    }

    /// Goes on after a code of `bits` bits.
    ///
    /// # Errors
    /// If the stream has fewer.
    #[inline]
    pub fn drop(&mut self, bits: u32) -> Result<(), Damage> {
        if self.count < bits {
            return Err(ENDS);
        }
        self.skip(bits);
        Ok(())
    }

    /// Goes on at the next whole byte.
    pub fn align(&mut self) {
        self.skip(self.count % 8);
    }

    /// Whole bytes that nobody has read.
    pub fn bytes_left(&self) -> usize {
        self.bytes.len() - self.next + (self.count / 8) as usize
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn any_reads_are_those_of_a_string_of_digits() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..random.random_range(0..40))
                .map(|_| if random.random_bool(0.5) { 0 } else { random.random() })
                .collect();
            let digits: Vec<u8> =
                bytes.iter().flat_map(|b| (0..8).rev().map(move |n| (b >> n) & 1)).collect();
            let number = |from: usize, bits: u32| {
                let digits = digits.get(from..from + bits as usize)?;
                Some(digits.iter().fold(0_u64, |n, d| n * 2 + u64::from(*d)) as u32)
            };
            let (mut bits, mut at) = (Bits::new(&bytes), 0);
            loop {
                assert_eq!(bits.bytes_left(), (digits.len() - at) / 8);
                match random.random_range(0..4) {
                    0 => {
                        bits.align();
                        at = at.next_multiple_of(8);
                    }
                    1 => {
                        let count = random.random_range(0..=32);
                        let found = bits.take(count).ok();
                        assert_eq!(found, number(at, count));
                        if found.is_none() {
                            break;
                        }
                        at += count as usize;
                    }
                    2 => {
                        let count = random.random_range(0..=6);
                        let code = bits.peek_six();
                        if bits.drop(count).is_err() {
                            assert!(at + count as usize > digits.len());
                            break;
                        }
                        assert_eq!(Some((code >> (6 - count)) as u32), number(at, count));
                        at += count as usize;
                    }
                    _ => {
                        let count = random.random_range(0..=32);
                        let zeros = digits[at..].iter().position(|d| *d == 1);
                        let wanted = zeros.and_then(|z| Some((z, number(at + z + 1, count)?)));
                        let found = bits.unary(count).ok();
                        assert_eq!(found.map(|(z, n)| (z as usize, n)), wanted);
                        let Some((zeros, _)) = found else { break };
                        at += zeros as usize + 1 + count as usize;
                    }
                }
            }
        }
    }
}
