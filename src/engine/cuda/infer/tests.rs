//! Both networks on the emulated device against those on the CPU.

use std::sync::Arc;

use super::{Alone, Cascade, CascadeOptions};
use crate::engine::cuda::{
    CudaError, GpuPrecision, Queue,
    kernels::emulated::{Emulated, Mode, gpu},
};
use crate::engine::fused::PackedNetwork;
use crate::engine::{Infer, Normalisation, Tensors, Want};
use crate::model::{
    architecture::{Architecture, Padding},
    seeded::{self, SplitMix64},
    weights::Weights,
};
use crate::near::off;

const NORMALISATION: Normalisation =
    Normalisation { mean: [0.5, 0.4, 0.6], std: [0.29, 0.27, 0.31] };

struct Case {
    architecture: Architecture,
    size: usize,
    weights: [Weights; 2],
    images: Vec<Vec<u8>>,
}

fn case(padding: Padding, size: usize, images: usize) -> Case {
    of_architecture(Architecture { padding, ..Architecture::nano() }, size, images)
}

fn of_architecture(architecture: Architecture, size: usize, images: usize) -> Case {
    let weights = [(4, "stage1."), (2, "stage2.")]
        .map(|(classes, prefix)| seeded::weights(&architecture, classes, 11, prefix).unwrap());
    let image = |i: u64| {
        let mut random = SplitMix64::named(i, "image");
        // Of different brightness, so that different classes win.
        let most = 40 + 53 * (i % 5);
        (0..3 * size * size).map(|_| (random.next_u64() % most) as u8).collect()
    };
    Case { architecture, size, weights, images: (0..images as u64).map(image).collect() }
}

impl Case {
    fn cascade(
        &self,
        options: CascadeOptions,
        mode: Mode,
        limit: usize,
    ) -> Result<Cascade, CudaError> {
        let queue = Emulated::with_memory(options.precision, mode, limit);
        self.cascade_on(&mut || Ok(Arc::clone(&queue)), options)
    }

    fn alone(&self, queue: &Arc<dyn Queue>, room: (usize, usize)) -> Result<Alone, CudaError> {
        Alone::new(
            &mut || Ok(Arc::clone(queue)),
            GpuPrecision::F32,
            &self.architecture,
            (4, self.size),
            &self.weights[0],
            NORMALISATION,
            room,
        )
    }

    fn cascade_on(
        &self,
        queues: &mut dyn FnMut() -> Result<Arc<dyn Queue>, CudaError>,
        options: CascadeOptions,
    ) -> Result<Cascade, CudaError> {
        let [first, second] = &self.weights;
        Cascade::new(
            queues,
            &self.architecture,
            self.size,
            [(first, 4), (second, 2)],
            NORMALISATION,
            options,
        )
    }

    fn run(&self, options: CascadeOptions, mode: Mode) -> [Vec<f32>; 2] {
        let images: Vec<&[u8]> = self.images.iter().map(Vec::as_slice).collect();
        self.cascade(options, mode, usize::MAX).unwrap().logits(&images).unwrap()
    }

    /// Logits of a stage on the CPU.
    fn on_the_cpu(&self, stage: usize) -> Vec<f32> {
        let classes = [4, 2][stage];
        let weights = &self.weights[stage];
        let network =
            PackedNetwork::new(&self.architecture, classes, self.size, weights, NORMALISATION)
                .unwrap();
        let images: Vec<&[u8]> = self.images.iter().map(Vec::as_slice).collect();
        let mut logits = vec![0.0; images.len() * classes];
        network.forward(&images, &mut logits);
        logits
    }

    /// What the first stage's classifier sees, on the CPU.
    fn features_on_the_cpu(&self) -> Vec<f32> {
        let (size, weights) = (self.size, &self.weights[0]);
        let network =
            PackedNetwork::new(&self.architecture, 4, size, weights, NORMALISATION).unwrap();
        let images: Vec<&[u8]> = self.images.iter().map(Vec::as_slice).collect();
        let mut found = Tensors::default();
        network.run(&images, Want::FEATURES, &mut found).unwrap();
        found.features
    }
}

