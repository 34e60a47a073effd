//! Features and class-activation maps against PyTorch's: torchvision's networks with
//! the same weights, and Grad-CAM by autograd (golden results).

use hiwl::engine::candle::{Network, TensorNetwork};
use hiwl::engine::{Device, Precision, open};
use hiwl::engine::{Infer, Normalisation, Tensors, Want};
use hiwl::model::architecture::Architecture;
use hiwl::model::seeded;
use serde::Deserialize;

use super::image;
use crate::util::{self, near::off};

/// `tests/oracles/efficientnet_features.py`.
#[derive(Deserialize)]
struct Golden {
    seed: u64,
    classes: usize,
    mean: [f32; 3],
    std: [f32; 3],
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    bn_eps: f64,
    size: usize,
    images: usize,
    features: Vec<Vec<f32>>,
    /// Of each image, of each output.
    grad_cam: Vec<Vec<Vec<f32>>>,
}

#[test]
fn features_are_pytorchs_and_maps_are_grad_cams_but_for_a_factor() {
    let text = std::fs::read_to_string(util::fixture("golden/efficientnet_features.json")).unwrap();
    let golden: Golden = serde_json::from_str(&text).unwrap();
    for case in &golden.cases {
        let named = Architecture::named(&case.name).unwrap();
        let architecture = Architecture { bn_eps: case.bn_eps, ..named };
        let weights = seeded::weights(&architecture, golden.classes, golden.seed, "").unwrap();
        let normalisation = Normalisation { mean: golden.mean, std: golden.std };
        let fused = open::infer(
            open::Network {
                architecture: &architecture,
                outputs: golden.classes,
                size: case.size,
                normalisation,
                weights: &weights,
            },
            Device::Cpu,
            None,
            Precision::F32,
            open::Room::for_one(case.images),
        );
        let candle = Network::load(&architecture, golden.classes, &weights).unwrap();
        let candle = TensorNetwork::new(candle, case.size, normalisation);
        let engines: [(&str, Box<dyn Infer>); 2] =
            [("fused", fused.unwrap().network), ("candle", Box::new(candle))];
        let crops: Vec<Vec<u8>> =
            (0..case.images).map(|i| image(golden.seed, i, case.size)).collect();
        let crops: Vec<&[u8]> = crops.iter().map(Vec::as_slice).collect();
        let length = architecture.layers().features;
        let weight = weights.values("classifier.1.weight", &[golden.classes, length]).unwrap();
        for (engine, network) in engines {
            let mut found = Tensors::default();
            network.run(&crops, Want::FEATURES | Want::MAPS, &mut found).unwrap();
            let worst = off(&found.features, &case.features.concat());
            assert!(worst < 1e-4, "{} by {engine}: features {worst}", case.name);
            let plane = network.map_side().pow(2);
            for (maps, expected) in found.maps.chunks_exact(length * plane).zip(&case.grad_cam) {
                // All outputs together: what speaks against one has a map of zeros.
                let outputs = weight.chunks_exact(length);
                let found = outputs.flat_map(|w| hiwl::classify::activation(maps, w, plane));
                let found: Vec<f32> = found.map(|m| m.max(0.0) / plane as f32).collect();
                let worst = off(&found, &expected.concat());
                assert!(worst < 1e-4, "{} by {engine}: Grad-CAM {worst}", case.name);
            }
        }
    }
}
