//! Learning rates that differ by layer, and what a GPU does not learn.

use safetensors::SafeTensors;

use super::run::{SHORT, Scene, done};
use crate::util::command::errors;

/// Tensors of a run's last checkpoint of its first model, by name.
fn tensors(scene: &Scene, run: &str) -> Vec<(String, Vec<u8>)> {
    let bytes = scene.bytes(&format!("{run}/checkpoints/stage1-last.safetensors"));
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut all: Vec<(String, Vec<u8>)> =
        file.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect();
    all.sort();
    all
}

#[test]
fn a_block_without_a_rate_keeps_its_bits_and_equal_rates_change_none() {
    let scene = Scene::new(120);
    let with = |name: &str, line: &str| {
        let line = format!("ema = 0.99\n{line}\n");
        scene.recipe(name, &[SHORT[0], SHORT[1], SHORT[2], ("ema = 0.99\n", &line)]);
        let recipe = name.to_owned();
        done(scene.train(name.trim_end_matches(".toml"), &recipe, &[]), 0);
        tensors(&scene, name.trim_end_matches(".toml"))
    };
    let plain = with("plain.toml", "");
    let even = with("even.toml", "layer_decay = 1.0\nlayer_rates = { features = 1.0 }");
    assert!(plain == even, "a factor of one is none");
    let still = with(
        "still.toml",
        "layer_decay = 0.9\nlayer_rates = { \"features.0\" = 0.0, \"features.2.0\" = 0.0 }",
    );
    // What it began with is what a run of another rate began with, too.
    let frozen = with("frozen.toml", "layer_rates = { features = 0.0, classifier = 0.0 }");
    let (mut kept, mut moved) = (0, 0);
    for ((name, still), (other, began)) in still.iter().zip(&frozen) {
        assert_eq!(name, other);
        let Some(layer) = name.strip_prefix("weights/") else { continue };
        if layer.contains("running_") {
            continue;
        }
        let is_still = layer.starts_with("features.0.") || layer.starts_with("features.2.0.");
        assert_eq!(still == began, is_still, "{name}");
        *(if is_still { &mut kept } else { &mut moved }) += 1;
    }
    assert!(kept > 10 && moved > 20, "{kept} {moved}");

    // What is within a layer has no rate of its own.
    for layer in ["features.9", "features.0.0", "classifier.1", "features.2.0.block"] {
        let line = format!("layer_rates = {{ \"{layer}\" = 0.5 }}\n");
        scene.recipe("wrong.toml", &[("ema = 0.99\n", &line)]);
        let refused = done(scene.train("wrong", "wrong.toml", &[]), 64);
        let words = format!("no layer \"{layer}\"");
        assert!(errors(&refused).contains(&words), "{}", errors(&refused));
    }
}

/// Before an image is looked at, and without a GPU.
#[test]
fn what_a_gpu_does_not_learn_is_said_beforehand() {
    let scene = Scene::new(5);
    let line = "ema = 0.99\nlayer_decay = 0.9\n";
    scene.recipe("decay.toml", &[("ema = 0.99\n", line)]);
    let text = std::fs::read_to_string(scene.path("nano.toml")).unwrap();
    let (head, _) = text.split_once("[[models]]").unwrap();
    let head = head.replace("smoothing = 0.05", "smoothing = 0.0");
    let head = head.replace(
        "classes = [\"CRS\", \"IBS\", \"CSS\", \"EO\", \"SPI\"]\n",
        "tree = \"galaxy-zoo-decals-5\"\n",
    );
    let model = "[[models]]\nname = \"votes\"\nvotes = \"counts\"\nsampling = \"shuffle\"\n";
    std::fs::write(scene.path("votes.toml"), head + model).unwrap();
    for (recipe, said) in
        [("decay.toml", "differ by layer"), ("votes.toml", "votes are learned on the processor")]
    {
        let refused = done(scene.train("run", recipe, &["--device", "cuda:0"]), 64);
        let told = errors(&refused);
        assert!(told.contains(said) && told.contains("--device cpu"), "{told}");
        assert!(!told.contains("looking at every image"), "{told}");
    }
}
