//! Engines held against each other through their door: all that one network
//! says, by every engine, backend and precision that this processor has.

use super::candle::{Network, TensorNetwork};
use super::fused::random_weights::{random_image, random_weights};
use super::fused::{Backend, PackedNetwork};
use super::{Infer, InferenceError, Normalisation, Precision, Tensors, Want};
use crate::model::architecture::{Architecture, Padding};
use crate::model::weights::Weights;
use crate::near::off;

const CLASSES: usize = 5;
const ALL: [Want; 3] = [Want::LOGITS, Want::FEATURES, Want::MAPS];

fn everything() -> Want {
    ALL[0] | ALL[1] | ALL[2]
}

/// For the noise that [`random_image`] draws; colours differ.
const NORMALISATION: Normalisation =
    Normalisation { mean: [0.5, 0.4, 0.6], std: [0.29, 0.27, 0.31] };

fn narrow(padding: Padding) -> (Architecture, Weights) {
    let b0 = Architecture::efficientnet(0).unwrap();
    let architecture =
        Architecture { name: "narrow".to_owned(), width: 0.4, depth: 0.6, padding, ..b0 };
    let weights = random_weights(&architecture, CLASSES, 11);
    (architecture, weights)
}

/// The network by the reference.
fn plain(architecture: &Architecture, weights: &Weights, size: usize) -> TensorNetwork {
    let network = Network::load(architecture, CLASSES, weights).unwrap();
    TensorNetwork::new(network, size, NORMALISATION)
}

/// The network by all others, with a name and how near they come.
fn others(
    architecture: &Architecture,
    weights: &Weights,
    size: usize,
) -> Vec<(String, Box<dyn Infer>, f64)> {
    let mut networks: Vec<(String, Box<dyn Infer>, f64)> = Vec::new();
    for backend in Backend::available() {
        for (precision, tolerance) in [(Precision::F32, 2e-5), (Precision::Bf16, 3e-2)] {
            if precision.is_available_on(backend) {
                let network = PackedNetwork::with(
                    architecture,
                    CLASSES,
                    size,
                    weights,
                    NORMALISATION,
                    backend,
                    precision,
                );
                let name = format!("fused, {}, {}", backend.name(), precision.name());
                networks.push((name, Box::new(network.unwrap()), tolerance));
            }
        }
    }
    networks
}

fn parts(found: &Tensors) -> [(&'static str, &[f32]); 3] {
    [("logits", &found.logits), ("features", &found.features), ("maps", &found.maps)]
}

/// That maps, features and logits follow from one another.
fn hangs_together(name: &str, network: &dyn Infer, weights: &Weights, found: &Tensors) {
    let (features, plane) = (network.features(), network.map_side().pow(2));
    let means = found
        .maps
        .chunks_exact(plane)
        .map(|map| (map.iter().map(|v| f64::from(*v)).sum::<f64>() / plane as f64) as f32);
    let means: Vec<f32> = means.collect();
    assert!(off(&found.features, &means) < 1e-5, "{name}: features are the maps' means");

    let matrix = weights.values("classifier.1.weight", &[CLASSES, features]).unwrap();
    let bias = weights.values("classifier.1.bias", &[CLASSES]).unwrap();
    let rows = found.features.chunks_exact(features).flat_map(|row| {
        matrix.chunks_exact(features).zip(&bias).map(|(weights, bias)| {
            let sum: f64 =
                row.iter().zip(weights).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
            (sum + f64::from(*bias)) as f32
        })
    });
    let logits: Vec<f32> = rows.collect();
    assert!(off(&found.logits, &logits) < 1e-5, "{name}: logits are the classifier's");
}

#[test]
fn every_engine_finds_the_same_logits_features_and_maps() {
    for (padding, size) in [(Padding::Symmetric, 70), (Padding::Same, 97)] {
        let (architecture, weights) = narrow(padding);
        let images: Vec<_> = (0..7).map(|seed| random_image(size, seed)).collect();
        let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
        let reference = plain(&architecture, &weights, size);
        let mut expected = Tensors::default();
        reference.run(&images, everything(), &mut expected).unwrap();
        hangs_together("candle", &reference, &weights, &expected);
        for (name, network, tolerance) in others(&architecture, &weights, size) {
            assert_eq!(network.outputs(), reference.outputs(), "{name}");
            assert_eq!(network.features(), architecture.layers().features, "{name}");
            assert_eq!(network.features(), reference.features(), "{name}");
            assert_eq!(network.map_side(), reference.map_side(), "{name}");
            let mut found = Tensors::default();
            network.run(&images, everything(), &mut found).unwrap();
            for ((what, found), (_, expected)) in parts(&found).into_iter().zip(parts(&expected)) {
                let error = off(found, expected);
                assert!(error < tolerance, "{name}, {padding:?}: {what} off by {error}");
            }
            hangs_together(&name, &*network, &weights, &found);
        }
    }
}

#[test]
fn what_is_found_depends_on_neither_batch_nor_threads_nor_what_else_is_wanted() {
    let size = 64;
    let (architecture, weights) = narrow(Padding::Symmetric);
    let images: Vec<_> = (0..6).map(|seed| random_image(size, seed)).collect();
    let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
    for (name, network, _) in others(&architecture, &weights, size) {
        let mut whole = Tensors::default();
        network.run(&images, everything(), &mut whole).unwrap();
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for of in [1, 3, 6] {
                for want in ALL {
                    let mut all = Tensors::default();
                    // Holds what the batch before left.
                    let mut found = Tensors { logits: vec![7.0; 3], ..Tensors::default() };
                    for images in images.chunks(of) {
                        pool.install(|| network.run(images, want, &mut found)).unwrap();
                        all.logits.extend(&found.logits);
                        all.features.extend(&found.features);
                        all.maps.extend(&found.maps);
                    }
                    for (flag, ((what, all), (_, whole))) in
                        ALL.into_iter().zip(parts(&all).into_iter().zip(parts(&whole)))
                    {
                        let expected = if want.has(flag) { whole } else { &[] };
                        assert!(all == expected, "{name}: {what}, {threads} threads, {of} at once");
                    }
                }
            }
        }
    }
}

#[test]
fn an_image_of_another_size_is_named_and_no_images_are_no_rows() {
    let (architecture, weights) = narrow(Padding::Same);
    let (right, wrong) = (random_image(32, 1), random_image(33, 1));
    let mut networks = others(&architecture, &weights, 32);
    networks.push(("candle".into(), Box::new(plain(&architecture, &weights, 32)), 0.0));
    for (name, network, _) in networks {
        let mut found = Tensors { features: vec![1.0], ..Tensors::default() };
        let error = network.run(&[&right, &wrong], Want::LOGITS, &mut found).err().unwrap();
        assert!(
            matches!(error, InferenceError::ImageSize { index: 1, expected: 3072, found: 3267 }),
            "{name}: {error}"
        );
        network.run(&[], everything(), &mut found).unwrap();
        assert_eq!(found, Tensors::default(), "{name}");
    }
}
