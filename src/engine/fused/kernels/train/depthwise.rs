//! Depthwise convolution of an image, forward, with the batch norm and SiLU
//! before it applied on the way in.
//!
//! A ring holds the `kernel` input rows that an output row needs, blocked by
//! sixteen channels and with zero borders, so that neighbouring pixels are
//! neighbouring lines and no tap is a special case.

#![allow(unsafe_code, reason = "SIMD kernels on pointers into checked slices")]

use super::{
    buffer::{Buffer, aligned},
    element::{Element, ElementOn},
    prefetch::prefetch,
};
use crate::backend::Launch;
use crate::lines::BLOCK;
use crate::simd::{Kernel, Simd};

/// Output pixels computed together.
pub const RUN: usize = 8;

/// Sizes of a depthwise convolution of a square image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Padded channels.
    pub channels: usize,
    /// Side of the input.
    pub input: usize,
    /// Side of the output.
    pub output: usize,
    /// Side of the kernel, 3 or 5.
    pub kernel: usize,
    /// 1 or 2.
    pub stride: usize,
    /// Zeros before the first row and column.
    pub pad: usize,
}

impl Geometry {
    pub(crate) fn blocks(self) -> usize {
        self.channels / BLOCK
    }

    /// Pixels in a row of the ring, borders included.
    pub(crate) fn ring_width(self) -> usize {
        let read = (self.output.next_multiple_of(RUN) - 1) * self.stride + self.kernel;
        read.max(self.pad + self.input)
    }

    /// Floats of scratch that [`depthwise_forward`] needs.
    pub fn forward_scratch(self) -> usize {
        self.kernel * self.ring_width() * self.channels
    }

    pub(crate) fn check(self) {
        assert!(self.channels.is_multiple_of(BLOCK) && self.channels > 0, "not whole lines");
        assert!(matches!(self.kernel, 3 | 5) && matches!(self.stride, 1 | 2), "no such kernel");
        assert!(self.pad < self.kernel && self.output > 0 && self.input > 0, "no such padding");
        let last = (self.output - 1) * self.stride;
        assert!(last < self.input + self.pad, "the last output sees no input");
    }
}

/// The weights in the orders that the passes read: `[block][ky][kx][16]`, and
/// for the gradient towards the input by the phase of the output column, taps
/// ascending in the column that they read.
pub struct DepthwiseWeights {
    channels: usize,
    kernel: usize,
    stride: usize,
    pub(crate) forward: Buffer,
    pub(crate) backward: Buffer,
}

impl DepthwiseWeights {
    /// Room for weights.
    pub fn new(channels: usize, kernel: usize, stride: usize) -> Self {
        let len = channels.next_multiple_of(BLOCK) * kernel * kernel;
        let (forward, backward) = (Buffer::zeros(len), Buffer::zeros(len));
        Self { channels, kernel, stride, forward, backward }
    }

    /// Packs `[channels][1][kernel][kernel]`.
    pub fn pack(&mut self, source: &[f32]) {
        let (k, s) = (self.kernel, self.stride);
        for (c, weights) in source.chunks_exact(k * k).take(self.channels).enumerate() {
            let at = |ky: usize, t: usize| ((c / BLOCK * k + ky) * k + t) * BLOCK + c % BLOCK;
            for ky in 0..k {
                for kx in 0..k {
                    self.forward[at(ky, kx)] = weights[ky * k + kx];
                }
                let mut t = 0;
                for phase in 0..s {
                    for u in (0..phase_taps(k, s, phase)).rev() {
                        self.backward[at(ky, t)] = weights[ky * k + phase + s * u];
                        t += 1;
                    }
                }
            }
        }
    }
}

/// Taps of a kernel row that reach outputs of a phase.
#[inline(always)]
pub fn phase_taps(kernel: usize, stride: usize, phase: usize) -> usize {
    (kernel - phase).div_ceil(stride)
}

