//! Trees of every shape that is named in the module, each routed by hand or by
//! properties; none but HIWL's is held by the program.

use super::route::softmax;
use super::*;
use crate::random::Stream;

const THREE_LEVELS: &str = r#"
    [[questions]]
    name = "kind"
    answers = [{ answer = "smooth" }, { answer = "disk" }]
    [[questions]]
    name = "edge-on"
    after = ["kind/disk"]
    answers = [{ answer = "yes" }, { answer = "no" }]
    [[questions]]
    name = "arms"
    after = ["edge-on/no"]
    answers = [{ answer = "spiral" }, { answer = "none" }]
    [[classes]]
    class = "SPIRAL"
    answer = "arms/spiral"
    [[classes]]
    class = "EDGE-ON"
    answer = "edge-on/yes"
    [[classes]]
    class = "SMOOTH"
    answer = "kind/smooth"
    [[classes]]
    class = "OTHER"
    answer = "arms/none"
"#;

/// Galaxy Zoo DECaLS (Walmsley et al. 2022, figure 4): 10 questions, 34 answers.
const DECALS: [(&str, &[&str], &[&str]); 10] = [
    ("smooth-or-featured", &[], &["smooth", "featured-or-disk", "artifact"]),
    ("how-rounded", &["smooth-or-featured/smooth"], &["round", "in-between", "cigar-shaped"]),
    ("disk-edge-on", &["smooth-or-featured/featured-or-disk"], &["yes", "no"]),
    ("edge-on-bulge", &["disk-edge-on/yes"], &["boxy", "none", "rounded"]),
    ("bar", &["disk-edge-on/no"], &["strong", "weak", "no"]),
    ("has-spiral-arms", &["disk-edge-on/no"], &["yes", "no"]),
    ("spiral-winding", &["has-spiral-arms/yes"], &["tight", "medium", "loose"]),
    (
        "spiral-arm-count",
        &["has-spiral-arms/yes"],
        &["1", "2", "3", "4", "more-than-4", "cant-tell"],
    ),
    ("bulge-size", &["disk-edge-on/no"], &["none", "small", "moderate", "large", "dominant"]),
    (
        "merging",
        &["smooth-or-featured/smooth", "smooth-or-featured/featured-or-disk"],
        &["none", "minor-disturbance", "major-disturbance", "merger"],
    ),
];

fn toml(text: &str) -> Result<Tree, String> {
    toml::from_str::<Tree>(text).map_err(|e| e.to_string())
}

fn declared(questions: &[(&str, &[&str], &[&str])], classes: &[(&str, &str)]) -> Declared {
    let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let questions = questions.iter().map(|(name, after, answers)| DeclaredQuestion {
        name: (*name).into(),
        after: owned(after),
        answers: owned(answers)
            .into_iter()
            .map(|answer| DeclaredAnswer { answer, title: String::new() })
            .collect(),
    });
    let classes = classes
        .iter()
        .map(|(class, answer)| DeclaredClass { class: (*class).into(), answer: (*answer).into() });
    Declared { name: String::new(), questions: questions.collect(), classes: classes.collect() }
}

fn decals() -> Tree {
    let classes = [
        ("round", "how-rounded/round"),
        ("in-between", "how-rounded/in-between"),
        ("cigar", "how-rounded/cigar-shaped"),
        ("edge-on", "disk-edge-on/yes"),
        ("spiral", "has-spiral-arms/yes"),
        ("disk", "has-spiral-arms/no"),
        ("artifact", "smooth-or-featured/artifact"),
    ];
    Tree::try_from(declared(&DECALS, &classes)).unwrap()
}

fn flat(answers: &[&str]) -> Tree {
    Tree::try_from(declared(&[("class", &[], answers)], &[])).unwrap()
}

/// A network a question, their outputs in the tree's order.
fn one_each(tree: Tree) -> Scheme {
    let outputs = |q: &Question| q.answers.clone().map(|a| tree.path(a)).collect::<Vec<_>>();
    let networks: Vec<_> = tree.questions().iter().map(|q| (q.name.clone(), outputs(q))).collect();
    Scheme::new(tree, networks).unwrap()
}

/// One network for all questions.
fn all_in_one(tree: Tree) -> Scheme {
    let outputs: Vec<String> = (0..tree.answers().len()).map(|a| tree.path(a)).collect();
    Scheme::new(tree, [("all", outputs)]).unwrap()
}

