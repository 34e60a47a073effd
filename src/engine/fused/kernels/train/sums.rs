//! Sums over pixels, channel by channel: the moments of batch norm, pooling,
//! and the sums that its gradient and the gate's need.
//!
//! A few hundred rows are summed in f32, and these sums in f64; moments are
//! taken about the first row seen, so that a mean far from zero costs no
//! digits. The order of additions is that of the calls.

#![allow(unsafe_code, reason = "SIMD kernels on pointers into checked slices")]

use super::sigmoid::silu;
use super::{
    Cpu,
    buffer::{Buffer, aligned},
    prefetch::prefetch,
    sigmoid::silu_and_slope,
};
use crate::lines::BLOCK;
use crate::simd::{Kernel, Simd};

/// Rows that are summed in f32.
const RUN: usize = 256;

/// Several sums a channel.
#[derive(Default)]
pub struct Sums {
    channels: usize,
    pending: usize,
    run: Buffer,
    total: Vec<f64>,
}

impl Sums {
    /// `count` sums for each of `channels` (padded) channels.
    pub fn new(channels: usize, count: usize) -> Self {
        assert!(channels.is_multiple_of(BLOCK), "not whole lines");
        let len = channels * count;
        Self { channels, pending: 0, run: Buffer::zeros(len), total: vec![0.0; len] }
    }

    /// Starts again.
    pub fn clear(&mut self) {
        self.pending = 0;
        self.run.fill(0.0);
        self.total.fill(0.0);
    }

    /// The run to which a kernel is about to add `rows` rows.
    pub fn run_for(&mut self, rows: usize) -> &mut [f32] {
        if self.pending + rows > RUN {
            self.flush();
        }
        self.pending += rows;
        &mut self.run
    }

    fn flush(&mut self) {
        for (total, run) in self.total.iter_mut().zip(self.run.iter_mut()) {
            *total += f64::from(*run);
            *run = 0.0;
        }
        self.pending = 0;
    }

    /// Sum `index` of all channels.
    pub fn get(&mut self, index: usize) -> &[f64] {
        if self.pending > 0 {
            self.flush();
        }
        &self.total[index * self.channels..][..self.channels]
    }
}

/// Mean and variance of each channel over the rows seen so far.
pub struct Moments {
    shift: Buffer,
    sums: Sums,
    rows: usize,
}

impl Moments {
    /// Of `channels` (padded) channels, no rows yet.
    pub fn new(channels: usize) -> Self {
        Self { shift: Buffer::zeros(channels), sums: Sums::new(channels, 2), rows: 0 }
    }

    /// Starts again.
    pub fn clear(&mut self) {
        self.rows = 0;
        self.sums.clear();
    }

    /// Rows seen so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds rows of [`Self::new`]'s width.
    pub fn add(&mut self, cpu: Cpu, x: &[f32]) {
        let c = self.sums.channels;
        assert!(x.len().is_multiple_of(c) && aligned(x), "not whole rows");
        if self.rows == 0 {
            self.shift[..c].copy_from_slice(&x[..c]);
        }
        self.rows += x.len() / c;
        for x in x.chunks(RUN * c) {
            let sums = self.sums.run_for(x.len() / c);
            cpu.run(Add { c, x, shift: &self.shift, sums });
        }
    }

    /// Mean and sum of squared deviations from it, for each channel.
    pub fn finish(&mut self, mut take: impl FnMut(usize, f64, f64)) {
        let n = self.rows as f64;
        let c = self.sums.channels;
        self.sums.flush();
        let (first, second) = self.sums.total.split_at(c);
        for (i, (&s1, &s2)) in first.iter().zip(second).enumerate() {
            let mean = s1 / n;
            take(i, f64::from(self.shift[i]) + mean, (s2 - s1 * mean).max(0.0));
        }
    }
}

struct Add<'a> {
    c: usize,
    x: &'a [f32],
    shift: &'a [f32],
    sums: &'a mut [f32],
}

impl<S: Simd> Kernel<S> for Add<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let (x, c) = (self.x.as_ptr(), self.c);
        let sums = self.sums.as_mut_ptr();
        let rows = self.x.len() / c;
        let mut row = 0;
        // SAFETY: `Moments::add` checked the rows; shift holds `c` and sums 2 · `c` floats.
        unsafe {
            while row + 4 <= rows {
                self.rows::<S, 4>(s, x.add(row * c), sums);
                row += 4;
            }
            while row < rows {
                self.rows::<S, 1>(s, x.add(row * c), sums);
                row += 1;
            }
        }
    }
}

