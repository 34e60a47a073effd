//! The engine against the fused one, and what it promises whatever the backbone.
//! Against PyTorch it is held by `tests/network/backbones.rs`.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};

use super::transformer::Transformer;
use super::{CandleLearner, Network, TensorNetwork};
use crate::engine::fused::learn::FusedLearner;
use crate::engine::fused::random_weights::random_image;
use crate::engine::learn::{Learn, Settings, Updates};
use crate::engine::optimizer::{LayerRates, Rule};
use crate::engine::{Infer, InferenceError, Loss, Normalisation, Precision, Tensors, Want};
use crate::model::architecture::Architecture;
use crate::model::backbone::Backbone;
use crate::model::seeded;
use crate::model::weights::Weights;
use crate::near::{apart, largest, off};

const NORMALISATION: Normalisation =
    Normalisation { mean: [0.5, 0.4, 0.6], std: [0.29, 0.27, 0.31] };
const SIZE: usize = 48;
const CLASSES: usize = 3;

fn settings(frozen_backbone: bool) -> Settings {
    Settings {
        classes: CLASSES,
        batch: 4,
        max_size: SIZE,
        normalisation: NORMALISATION,
        frozen_backbone,
        stochastic_depth: 0.0,
        loss: Loss::Classes,
    }
}

fn updates() -> Updates {
    Updates {
        rule: Rule::Sgd { momentum: 0.9, nesterov: true, weight_decay: 1e-4 },
        layers: LayerRates::default(),
        decay_vectors: false,
        average: Some(0.9),
        norm_momentum: 0.1,
    }
}

fn batch(seed: u64) -> (Vec<u8>, Vec<f32>) {
    let images = (0..3).flat_map(|i| random_image(SIZE, 3 * seed + i)).collect();
    let targets = vec![0.9, 0.05, 0.05, 0.05, 0.05, 0.9, 0.0, 1.0, 0.0];
    (images, targets)
}

fn nano(backbone: Backbone) -> (Architecture, Weights) {
    let name = match backbone {
        Backbone::Efficientnet => "efficientnet-nano".to_owned(),
        other => format!("{}-nano", other.name()),
    };
    let architecture = Architecture::named(&name).unwrap().for_images(SIZE);
    let weights = seeded::weights(&architecture, CLASSES, 2, "").unwrap();
    (architecture, weights)
}

fn learner(backbone: Backbone, frozen: bool) -> CandleLearner {
    let (architecture, weights) = nano(backbone);
    CandleLearner::new(&architecture, &weights, settings(frozen), updates()).unwrap()
}

/// Every tensor's values.
fn all(weights: &Weights) -> Vec<(String, Vec<f32>)> {
    let of = |t: &Tensor| t.flatten_all().unwrap().to_vec1().unwrap();
    weights.iter().map(|(name, tensor)| (name.to_owned(), of(tensor))).collect()
}

#[test]
fn it_learns_as_the_fused_engine_does_and_goes_on_from_its_snapshots() {
    for frozen in [false, true] {
        let (architecture, weights) = nano(Backbone::Efficientnet);
        assert!(architecture.dropout > 0.0);
        let own = (settings(frozen), updates());
        let mut fused =
            FusedLearner::new(&architecture, &weights, own.0, own.1, Precision::F32).unwrap();
        let mut candle = learner(Backbone::Efficientnet, frozen);
        for step in 0..3 {
            let (images, targets) = batch(step);
            let a = fused.step(&images, SIZE, &targets, 0.02, step).unwrap();
            let b = candle.step(&images, SIZE, &targets, 0.02, step).unwrap();
            assert!((a.loss - b.loss).abs() < 1e-3 * a.loss, "{} {}", a.loss, b.loss);
            // Each goes on from where the other is.
            let (theirs, ours) = (fused.snapshot().unwrap(), candle.snapshot().unwrap());
            fused.restore(ours).unwrap();
            candle.restore(theirs).unwrap();
        }
        let (a, b) = (all(&fused.judged().unwrap()), all(&candle.judged().unwrap()));
        for ((name, a), (_, b)) in a.iter().zip(&b) {
            let scale = largest(a.iter().copied()).max(1e-3);
            let worst = apart(b, a);
            assert!(worst < 2e-3 * scale, "{name}, frozen {frozen}: {worst} of {scale}");
        }
        let (images, _) = batch(9);
        let found = candle.evaluate(&images, SIZE).unwrap();
        let expected = fused.evaluate(&images, SIZE).unwrap();
        let worst = off(&found, &expected);
        assert!(worst < 5e-3, "frozen {frozen}: {worst}");
    }
}