/// The answers of every head to logits, one for each output of all networks.
fn answered<'a>(scheme: &'a Scheme, logits: &'a [Vec<f32>]) -> Vec<Answered<'a>> {
    let networks = scheme.networks().iter().zip(logits);
    networks
        .flat_map(|(network, logits)| {
            let of = |head: &'a Head| Answered { head, logits: &logits[head.outputs.clone()] };
            network.heads.iter().map(of).collect::<Vec<_>>()
        })
        .collect()
}

fn random_logits(scheme: &Scheme, stream: &mut Stream) -> Vec<Vec<f32>> {
    let of = |n: &Network| (0..n.outputs()).map(|_| stream.uniform(-6.0, 6.0) as f32).collect();
    scheme.networks().iter().map(of).collect()
}

#[test]
fn the_built_in_trees_are_trees() {
    assert_eq!(hiwl().class_names(), ["CRS", "IBS", "CSS", "EO", "SPI"]);
    assert_eq!(hiwl().answers().len(), 6);
    assert!(Scheme::hiwl().is_hiwl());
    let text = toml::to_string(hiwl()).unwrap();
    assert_eq!(toml(&text).unwrap(), *hiwl());
    // The same hierarchy in other words and another order, and one that is not.
    let twin = declared(
        &[("a", &[], &["CSS+EO", "SPI", "CRS", "IBS"]), ("b", &["a/CSS+EO"], &["EO", "CSS"])],
        &[],
    );
    assert_eq!(like(&Tree::try_from(twin).unwrap()), Some(hiwl()));
    let other = declared(
        &[("a", &[], &["CSS+EO", "SPI", "CRS", "IBS"]), ("b", &["a/SPI"], &["EO", "CSS"])],
        &[],
    );
    assert_eq!(like(&Tree::try_from(other).unwrap()), None);
    let five = like(&flat(&["EO", "CRS", "SPI", "IBS", "CSS"])).unwrap();
    assert_eq!((five.name(), five.classes().len()), ("hiwl-flat", 5));
}

#[test]
fn classes_are_the_leaves_unless_declared() {
    let tree = toml(THREE_LEVELS).unwrap();
    assert_eq!(tree.class_names(), ["SPIRAL", "EDGE-ON", "SMOOTH", "OTHER"]);
    let leaves = toml(THREE_LEVELS.split("[[classes]]").next().unwrap()).unwrap();
    assert_eq!(leaves.class_names(), ["smooth", "yes", "spiral", "none"]);
    assert_eq!(tree.classes_below(tree.answer("kind/disk").unwrap()), [0, 1, 3]);
    // Ten questions fan out: their leaves are no classes.
    let fan = Tree::try_from(declared(&DECALS, &[])).unwrap();
    assert_eq!((fan.classes().len(), fan.answers().len()), (0, 34));
    let error = Scheme::new(fan, [("all", vec!["bar/no"])]).unwrap_err();
    assert!(error.contains("no classes"), "{error}");
    assert_eq!(decals().classes().len(), 7);
}

#[test]
fn what_is_no_tree_is_refused_with_its_reason() {
    let yes_no: &[&str] = &["yes", "no"];
    let below = ("b", &["a/yes"] as &[&str], yes_no);
    let (long, longer) = ("é".repeat(32_768), "x".repeat(2_000));
    let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let cases: [(Declared, &str); 15] = [
        (declared(&[(&long, &[], yes_no)], &[]), "a question has a name of 65536 bytes, \"éé"),
        (declared(&[("a", &[], &["yes", &longer])], &[]), "an answer has a name of 2000 bytes"),
        (
            declared(&[("a", &[], yes_no)], &[(&long, "a/yes"), ("N", "a/no")]),
            "a class has a name of 65536 bytes",
        ),
        (declared(&[("a", &[], &many)], &[]), "1 questions with 1001 answers: at most 200 and"),
        (declared(&[("a", &[], &["y\u{1b}es", "no"])], &[]), "cannot be called \"y\\u{1b}es\""),
        (declared(&[], &[]), "no questions"),
        (declared(&[("a/b", &[], yes_no)], &[]), "cannot be called"),
        (declared(&[("a", &[], yes_no), ("a", &[], yes_no)], &[]), "question a is there twice"),
        (declared(&[("a", &[], &["yes", "yes"])], &[]), "a/yes is there twice"),
        (declared(&[("a", &[], &[])], &[]), "no answers"),
        (declared(&[("b", &["a/yes"], yes_no), ("a", &[], yes_no)], &[]), "not above it"),
        (declared(&[("a", &[], yes_no)], &[("Y", "a/yes")]), "a/no ends on no class"),
        (
            declared(&[("a", &[], yes_no)], &[("Y", "a/yes"), ("Y", "a/no")]),
            "class Y is there twice",
        ),
        (
            declared(
                &[("a", &[], yes_no), below],
                &[("Y", "a/yes"), ("N", "a/no"), ("B", "b/yes"), ("C", "b/no")],
            ),
            "is a class, and so are answers to b below it",
        ),
        (
            declared(
                &[("a", &[], yes_no), below, ("c", &["a/yes"], yes_no)],
                &[("N", "a/no"), ("B", "b/yes"), ("BN", "b/no"), ("C", "c/yes"), ("CN", "c/no")],
            ),
            "leads to classes by b and by c",
        ),
    ];
    for (declared, phrase) in cases {
        let error = Tree::try_from(declared).unwrap_err();
        assert!(error.contains(phrase), "{error} has not {phrase}");
    }
}