impl Add<'_> {
    #[inline(always)]
    unsafe fn rows<S: Simd, const R: usize>(&self, s: S, x: *const f32, sums: *mut f32) {
        for i in (0..self.c).step_by(S::LANES) {
            // SAFETY: the caller's.
            unsafe {
                let shift = s.mul(s.load(self.shift.as_ptr().add(i)), s.splat(-1.0));
                let (first, second) = (sums.add(i), sums.add(self.c + i));
                let (mut s1, mut s2) = (s.load(first), s.load(second));
                for r in 0..R {
                    let d = s.add(s.load(x.add(r * self.c + i)), shift);
                    s1 = s.add(s1, d);
                    s2 = s.mul_add(d, d, s2);
                }
                s.store(first, s1);
                s.store(second, s2);
            }
        }
    }
}

/// Adds `Σ silu(x · scale + shift)` to sum 0.
pub fn pool(cpu: Cpu, x: &[f32], (scale, shift): (&[f32], &[f32]), sums: &mut Sums) {
    let c = sums.channels;
    assert!(x.len().is_multiple_of(c) && aligned(x), "not whole rows");
    assert!([scale, shift].iter().all(|v| v.len() >= c && aligned(v)), "too few channels");
    for x in x.chunks(RUN * c) {
        let sums = sums.run_for(x.len() / c);
        cpu.run(Pool { c, x, scale, shift, sums });
    }
}

struct Pool<'a> {
    c: usize,
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    sums: &'a mut [f32],
}

impl<S: Simd> Kernel<S> for Pool<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let sums = self.sums.as_mut_ptr();
        for row in (0..self.x.len()).step_by(self.c) {
            for i in (0..self.c).step_by(S::LANES) {
                // SAFETY: `pool` checked that rows and vectors hold `c` floats.
                unsafe {
                    prefetch(self.x.as_ptr().wrapping_add(row + i));
                    let x = s.load(self.x.as_ptr().add(row + i));
                    let scale = s.load(self.scale.as_ptr().add(i));
                    let a = silu(s, s.mul_add(x, scale, s.load(self.shift.as_ptr().add(i))));
                    s.store(sums.add(i), s.add(s.load(sums.add(i)), a));
                }
            }
        }
    }
}

/// Adds `Σ dy` and `Σ dy · x̂` to sums 0 and 1, where `x̂ = x · rstd + offset`.
pub fn gradient_sums(
    cpu: Cpu,
    dy: &[f32],
    x: &[f32],
    (rstd, offset): (&[f32], &[f32]),
    sums: &mut Sums,
) {
    let c = sums.channels;
    assert!(x.len().is_multiple_of(c) && x.len() == dy.len(), "not whole rows");
    assert!(aligned(x) && aligned(dy) && sums.run.len() >= 2 * c, "not aligned, or no room");
    assert!([rstd, offset].iter().all(|v| v.len() >= c && aligned(v)), "too few channels");
    for (dy, x) in dy.chunks(RUN * c).zip(x.chunks(RUN * c)) {
        let sums = sums.run_for(x.len() / c);
        cpu.run(GradientSums { c, dy, x, rstd, offset, sums });
    }
}

struct GradientSums<'a> {
    c: usize,
    dy: &'a [f32],
    x: &'a [f32],
    rstd: &'a [f32],
    offset: &'a [f32],
    sums: &'a mut [f32],
}

impl<S: Simd> Kernel<S> for GradientSums<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let sums = self.sums.as_mut_ptr();
        for row in (0..self.x.len()).step_by(self.c) {
            for i in (0..self.c).step_by(S::LANES) {
                // SAFETY: `gradient_sums` checked the rows, the vectors and the sums.
                unsafe {
                    let dy = s.load(self.dy.as_ptr().add(row + i));
                    prefetch(self.x.as_ptr().wrapping_add(row + i));
                    let x = s.load(self.x.as_ptr().add(row + i));
                    let rstd = s.load(self.rstd.as_ptr().add(i));
                    let hat = s.mul_add(x, rstd, s.load(self.offset.as_ptr().add(i)));
                    let (first, second) = (sums.add(i), sums.add(self.c + i));
                    s.store(first, s.add(s.load(first), dy));
                    s.store(second, s.mul_add(dy, hat, s.load(second)));
                }
            }
        }
    }
}

/// What the gradient of `gate · silu(bn(x))` needs of an image, `da` being the
/// gradient at that product, `a = silu(z)`, `a'` its slope at `z = bn(x)`:
/// adds `Σ da·a`, `Σ da·a'`, `Σ a'`, `Σ da·a'·x̂` and `Σ a'·x̂` to sums 0–4, and
/// writes `gate · a` to `out`.
///
/// With them the gradient at `z`, `(gate · da + d) · a'` where `d` comes back
/// through the squeeze, is summed without another pass once `d` is known.
pub fn project_sums(
    cpu: Cpu,
    da: &[f32],
    x: &[f32],
    [scale, shift, rstd, offset, gate]: [&[f32]; 5],
    out: &mut [f32],
    sums: &mut Sums,
) {
    let c = sums.channels;
    assert!(x.len().is_multiple_of(c) && x.len() == da.len() && out.len() >= x.len());
    assert!(aligned(x) && aligned(da) && aligned(out) && sums.run.len() >= 5 * c);
    let vectors = [scale, shift, rstd, offset, gate];
    assert!(vectors.iter().all(|v| v.len() >= c && aligned(v)), "too few channels");
    let out = out.chunks_mut(RUN * c);
    for ((da, x), out) in da.chunks(RUN * c).zip(x.chunks(RUN * c)).zip(out) {
        let sums = sums.run_for(x.len() / c);
        cpu.run(ProjectSums { c, da, x, vectors, out, sums });
    }
}

