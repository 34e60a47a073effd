//! Every block of code of the README and of the pages that no other test runs whole is
//! run here, each in a folder that holds what it names, or stands in a list with the test
//! that runs it.

mod shown;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use crate::export::page::{blocks, run_block};
use crate::util::command::{assert_code, hiwl};
use crate::util::{fixture, root};

/// Blocks by how they begin, and what runs them instead: a file of the repository, and what
/// stands there by which it does.
const ELSEWHERE: [(&str, &str, &str); 13] = [
    ("pip install hiwl-", "tests/python/wheel.py", "[*pip, wheel]"),
    ("tar xf hiwl-", ".ci/dist", "$name/bin/hiwl\" demo"),
    ("cargo run --release -- classify", ".ci/run", "readme main-command"),
    ("cargo test --release", ".ci/run", "readme test-command"),
    (".ci/wheel && pip install", ".ci/run", ".ci/wheel target/gate-wheels\npython3 tests/python"),
    ("import hiwl", "tests/python/wheel.py", "exec(block, names)"),
    ("hiwl plan cutouts/*.tar --model", "tests/cluster/slurm.sh", "cluster-commands"),
    // Hours of training; the same commands with small recipes are docs/training.md's.
    ("hiwl labels votes.csv", "tests/train/page.rs", "docs/training.md"),
    (
        "hiwl train cutouts/*.tar --labels labels.csv --recipe train-hiwl",
        "tests/train/page.rs",
        "docs/training.md",
    ),
    ("hiwl evaluate galaxies/val-00.tar", "tests/classify/shipped.rs", "val-00.tar"),
    // By other container tools, which are not needed to build hiwl.
    (".ci/dist\napptainer build", "tests/containers.sh", ".ci/container/Dockerfile target/dist"),
    // The server's address, which nothing here reaches.
    ("https://skyserver.sdss.org/", "tests/pages/mod.rs", "fn an_address_asks_for"),
    ("  id      ra  dec  label", "tests/classify/shipped.rs", "<!-- sample -->"),
];

/// The page's blocks that a test elsewhere runs, as places in the list.
fn elsewhere(page: &str) -> Vec<usize> {
    let of = |code: &str| ELSEWHERE.iter().position(|(begins, ..)| code.starts_with(begins));
    blocks(page).iter().filter_map(|(_, _, code)| of(code)).collect()
}

/// The model that ships.
fn shipped() -> PathBuf {
    root().join("models/hiwl-b1.safetensors")
}

/// What blocks name: the galaxies of the fixtures in every form, runs, tables, mosaics.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        let galaxies = fixture("galaxies");
        symlink(root().join("fixtures"), scene.path("fixtures")).unwrap();
        symlink(&galaxies, scene.path("cutouts")).unwrap();
        fs::copy(galaxies.join("labels.csv"), scene.path("labels.csv")).unwrap();
        fs::copy(galaxies.join("172278.jpg"), scene.path("galaxy.jpg")).unwrap();
        let mut pictures: Vec<String> = fs::read_dir(&galaxies)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".jpg"))
            .collect();
        pictures.sort();
        for archive in ["archive.tar", "dr17-1.tar"] {
            let mut tar = Command::new("tar");
            tar.arg("-cf").arg(scene.path(archive)).arg("-C").arg(&galaxies).args(&pictures);
            assert!(tar.status().unwrap().success());
        }
        let (mut sample, mut join) = ("id,path,petroR90_r,z\n".to_owned(), String::new());
        join += "id,ra,dec,petroR90_r,z\n";
        for (place, name) in pictures.iter().enumerate() {
            let id = name.trim_end_matches(".jpg");
            sample += &format!("{id},cutouts/{name},9.{place:02},0.0{place}\n");
            join += &format!("{id},{place},-1.5,9.{place:02},0.0{place}\n");
        }
        fs::write(scene.path("sample.csv"), sample).unwrap();
        fs::write(scene.path("dr17.csv"), join).unwrap();
        scene.hiwl("classify archive.tar --output night1");
        scene.hiwl("classify fixtures/galaxies --output out/galaxies");
        scene.hiwl("simulate sky --mosaics --count 12");
        let sources = "import pandas as pd\nresult = pd.read_csv('sky/sources.csv')\n\
                       result.to_parquet('galaxies.parquet')\n";
        let place = ("the scene", 0, scene.0.path(), &*shipped());
        run_block(place, "python", sources, "result");
        fs::rename(scene.path("sky/frames"), scene.path("frames")).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn hiwl(&self, arguments: &str) {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let mut hiwl = hiwl();
        hiwl.env("HIWL_MODEL", shipped());
        let output = hiwl.current_dir(self.0.path()).args(&arguments).output().unwrap();
        assert_code(&output, 0);
    }

    /// A copy, without the runs that a block makes itself.
    fn copy_for(&self, code: &str) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        let whole = format!("{}/.", self.0.path().display());
        let copied = Command::new("cp").args(["-a", &whole]).arg(copy.path()).status().unwrap();
        assert!(copied.success());
        for run in ["night1", "night2"] {
            if code.contains(&format!("--output {run}\n")) {
                let _ = fs::remove_dir_all(copy.path().join(run));
            }
        }
        copy
    }
}

