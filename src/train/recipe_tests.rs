use super::*;

fn recipe(name: &str) -> Recipe {
    Recipe::read(Path::new(name)).unwrap()
}

#[test]
fn every_built_in_recipe_is_one() {
    for name in Recipe::built_in() {
        let recipe = recipe(name);
        assert_eq!(recipe.name, name);
        let pair = name == "train-pair";
        let classes: &[&str] =
            if pair { &["CSS", "EO"] } else { &["CRS", "IBS", "CSS", "EO", "SPI"] };
        assert_eq!(recipe.classes, classes);
        assert_eq!(recipe.input.crop, 240);
        // It is kept in checkpoints and model files.
        let json = serde_json::to_string(&recipe).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe);
    }
}

#[test]
fn the_papers_recipe_is_the_papers() {
    let hiwl = recipe("train-hiwl");
    assert_eq!(hiwl.augmentation, Augmentation::paper());
    assert!(hiwl.scheme().unwrap().is_hiwl());
    let [first, second] = &hiwl.models[..] else { panic!("two models") };
    assert_eq!(first.output_names(), ["CRS", "IBS", "SPI", "CSS+EO"]);
    assert_eq!(second.output_names(), ["CSS", "EO"]);
    assert_eq!((first.sampling, second.sampling), (Sampling::Shuffle, Sampling::Weighted));
    assert_eq!((first.output_of("EO"), second.output_of("EO")), (Some(3), Some(1)));
    assert_eq!((first.output_of("SPI"), second.output_of("SPI")), (Some(2), None));
    let training = hiwl.training(second);
    assert_eq!((training.batch, training.smoothing, training.keep), (24, 0.05, 3));
    assert_eq!((training.patience, training.schedule.epochs, training.epochs()), (25, 150, 1000));
    let Optimiser::Sgd { learning_rate, momentum, nesterov, weight_decay, .. } = training.optimiser
    else {
        panic!("SGD")
    };
    assert_eq!((learning_rate, momentum, nesterov, weight_decay), (0.005, 0.9, false, 1e-4));
}

/// An ablation differs from the paper's recipe in what it ablates.
#[test]
fn ablations_ablate_one_thing() {
    let hiwl = recipe("train-hiwl");
    let named = |other: &Recipe| Recipe {
        name: other.name.clone(),
        title: other.title.clone(),
        ..hiwl.clone()
    };
    let hmws = recipe("train-hmws");
    let mut expected = named(&hmws);
    expected.training.smoothing = 0.0;
    assert_eq!(hmws, expected);

    let slwslm = recipe("train-slwslm");
    let expected = Recipe { models: slwslm.models.clone(), ..named(&slwslm) };
    assert_eq!(slwslm, expected);
    assert_eq!(slwslm.scheme().unwrap().tree().name(), "hiwl-flat");
    assert_eq!(slwslm.models[0].sampling, Sampling::Weighted);

    let plain = recipe("train-plain");
    let mut expected = Recipe { models: slwslm.models.clone(), ..named(&plain) };
    expected.models[0].sampling = Sampling::Shuffle;
    expected.training.smoothing = 0.0;
    assert_eq!(plain, expected);
}

#[test]
fn phases_follow_one_another() {
    let best = recipe("train-best");
    let training = &best.training;
    let size = |epoch| training.phase(epoch).map(|(place, phase)| (place, phase.size));
    assert_eq!(training.epochs(), training.schedule.epochs);
    assert_eq!(size(0), Some((0, 128)));
    assert_eq!(size(training.phases[0].epochs - 1), Some((0, 128)));
    assert_eq!(size(training.phases[0].epochs), Some((1, 240)));
    assert_eq!(size(training.epochs() - 1), Some((1, 240)));
    assert_eq!(size(training.epochs()), None);
}

#[test]
fn what_makes_no_sense_is_named() {
    let hiwl = include_str!("../../pipelines/train-hiwl.toml");
    let best = include_str!("../../pipelines/train-best.toml");
    let cases = [
        (hiwl, "batch = 24", "batch = 1", "stage1: batch"),
        (hiwl, "smoothing = 0.05", "smoothing = 1.0", "smoothing"),
        (hiwl, "smoothing", "smoothnig", "smoothnig"),
        (hiwl, "patience = 25\n", "", "patience"),
        (hiwl, "size = 240", "size = 128", "the last phase's size"),
        (hiwl, "kind = \"sgd\"", "kind = \"sgb\"", "sgb"),
        (hiwl, "learning_rate = 0.005", "learning_rate = nan", "learning_rate"),
        (hiwl, "momentum = 0.9", "momentum = 9", "share"),
        (hiwl, "efficientnet-b1", "efficientnet-x", "efficientnet-x"),
        (hiwl, "rotation = 25.0", "rotation = 400.0", "augmentation: rotation"),
        (hiwl, "\"CSS\", \"EO\"]]", "\"CSS\"]]", "does not tell apart"),
        (hiwl, "[\"CRS\"], [\"IBS\"]", "[\"CRS\", \"IBS\"]", "no model tells apart CRS+IBS"),
        (hiwl, "\"EO\", \"SPI\"]", "\"EO\", \"SPI\", \"RING\"]", "not every class once"),
        (hiwl, "[[\"CSS\"], [\"EO\"]]", "[[\"CSS\"], [\"SPI\"]]", "does not tell apart"),
        (hiwl, "\"stage2\"", "\"stage 2\"", "cannot be called"),
        (hiwl, "name = \"stage2\"", "name = \"stage2\"\nquestion = \"size\"", "no tree declares"),
        (hiwl, "every = \"epoch\"", "every = \"day\"", "day"),
        (best, "starts_from = \"stage1\"", "starts_from = \"stage2\"", "no earlier model"),
        (best, "warmup_steps", "warmup", "warmup"),
        (best, "ema = 0.99\n", "ema = 1.0\n", "stage2: ema"),
    ];
    for (text, from, to, phrase) in cases {
        assert!(text.contains(from), "{from}");
        let error = Recipe::parse(&text.replace(from, to), Path::new("own.toml")).unwrap_err();
        assert!(error.to_string().contains(phrase), "{to}: {error}");
    }
    let error = Recipe::read(Path::new("train-bets")).unwrap_err().to_string();
    assert!(error.contains("train-hiwl, train-slwslm"), "{error}");
}