#[test]
fn schemes_that_leave_a_question_open_are_refused() {
    let tree = || toml(THREE_LEVELS).unwrap();
    type Networks = Vec<(&'static str, Vec<&'static str>)>;
    let cases: [(Networks, &str); 7] = [
        (vec![("one", vec!["kind/smooth", "kind/disk"])], "no network answers edge-on"),
        (vec![("one", vec!["kind/smooth", "kind/round"])], "kind/round, which is no answer"),
        (vec![("one", vec!["kind/smooth"])], "no output for some answer to kind"),
        (vec![("one", vec!["kind/smooth", "kind/smooth"])], "two outputs for kind/smooth"),
        (vec![("one", vec!["edge-on/yes", "edge-on/no"])], "before it is known"),
        (
            vec![
                ("one", vec!["kind/smooth", "kind/disk"]),
                ("two", vec!["kind/smooth", "kind/disk"]),
            ],
            "answered twice",
        ),
        (vec![("a.b", vec!["kind/smooth", "kind/disk"])], "cannot be called"),
    ];
    for (networks, phrase) in cases {
        let error = Scheme::new(tree(), networks).unwrap_err();
        assert!(error.contains(phrase), "{error} has not {phrase}");
    }
}

#[test]
fn a_scheme_survives_its_file() {
    for scheme in [Scheme::hiwl(), all_in_one(decals()), one_each(toml(THREE_LEVELS).unwrap())] {
        let json = serde_json::to_string(&scheme).unwrap();
        assert_eq!(serde_json::from_str::<Scheme>(&json).unwrap(), scheme);
    }
}

/// The paper's routing by hand (section 4.1): arg-max of the first network, and
/// of the second where that is the combined class.
#[test]
fn hiwl_is_routed_as_the_paper_does() {
    let scheme = Scheme::hiwl();
    let (e, s) = (1f32.exp(), |z: &[f32]| softmax(z));
    let logits = [vec![0.0, 1.0, 0.0, 2.0], vec![0.0, 1.0]];
    let all = answered(&scheme, &logits);
    let found = route(scheme.tree(), &all);
    assert_eq!(scheme.tree().class_names()[found.class], "EO");
    let group = s(&logits[0])[3];
    assert_eq!(found.probabilities[3], Some(group));
    assert_eq!(found.probabilities[5], Some(s(&logits[1])[1] * group));
    assert_eq!(Some(found.confidence), found.probabilities[5]);
    assert!((group - e * e / (2.0 + e + e * e)).abs() < 1e-6);
    // Not the greatest probability: EO has 0.45, IBS 0.48 would be another way.
    let logits = [vec![-9.0, 1.0, -9.0, 1.1], vec![0.0, 0.1]];
    let found = route(scheme.tree(), &answered(&scheme, &logits));
    assert_eq!(scheme.tree().class_names()[found.class], "EO");
    assert!(found.probabilities[1].unwrap() > found.confidence);

    // Without the second network, what it tells is not known.
    let coarse = [vec![3.0, 1.0, 0.0, 2.0], vec![0.0; 2]];
    let first = &answered(&scheme, &coarse)[..1];
    let found = route(scheme.tree(), first);
    assert_eq!(scheme.tree().class_names()[found.class], "CRS");
    assert_eq!(found.probabilities[4..], [None, None]);
    let mut given = Given::none(scheme.tree());
    given.take(scheme.tree(), first[0]);
    assert!(scheme.wants(0, &given) && !scheme.wants(1, &given));
}

