//! Sums over pixels, channel by channel: the moments of batch norm, pooling,
//! and the sums that its gradient and the gate's need.
//!
//! A few hundred rows are summed in f32, and these sums in f64; moments are
//! taken about the first row seen, so that a mean far from zero costs no
//! digits. The order of additions is that of the calls.

#![allow(unsafe_code, reason = "SIMD kernels on pointers into checked slices")]

use super::{
    Cpu,
    buffer::{Buffer, aligned},
    element::{Element, ElementOn},
    prefetch::prefetch,
};
use crate::backend::Launch;
use crate::lines::BLOCK;
use crate::simd::{Kernel, Simd, unrolled};

/// Rows that are summed in f32.
const RUN: usize = 256;

/// All rows of a kernel that takes `R` at a time: four, for which sums and
/// vectors stay in registers, and the rest one by one. Sums are the same bits.
macro_rules! by_rows {
    ($kernel:ident, $s:ident, $rows:expr) => {
        let rows = $rows;
        let mut row = 0;
        // SAFETY: `row` and those that are taken with it are below `rows`.
        unsafe {
            while row + 4 <= rows {
                $kernel.rows::<S, 4>($s, row);
                row += 4;
            }
            while row < rows {
                $kernel.rows::<S, 1>($s, row);
                row += 1;
            }
        }
    };
}

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
    pub fn add<E: Element>(&mut self, own: E::Runner, x: &[E]) {
        let c = self.sums.channels;
        assert!(x.len().is_multiple_of(c) && aligned(x), "not whole rows");
        if self.rows == 0 {
            self.shift.iter_mut().zip(&x[..c]).for_each(|(shift, x)| *shift = x.widen());
        }
        self.rows += x.len() / c;
        for x in x.chunks(RUN * c) {
            let sums = self.sums.run_for(x.len() / c);
            own.launch(Add { c, x, shift: &self.shift, sums });
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

pub struct Add<'a, E> {
    c: usize,
    x: &'a [E],
    shift: &'a [f32],
    sums: &'a mut [f32],
}

impl<S: Simd, E: ElementOn<S>> Kernel<S> for Add<'_, E> {
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

impl<E: Element> Add<'_, E> {
    #[inline(always)]
    unsafe fn rows<S: Simd, const R: usize>(&self, s: S, x: *const E, sums: *mut f32)
    where
        E: ElementOn<S>,
    {
        for i in (0..self.c).step_by(S::LANES) {
            // SAFETY: the caller's.
            unsafe {
                let shift = s.mul(s.load(self.shift.as_ptr().add(i)), s.splat(-1.0));
                let (first, second) = (sums.add(i), sums.add(self.c + i));
                let (mut s1, mut s2) = (s.load(first), s.load(second));
                for r in 0..R {
                    let d = s.add(E::load(s, x.add(r * self.c + i)), shift);
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
pub fn pool<E: Element>(
    own: E::Runner,
    x: &[E],
    (scale, shift): (&[f32], &[f32]),
    sums: &mut Sums,
) {
    let c = sums.channels;
    assert!(x.len().is_multiple_of(c) && aligned(x), "not whole rows");
    assert!([scale, shift].iter().all(|v| v.len() >= c && aligned(v)), "too few channels");
    for x in x.chunks(RUN * c) {
        let sums = sums.run_for(x.len() / c);
        own.launch(Pool { c, x, scale, shift, sums });
    }
}

pub struct Pool<'a, E> {
    c: usize,
    x: &'a [E],
    scale: &'a [f32],
    shift: &'a [f32],
    sums: &'a mut [f32],
}

impl<S: Simd, E: ElementOn<S>> Kernel<S> for Pool<'_, E> {
    #[inline(always)]
    fn run(mut self, s: S) {
        by_rows!(self, s, self.x.len() / self.c);
    }
}

impl<E: Element> Pool<'_, E> {
    /// # Safety
    /// There are `R` rows from `row` on.
    #[inline(always)]
    unsafe fn rows<S: Simd, const R: usize>(&mut self, s: S, row: usize)
    where
        E: ElementOn<S>,
    {
        let c = self.c;
        for i in (0..c).step_by(S::LANES) {
            // SAFETY: `pool` checked that rows and vectors hold `c` floats.
            unsafe {
                let scale = s.load(self.scale.as_ptr().add(i));
                let shift = s.load(self.shift.as_ptr().add(i));
                let to = self.sums.as_mut_ptr().add(i);
                let mut sum = s.load(to);
                unrolled!(J in 0..R, up to 4 => {
                    let x = self.x.as_ptr().add((row + J) * c + i);
                    prefetch(x);
                    sum = s.add(sum, E::silu(s, s.mul_add(E::load(s, x), scale, shift)));
                });
                s.store(to, sum);
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
        cpu.launch(GradientSums { c, dy, x, rstd, offset, sums });
    }
}

pub struct GradientSums<'a> {
    c: usize,
    dy: &'a [f32],
    x: &'a [f32],
    rstd: &'a [f32],
    offset: &'a [f32],
    sums: &'a mut [f32],
}

impl<S: Simd> Kernel<S> for GradientSums<'_> {
    #[inline(always)]
    fn run(mut self, s: S) {
        by_rows!(self, s, self.x.len() / self.c);
    }
}

impl GradientSums<'_> {
    /// # Safety
    /// There are `R` rows from `row` on.
    #[inline(always)]
    unsafe fn rows<S: Simd, const R: usize>(&mut self, s: S, row: usize) {
        let c = self.c;
        for i in (0..c).step_by(S::LANES) {
            // SAFETY: `gradient_sums` checked the rows, the vectors and the sums.
            unsafe {
                let rstd = s.load(self.rstd.as_ptr().add(i));
                let offset = s.load(self.offset.as_ptr().add(i));
                let first = self.sums.as_mut_ptr().add(i);
                let second = first.add(c);
                let (mut s1, mut s2) = (s.load(first), s.load(second));
                unrolled!(J in 0..R, up to 4 => {
                    let at = (row + J) * c + i;
                    let dy = s.load(self.dy.as_ptr().add(at));
                    prefetch(self.x.as_ptr().wrapping_add(at));
                    let hat = s.mul_add(s.load(self.x.as_ptr().add(at)), rstd, offset);
                    s1 = s.add(s1, dy);
                    s2 = s.mul_add(dy, hat, s2);
                });
                s.store(first, s1);
                s.store(second, s2);
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
pub fn project_sums<E: Element>(
    own: E::Runner,
    da: &[E],
    x: &[E],
    [scale, shift, rstd, offset, gate]: [&[f32]; 5],
    out: &mut [E],
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
        own.launch(ProjectSums { c, da, x, vectors, out, sums });
    }
}

pub struct ProjectSums<'a, E> {
    c: usize,
    da: &'a [E],
    x: &'a [E],
    vectors: [&'a [f32]; 5],
    out: &'a mut [E],
    sums: &'a mut [f32],
}

impl<S: Simd, E: ElementOn<S>> Kernel<S> for ProjectSums<'_, E> {
    #[inline(always)]
    fn run(mut self, s: S) {
        by_rows!(self, s, self.x.len() / self.c);
    }
}

impl<E: Element> ProjectSums<'_, E> {
    /// # Safety
    /// There are `R` rows from `row` on.
    #[inline(always)]
    unsafe fn rows<S: Simd, const R: usize>(&mut self, s: S, row: usize)
    where
        E: ElementOn<S>,
    {
        let c = self.c;
        for i in (0..c).step_by(S::LANES) {
            // SAFETY: `project_sums` checked the rows, the vectors and the sums.
            unsafe {
                // (A closure would not be compiled for the instruction set.)
                let scale = s.load(self.vectors[0].as_ptr().add(i));
                let shift = s.load(self.vectors[1].as_ptr().add(i));
                let rstd = s.load(self.vectors[2].as_ptr().add(i));
                let offset = s.load(self.vectors[3].as_ptr().add(i));
                let gate = s.load(self.vectors[4].as_ptr().add(i));
                let to = self.sums.as_mut_ptr().add(i);
                let mut sums = [s.splat(0.0); 5];
                unrolled!(N in 0..5, up to 5 => {
                    sums[N] = s.load(to.add(N * c));
                });
                unrolled!(J in 0..R, up to 4 => {
                    let at = (row + J) * c + i;
                    let da = E::load(s, self.da.as_ptr().add(at));
                    prefetch(self.x.as_ptr().wrapping_add(at));
                    let x = E::load(s, self.x.as_ptr().add(at));
                    let (a, slope) = E::silu_and_slope(s, s.mul_add(x, scale, shift));
                    let hat = s.mul_add(x, rstd, offset);
                    let (dz, slope_hat) = (s.mul(da, slope), s.mul(slope, hat));
                    E::store(s, self.out.as_mut_ptr().add(at), s.mul(gate, a));
                    sums[0] = s.mul_add(da, a, sums[0]);
                    sums[1] = s.add(dz, sums[1]);
                    sums[2] = s.add(slope, sums[2]);
                    sums[3] = s.mul_add(dz, hat, sums[3]);
                    sums[4] = s.add(slope_hat, sums[4]);
                });
                unrolled!(N in 0..5, up to 5 => {
                    s.store(to.add(N * c), sums[N]);
                });
            }
        }
    }
}

/// Gradient of the mean of `silu(bn(x))` over pixels: writes
/// `dz = constant · silu'(z)` to `dz`, and adds `Σ dz` and `Σ dz · x̂` to sums
/// 0 and 1.
pub fn pool_gradient<E: Element>(
    own: E::Runner,
    x: &[E],
    [scale, shift, rstd, offset, constant]: [&[f32]; 5],
    dz: &mut [E],
    sums: &mut Sums,
) {
    let c = sums.channels;
    assert!(x.len().is_multiple_of(c) && dz.len() >= x.len(), "not whole rows");
    assert!(aligned(x) && aligned(dz) && sums.run.len() >= 2 * c, "not aligned, or no room");
    let vectors = [scale, shift, rstd, offset, constant];
    assert!(vectors.iter().all(|v| v.len() >= c && aligned(v)), "too few channels");
    for (x, dz) in x.chunks(RUN * c).zip(dz.chunks_mut(RUN * c)) {
        let sums = sums.run_for(x.len() / c);
        own.launch(PoolGradient { c, x, vectors, dz, sums });
    }
}

pub struct PoolGradient<'a, E> {
    c: usize,
    x: &'a [E],
    vectors: [&'a [f32]; 5],
    dz: &'a mut [E],
    sums: &'a mut [f32],
}

impl<S: Simd, E: ElementOn<S>> Kernel<S> for PoolGradient<'_, E> {
    #[inline(always)]
    fn run(mut self, s: S) {
        by_rows!(self, s, self.x.len() / self.c);
    }
}

impl<E: Element> PoolGradient<'_, E> {
    /// # Safety
    /// There are `R` rows from `row` on.
    #[inline(always)]
    unsafe fn rows<S: Simd, const R: usize>(&mut self, s: S, row: usize)
    where
        E: ElementOn<S>,
    {
        let c = self.c;
        for i in (0..c).step_by(S::LANES) {
            // SAFETY: `pool_gradient` checked the rows, the vectors and the sums.
            unsafe {
                let scale = s.load(self.vectors[0].as_ptr().add(i));
                let shift = s.load(self.vectors[1].as_ptr().add(i));
                let rstd = s.load(self.vectors[2].as_ptr().add(i));
                let offset = s.load(self.vectors[3].as_ptr().add(i));
                let constant = s.load(self.vectors[4].as_ptr().add(i));
                let first = self.sums.as_mut_ptr().add(i);
                let second = first.add(c);
                let (mut s1, mut s2) = (s.load(first), s.load(second));
                unrolled!(J in 0..R, up to 4 => {
                    let at = (row + J) * c + i;
                    prefetch(self.x.as_ptr().wrapping_add(at));
                    let x = E::load(s, self.x.as_ptr().add(at));
                    let (_, slope) = E::silu_and_slope(s, s.mul_add(x, scale, shift));
                    let value = s.mul(constant, slope);
                    let hat = s.mul_add(x, rstd, offset);
                    E::store(s, self.dz.as_mut_ptr().add(at), value);
                    s1 = s.add(s1, value);
                    s2 = s.mul_add(value, hat, s2);
                });
                s.store(first, s1);
                s.store(second, s2);
            }
        }
    }
}
