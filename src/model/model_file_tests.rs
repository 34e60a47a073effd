//! Tests of the model file: round trips, and each way in which one is wrong.

use std::collections::HashMap;
use std::fs;

use candle_core::{Device, Tensor};
use safetensors::SafeTensors;

use super::*;
use crate::model::architecture::Padding;
use crate::model::backbone::Backbone;
use crate::model::description::Extras;
use crate::model::oddness::{About, DISTANCES};
use crate::tree::{Calibration, Tree, hiwl};

fn tiny() -> Architecture {
    Architecture {
        name: "efficientnet-tiny".into(),
        width: 0.1,
        depth: 0.1,
        dropout: 0.2,
        bn_eps: 1e-3,
        padding: Padding::Symmetric,
        backbone: Backbone::Efficientnet,
        image: None,
    }
}

/// A model in a temporary folder, and the folder that keeps it alive.
fn written(edit: impl FnOnce(&mut Model)) -> (tempfile::TempDir, PathBuf, Model) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let mut model = Model::seeded(tiny(), 64, 1).unwrap();
    edit(&mut model);
    model.write(&path, StoredPrecision::F32).unwrap();
    (folder, path, model)
}

/// Writes tensors and a description as they are, unchecked.
fn raw(path: &Path, tensors: Vec<(String, Tensor)>, text: Option<String>) {
    let metadata = text.map(|t| HashMap::from([(KEY.to_owned(), t)]));
    fs::write(path, safetensors::serialize(tensors, metadata).unwrap()).unwrap();
}

/// Reads a model of the good tensors after `edit` of them and of the JSON.
fn read_edited(
    edit: impl FnOnce(&mut HashMap<String, Tensor>, &mut serde_json::Value),
) -> Result<Model, ModelError> {
    let (_folder, path, model) = written(|_| {});
    let mut tensors: HashMap<String, Tensor> = model
        .description
        .scheme
        .networks()
        .iter()
        .zip(&model.networks)
        .flat_map(|(network, weights)| {
            weights.iter().map(move |(n, t)| (format!("{}.{n}", network.name), t.clone()))
        })
        .collect();
    let mut json = serde_json::to_value(&model.description).unwrap();
    edit(&mut tensors, &mut json);
    raw(&path, tensors.into_iter().collect(), Some(json.to_string()));
    Model::read(&path)
}

fn values(weights: &Weights) -> Vec<(String, Vec<f32>)> {
    weights
        .iter()
        .map(|(n, t)| (n.to_owned(), t.flatten_all().unwrap().to_vec1().unwrap()))
        .collect()
}

#[test]
fn a_model_survives_the_round_trip_and_bytes_are_deterministic() {
    let (folder, path, model) = written(|model| {
        let straight = Scheme::hiwl();
        let turned = straight.networks().iter().map(|network| {
            let paths = network.paths(hiwl()).into_iter().rev().collect::<Vec<_>>();
            (network.name.clone(), paths)
        });
        model.description.scheme = Scheme::new(hiwl().clone(), turned.collect::<Vec<_>>()).unwrap();
        model.description.untrained = false;
        model.description.provenance = Provenance {
            program: Some("hiwl 0.1.0".into()),
            metrics: [("validation.accuracy".into(), 0.9722)].into(),
            other: [("note".into(), "π".into())].into(),
            ..Provenance::default()
        };
    });
    let read = Model::read(&path).unwrap();
    assert_eq!(read.description, model.description);
    assert_eq!(read.description.format(), 1);
    assert_eq!(read.description.scheme.networks()[0].heads[0].answers, [3, 2, 1, 0]);
    for (read, model) in read.networks.iter().zip(&model.networks) {
        assert_eq!(values(read), values(model));
    }

    let again = folder.path().join("again");
    let digest = read.write(&again, StoredPrecision::F32).unwrap();
    assert_eq!(fs::read(&path).unwrap(), fs::read(&again).unwrap());
    assert_eq!(read.digest.as_deref(), Some(digest.as_str()));
    assert_eq!(digest.len(), 64);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
}

