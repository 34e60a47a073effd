//! The Python module without a wheel, whose tests (`wheel.py`, `notebook.py`) the gate runs.

use std::process::Command;

use crate::util::root;

#[test]
fn the_module_runs_the_program_and_hears_all_that_it_says() {
    // A module that waits for ever is a failure, not a test that does not end.
    let output = Command::new("timeout")
        .args(["60", "python3"])
        .arg(root().join("tests/python/program.py"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
