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
        let mut command = command.disable_help_subcommand(true);
        command.build();
        let mut pages = Vec::new();
        collect(&command, &mut pages)?;
        for (name, _) in &pages {
            output::refuse(&self.folder.join(name), &[]).map_err(usage)?;
        }
        let folder = self.folder.display();
        std::fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {folder}"))?;
        for (name, page) in &pages {
            output::write(&self.folder.join(name), page, &[])?;
        }
        Ok(Exit::Ok)
    }
}

/// The pages of a command and of those below it, by the names of their files.
fn collect(command: &clap::Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<(), CliError> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        collect(below, pages)?;
    }
    let manual = clap_mangen::Man::new(command.clone());
    let mut page = Vec::new();
    manual.render(&mut page).context("manual page")?;
    pages.push((manual.get_filename(), page));
    Ok(())
}
