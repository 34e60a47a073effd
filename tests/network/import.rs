//! Importing weights: checkpoints that PyTorch wrote, networks that timm
//! evaluated, and the real EfficientNet-Lite1 where it is at hand.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use hiwl::engine::candle::Network;
use hiwl::model::architecture::{Architecture, Padding};
use hiwl::model::backbone::Backbone;
use hiwl::model::import::names::Naming;
use hiwl::model::import::{self, ImportError, ImportOptions};
use hiwl::model::model_file::{Model, StoredPrecision};
use hiwl::model::parameters::{Parameter, parameters};
use hiwl::model::{seeded, weights::WeightsError};
use serde::Deserialize;

use super::image;
use crate::util::{self, near::off};

/// `tests/oracles/timm_logits.py`.
#[derive(Deserialize)]
struct Golden {
    seed: u64,
    classes: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    bn_eps: f64,
    padding: Padding,
    size: usize,
    logits: Vec<f32>,
}

fn save(path: &Path, tensors: HashMap<String, Tensor>) {
    candle_core::safetensors::save(&tensors, path).unwrap();
}

/// A network's tensors under a library's names, seeded by these.
fn foreign(
    naming: Naming,
    architecture: &Architecture,
    classes: usize,
    seed: u64,
) -> HashMap<String, Tensor> {
    let mut prefixes = naming.prefixes(architecture);
    prefixes.insert("classifier.1".into(), naming.classifier(Backbone::Efficientnet).into());
    let mut tensors = HashMap::new();
    for Parameter { name, shape } in parameters(architecture, classes) {
        let (prefix, leaf) = name.rsplit_once('.').unwrap();
        let Some(theirs) = prefixes.get(prefix) else { continue };
        let theirs = Parameter { name: format!("{theirs}.{leaf}"), shape };
        let tensor = seeded::tensor(&theirs, seed, "").unwrap();
        tensors.insert(theirs.name, tensor);
    }
    tensors
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn timm_s_networks_come_in_with_their_logits() {
    let path = util::fixture("golden/timm_logits.json");
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for case in &golden.cases {
        let member = &case.name[case.name.find("efficientnet").unwrap()..].replace('_', "-");
        let architecture = Architecture::named(member).unwrap();
        let mut tensors = foreign(Naming::Timm, &architecture, golden.classes, golden.seed);
        for (name, tensor) in &mut tensors {
            // As the script does.
            let parts: Vec<_> = name.split('.').collect();
            let first = parts[0] == "blocks" && parts[2] == "0" && parts[3].starts_with("conv_pw");
            if first && tensor.dims()[0] <= tensor.dims()[1] {
                *tensor = (&*tensor * 4.0).unwrap();
            }
        }
        let file = folder.path().join(&case.name);
        save(&file, tensors);
        let options = ImportOptions {
            bn_eps: Some(case.bn_eps),
            padding: Some(case.padding),
            ..ImportOptions::new(&file)
        };
        let model = import::model(&options).unwrap();
        let found = &model.description.architectures[0];
        assert_eq!(found.name, *member);
        let network = Network::load(found, golden.classes, &model.networks[0]).unwrap();
        let pixels = image(golden.seed, 0, case.size);
        let pixels: Vec<f32> = pixels.iter().map(|&b| f32::from(b) / 64.0 - 1.0).collect();
        let shape = (1, case.size, case.size, 3);
        let images = Tensor::from_vec(pixels, shape, &candle_core::Device::Cpu)
            .and_then(|t| t.permute((0, 3, 1, 2))?.contiguous())
            .unwrap();
        let logits = values(&network.forward(&images).unwrap());
        assert!(off(&logits, &case.logits) < 1e-4, "{}: {logits:?}", case.name);
    }
}

#[test]
fn every_library_s_file_of_every_member_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    for member in [0, 1, 2, 4] {
        let architecture = Architecture::efficientnet(member).unwrap();
        for naming in [Naming::Torchvision, Naming::Timm, Naming::EfficientNetPytorch] {
            let file = folder.path().join("weights");
            save(&file, foreign(naming, &architecture, 1000, 1));
            let foreign = import::read(&file).unwrap();
            assert_eq!((foreign.naming, foreign.classes()), (naming, Some(1000)));
            assert_eq!(foreign.architecture().unwrap().name, architecture.name);
        }
    }
}