#[test]
fn half_precision_halves_matrices_and_keeps_vectors() {
    let (folder, full, model) = written(|_| {});
    let half = folder.path().join("half");
    model.write(&half, StoredPrecision::F16).unwrap();
    let size = |p: &Path| fs::metadata(p).unwrap().len();
    assert!(size(&half) < size(&full) * 7 / 10);
    let read = Model::read(&half).unwrap();
    for ((name, exact), (_, rounded)) in
        values(&model.networks[0]).into_iter().zip(values(&read.networks[0]))
    {
        if model.networks[0].get(&name).unwrap().rank() == 1 {
            assert_eq!(exact, rounded, "{name}");
        }
        for (a, b) in exact.iter().zip(rounded) {
            assert!((a - b).abs() <= a.abs() / 1024.0 + 1e-6, "{name}: {a} became {b}");
        }
    }
    // What overflows half precision is refused, not written as infinity.
    let mut big = model;
    let name = "classifier.1.weight";
    let huge = (big.networks[0].get(name).unwrap() * 1e7).unwrap();
    big.networks[0].insert(name, huge);
    let error = big.write(&half, StoredPrecision::F16).unwrap_err();
    assert!(matches!(
        error,
        ModelError::Weights { network, source: WeightsError::NotFinite { .. }, .. }
            if network == "stage 1"
    ));
    assert!(big.write(&half, StoredPrecision::F32).is_ok());
}

#[test]
fn files_that_are_no_models_are_named_by_what_is_wrong() {
    let (folder, path, _) = written(|_| {});
    let bytes = fs::read(&path).unwrap();
    let other = folder.path().join("other");
    let read = |bytes: &[u8]| {
        fs::write(&other, bytes).unwrap();
        Model::read(&other).unwrap_err()
    };
    assert!(matches!(
        Model::read(&folder.path().join("gone")).unwrap_err(),
        ModelError::Unreadable { .. }
    ));
    assert!(matches!(Model::read(folder.path()).unwrap_err(), ModelError::Unreadable { .. }));
    for cut in [0, 5, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        assert!(matches!(read(&bytes[..cut]), ModelError::Corrupt { .. }), "cut at {cut}");
    }
    assert!(matches!(read(b"\xff\xd8\xff\xe0 a JPEG, say"), ModelError::Corrupt { .. }));
    raw(&other, vec![], None);
    assert!(matches!(Model::read(&other).unwrap_err(), ModelError::NotAModel { .. }));
    let message = read(&bytes[..100]).to_string();
    assert!(message.contains("other") && message.contains("cut short"), "{message}");
}

#[test]
fn descriptions_that_make_no_sense_are_refused() {
    let newer = read_edited(|_, json| {
        json["format"] = 4.into();
        json["something"] = "new".into();
    });
    assert!(matches!(newer.unwrap_err(), ModelError::Newer { found: 4, .. }));

    let unknown = read_edited(|_, json| json["input"]["gamma"] = 2.into());
    assert!(matches!(unknown.unwrap_err(), ModelError::Description { .. }));
    let missing = read_edited(|_, json| json["input"]["mean"] = serde_json::Value::Null);
    assert!(matches!(missing.unwrap_err(), ModelError::Description { .. }));
    let beyond = read_edited(|_, json| json["input"]["mean"][0] = 1e300.into()).unwrap_err();
    assert!(matches!(beyond, ModelError::Description { .. }), "{beyond}");
    assert!(beyond.to_string().contains("out of range"), "{beyond}");

    for (pointer, value) in [
        ("/architecture/width", 1e9.into()),
        ("/architecture/depth", 1e12.into()),
        ("/architecture/bn_eps", 0.0.into()),
        ("/input/size", 0.into()),
        ("/input/std/1", 0.0.into()),
        ("/outputs/stage2/1", serde_json::Value::from("CSS")),
    ] {
        let result = read_edited(|_, json| *json.pointer_mut(pointer).unwrap() = value);
        let error = result.unwrap_err();
        assert!(matches!(error, ModelError::Invalid { .. }), "{pointer}: {error}");
    }
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let error =
        |edit: &dyn Fn(&mut HashMap<String, Tensor>, &mut serde_json::Value)| match read_edited(
            |t, j| edit(t, j),
        )
        .unwrap_err()
        {
            ModelError::Weights { network, source, .. } => (network, source),
            other => panic!("{other}"),
        };
    let bias = "stage2.classifier.1.bias";
    let vector = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();

    assert!(
        matches!(error(&|t, _| drop(t.remove(bias))), (n, WeightsError::Missing { .. }) if n == "stage 2")
    );
    assert!(matches!(
        error(&|t, _| drop(t.insert(bias.into(), vector(&[0.0; 3])))),
        (n, WeightsError::Shape { .. }) if n == "stage 2"
    ));
    assert!(matches!(
        error(&|t, _| drop(t.insert(bias.into(), vector(&[0.0, f32::NAN])))),
        (n, WeightsError::NotFinite { count: 1, .. }) if n == "stage 2"
    ));
    assert!(matches!(
        error(&|t, _| {
            let integers = Tensor::new(&[1i64, 2], &Device::Cpu).unwrap();
            t.insert(bias.into(), integers);
        }),
        (n, WeightsError::Tensor { .. }) if n == "stage 2"
    ));
    // A deeper network holds every tensor of a shallower one of its width.
    assert!(matches!(
        error(&|t, _| drop(
            t.insert("stage1.features.2.1.block.0.0.weight".into(), vector(&[1.0]))
        )),
        (n, WeightsError::Unexpected { .. }) if n == "stage 1"
    ));
    assert!(matches!(
        error(&|_, json| json["architecture"]["width"] = 1.0.into()),
        (n, WeightsError::Shape { .. }) if n == "stage 1"
    ));
    // PyTorch's counter is no weight.
    let counted = read_edited(|t, _| {
        let counter = Tensor::new(7i64, &Device::Cpu).unwrap();
        t.insert("stage1.features.0.1.num_batches_tracked".into(), counter);
    });
    assert!(counted.is_ok());
}

