//! Every block of code in `docs/training.md` is run, in the order of the page, in a
//! folder that holds the tables it names; blocks of TOML are the files that their
//! first lines name.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::run::SHORT;
use crate::util::{real_data, root};

#[test]
fn every_line_of_the_page_runs() {
    let Some(data) = real_data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, from) in [
        ("training_solutions_rev1.csv", "votes/training_solutions_rev1-671.csv"),
        ("gz2_hart16_debiased.csv", "labels/gz2_hart16_debiased15089/gz2_hart16_debiased.csv"),
        ("gz2_stripe82.fits.gz", "votes/gz2_willett2013_stripe82coadd_table5.fits.gz"),
        ("ferengi.csv", "labels/gz_hubble/ferengi_classifications_collated.csv"),
    ] {
        fs::copy(data.join(from), at(name)).unwrap();
    }
    let mut recipe = fs::read_to_string(root().join("tests/train/nano.toml")).unwrap();
    for (from, to) in SHORT {
        recipe = recipe.replace(from, to);
    }
    fs::write(at("five.toml"), recipe).unwrap();

    let program = Path::new(env!("CARGO_BIN_EXE_hiwl")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let page = fs::read_to_string(root().join("docs/training.md")).unwrap();
    let mut run = 0;
    let mut lines = (1..).zip(page.lines());
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let block = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
        let code = block.collect::<Vec<_>>().join("\n");
        match language {
            "toml" => {
                let name = code.lines().next().and_then(|line| line.strip_prefix("# "));
                fs::write(at(name.expect("a name")), &code).unwrap();
            }
            "sh" => {
                let mut shell = Command::new("bash");
                shell.args(["-euo", "pipefail", "-c", &code]).current_dir(folder.path());
                let output = shell.env("PATH", &path).output().unwrap();
                assert!(
                    output.status.success(),
                    "docs/training.md:{number}:\n{code}\n{}{}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr),
                );
                run += 1;
            }
            other => panic!("docs/training.md:{number}: a block in `{other}` that no test runs"),
        }
    }
    assert_eq!(run, 8);
    // What the blocks made is what they say.
    let rows = |name: &str| fs::read_to_string(at(name)).unwrap().lines().count() - 1;
    assert_eq!(rows("kaggle.csv"), 336);
    assert!(rows("gz2.csv") > 9_000, "{}", rows("gz2.csv"));
    assert!(rows("bars.csv") > 100);
    assert_eq!(rows("night1.csv"), 300);
    assert_eq!(rows("each.csv"), 120);
    let several = fs::read_to_string(at("several.json")).unwrap();
    let several: serde_json::Value = serde_json::from_str(&several).unwrap();
    let questions = several["questions"].as_array().unwrap();
    assert_eq!((questions.len(), &several["galaxies"]), (2, &serde_json::json!(120)));
    for question in questions {
        let precision = question["average_precision"].as_f64().unwrap();
        assert!(precision > 0.0 && precision <= 1.0, "{question}");
    }
}