#[test]
fn what_weights_do_not_say_is_recorded_and_can_be_said() {
    let folder = tempfile::tempdir().unwrap();
    let architecture = Architecture::nano();
    let file = |name: &str, naming, classes| {
        let path = folder.path().join(name);
        save(&path, foreign(naming, &architecture, classes, 1));
        path
    };
    let of = |path: &PathBuf| ImportOptions {
        architecture: Some(architecture.clone()),
        classes: Some(["a", "b"].map(String::from).to_vec()),
        ..ImportOptions::new(path)
    };
    let weights = file("weights", Naming::Timm, 2);
    let assumed =
        |model: &Model| model.description.provenance.recipe.as_ref().unwrap()["assumed"].clone();
    let silent = import::model(&of(&weights)).unwrap();
    let all = serde_json::json!(["size", "mean", "std", "bands", "profile", "bn-eps", "padding"]);
    assert_eq!(assumed(&silent), all);
    let fed = import::Fed {
        mean: Some([0.485, 0.456, 0.406]),
        std: Some([0.229, 0.224, 0.225]),
        bands: Some(["z", "r", "g"].map(String::from)),
        profile: Some("legacy-grz".into()),
    };
    let said = import::model(&ImportOptions { fed, bn_eps: Some(1e-3), ..of(&weights) }).unwrap();
    let input = &said.description.input;
    assert_eq!((input.mean[0], input.std[2], &*input.bands[0]), (0.485, 0.225, "z"));
    assert_eq!(input.rgb_profile, "legacy-grz");
    assert_eq!(assumed(&said), serde_json::json!(["size", "padding"]));

    // Two libraries that pad otherwise: said for both, or refused.
    let other = file("other", Naming::EfficientNetPytorch, 2);
    let both =
        ImportOptions { classes: None, files: vec![weights, other], ..of(&folder.path().into()) };
    let error = import::model(&both).unwrap_err().to_string();
    assert!(error.contains("--padding and --bn-eps"), "{error}");
    let padding = Some(Padding::Same);
    assert!(import::model(&ImportOptions { padding, bn_eps: Some(1e-3), ..both }).is_ok());
}

#[test]
fn heads_that_fit_are_kept_and_others_are_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let architecture = Architecture::nano();
    let file = |name: &str, classes| {
        let path = folder.path().join(name);
        save(&path, foreign(Naming::Timm, &architecture, classes, 1));
        path
    };
    let options = |path: PathBuf| ImportOptions {
        architecture: Some(architecture.clone()),
        seed: 5,
        ..ImportOptions::new(path)
    };
    let head = "classifier.1.weight";
    let seeded_head = |shape, prefix| {
        let parameter = Parameter { name: head.into(), shape };
        values(&seeded::tensor(&parameter, 5, prefix).unwrap())
    };

    let imagenet = import::model(&options(file("imagenet", 1000))).unwrap();
    assert!(imagenet.description.untrained);
    assert_eq!(
        values(imagenet.networks[0].get(head).unwrap()),
        seeded_head(vec![4, 256], "stage1.")
    );
    assert_eq!(
        values(imagenet.networks[1].get(head).unwrap()),
        seeded_head(vec![2, 256], "stage2.")
    );

    let trained = ImportOptions {
        files: vec![file("four", 4), file("two", 2)],
        program: Some("test 1".into()),
        ..options(file("four", 4))
    };
    let trained = import::model(&trained).unwrap();
    assert!(!trained.description.untrained);
    assert!(trained.description.scheme.is_hiwl());
    let imported = &trained.description.provenance.imported;
    assert_eq!(imported.keys().collect::<Vec<_>>(), ["four", "two"]);
    let theirs = foreign(Naming::Timm, &architecture, 2, 1);
    assert_eq!(
        values(trained.networks[1].get(head).unwrap()),
        values(&theirs["classifier.weight"])
    );

    // A head that fits the named classes is theirs; a file too many is told.
    let classes = Some(["smooth", "edge-on", "spiral"].map(String::from).to_vec());
    let three = ImportOptions { classes: classes.clone(), ..options(file("three", 3)) };
    let three_model = import::model(&three).unwrap();
    assert!(!three_model.description.untrained);
    let tree = three_model.description.scheme.tree();
    assert_eq!(tree.class_names(), ["smooth", "edge-on", "spiral"]);
    let theirs_3 = foreign(Naming::Timm, &architecture, 3, 1);
    let found = values(three_model.networks[0].get(head).unwrap());
    assert_eq!(found, values(&theirs_3["classifier.weight"]));
    let four = ImportOptions { classes, ..options(file("four", 4)) };
    assert!(import::model(&four).unwrap().description.untrained);
    let twice = ImportOptions { files: vec![file("three", 3), file("four", 4)], ..three };
    assert!(matches!(import::model(&twice), Err(ImportError::Files { files: 2, networks: 1 })));

    // What was made is a model, conventions of the library included.
    let path = folder.path().join("model");
    trained.write(&path, StoredPrecision::F32).unwrap();
    let read = Model::read(&path).unwrap();
    assert_eq!(read.description, trained.description);
    assert_eq!(read.description.architectures[0].bn_eps, 1e-5);
    assert_eq!(read.description.provenance.program.as_deref(), Some("test 1"));
}