struct ProjectSums<'a> {
    c: usize,
    da: &'a [f32],
    x: &'a [f32],
    vectors: [&'a [f32]; 5],
    out: &'a mut [f32],
    sums: &'a mut [f32],
}

impl<S: Simd> Kernel<S> for ProjectSums<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let (c, sums, out) = (self.c, self.sums.as_mut_ptr(), self.out.as_mut_ptr());
        for row in (0..self.x.len()).step_by(c) {
            for i in (0..c).step_by(S::LANES) {
                // SAFETY: `project_sums` checked the rows, the vectors and the sums.
                unsafe {
                    let [scale, shift, rstd, offset, gate] =
                        self.vectors.map(|v| s.load(v.as_ptr().add(i)));
                    let da = s.load(self.da.as_ptr().add(row + i));
                    prefetch(self.x.as_ptr().wrapping_add(row + i));
                    let x = s.load(self.x.as_ptr().add(row + i));
                    let (a, slope) = silu_and_slope(s, s.mul_add(x, scale, shift));
                    let hat = s.mul_add(x, rstd, offset);
                    let (dz, slope_hat) = (s.mul(da, slope), s.mul(slope, hat));
                    let at = |n: usize| sums.add(n * c + i);
                    s.store(out.add(row + i), s.mul(gate, a));
                    s.store(at(0), s.mul_add(da, a, s.load(at(0))));
                    s.store(at(1), s.add(dz, s.load(at(1))));
                    s.store(at(2), s.add(slope, s.load(at(2))));
                    s.store(at(3), s.mul_add(dz, hat, s.load(at(3))));
                    s.store(at(4), s.add(slope_hat, s.load(at(4))));
                }
            }
        }
    }
}

/// Gradient of the mean of `silu(bn(x))` over pixels: writes
/// `dz = constant · silu'(z)` to `dz`, and adds `Σ dz` and `Σ dz · x̂` to sums
/// 0 and 1.
pub fn pool_gradient(
    cpu: Cpu,
    x: &[f32],
    [scale, shift, rstd, offset, constant]: [&[f32]; 5],
    dz: &mut [f32],
    sums: &mut Sums,
) {
    let c = sums.channels;
    assert!(x.len().is_multiple_of(c) && dz.len() >= x.len(), "not whole rows");
    assert!(aligned(x) && aligned(dz) && sums.run.len() >= 2 * c, "not aligned, or no room");
    let vectors = [scale, shift, rstd, offset, constant];
    assert!(vectors.iter().all(|v| v.len() >= c && aligned(v)), "too few channels");
    for (x, dz) in x.chunks(RUN * c).zip(dz.chunks_mut(RUN * c)) {
        let sums = sums.run_for(x.len() / c);
        cpu.run(PoolGradient { c, x, vectors, dz, sums });
    }
}

struct PoolGradient<'a> {
    c: usize,
    x: &'a [f32],
    vectors: [&'a [f32]; 5],
    dz: &'a mut [f32],
    sums: &'a mut [f32],
}

impl<S: Simd> Kernel<S> for PoolGradient<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let (c, sums, dz) = (self.c, self.sums.as_mut_ptr(), self.dz.as_mut_ptr());
        for row in (0..self.x.len()).step_by(c) {
            for i in (0..c).step_by(S::LANES) {
                // SAFETY: `pool_gradient` checked the rows, the vectors and the sums.
                unsafe {
                    let [scale, shift, rstd, offset, constant] =
                        self.vectors.map(|v| s.load(v.as_ptr().add(i)));
                    prefetch(self.x.as_ptr().wrapping_add(row + i));
                    let x = s.load(self.x.as_ptr().add(row + i));
                    let (_, slope) = silu_and_slope(s, s.mul_add(x, scale, shift));
                    let value = s.mul(constant, slope);
                    let hat = s.mul_add(x, rstd, offset);
                    let (first, second) = (sums.add(i), sums.add(c + i));
                    s.store(dz.add(row + i), value);
                    s.store(first, s.add(s.load(first), value));
                    s.store(second, s.mul_add(value, hat, s.load(second)));
                }
            }
        }
    }
}
