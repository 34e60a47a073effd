//! `hiwl completions` and `hiwl man`: made from the same description of the
//! command line as `--help`; and `hiwl licenses`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use clap_complete::Shell;

use super::{CliError, Exit, print, print_table, usage};
use crate::storage::output;

/// Print a completion script for a shell.
///
/// For bash: `hiwl completions bash > ~/.local/share/bash-completion/completions/hiwl`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, mut command: clap::Command) -> Result<Exit, CliError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "hiwl", &mut script);
        print(&String::from_utf8(script).context("completion script")?)?;
        Ok(Exit::Ok)
    }
}

/// Print whose work is in the program, and its licences.
#[derive(Debug, Args)]
pub struct Licenses {}

impl Licenses {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        // The repository's own file: nothing in it is foreign.
        print_table(include_str!("../../THIRD-PARTY.txt"))?;
        Ok(Exit::Ok)
    }
}

/// Write the manual pages, one a subcommand, into a folder.
///
/// Read them with `man DIR/hiwl-classify.1`, or install them in
/// `~/.local/share/man/man1`.
#[derive(Debug, Args)]
pub struct Manual {
    /// The folder; it is made if need be.
    folder: PathBuf,
}

impl Manual {
    pub(super) fn run(self, command: clap::Command) -> Result<Exit, CliError> {
        output::refuse_folder(&self.folder).map_err(usage)?;
        let folder = self.folder.display();
        std::fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {folder}"))?;
        clap_mangen::generate_to(command, &self.folder)
            .with_context(|| format!("cannot write manual pages into {folder}"))?;
        Ok(Exit::Ok)
    }
}
