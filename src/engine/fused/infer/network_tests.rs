//! Whole networks on each backend of this processor against the plain
//! reference, and that nothing but the image decides its logits.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::{
    Backend, PackedNetwork,
    random_weights::{random_image, random_weights},
    reference,
};
use crate::engine::{Infer, Normalisation, Precision};
use crate::model::{
    architecture::{Architecture, Padding},
    weights::{Weights, WeightsError},
};
use crate::near;

/// For the noise that [`random_image`] draws; colours differ.
const NORMALISATION: Normalisation =
    Normalisation { mean: [0.5, 0.4, 0.6], std: [0.29, 0.27, 0.31] };

/// A network of B0's plan with a quarter of its channels, or so: its stem has
/// a residual, its squeezes are 2 to 20 channels wide.
fn narrow(width: f64, padding: Padding) -> Architecture {
    let b0 = Architecture::efficientnet(0).unwrap();
    Architecture { name: "narrow".to_owned(), width, depth: 0.6, padding, ..b0 }
}

/// Everything that this processor runs networks with.
fn available() -> Vec<(Backend, Precision)> {
    let precisions = |backend: Backend| {
        let available = move |p: &Precision| p.is_available_on(backend);
        let all = [Precision::F32, Precision::Bf16, Precision::Int8];
        all.into_iter().filter(available).map(move |p| (backend, p))
    };
    Backend::available().into_iter().flat_map(precisions).collect()
}

/// How near the reference logits have to be. Bytes have seven bits and a sign, or eight of
/// a range; what one layer rounds goes through all that follow.
fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-5,
        Precision::Bf16 => 2e-2,
        Precision::Int8 => 6e-2,
    }
}

fn packed(
    architecture: &Architecture,
    classes: usize,
    size: usize,
    weights: &Weights,
    (backend, precision): (Backend, Precision),
) -> PackedNetwork {
    let normalisation = NORMALISATION;
    PackedNetwork::with(architecture, classes, size, weights, normalisation, backend, precision)
        .unwrap()
}

/// The largest difference from the reference over the largest logit.
fn error(
    architecture: &Architecture,
    classes: usize,
    size: usize,
    (backend, precision): (Backend, Precision),
) -> f64 {
    let weights = random_weights(architecture, classes, 5);
    let network = packed(architecture, classes, size, &weights, (backend, precision));
    let image = random_image(size, 6);
    let mut logits = vec![f32::NAN; classes];
    network.forward(&[&image], &mut logits);
    let expected = reference::logits(architecture, &weights, NORMALISATION, &image, size);
    near::off(&logits, &expected)
}

#[test]
fn narrow_networks_are_the_reference_at_all_sizes() {
    for (backend, precision) in available() {
        for (width, size, padding) in [
            (0.25, 32, Padding::Symmetric),
            (0.25, 33, Padding::Same),
            (0.25, 70, Padding::Same),
            (0.25, 181, Padding::Symmetric),
            (0.4, 64, Padding::Same),
            (0.6, 47, Padding::Symmetric),
        ] {
            let error = error(&narrow(width, padding), 20, size, (backend, precision));
            let what = format!("{backend:?}, {precision:?}, {width}, {size}, {padding:?}");
            assert!(error < tolerance(precision), "{what}: {error}");
        }
    }
}

#[test]
fn b1_at_240_pixels_is_the_reference() {
    let b1 = Architecture::efficientnet(1).unwrap();
    let here = |(backend, _): &(Backend, Precision)| *backend == Backend::detect();
    for (backend, precision) in available().into_iter().filter(here) {
        let error = error(&b1, 4, 240, (backend, precision));
        assert!(error < tolerance(precision), "{precision:?}: {error}");
    }
}

/// One channel that overflows, in the stem or deep inside, is seen in every logit, however
/// numbers are rounded on the way.
#[test]
fn what_overflows_is_seen_in_the_logits() {
    let architecture = narrow(0.5, Padding::Symmetric);
    let (size, classes) = (64, 3);
    let layers = architecture.layers();
    let prefixes = ["features.0".to_owned(), layers.blocks[3].depthwise_prefix()];
    for ((backend, precision), prefix) in
        available().into_iter().flat_map(|with| prefixes.iter().map(move |prefix| (with, prefix)))
    {
        let mut weights = random_weights(&architecture, classes, 5);
        let name = format!("{prefix}.0.weight");
        let tensor = weights.get(&name).unwrap().clone();
        let mut values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        let of_channel = values.len() / tensor.dims()[0];
        values[of_channel..2 * of_channel].fill(3e38);
        let tensor = Tensor::from_vec(values, tensor.dims(), &Device::Cpu).unwrap();
        weights.insert(name, tensor);
        let network = packed(&architecture, classes, size, &weights, (backend, precision));
        let mut logits = vec![0.0; classes];
        network.forward(&[&random_image(size, 6)], &mut logits);
        let none = logits.iter().all(|logit| !logit.is_finite());
        assert!(none, "{backend:?}, {precision:?}, {prefix}: {logits:?}");
    }
}

