//! Running the program as a user would.

use std::path::Path;
use std::process::{Command, Output};

use super::fixture;

/// `hiwl` with the narrow untrained model as its default.
pub fn hiwl() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hiwl"));
    command.env("HIWL_MODEL", fixture("models/untrained-nano.safetensors"));
    command
}

/// Runs `hiwl ARGUMENTS`.
pub fn run<I, A>(arguments: I) -> Output
where
    I: IntoIterator<Item = A>,
    A: AsRef<std::ffi::OsStr>,
{
    hiwl().args(arguments).output().unwrap()
}

/// The exit code, which there must be.
pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("killed: {:?}", output.status))
}

/// Standard error as text.
pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts an exit code, showing what was printed if it is another.
#[track_caller]
pub fn assert_code(output: &Output, expected: i32) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(output), expected, "stdout: {stdout}\nstderr: {}", errors(output));
}

/// Renders `count` small JPEG cutouts into `folder`.
pub fn simulate(folder: &Path, count: usize, seed: u64) {
    let output = run([
        "simulate",
        folder.to_str().unwrap(),
        "--count",
        &count.to_string(),
        "--seed",
        &seed.to_string(),
        "--size",
        "240",
    ]);
    assert_code(&output, 0);
}
