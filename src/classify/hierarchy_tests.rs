//! Networks that only read bytes: which images they see, and that what they
//! say lands in the right place.

use std::sync::Mutex;

use super::*;
use crate::model::oddness::About;
use crate::tree::Tree;

type Seen = &'static Mutex<Vec<u8>>;

/// Logits are the image's bytes minus 100, from `offset` on; 255 stands for
/// NaN. Notes which images it saw.
struct Bytes {
    offset: usize,
    outputs: usize,
    seen: Seen,
}

impl Infer for Bytes {
    fn outputs(&self) -> usize {
        self.outputs
    }

    fn features(&self) -> usize {
        0
    }

    fn map_side(&self) -> usize {
        0
    }

    fn run(&self, images: &[&[u8]], want: Want, to: &mut Tensors) -> Result<(), InferenceError> {
        to.resize(self, images.len(), want);
        for (image, row) in images.iter().zip(to.logits.chunks_mut(self.outputs)) {
            self.seen.lock().unwrap().push(image[0]);
            for (out, &byte) in row.iter_mut().zip(&image[1 + self.offset..]) {
                *out = if byte == 255 { f32::NAN } else { f32::from(byte) - 100.0 };
            }
        }
        Ok(())
    }
}

/// The scheme's networks, each reading the bytes behind those of the one
/// before, and what each saw.
fn networks(scheme: &Scheme) -> (Vec<Box<dyn Infer>>, Vec<Seen>) {
    let mut offset = 0;
    let made = scheme.networks().iter().map(|network| {
        let seen: Seen = Box::leak(Box::default());
        let bytes = Bytes { offset, outputs: network.outputs(), seen };
        offset += network.outputs();
        (Box::new(bytes) as Box<dyn Infer>, seen)
    });
    made.unzip()
}

fn hierarchy(scheme: Scheme) -> (Hierarchy, Vec<Seen>) {
    let (made, seen) = networks(&scheme);
    (Hierarchy::new(made, Arc::new(scheme)).unwrap(), seen)
}

/// Number of the image, four logits, two logits.
const IMAGES: [&[u8]; 5] = [
    &[0, 101, 100, 100, 100, 100, 105],
    &[1, 100, 100, 100, 103, 102, 100],
    &[2, 100, 255, 100, 100, 100, 100],
    &[3, 0, 0, 0, 200, 100, 255],
    &[4, 90, 100, 100, 100, 100, 100],
];

/// Label, confidence, and the probability of an answer.
fn found(scheme: &Scheme, prediction: &Prediction, path: &str) -> (String, f32, Option<f32>) {
    let tree = scheme.tree();
    let probability = prediction.probabilities[tree.answer(path).unwrap()];
    (tree.classes()[prediction.class].name.clone(), prediction.confidence, probability)
}

#[test]
fn only_what_is_asked_is_run_and_a_bad_output_rejects_its_image_alone() {
    let (hierarchy, seen) = hierarchy(Scheme::hiwl());
    let scheme = Scheme::hiwl();
    let rows = hierarchy.classify(&IMAGES, Stage2::Routed).unwrap();
    assert_eq!(*seen[0].lock().unwrap(), [0, 1, 2, 3, 4]);
    assert_eq!(*seen[1].lock().unwrap(), [1, 3]);

    let e = 1f32.exp();
    let (label, confidence, p_css) = found(&scheme, rows[0].as_ref().unwrap(), "css-or-eo/CSS");
    assert_eq!((label.as_str(), p_css), ("CRS", None));
    assert!((confidence - e / (e + 3.0)).abs() < 1e-6);

    let second = rows[1].as_ref().unwrap();
    let (label, confidence, p_css) = found(&scheme, second, "css-or-eo/CSS");
    let (.., p_eo) = found(&scheme, second, "css-or-eo/EO");
    assert_eq!((label.as_str(), Some(confidence)), ("CSS", p_css));
    assert!((p_css.unwrap() / p_eo.unwrap() - 2f32.exp()).abs() < 1e-4);

    assert_eq!(rows[2].as_ref().unwrap_err().reason, Reason::NotFinite);
    assert!(rows[2].as_ref().unwrap_err().detail.contains("stage 1"));
    assert!(rows[3].as_ref().unwrap_err().detail.contains("stage 2"));
    let tie = found(&scheme, rows[4].as_ref().unwrap(), "shape/IBS");
    assert_eq!(tie.0, "IBS", "a tie goes to the first");
}

