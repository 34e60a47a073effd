//! Which instruction set the kernels run with, chosen once at run time.

#![allow(unsafe_code, reason = "tokens of instruction sets, made after detection")]

use std::str::FromStr;

#[cfg(target_arch = "aarch64")]
use super::neon::Neon;
#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512};
use super::{
    depthwise::Depthwise,
    elementwise::{Mean, ScalePixels, ScaleWeights, Sigmoid2},
    format::{Bf16, F32},
    int8::Int8,
    pointwise::Pointwise,
    portable::Portable,
    quantise::Quantise,
    simd::{Kernel, Simd},
    stem::{Normalise, Stem},
};

/// A kernel for every instruction set.
#[cfg(target_arch = "x86_64")]
pub trait EveryKernel: Kernel<Portable> + Kernel<Avx2> + Kernel<Avx512> {}
#[cfg(target_arch = "x86_64")]
impl<K: Kernel<Portable> + Kernel<Avx2> + Kernel<Avx512>> EveryKernel for K {}

/// A kernel for every instruction set.
#[cfg(target_arch = "aarch64")]
pub trait EveryKernel: Kernel<Portable> + Kernel<Neon> {}
#[cfg(target_arch = "aarch64")]
impl<K: Kernel<Portable> + Kernel<Neon>> EveryKernel for K {}

/// A kernel for every instruction set.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub trait EveryKernel: Kernel<Portable> {}
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
impl<K: Kernel<Portable>> EveryKernel for K {}

/// What runs kernels of the type `K`.
pub trait Launch<K> {
    /// Runs one.
    fn launch(self, kernel: K);
}

/// An instruction set that the kernels are compiled for.
///
/// Results of different backends may differ in the last bits; those of one
/// backend never depend on batch or threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// Plain arrays; everywhere.
    Portable,
    /// 64-bit ARM.
    Neon,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F.
    Avx512,
}

impl Backend {
    /// The best one that this processor has.
    pub fn detect() -> Self {
        [Self::Avx512, Self::Avx2, Self::Neon]
            .into_iter()
            .find(|backend| backend.is_available())
            .unwrap_or(Self::Portable)
    }

    /// All that this processor has, slowest first.
    pub fn available() -> Vec<Self> {
        [Self::Portable, Self::Neon, Self::Avx2, Self::Avx512]
            .into_iter()
            .filter(|backend| backend.is_available())
            .collect()
    }

    /// Whether this processor has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::<false>::detected(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::<false>::detected(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Neon::<false>::detected(),
            // Another architecture's.
            _ => false,
        }
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

impl FromStr for Backend {
    type Err = String;

    /// One by its name, whether or not this processor has it.
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Portable, Self::Neon, Self::Avx2, Self::Avx512];
        let named = |backend: &Self| backend.name() == text;
        all.into_iter()
            .find(named)
            .ok_or_else(|| format!("one of {}", all.map(Self::name).join(", ")))
    }
}

/// A backend that this processor was found to have.
#[derive(Debug, Clone, Copy)]
pub struct Runner(Backend);

impl Runner {
    /// `None` where the processor does not have it.
    pub fn new(backend: Backend) -> Option<Self> {
        backend.is_available().then_some(Self(backend))
    }

    /// The backend.
    pub fn backend(self) -> Backend {
        self.0
    }

    /// Whether its vectors are as long as a line.
    pub fn whole_lines(self) -> bool {
        self.0 == Backend::Avx512
    }

    /// Runs a kernel.
    pub(crate) fn run<K: EveryKernel>(self, kernel: K) {
        match self.0 {
            Backend::Portable => Portable.vectorize(kernel),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => {
                // SAFETY: a `Runner` is made only where the backend is available.
                unsafe { Avx2::<false>::new_unchecked() }.vectorize(kernel);
            }
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => {
                // SAFETY: a `Runner` is made only where the backend is available.
                unsafe { Avx512::<false>::new_unchecked() }.vectorize(kernel);
            }
            #[cfg(target_arch = "aarch64")]
            Backend::Neon => {
                // SAFETY: a `Runner` is made only where the backend is available.
                unsafe { Neon::<false>::new_unchecked() }.vectorize(kernel);
            }
            _ => unreachable!("a Runner is made only where the backend is available"),
        }
    }
}

/// A launch of each kernel, compiled here and not in whatever calls it.
macro_rules! launches {
    ($runner:ty: $($kernel:ty),* $(,)?) => {
        $(impl Launch<$kernel> for $runner {
            fn launch(self, kernel: $kernel) {
                self.run(kernel);
            }
        })*
    };
}

launches!(
    Runner: Pointwise<'_, F32>,
    Depthwise<'_, F32>,
    ScalePixels<'_, F32>,
    ScaleWeights<'_, F32>,
    Sigmoid2<'_>,
    Mean<'_>,
    Normalise<'_>,
    Stem<'_>,
);

