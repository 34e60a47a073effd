//! Subtractive dithering: the random numbers that were added to quantised
//! floats (FITS 4.0, section 10.2; Pence, White and Seaman 2010; the numbers:
//! Park and Miller 1988, and appendix I of the standard).

/// Length of the sequence.
const COUNT: usize = 10_000;

/// Modulus and multiplier of the generator.
const MODULUS: u64 = 2_147_483_647;
const MULTIPLIER: u64 = 16_807;

/// The value after the last, by which the standard tests implementations.
const LAST: u64 = 1_043_618_065;

static SEQUENCE: [f32; COUNT] = sequence();

const fn sequence() -> [f32; COUNT] {
    let mut values = [0.0; COUNT];
    let mut seed = 1;
    let mut n = 0;
    while n < COUNT {
        seed = MULTIPLIER * seed % MODULUS;
        values[n] = (seed as f64 / MODULUS as f64) as f32;
        n += 1;
    }
    assert!(seed == LAST);
    values
}

/// The numbers of a tile, in the order of its pixels.
pub struct Dither {
    /// Which number says where the present run began.
    seed: usize,
    /// The next number.
    next: usize,
}

impl Dither {
    /// The numbers of the tile in a row of the table, from 0; `first` is
    /// `ZDITHER0`, 1 to 10,000.
    pub fn of_tile(row: usize, first: usize) -> Self {
        let seed = (row + first - 1) % COUNT;
        Self { seed, next: start(seed) }
    }

    /// Numbers for the next pixels: at least one and at most `most`.
    pub fn run(&mut self, most: usize) -> &'static [f32] {
        let rest = &SEQUENCE[self.next..];
        let run = &rest[..rest.len().min(most)];
        self.next += run.len();
        if self.next == COUNT {
            self.seed = (self.seed + 1) % COUNT;
            self.next = start(self.seed);
        }
        run
    }

    /// Passes over the numbers of pixels that nobody wants.
    pub fn skip(&mut self, mut pixels: usize) {
        while pixels > 0 {
            pixels -= self.run(pixels).len();
        }
    }
}

/// Where a run begins that starts at a seed: among the first 500.
fn start(seed: usize) -> usize {
    (SEQUENCE[seed] * 500.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_goes_on_with_the_next_seed() {
        let mut dither = Dither::of_tile(9_998, 1);
        let first = dither.run(COUNT);
        assert_eq!(first.len(), COUNT - start(9_998));
        assert_eq!(dither.run(1), &SEQUENCE[start(9_999)..][..1]);
        dither.skip(COUNT - start(9_999) - 1);
        assert_eq!((dither.seed, dither.next), (0, start(0)));
    }
}
