//! `hiwl report RUN`: a run as one page.

use std::path::PathBuf;

use clap::Args;

use super::evaluate::split_named;
use super::{CliError, Exit, print, print_json, usage};
use crate::cli::terminal::{format, shown};
use crate::labels::Split;
use crate::page::report::{self, ReportOptions};

/// Make a page of a run: one file that opens in any browser.
///
/// Of a catalog: counts, confidences by class, where on the sky, why cutouts have no
/// label, and galaxies of each class (the surest, the least sure, the oddest, some at
/// random), each with its row. With --labels also what was taken for what, how far
/// confidences can be believed, what a cut keeps, and the surest mistakes; with the
/// model too, beside each of these where the network saw its answer.
///
/// Of a training run: its curves, what each epoch cost, how good the model is on
/// validation, and with --example what augmentation does to a picture.
///
/// The file holds all that it shows and asks nothing of any place; it prints, has a
/// light and a dark look, and says the same without scripts. Pictures are read again
/// from the run's inputs; what is gone says so.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl report night1 --output night1.html
  hiwl report night1 --labels labels.csv --split val --output night1.html
  hiwl report night1 --labels labels.csv --model model.safetensors --output night1.html
  hiwl report run1 --example galaxy.jpg --output run1.html")]
pub struct Arguments {
    /// The folder of a run: the `--output` of `hiwl classify` or of `hiwl train`.
    #[arg(value_name = "RUN")]
    folder: PathBuf,

    /// A table of known labels (id and label) to hold the catalog against.
    #[arg(short, long, value_name = "TABLE")]
    labels: Option<PathBuf>,

    /// The label table's column of ids.  [default: the first usual one]
    #[arg(long = "id", value_name = "COLUMN", requires = "labels")]
    id_column: Option<String>,

    /// Only labels of this split: train, val or test.
    #[arg(long, value_name = "SPLIT", value_parser = split_named, requires = "labels")]
    split: Option<Split>,

    /// The model file of the run, to show what it says of itself and, with --labels,
    /// heat maps of the surest mistakes.
    #[arg(short, long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// A picture on which a training run's augmentation is shown.
    #[arg(long, value_name = "IMAGE")]
    example: Option<PathBuf>,

    /// The page.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let options = ReportOptions {
            run: self.folder,
            labels: self.labels,
            id_column: self.id_column,
            split: self.split,
            model: self.model,
            example: self.example,
            output: self.output,
        };
        let found = report::write(&options)
            .map_err(|error| if error.is_usage() { usage(error) } else { error.into() })?;
        if self.json {
            print_json(serde_json::json!({
                "output": options.output.to_string_lossy(),
                "bytes": found.bytes,
                "rows": found.rows,
                "pictures": found.pictures,
                "without_picture": found.without,
            }))?;
            return Ok(Exit::Ok);
        }
        let mut text = format!(
            "{}: {}, {}\n",
            shown::line(options.output.display()),
            format::bytes(found.bytes),
            format::counted(found.pictures, "picture", "pictures")
        );
        if found.without > 0 {
            text.push_str(&format!(
                "{} shown without a picture: the page says why\n",
                format::counted(found.without, "galaxy is", "galaxies are")
            ));
        }
        print(&text)?;
        Ok(Exit::Ok)
    }
}
