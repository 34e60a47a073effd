//! Heat maps of every kind of backbone that has them against pytorch-grad-cam, with the
//! same weights (golden results of `tests/oracles/grad_cam.py`).

use hiwl::classify::{Explainer, MapKind};
use hiwl::engine::Engine;
use hiwl::model::architecture::Architecture;
use hiwl::model::description::{Description, Input};
use hiwl::model::model_file::Model;
use hiwl::model::seeded;
use hiwl::tree::Scheme;
use serde::Deserialize;

use super::image;
use crate::util::{self, near::off};

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
    size: usize,
    images: usize,
    logits: Vec<Vec<f32>>,
    /// Of each image, of each output.
    maps: Vec<Vec<Vec<f32>>>,
}

/// A model of one network that tells so many classes apart.
fn model(golden: &Golden, name: &str, size: usize) -> Model {
    let architecture = Architecture::named(name).unwrap().for_images(size);
    let weights = seeded::weights(&architecture, golden.classes, golden.seed, "").unwrap();
    let outputs: Vec<Vec<String>> =
        (0..golden.classes).map(|class| vec![format!("C{class}")]).collect();
    let scheme = Scheme::combined(None, &[("single", &outputs)]).unwrap();
    let input = Input { mean: golden.mean, std: golden.std, ..Input::paper(size) };
    Model::new(Description::new(scheme, vec![architecture], input), vec![weights])
}

#[test]
fn maps_are_those_of_pytorch_grad_cam() {
    let text = std::fs::read_to_string(util::fixture("golden/grad_cam.json")).unwrap();
    let golden: Golden = serde_json::from_str(&text).unwrap();
    for case in &golden.cases {
        let model = model(&golden, &case.name, case.size);
        let is_default = case.name.starts_with("efficientnet");
        let engines = if is_default { vec![None, Some(Engine::Candle)] } else { vec![None] };
        for engine in engines {
            let explainer = Explainer::new(&model, engine).unwrap();
            let by_gradients = ["vgg16-nano", "vit-b16-nano"].contains(&case.name.as_str());
            for k in 0..case.images {
                let pixels = image(golden.seed, k, case.size);
                let asked: Vec<(&[u8], usize)> =
                    (0..golden.classes).map(|answer| (pixels.as_slice(), answer)).collect();
                let seen = explainer.explain(&asked).unwrap();
                let logits: Vec<f32> = seen.iter().map(|seen| seen.logit).collect();
                let worst = off(&logits, &case.logits[k]);
                assert!(worst < 1e-4, "{}: logits {worst}", case.name);
                let maps = seen.iter().flat_map(|seen| {
                    let exact = seen.kind == MapKind::ClassActivation;
                    assert_eq!(exact, !by_gradients, "{}", case.name);
                    assert_eq!(seen.map.len(), seen.grid.side.pow(2));
                    // Grad-CAM's gradient is of the mean: a factor.
                    let scale = if exact { seen.map.len() as f32 } else { 1.0 };
                    seen.map.iter().map(move |value| value / scale)
                });
                let worst = off(&maps.collect::<Vec<f32>>(), &case.maps[k].concat());
                assert!(worst < 1e-4, "{}, {engine:?}: maps {worst}", case.name);
            }
        }
    }
}

#[test]
fn turned_views_have_no_map_and_the_reason_is_told() {
    let text = std::fs::read_to_string(util::fixture("golden/grad_cam.json")).unwrap();
    let golden: Golden = serde_json::from_str(&text).unwrap();
    let refused = Explainer::new(&model(&golden, "dieleman-nano", 96), None).err().unwrap();
    assert!(refused.to_string().contains("turned and mirrored views"), "{refused}");
}
