//! The network against implementations that this project did not write:
//! torchvision (golden results) and candle-transformers.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::efficientnet as theirs;
use hiwl::engine::candle::{Network, TensorNetwork};
use hiwl::engine::{Infer, Normalisation, Tensors, Want};
use hiwl::model::architecture::{Architecture, Padding};
use hiwl::model::model_file::{Model, StoredPrecision};
use hiwl::model::seeded::{self, SplitMix64};
use serde::Deserialize;

use crate::util::{self, near::off};

mod backbones;
mod features;
mod grad_cam;
mod import;

/// `tests/oracles/efficientnet_logits.py`.
#[derive(Deserialize)]
pub struct Golden {
    pub seed: u64,
    pub classes: usize,
    pub mean: [f32; 3],
    pub std: [f32; 3],
    pub cases: Vec<Case>,
}

#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub bn_eps: f64,
    pub size: usize,
    pub images: usize,
    pub logits: Vec<Vec<f32>>,
}

impl Golden {
    pub fn read() -> Self {
        let path = util::fixture("golden/efficientnet_logits.json");
        let text = std::fs::read_to_string(&path).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    pub fn normalisation(&self) -> Normalisation {
        Normalisation { mean: self.mean, std: self.std }
    }
}

impl Case {
    pub fn architecture(&self) -> Architecture {
        let architecture = Architecture::named(&self.name).unwrap();
        Architecture { bn_eps: self.bn_eps, ..architecture }
    }

    pub fn crops(&self, seed: u64) -> Vec<Vec<u8>> {
        (0..self.images).map(|i| image(seed, i, self.size)).collect()
    }

    /// Largest difference from the golden logits, relative to the largest of
    /// them.
    pub fn error(&self, logits: &[f32]) -> f64 {
        off(logits, &self.logits.concat())
    }
}

/// The picture that `tests/oracles/seeded.py` makes.
pub fn image(seed: u64, index: usize, size: usize) -> Vec<u8> {
    let bytes = |name: String, count| {
        let mut stream = SplitMix64::named(seed, &name);
        (0..count).map(|_| (stream.next_u64() >> 56) as u16).collect::<Vec<_>>()
    };
    let noise = bytes(format!("image.{index}"), size * size * 3);
    let tiles = bytes(format!("image.{index}.tiles"), 8 * 8 * 3);
    (0..size * size * 3)
        .map(|i| {
            let (y, x, channel) = (i / 3 / size, i / 3 % size, i % 3);
            let tile = (y * 8 / size * 8 + x * 8 / size) * 3 + channel;
            ((noise[i] + tiles[tile]) / 2) as u8
        })
        .collect()
}

#[test]
fn logits_are_torchvision_s() {
    let golden = Golden::read();
    for case in &golden.cases {
        let architecture = case.architecture();
        let weights = seeded::weights(&architecture, golden.classes, golden.seed, "").unwrap();
        let network = Network::load(&architecture, golden.classes, &weights).unwrap();
        let network = TensorNetwork::new(network, case.size, golden.normalisation());
        let crops = case.crops(golden.seed);
        let crops: Vec<&[u8]> = crops.iter().map(Vec::as_slice).collect();
        let mut found = Tensors::default();
        network.run(&crops, Want::LOGITS, &mut found).unwrap();
        let error = case.error(&found.logits);
        assert!(error < 1e-4, "{} eps {}: {error}", case.name, case.bn_eps);
    }
}

/// The other padding has another reference: candle-transformers pads as
/// TensorFlow does, with an epsilon of 1e-3.
#[test]
fn logits_with_tensorflow_padding_are_candle_transformers_s() {
    for (member, config, size) in
        [(0, theirs::MBConvConfig::b0(), 64), (1, theirs::MBConvConfig::b1(), 75)]
    {
        let architecture = Architecture {
            padding: Padding::Same,
            bn_eps: 1e-3,
            ..Architecture::efficientnet(member).unwrap()
        };
        let weights = seeded::weights(&architecture, 4, 3, "").unwrap();
        let ours = Network::load(&architecture, 4, &weights).unwrap();
        let tensors = weights.iter().map(|(n, t)| (n.to_owned(), t.clone())).collect();
        let builder = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let theirs = theirs::EfficientNet::new(builder, config, 4).unwrap();

        let pixels: Vec<f32> =
            image(3, 0, size).iter().map(|&b| f32::from(b) / 64.0 - 1.0).collect();
        let images = Tensor::from_vec(pixels, (1, size, size, 3), &Device::Cpu)
            .and_then(|t| t.permute((0, 3, 1, 2))?.contiguous())
            .unwrap();
        let flat = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let expected = flat(candle_nn::Module::forward(&theirs, &images).unwrap());
        let found = flat(ours.forward(&images).unwrap());
        assert!(off(&found, &expected) < 1e-4, "b{member}: {expected:?} {found:?}");

        // The paddings do differ, so the agreement says something.
        let symmetric = Architecture { padding: Padding::Symmetric, ..architecture };
        let other = Network::load(&symmetric, 4, &weights).unwrap();
        let other = flat(other.forward(&images).unwrap());
        assert!(off(&other, &expected) > 1e-3, "{other:?} {expected:?}");
    }
}

/// The model that fixtures, tests and the README run on. Its seed was chosen
/// such that galaxies get all five labels.
fn fixture_model() -> Model {
    Model::seeded(Architecture::nano(), 240, 29).unwrap()
}

#[test]
fn the_fixture_model_can_be_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made.safetensors");
    fixture_model().write(&made, StoredPrecision::F16).unwrap();
    let kept = util::fixture("models/untrained-nano.safetensors");
    assert!(
        std::fs::read(&made).unwrap() == std::fs::read(&kept).unwrap(),
        "{} differs from what the program makes",
        kept.display()
    );
    let model = Model::read(&kept).unwrap();
    assert!(model.description.untrained);
    assert_eq!(model.description.architectures[0].name, "efficientnet-nano");
    assert_eq!(model.description.input.size, 240);
}

/// `cargo test --release --test tests -- --ignored makes_the_fixture_model`
#[test]
#[ignore = "writes fixtures/models; run it after a change to the format"]
fn makes_the_fixture_model() {
    let path = util::fixture("models/untrained-nano.safetensors");
    fixture_model().write(&path, StoredPrecision::F16).unwrap();
}
