//! `metrics.csv`: a line an epoch, beside the checkpoints.
//!
//! The text of the file is made and read here; who writes when is the
//! training loop's business. Columns are found by name, so that more may be
//! added.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::labels::table::quoted;
use crate::limits;
use crate::storage::file;

pub use crate::events::Epoch;

/// The columns of every `metrics.csv`; after them comes `recall_<class>` for
/// each class on validation.
pub const COLUMNS: [&str; 10] = [
    "model",
    "epoch",
    "size",
    "learning_rate",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "images_per_s",
    "seconds",
];

/// Why a `metrics.csv` cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// It is not there, or cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A column is missing.
    #[error("{path}: no column {column}")]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// Its name.
        column: &'static str,
    },
    /// A value is none.
    #[error("{path}: line {line}: {column} is {value:?}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Line of the file, from 1.
        line: usize,
        /// The column.
        column: &'static str,
        /// What stands there.
        value: String,
    },
}

/// The first line of the file for models that tell `classes` apart (of all
/// models of the run together).
pub fn header(classes: &[String]) -> String {
    let mut text = COLUMNS.join(",");
    for class in classes {
        let _ = write!(text, ",{}", quoted(&format!("recall_{class}")));
    }
    text.push('\n');
    text
}

impl Epoch {
    /// The epoch's line, under the header for the same `classes`; a class that
    /// the model does not tell apart stays empty.
    pub fn line(&self, classes: &[String]) -> String {
        let mut text = format!(
            "{},{},{},{:e},{:.6},{:.6},{:.6},{:.6},{:.2},{:.1}",
            self.model,
            self.epoch,
            self.size,
            self.learning_rate,
            self.train_loss,
            self.train_accuracy,
            self.val_loss,
            self.val_accuracy,
            self.images_per_s,
            self.seconds
        );
        for class in classes {
            text.push(',');
            if let Some((_, recall)) = self.recall.iter().find(|(name, _)| name == class) {
                let _ = write!(text, "{recall:.6}");
            }
        }
        text.push('\n');
        text
    }
}

/// Reads a `metrics.csv`. A last line without an end was being written when
/// the run was killed, and is left out.
///
/// # Errors
/// [`HistoryError`], with the line.
pub fn read(path: &Path) -> Result<Vec<Epoch>, HistoryError> {
    let text = file::read_text(path, limits::settings::HISTORY)
        .map_err(|source| HistoryError::Unreadable { path: path.to_owned(), source })?;
    parse(&text, path)
}

/// The epochs of a `metrics.csv` from its text; `path` is for errors.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str, path: &Path) -> Result<Vec<Epoch>, HistoryError> {
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(whole.as_bytes());
    // Of text, in lines of any length, nothing can be wrong.
    let mut lines = reader.records().map_while(Result::ok);
    let names = lines.next().unwrap_or_default();
    let mut places = [0; COLUMNS.len()];
    for (place, column) in places.iter_mut().zip(COLUMNS) {
        *place = names
            .iter()
            .position(|name| name == column)
            .ok_or_else(|| HistoryError::MissingColumn { path: path.to_owned(), column })?;
    }
    let recalls: Vec<(usize, &str)> = names
        .iter()
        .enumerate()
        .filter_map(|(place, name)| Some((place, name.strip_prefix("recall_")?)))
        .collect();

    let mut epochs = Vec::new();
    for cells in lines {
        let text = |column: usize| cells.get(places[column]).unwrap_or_default();
        let wrong = |column: usize| HistoryError::Value {
            path: path.to_owned(),
            line: cells.position().map_or(0, |at| at.line() as usize),
            column: COLUMNS[column],
            value: text(column).to_owned(),
        };
        let number = |column: usize| text(column).parse().map_err(|_| wrong(column));
        epochs.push(Epoch {
            model: text(0).to_owned(),
            epoch: text(1).parse().map_err(|_| wrong(1))?,
            size: text(2).parse().map_err(|_| wrong(2))?,
            learning_rate: number(3)?,
            train_loss: number(4)?,
            train_accuracy: number(5)?,
            val_loss: number(6)?,
            val_accuracy: number(7)?,
            images_per_s: number(8)?,
            seconds: number(9)?,
            recall: recalls
                .iter()
                .filter_map(|&(place, name)| {
                    Some((name.to_owned(), cells.get(place)?.parse().ok()?))
                })
                .collect(),
        });
    }
    Ok(epochs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(model: &str, recall: &[(&str, f64)]) -> Epoch {
        Epoch {
            model: model.into(),
            epoch: 3,
            size: 240,
            learning_rate: 0.005,
            train_loss: 0.25,
            train_accuracy: 0.9375,
            val_loss: 0.5,
            val_accuracy: 0.875,
            images_per_s: 10.25,
            seconds: 2304.5,
            recall: recall.iter().map(|(name, r)| ((*name).into(), *r)).collect(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let classes = ["CRS", "smooth, \"round\"", "EO"].map(String::from);
        let second = [(&*classes[1], 0.5), ("EO", 1.0)];
        let epochs = [epoch("stage1", &[("CRS", 0.75)]), epoch("stage2", &second)];
        let mut text = header(&classes);
        for epoch in &epochs {
            text.push_str(&epoch.line(&classes));
        }
        assert_eq!(parse(&text, Path::new("metrics.csv")).unwrap(), epochs);
        let cut = &text[..text.len() - 3];
        assert_eq!(parse(cut, Path::new("metrics.csv")).unwrap(), epochs[..1]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = header(&[]) + &epoch("single", &[]).line(&[]);
        let cases = [
            (good.replace("val_loss", "loss"), "no column val_loss"),
            (good.replace("0.937500", "high"), "line 2: train_accuracy is \"high\""),
            (String::new(), "no column model"),
        ];
        for (text, phrase) in cases {
            let error = parse(&text, Path::new("metrics.csv")).unwrap_err().to_string();
            assert!(error.contains(phrase), "{error}");
        }
    }
}
