//! Which pixels become files: the largest that have few enough rows.
//!
//! Invariant: pixels do not overlap, and every row counted is in one of them;
//! they come in the order of the sky (of `_healpix_29`).

use super::FINEST;

/// Order of the pixels in which rows are counted, and the finest of a
/// partition: 12 million counts.
pub(super) const MAX_ORDER: u8 = 10;

/// Rows a pixel of [`MAX_ORDER`].
pub(super) struct Counts(Vec<u32>);

impl Counts {
    pub(super) fn new() -> Self {
        Self(vec![0; 12 << (2 * MAX_ORDER)])
    }

    /// Counts rows by their index of order 29.
    pub(super) fn add(&mut self, indices: &[i64]) {
        for index in indices {
            let count = &mut self.0[(index >> (2 * (FINEST - MAX_ORDER))) as usize];
            *count = count.saturating_add(1);
        }
    }
}

/// A pixel that becomes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pixel {
    pub(super) order: u8,
    pub(super) index: u64,
}

impl Pixel {
    /// The first index of order 29 after the pixel's.
    fn end(self) -> i64 {
        ((self.index + 1) << (2 * (FINEST - self.order))) as i64
    }

    /// `Norder=K/Dir=D/Npix=N.parquet`
    pub(super) fn path(self) -> String {
        let Self { order, index } = self;
        format!("Norder={order}/Dir={}/Npix={index}.parquet", index / 10_000 * 10_000)
    }

    /// Its part of the sphere.
    pub(super) fn sky_fraction(self) -> f64 {
        1.0 / (12u64 << (2 * self.order)) as f64
    }
}

/// The pixels that become files.
pub(super) struct Partitions(Vec<Pixel>);

impl Partitions {
    /// With at most `most` rows each, where pixels can be divided so far.
    pub(super) fn new(counts: &Counts, most: u64) -> Self {
        let mut pixels = Vec::new();
        for index in 0..12 {
            divide(counts, most, Pixel { order: 0, index }, &mut pixels);
        }
        Self(pixels)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Pixel> + '_ {
        self.0.iter().copied()
    }

    /// Which of them has the row with this index of order 29.
    pub(super) fn of(&self, index: i64) -> usize {
        self.0.partition_point(|pixel| pixel.end() <= index)
    }
}

fn divide(counts: &Counts, most: u64, pixel: Pixel, pixels: &mut Vec<Pixel>) {
    let shift = 2 * (MAX_ORDER - pixel.order);
    let below = &counts.0[(pixel.index << shift) as usize..((pixel.index + 1) << shift) as usize];
    let rows: u64 = below.iter().map(|count| u64::from(*count)).sum();
    if rows == 0 {
        return;
    }
    if rows <= most || pixel.order == MAX_ORDER {
        pixels.push(pixel);
        return;
    }
    for child in 0..4 {
        let pixel = Pixel { order: pixel.order + 1, index: pixel.index * 4 + child };
        divide(counts, most, pixel, pixels);
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn every_row_is_in_one_small_enough_pixel() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let all = 12i64 << (2 * FINEST);
        // Half of them in a corner of the sky, so that orders differ.
        let indices: Vec<i64> = (0..4000)
            .map(|i| random.random_range(0..if i % 2 == 0 { all } else { all >> 12 }))
            .collect();
        let mut counts = Counts::new();
        counts.add(&indices);
        for most in [1, 7, 100, 100_000] {
            let partitions = Partitions::new(&counts, most);
            let mut rows = vec![0u64; partitions.len()];
            for index in &indices {
                let found = partitions.of(*index);
                let pixel = partitions.0[found];
                assert_eq!(*index >> (2 * (FINEST - pixel.order)), pixel.index as i64);
                rows[found] += 1;
            }
            for (pixel, rows) in partitions.iter().zip(&rows) {
                assert!(
                    *rows > 0 && (*rows <= most || pixel.order == MAX_ORDER),
                    "{pixel:?}: {rows}"
                );
            }
            let orders: std::collections::BTreeSet<u8> =
                partitions.iter().map(|p| p.order).collect();
            assert!(most > 100 || orders.len() > 1, "{orders:?}");
        }
    }

    #[test]
    fn paths_are_those_of_the_note() {
        assert_eq!(Pixel { order: 3, index: 44 }.path(), "Norder=3/Dir=0/Npix=44.parquet");
        let far = Pixel { order: 8, index: 712_345 };
        assert_eq!(far.path(), "Norder=8/Dir=710000/Npix=712345.parquet");
    }
}
