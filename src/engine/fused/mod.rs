//! EfficientNet on the processor, fused and packed: the default engine there.
//!
//! | folder | what it holds |
//! | --- | --- |
//! | `kernels` | a crate of its own: layers on one thread, for each instruction set |
//! | `infer` | networks that classify |
//! | [`learn`] | networks that learn |
//!
//! Invariant: what is computed depends on the operands, the backend and the
//! precision, never on the number of threads.

mod infer;
pub mod learn;

use std::sync::Barrier;

pub use hiwl_kernels::Backend;
use hiwl_kernels::{ByteRunner, HalfRunner, Products};

#[cfg(test)]
pub(crate) use self::infer::random_weights;
pub use self::infer::{LayerKind, LayerTimes, PackedNetwork};
use super::Precision;

impl Precision {
    /// The fastest on this processor: bfloat16 where it multiplies it, and
    /// faster than single precision. It depends on the kind of processor alone,
    /// never on a measurement, so that a command repeats itself.
    pub fn detect() -> Self {
        let half = Self::Bf16.is_available_on(Backend::detect()) && hiwl_kernels::half_is_faster();
        if half { Self::Bf16 } else { Self::F32 }
    }

    /// Whether this processor runs it on `backend`.
    pub fn is_available_on(self, backend: Backend) -> bool {
        match self {
            Self::F32 => true,
            Self::Bf16 => HalfRunner::new().is_some_and(|half| half.backend() == backend),
            Self::Int8 => ByteRunner::new(backend).is_some(),
        }
    }

    /// What a kernel multiplies.
    fn products(self) -> Products {
        match self {
            Self::F32 => Products::F32,
            Self::Bf16 => Products::Bf16,
            Self::Int8 => Products::Int8,
        }
    }
}

/// Multiplications and additions a second that one thread does on values that
/// stay in registers: what the kernels' rates are held against.
///
/// # Panics
/// Where this processor does not have the backend, or the precision on it.
pub fn peak_flops(backend: Backend, precision: Precision) -> f64 {
    hiwl_kernels::peak_flops(backend, precision.products())
}

/// The same of all threads of the current rayon pool at once. Two that share a core, as
/// virtual ones often do unsaid, reach little more than one of them alone.
///
/// # Panics
/// See [`peak_flops`].
pub fn peak_flops_together(backend: Backend, precision: Precision) -> f64 {
    let begin = Barrier::new(rayon::current_num_threads());
    let each = rayon::broadcast(|_| {
        begin.wait();
        hiwl_kernels::median_flops(backend, precision.products())
    });
    each.iter().sum()
}