fn run_all(page: &str, scene: &Scene, edit: impl Fn(&str) -> String) {
    let mut run = 0;
    for (language, line, code) in blocks(page) {
        if ELSEWHERE.iter().any(|(begins, ..)| code.starts_with(begins)) {
            continue;
        }
        match language.as_str() {
            // A recipe is data, and what names files names those that are there.
            "toml" => drop(toml::from_str::<toml::Table>(&code).unwrap()),
            "text" => {
                for name in code.lines().filter_map(|line| line.split_whitespace().next()) {
                    assert!(scene.path(name).exists(), "{page}:{line}: no {name}");
                }
            }
            _ => {
                let code = edit(&code);
                let folder = scene.copy_for(&code);
                let language = if language.is_empty() { "sh" } else { &language };
                let place = (page, line, folder.path(), &*shipped());
                run_block(place, language, &code, "catalog");
            }
        }
        run += 1;
    }
    assert!(run > 0, "{page}");
}

#[test]
fn every_block_of_the_readme_runs() {
    let scene = Scene::new();
    // A training run is the training page's.
    run_all("README.md", &scene, |code| {
        let lines = code.lines().filter(|line| !line.starts_with("hiwl report run1"));
        // 25 galaxies have few neighbours.
        let few = |line: &str| line.replace("hiwl map night1 ", "hiwl map night1 --perplexity 5 ");
        lines.map(|line| few(line) + "\n").collect()
    });
}

#[test]
fn every_block_of_the_pages_on_cutouts_and_reports_runs() {
    let scene = Scene::new();
    for page in ["docs/cutouts.md", "docs/report.md"] {
        run_all(page, &scene, |code| {
            let lines = code.lines().filter(|line| !line.contains("report run1"));
            // The split and the model file of the example are not the scene's.
            let own = |line: &str| {
                let line = line.replace(" --split val --model model.safetensors", "");
                // Pictures say nothing of their pixels.
                line.replace(
                    "--radius-column petroR90_r",
                    "--radius-column petroR90_r --pixel-scale 0.18",
                )
            };
            lines.map(|line| own(line) + "\n").collect()
        });
    }
}

/// The list above has no line that nothing needs, and what it names is there.
#[test]
fn every_block_that_runs_elsewhere_is_there_and_does() {
    let pages = ["README.md", "docs/cutouts.md", "docs/report.md", "docs/cluster.md"];
    let mut needed: Vec<usize> = pages.iter().flat_map(|page| elsewhere(page)).collect();
    needed.sort_unstable();
    assert_eq!(needed, (0..ELSEWHERE.len()).collect::<Vec<_>>());
    for (begins, who, how) in ELSEWHERE {
        let text = fs::read_to_string(root().join(who)).expect(who);
        assert!(text.contains(how), "{who} has no `{how}`, by which it would run `{begins}`");
    }
    // Of the page on clusters no block runs here: all are container tools'.
    assert_eq!(blocks("docs/cluster.md").len(), elsewhere("docs/cluster.md").len());
}

/// SkyServer's address on the page asks for the model's own scale and field.
#[test]
fn an_address_asks_for_pictures_as_the_model_learned_from() {
    let page = fs::read_to_string(root().join("docs/cutouts.md")).unwrap();
    let address = page.lines().find(|line| line.starts_with("https://skyserver")).unwrap();
    let asked = |name: &str| -> f64 {
        let (_, behind) = address.split_once(&format!("{name}=")).expect(name);
        behind.split('&').next().unwrap().parse().unwrap()
    };
    assert!(page.contains("for a galaxy with a petroR90 of 9 arcsec:"));
    assert!((asked("scale") - 0.02 * 9.0).abs() < 1e-9, "{address}");
    assert_eq!((asked("width"), asked("height")), (424.0, 424.0));
}

/// Pages for people, in Markdown.
fn pages() -> Vec<String> {
    let mut pages = vec![];
    for folder in ["", "docs", "benches", "models", "fixtures", "src/python"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                pages.push(if folder.is_empty() { name } else { format!("{folder}/{name}") });
            }
        }
    }
    pages.sort();
    pages
}

/// The anchors of a page, as GitHub makes them of its headings.
fn anchors(page: &str) -> Vec<String> {
    let mut within = false;
    let headings = page.lines().filter(|line| {
        within ^= line.starts_with("```");
        !within && line.starts_with('#')
    });
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|line| line.chars().filter(kept).collect::<String>().replace(' ', "-"))
        .collect()
}