#[test]
fn files_that_cannot_be_imported_are_named_by_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    let architecture = Architecture::efficientnet(0).unwrap();
    let mut tensors = foreign(Naming::Timm, &architecture, 1000, 1);
    let error = |tensors: &HashMap<String, Tensor>| {
        save(&path, tensors.clone());
        import::model(&ImportOptions::new(&path)).unwrap_err()
    };
    let stray = tensors["bn1.weight"].clone();
    tensors.insert("stray".into(), stray);
    assert!(matches!(error(&tensors), ImportError::UnknownMember { .. }));
    tensors.remove("stray");

    let nan = (&tensors["bn1.weight"] * f64::NAN).unwrap();
    let good = tensors.insert("bn1.weight".into(), nan).unwrap();
    assert!(matches!(
        error(&tensors),
        ImportError::Weights { source: WeightsError::NotFinite { .. }, .. }
    ));
    tensors.insert("bn1.weight".into(), good);

    tensors.remove("bn1.weight");
    assert!(matches!(error(&tensors), ImportError::UnknownMember { .. }));
    let stem = tensors.remove("conv_stem.weight").unwrap();
    assert!(matches!(error(&tensors), ImportError::UnknownNames { .. }));
    save(&path, HashMap::from([("conv_stem.weight".into(), stem)]));
    let asked = ImportOptions { architecture: Some(architecture), ..ImportOptions::new(&path) };
    assert!(matches!(
        import::model(&asked).unwrap_err(),
        ImportError::Weights { source: WeightsError::Missing { .. }, .. }
    ));

    for bytes in [&b"\xff\xd8\xff\xe0 JPEG"[..], b""] {
        std::fs::write(&path, bytes).unwrap();
        let error = import::read(&path).unwrap_err();
        assert!(matches!(error, ImportError::NotWeights { .. }), "{error}");
    }
    std::fs::write(&path, b"PK\x03\x04 and no archive").unwrap();
    assert!(matches!(import::read(&path).unwrap_err(), ImportError::Corrupt { .. }));
    let legacy = import::read(&util::fixture("golden/checkpoints/legacy.pth")).unwrap_err();
    assert!(matches!(legacy, ImportError::Legacy { .. }));
    let none = import::read(&util::fixture("golden/checkpoints/none.pth")).unwrap_err();
    assert!(none.to_string().contains("no dictionary of tensors"), "{none}");
    assert!(matches!(
        import::read(&folder.path().join("gone")).unwrap_err(),
        ImportError::Unreadable { .. }
    ));
}