#[test]
fn probabilities_of_the_classes_sum_to_one_in_every_tree() {
    let mut stream = Stream::new("tree tests", 1, &[]);
    for scheme in [
        Scheme::hiwl(),
        all_in_one(Scheme::hiwl().tree().clone()),
        one_each(toml(THREE_LEVELS).unwrap()),
        all_in_one(toml(THREE_LEVELS).unwrap()),
        all_in_one(decals()),
        one_each(decals()),
        all_in_one(flat(&["a", "b", "c"])),
    ] {
        let tree = scheme.tree();
        for _ in 0..200 {
            let logits = random_logits(&scheme, &mut stream);
            let found = route(tree, &answered(&scheme, &logits));
            let p = |answer: usize| f64::from(found.probabilities[answer].unwrap());
            let sum: f64 = tree.classes().iter().map(|class| p(class.answer)).sum();
            assert!((sum - 1.0).abs() < 1e-5, "{sum}");
            for question in tree.questions() {
                let own: f64 = question.answers.clone().map(p).sum();
                let asked: f64 = question.after.iter().map(|&a| p(a)).sum();
                let asked = if question.after.is_empty() { 1.0 } else { asked };
                assert!((own - asked).abs() < 1e-5, "{}: {own} of {asked}", question.name);
            }
            assert_eq!(
                Some(found.confidence),
                found.probabilities[tree.classes()[found.class].answer]
            );
        }
    }
}

/// Running only what is asked gives the class, the confidence and every known
/// probability that running everything gives.
#[test]
fn what_is_not_asked_does_not_change_what_is() {
    let mut stream = Stream::new("tree tests", 2, &[]);
    for scheme in [Scheme::hiwl(), one_each(toml(THREE_LEVELS).unwrap()), one_each(decals())] {
        let tree = scheme.tree();
        let mut skipped = 0;
        for _ in 0..300 {
            let logits = random_logits(&scheme, &mut stream);
            let all = answered(&scheme, &logits);
            let mut given = Given::none(tree);
            let mut run = Vec::new();
            for (place, answered) in all.iter().enumerate() {
                if scheme.wants(place, &given) {
                    given.take(tree, *answered);
                    run.push(*answered);
                } else {
                    skipped += 1;
                }
            }
            let (few, many) = (route(tree, &run), route(tree, &all));
            assert_eq!((few.class, few.confidence), (many.class, many.confidence));
            for (few, many) in few.probabilities.iter().zip(&many.probabilities) {
                assert!(few.is_none() || few == many);
            }
        }
        assert!(skipped > 100, "{skipped}");
    }
}

#[test]
fn the_order_of_outputs_is_honoured() {
    let mut stream = Stream::new("tree tests", 3, &[]);
    let tree = toml(THREE_LEVELS).unwrap();
    let straight = all_in_one(tree.clone());
    let order =
        ["arms/none", "arms/spiral", "kind/disk", "kind/smooth", "edge-on/no", "edge-on/yes"];
    let turned = Scheme::new(tree.clone(), [("all", order.to_vec())]).unwrap();
    for _ in 0..50 {
        let logits = random_logits(&straight, &mut stream);
        let moved: Vec<f32> =
            order.iter().map(|path| logits[0][tree.answer(path).unwrap()]).collect();
        let (a, moved) = (route(&tree, &answered(&straight, &logits)), [moved]);
        let b = route(&tree, &answered(&turned, &moved));
        assert_eq!(a.class, b.class);
        for (a, b) in a.probabilities.iter().zip(&b.probabilities) {
            assert!((a.unwrap() - b.unwrap()).abs() < 1e-6);
        }
    }
    // Of equal logits the first output counts.
    let tie = [vec![0.0; 6]];
    assert_eq!(route(&tree, &answered(&straight, &tie)).class, tree.class("SMOOTH").unwrap());
    assert_eq!(route(&tree, &answered(&turned, &tie)).class, tree.class("OTHER").unwrap());
}

#[test]
fn calibration_divides_and_then_shifts() {
    let mut scheme = all_in_one(flat(&["a", "b"]));
    let logits = [vec![2.0, 0.0]];
    let calibration = Calibration {
        temperature: 2.0,
        offset: vec![0.0, 3.0],
        decision: vec![],
        concentrations: false,
    };
    assert!(calibration.reorders());
    scheme.calibrate("class", calibration).unwrap();
    let found = route(scheme.tree(), &answered(&scheme, &logits));
    assert_eq!(found.class, 1);
    assert_eq!(found.probabilities[0], Some(softmax(&[1.0, 3.0])[0]));
    for (temperature, offset, phrase) in [
        (0.0, vec![], "positive"),
        (1.0, vec![1.0], "1 offsets"),
        (1.0, vec![0.0, f32::NAN], "finite"),
    ] {
        let error = scheme
            .calibrate(
                "class",
                Calibration { temperature, offset, decision: vec![], concentrations: false },
            )
            .unwrap_err();
        assert!(error.contains(phrase), "{error}");
    }
    let none = Calibration {
        temperature: 1.0,
        offset: Vec::new(),
        decision: vec![],
        concentrations: false,
    };
    assert!(!none.reorders() && scheme.calibrate("klass", none).is_err());
}

