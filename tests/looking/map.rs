//! `hiwl map`: held against scikit-learn's t-SNE and principal components of the same
//! vectors.

use std::fs;

use serde_json::Value;

use crate::util::command::{assert_code, errors, run, simulate};
use crate::util::python::oracle;

#[test]
fn maps_keep_neighbours_as_scikit_learns_do_and_are_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    simulate(&folder.path().join("galaxies"), 400, 11);
    fs::write(folder.path().join("galaxies/broken.jpg"), b"no picture").unwrap();
    let embed = ["embed", &text("galaxies"), "--output", &text("run"), "--quiet"];
    assert_code(&run(embed.iter().chain(&["--allow-rejected", "--range-size", "64"])), 0);
    let map = |output: &str, more: &[&str]| {
        let line = ["map", &text("run"), "--output", &text(output), "--perplexity", "12"];
        let found = run(line.iter().chain(more));
        assert_code(&found, 0);
        String::from_utf8(found.stdout).unwrap()
    };
    let said = map("tsne.csv", &["--picture", &text("tsne.svg")]);
    assert!(said.contains("400 galaxies; divergence "), "{said}");
    let said = map("pca.csv", &["--method", "pca", "--picture", &text("pca.svg")]);
    assert!(said.contains("of the variance"), "{said}");

    let judged =
        oracle("maps.py", &[&text("run/catalog"), &text("tsne.csv"), &text("pca.csv"), "12"]);
    let judged: Value = serde_json::from_str(&judged).unwrap();
    let trust = |of: &str| judged[of].as_f64().unwrap();
    assert!(trust("ours") > trust("theirs") - 0.01, "{judged}");
    // Of 150 galaxies the components alone keep nearly all neighbours; of 400 no longer.
    assert!(trust("ours") > trust("components"), "{judged}");
    assert!(trust("components_differ") < 1e-3, "{judged}");

    // Again, and of some: the same seed draws the same galaxies to the same places.
    map("again.csv", &[]);
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("tsne.csv"), read("again.csv"));
    let some = |output: &str, seed: &str| {
        map(output, &["--sample", "60", "--seed", seed, "--method", "pca"]);
        let lines = fs::read_to_string(folder.path().join(output)).unwrap();
        lines.lines().skip(1).map(|line| line.split(',').nth(2).unwrap().to_owned()).collect()
    };
    let [first, same, other]: [Vec<String>; 3] =
        [some("a.csv", "1"), some("b.csv", "1"), some("c.csv", "2")];
    assert_eq!((first.len(), &first), (60, &same));
    assert_ne!(first, other);

    let svg = fs::read_to_string(folder.path().join("tsne.svg")).unwrap();
    assert_eq!(svg.matches("h0").count(), 400);
    for class in ["CRS", "IBS", "CSS", "EO", "SPI"] {
        assert!(svg.contains(&format!(">{class}</text>")), "{class}");
    }
    assert!(fs::read_to_string(folder.path().join("pca.svg")).unwrap().contains("first component"));
}

#[test]
fn runs_stand_side_by_side_and_a_table_s_labels_colour_them() {
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    simulate(&folder.path().join("galaxies"), 20, 11);
    for name in ["one", "two & <three>"] {
        let embed = ["embed", &text("galaxies"), "--output", &text(name), "--quiet"];
        assert_code(&run(embed), 0);
    }
    let both = |more: &[&str]| {
        let line = ["map", &text("one"), &text("two & <three>"), "--method", "pca"];
        run(line.iter().chain(&["--picture", &text("both.svg")]).chain(more))
    };
    assert_code(&both(&["--labels", &text("galaxies/labels.csv")]), 0);
    let svg = fs::read_to_string(folder.path().join("both.svg")).unwrap();
    assert_eq!(svg.matches("h0").count(), 40);
    assert!(svg.contains("two &amp; &lt;three&gt;: principal components of 20 galaxies"), "{svg}");

    fs::write(text("others.csv"), "id,label\nnobody,EO\n").unwrap();
    let refused = both(&["--labels", &text("others.csv")]);
    assert_code(&refused, 64);
    assert!(errors(&refused).contains("none of the galaxies"), "{}", errors(&refused));
    let refused = both(&["--colour", "oddness"]);
    assert_code(&refused, 64);
    let refused = run(["map", &text("one"), "--output", &text("few.csv")]);
    assert_code(&refused, 64);
    assert!(errors(&refused).contains("20 rows with features"), "{}", errors(&refused));
}