/// EfficientNet-Lite1 in B1: `weights/lite1_to_b1_map.json` was made by hand
/// from the shapes and lists which tensor goes where.
#[test]
fn lite1_goes_where_its_map_says() {
    let Some(data) = util::real_data() else { return };
    let path = data.join("weights/efficientnet-lite1-imagenet.safetensors");
    let model = import::model(&ImportOptions { seed: 3, ..ImportOptions::new(&path) }).unwrap();
    assert_eq!(model.description.architectures[0], Architecture::efficientnet(1).unwrap());
    assert!(model.description.untrained);

    #[derive(Deserialize)]
    struct Row {
        b1: String,
        shape: Vec<usize>,
        lite1: Option<String>,
    }
    let map = std::fs::read_to_string(data.join("weights/lite1_to_b1_map.json")).unwrap();
    let map: Vec<Row> = serde_json::from_str(&map).unwrap();
    let lite = import::read(&path).unwrap();
    let classifier = |name: &str| name.starts_with("classifier");
    let learned: Vec<_> = parameters(&model.description.architectures[0], 4)
        .into_iter()
        .filter(|p| !p.name.contains("running_") && !classifier(&p.name))
        .collect();
    // The map lists B1's tensors in torchvision's order under other names.
    let rows: Vec<_> = map.iter().filter(|r| !classifier(&r.b1)).collect();
    assert_eq!(rows.len(), learned.len());
    let mut used = BTreeSet::new();
    for (row, Parameter { name, shape }) in rows.into_iter().zip(&learned) {
        assert_eq!(row.shape, *shape, "{} is {name}", row.b1);
        let ours = values(model.networks[0].get(name).unwrap());
        match &row.lite1 {
            Some(theirs) => {
                assert_eq!(ours, values(lite.tensors.get(theirs).unwrap()), "{name} from {theirs}");
                used.insert(theirs.clone());
                if let Some(norm) = theirs.strip_suffix(".weight").filter(|n| n.contains("_bn")) {
                    for statistic in ["running_mean", "running_var"] {
                        let name = name.replace("weight", statistic);
                        let theirs = lite.tensors.get(&format!("{norm}.{statistic}")).unwrap();
                        assert_eq!(values(model.networks[0].get(&name).unwrap()), values(theirs));
                    }
                }
            }
            None if name.ends_with("fc2.weight") => assert!(ours.iter().all(|v| *v == 0.0)),
            None if name.ends_with("fc2.bias") => assert!(ours.iter().all(|v| *v == 2.0)),
            // The last batch norm of the two extra blocks.
            None if name.ends_with("block.2.1.weight") || name.ends_with("block.3.1.weight") => {
                assert!(ours.iter().all(|v| *v == 0.0), "{name}");
            }
            None if name.ends_with("fc1.weight") || name.ends_with(".0.weight") => {
                assert!(ours.iter().any(|v| *v != 0.0), "{name} must be able to learn");
            }
            None => {}
        }
    }
    assert_eq!(used.len(), 192, "tensors that the data's notes count");
}

/// Narrow networks under the names that torchvision's published files have: GoogLeNet's
/// with its auxiliary classifiers, ViT's with the names of before its version 0.13.
#[test]
fn torchvision_s_weights_of_every_backbone_become_a_model() {
    let folder = tempfile::tempdir().unwrap();
    for backbone in Backbone::ALL.into_iter().skip(1) {
        let name = format!("{}-nano", backbone.name());
        let architecture = Architecture::named(&name).unwrap().for_images(64);
        let all = parameters(&architecture, 4);
        let older = |name: &str| {
            name.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2.")
        };
        let made = |p: &Parameter| (older(&p.name), seeded::tensor(p, 3, "").unwrap());
        let mut tensors: HashMap<String, Tensor> = all.iter().map(made).collect();
        if backbone == Backbone::Googlenet {
            let aux = Parameter { name: "aux1.fc2.bias".into(), shape: vec![1000] };
            tensors.insert(aux.name.clone(), seeded::tensor(&aux, 3, "").unwrap());
        }
        let path = folder.path().join(format!("{name}.safetensors"));
        save(&path, tensors.clone());
        let model = import::model(&ImportOptions::new(&path)).unwrap();
        let found = &model.description.architectures[0];
        assert_eq!(found, &architecture, "{name}");
        let side = if backbone == Backbone::VitB16 { 64 } else { 240 };
        assert_eq!(model.description.input.size, side, "{name}");
        for parameter in &all {
            let tensor = model.networks[0].get(&parameter.name).unwrap();
            let own = seeded::tensor(parameter, 3, "").unwrap();
            let difference = (tensor - own).unwrap().abs().unwrap().sum_all().unwrap();
            assert_eq!(difference.to_scalar::<f32>().unwrap(), 0.0, "{name}, {}", parameter.name);
        }
        // A head of four outputs fits the first network alone.
        assert!(model.description.untrained);

        // Nothing of a file is passed over, and nothing is made up.
        let spare = Parameter { name: "layer9.weight".into(), shape: vec![3] };
        let more = seeded::tensor(&spare, 3, "").unwrap();
        save(&path, tensors.clone().into_iter().chain([(spare.name, more)]).collect());
        let error = import::model(&ImportOptions::new(&path)).unwrap_err();
        assert!(matches!(error, ImportError::UnknownMember { .. }), "{name}: {error}");
        let last = all.iter().rev().find(|p| !architecture.is_classifier(&p.name)).unwrap();
        let asked =
            ImportOptions { architecture: Some(architecture.clone()), ..ImportOptions::new(&path) };
        tensors.remove(&older(&last.name));
        save(&path, tensors);
        let error = import::model(&asked).unwrap_err();
        assert!(matches!(error, ImportError::Weights { .. }), "{name}: {error}");
    }
}