/// Targets of the links of a page, but those on other machines.
fn links(page: &str) -> Vec<&str> {
    let links = page.match_indices("](").filter_map(|(at, _)| page[at + 2..].split(')').next());
    links.filter(|link| !link.contains("://") && !link.contains(char::is_whitespace)).collect()
}

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    let pages = pages();
    assert!(pages.len() > 10 && pages.contains(&"docs/cutouts.md".to_owned()), "{pages:?}");
    let mut seen = Vec::new();
    for page in &pages {
        let path = root().join(page);
        let text = fs::read_to_string(&path).unwrap();
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{page}: ({link}) leads nowhere");
            // Only what Git has is there for everybody.
            let inside = target.canonicalize().unwrap();
            assert!(inside.starts_with(root().canonicalize().unwrap()), "{page}: {link}");
            if !anchor.is_empty() {
                let there = anchors(&fs::read_to_string(&target).unwrap());
                assert!(there.iter().any(|own| own == anchor), "{page}: no {link} in {there:?}");
            }
            seen.push(format!("{page} {link}"));
        }
    }
    for link in ["README.md docs/notebook.ipynb", "README.md CONTRIBUTING.md#gpus"] {
        assert!(seen.iter().any(|own| own == link), "{link}: {seen:?}");
    }
}

/// Whoever wants to change something finds every script by its purpose.
#[test]
fn contributing_names_every_script() {
    let page = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    for folder in [".ci", "benches", "tests/cluster"] {
        let mut count = 0;
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let whole = format!("{folder}/{name}");
            // Those of the table of measurements stand there by their names alone.
            let named = [
                format!("`{whole}"),
                format!("[{whole}]"),
                format!("`{name}`"),
                format!("`{name}/`"),
                format!("\n{whole} "),
            ];
            assert!(named.iter().any(|name| page.contains(name)), "no word of {whole}");
            count += 1;
        }
        assert!(count > 2, "{folder}");
    }
}

/// The README's figures are those of the card in the model file.
#[test]
fn the_readme_says_what_the_models_card_says() {
    let card = hiwl().args(["model", "info", "--json"]).arg(shipped()).output().unwrap();
    assert_code(&card, 0);
    let info: serde_json::Value = serde_json::from_slice(&card.stdout).unwrap();
    let measured = &info["provenance"]["card"]["measured"];
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let galaxies = measured["galaxies"].as_u64().unwrap();
    let recalls: Vec<String> = measured["classes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|class| {
            format!("{} {:.3}", class["class"].as_str().unwrap(), number(&class["recall"]))
        })
        .collect();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let readme = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        format!(
            "labels {:.2} % of {},{:03} validation galaxies",
            100.0 * number(&measured["accuracy"]),
            galaxies / 1000,
            galaxies % 1000
        ),
        format!("(recall {})", recalls.join(", ")),
        format!(
            "off by {:.1} % in the mean",
            100.0 * number(&measured["expected_calibration_error"])
        ),
    ] {
        assert!(readme.contains(&words), "the README does not say: {words}");
    }
}

/// A page that has a block, and what runs it; no other page has any.
#[test]
fn every_page_with_a_block_is_some_tests() {
    const PAGES: [(&str, &str); 9] = [
        ("README.md", file!()),
        ("docs/catalog.md", "tests/export/page.rs"),
        ("docs/cluster.md", file!()),
        ("docs/cutouts.md", file!()),
        ("docs/design.md", "tests/architecture/mod.rs"),
        ("docs/looking.md", "tests/looking/embed.rs"),
        ("docs/mosaics.md", "tests/mosaic/page.rs"),
        ("docs/report.md", file!()),
        ("docs/training.md", "tests/train/page.rs"),
    ];
    let pages = fs::read_dir(root().join("docs")).unwrap();
    let mut pages: Vec<String> = pages
        .map(|entry| format!("docs/{}", entry.unwrap().file_name().to_str().unwrap()))
        .filter(|name| name.ends_with(".md"))
        .collect();
    pages.push("README.md".to_owned());
    pages.retain(|page| !blocks(page).is_empty());
    pages.sort();
    assert_eq!(pages, PAGES.map(|(page, _)| page));
    for (page, test) in PAGES {
        let named = fs::read_to_string(root().join(test)).unwrap();
        let named = named.matches(&format!("\"{page}\"")).count();
        // Here it is named by the list above, too.
        assert!(named > usize::from(test == file!()), "{page} is in no test");
    }
}

/// Recipes of containers, and the manifest, have this version.
#[test]
fn containers_hold_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    assert!(read(".ci/container/Dockerfile").contains(&format!("ARG version={version}\n")));
    assert!(read(".ci/container/hiwl.def").contains(&format!("version={version}\n")));
    assert!(read("CITATION.cff").contains(&format!("\nversion: {version}\n")));
    let manifest = read("pipelines/cluster/kubernetes.yaml");
    assert_eq!(manifest.matches(&format!("image: hiwl:{version}\n")).count(), 2);
}
