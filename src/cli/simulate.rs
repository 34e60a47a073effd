//! `hiwl simulate DIR`: galaxies rendered from a seed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::terminal::shown;
use super::{CliError, Exit, print, usage};
use crate::{
    cli::terminal::format,
    cli::terminal::{audience::Audience, progress::Progress},
    simulate::{self, Class, Classes, Format, SimulateOptions},
};

/// Render galaxies of the five classes as SDSS-like cutouts.
///
/// Each is a light profile (Sérsic bulges, disks seen from any side, spiral
/// arms) under seeing, sky and photon noise, with neighbours. The same seed
/// gives the same galaxies, in any number of pieces. DIR/labels.csv holds
/// their ids, classes, positions and paths: a table that `hiwl classify`
/// reads.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A new or empty folder.
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Number of galaxies.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    count: u64,

    /// Random seed: galaxies of another one have nothing in common.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,

    /// Index of the first, to make a simulation in pieces.
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    first: u64,

    /// What is written of each.
    #[arg(long, value_enum, default_value_t = Format::Jpeg)]
    format: Format,

    /// Pixels a side.
    #[arg(long, value_name = "PIXELS", default_value_t = 424)]
    size: usize,

    /// How classes are chosen.
    #[arg(long, value_enum, default_value_t = Mixture::Balanced)]
    classes: Mixture,

    /// Also write DIR/votes.csv: what so many volunteers say of each galaxy, as
    /// numbers of votes for Galaxy Zoo DECaLS' questions and three more.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    votes: u32,

    /// In place of cutouts, images as a survey takes them: DIR/frames/frame-{band}-*.fits
    /// with 63 galaxies each, on grids that differ from band to band, and DIR/sources.csv
    /// with their positions, sizes and classes.
    #[arg(long, conflicts_with_all = ["format", "size", "votes"])]
    mosaics: bool,

    /// Say nothing but errors.
    #[arg(short, long)]
    quiet: bool,
}

/// How classes are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mixture {
    /// Each in turn.
    Balanced,
    /// As rare as in Galaxy Zoo 2's clean sample.
    GalaxyZoo,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let options = SimulateOptions {
            count: self.count,
            seed: self.seed,
            first: self.first,
            format: self.format,
            size: self.size,
            classes: match self.classes {
                Mixture::Balanced => Classes::Balanced,
                Mixture::GalaxyZoo => Classes::GALAXY_ZOO,
            },
            votes: self.votes,
        };
        let audience = if self.quiet { Audience::Nobody } else { Audience::Person };
        let progress = Progress::new(audience);
        progress.start(options.count);
        let mut told = 0;
        let advance = |written| {
            progress.advance(written - told, 0);
            told = written;
        };
        let report = if self.mosaics {
            simulate::write_mosaics(&self.folder, &options, advance)
        } else {
            simulate::write(&self.folder, &options, advance)
        };
        progress.finish();
        let report =
            report.map_err(|error| if error.is_usage() { usage(error) } else { error.into() })?;
        if !self.quiet {
            let classes: Vec<String> = Class::ALL
                .iter()
                .zip(report.classes)
                .map(|(class, count)| format!("{} {}", format::count(count), class.label()))
                .collect();
            print(&format!(
                "{} ({}) in {}, {}\nlabels: {}\n",
                format::counted(options.count, "galaxy", "galaxies"),
                classes.join(", "),
                format::counted(report.files, "file", "files"),
                format::bytes(report.bytes),
                shown::line(report.labels.display()),
            ))?;
        }
        Ok(Exit::Ok)
    }
}