#[test]
fn all_runs_later_networks_on_every_finite_row_and_labels_stay_the_routing_s() {
    let (hierarchy, seen) = hierarchy(Scheme::hiwl());
    let scheme = Scheme::hiwl();
    let rows = hierarchy.classify(&IMAGES, Stage2::All).unwrap();
    assert_eq!(*seen[1].lock().unwrap(), [0, 1, 3, 4]);
    let first = rows[0].as_ref().unwrap();
    let (label, _, p_css) = found(&scheme, first, "css-or-eo/CSS");
    let (.., p_eo) = found(&scheme, first, "css-or-eo/EO");
    assert_eq!(label, "CRS");
    assert!((p_eo.unwrap() / p_css.unwrap() - 5f32.exp()).abs() < 1e-2);
}

fn three_levels() -> Tree {
    let text = r#"
        questions = [
            { name = "a", answers = [{ answer = "x" }, { answer = "more" }] },
            { name = "b", after = ["a/more"], answers = [{ answer = "y" }, { answer = "rest" }] },
            { name = "c", after = ["b/rest"], answers = [{ answer = "z" }, { answer = "w" }] },
        ]
    "#;
    toml::from_str(text).unwrap()
}

#[test]
fn three_networks_each_see_what_the_one_before_leaves() {
    let outputs = |q: &str, a: [&str; 2]| a.map(|a| format!("{q}/{a}")).to_vec();
    let (a, b, c) =
        (outputs("a", ["x", "more"]), outputs("b", ["y", "rest"]), outputs("c", ["z", "w"]));
    let scheme =
        Scheme::new(three_levels(), [("one", a.clone()), ("two", b.clone()), ("three", c.clone())])
            .unwrap();
    assert_eq!(scheme.cascade(), None);
    let images: [&[u8]; 4] = [
        &[0, 105, 100, 100, 100, 100, 100],
        &[1, 100, 105, 105, 100, 100, 100],
        &[2, 100, 105, 100, 105, 100, 105],
        &[3, 100, 105, 100, 105, 255, 105],
    ];
    let (hierarchy, seen) = hierarchy(scheme.clone());
    let rows = hierarchy.classify(&images, Stage2::Routed).unwrap();
    let seen: Vec<Vec<u8>> = seen.iter().map(|seen| seen.lock().unwrap().clone()).collect();
    assert_eq!(seen, [vec![0, 1, 2, 3], vec![1, 2, 3], vec![2, 3]]);
    let labels: Vec<String> =
        rows[..3].iter().map(|row| found(&scheme, row.as_ref().unwrap(), "a/x").0).collect();
    assert_eq!(labels, ["x", "y", "w"]);
    assert!(rows[3].as_ref().unwrap_err().detail.contains("stage 3"));

    // The same questions of one network: the same answers.
    let single = Scheme::new(three_levels(), [("all", [a, b, c].concat())]).unwrap();
    let (made, _) = networks(&single);
    let one = Hierarchy::new(made, Arc::new(single)).unwrap();
    let whole = one.classify(&images, Stage2::Routed).unwrap();
    for (apart, whole) in rows[..3].iter().zip(&whole) {
        let (apart, whole) = (apart.as_ref().unwrap(), whole.as_ref().unwrap());
        assert_eq!((apart.class, apart.confidence), (whole.class, whole.confidence));
    }
    assert!(whole[3].as_ref().unwrap_err().detail.contains("stage 1"));
}

/// Runs two networks as one, all rows through both.
struct Joined(Vec<Box<dyn Infer>>, Stage2);

impl InferPair for Joined {
    fn outputs(&self) -> [usize; 2] {
        [self.0[0].outputs(), self.0[1].outputs()]
    }

    fn features(&self) -> usize {
        self.0[0].features()
    }

    fn lanes(&self) -> usize {
        3
    }

    fn sees_all(&self) -> bool {
        self.1 == Stage2::All
    }

    fn run(&self, images: &[&[u8]], want: Want) -> Result<PairTensors, InferenceError> {
        let mut found = [Tensors::default(), Tensors::default()];
        self.0[0].run(images, want, &mut found[0])?;
        self.0[1].run(images, Want::LOGITS, &mut found[1])?;
        let features = std::mem::take(&mut found[0].features);
        Ok(PairTensors { logits: found.map(|found| found.logits), features })
    }
}