#[test]
fn a_model_that_cannot_be_written_leaves_nothing() {
    let (folder, _, model) = written(|_| {});
    let inside = folder.path().join("no/such/folder/m");
    assert!(matches!(
        model.write(&inside, StoredPrecision::F32).unwrap_err(),
        ModelError::Unwritable { .. }
    ));
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).unwrap();
    assert!(model.write(&taken, StoredPrecision::F32).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

/// Three flat classes and a three-level tree, one network or a network a
/// question, each with its own architecture: format 2.
#[test]
fn any_tree_and_any_number_of_networks_survive_the_round_trip() {
    let tree: Tree = toml::from_str(
        r#"questions = [
            { name = "kind", answers = [{ answer = "smooth" }, { answer = "disk", title = "a disk" }] },
            { name = "arms", after = ["kind/disk"], answers = [{ answer = "yes" }, { answer = "no" }] },
        ]"#,
    )
    .unwrap();
    let (kind, arms) = (["kind/disk", "kind/smooth"], ["arms/yes", "arms/no"]);
    let wide = Architecture { name: "wide".into(), width: 0.2, ..tiny() };
    let cases = [
        (vec![("coarse", kind.to_vec()), ("fine", arms.to_vec())], vec![tiny(), wide]),
        (vec![("all", [arms, kind].concat())], vec![tiny()]),
    ];
    for (networks, architectures) in cases {
        let mut scheme = Scheme::new(tree.clone(), networks).unwrap();
        let calibration = Calibration {
            temperature: 1.5,
            offset: vec![0.25, 0.0],
            decision: vec![],
            concentrations: false,
        };
        scheme.calibrate("arms", calibration).unwrap();
        let weights = scheme.networks().iter().zip(&architectures).map(|(network, own)| {
            seeded::weights(own, network.outputs(), 3, &format!("{}.", network.name)).unwrap()
        });
        let weights = weights.collect();
        let extras = Extras { training_scale: Some(0.02), ..Extras::default() };
        let description =
            Description { extras, ..Description::new(scheme, architectures, Input::paper(64)) };
        let model = Model::new(description, weights);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let digest = model.write(&path, StoredPrecision::F32).unwrap();
        let read = Model::read(&path).unwrap();
        assert_eq!((read.description.format(), read.digest.as_deref()), (2, Some(&*digest)));
        assert_eq!(read.description, model.description);
        for (read, model) in read.networks.iter().zip(&model.networks) {
            assert_eq!(values(read), values(model));
        }
    }
}

/// HIWL in format 2, as soon as it has something that format 1 cannot say.
#[test]
fn what_format_1_can_say_is_written_in_it() {
    let (_folder, path, model) = written(|_| {});
    let text = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let text = header.metadata().as_ref().unwrap()[KEY].clone();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let json = text(&path);
    assert_eq!(json["format"], 1);
    assert_eq!(json["outputs"]["stage1"], serde_json::json!(["CRS", "IBS", "SPI", "CSS+EO"]));
    let mut model = model;
    model.description.extras.training_scale = Some(0.02);
    model.write(&path, StoredPrecision::F32).unwrap();
    let json = text(&path);
    assert_eq!((&json["format"], &json["training_scale"]), (&2.into(), &0.02.into()));
    assert_eq!(
        json["networks"][1]["outputs"],
        serde_json::json!(["css-or-eo/CSS", "css-or-eo/EO"])
    );
    assert!(Model::read(&path).unwrap().description.scheme.is_hiwl());
    for (field, value, phrase) in [
        ("training_scale", serde_json::json!(-1.0), "training_scale"),
        ("calibration", serde_json::json!({ "shape": { "temperature": 0.0 } }), "temperature"),
        ("calibration", serde_json::json!({ "size": { "temperature": 1.0 } }), "no question size"),
    ] {
        let result = read_edited(|_, json| {
            *json =
                serde_json::from_str(&serde_json::to_string(&model.description).unwrap()).unwrap();
            json[field] = value;
        });
        let error = result.unwrap_err();
        assert!(matches!(error, ModelError::Invalid { .. }), "{error}");
        assert!(error.to_string().contains(phrase), "{error}");
    }
}

