//! The most arithmetic that this processor does, measured: what the kernels'
//! rates are held against.

#![allow(unsafe_code, reason = "pairs of bfloat16 are loaded through a pointer")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use half::bf16;

use super::{
    backend::{Backend, ByteRunner, HalfRunner, Runner},
    bytes::ByteSimd,
    simd::{HalfSimd, Kernel, Simd, unrolled},
};

/// What is multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Products {
    /// Single precision.
    F32,
    /// Pairs of bfloat16.
    Bf16,
    /// Fours of bytes.
    Int8,
}

/// Enough chains to cover latency × pipes; with two operands they fill sixteen
/// registers.
const CHAINS: usize = 14;
const ROUNDS: usize = 1 << 17;
const TRIES: usize = 20;

/// Multiplications and additions a second that one thread does on values that
/// stay in registers: the best of several tries of a few milliseconds.
///
/// # Panics
/// Where this processor does not have them.
pub fn peak_flops(backend: Backend, products: Products) -> f64 {
    let (flop, times) = tries(backend, products);
    rate(flop, times[0])
}

/// The median of the tries. Of threads that run at once, which share a core's units or
/// its clock, the best of one's tries may have found the others done.
///
/// # Panics
/// See [`peak_flops`].
pub fn median_flops(backend: Backend, products: Products) -> f64 {
    let (flop, times) = tries(backend, products);
    rate(flop, times[TRIES / 2])
}

fn rate(flop: usize, time: Duration) -> f64 {
    flop as f64 / time.max(Duration::from_nanos(1)).as_secs_f64()
}

/// What a try multiplies and adds, and how long each took, the shortest first.
fn tries(backend: Backend, products: Products) -> (usize, [Duration; TRIES]) {
    let mut flop = 0;
    let ran = |done: Option<()>| {
        assert!(done.is_some(), "this processor has no {products:?} on {}", backend.name());
    };
    let mut times = [(); TRIES].map(|()| {
        let start = Instant::now();
        let flop = &mut flop;
        ran(match products {
            Products::F32 => Runner::new(backend).map(|runner| runner.run(MulAdds { flop })),
            Products::Bf16 => HalfRunner::new().map(|half| half.run(Dots { flop })),
            Products::Int8 => ByteRunner::new(backend).map(|bytes| bytes.run(ByteDots { flop })),
        });
        start.elapsed()
    });
    times.sort_unstable();
    (flop, times)
}

/// Chains of `a ← a · x + y` in f32.
struct MulAdds<'a> {
    flop: &'a mut usize,
}

impl<S: Simd> Kernel<S> for MulAdds<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let (factor, one) = (s.splat(black_box(0.5)), s.splat(1.0));
        let mut chains = [one; CHAINS];
        for _ in 0..ROUNDS {
            unrolled!(I in 0..CHAINS, up to 14 => {
                chains[I] = s.mul_add(chains[I], factor, one);
            });
        }
        black_box(&chains);
        *self.flop = 2 * CHAINS * ROUNDS * S::LANES;
    }
}

/// Chains of `a ← a + x₀ y₀ + x₁ y₁` in bfloat16.
struct Dots<'a> {
    flop: &'a mut usize,
}

impl<S: HalfSimd> Kernel<S> for Dots<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let pair = black_box([bf16::from_f32(0.5); 2]);
        // SAFETY: two numbers.
        let pair = unsafe { s.splat_pair(pair.as_ptr().cast()) };
        let mut chains = [s.splat(0.0); CHAINS];
        for _ in 0..ROUNDS {
            unrolled!(I in 0..CHAINS, up to 14 => {
                chains[I] = s.dot(pair, pair, chains[I]);
            });
        }
        black_box(&chains);
        *self.flop = 4 * CHAINS * ROUNDS * S::LANES;
    }
}

/// Chains of `a ← a + x₀ y₀ + … + x₃ y₃` in bytes.
struct ByteDots<'a> {
    flop: &'a mut usize,
}

impl<S: ByteSimd> Kernel<S> for ByteDots<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let four = black_box([1u8; 4]);
        // SAFETY: four bytes.
        let four = unsafe { s.splat_quad(four.as_ptr()) };
        let mut chains = [s.no_sums(); CHAINS];
        for _ in 0..ROUNDS {
            unrolled!(I in 0..CHAINS, up to 14 => {
                chains[I] = s.dot_quads(four, four, chains[I]);
            });
        }
        black_box(&chains);
        *self.flop = 8 * CHAINS * ROUNDS * S::LANES;
    }
}