/// A row of the ring and the weights that apply to it.
#[derive(Clone, Copy)]
pub struct Tap {
    pub row: *const f32,
    pub weights: *const f32,
}

/// `RUN` neighbouring outputs of one vector of channels: for each of `rows`,
/// `acc[j] += Σ_t row[j · STEP + t] · weights[t]`.
///
/// # Safety
/// The rows are readable for `(RUN − 1) · STEP + TAPS` lines from their
/// pointers, the weights for `TAPS` lines.
#[inline(always)]
pub unsafe fn run_of_outputs<S: Simd, const TAPS: usize, const STEP: usize>(
    s: S,
    rows: &[Tap],
    from: usize,
    lane: usize,
) -> [S::Vector; RUN] {
    let mut acc = [s.splat(0.0); RUN];
    for tap in rows {
        // SAFETY: the caller's.
        unsafe {
            let row = tap.row.add(from * BLOCK + lane);
            let mut weights = [s.splat(0.0); TAPS];
            for (t, w) in weights.iter_mut().enumerate() {
                *w = s.load(tap.weights.add(t * BLOCK + lane));
            }
            for (j, acc) in acc.iter_mut().enumerate() {
                for (t, &w) in weights.iter().enumerate() {
                    *acc = s.mul_add(s.load(row.add((j * STEP + t) * BLOCK)), w, *acc);
                }
            }
        }
    }
    acc
}

/// What a depthwise convolution reads: the image.
#[derive(Clone, Copy)]
pub enum ForwardInput<'a, E> {
    /// `silu(x · scale + shift)` of `x`.
    Activated(&'a [E], (&'a [f32], &'a [f32])),
    /// `x` itself.
    Plain(&'a [f32]),
}

/// Convolves one image, `input` to `output`.
pub fn depthwise_forward<E: Element>(
    own: E::Runner,
    g: Geometry,
    input: ForwardInput<'_, E>,
    weights: &DepthwiseWeights,
    output: &mut [E],
    scratch: &mut [f32],
) {
    g.check();
    assert!(aligned(output) && aligned(scratch), "not aligned");
    let (len, is_aligned) = match input {
        ForwardInput::Activated(x, _) => (x.len(), aligned(x)),
        ForwardInput::Plain(x) => (x.len(), aligned(x)),
    };
    assert!(is_aligned && len >= g.input * g.input * g.channels, "the input is too small");
    assert!(output.len() >= g.output * g.output * g.channels, "the output is too small");
    assert!(scratch.len() >= g.forward_scratch(), "the scratch is too small");
    assert!(weights.forward.len() == g.kernel * g.kernel * g.channels, "other weights");
    if let ForwardInput::Activated(_, (scale, shift)) = input {
        assert!(scale.len() >= g.channels && shift.len() >= g.channels, "too few channels");
        assert!(aligned(scale) && aligned(shift), "not aligned");
    }
    own.launch(Forward { g, input, weights: &weights.forward, output, ring: scratch });
}

pub struct Forward<'a, E> {
    g: Geometry,
    input: ForwardInput<'a, E>,
    weights: &'a [f32],
    output: &'a mut [E],
    ring: &'a mut [f32],
}

impl<S: Simd, E: ElementOn<S>> Kernel<S> for Forward<'_, E> {
    #[inline(always)]
    fn run(mut self, s: S) {
        match (self.g.kernel, self.g.stride) {
            (3, 1) => self.image::<S, 3, 1>(s),
            (3, _) => self.image::<S, 3, 2>(s),
            (_, 1) => self.image::<S, 5, 1>(s),
            _ => self.image::<S, 5, 2>(s),
        }
    }
}

