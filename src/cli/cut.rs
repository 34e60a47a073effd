//! `hiwl cut`: cutouts of a table's sources out of a survey's own images.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::input::InputFlags;
use super::mosaics::{MaskFlags, scale};
use super::terminal::{format, shown};
use super::{CliError, Exit, numbers, print, signals, usage};
use crate::classify::{self, CutOptions, Form};
use crate::pipeline::Stop;
use crate::source::list::{Field, Mosaics, Scale};

/// Cut sources out of a survey's own images.
///
/// What `hiwl classify --sources` classifies, written: FITS cubes with coordinates, in
/// nanomaggies where the mosaics say what their numbers are, or pictures in the colours of
/// a profile. All have north up and east to the left. The output is a folder, a tar archive
/// (.tar) or a Parquet table with images (.parquet).
///
/// Exit code 1 if a source has no cutout, or a mosaic could not be read.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl cut --mosaics frames/*.fits --sources galaxies.parquet --output cutouts
  hiwl cut --mosaics bricks --sources g.csv --bands z,r,g --scale 0.262 --output cutouts.tar
  hiwl cut --mosaics frames --sources g.csv --format jpeg --pixels 424 --output g.parquet")]
pub struct Arguments {
    /// A table of sources: id, ra, dec and, where it has one, a size.
    #[arg(long, value_name = "TABLE")]
    sources: PathBuf,

    /// The survey's images: FITS files with coordinates, their folders, or URLs.
    /// [default: those in the table's column fits_file_paths]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    mosaics: Vec<PathBuf>,

    /// A folder (made, or empty), or a file that ends in .tar or .parquet.
    #[arg(short, long, value_name = "DIR|FILE")]
    output: PathBuf,

    /// What a cutout is written as.
    #[arg(long, value_enum, default_value_t = FormChoice::Fits)]
    format: FormChoice,

    /// Pixels a side.
    #[arg(long, value_name = "PIXELS", default_value_t = 240,
        value_parser = clap::value_parser!(u32).range(8..=4096))]
    pixels: u32,

    /// Size of the pixels, whatever the table says: arcseconds, or native for the size of
    /// those of the first band's mosaic.
    #[arg(long, value_name = "ARCSEC|native", value_parser = scale)]
    scale: Option<Scale>,

    #[command(flatten)]
    masks: MaskFlags,

    /// The least share of a cutout's pixels that are defined in all bands.
    #[arg(long, value_name = "SHARE", default_value_t = 0.7, value_parser = numbers::share)]
    least_valid: f64,

    #[command(flatten)]
    input: InputFlags,

    /// Threads.  [default: one per core]
    #[arg(long, value_name = "N", value_parser = numbers::workers)]
    workers: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormChoice {
    Fits,
    Jpeg,
    Png,
}

/// Sources without a cutout that are named one by one.
const NAMED: usize = 20;

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let (mut reading, _) = self.input.to_learn()?;
        if super::mosaics::has_pixel_scale(&reading.looks.given) {
            return Err(super::mosaics::no_pixel_scale());
        }
        reading.mosaics = Some(Mosaics {
            files: self.mosaics,
            scale: self.scale,
            masks: self.masks.into(),
            field: Field {
                pixels: self.pixels,
                scale_per_radius: reading.scale_per_radius,
                radius_column: reading.looks.radius_column.clone(),
                north_up: true,
            },
        });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let options = CutOptions {
            sources: self.sources,
            output: self.output,
            reading,
            form: match self.format {
                FormChoice::Fits => Form::Fits,
                FormChoice::Jpeg => Form::Jpeg,
                FormChoice::Png => Form::Png,
            },
            least: self.least_valid,
            workers: self.workers.unwrap_or(cores),
        };
        let stop = Stop::new();
        signals::stop_on_signal(stop.clone())?;
        let report = classify::cut(&options, &stop)
            .map_err(|error| if error.is_usage() { usage(error) } else { error.into() })?;
        let Some(report) = report else {
            return Ok(stop.signal().map_or(Exit::Incomplete, Exit::Signal));
        };
        let mut lines = vec![format!(
            "{}: {}",
            shown::line(options.output.display()),
            format::counted(report.written, "cutout", "cutouts")
        )];
        if !report.rejected.is_empty() {
            let count = report.rejected.len() as u64;
            let sources = format::counted(count, "source has", "sources have");
            lines.push(format!("{sources} none:"));
            let named = report.rejected.iter().take(NAMED);
            lines.extend(
                named.map(|(id, why)| format!("  {}: {}", shown::line(id), shown::line(why))),
            );
            if report.rejected.len() > NAMED {
                lines.push("  …".to_owned());
            }
        }
        let told = report.problems.iter().chain(&report.notes);
        lines.extend(told.map(|line| shown::line(line).to_string()));
        print(&(lines.join("\n") + "\n"))?;
        let flawless = report.rejected.is_empty() && report.problems.is_empty();
        Ok(if flawless { Exit::Ok } else { Exit::Flawed })
    }
}
