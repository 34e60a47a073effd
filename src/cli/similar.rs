//! `hiwl similar`: the rows of a run that are most like some.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::terminal::{format, shown};
use super::{CliError, Exit, of_vectors, print, print_json, signals};
use crate::pipeline::Stop;
use crate::storage::output;
use crate::vectors::{self, Distance, Like, Similar, SimilarOptions, VectorError};

/// Find the galaxies that are most like some.
///
/// The run must hold vectors (`hiwl embed`). Every row is compared with every one
/// that is named: nothing near is missed. A galaxy is not among its own like, but may be
/// among another's. Where several rows have the id that is named, none is taken.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl similar night1 --to 1237648720693755918
  hiwl similar night1 --to ring-1 --to ring-2 --top 100 --output rings.csv")]
pub struct Arguments {
    /// The run's folder, or its URL.
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// The id of a galaxy whose like are looked for; several with commas, or each
    /// with a --to of its own. (An id that has a comma is one, if a row has it.)
    #[arg(long, required = true, value_name = "ID,...")]
    to: Vec<String>,

    /// How many of each.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    top: u32,

    /// What is near: a short way from vector to vector, or a small angle between
    /// them.
    #[arg(long, value_enum, default_value_t)]
    distance: Distance,

    /// Write a table: to, rank, distance, id, label, confidence, ra, dec, source.
    #[arg(short, long, value_name = "FILE.csv")]
    output: Option<PathBuf>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let outputs = [(self.output.as_deref(), output::CSV)];
        output::refuse_all(&outputs, &[]).map_err(super::usage)?;
        let stop = Stop::new();
        signals::stop_on_signal(stop.clone())?;
        let Self { to, top, distance, .. } = self;
        let of = |to: Vec<String>| {
            let options = SimilarOptions { to: once(to), top: top as usize, distance };
            vectors::similar(&self.folder, &options, &stop)
        };
        // As they stand, and only if no row is called so as lists.
        let found = match of(to.clone()) {
            Err(VectorError::NoId { id, .. }) if id.contains(',') => {
                let each = to.iter().flat_map(|ids| ids.split(','));
                of(each.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect())
            }
            found => found,
        };
        let found = match found {
            Err(VectorError::Stopped) => {
                return Ok(stop.signal().map_or(Exit::Incomplete, Exit::Signal));
            }
            found => found.map_err(of_vectors)?,
        };
        if let Some(path) = &self.output {
            output::write(path, &table(&found)?, &[])?;
        }
        if self.json {
            print_json(json(&found))?;
        } else {
            print(&text(&found, self.output.is_none()))?;
        }
        Ok(Exit::Ok)
    }
}

/// Each of them once, in their order.
fn once(mut ids: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    ids
}

fn table(found: &Similar) -> Result<Vec<u8>, csv::Error> {
    let mut lines = csv::Writer::from_writer(Vec::new());
    lines.write_record([
        "to",
        "rank",
        "distance",
        "id",
        "label",
        "confidence",
        "ra",
        "dec",
        "source",
    ])?;
    for like in &found.likes {
        let degrees = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
        let confidence = like.confidence.map_or_else(String::new, |value| value.to_string());
        lines.write_record([
            &like.to,
            &like.rank.to_string(),
            &like.distance.to_string(),
            &like.id,
            &like.label,
            &confidence,
            &degrees(like.ra),
            &degrees(like.dec),
            &like.source,
        ])?;
    }
    lines.into_inner().map_err(|error| error.into_error().into())
}

/// For a person.
fn text(found: &Similar, rows: bool) -> String {
    let mut out = String::new();
    let wide = found.likes.iter().map(|like| shown::line(&like.id).chars().count());
    let wide = wide.max().unwrap_or(0);
    let mut to: Option<&str> = None;
    for like in found.likes.iter().filter(|_| rows) {
        if to != Some(&like.to) {
            let _ = writeln!(out, "like {}", shown::line(&like.to));
            to = Some(&like.to);
        }
        let Like { rank, distance, .. } = like;
        let id = shown::line(&like.id);
        let confidence = like.confidence.map_or_else(String::new, |c| format!("{c:.3}"));
        let label = shown::line(&like.label);
        let _ = writeln!(out, "{rank:>6}  {distance:<10.5}  {id:<wide$}  {label:<6} {confidence}");
    }
    let _ = writeln!(out, "{} compared", format::counted(found.compared, "row was", "rows were"));
    if found.missing > 0 {
        let missing = format::counted(found.missing, "row of the run is", "rows of the run are");
        let _ = writeln!(out, "{missing} not there yet");
    }
    out
}

fn json(found: &Similar) -> serde_json::Value {
    let likes = found.likes.iter().map(|like| {
        json!({
            "to": like.to, "rank": like.rank, "distance": like.distance, "id": like.id,
            "label": like.label, "confidence": like.confidence, "ra": like.ra, "dec": like.dec,
            "source": like.source, "row": like.row,
        })
    });
    json!({
        "similar": likes.collect::<Vec<_>>(),
        "compared": found.compared,
        "missing": found.missing,
    })
}
