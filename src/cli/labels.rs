//! `hiwl labels`: from vote tables or label tables to a table to train from.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::{CliError, Exit, print, usage};
use crate::labels::clean::Rules;
use crate::labels::join::Join;
use crate::labels::schema::VoteSchema;
use crate::labels::split::stratified;
use crate::labels::votes::VoteTable;
use crate::labels::{LabelColumns, LabelError, LabelTable};
use crate::line::{self, Found, Reading};

/// Turn votes into labels, and split them.
///
/// TABLE is a table of votes (Galaxy Zoo's or Kaggle's columns, or those that
/// --votes describes), to which the rules of the clean sample are applied, or
/// a table of id and label. Galaxies are split into train, val and test within
/// every class, by a seed and whatever the order of the rows, unless the table
/// says already what each is for.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl labels training_solutions_rev1.csv --output labels.csv
  hiwl labels labels.csv --images galaxies/*.tar")]
pub struct Arguments {
    /// CSV (also gzipped) or Parquet.
    #[arg(value_name = "TABLE")]
    table: PathBuf,

    /// What the columns of a vote table mean: votes-kaggle, votes-gz2, or a
    /// file of your own.  [default: found by the columns]
    #[arg(long, value_name = "NAME|FILE")]
    votes: Option<PathBuf>,

    /// The thresholds of the clean sample.  [default: the paper's]
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,

    /// Parts of train, val and test.  [default: 8:1:1 where the table has no
    /// split]
    #[arg(long, value_name = "T:V:T", value_parser = ratio, conflicts_with = "split_column")]
    split: Option<[u32; 3]>,

    /// The column of ids.  [default: found by its usual names: id, GalaxyID,
    /// objid, dr7objid, iauname, …]
    #[arg(long = "id", value_name = "COLUMN")]
    id_column: Option<String>,

    /// The column that says what each galaxy is for.
    #[arg(long, value_name = "COLUMN", conflicts_with = "votes")]
    split_column: Option<String>,

    /// Of the split.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// Images that the labels are for: says which have no counterpart.
    #[arg(long, value_name = "INPUT", num_args = 1..)]
    images: Vec<PathBuf>,

    /// Write id, label and split; - for standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn ratio(text: &str) -> Result<[u32; 3], String> {
    let parts: Option<Vec<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
    parts
        .and_then(|parts| <[u32; 3]>::try_from(parts).ok())
        .filter(|parts| parts.iter().any(|&part| part > 0))
        .ok_or_else(|| "three numbers such as 8:1:1".to_owned())
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let mut out = String::new();
        let mut table = self.read(&mut out)?;
        if self.split.is_some() || !table.is_split() {
            let ratio = self.split.unwrap_or(crate::labels::split::PAPER_RATIO);
            stratified(&mut table, ratio, self.seed);
        }
        out += &format!("{}\n", table.counts());
        let mut exit = Exit::Ok;
        if !self.images.is_empty() {
            let Found { images, problems } =
                line::list(&self.images, &Reading::default()).map_err(usage)?;
            let join = Join::new(&table, images.iter().map(|image| image.entry.id.as_str()));
            out += &join.to_string();
            for problem in &problems {
                out += &format!("{problem}\n");
                exit = Exit::Flawed;
            }
        }
        if let Some(path) = &self.output {
            if path.as_os_str() == "-" {
                // What a person reads goes where it does not mix with the table.
                let _ = write!(io::stderr(), "{out}");
                print(&table.to_csv())?;
                return Ok(exit);
            }
            let inputs = [Some(&self.table), self.votes.as_ref(), self.rules.as_ref()];
            let inputs: Vec<&Path> = inputs.into_iter().flatten().map(PathBuf::as_path).collect();
            table.write_csv(path, &inputs).map_err(of_labels)?;
            out += &format!("{} labels: {}\n", table.rows.len(), path.display());
        }
        print(&out)?;
        Ok(exit)
    }

    /// The labels of the table, and in `out` what became of votes.
    fn read(&self, out: &mut String) -> Result<LabelTable, CliError> {
        let id = self.id_column.as_deref();
        let columns = LabelColumns { id, split: self.split_column.as_deref() };
        let schema = match &self.votes {
            Some(schema) => {
                let mut schema = VoteSchema::read(schema).map_err(usage)?;
                if let Some(id) = id {
                    schema.id = vec![id.to_owned()];
                }
                schema
            }
            None => match labels(&self.table, columns) {
                Ok(table) => return Ok(table),
                // Neither labels nor known votes: the second error says both.
                Err(LabelError::MissingColumn { .. }) if self.split_column.is_none() => {
                    VoteTable::known_schema(&self.table, id).map_err(usage)?
                }
                Err(error) => return Err(usage(error)),
            },
        };
        let rules = match &self.rules {
            Some(path) => Rules::read(path),
            None => Rules::paper(),
        };
        let votes = VoteTable::read(&self.table, schema).map_err(usage)?;
        let sample = rules.and_then(|rules| rules.apply(&votes)).map_err(usage)?;
        *out +=
            &format!("{}, fractions of votes: {}\n", votes.schema.title, votes.schema.semantics);
        *out += &sample.to_string();
        if sample.table.rows.is_empty() {
            return Err(usage(anyhow!("{}: no galaxy meets the rules", self.table.display())));
        }
        Ok(sample.table)
    }
}

fn of_labels(error: LabelError) -> CliError {
    match error {
        LabelError::Unwritable(ref source) if source.is_usage() => usage(error),
        error => error.into(),
    }
}

/// A label table, its classes in the order of the clean sample's if they are
/// those.
fn labels(path: &Path, columns: LabelColumns<'_>) -> Result<LabelTable, LabelError> {
    let rules = Rules::paper()?;
    let classes: Vec<&str> = rules.classes.iter().map(|rule| rule.label.as_str()).collect();
    match LabelTable::read(path, Some(&classes), columns) {
        Err(LabelError::UnknownLabel { .. }) => LabelTable::read(path, None, columns),
        table => table,
    }
}