#[test]
fn a_run_that_goes_on_is_the_run_that_was_not_ended() {
    for backbone in Backbone::ALL {
        let mut whole = learner(backbone, false);
        let mut ended = learner(backbone, false);
        for step in 0..2 {
            let (images, targets) = batch(step);
            let expected = whole.step(&images, SIZE, &targets, 0.01, step).unwrap();
            let found = ended.step(&images, SIZE, &targets, 0.01, step).unwrap();
            assert_eq!(found, expected, "{backbone:?}");
            let mut again = learner(backbone, false);
            again.restore(ended.snapshot().unwrap()).unwrap();
            ended = again;
        }
        assert!(whole.is_finite().unwrap());
        assert_eq!(all(&whole.judged().unwrap()), all(&ended.judged().unwrap()), "{backbone:?}");
    }
}

#[test]
fn a_frozen_backbone_stays() {
    for backbone in Backbone::ALL {
        let (architecture, weights) = nano(backbone);
        let mut learner = learner(backbone, true);
        let (images, targets) = batch(0);
        learner.step(&images, SIZE, &targets, 0.1, 0).unwrap();
        let moved: Vec<String> = all(&weights)
            .into_iter()
            .zip(all(&learner.snapshot().unwrap().weights))
            .filter(|(old, new)| old != new)
            .map(|(old, _)| old.0)
            .collect();
        let head = architecture.backbone.classifier();
        assert_eq!(moved, [format!("{head}.bias"), format!("{head}.weight")], "{backbone:?}");
    }
}

#[test]
fn what_is_found_depends_on_neither_batch_nor_threads_nor_what_else_is_wanted() {
    let images: Vec<_> = (0..4).map(|seed| random_image(SIZE, seed)).collect();
    let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
    for backbone in Backbone::ALL {
        let (architecture, weights) = nano(backbone);
        let network = Network::load(&architecture, CLASSES, &weights).unwrap();
        let network = TensorNetwork::new(network, SIZE, NORMALISATION);
        let both = Want::LOGITS | Want::FEATURES;
        let mut whole = Tensors::default();
        network.run(&images, both, &mut whole).unwrap();
        assert!(whole.logits.iter().all(|v| v.is_finite()), "{backbone:?}");
        assert_ne!(whole.logits[..CLASSES], whole.logits[CLASSES..2 * CLASSES], "{backbone:?}");
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut logits = Vec::new();
            for image in &images {
                let mut found = Tensors::default();
                pool.install(|| network.run(&[image], Want::LOGITS, &mut found)).unwrap();
                assert!(found.features.is_empty());
                logits.extend(found.logits);
            }
            assert_eq!(logits, whole.logits, "{backbone:?}, {threads} threads");
        }
        let mut found = Tensors::default();
        let maps = network.run(&images, Want::MAPS, &mut found);
        if architecture.plan().has_maps() {
            maps.unwrap();
            let plane = network.map_side().pow(2);
            let means =
                found.maps.chunks_exact(plane).map(|m| m.iter().sum::<f32>() / plane as f32);
            let worst = off(&means.collect::<Vec<f32>>(), &whole.features);
            assert!(worst < 1e-5, "{backbone:?}: {worst}");
        } else {
            let error = maps.unwrap_err();
            assert!(matches!(error, InferenceError::Unsupported { .. }), "{error}");
        }
    }
}

/// candle-transformers' layers where nothing learns are those that learn.
#[test]
fn a_network_in_use_is_the_one_that_learned() {
    for backbone in Backbone::ALL {
        let (architecture, weights) = nano(backbone);
        let mut learner = learner(backbone, false);
        let (images, _) = batch(3);
        let expected = learner.evaluate(&images, SIZE).unwrap();
        let network = Network::load(&architecture, CLASSES, &weights).unwrap();
        let network = TensorNetwork::new(network, SIZE, NORMALISATION);
        let images: Vec<&[u8]> = images.chunks_exact(3 * SIZE * SIZE).collect();
        let mut found = Tensors::default();
        network.run(&images, Want::LOGITS, &mut found).unwrap();
        let worst = off(&found.logits, &expected);
        assert!(worst < 1e-4, "{backbone:?}: {worst}");
    }
}

/// Why they do not learn: what lies before a norm gets no gradient. Where candle mends
/// this, one of the two transformers can go.
#[test]
fn candle_transformers_vit_leads_no_gradient_back() {
    let (architecture, weights) = nano(Backbone::VitB16);
    let vars: BTreeMap<String, Var> = weights
        .iter()
        .map(|(name, tensor)| (name.to_owned(), Var::from_tensor(tensor).unwrap()))
        .collect();
    let tensors = vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone()));
    let plan = architecture.plan();
    let transformer =
        Transformer::of(&plan, architecture.bn_eps, &tensors.collect()).unwrap().unwrap();
    let images = Tensor::ones((1, 3, SIZE, SIZE), DType::F32, &Device::Cpu).unwrap();
    let tokens = transformer.tokens(&images).unwrap();
    let gradients = tokens.sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&vars["class_token"]).is_none());
}