#[test]
fn extreme_logits_stay_probabilities() {
    assert_eq!(softmax(&[1e30, -1e30]), [1.0, 0.0]);
    assert_eq!(softmax(&[-1e38, -1e38]), [0.5, 0.5]);
}

#[test]
fn columns_are_classes_then_inner_answers_then_later_networks() {
    let names = |scheme: &Scheme| -> Vec<String> {
        scheme.columns().unwrap().into_iter().map(|column| column.name).collect()
    };
    assert_eq!(
        names(&Scheme::hiwl()),
        ["p_crs", "p_ibs", "p_css", "p_eo", "p_spi", "p_css_eo", "stage2"]
    );
    let three = one_each(toml(THREE_LEVELS).unwrap());
    assert_eq!(
        names(&three),
        ["p_spiral", "p_yes", "p_smooth", "p_none", "p_disk", "p_no", "edge_on", "arms"]
    );
    let text = |name: &str| {
        let found = three.columns().unwrap().into_iter().find(|column| column.name == name);
        found.unwrap().description
    };
    assert_eq!(text("p_smooth"), "Probability of smooth (kind)");
    assert_eq!(
        text("p_spiral"),
        "Probability of spiral: p_no times arms's; null where arms was not run"
    );
    let ten = all_in_one(decals());
    let found = names(&ten);
    assert_eq!(found.len(), 34);
    for name in ["p_round", "p_disk_edge_on_yes", "p_has_spiral_arms_no", "p_more_than_4"] {
        assert!(found.iter().any(|n| n == name), "{name} of {found:?}");
    }
    let merger = ten.columns().unwrap().into_iter().find(|c| c.name == "p_merger").unwrap();
    assert_eq!(
        merger.description,
        "Probability of merger: (p_smooth + p_featured_or_disk) times its share of merging"
    );
    let error = all_in_one(flat(&["a b", "A-B", "c"])).columns().unwrap_err();
    assert!(error.contains("p_class_a_b"), "{error}");
}

#[test]
fn networks_are_spoken_of_as_people_do() {
    let spoken = |name: &str| Network { name: name.into(), heads: Vec::new() }.spoken();
    assert_eq!(spoken("stage2"), "stage 2");
    assert_eq!(spoken("fine"), "fine");
    assert_eq!(spoken("7"), "7");
}

/// Shares of concentrations: 1 + 100 σ(0) = 51 and 1 + 100 σ(ln 4) = 81.
#[test]
fn concentrations_give_expected_fractions() {
    let mut scheme = Scheme::hiwl();
    let calibration =
        Calibration { temperature: 1.0, offset: vec![], decision: vec![], concentrations: true };
    scheme.calibrate("css-or-eo", calibration).unwrap();
    let logits = [vec![0.0, 0.0, 0.0, 30.0], vec![0.0, 4f32.ln()]];
    let answered: Vec<Answered<'_>> =
        scheme.heads().zip(&logits).map(|(head, logits)| Answered { head, logits }).collect();
    let said = route(scheme.tree(), &answered);
    let eo = scheme.tree().answer("css-or-eo/EO").unwrap();
    let share = f64::from(said.probabilities[eo].unwrap());
    assert!((share - 81.0 / 132.0).abs() < 1e-5, "{share}");
}

#[test]
fn ways_part_where_the_answers_differ() {
    let tree = hiwl();
    let parting = |one: &str, other: &str| {
        let class = |name: &str| tree.class(name).unwrap();
        let found = tree.parting(class(one), class(other));
        found.map(|(one, other)| (tree.path(one), tree.path(other)))
    };
    let paths = |one: &str, other: &str| Some((one.to_owned(), other.to_owned()));
    assert_eq!(parting("SPI", "EO"), paths("shape/SPI", "shape/CSS+EO"));
    assert_eq!(parting("CSS", "CRS"), paths("shape/CSS+EO", "shape/CRS"));
    assert_eq!(parting("CSS", "EO"), paths("css-or-eo/CSS", "css-or-eo/EO"));
    assert_eq!(parting("EO", "EO"), None);
}
