//! `hiwl demo`: the galaxies that come with the program, from pictures to a page.
//!
//! It types what a newcomer would type: `hiwl classify`, then `hiwl report`. Invariant:
//! it needs nothing but the program and its model, and writes into its own folder alone:
//! one that it makes, that is empty, or that holds what it wrote before.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Parser};

use super::terminal::shown::{self, say};
use super::{Cli, CliError, Exit, print, usage};
use crate::storage::{file, output};

/// A picture among the fixtures, by its id.
macro_rules! galaxies {
    ($($id:literal)*) => {
        [$((concat!($id, ".jpg"), include_bytes!(concat!("../../fixtures/galaxies/", $id, ".jpg")))),*]
    };
}

/// Five of each class, which the model that ships was not trained on. Images: SDSS.
const GALAXIES: [(&str, &[u8]); 25] = galaxies! {
    "101074" "150798" "155746" "172278" "173317"
    "215581" "237068" "283154" "332084" "361828"
    "365977" "370534" "381077" "390397" "403741"
    "412525" "440263" "450472" "451225" "452110"
    "473768" "477170" "486500" "527999" "535851"
};

/// What the volunteers of Galaxy Zoo said of them.
const LABELS: &[u8] = include_bytes!("../../fixtures/galaxies/labels.csv");

/// Classify 25 real galaxies that come with the program, and make a page of them.
///
/// The folder gets the pictures (galaxies/), the run (run/) and the page
/// (galaxies.html), which any browser opens. Given again, it makes the page anew.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder: made, empty, or that of an earlier demo.
    #[arg(value_name = "DIR", default_value = "hiwl-demo")]
    folder: PathBuf,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let Some(folder) = self.folder.to_str() else {
            return Err(usage(anyhow!("{}: a name that is not UTF-8", self.folder.display())));
        };
        let at = |name: &str| format!("{}/{name}", folder.trim_end_matches('/'));
        let galaxies = self.folder.join("galaxies");
        output::refuse_folder(&self.folder).map_err(usage)?;
        let ours = is_ours(&self.folder, &galaxies)
            .with_context(|| self.folder.display().to_string())
            .map_err(usage)?;
        if !ours {
            return Err(usage(anyhow!(
                "{} is there and holds what no demo wrote: name another folder",
                self.folder.display()
            )));
        }
        let missing = missing(&galaxies)?;
        fs::create_dir_all(&galaxies).context(at("galaxies"))?;
        for (path, bytes) in missing {
            output::write(&path, bytes, &[])?;
        }
        let (galaxies, run, page) = (at("galaxies"), at("run"), at("galaxies.html"));
        let labels = at("galaxies/labels.csv");
        for typed in [
            &["classify", &galaxies, "--output", &run][..],
            &["report", &run, "--labels", &labels, "--output", &page],
        ] {
            say(format_args!("hiwl {}", typed.join(" ")));
            let cli = Cli::try_parse_from(["hiwl"].iter().chain(typed)).map_err(usage)?;
            match super::run(cli.command)? {
                Exit::Ok => {}
                other => return Ok(other),
            }
        }
        print(&format!("open {} in a browser\n", shown::line(&page)))?;
        Ok(Exit::Ok)
    }
}

/// Whether a folder is the demo's to write into: it is not there, has nothing in it, or has
/// the labels that a demo writes first.
fn is_ours(folder: &Path, galaxies: &Path) -> std::io::Result<bool> {
    let names = |folder: &Path| match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<_>>(),
    };
    let within = names(folder)?;
    if within.is_empty() {
        return Ok(true);
    }
    // A link leads elsewhere.
    if !fs::symlink_metadata(galaxies).is_ok_and(|found| found.is_dir()) {
        return Ok(false);
    }
    if is_same(&galaxies.join("labels.csv"), LABELS)? == Some(true) {
        return Ok(true);
    }
    // One that was killed as it began may have left a file that is not whole.
    let hidden = |name: &std::ffi::OsString| name.as_encoded_bytes().starts_with(b".");
    Ok(within.len() == 1 && names(galaxies)?.iter().all(hidden))
}

/// The files of the demo that are not there yet, the labels first.
fn missing(galaxies: &Path) -> Result<Vec<(PathBuf, &'static [u8])>, CliError> {
    let mut missing = Vec::new();
    for (name, bytes) in [("labels.csv", LABELS)].into_iter().chain(GALAXIES) {
        let path = galaxies.join(name);
        match is_same(&path, bytes).with_context(|| path.display().to_string())? {
            Some(true) => {}
            None => missing.push((path, bytes)),
            Some(false) => {
                return Err(usage(anyhow!(
                    "{} is there and is not the demo's: name another folder, or move it away",
                    path.display()
                )));
            }
        }
    }
    Ok(missing)
}

/// Whether a plain file holds these bytes; `None` if there is nothing of its name.
fn is_same(path: &Path, bytes: &[u8]) -> std::io::Result<Option<bool>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(found) if !found.is_file() || found.len() != bytes.len() as u64 => Ok(Some(false)),
        Ok(found) => Ok(Some(file::read(path, found.len())? == bytes)),
    }
}
