//! `hiwl demo`: the galaxies that come with the program, from pictures to a page.
//!
//! It types what a newcomer would type: `hiwl classify`, then `hiwl report`. Invariant:
//! it needs nothing but the program and its model, and writes into its own folder alone.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::{Args, Parser};

use super::terminal::shown::{self, say};
use super::{Cli, CliError, Exit, print, usage};
use crate::storage::output;

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
    /// The folder: made, or that of an earlier demo.
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
        let labels = (LABELS, "labels.csv");
        let pictures = GALAXIES.iter().map(|(name, bytes)| (*bytes, *name));
        output::refuse_folder(&self.folder).map_err(usage)?;
        fs::create_dir_all(&galaxies).context(at("galaxies"))?;
        for (bytes, name) in pictures.chain([labels]) {
            let path = galaxies.join(name);
            fs::write(&path, bytes).with_context(|| path.display().to_string())?;
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