#[test]
fn networks_run_as_one_say_the_same() {
    assert_eq!(Scheme::hiwl().cascade(), Some(3));
    for stage2 in [Stage2::Routed, Stage2::All] {
        let (apart, _) = hierarchy(Scheme::hiwl());
        let (made, _) = networks(&Scheme::hiwl());
        let pair = Box::new(Joined(made, stage2));
        let together = Hierarchy::together(pair, Arc::new(Scheme::hiwl())).unwrap();
        assert_eq!((apart.lanes(), together.lanes()), (1, 3));
        let expected = apart.classify(&IMAGES, stage2).unwrap();
        assert_eq!(together.classify(&IMAGES, stage2).unwrap(), expected);
    }
}

#[test]
fn networks_with_other_outputs_are_refused() {
    let (mut made, _) = networks(&Scheme::hiwl());
    made.swap(0, 1);
    let error = Hierarchy::new(made, Arc::new(Scheme::hiwl())).err().unwrap();
    assert!(matches!(error, InferenceError::Classes { stage: 1, expected: 4, found: 2 }));
}

/// Networks whose features are two bytes of the image.
struct WithFeatures(Bytes);

impl Infer for WithFeatures {
    fn outputs(&self) -> usize {
        self.0.outputs
    }

    fn features(&self) -> usize {
        2
    }

    fn map_side(&self) -> usize {
        1
    }

    fn run(&self, images: &[&[u8]], want: Want, to: &mut Tensors) -> Result<(), InferenceError> {
        self.0.run(images, Want::LOGITS, to)?;
        let of = |image: &&[u8]| [f32::from(image[0]), f32::from(image[1])];
        to.features =
            if want.has(Want::FEATURES) { images.iter().flat_map(of).collect() } else { vec![] };
        Ok(())
    }
}

#[test]
fn rows_say_how_odd_they_are_in_one_run_of_the_first_network() {
    let scheme = Arc::new(Scheme::hiwl().with_oddness(true));
    let (apart, seen) = networks(&scheme);
    drop(apart);
    let bytes = |place: usize, outputs, offset| {
        Box::new(WithFeatures(Bytes { offset, outputs, seen: seen[place] })) as Box<dyn Infer>
    };
    let made = || vec![bytes(0, 4, 0), bytes(1, 2, 4)];
    let about = |features| About {
        network: "stage1".into(),
        features,
        components: 1,
        fitted: 9,
        held_out: 9,
    };
    // Distances are those of the first byte from 0; 1 % are one.
    let oddness = Oddness {
        about: about(2),
        mean: vec![0.0, 100.0],
        directions: vec![1.0, 0.0],
        variances: vec![1.0, 1e9],
        distances: (0..=100).map(|percent| percent as f32).collect(),
    };
    let wrong = Oddness { about: about(3), ..oddness.clone() };
    let hierarchy = Hierarchy::new(made(), Arc::clone(&scheme)).unwrap();
    let error = hierarchy.telling(Some(Arc::new(wrong))).err().unwrap();
    assert!(error.to_string().contains("2 features"), "{error}");

    for stage2 in [Stage2::Routed, Stage2::All] {
        let apart = Hierarchy::new(made(), Arc::clone(&scheme)).unwrap();
        let pair = Box::new(Joined(made(), stage2));
        let together = Hierarchy::together(pair, Arc::clone(&scheme)).unwrap();
        for hierarchy in [apart, together] {
            let told = hierarchy.telling(Some(Arc::new(oddness.clone()))).unwrap();
            seen[0].lock().unwrap().clear();
            let rows = told.classify(&IMAGES, stage2).unwrap();
            assert_eq!(*seen[0].lock().unwrap(), [0, 1, 2, 3, 4], "once each");
            for (image, row) in IMAGES.iter().zip(&rows) {
                let Ok(row) = row else { continue };
                let percent = row.oddness.unwrap();
                assert!((percent - f32::from(image[0])).abs() < 0.01, "{percent} {image:?}");
            }
            assert_eq!(rows.iter().filter(|row| row.is_ok()).count(), 3);
        }
    }
}
