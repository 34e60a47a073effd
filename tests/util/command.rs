//! Running the program as a user would.

use std::path::{Path, PathBuf};
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

/// A folder in which `hiwl` is run, as in a shell that has gone there.
pub struct Workplace(tempfile::TempDir);

impl Workplace {
    /// An empty one.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Runs `hiwl ARGUMENTS`, which are parted by blanks.
    pub fn run(&self, arguments: &str) -> Output {
        let mut hiwl = hiwl();
        hiwl.current_dir(self.folder()).args(arguments.split_whitespace()).output().unwrap()
    }

    /// The same, which ends with `code`.
    #[track_caller]
    pub fn expect(&self, code: i32, arguments: &str) -> Output {
        let output = self.run(arguments);
        assert_code(&output, code);
        output
    }
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
