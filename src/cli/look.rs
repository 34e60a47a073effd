//! `hiwl look`: the pictures that the networks would see.

use std::path::PathBuf;

use clap::Args;

use super::flags::{CatalogFlags, NetworkFlags};
use super::mosaics::MosaicFlags;
use super::terminal::{format, shown};
use super::{CliError, Exit, numbers, print, signals, usage};
use crate::classify::{self, ClassifyOptions, Devices};
use crate::pipeline::Stop;

/// Write the pictures that the networks would see as PNGs.
///
/// Inputs and flags are those of `hiwl classify`: what comes out is what a run
/// with them would judge, after bands became colours, in the model's scale and
/// crop. Names are the ids. Cutouts that would be rejected are named with the
/// reason.
///
/// Exit code 1 if there are any, or if something could not be listed.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl look cutouts/ --output look
  hiwl look sample.csv --radius-column petroR90_r --bands i,r,g --output look")]
pub struct Arguments {
    /// Folders, images, tar archives, tables, lists, or their URLs.
    #[arg(required_unless_present = "sources", value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// The folder of the pictures: made, or empty.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,

    #[command(flatten)]
    mosaics: MosaicFlags,

    #[command(flatten)]
    networks: NetworkFlags,

    /// Threads: so many decode and prepare.  [default: one per core]
    #[arg(long, value_name = "N", value_parser = numbers::workers)]
    workers: Option<usize>,
}

/// Rejected cutouts that are named one by one.
const NAMED: usize = 20;

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let output = self.output.clone();
        let mut asked = self.networks.resolve(
            self.inputs,
            self.output,
            CatalogFlags::default(),
            Devices::Cpu,
        )?;
        self.mosaics.apply(&mut asked)?;
        let workers = self.workers.unwrap_or(asked.workers);
        let options = ClassifyOptions { workers, ..asked };
        let stop = Stop::new();
        signals::stop_on_signal(stop.clone())?;
        let looked = classify::look(&options, &stop)
            .map_err(|error| if error.is_usage() { usage(error) } else { error.into() })?;
        let Some(looked) = looked else {
            return Ok(stop.signal().map_or(Exit::Incomplete, Exit::Signal));
        };
        let mut lines = vec![format!(
            "{}: {}",
            shown::line(output.display()),
            format::counted(looked.written, "picture", "pictures")
        )];
        if !looked.rejected.is_empty() {
            let count = looked.rejected.len() as u64;
            let cutouts = format::counted(count, "cutout has", "cutouts have");
            lines.push(format!("{cutouts} none:"));
            lines.extend(
                looked
                    .rejected
                    .iter()
                    .take(NAMED)
                    .map(|(id, why)| format!("  {}: {}", shown::line(id), shown::line(why))),
            );
            if looked.rejected.len() > NAMED {
                lines.push("  …".to_owned());
            }
        }
        lines.extend(looked.notes);
        print(&(lines.join("\n") + "\n"))?;
        Ok(if looked.rejected.is_empty() && looked.problems == 0 { Exit::Ok } else { Exit::Flawed })
    }
}
