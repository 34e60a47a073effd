//! CUDA on a machine without a GPU: NVIDIA's compiler takes every kernel, and
//! asking for a GPU that is not there is a clear error. What the kernels compute
//! is tested beside them (`src/engine/cuda/kernels`), on `emulation.h` and, where there
//! is one, on a GPU.

use crate::util::command::{assert_code, errors, run};
use crate::util::python::oracle;
use crate::util::{fixture, root};

#[test]
fn nvidias_compiler_takes_every_kernel() {
    let folder = root().join("src/engine/cuda/kernels");
    let lines = oracle("nvrtc_compile.py", &[folder.to_str().unwrap(), "sm_80", "sm_90"]);
    let has = |start: &str| lines.lines().any(|line| line.starts_with(start));
    assert!(has("sm_80 bf16 pointwise_128 ") && has("sm_90 f32 pointwise_f32 "), "{lines}");
    for line in lines.lines() {
        // Tensor cores idle while accumulators travel to memory and back.
        let spilled: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
        let product = line.contains(" pointwise_") || line.contains(" weight_gradient ");
        assert!(spilled == 0 || !product && spilled < 256, "{line}");
    }
}

#[test]
fn a_gpu_that_is_not_there_is_a_clear_error() {
    if hiwl::engine::cuda::devices() > 0 {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let cutouts = fixture("cutouts");
    let output = run([
        "classify",
        cutouts.to_str().unwrap(),
        "--device",
        "cuda:0",
        "--output",
        out.to_str().unwrap(),
    ]);
    assert_code(&output, 64);
    let said = errors(&output);
    // What is missing depends on how the program was built.
    assert!(said.contains("cuda:0: "), "{said}");
    assert!(said.contains("--features cuda") || said.contains("driver"), "{said}");
    let output = run(["classify", cutouts.to_str().unwrap(), "--device", "gpu", "--output", "x"]);
    assert_code(&output, 64);
    assert!(errors(&output).contains("cuda:0"), "{}", errors(&output));
}
