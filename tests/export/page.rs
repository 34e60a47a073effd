//! Every block of code in `docs/catalog.md` is run, in the order of the page,
//! in a folder that holds a small run called `night1`.

use std::process::Command;

use super::*;
use crate::util::command::{assert_code, hiwl, simulate};
use crate::util::python::catalog_readers;
use crate::util::root;

/// The page's blocks: language, line, code.
fn blocks() -> Vec<(String, usize, String)> {
    let page = std::fs::read_to_string(root().join("docs/catalog.md")).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<(String, usize, String)> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.to_owned(), number, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, _, code)), None) => {
                code.push_str(line);
                code.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block does not end");
    blocks
}

#[test]
fn every_line_of_the_page_runs() {
    let folder = tempfile::tempdir().unwrap();
    simulate(&folder.path().join("galaxies"), 60, 1);
    let classify = hiwl()
        .current_dir(folder.path())
        .args(["classify", "galaxies/labels.csv", "--output", "night1", "--quiet"])
        .output()
        .unwrap();
    assert_code(&classify, 0);

    let python = catalog_readers();
    let program = Path::new(env!("CARGO_BIN_EXE_hiwl")).parent().unwrap();
    let path = format!(
        "{}:{}:{}",
        program.display(),
        python.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut tools = std::collections::BTreeSet::new();
    for (language, line, code) in blocks() {
        let mut command = match language.as_str() {
            "sh" => {
                let mut shell = Command::new("bash");
                shell.args(["-euo", "pipefail", "-c", &code]);
                shell
            }
            "python" => {
                // Each opens a catalog under this name, and it has rows.
                let checked = format!("{code}\nassert len(catalog) > 0\n");
                let mut command = Command::new(&python);
                command.args(["-c", &checked]);
                let imported = code.lines().find_map(|line| line.split_whitespace().nth(1));
                tools.insert(imported.unwrap_or_default().to_owned());
                command
            }
            other => panic!("docs/catalog.md:{line}: a block in `{other}` that no test runs"),
        };
        let output = command.current_dir(folder.path()).env("PATH", &path).output().unwrap();
        assert!(
            output.status.success(),
            "docs/catalog.md:{line}:\n{code}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
    }
    for tool in ["pandas", "polars", "duckdb", "pyarrow.dataset", "astropy.table", "lsdb"] {
        assert!(tools.contains(tool), "no block opens a catalog with {tool}: {tools:?}");
    }
}