/// What would tell odd pictures by a model's first network.
fn oddness(model: &Model) -> Oddness {
    let features = model.description.architectures[0].layers().features;
    let about =
        About { network: "stage1".into(), features, components: 2, fitted: 300, held_out: 200 };
    let value = |k: usize| (k % 7) as f32 - 3.0;
    Oddness {
        about,
        mean: (0..features).map(value).collect(),
        directions: (0..2 * features).map(value).collect(),
        variances: vec![3.0, 2.0, 0.5],
        distances: (0..DISTANCES).map(|k| k as f32 * 0.25).collect(),
    }
}

#[test]
fn an_oddness_stands_beside_the_weights_in_a_format_of_its_own() {
    let (folder, path, mut model) = written(|_| {});
    let without = fs::read(&path).unwrap();
    model.set_oddness(Some(oddness(&model)));
    assert!(model.description.scheme.tells_oddness());
    model.write(&path, StoredPrecision::F16).unwrap();
    let read = Model::read(&path).unwrap();
    // In full precision, whatever the networks' is.
    assert_eq!(read.oddness, model.oddness);
    assert_eq!((read.description.format(), &read.description), (3, &model.description));
    assert_eq!(Description::read(&path).unwrap(), model.description);
    for (read, model) in read.networks.iter().zip(&model.networks) {
        assert_eq!(read.iter().count(), model.iter().count());
    }
    // Without it the file is what it was.
    let plain = folder.path().join("plain");
    model.set_oddness(None);
    model.write(&plain, StoredPrecision::F32).unwrap();
    assert_eq!(fs::read(&plain).unwrap(), without);
    assert!(!Model::read(&plain).unwrap().description.scheme.tells_oddness());
}

type Edit = Box<dyn Fn(&mut HashMap<String, Tensor>, &mut serde_json::Value)>;

fn edit(how: impl Fn(&mut HashMap<String, Tensor>, &mut serde_json::Value) + 'static) -> Edit {
    Box::new(how)
}

#[test]
fn an_oddness_that_makes_no_sense_is_refused() {
    let (.., mut model) = written(|_| {});
    model.set_oddness(Some(oddness(&model)));
    let description = serde_json::to_value(&model.description).unwrap();
    let tensors = model.oddness.as_ref().unwrap().tensors().unwrap();
    let with = |edit: &Edit| {
        read_edited(|all, json| {
            *json = description.clone();
            all.extend(tensors.iter().map(|(n, t)| (format!("@oddness.{n}"), t.clone())));
            edit(all, json);
        })
    };
    assert!(with(&edit(|_, _| {})).is_ok());
    let put = |name: &'static str, values: Vec<f32>| {
        edit(move |all, _| {
            let tensor = Tensor::from_slice(&values, values.len(), &Device::Cpu).unwrap();
            all.insert(format!("@oddness.{name}"), tensor);
        })
    };
    let falling = (0..DISTANCES).rev().map(|k| k as f32).collect();
    for (words, edit) in [
        ("`mean` is missing", edit(|all, _| drop(all.remove("@oddness.mean")))),
        ("`variances` holds values", put("variances", vec![0.0; 3])),
        ("`distances` holds values", put("distances", falling)),
        ("`directions` has shape", put("directions", vec![0.0; 1])),
        ("`more` is not needed", put("more", vec![0.0; 1])),
        ("of the first network", edit(|_, json| json["oddness"]["features"] = 9.into())),
        ("of the first network", edit(|_, json| json["oddness"]["network"] = "b".into())),
        ("more components", edit(|_, json| json["oddness"]["components"] = 1_000_000.into())),
        ("oddness is missing", edit(|_, json| json["oddness"] = serde_json::Value::Null)),
        (
            "`mean` is not needed",
            edit(|all, json| {
                all.retain(|name, _| !name.starts_with('@') || name.ends_with("mean"));
                json["format"] = 2.into();
            }),
        ),
    ] {
        let error = with(&edit).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}
