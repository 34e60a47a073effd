//! How fast EfficientNet-B1 runs on this processor with each backend and
//! precision, and where the time goes. `hiwl bench` prints the same for a
//! model, on the best backend alone.
//!
//! `cargo bench --bench forward [-- --quick]`
//!
//! `benches/peers/forward.py` compares it with other engines.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program that reports")]

#[path = "peers/engine.rs"]
mod engine;
#[path = "../src/engine/fused/infer/random_weights.rs"]
mod random_weights;

/// What `random_weights` finds under this name in the library.
mod model {
    pub use hiwl::model::{architecture, weights};
}

use hiwl::{
    cli::terminal::speed::cpu::measure,
    engine::{
        Normalisation, Precision,
        fused::{Backend, PackedNetwork},
    },
    model::architecture::Architecture,
};
use random_weights::{random_image, random_weights};

const SIZE: usize = 240;
const CLASSES: usize = 4;
const NORMALISATION: Normalisation =
    Normalisation { mean: [0.046, 0.041, 0.030], std: [0.090, 0.075, 0.065] };

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let Some((_, arguments)) = arguments.split_first().filter(|(first, _)| *first == "--peer") {
        return engine::serve(arguments);
    }
    let quick = arguments.iter().any(|arg| arg == "--quick");
    let architecture = Architecture::efficientnet(1).unwrap();
    let weights = random_weights(&architecture, CLASSES, 1);
    let images: Vec<_> = (0..32).map(|seed| random_image(SIZE, seed)).collect();
    let images: Vec<_> = images.iter().map(Vec::as_slice).collect();
    println!("EfficientNet-B1, {SIZE} × {SIZE}");
    for backend in Backend::available().into_iter().rev() {
        if quick && backend != Backend::detect() {
            continue;
        }
        for precision in [Precision::Int8, Precision::Bf16, Precision::F32] {
            if !precision.is_available_on(backend) {
                continue;
            }
            let network = PackedNetwork::with(
                &architecture,
                CLASSES,
                SIZE,
                &weights,
                NORMALISATION,
                backend,
                precision,
            )
            .unwrap();
            println!("\n{}", measure(&network, &images, &[1, 8, 32], 3.0));
        }
    }
}
