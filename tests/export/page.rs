//! Every block of code of a page is run, in the order of the page: those of
//! `docs/catalog.md` in a folder that holds a small run called `night1`.

use std::process::Command;

use super::*;
use crate::util::command::{assert_code, hiwl, simulate};
use crate::util::python::catalog_readers;
use crate::util::root;

/// The blocks of a page: language, line, code.
pub fn blocks(page: &str) -> Vec<(String, usize, String)> {
    let page = std::fs::read_to_string(root().join(page)).unwrap();
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

/// Runs the blocks of a page in a folder, with the narrow model as the default and
/// `edit` applied to each. Those in Python leave something under the name `result`.
/// Returns what they import.
pub fn run_page(
    page: &str,
    folder: &Path,
    result: &str,
    edit: impl Fn(&str) -> String,
) -> std::collections::BTreeSet<String> {
    let mut tools = std::collections::BTreeSet::new();
    let model = crate::util::fixture("models/untrained-nano.safetensors");
    for (language, line, code) in blocks(page) {
        let place = (page, line, folder, &*model);
        tools.extend(run_block(place, &language, &edit(&code), result));
    }
    tools
}

/// Runs one block of a page in a folder, with a model as the default; returns what it
/// imports, if it is in Python. It leaves something
/// under the name `result` then.
pub fn run_block(
    (page, line, folder, model): (&str, usize, &Path, &Path),
    language: &str,
    code: &str,
    result: &str,
) -> Option<String> {
    let python = catalog_readers();
    let program = Path::new(env!("CARGO_BIN_EXE_hiwl")).parent().unwrap();
    let path = format!(
        "{}:{}:{}",
        program.display(),
        python.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut imported = None;
    let mut command = match language {
        "sh" => {
            let mut shell = Command::new("bash");
            shell.args(["-euo", "pipefail", "-c", code]);
            shell
        }
        "python" => {
            // It has rows.
            let checked = format!("{code}\nassert len({result}) > 0\n");
            let mut command = Command::new(&python);
            command.args(["-c", &checked]);
            let first = code.lines().find_map(|line| line.split_whitespace().nth(1));
            imported = Some(first.unwrap_or_default().to_owned());
            command
        }
        other => panic!("{page}:{line}: a block in `{other}` that no test runs"),
    };
    command.current_dir(folder).env("PATH", &path).env("HIWL_MODEL", model);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{page}:{line}:\n{code}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    imported
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
    let tools = run_page("docs/catalog.md", folder.path(), "catalog", str::to_owned);
    for tool in ["pandas", "polars", "duckdb", "pyarrow.dataset", "astropy.table", "lsdb"] {
        assert!(tools.contains(tool), "no block opens a catalog with {tool}: {tools:?}");
    }
}