#[test]
fn a_pair_gives_the_first_networks_features_where_they_are_wanted() {
    let case = case(Padding::Symmetric, 40, 5);
    let images: Vec<&[u8]> = case.images.iter().map(Vec::as_slice).collect();
    let wanted = case.features_on_the_cpu();
    for batch in [5, 2] {
        let cascade = case
            .cascade(options(GpuPrecision::F32, batch, false), Mode::Forward, usize::MAX)
            .unwrap();
        let found = cascade.run(&images, true).unwrap();
        assert_eq!((found.features.len(), cascade.features() * 5), (wanted.len(), wanted.len()));
        let worst = off(&found.features, &wanted);
        assert!(worst < 1e-5, "{batch}: {worst}");
        assert_eq!(found.logits[0], cascade.logits(&images).unwrap()[0]);
        assert!(cascade.run(&images, false).unwrap().features.is_empty());
    }
}

fn options(precision: GpuPrecision, batch: usize, all: bool) -> CascadeOptions {
    CascadeOptions { precision, batch, lanes: 1, combined: 1, all }
}

fn arg_max(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

#[test]
fn both_networks_are_those_of_the_cpu() {
    for (padding, size, precision, tolerance) in [
        (Padding::Symmetric, 40, GpuPrecision::F32, 1e-5),
        (Padding::Same, 37, GpuPrecision::F32, 1e-5),
        (Padding::Symmetric, 40, GpuPrecision::Bf16, 2e-2),
    ] {
        let case = case(padding, size, 5);
        let [first, second] = case.run(options(precision, 5, true), Mode::Forward);
        for (stage, found) in [(0, first), (1, second)] {
            let expected = case.on_the_cpu(stage);
            let worst = off(&found, &expected);
            assert!(worst < tolerance, "{padding:?}, {precision:?}, stage {stage}: {worst}");
        }
    }
}

/// The whole of inference on hardware: recorded launches, several lanes from
/// several threads, B1 at its own size.
#[test]
fn on_a_gpu_both_networks_are_those_of_the_cpu() {
    let b1 = Architecture::efficientnet(1).unwrap();
    for (architecture, size, images) in [(Architecture::nano(), 61, 11), (b1, 240, 6)] {
        for (precision, tolerance) in [(GpuPrecision::F32, 2e-4), (GpuPrecision::Bf16, 3e-2)] {
            if gpu(precision).is_none() {
                return;
            }
            // A stream for each lane.
            let mut queues = || Ok(gpu(precision).expect("there is one"));
            let case = of_architecture(architecture.clone(), size, images);
            let options = CascadeOptions { lanes: 2, ..options(precision, 4, true) };
            let cascade = case.cascade_on(&mut queues, options).unwrap();
            let images: Vec<&[u8]> = case.images.iter().map(Vec::as_slice).collect();
            let both = std::thread::scope(|scope| {
                let run = || scope.spawn(|| cascade.logits(&images).unwrap());
                [run(), run()].map(|thread| thread.join().unwrap())
            });
            assert_eq!(both[0], both[1], "a lane of its own, the same bits");
            for (stage, found) in both[0].iter().enumerate() {
                let expected = case.on_the_cpu(stage);
                let worst = off(found, &expected);
                assert!(worst < tolerance, "{size}, {precision:?}, stage {stage}: {worst}");
            }
        }
    }
}

#[test]
fn the_second_network_sees_what_the_first_says() {
    let case = case(Padding::Symmetric, 33, 7);
    let expected = [case.on_the_cpu(0), case.on_the_cpu(1)];
    let winners: Vec<usize> = expected[0].chunks(4).map(arg_max).collect();
    let combined = winners[2];
    let count = winners.iter().filter(|w| **w == combined).count();
    assert!(count > 0 && count < winners.len(), "a case that tells: {winners:?}");
    let options = CascadeOptions { combined, ..options(GpuPrecision::F32, 7, false) };
    let [_, second] = case.run(options, Mode::Forward);
    for (i, row) in second.chunks(2).enumerate() {
        if winners[i] == combined {
            let expected = &expected[1][2 * i..][..2];
            assert!(row.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{row:?}");
        } else {
            assert!(row.iter().all(|v| v.is_nan()), "image {i} was not to be seen");
        }
    }
}

#[test]
fn logits_depend_on_neither_batch_nor_order() {
    let case = case(Padding::Symmetric, 32, 5);
    for precision in [GpuPrecision::Bf16, GpuPrecision::F32] {
        let bits = |[a, b]: [Vec<f32>; 2]| -> Vec<u32> {
            a.iter().chain(&b).map(|v| v.to_bits()).collect()
        };
        let whole = bits(case.run(options(precision, 5, false), Mode::Forward));
        assert_eq!(whole, bits(case.run(options(precision, 2, false), Mode::Forward)));
        assert_eq!(whole, bits(case.run(options(precision, 8, false), Mode::Backward)));
    }
}

#[test]
fn batches_shrink_to_the_memory() {
    let case = case(Padding::Symmetric, 32, 3);
    let images: Vec<&[u8]> = case.images.iter().map(Vec::as_slice).collect();
    let options = options(GpuPrecision::F32, 64, true);
    let whole = case.cascade(options, Mode::Forward, usize::MAX).unwrap();
    assert_eq!(whole.batch(), 64);
    let mut limit = 1 << 26;
    let small = loop {
        limit /= 2;
        let cascade = case.cascade(options, Mode::Forward, limit).unwrap();
        if cascade.batch() < 64 {
            break cascade;
        }
    };
    let bits = |logits: [Vec<f32>; 2]| logits.map(|l| l.iter().map(|v| v.to_bits()).collect());
    let [a, b]: [Vec<u32>; 2] = bits(small.logits(&images).unwrap());
    let [c, d]: [Vec<u32>; 2] = bits(whole.logits(&images).unwrap());
    assert_eq!((a, b), (c, d));
    let none = case.cascade(options, Mode::Forward, 1000);
    assert!(none.is_err_and(|error| error.is_out_of_memory()));
}

#[test]
fn one_lane_fits_where_three_do_not() {
    let case = case(Padding::Symmetric, 32, 1);
    let alone = |lanes: usize, limit: usize| {
        let queue = Emulated::with_memory(GpuPrecision::F32, Mode::Forward, limit);
        case.alone(&queue, (64, lanes)).unwrap()
    };
    let mut limit = 1 << 26;
    while alone(3, limit).batch() == 64 {
        limit /= 2;
    }
    assert_eq!((alone(1, limit).batch(), alone(1, limit).lanes()), (64, 1));
}

#[test]
fn a_network_alone_is_that_of_the_cpu_in_any_batch_and_gives_no_maps() {
    let case = case(Padding::Symmetric, 40, 5);
    let images: Vec<&[u8]> = case.images.iter().map(Vec::as_slice).collect();
    let expected = case.on_the_cpu(0);
    let wanted = case.features_on_the_cpu();
    let mut first: Option<Tensors> = None;
    for (batch, lanes) in [(5, 1), (2, 3), (1, 1)] {
        // One device: its queues share their memory.
        let queue = Emulated::queue(GpuPrecision::F32, Mode::Forward);
        let network = case.alone(&queue, (batch, lanes)).unwrap();
        assert_eq!((network.batch(), network.lanes(), network.outputs()), (batch, lanes, 4));
        let layers = case.architecture.layers();
        assert_eq!((network.features(), network.map_side()), (layers.features, 2));
        let mut found = Tensors::default();
        network.run(&images, Want::LOGITS | Want::FEATURES, &mut found).unwrap();
        let worst = [off(&found.logits, &expected), off(&found.features, &wanted)];
        assert!(worst.iter().all(|worst| *worst < 1e-5), "{worst:?}");
        assert_eq!(first.get_or_insert_with(|| found.clone()), &found);
        let mut alone = Tensors::default();
        network.run(&images, Want::LOGITS, &mut alone).unwrap();
        assert_eq!((&alone.logits, alone.features.len()), (&found.logits, 0));
        let refused = network.run(&images, Want::LOGITS | Want::MAPS, &mut found).unwrap_err();
        assert_eq!(refused.to_string(), "the cuda engine gives no feature maps");
    }
}
