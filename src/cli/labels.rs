//! `hiwl labels`: from vote tables or label tables to a table to train from.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::terminal::{format, shown};
use super::{CliError, Exit, print, print_table, usage};
use crate::labels::clean::Rules;
use crate::labels::grammar::{Kind, Wanted};
use crate::labels::join::Join;
use crate::labels::split::stratified;
use crate::labels::votes::VoteTable;
use crate::labels::{LabelColumns, LabelError, LabelTable};
use crate::line::{self, Found, Reading};

/// Turn votes into labels, and split them.
///
/// TABLE is a table of votes (of any release of Galaxy Zoo, of Kaggle, of
/// Zooniverse's exports, or one that --votes describes), to which the rules of
/// the clean sample are applied, or a table of id and label. Galaxies are split into
/// train, val and test within every class, by a seed and whatever the order of the
/// rows, unless the table says already what each is for.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl labels training_solutions_rev1.csv --output labels.csv
  hiwl labels labels.csv --images galaxies/*.tar")]
pub struct Arguments {
    /// CSV, TSV, ECSV, FITS, VOTable or Parquet, also gzipped.
    #[arg(value_name = "TABLE")]
    table: PathBuf,

    /// What the columns of a vote table mean: votes-kaggle, votes-gz2,
    /// votes-gz1, or a file of your own.  [default: found by the columns]
    #[arg(long, value_name = "NAME|FILE")]
    votes: Option<PathBuf>,

    /// Which fractions to take of a table that holds several: best, debiased,
    /// plain, weighted, or counts.  [default: the first of these that is there]
    #[arg(long, value_name = "KIND", value_parser = kind, conflicts_with = "votes")]
    fractions: Option<Kind>,

    /// Whose votes to take of a table that holds those of several campaigns (dr5
    /// of smooth-or-featured-dr5_smooth), or of which workflow.
    #[arg(long, value_name = "NAME", conflicts_with = "votes")]
    campaign: Option<String>,

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

    /// Random seed of the split.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// Images that the labels are for: says which have no counterpart.
    #[arg(long, value_name = "INPUT", num_args = 1..)]
    images: Vec<PathBuf>,

    /// Write id, label and split; - for standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn kind(text: &str) -> Result<Kind, String> {
    Kind::from_name(text).ok_or_else(|| "best, debiased, plain, weighted or counts".to_owned())
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
            let found = line::list(&self.images, &Reading::default(), &()).map_err(usage)?;
            // Nobody ends it but a signal that ends the process.
            let Some(Found { images, problems, .. }) = found else { return Ok(Exit::Incomplete) };
            let join = Join::new(&table, images.iter().map(|image| image.entry.id.as_str()));
            out += &join.to_string();
            for problem in &problems {
                out += &format!("{}\n", shown::line(problem));
                exit = Exit::Flawed;
            }
        }
        if let Some(path) = &self.output {
            if path.as_os_str() == "-" {
                // What a person reads goes where it does not mix with the table.
                let _ = write!(io::stderr(), "{}", shown::text(&out));
                print_table(&table.to_csv())?;
                return Ok(exit);
            }
            let inputs = [Some(&self.table), self.votes.as_ref(), self.rules.as_ref()];
            let inputs: Vec<&Path> = inputs.into_iter().flatten().map(PathBuf::as_path).collect();
            table.write_csv(path, &inputs).map_err(of_labels)?;
            let labels = format::counted(table.rows.len() as u64, "label", "labels");
            out += &format!("{labels}: {}\n", shown::line(path.display()));
        }
        print(&out)?;
        Ok(exit)
    }

    /// The labels of the table, and in `out` what became of votes.
    fn read(&self, out: &mut String) -> Result<LabelTable, CliError> {
        let id = self.id_column.as_deref();
        let split = self.split_column.as_deref();
        let columns = LabelColumns { id, split, foreign_splits: false };
        let wanted = Wanted { kind: self.fractions, campaign: self.campaign.clone() };
        let of_votes = self.votes.is_some() || wanted.kind.is_some() || wanted.campaign.is_some();
        let mut no_labels = None;
        if !of_votes {
            match labels(&self.table, columns) {
                Ok(table) => return Ok(table),
                // No labels: votes, or an error that says both.
                Err(error @ (LabelError::MissingColumn { .. } | LabelError::NoIds { .. }))
                    if self.split_column.is_none() =>
                {
                    no_labels = Some(error);
                }
                Err(error) => return Err(usage(error)),
            }
        }
        let rules = match &self.rules {
            Some(path) => Rules::read(path),
            None => Rules::paper(),
        };
        let votes = VoteTable::open(&self.table, self.votes.as_deref(), id, &wanted);
        let votes = votes.map_err(|error| match (error, no_labels) {
            // No votes either: without ids it is nothing at all.
            (LabelError::UnknownTable { .. }, Some(error @ LabelError::NoIds { .. })) => {
                usage(error)
            }
            (error, _) => usage(error),
        })?;
        let sample = rules.and_then(|rules| rules.apply(&votes)).map_err(usage)?;
        *out += &format!("{}, fractions of votes: {}\n", votes.schema.title, votes.told);
        for note in &votes.schema.notes {
            *out += &format!("{note}\n");
        }
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
