//! `hiwl export DIR --to FORMAT -o OUT`: a catalog for other tools.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::{CliError, Exit, print, print_json, signals, usage};
use crate::cli::terminal::audience::Audience;
use crate::cli::terminal::catalog::export::{json, text};
use crate::cli::terminal::format::counted;
use crate::cli::terminal::progress::Progress;
use crate::export::{self, ExportError, ExportOptions, Format, Ids, Names};
use crate::pipeline::Stop;

/// Give a catalog, or some of it, to another tool.
///
/// Writes one file (or for hats a folder) that appears when it is complete.
/// The catalog is verified first. Rows of rejected cutouts are left out unless
/// asked for.
///
/// --where takes comparisons of columns with values or columns (= != < <= > >=,
/// in (…), between … and …, is null), joined by and, or, not and parentheses;
/// text stands in single quotes.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl export night1 -o night1.fits
  hiwl export night1 -o spirals.csv --where \"p_spi > 0.8\" --columns id,ra,dec,p_spi
  hiwl export night1 -o edge-on.parquet --where \"label in ('EO', 'CSS')\"
  hiwl export night1 --to hats -o night1-hats
  hiwl export night1 --to csv -o - | head")]
pub struct Arguments {
    /// The run's folder (the `--output` of `hiwl classify`), or its URL.
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// The format.  [default: by the ending of the output: .parquet, .csv, .fits, .vot
    /// or .xml]
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: Option<Format>,

    /// The file or folder to make, on this machine; - for standard output.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,

    /// Only rows for which this is true.
    #[arg(long = "where", value_name = "CONDITION")]
    filter: Option<String>,

    /// Only these columns, in this order, by the catalog's names. hats adds ra
    /// and dec.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    columns: Option<Vec<String>>,

    /// Also rows of rejected cutouts.
    #[arg(long)]
    rejected: bool,

    /// Export what there is of a catalog that is not complete.
    #[arg(long)]
    partial: bool,

    /// Replace a file that is there.
    #[arg(long)]
    overwrite: bool,

    /// How columns are named: galaxy-zoo calls p_spi
    /// has-spiral-arms_yes_probability, and so on.
    #[arg(long, value_enum, default_value_t = Names::Catalog)]
    names: Names,

    /// How ids are written: as text, or as 64-bit integers if all of them are.
    #[arg(long, value_enum, default_value_t = Ids::Text)]
    ids: Ids,

    /// hats: most rows per partition.
    #[arg(long, value_name = "ROWS", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    rows_per_pixel: u64,

    /// Say nothing but errors.
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,

    /// Print the result as JSON; on standard error if the output is -.
    #[arg(long)]
    json: bool,
}

/// The format that the ending of a name says.
fn of_ending(output: &Path) -> Option<Format> {
    let ending = output.extension()?.to_str()?.to_lowercase();
    Some(match ending.as_str() {
        "parquet" => Format::Parquet,
        "csv" => Format::Csv,
        "fits" | "fit" => Format::Fits,
        "vot" | "votable" | "xml" => Format::Votable,
        _ => return None,
    })
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let format = match self.to.or_else(|| of_ending(&self.output)) {
            Some(format) => format,
            None => {
                return Err(usage(anyhow!(
                    "the ending of {} says no format: name one with --to \
                     (parquet, csv, fits, votable, hats)",
                    self.output.display()
                )));
            }
        };
        let options = ExportOptions {
            filter: self.filter,
            columns: self.columns,
            rejected: self.rejected,
            partial: self.partial,
            overwrite: self.overwrite,
            names: self.names,
            ids: self.ids,
            rows_per_pixel: self.rows_per_pixel,
            ..ExportOptions::new(format, self.output)
        };
        let quiet = self.quiet || self.json;
        let progress = Progress::new(if quiet { Audience::Nobody } else { Audience::Person });
        let stop = Stop::new();
        signals::stop_on_signal(stop.clone())?;
        let mut told = None;
        let report = export::export(&self.folder, &options, &mut |seen, total| {
            if told.is_none() {
                progress.start(total);
            }
            progress.advance(seen - told.unwrap_or(0), 0);
            told = Some(seen);
            if stop.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        progress.finish();
        if let (Err(ExportError::Stopped), Some(signal)) = (&report, stop.signal()) {
            return Ok(Exit::Signal(signal));
        }
        let report = report.map_err(
            |error: ExportError| {
                if error.is_usage() { usage(error) } else { error.into() }
            },
        )?;
        if self.json {
            print_json(json(&options.output, &report))?;
        } else if !self.quiet {
            print(&text(&options.output, &report))?;
        } else if report.missing > 0 {
            let rows = counted(report.missing, "row is", "rows are");
            super::complain(&[format!("{rows} not in the catalog yet")]);
        }
        Ok(if report.missing > 0 { Exit::Flawed } else { Exit::Ok })
    }
}
