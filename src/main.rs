//! The `hiwl` program: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    hiwl::cli::main(std::env::args_os())
}