#[test]
fn logits_depend_on_neither_batch_nor_threads() {
    let architecture = narrow(0.5, Padding::Symmetric);
    let (size, classes) = (96, 4);
    let weights = random_weights(&architecture, classes, 7);
    let images: Vec<_> = (0..11).map(|seed| random_image(size, seed)).collect();
    let images: Vec<_> = images.iter().map(Vec::as_slice).collect();
    for (backend, precision) in available() {
        let network = packed(&architecture, classes, size, &weights, (backend, precision));
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut alone = vec![0.0; images.len() * classes];
        for (image, logits) in images.iter().zip(alone.chunks_mut(classes)) {
            pool(1).install(|| network.forward(&[image], logits));
        }
        for threads in [1, 2, 3, 8] {
            let pool = pool(threads);
            let what = format!("{backend:?}, {precision:?}, {threads} threads");
            // Threads share the layers of an image.
            let mut shared = vec![0.0; images.len() * classes];
            for (image, logits) in images.iter().zip(shared.chunks_mut(classes)) {
                pool.install(|| network.forward(&[image], logits));
            }
            assert_eq!(shared, alone, "{what}, one by one");
            let mut together = vec![0.0; images.len() * classes];
            pool.install(|| network.forward(&images, &mut together));
            assert_eq!(together, alone, "{what}");

            let reversed: Vec<_> = images.iter().rev().copied().collect();
            pool.install(|| network.forward(&reversed, &mut together));
            let rows: Vec<_> = together.chunks(classes).rev().flatten().copied().collect();
            assert_eq!(rows, alone, "{what}, reversed");
        }
    }
}

/// Batches at once, from threads that are none of the network's, of more images than it
/// has threads, of as many and of fewer.
#[test]
fn threads_of_its_own_serve_whoever_asks() {
    let architecture = narrow(0.25, Padding::Symmetric);
    let weights = random_weights(&architecture, 5, 5);
    let new = || PackedNetwork::new(&architecture, 5, 64, &weights, NORMALISATION).unwrap();
    let images: Vec<_> = (0..11).map(|seed| random_image(64, seed)).collect();
    let images: Vec<_> = images.iter().map(Vec::as_slice).collect();
    let mut expected = vec![0.0; 11 * 5];
    new().forward(&images, &mut expected);
    for threads in [1, 3, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let network = new().on(Arc::new(pool));
        assert_eq!((network.lanes(), new().lanes()), (2, 1));
        std::thread::scope(|scope| {
            for batch in [11, 4, 3, 2, 1, 7] {
                let (network, images, expected) = (&network, &images, &expected);
                scope.spawn(move || {
                    for (images, expected) in images.chunks(batch).zip(expected.chunks(batch * 5)) {
                        let mut found = vec![f32::NAN; images.len() * 5];
                        network.forward(images, &mut found);
                        assert_eq!(found, expected, "{threads} threads, {batch} images");
                    }
                });
            }
        });
    }
}

#[test]
fn weights_of_another_architecture_are_refused() {
    let classes = 4;
    let weights = random_weights(&narrow(0.25, Padding::Same), classes, 8);
    let of = |architecture: &Architecture, classes| {
        PackedNetwork::new(architecture, classes, 64, &weights, NORMALISATION)
    };
    assert!(of(&narrow(0.25, Padding::Same), classes).is_ok());
    let wider = of(&narrow(0.5, Padding::Same), classes);
    assert!(matches!(wider, Err(WeightsError::Shape { .. })));
    let deeper = Architecture { depth: 1.5, ..narrow(0.25, Padding::Same) };
    assert!(matches!(of(&deeper, classes), Err(WeightsError::Missing { .. })));
    let more_classes = of(&narrow(0.25, Padding::Same), classes + 1);
    assert!(matches!(more_classes, Err(WeightsError::Shape { .. })));
}
