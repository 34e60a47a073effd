//! This project's side of `benches/peers/forward.py`: an engine that waits for
//! its turn, so that a driver can measure several engines in turns.
//!
//! `forward --peer PRECISION BACKEND CALLERS MODEL IMAGES LOGITS BATCH...` loads the first
//! stage of a model file and images (bytes, one after another), writes their
//! logits, once for each size of batch (f32, little-endian,
//! `[batches, images, classes]`), and says `ready` and what it is, or `absent`
//! where the processor does not have the precision. BACKEND is `best`, or the
//! instruction set of the kernels. CALLERS share the threads evenly, each with a batch of
//! its own: one caller has all of them, as many as there are threads one each. Each line
//! `BATCH SECONDS` that it then reads is a turn: it classifies batches for at least so
//! long and answers with the number of images and the seconds that they took.

use std::{
    fs,
    io::Write,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use hiwl::{
    engine::{
        Normalisation, Precision,
        fused::{Backend, PackedNetwork},
    },
    model::{description::Input, model_file::Model},
};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Serves turns until standard input ends. `arguments` are those after
/// `--peer`.
pub fn serve(arguments: &[String]) {
    let [precision, backend, callers, model, images, logits, batches @ ..] = arguments else {
        panic!("--peer PRECISION BACKEND CALLERS MODEL IMAGES LOGITS BATCH...");
    };
    let backend =
        if backend == "best" { Backend::detect() } else { backend.parse::<Backend>().unwrap() };
    let precision = match precision.as_str() {
        "bf16" => Precision::Bf16,
        "int8" => Precision::Int8,
        _ => Precision::F32,
    };
    if !backend.is_available() || !precision.is_available_on(backend) {
        println!("absent this processor has no {} with {}", precision.name(), backend.name());
        return;
    }
    let callers: usize = callers.parse().unwrap();
    let threads = rayon::current_num_threads() / callers;
    let pool = || ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let pools: Vec<ThreadPool> = (0..callers).map(|_| pool()).collect();
    let network = load(Path::new(model), backend, precision);
    let bytes = fs::read(images).unwrap();
    let images: Vec<&[u8]> = bytes.chunks_exact(3 * network.size().pow(2)).collect();

    let mut answers = Vec::new();
    for batch in batches {
        let batch = batch.parse().unwrap();
        for images in images.chunks(batch) {
            let mut row = vec![0.0; images.len() * network.classes()];
            pools[0].install(|| network.forward(images, &mut row));
            answers.extend(row.into_iter().flat_map(f32::to_le_bytes));
        }
    }
    fs::write(logits, answers).unwrap();
    println!("ready hiwl {} ({})", env!("CARGO_PKG_VERSION"), network.backend().name());

    for turn in std::io::stdin().lines() {
        let turn = turn.unwrap();
        let (batch, seconds) = turn.split_once(' ').unwrap();
        let seconds = Duration::from_secs_f64(seconds.parse().unwrap());
        let (done, took) = take_turn(&network, &pools, &images, batch.parse().unwrap(), seconds);
        // Whoever asked may be gone: then there is nobody left to serve.
        if writeln!(std::io::stdout(), "{done} {took}").is_err() {
            return;
        }
    }
}

fn load(path: &Path, backend: Backend, precision: Precision) -> PackedNetwork {
    let model = Model::read(path).unwrap();
    let classes = model.description.scheme.networks()[0].outputs();
    let Input { size, mean, std, .. } = model.description.input;
    let architecture = &model.description.architectures[0];
    let normalisation = Normalisation { mean, std };
    let weights = &model.networks[0];
    PackedNetwork::with(architecture, classes, size, weights, normalisation, backend, precision)
        .unwrap()
}

/// Images classified by a caller a pool, and the seconds that it took. One batch of each
/// goes before the clock starts, to wake the threads.
fn take_turn(
    network: &PackedNetwork,
    pools: &[ThreadPool],
    images: &[&[u8]],
    batch: usize,
    seconds: Duration,
) -> (usize, f64) {
    let call = |caller: usize, limit: Duration| {
        pools[caller].install(|| {
            let mut logits = vec![0.0; batch * network.classes()];
            let begin = Instant::now();
            let mut done = 0;
            for images in images.chunks_exact(batch).cycle().skip(caller) {
                network.forward(images, &mut logits);
                done += batch;
                if begin.elapsed() >= limit {
                    break;
                }
            }
            done
        })
    };
    let all = |limit| {
        thread::scope(|scope| {
            let of = |caller| scope.spawn(move || call(caller, limit));
            let running: Vec<_> = (0..pools.len()).map(of).collect();
            running.into_iter().map(|caller| caller.join().unwrap()).sum()
        })
    };
    let _: usize = all(Duration::ZERO);
    let start = Instant::now();
    (all(seconds), start.elapsed().as_secs_f64())
}
