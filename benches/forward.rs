//! How fast EfficientNet-B1 classifies on this processor, and where the time
//! goes: images a second by batch and backend on all of rayon's threads, and
//! milliseconds by kind of layer on one thread, against the peak of fused
//! multiply-adds measured in the same run.
//!
//! `cargo bench --bench forward [-- --quick]`
//!
//! `benches/peers/forward.py` compares it with other engines.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program that reports")]

#[path = "peers/engine.rs"]
mod engine;
#[path = "../src/kernels/cpu/random_weights.rs"]
mod random_weights;

/// What `random_weights` finds under this name in the library.
mod network {
    pub use hiwl::network::{architecture, weights};
}

use std::time::{Duration, Instant};

use hiwl::{
    kernels::cpu::{Backend, LayerKind, Normalisation, PackedNetwork},
    network::architecture::Architecture,
};
use random_weights::{random_image, random_weights};

const SIZE: usize = 240;
const CLASSES: usize = 4;
const NORMALISATION: Normalisation =
    Normalisation { mean: [0.046, 0.041, 0.030], std: [0.090, 0.075, 0.065] };

/// FLOP a second of fused multiply-adds on values that stay in registers, on
/// one thread: the best of several tries.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vendor intrinsics, called where the backend is available")]
fn peak(backend: Backend) -> Option<f64> {
    use std::arch::x86_64::*;

    macro_rules! spin {
        ($name:ident, $features:literal, $splat:ident, $fma:ident, $sum:expr) => {
            #[target_feature(enable = $features)]
            fn $name(rounds: usize, factor: f32) -> f32 {
                // Twelve chains cover latency × pipes, and fit sixteen registers.
                let (factor, one) = ($splat(factor), $splat(1.0));
                let [mut a, mut b, mut c, mut d, mut e, mut f] = [one; 6];
                let [mut g, mut h, mut i, mut j, mut k, mut l] = [one; 6];
                for _ in 0..rounds {
                    a = $fma(a, factor, one);
                    b = $fma(b, factor, one);
                    c = $fma(c, factor, one);
                    d = $fma(d, factor, one);
                    e = $fma(e, factor, one);
                    f = $fma(f, factor, one);
                    g = $fma(g, factor, one);
                    h = $fma(h, factor, one);
                    i = $fma(i, factor, one);
                    j = $fma(j, factor, one);
                    k = $fma(k, factor, one);
                    l = $fma(l, factor, one);
                }
                [a, b, c, d, e, f, g, h, i, j, k, l].map($sum).iter().sum()
            }
        };
    }
    spin!(avx512, "avx512f", _mm512_set1_ps, _mm512_fmadd_ps, |v| _mm512_cvtss_f32(v));
    spin!(avx2, "avx2,fma", _mm256_set1_ps, _mm256_fmadd_ps, |v| _mm256_cvtss_f32(v));

    let rounds = 1 << 18;
    let (run, lanes): (fn(usize, f32) -> f32, usize) = match backend {
        // SAFETY: the processor has the features, as the guard says.
        Backend::Avx512 if backend.is_available() => (|n, f| unsafe { avx512(n, f) }, 16),
        // SAFETY: the processor has the features, as the guard says.
        Backend::Avx2 if backend.is_available() => (|n, f| unsafe { avx2(n, f) }, 8),
        _ => return None,
    };
    let best = best_of(40, || {
        std::hint::black_box(run(rounds, std::hint::black_box(0.5)));
    });
    Some((2 * 12 * rounds * lanes) as f64 / best.as_secs_f64())
}

#[cfg(not(target_arch = "x86_64"))]
fn peak(_: Backend) -> Option<f64> {
    None
}

fn best_of(tries: usize, mut work: impl FnMut()) -> Duration {
    let timed = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..tries).map(timed).min().unwrap_or_default()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

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
    let threads = rayon::current_num_threads();
    println!("EfficientNet-B1, {SIZE} × {SIZE}, f32; threads: {threads}");

    for backend in Backend::available().into_iter().rev() {
        if quick && backend != Backend::detect() {
            continue;
        }
        let network = PackedNetwork::with_backend(
            &architecture,
            CLASSES,
            SIZE,
            &weights,
            NORMALISATION,
            backend,
        )
        .unwrap();
        println!("\n{}", backend.name());
        let peak_before = peak(backend);
        let mut logits = vec![0.0; images.len() * CLASSES];
        for batch in [1, 8, 32] {
            let (images, logits) = (&images[..batch], &mut logits[..batch * CLASSES]);
            let tries = if backend == Backend::Portable { 3 } else { (320 / batch).min(60) };
            network.forward(images, logits);
            let times: Vec<_> = (0..tries)
                .map(|_| {
                    let start = Instant::now();
                    network.forward(images, logits);
                    start.elapsed()
                })
                .collect();
            let rate = |time: Duration| batch as f64 / time.as_secs_f64();
            let best = times.iter().min().copied().unwrap_or_default();
            println!(
                "  batch {batch:2}: {:6.1} images/s (median), {:6.1} (best)",
                rate(median(times)),
                rate(best)
            );
        }

        let batch = 4;
        let tries = if backend == Backend::Portable { 2 } else { 60 };
        let profile = (0..tries)
            .map(|_| network.profile(&images[..batch], &mut logits[..batch * CLASSES]))
            .reduce(|best, next| best.shorter(&next))
            .unwrap();
        let peak = [peak_before, peak(backend)].into_iter().flatten().reduce(f64::max);
        if let Some(peak) = peak {
            println!("  peak of one thread: {:.1} GFLOP/s", peak / 1e9);
        }
        println!("  {:<16}{:>10}{:>10}{:>10}", "one thread", "ms/image", "GFLOP/s", "of peak");
        let (mut all_time, mut all_flop) = (0.0, 0.0);
        for kind in LayerKind::ALL {
            let time = profile.time(kind).as_secs_f64() / batch as f64;
            let flop = 2.0 * profile.multiply_adds(kind) as f64 / batch as f64;
            all_time += time;
            all_flop += flop;
            report(kind.name(), time, flop, peak);
        }
        if std::env::args().any(|arg| arg == "--blocks") {
            let one = (0..tries)
                .map(|_| network.profile(&images[..1], &mut logits[..CLASSES]))
                .reduce(|a, b| a.shorter(&b))
                .unwrap();
            let mut block = 0;
            let mut t = [0.0; 6];
            for (kind, time) in one.steps() {
                t[*kind as usize] += time.as_secs_f64() * 1e6;
                if *kind == LayerKind::Project || *kind == LayerKind::Head {
                    println!(
                        "  block {block:2} stem {:6.0} expand {:6.0} dw {:6.0} se {:6.0} project {:6.0} head {:6.0}",
                        t[0], t[1], t[2], t[3], t[4], t[5]
                    );
                    t = [0.0; 6];
                    block += 1;
                }
            }
        }
        report("all", all_time, all_flop, peak);
    }
}

fn report(name: &str, time: f64, flop: f64, peak: Option<f64>) {
    let share = peak.map_or(String::new(), |peak| format!("{:.0} %", 100.0 * flop / time / peak));
    println!("  {name:<16}{:>10.3}{:>10.1}{share:>10}", time * 1e3, flop / time / 1e9);
}
