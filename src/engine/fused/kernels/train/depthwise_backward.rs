//! Gradient of the depthwise convolution of an image, towards its weights and
//! its input, together with the SiLUs and batch norms on either side.
//!
//! The gradient at the convolution's output is made row by row from what is
//! kept of the forward pass and goes into a ring, never to memory. An input
//! row then needs the same few rows of that ring for both gradients.

#![allow(unsafe_code, reason = "SIMD kernels on pointers into checked slices")]

use super::{
    buffer::aligned,
    depthwise::{DepthwiseWeights, Geometry, RUN, Tap, clear_borders, phase_taps, run_of_outputs},
    element::{Element, ElementOn},
    prefetch::{prefetch, prefetch_to_write},
    sums::Sums,
};
use crate::backend::Launch;
use crate::lines::BLOCK;
use crate::simd::{Kernel, Simd, unrolled};

/// What makes the gradient at the convolution's output: with
/// `z = out · scale + shift`, `dz = (gate · da + constant) · silu'(z)` and
/// `d_out = dz · c0 + out · c1 + c2`.
pub struct Gated<'a, E> {
    /// Gradient at `gate · silu(z)`, the image.
    pub da: &'a [E],
    /// The convolution's output, the image.
    pub out: &'a [E],
    /// Scale, shift, gate, constant, c0, c1, c2: per channel.
    pub vectors: [&'a [f32]; 7],
}

/// What the convolution read, and where the gradient goes.
pub enum DepthwiseInput<'a, E> {
    /// `silu(x · scale + shift)`: the gradient is taken at the SiLU's
    /// argument, and its sum and that with `x̂ = x · rstd + offset` are added
    /// to sums 0 and 1.
    Activated {
        /// The image.
        x: &'a [E],
        /// Its gradient.
        dx: &'a mut [E],
        /// Scale, shift, rstd, offset.
        vectors: [&'a [f32]; 4],
        /// Where sums are added.
        sums: &'a mut Sums,
        /// Gradient at the SiLU that comes past the convolution, the image.
        residual: Option<&'a [f32]>,
    },
    /// `x` itself; `residual` is added to its gradient.
    Plain {
        /// The image.
        x: &'a [f32],
        /// Its gradient.
        dx: &'a mut [f32],
        /// Gradient that comes past the convolution, the image.
        residual: Option<&'a [f32]>,
    },
}

impl Geometry {
    fn gradient_width(self) -> usize {
        let outputs = self.input.div_ceil(self.stride).next_multiple_of(RUN);
        2 * self.kernel + outputs.max(self.output)
    }

    /// Floats of scratch that [`depthwise_backward`] needs.
    pub fn backward_scratch(self) -> usize {
        let lines = self.kernel * self.gradient_width() + self.ring_width() + self.input;
        lines * self.channels + self.input * BLOCK
    }
}

/// Gradients of one image: the input's, and `dw` (`[block][ky][kx][16]`, added
/// to).
pub fn depthwise_backward<E: Element>(
    own: E::Runner,
    g: Geometry,
    gradient: &Gated<'_, E>,
    input: DepthwiseInput<'_, E>,
    weights: &DepthwiseWeights,
    dw: &mut [f32],
    scratch: &mut [f32],
) {
    g.check();
    let (read, written) = (g.input * g.input * g.channels, g.output * g.output * g.channels);
    let c = g.channels;
    for image in [gradient.da, gradient.out] {
        assert!(image.len() >= written && aligned(image), "the gradient's image");
    }
    let per_channel = |v: &[f32]| v.len() >= c && aligned(v);
    assert!(gradient.vectors.iter().all(|v| per_channel(v)), "too few channels");
    let (residual, is_fine) = match &input {
        DepthwiseInput::Activated { x, dx, vectors, residual, .. } => {
            assert!(vectors.iter().all(|v| per_channel(v)), "too few channels");
            (residual, x.len().min(dx.len()) >= read && aligned(x) && aligned(dx))
        }
        DepthwiseInput::Plain { x, dx, residual } => {
            (residual, x.len().min(dx.len()) >= read && aligned(x) && aligned(dx))
        }
    };
    assert!(is_fine, "x or dx");
    assert!(residual.is_none_or(|r| r.len() >= read && aligned(r)), "the residual");
    assert!(weights.backward.len() == g.kernel * g.kernel * c, "other weights");
    assert!(dw.len() >= g.kernel * g.kernel * c && aligned(dw), "the weights' gradient");
    assert!(scratch.len() >= g.backward_scratch() && aligned(scratch), "the scratch");
    let (ring, rest) = scratch.split_at_mut(g.kernel * g.gradient_width() * c);
    let (row, rest) = rest.split_at_mut(g.ring_width() * c);
    let (slope, line) = rest.split_at_mut(g.input * c);
    let weights = &weights.backward;
    own.launch(Backward { g, gradient, input, weights, dw, ring, row, slope, line });
}

