//! `hiwl catalog DIR`: what a catalog holds.

use std::path::PathBuf;

use clap::Args;

use super::{CliError, Exit, numbers, of_catalog, print, usage};
use crate::catalog;
use crate::cli::terminal::catalog::overview;
use crate::cli::terminal::{format, shown};
use crate::export::ExportError;
use crate::export::pick::{self, Order, Pick, Picked};
use crate::page::{PageError, sheet};
use crate::words::part_of;

/// Rows that are shown if nothing says how many.
const ROWS: u64 = 20;

/// Sum up a catalog, or show some of its rows.
///
/// Counts by label and by reason of rejection, a histogram of confidences, the
/// model, the run, and where on the sky the galaxies are. A catalog that is not
/// complete is summed up as far as it is.
///
/// With any of the flags on rows and columns it shows rows instead, 20 if --top
/// does not say how many. --where is that of `hiwl export`; rows of rejected
/// cutouts are among them.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl catalog night1
  hiwl catalog night1 --sample 20 --random
  hiwl catalog night1 --sort confidence --top 20
  hiwl catalog night1 --where \"label = 'SPI'\" --sort oddness:desc --columns id,p_spi,oddness
  hiwl catalog night1 --where \"status = 'ok'\" --sort confidence --sheet least-sure.png")]
pub struct Arguments {
    /// The run's folder (the `--output` of `hiwl classify`), or its URL.
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Only rows for which this is true.
    #[arg(long = "where", value_name = "CONDITION")]
    filter: Option<String>,

    /// By these columns, each with `:desc` behind it for the greatest first. Rows
    /// without a value come last.
    #[arg(
        long,
        value_name = "COLUMN[:desc],...",
        value_delimiter = ',',
        conflicts_with = "random"
    )]
    sort: Vec<Order>,

    /// Only these columns, in this order.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    columns: Option<Vec<String>>,

    /// Show this many rows: the first ones.
    #[arg(long, value_name = "N", visible_aliases = ["top", "limit"], value_parser = numbers::sample)]
    sample: Option<u64>,

    /// Rows from anywhere in the catalog.
    #[arg(long)]
    random: bool,

    /// Random seed: the same one gives the same random rows.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,

    /// Write the rows' pictures as a contact sheet (.png, .jpg), with label,
    /// probability and id beneath each. They are read again from the run's inputs.
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,

    /// Print JSON; rows with all their columns.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let Some(pick) = self.pick() else {
            let found = catalog::overview(&self.folder).map_err(of_catalog)?;
            let text = if self.json {
                format!("{}\n", shown::json(overview::json(&found)))
            } else {
                overview::text(&self.folder, &found)
            };
            print(&text)?;
            return Ok(Exit::Ok);
        };
        if let Some(path) = &self.sheet {
            sheet::refuse(path).map_err(of_page)?;
            let most = sheet::MOST as u64;
            if self.sample.is_some_and(|rows| rows > most) {
                let asked = pick.rows.try_into().unwrap_or(usize::MAX);
                return Err(usage(PageError::TooMany { asked, most: sheet::MOST }));
            }
        }
        let picked = pick::pick(&self.folder, &pick).map_err(of_export)?;
        let mut text = if self.json {
            format!("{}\n", shown::json(overview::rows_json(&picked.rows)))
        } else {
            overview::rows_text(&picked.rows)
        };
        let rows = picked.places.len() as u64;
        if let (false, Some(matched)) = (self.json, picked.matched.filter(|all| *all != rows)) {
            let all = format::counted(matched, "row", "rows");
            text.push_str(&format!("{} of {all}\n", format::count(rows)));
        }
        let mut exit = Exit::Ok;
        if let Some(path) = &self.sheet {
            let missing = self.sheet(path, &picked)?;
            let name = shown::line(path.display());
            if !self.json {
                let pictures = format::counted(rows - missing, "picture", "pictures");
                text.push_str(&format!("{name}: {pictures}\n"));
            }
            if missing > 0 {
                exit = Exit::Flawed;
                shown::say(format_args!(
                    "{} no picture: their cells say why",
                    part_of(missing, rows, ["row", "rows"], ["has", "have"])
                ));
            }
        }
        print(&text)?;
        Ok(exit)
    }

    /// Which rows are asked for, if any are.
    fn pick(&self) -> Option<Pick> {
        let asked = self.filter.is_some()
            || !self.sort.is_empty()
            || self.columns.is_some()
            || self.sample.is_some()
            || self.random
            || self.sheet.is_some();
        let columns = || {
            let mut names: Vec<String> = overview::COLUMNS.map(str::to_owned).to_vec();
            let more = self.sort.iter().map(|order| &order.column);
            let more: Vec<_> = more.filter(|name| !has(&names, name)).cloned().collect();
            names.extend(more);
            names
        };
        asked.then(|| Pick {
            filter: self.filter.clone(),
            order: self.sort.clone(),
            random: self.random.then_some(self.seed),
            rows: self.sample.unwrap_or(ROWS),
            columns: match &self.columns {
                Some(columns) => Some(columns.clone()),
                None => (!self.json).then(columns),
            },
        })
    }

    /// Writes the contact sheet; how many rows have no picture.
    fn sheet(&self, path: &std::path::Path, picked: &Picked) -> Result<u64, CliError> {
        let mut heading = self.folder.display().to_string();
        if let Some(filter) = &self.filter {
            heading.push_str(&format!(" where {filter}"));
        }
        for (at, order) in self.sort.iter().enumerate() {
            let (joint, column) = (if at == 0 { " by" } else { "," }, &order.column);
            let direction = if order.descending { " falling" } else { " rising" };
            heading.push_str(&format!("{joint} {column}{direction}"));
        }
        if self.random {
            heading.push_str(&format!(" at random, seed {}", self.seed));
        }
        let extra = self.sort.first().map(|order| order.column.to_lowercase());
        let extra = extra.as_deref().and_then(|name| {
            let fields = picked.rows.schema_ref().fields().iter();
            fields.map(|field| field.name()).find(|field| field.to_lowercase() == name)
        });
        sheet::write(path, &self.folder, &picked.places, &heading, extra.map(String::as_str))
            .map_err(of_page)
    }
}

/// Whether a column is among some, whose names are not told apart by case.
fn has(names: &[String], name: &str) -> bool {
    names.iter().any(|other| other.to_lowercase() == name.to_lowercase())
}

fn of_export(error: ExportError) -> CliError {
    if error.is_usage() { usage(error) } else { error.into() }
}

fn of_page(error: PageError) -> CliError {
    if error.is_usage() { usage(error) } else { error.into() }
}
