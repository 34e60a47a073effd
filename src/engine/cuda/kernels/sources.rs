//! The kernels' texts, and which file holds which.

use crate::engine::cuda::GpuPrecision;

/// What every file includes.
pub const HEADER: (&str, &str) = ("device.cuh", include_str!("device.cuh"));

/// A file of kernels.
#[derive(Debug)]
pub struct KernelSource {
    /// Its name.
    pub file: &'static str,
    /// CUDA C++.
    pub text: &'static str,
    /// The kernels in it.
    pub kernels: &'static [&'static str],
    /// The precision that it is for, or both.
    pub precision: Option<GpuPrecision>,
}

impl KernelSource {
    /// Whether a program of this precision has it.
    pub fn serves(&self, precision: GpuPrecision) -> bool {
        self.precision.is_none_or(|own| own == precision)
    }
}

macro_rules! source {
    ($file:literal, $precision:expr, $($kernel:literal),+) => {
        KernelSource {
            file: $file,
            text: include_str!($file),
            kernels: &[$($kernel),+],
            precision: $precision,
        }
    };
}

/// All files.
pub const SOURCES: &[KernelSource] = &[
    source!("stem.cu", None, "stem"),
    source!(
        "pointwise.cu",
        Some(GpuPrecision::Bf16),
        "pointwise_16",
        "pointwise_32",
        "pointwise_64",
        "pointwise_96",
        "pointwise_128"
    ),
    source!("pointwise_f32.cu", Some(GpuPrecision::F32), "pointwise_f32"),
    source!(
        "depthwise.cu",
        None,
        "depthwise_3_1",
        "depthwise_3_2",
        "depthwise_5_1",
        "depthwise_5_2"
    ),
    source!("squeeze_excite.cu", None, "squeeze_excite"),
    source!("head.cu", None, "head"),
    source!("route.cu", None, "route"),
    source!(
        "norm.cu",
        None,
        "norm_moments",
        "norm_finish",
        "norm_apply",
        "norm_backward_sums",
        "norm_backward_finish",
        "norm_backward"
    ),
    source!("squeeze_backward.cu", None, "gate_sums", "squeeze_excite_backward"),
    source!("weight_gradient.cu", Some(GpuPrecision::Bf16), "weight_gradient"),
    source!("weight_gradient_f32.cu", Some(GpuPrecision::F32), "weight_gradient_f32"),
    source!(
        "depthwise_backward.cu",
        None,
        "depthwise_input_3",
        "depthwise_input_5",
        "depthwise_weights_3",
        "depthwise_weights_5"
    ),
    source!("stem_backward.cu", None, "stem_weights"),
    source!("classifier.cu", None, "classifier"),
    source!("sums.cu", None, "sum_parts", "outer"),
    source!("update.cu", None, "sgd", "adamw", "average", "prepare_product", "prepare_taps"),
];

/// Options of the compiler beside the architecture. Products and sums may be
/// contracted, as everywhere; nothing else may change a result. Where what is
/// stored has 8 bits, numbers below 2⁻¹²⁶ count as zero, which saves the special
/// functions a case.
pub fn options(precision: GpuPrecision) -> Vec<&'static str> {
    let mut options = vec!["--std=c++17"];
    options.push(match precision {
        GpuPrecision::F32 => "-DHIWL_F32=1",
        GpuPrecision::Bf16 => "--ftz=true",
    });
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_named_is_in_its_file_and_every_file_is_named() {
        for source in SOURCES {
            for kernel in source.kernels {
                // By its name, or by a macro: DEPTHWISE(3, 1) is depthwise_3_1.
                let digit = kernel.find(|c: char| c.is_ascii_digit()).unwrap_or(kernel.len());
                let (stem, tail) = kernel.split_at(digit);
                let stem = stem.trim_end_matches('_').to_uppercase();
                let by_macro = format!("\n{stem}({}", tail.replace('_', ", "));
                let found = source.text.contains(&format!("\n{kernel}("))
                    || source.text.contains(&by_macro);
                assert!(found, "{kernel} in {}", source.file);
            }
        }
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/engine/cuda/kernels");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".cu"))
            .collect();
        let mut named: Vec<_> = SOURCES.iter().map(|source| source.file.to_owned()).collect();
        files.sort();
        named.sort();
        assert_eq!(files, named);
    }
}