launches!(
    HalfRunner: Pointwise<'_, Bf16>,
    Depthwise<'_, Bf16>,
    ScalePixels<'_, Bf16>,
    ScaleWeights<'_, Bf16>,
);

launches!(
    ByteRunner: Pointwise<'_, Int8>,
    Depthwise<'_, Int8>,
    Quantise<'_, Int8>,
);

/// Whether products of bfloat16 pairs are faster here than those of single
/// precision, where the processor has them. AMD (Zen 4 on) does twice as many a
/// cycle; Intel (Cooper Lake, Sapphire and Emerald Rapids) runs the same
/// instruction at half the rate, its fast products being AMX's, which these
/// kernels do not use.
#[cfg(target_arch = "x86_64")]
pub fn half_is_faster() -> bool {
    let leaf = std::arch::x86_64::__cpuid(0);
    // The letters of the maker's name, by register, in this order.
    let name = [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes);
    name.as_flattened() == b"AuthenticAMD"
}

/// Whether products of bfloat16 pairs are known to be faster here than those of
/// single precision, where the processor has them. Of 64-bit ARM none has been
/// measured, and a precision that changes results is not taken on a guess.
#[cfg(not(target_arch = "x86_64"))]
pub fn half_is_faster() -> bool {
    false
}

/// The instruction set that multiplies pairs of bfloat16.
#[cfg(target_arch = "x86_64")]
pub type Half = Avx512<true>;
/// The instruction set that multiplies pairs of bfloat16.
#[cfg(target_arch = "aarch64")]
pub type Half = Neon<true>;

/// Products of bfloat16 pairs, which this processor was found to have.
#[derive(Debug, Clone, Copy)]
pub struct HalfRunner(());

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl HalfRunner {
    /// `None` where the processor does not have them.
    pub fn new() -> Option<Self> {
        Half::detected().then_some(Self(()))
    }

    /// The backend beside which they are.
    pub fn backend(self) -> Backend {
        if cfg!(target_arch = "aarch64") { Backend::Neon } else { Backend::Avx512 }
    }

    /// Runs a kernel.
    pub(crate) fn run<K: Kernel<Half>>(self, kernel: K) {
        // SAFETY: a `HalfRunner` is made only where the processor has the instructions.
        unsafe { Half::new_unchecked() }.vectorize(kernel);
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
impl HalfRunner {
    /// None here.
    pub fn new() -> Option<Self> {
        None
    }

    /// The backend beside which they are.
    pub fn backend(self) -> Backend {
        unreachable!("a HalfRunner is made only where the processor has the instructions")
    }

    /// Runs a kernel.
    pub(crate) fn run<K>(self, _: K) {
        unreachable!("a HalfRunner is made only where the processor has the instructions")
    }
}

/// A kernel for every instruction set that multiplies bytes.
#[cfg(target_arch = "x86_64")]
pub trait ByteKernel: Kernel<Portable> + Kernel<Avx2<true>> + Kernel<Avx512<false, true>> {}
#[cfg(target_arch = "x86_64")]
impl<K: Kernel<Portable> + Kernel<Avx2<true>> + Kernel<Avx512<false, true>>> ByteKernel for K {}

/// A kernel for every instruction set that multiplies bytes.
#[cfg(not(target_arch = "x86_64"))]
pub trait ByteKernel: Kernel<Portable> {}
#[cfg(not(target_arch = "x86_64"))]
impl<K: Kernel<Portable>> ByteKernel for K {}

/// Products of bytes beside a backend, which this processor was found to have.
#[derive(Debug, Clone, Copy)]
pub struct ByteRunner(Backend);

impl ByteRunner {
    /// `None` where the processor does not have them beside this backend: AVX-512 VNNI,
    /// AVX-VNNI, or plain loops, which are slow.
    pub fn new(backend: Backend) -> Option<Self> {
        let has = match backend {
            Backend::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => Avx2::<true>::detected(),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => Avx512::<false, true>::detected(),
            _ => false,
        };
        has.then_some(Self(backend))
    }

    /// Runs a kernel.
    pub(crate) fn run<K: ByteKernel>(self, kernel: K) {
        match self.0 {
            Backend::Portable => Portable.vectorize(kernel),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => {
                // SAFETY: a `ByteRunner` is made only where the processor has the instructions.
                unsafe { Avx2::<true>::new_unchecked() }.vectorize(kernel);
            }
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => {
                // SAFETY: as above.
                unsafe { Avx512::<false, true>::new_unchecked() }.vectorize(kernel);
            }
            _ => unreachable!("a ByteRunner is made only where the processor has them"),
        }
    }
}