#[test]
fn adamw_is_an_optimiser() {
    let text = include_str!("../../pipelines/train-hiwl.toml");
    let (head, rest) = text.split_once("kind = \"sgd\"").unwrap();
    let (_, tail) = rest.split_once("[training.schedule]").unwrap();
    let adamw = "kind = \"adamw\"\nlearning_rate = 1e-3\nbetas = [0.9, 0.999]\nepsilon = 1e-8\n\
                 weight_decay = 0.01\ndecay_vectors = false\n[training.schedule]";
    let recipe = Recipe::parse(&format!("{head}{adamw}{tail}"), Path::new("own.toml")).unwrap();
    assert_eq!(recipe.training.optimiser.learning_rate(), 1e-3);
}

/// Three levels, by lists of classes and by a declared tree: the same models,
/// and a tree of the recipe's own names.
#[test]
fn any_tree_can_be_trained() {
    let text = include_str!("../../pipelines/train-hiwl.toml");
    let (head, _) = text.split_once("# Section 3.1.2").unwrap();
    let head = head
        .replace("[\"CRS\", \"IBS\", \"CSS\", \"EO\", \"SPI\"]", "[\"a\", \"b\", \"c\", \"d\"]");
    let model = |name: &str, rest: &str| {
        format!("[[models]]\nname = \"{name}\"\nsampling = \"shuffle\"\n{rest}\n")
    };
    let listed = [
        model("one", r#"outputs = [["a"], ["d", "c", "b"]]"#),
        model("two", r#"outputs = [["b"], ["c", "d"]]"#),
        model("three", r#"outputs = [["c"], ["d"]]"#),
    ];
    let listed =
        Recipe::parse(&format!("{head}{}", listed.concat()), Path::new("own.toml")).unwrap();
    let scheme = listed.scheme().unwrap();
    let tree = scheme.tree();
    assert_eq!(tree.class_names(), ["a", "b", "c", "d"]);
    let paths: Vec<String> = (0..tree.answers().len()).map(|answer| tree.path(answer)).collect();
    assert_eq!(paths, ["one/a", "one/b+c+d", "two/b", "two/c+d", "three/c", "three/d"]);
    assert_eq!(tree.path(tree.questions()[2].after[0]), "two/c+d");

    let declared = r#"
        [tree]
        name = "letters"
        questions = [
            { name = "first", answers = [{ answer = "a" }, { answer = "rest" }] },
            { name = "second", after = ["first/rest"], answers = [{ answer = "b" }, { answer = "end" }] },
            { name = "third", after = ["second/end"], answers = [{ answer = "c" }, { answer = "d" }] },
        ]
    "#;
    let models = [
        model("one", "question = \"first\""),
        model("two", "question = \"second\""),
        model("three", "question = \"third\""),
    ];
    let text = format!("{head}{}{declared}", models.concat());
    let own = Recipe::parse(&text, Path::new("own.toml")).unwrap();
    let outputs = |recipe: &Recipe| -> Vec<Vec<Vec<String>>> {
        let sorted = |model: &Model| {
            let mut outputs = model.outputs.clone();
            outputs.iter_mut().for_each(|output| output.sort_unstable());
            outputs
        };
        recipe.models.iter().map(sorted).collect()
    };
    assert_eq!(outputs(&own), outputs(&listed));
    assert_eq!(own.scheme().unwrap().tree().name(), "letters");
    let json = serde_json::to_string(&own).unwrap();
    assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), own);
    for (from, to, phrase) in [
        ("question = \"third\"", "question = \"fourth\"", "no question \"fourth\""),
        ("question = \"third\"", "outputs = [[\"c\"], [\"d\"]]", "is not said"),
        ("question = \"third\"", "question = \"second\"", "second is answered twice"),
        ("{ answer = \"d\" }", "{ answer = \"e\" }", "not those of the tree"),
    ] {
        let error = Recipe::parse(&text.replace(from, to), Path::new("own.toml")).unwrap_err();
        assert!(error.to_string().contains(phrase), "{to}: {error}");
    }
}
