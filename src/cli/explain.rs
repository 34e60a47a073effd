//! `hiwl explain`: where in a picture a network sees its answer.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::flags::{CatalogFlags, NetworkFlags};
use super::terminal::{format, shown};
use super::{CliError, Exit, numbers, print, usage};
use crate::classify::{self, ClassifyOptions, Devices, ExplainOptions};
use crate::storage::output;

/// Show where in a picture the network sees its answer.
///
/// For each cutout the folder holds `<id>.png`: the picture as the network sees it,
/// the heat map of its class (or of the answer that is named), and the one over the
/// other. Light is what speaks for the answer, dark what does not; each map has its
/// own scale. `maps.npy` and `maps.fits` hold the maps as numbers, what speaks against
/// among them (pictures × side × side in 32 bits), and `maps.csv` a line for each.
///
/// Where a network ends in averages over the picture and one linear layer
/// (EfficientNets, ResNets, GoogLeNet), the maps are exact: their mean and a bias are
/// the answer's logit, and Grad-CAM's are the same up to a factor. VGG-16 and ViT have
/// Grad-CAM by gradients; the network of Dieleman et al., which looks at turned and
/// mirrored views, has none. A class of the second network is explained by that one;
/// name an answer of the first (`--class CSS+EO`) for the first.
///
/// Inputs and flags are those of `hiwl classify`. Exit code 1 if a cutout was
/// rejected or something could not be listed.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl explain cutouts/ --output why
  hiwl explain spirals.csv --class EO --output why-not-edge-on
  hiwl explain five.csv --output five --sheet figure7.png")]
pub struct Arguments {
    /// Folders, images, tar archives, tables, lists, or their URLs.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// The folder of the pictures: made, or empty.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,

    /// A class, or an answer of the model's tree.  [default: each cutout's own class]
    #[arg(long, value_name = "NAME")]
    class: Option<String>,

    /// One picture of all panels, one row per cutout, of 64 cutouts at most.
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,

    #[command(flatten)]
    networks: NetworkFlags,

    /// Threads: so many decode, prepare and infer.  [default: one per core]
    #[arg(long, value_name = "N", value_parser = numbers::workers)]
    workers: Option<usize>,

    /// Say nothing but errors.
    #[arg(short, long)]
    quiet: bool,
}

/// Rejected cutouts that are named one by one.
const NAMED: usize = 20;

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let output = self.output.clone();
        let asked = ExplainOptions { answer: self.class, sheet: self.sheet };
        let read: Vec<&Path> = self.inputs.iter().map(PathBuf::as_path).collect();
        output::refuse_all(&[(asked.sheet.as_deref(), output::PNG)], &read).map_err(usage)?;
        if let Some(path) = asked.sheet.as_ref().filter(|path| path.parent() == Some(&*output)) {
            // Which names pictures will have is not known yet.
            let (path, folder) = (shown::line(path.display()), shown::line(output.display()));
            return Err(usage(anyhow!(
                "{path}: {folder} holds a picture a cutout, by their ids: put the sheet beside it"
            )));
        }
        let options = self.networks.resolve(
            self.inputs,
            self.output,
            CatalogFlags::default(),
            Devices::Cpu,
        )?;
        let workers = self.workers.unwrap_or(options.workers);
        let options = ClassifyOptions { workers, ..options };
        let (found, stop) = super::watched(self.quiet, |listener, stop| {
            classify::explain(&options, &asked, listener, stop)
        })?;
        let found = found
            .map_err(|error| if error.is_usage() { usage(error) } else { CliError::from(error) })?;
        let Some(found) = found else {
            return Ok(stop.signal().map_or(Exit::Incomplete, Exit::Signal));
        };
        let (folder, count) =
            (shown::line(output.display()), format::counted(found.written, "picture", "pictures"));
        let mut lines = vec![format!("{folder}: {count}, maps.npy, maps.fits, maps.csv")];
        if !found.rejected.is_empty() {
            let count = found.rejected.len() as u64;
            let cutouts = format::counted(count, "cutout has", "cutouts have");
            lines.push(format!("{cutouts} none:"));
            let named = found.rejected.iter().take(NAMED);
            lines.extend(
                named.map(|(id, why)| format!("  {}: {}", shown::line(id), shown::line(why))),
            );
            if found.rejected.len() > NAMED {
                lines.push("  …".to_owned());
            }
        }
        let flawless = found.rejected.is_empty() && found.problems == 0;
        lines.extend(found.notes);
        if !self.quiet {
            print(&(lines.join("\n") + "\n"))?;
        } else if !flawless {
            // Whatever makes the exit code another than 0 is said.
            super::complain(&lines[1..]);
        }
        Ok(if flawless { Exit::Ok } else { Exit::Flawed })
    }
}