impl<E: Element> Forward<'_, E> {
    #[inline(always)]
    fn image<S: Simd, const K: usize, const STRIDE: usize>(&mut self, s: S)
    where
        E: ElementOn<S>,
    {
        let g = self.g;
        let width = g.ring_width();
        let slot = width * g.channels;
        clear_borders(&mut self.ring[..K * slot], width, g.pad, g.input);
        let mut filled = 0;
        for oy in 0..g.output {
            let first = (oy * STRIDE).saturating_sub(g.pad);
            let end = (oy * STRIDE + K - g.pad).min(g.input);
            filled = filled.max(first);
            while filled < end {
                self.fill(s, filled, filled % K * slot, width);
                filled += 1;
            }
            for block in 0..g.blocks() {
                let mut taps = [Tap { row: std::ptr::null(), weights: std::ptr::null() }; K];
                let mut count = 0;
                for y in first..end {
                    let ky = y + g.pad - oy * STRIDE;
                    let row = y % K * slot + block * width * BLOCK;
                    // SAFETY: rows of the ring and of the weights, whose sizes were checked.
                    unsafe {
                        taps[count] = Tap {
                            row: self.ring.as_ptr().add(row),
                            weights: self.weights.as_ptr().add((block * K + ky) * K * BLOCK),
                        };
                    }
                    count += 1;
                }
                let taps = &taps[..count];
                for x in (0..g.output).step_by(RUN) {
                    let valid = RUN.min(g.output - x);
                    for lane in (0..BLOCK).step_by(S::LANES) {
                        // SAFETY: `ring_width` covers whole runs; only valid outputs are stored.
                        unsafe {
                            let acc = run_of_outputs::<S, K, STRIDE>(s, taps, x * STRIDE, lane);
                            let to = ((oy * g.output + x) * g.blocks() + block) * BLOCK + lane;
                            let to = self.output.as_mut_ptr().add(to);
                            for (j, &value) in acc.iter().enumerate() {
                                if j < valid {
                                    E::store(s, to.add(j * g.channels), value);
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Brings input row `y` into the ring at `slot`.
    #[inline(always)]
    fn fill<S: Simd>(&mut self, s: S, y: usize, slot: usize, width: usize)
    where
        E: ElementOn<S>,
    {
        let at = (y, slot, width);
        match self.input {
            ForwardInput::Activated(x, (scale, shift)) => {
                self.fill_from::<S, E, true>(s, x, (scale, shift), at);
            }
            ForwardInput::Plain(x) => self.fill_from::<S, f32, false>(s, x, (&[], &[]), at),
        }
    }

    /// The same from what is kept as `I`, through the norm and its SiLU or as
    /// it is.
    #[inline(always)]
    fn fill_from<S: Simd, I: ElementOn<S>, const ACTIVATED: bool>(
        &mut self,
        s: S,
        input: &[I],
        (scale, shift): (&[f32], &[f32]),
        (y, slot, width): (usize, usize, usize),
    ) {
        let g = self.g;
        for x in 0..g.input {
            let from = (y * g.input + x) * g.channels;
            for i in (0..g.channels).step_by(S::LANES) {
                let to = slot + (i / BLOCK * width + g.pad + x) * BLOCK + i % BLOCK;
                // SAFETY: `depthwise_forward` checked the image, the ring and, where the input
                // is activated, the vectors.
                unsafe {
                    prefetch(input.as_ptr().wrapping_add(from + i));
                    let mut value = I::load(s, input.as_ptr().add(from + i));
                    if ACTIVATED {
                        let scale = s.load(scale.as_ptr().add(i));
                        let z = s.mul_add(value, scale, s.load(shift.as_ptr().add(i)));
                        value = I::silu(s, z);
                    }
                    s.store(self.ring.as_mut_ptr().add(to), value);
                }
            }
        }
    }
}

/// Zeros all but the `used` pixels from `left` on in rows of `width` lines.
#[inline(always)]
pub fn clear_borders(rows: &mut [f32], width: usize, left: usize, used: usize) {
    for row in rows.chunks_exact_mut(width * BLOCK) {
        row[..left * BLOCK].fill(0.0);
        row[(left + used) * BLOCK..].fill(0.0);
    }
}