pub struct Backward<'a, E> {
    g: Geometry,
    gradient: &'a Gated<'a, E>,
    input: DepthwiseInput<'a, E>,
    weights: &'a [f32],
    dw: &'a mut [f32],
    /// Rows of the gradient at the output, `[slot][block][width][16]`.
    ring: &'a mut [f32],
    /// The input row as the convolution read it, `[block][width][16]`.
    row: &'a mut [f32],
    /// The slope of its SiLU, `[block][input][16]`.
    slope: &'a mut [f32],
    /// Gradient of a row and block, `[input][16]`.
    line: &'a mut [f32],
}

impl<S: Simd, E: ElementOn<S>> Kernel<S> for Backward<'_, E> {
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

impl<E: Element> Backward<'_, E> {
    #[inline(always)]
    fn image<S: Simd, const K: usize, const STRIDE: usize>(&mut self, s: S)
    where
        E: ElementOn<S>,
    {
        let g = self.g;
        let width = g.gradient_width();
        let slot = width * g.channels;
        clear_borders(self.ring, width, K - 1, g.output);
        clear_borders(self.row, g.ring_width(), g.pad, g.input);
        let mut filled = 0;
        for y in 0..g.input {
            let end = ((y + g.pad) / STRIDE + 1).min(g.output);
            while filled < end {
                self.fill_gradient(s, filled, filled % K * slot, width);
                filled += 1;
            }
            self.fill_input(s, y);
            let sums = match &mut self.input {
                DepthwiseInput::Activated { sums, .. } => sums.run_for(g.input).as_mut_ptr(),
                DepthwiseInput::Plain { .. } => std::ptr::null_mut(),
            };
            for block in 0..g.blocks() {
                let mut taps = [Tap { row: std::ptr::null(), weights: std::ptr::null() }; K];
                let mut kys = [0; K];
                let mut count = 0;
                for ky in 0..K {
                    let Some(from) = (y + g.pad).checked_sub(ky) else { break };
                    let oy = from / STRIDE;
                    if from % STRIDE != 0 || oy >= g.output {
                        continue;
                    }
                    // SAFETY: rows of the ring and of the weights, whose sizes were checked.
                    unsafe {
                        taps[count] = Tap {
                            row: self.ring.as_ptr().add(oy % K * slot + block * width * BLOCK),
                            weights: self.weights.as_ptr().add((block * K + ky) * K * BLOCK),
                        };
                    }
                    kys[count] = ky;
                    count += 1;
                }
                let taps = &taps[..count];
                // SAFETY: pointers into slices whose sizes were checked.
                unsafe {
                    self.towards_input::<S, K, STRIDE>(s, taps);
                    self.store_row(s, y, block, sums);
                    self.towards_weights::<S, K, STRIDE>(s, taps, &kys[..count], block);
                }
            }
        }
    }

    /// Brings row `oy` of the gradient at the output into the ring.
    #[inline(always)]
    fn fill_gradient<S: Simd>(&mut self, s: S, oy: usize, slot: usize, width: usize)
    where
        E: ElementOn<S>,
    {
        let output = self.g.output;
        let mut x = 0;
        // SAFETY: `x` and the columns that are taken with it are below `output`.
        unsafe {
            while x + 4 <= output {
                self.fill_columns::<S, 4>(s, oy * output + x, x, slot, width);
                x += 4;
            }
            while x < output {
                self.fill_columns::<S, 1>(s, oy * output + x, x, slot, width);
                x += 1;
            }
        }
    }

    /// `P` columns from `x` on of the same, `pixel` in the image.
    ///
    /// # Safety
    /// There are `P` columns from `x` on.
    #[inline(always)]
    unsafe fn fill_columns<S: Simd, const P: usize>(
        &mut self,
        s: S,
        pixel: usize,
        x: usize,
        slot: usize,
        width: usize,
    ) where
        E: ElementOn<S>,
    {
        let g = self.g;
        let v = &self.gradient.vectors;
        for i in (0..g.channels).step_by(S::LANES) {
            let to = slot + (i / BLOCK * width + g.kernel - 1 + x) * BLOCK + i % BLOCK;
            // SAFETY: `depthwise_backward` checked the images, the ring and the vectors.
            unsafe {
                // (A closure would not be compiled for the instruction set.)
                let (scale, shift) = (s.load(v[0].as_ptr().add(i)), s.load(v[1].as_ptr().add(i)));
                let gate = s.load(v[2].as_ptr().add(i));
                let constant = s.load(v[3].as_ptr().add(i));
                let (c0, c1) = (s.load(v[4].as_ptr().add(i)), s.load(v[5].as_ptr().add(i)));
                let c2 = s.load(v[6].as_ptr().add(i));
                unrolled!(J in 0..P, up to 4 => {
                    let from = (pixel + J) * g.channels + i;
                    prefetch(self.gradient.out.as_ptr().wrapping_add(from));
                    prefetch(self.gradient.da.as_ptr().wrapping_add(from));
                    let out = E::load(s, self.gradient.out.as_ptr().add(from));
                    let da = E::load(s, self.gradient.da.as_ptr().add(from));
                    let (_, slope) = E::silu_and_slope(s, s.mul_add(out, scale, shift));
                    let dz = s.mul(s.mul_add(gate, da, constant), slope);
                    let value = s.mul_add(dz, c0, s.mul_add(out, c1, c2));
                    s.store(self.ring.as_mut_ptr().add(to + J * BLOCK), value);
                });
            }
        }
    }

    /// Makes the input row as the convolution read it, and its SiLU's slope.
    #[inline(always)]
    fn fill_input<S: Simd>(&mut self, s: S, y: usize)
    where
        E: ElementOn<S>,
    {
        let g = self.g;
        let width = g.ring_width();
        for x in 0..g.input {
            let from = (y * g.input + x) * g.channels;
            for i in (0..g.channels).step_by(S::LANES) {
                let (block, lane) = (i / BLOCK, i % BLOCK);
                // SAFETY: `depthwise_backward` checked the image, the rows and the vectors.
                unsafe {
                    let row = self.row.as_mut_ptr().add((block * width + g.pad + x) * BLOCK + lane);
                    match &mut self.input {
                        DepthwiseInput::Activated { x: image, dx, vectors, .. } => {
                            prefetch(image.as_ptr().wrapping_add(from + i));
                            prefetch_to_write(dx.as_ptr().add(from + i));
                            let value = E::load(s, image.as_ptr().add(from + i));
                            let scale = s.load(vectors[0].as_ptr().add(i));
                            let shift = s.load(vectors[1].as_ptr().add(i));
                            let z = s.mul_add(value, scale, shift);
                            let (a, slope) = E::silu_and_slope(s, z);
                            let to = (block * g.input + x) * BLOCK + lane;
                            s.store(row, a);
                            s.store(self.slope.as_mut_ptr().add(to), slope);
                        }
                        DepthwiseInput::Plain { x: image, dx, .. } => {
                            prefetch(image.as_ptr().wrapping_add(from + i));
                            prefetch_to_write(dx.as_ptr().add(from + i));
                            s.store(row, s.load(image.as_ptr().add(from + i)));
                        }
                    }
                }
            }
        }
    }

    /// Gradient of a block of the input row, into `line`.
    ///
    /// # Safety
    /// `taps` are rows of the ring and of the weights.
    #[inline(always)]
    unsafe fn towards_input<S: Simd, const K: usize, const STRIDE: usize>(
        &mut self,
        s: S,
        taps: &[Tap],
    ) {
        // SAFETY: the caller's.
        unsafe {
            if STRIDE == 1 {
                self.phase::<S, K, K, 1>(s, taps, 0);
            } else if K == 3 {
                self.phase::<S, K, 2, 2>(s, taps, 0);
                self.phase::<S, K, 1, 2>(s, taps, 1);
            } else {
                self.phase::<S, K, 3, 2>(s, taps, 0);
                self.phase::<S, K, 2, 2>(s, taps, 1);
            }
        }
    }

    /// The columns `x` with `(x + pad) mod STRIDE = phase`, which `TAPS` taps
    /// of each kernel row reach.
    #[inline(always)]
    unsafe fn phase<S: Simd, const K: usize, const TAPS: usize, const STRIDE: usize>(
        &mut self,
        s: S,
        taps: &[Tap],
        phase: usize,
    ) {
        let g = self.g;
        let first = (phase + STRIDE - g.pad % STRIDE) % STRIDE;
        if first >= g.input {
            return;
        }
        let count = (g.input - first).div_ceil(STRIDE);
        let from = (first + g.pad - phase) / STRIDE + K - TAPS;
        let earlier = if phase == 0 { 0 } else { phase_taps(K, STRIDE, 0) };
        let mut shifted = [Tap { row: std::ptr::null(), weights: std::ptr::null() }; K];
        for (shifted, tap) in shifted.iter_mut().zip(taps) {
            // SAFETY: the weights of this phase lie behind those of earlier ones.
            let weights = unsafe { tap.weights.add(earlier * BLOCK) };
            *shifted = Tap { row: tap.row, weights };
        }
        let taps = &shifted[..taps.len()];
        for j in (0..count).step_by(RUN) {
            let valid = RUN.min(count - j);
            for lane in (0..BLOCK).step_by(S::LANES) {
                // SAFETY: `gradient_width` covers whole runs; only valid outputs are stored.
                unsafe {
                    let acc = run_of_outputs::<S, TAPS, 1>(s, taps, from + j, lane);
                    let to = self.line.as_mut_ptr().add((first + j * STRIDE) * BLOCK + lane);
                    for (n, &value) in acc.iter().enumerate() {
                        if n < valid {
                            s.store(to.add(n * STRIDE * BLOCK), value);
                        }
                    }
                }
            }
        }
    }

    /// Stores a block of a row of `dx`, through the SiLU if there is one.
    ///
    /// # Safety
    /// `sums` holds two sums a channel where the input is activated.
    #[inline(always)]
    unsafe fn store_row<S: Simd>(&mut self, s: S, y: usize, block: usize, sums: *mut f32)
    where
        E: ElementOn<S>,
    {
        let g = self.g;
        for lane in (0..BLOCK).step_by(S::LANES) {
            let i = block * BLOCK + lane;
            // SAFETY: `depthwise_backward` checked the images and the vectors.
            unsafe {
                let line = self.line.as_ptr().add(lane);
                let at = y * g.input * g.channels + i;
                match &mut self.input {
                    DepthwiseInput::Activated { x: image, dx, vectors, residual, .. } => {
                        let rstd = s.load(vectors[2].as_ptr().add(i));
                        let offset = s.load(vectors[3].as_ptr().add(i));
                        let (from, to) = (image.as_ptr().add(at), dx.as_mut_ptr().add(at));
                        let slope = self.slope.as_ptr().add(block * g.input * BLOCK + lane);
                        let mut first = s.load(sums.add(i));
                        let mut second = s.load(sums.add(g.channels + i));
                        for x in 0..g.input {
                            let slope = s.load(slope.add(x * BLOCK));
                            let mut da = s.load(line.add(x * BLOCK));
                            if let Some(r) = residual {
                                da = s.add(da, s.load(r.as_ptr().add(at + x * g.channels)));
                            }
                            let dz = s.mul(da, slope);
                            let x = x * g.channels;
                            let hat = s.mul_add(E::load(s, from.add(x)), rstd, offset);
                            first = s.add(first, dz);
                            second = s.mul_add(dz, hat, second);
                            E::store(s, to.add(x), dz);
                        }
                        s.store(sums.add(i), first);
                        s.store(sums.add(g.channels + i), second);
                    }
                    DepthwiseInput::Plain { dx, residual, .. } => {
                        let to = dx.as_mut_ptr().add(at);
                        for x in 0..g.input {
                            let value = s.load(line.add(x * BLOCK));
                            let value = match residual {
                                Some(r) => {
                                    s.add(value, s.load(r.as_ptr().add(at + x * g.channels)))
                                }
                                None => value,
                            };
                            s.store(to.add(x * g.channels), value);
                        }
                    }
                }
            }
        }
    }

    /// Adds what the input row and the rows of the gradient that it meets say
    /// of the weights, as many kernel rows at a time as registers allow.
    ///
    /// # Safety
    /// `taps` are blocks of rows of the ring.
    #[inline(always)]
    unsafe fn towards_weights<S: Simd, const K: usize, const STRIDE: usize>(
        &mut self,
        s: S,
        taps: &[Tap],
        kys: &[usize],
        block: usize,
    ) {
        let most = if S::MANY_REGISTERS || K == 3 { K } else { 1 };
        let mut done = 0;
        while done < taps.len() {
            let (taps, kys) = (&taps[done..], &kys[done..]);
            // SAFETY: the caller's.
            unsafe {
                done += match taps.len().min(most) {
                    5 => self.kernel_rows::<S, K, STRIDE, 5, 1>(s, taps, kys, block),
                    3 | 4 => self.kernel_rows::<S, K, STRIDE, 3, 1>(s, taps, kys, block),
                    2 => self.kernel_rows::<S, K, STRIDE, 2, 1>(s, taps, kys, block),
                    // Two chains a weight, or the adders would wait for one another.
                    _ => self.kernel_rows::<S, K, STRIDE, 1, 2>(s, taps, kys, block),
                };
            }
        }
    }

    /// `ROWS` kernel rows, sums of `CHAINS` neighbouring columns apart;
    /// returns how many.
    ///
    /// # Safety
    /// `taps` are blocks of rows of the ring, `ROWS` of them or more.
    #[inline(always)]
    unsafe fn kernel_rows<
        S: Simd,
        const K: usize,
        const STRIDE: usize,
        const ROWS: usize,
        const CHAINS: usize,
    >(
        &mut self,
        s: S,
        taps: &[Tap],
        kys: &[usize],
        block: usize,
    ) -> usize {
        let g = self.g;
        for lane in (0..BLOCK).step_by(S::LANES) {
            // SAFETY: `depthwise_backward` checked the rows and the weights' gradient.
            unsafe {
                let input = self.row.as_ptr().add(block * g.ring_width() * BLOCK + lane);
                // Of a length known to the compiler, or sums would live in memory.
                let mut rows = [std::ptr::null::<f32>(); ROWS];
                for (row, tap) in rows.iter_mut().zip(taps) {
                    *row = tap.row.add((K - 1) * BLOCK + lane);
                }
                let mut acc = [[[s.splat(0.0); K]; ROWS]; CHAINS];
                let whole = g.output / CHAINS * CHAINS;
                for x in (0..whole).step_by(CHAINS) {
                    for (chain, acc) in acc.iter_mut().enumerate() {
                        column::<S, K, STRIDE, ROWS>(s, &rows, input, x + chain, acc);
                    }
                }
                for x in whole..g.output {
                    column::<S, K, STRIDE, ROWS>(s, &rows, input, x, &mut acc[0]);
                }
                for (row, ky) in kys.iter().enumerate().take(ROWS) {
                    let to = self.dw.as_mut_ptr().add((block * K + ky) * K * BLOCK + lane);
                    for kx in 0..K {
                        let to = to.add(kx * BLOCK);
                        let mut sum = s.load(to);
                        for acc in &acc {
                            sum = s.add(sum, acc[row][kx]);
                        }
                        s.store(to, sum);
                    }
                }
            }
        }
        ROWS
    }
}

/// Adds the products of one output column with the input that it saw.
///
/// # Safety
/// `input` is a row of the input from its border on, `rows` are rows of the
/// ring from their first pixel on.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "indices that the compiler can unroll")]
unsafe fn column<S: Simd, const K: usize, const STRIDE: usize, const ROWS: usize>(
    s: S,
    rows: &[*const f32; ROWS],
    input: *const f32,
    x: usize,
    acc: &mut [[S::Vector; K]; ROWS],
) {
    let mut seen = [s.splat(0.0); K];
    // SAFETY: the caller's.
    unsafe {
        for (kx, seen) in seen.iter_mut().enumerate() {
            *seen = s.load(input.add((x * STRIDE + kx) * BLOCK));
        }
        for row in 0..ROWS {
            let gradient = s.load(rows[row].add(x * BLOCK));
            for kx in 0..K {
                acc[row][kx] = s.mul_add(seen[kx], gradient, acc[row][kx]);
            }
        }
    }
}
