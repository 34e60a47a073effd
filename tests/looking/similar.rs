//! `hiwl similar`: held against numpy, which compares everything with everything.

use std::fs;

use serde_json::Value;

use crate::util::command::{assert_code, errors, run, simulate};
use crate::util::python::oracle;

#[test]
fn the_nearest_are_those_that_numpy_finds() {
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    simulate(&folder.path().join("galaxies"), 70, 9);
    fs::write(folder.path().join("galaxies/broken.jpg"), b"no picture").unwrap();
    for (name, more) in [("whole", &[][..]), ("half", &["--half"][..])] {
        let embed = ["embed", &text("galaxies"), "--output", &text(name), "--range-size", "16"];
        let more = ["--quiet", "--allow-rejected"].iter().chain(more);
        assert_code(&run(embed.iter().chain(more)), 0);
    }
    let ids = crate::util::catalog::column(&folder.path().join("whole"), "id");
    let galaxies: Vec<&String> = ids.iter().filter(|id| *id != "broken").collect();
    let to = format!("{},{}", galaxies[3], galaxies[66]);
    for name in ["whole", "half"] {
        for distance in ["euclidean", "cosine"] {
            let table = text("found.csv");
            let _ = fs::remove_file(&table);
            let search = ["similar", &text(name), "--to", &to, "--top", "9", "--output", &table];
            let found = run(search.iter().chain(&["--json", "--distance", distance]));
            assert_code(&found, 0);
            let found: Value = serde_json::from_slice(&found.stdout).unwrap();
            assert_eq!((&found["compared"], &found["missing"]), (&70.into(), &0.into()));
            let catalog = text(&format!("{name}/catalog"));
            let expected = oracle("similar.py", &[&catalog, &to, "9", distance]);
            let expected: Value = serde_json::from_str(&expected).unwrap();
            let rows = found["similar"].as_array().unwrap();
            assert_eq!(rows.len(), 18);
            for (row, expected) in rows.iter().zip(expected.as_array().unwrap()) {
                for key in ["to", "rank", "id", "label", "row"] {
                    assert_eq!(row[key], expected[key], "{name}, {distance}: {row} {expected}");
                }
                let [a, b] = [row, expected].map(|row| row["distance"].as_f64().unwrap());
                assert!((a - b).abs() < 1e-5 * b.max(1.0), "{name}, {distance}: {a} {b}");
            }
            let lines = fs::read_to_string(&table).unwrap();
            assert!(lines.starts_with("to,rank,distance,id,label,"), "{lines}");
            assert_eq!(lines.lines().count(), 19);
        }
    }
    // For a person: what is like which.
    let shown = run(["similar", &text("whole"), "--to", galaxies[3], "--top", "2"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.starts_with(&format!("like {}\n     1  ", galaxies[3])), "{shown}");
}

#[test]
fn what_cannot_be_told_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    simulate(&folder.path().join("a"), 6, 9);
    simulate(&folder.path().join("b"), 6, 9);
    fs::write(folder.path().join("a/broken.jpg"), b"no picture").unwrap();
    let make = |command: &str, output: &str| {
        let line = [command, &text("a"), &text("b"), "--output", &text(output), "--quiet"];
        assert_code(&run(line.iter().chain(&["--allow-rejected"])), 0);
    };
    make("embed", "run");
    make("classify", "plain");
    let ids = crate::util::catalog::column(&folder.path().join("run"), "id");
    let refused = |run_folder: &str, id: &str, why: &str| {
        let found = run(["similar", &text(run_folder), "--to", id]);
        assert_code(&found, 64);
        assert!(errors(&found).contains(why), "{}", errors(&found));
    };
    refused("run", &ids[0], "2 rows");
    refused("run", "nobody", "no row");
    refused("run", "broken", "rejected");
    refused("plain", &ids[0], "hiwl embed");
    refused("a", "x", "run.json");
}
