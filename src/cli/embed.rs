//! `hiwl embed`: `hiwl classify --features` under a name of its own.

use clap::Args;

use super::{CliError, Exit, classify};

/// Turn cutouts into vectors: what the network sees in each.
///
/// The vectors that the first network's classifier sees (1,280 numbers of the model
/// that ships) lie near one another for galaxies that look alike. They are written
/// as a column `feature` of the catalog that `hiwl classify` makes, in the same
/// pass and at the same speed, and everything that can be done with a run can be
/// done with this one: plans and shards, resuming, verifying. A rejected cutout has
/// no vector.
///
/// `--components N` keeps the first N principal components in their place (64 take
/// a twentieth of the space), along the directions that the model file holds: those
/// of any two runs of one model can be compared. `--half` halves either.
///
/// `hiwl similar` finds the nearest of one, `hiwl map` draws all.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl embed cutouts/ --output night1
  hiwl embed dr17-*.tar --components 64 --half --output dr17
  hiwl plan dr17-*.tar --features --shards 16 --output dr17   # for a cluster")]
pub struct Arguments {
    #[command(flatten)]
    classify: classify::Arguments,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        self.classify.run_as("embed", true)
    }
}
