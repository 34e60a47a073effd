//! Python oracles: virtual environments made once, with pinned packages.
//!
//! The first test that asks for one makes it under `target/` from its list of
//! requirements in `tests/oracles/`; it is made again when that file changes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::root;

/// The interpreter of most oracles.
pub fn interpreter() -> PathBuf {
    environment("oracle-venv", "requirements.txt")
}

/// The interpreter with what astronomers read catalogs with: LSDB and HATS
/// bring some seventy packages, which other oracles do not wait for.
pub fn catalog_readers() -> PathBuf {
    environment("catalogs-venv", "requirements-catalogs.txt")
}

/// The interpreter of an environment of its own, with what a file under
/// `tests/oracles/` names.
pub fn environment(name: &str, requirements: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned();
    let requirements = root().join("tests/oracles").join(requirements);
    let wanted = fs::read_to_string(&requirements).expect("requirements of an environment");
    let venv = target.join(name);
    let python = venv.join("bin/python");
    let stamp = venv.join("installed.txt");

    // Tests run in parallel threads, and several test processes may run.
    let lock = File::create(target.join(format!("{name}.lock"))).expect("lock file");
    lock.lock().expect("lock of the virtual environment");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return python;
    }
    let _ = fs::remove_dir_all(&venv);
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&requirements));
    fs::write(&stamp, wanted).expect("stamp of the virtual environment");
    python
}

/// Runs `tests/oracles/<script>` with arguments; returns its standard output.
pub fn oracle(script: &str, arguments: &[&str]) -> String {
    oracle_of(&interpreter(), script, arguments)
}

/// The same with one of the interpreters above.
pub fn oracle_of(python: &Path, script: &str, arguments: &[&str]) -> String {
    let output =
        run(Command::new(python).arg(root().join("tests/oracles").join(script)).args(arguments));
    String::from_utf8(output.stdout).expect("oracles print UTF-8")
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?} failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}
