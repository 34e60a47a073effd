//! Labels by id: `id,label[,split]` from CSV (also gzipped) or Parquet.
//!
//! Where labels come from votes, [`super::clean`] makes the table. Which
//! images exist is left to [`super::join`].
//!
//! Invariants of a [`LabelTable`]: ids are unique; every class index is that
//! of a class; either every row has a split or none has.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ids::{self, ID_COLUMNS};
use super::{LabelError, cells};
use crate::limits::output::QUOTED;
use crate::limits::shortened;
use crate::limits::table::ID;
use crate::limits::tree::{ANSWERS, NAME};
use crate::random;
use crate::storage::{digest::hex, output};
use crate::words::counted;

/// Names that the column of labels may have.
pub const LABEL_COLUMNS: [&str; 2] = ["label", "class"];

/// What a galaxy is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// The network learns from it.
    Train,
    /// Epochs and models are chosen by it.
    Val,
    /// Nothing is chosen by it.
    Test,
}

impl Split {
    /// Every split.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }

    /// The split of this name; `valid` and `validation` are `val`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" => Some(Self::Val),
            "test" => Some(Self::Test),
            _ => None,
        }
    }
}

/// One galaxy and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// Its id, as the table writes it.
    pub id: String,
    /// The place of its class in [`LabelTable::classes`].
    pub class: usize,
    /// What it is used for, once that is decided.
    pub split: Option<Split>,
}

/// Columns of a label table that are called otherwise than usual.
#[derive(Debug, Clone, Copy, Default)]
pub struct LabelColumns<'a> {
    /// Of ids; otherwise the first of [`ID_COLUMNS`] that is there.
    pub id: Option<&'a str>,
    /// Of splits, which then must be there; otherwise `split`, if there is one.
    pub split: Option<&'a str>,
    /// Whether splits of other names than train, val and test are none, and no error: where
    /// nobody asked for a split.
    pub foreign_splits: bool,
}

/// Galaxies and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelTable {
    /// Names of the classes, in the order of a network's outputs.
    pub classes: Vec<String>,
    /// Galaxies, in the order of the file.
    pub rows: Vec<Labelled>,
}

impl LabelTable {
    /// Reads a table with a column of ids, `label` and, if it is there, `split`
    /// (or the columns that are named).
    /// Labels must be among `classes`; without them, the classes are the
    /// labels found, sorted.
    ///
    /// # Errors
    /// [`LabelError`], with the row.
    pub fn read(
        path: &Path,
        classes: Option<&[&str]>,
        columns: LabelColumns<'_>,
    ) -> Result<Self, LabelError> {
        let mut names: Vec<String> =
            classes.unwrap_or_default().iter().map(|c| (*c).into()).collect();
        let mut rows = Vec::new();
        let mut ids = Ids::new(path);
        each_label(path, columns, |row, id, label, split| {
            ids.insert(row, id)?;
            if label.is_empty() {
                let (path, id) = (path.to_owned(), id.to_owned());
                return Err(LabelError::NoLabel { path, row, id });
            }
            let unknown = || LabelError::UnknownLabel {
                path: path.to_owned(),
                row,
                id: id.to_owned(),
                label: shortened(label, QUOTED).into_owned(),
                known: classes.map_or_else(|| "any text".into(), |c| c.join(", ")),
            };
            let class = match names.iter().position(|n| n == label) {
                Some(class) => class,
                None if classes.is_none() => {
                    bounded(path, row, "a label", label, NAME)?;
                    if names.len() == ANSWERS {
                        let label = shortened(label, QUOTED).into_owned();
                        let (path, limit) = (path.to_owned(), ANSWERS);
                        return Err(LabelError::TooManyClasses { path, row, limit, label });
                    }
                    names.push(label.to_owned());
                    names.len() - 1
                }
                None => return Err(unknown()),
            };
            let known = split.map(|name| {
                Split::from_name(name).ok_or_else(|| LabelError::UnknownSplit {
                    path: path.to_owned(),
                    row,
                    id: id.to_owned(),
                    split: shortened(name, QUOTED).into_owned(),
                })
            });
            let split = match known {
                Some(Err(_)) if columns.foreign_splits => None,
                known => known.transpose()?,
            };
            rows.push(Labelled { id: id.to_owned(), class, split });
            Ok(())
        })?;
        let mut table = Self { classes: names, rows };
        if classes.is_none() {
            table.sort_classes();
        }
        Ok(table)
    }

    /// The rows of a table whose labels are among `classes`, and of every other
    /// label how many rows were left out; `whose` the classes are is for errors.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`LabelError::OtherClasses`] if no row is left.
    pub fn read_within(
        path: &Path,
        (whose, classes): (&str, &[&str]),
        columns: LabelColumns<'_>,
    ) -> Result<(Self, LeftOut), LabelError> {
        let all = Self::read(path, None, columns)?;
        let place = |name: &String| classes.iter().position(|class| class == name);
        let places: Vec<Option<usize>> = all.classes.iter().map(place).collect();
        let mut left: BTreeMap<String, usize> = BTreeMap::new();
        let mut rows = Vec::with_capacity(all.rows.len());
        for row in all.rows {
            match places[row.class] {
                Some(class) => rows.push(Labelled { class, ..row }),
                None => *left.entry(all.classes[row.class].clone()).or_default() += 1,
            }
        }
        if rows.is_empty() {
            let some: Vec<&str> = left.keys().take(8).map(String::as_str).collect();
            let more = if left.len() > 8 { ", …" } else { "" };
            return Err(LabelError::OtherClasses {
                path: path.to_owned(),
                found: some.join(", ") + more,
                whose: whose.to_owned(),
                known: classes.join(", "),
            });
        }
        let classes = classes.iter().map(|class| (*class).to_owned()).collect();
        Ok((Self { classes, rows }, LeftOut(left)))
    }

    /// Whether it is decided what each galaxy is used for.
    pub fn is_split(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|r| r.split.is_some())
    }

    /// The rows of a split.
    pub fn of(&self, split: Split) -> impl Iterator<Item = &Labelled> {
        self.rows.iter().filter(move |r| r.split == Some(split))
    }

    /// How many galaxies there are of each class and split.
    pub fn counts(&self) -> Counts {
        let mut counts = vec![[0; 4]; self.classes.len()];
        for row in &self.rows {
            let column = row.split.map_or(3, |s| s as usize);
            counts[row.class][column] += 1;
        }
        Counts { classes: self.classes.clone(), counts }
    }

    /// SHA-256 of ids, labels and splits, whatever the order of the rows,
    /// hexadecimal: what a checkpoint says it was trained on.
    pub fn digest(&self) -> String {
        let mut lines: Vec<String> = self.rows.iter().map(|row| self.line(row)).collect();
        lines.sort_unstable();
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        hex(&random::digest("labels", 0, &lines))
    }

    /// Writes [`to_csv`](Self::to_csv) into a new file, which appears whole.
    /// `inputs` are the files that it was made of, and not replaced.
    ///
    /// # Errors
    /// [`LabelError::Unwritable`].
    pub fn write_csv(&self, path: &Path, inputs: &[&Path]) -> Result<(), LabelError> {
        output::refuse_all(&[(Some(path), output::CSV)], inputs)?;
        Ok(output::write(path, self.to_csv().as_bytes(), inputs)?)
    }

    /// The table as `id,label` and, once it is decided, `split`.
    pub fn to_csv(&self) -> String {
        // A column of splits promises one for every row.
        let split = self.is_split();
        let mut text = String::from(if split { "id,label,split\n" } else { "id,label\n" });
        for row in &self.rows {
            let line = self.line(row);
            let kept = if split { &line } else { line.trim_end_matches(',') };
            text.push_str(kept);
            text.push('\n');
        }
        text
    }

    fn line(&self, row: &Labelled) -> String {
        let split = row.split.map_or("", Split::name);
        format!("{},{},{split}", quoted(&row.id), quoted(&self.classes[row.class]))
    }

    fn sort_classes(&mut self) {
        let mut order: Vec<usize> = (0..self.classes.len()).collect();
        order.sort_by(|&a, &b| self.classes[a].cmp(&self.classes[b]));
        for row in &mut self.rows {
            row.class = order.iter().position(|&o| o == row.class).unwrap_or(row.class);
        }
        self.classes.sort_unstable();
    }
}

/// A CSV field, quoted where it must be (RFC 4180).
pub(crate) fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// Calls `row` with number, id, label and split of each row.
fn each_label(
    path: &Path,
    columns: LabelColumns<'_>,
    mut row: impl FnMut(u64, &str, &str, Option<&str>) -> Result<(), LabelError>,
) -> Result<(), LabelError> {
    let select = |header: &[String]| {
        let needed = |names: &[&str]| {
            cells::place(header, names)
                .ok_or_else(|| cells::missing(path, header, &names.join(" or ")))
        };
        let id = cells::id_place(path, header, columns.id, &ID_COLUMNS)?;
        let mut wanted = vec![id, needed(&LABEL_COLUMNS)?];
        match columns.split {
            Some(name) => wanted.push(needed(&[name])?),
            None => wanted.extend(cells::place(header, &["split"])),
        }
        Ok(wanted)
    };
    cells::each_row(path, select, |number, cells| {
        row(number, cells[0], cells[1], cells.get(2).copied())
    })
}

/// Refuses a text that is too long for what it is.
fn bounded(
    path: &Path,
    row: u64,
    what: &'static str,
    text: &str,
    limit: usize,
) -> Result<(), LabelError> {
    if text.len() <= limit {
        return Ok(());
    }
    let (bytes, text) = (text.len(), shortened(text, QUOTED).into_owned());
    Err(LabelError::TooLong { path: path.to_owned(), row, what, bytes, text, limit })
}

/// Finds ids that are missing, no ids, or there twice.
pub(super) struct Ids<'a> {
    path: &'a Path,
    rows: HashMap<String, u64>,
}

impl<'a> Ids<'a> {
    pub(super) fn new(path: &'a Path) -> Self {
        Self { path, rows: HashMap::new() }
    }

    pub(super) fn insert(&mut self, row: u64, id: &str) -> Result<(), LabelError> {
        let path = || self.path.to_owned();
        if id.is_empty() {
            return Err(LabelError::NoId { path: path(), row });
        }
        bounded(self.path, row, "an id", id, ID)?;
        if ids::is_float(id) {
            return Err(LabelError::FloatId { path: path(), row, id: id.to_owned() });
        }
        match self.rows.insert(id.to_owned(), row) {
            Some(first) => {
                Err(LabelError::DuplicateId { path: path(), row, first, id: id.to_owned() })
            }
            None => Ok(()),
        }
    }
}

/// Rows of labels that are no class, by label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut(pub BTreeMap<String, usize>);

impl LeftOut {
    /// What to tell a person; `None` if there are none.
    pub fn note(&self) -> Option<String> {
        let rows: usize = self.0.values().sum();
        let mut some: Vec<String> =
            self.0.iter().take(8).map(|(label, rows)| format!("{rows} {label:?}")).collect();
        if self.0.len() > 8 {
            some.push("…".to_owned());
        }
        (rows > 0).then(|| {
            let (one, more) =
                ("label is of no class here and is", "labels are of no class here and are");
            format!("{} left out: {}", counted(rows as u64, one, more), some.join(", "))
        })
    }
}

/// Galaxies a class and split. Its [`Display`](fmt::Display) is a table for a
/// person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    classes: Vec<String>,
    /// A class: train, val, test, undecided.
    counts: Vec<[usize; 4]>,
}

impl Counts {
    /// Galaxies of a class in a split; `None` for those not yet in one.
    pub fn get(&self, class: usize, split: Option<Split>) -> usize {
        self.counts[class][split.map_or(3, |s| s as usize)]
    }

    /// Galaxies of a class.
    pub fn of_class(&self, class: usize) -> usize {
        self.counts[class].iter().sum()
    }

    /// Galaxies of all classes in a split; `None` for those not yet in one.
    pub fn of_split(&self, split: Option<Split>) -> usize {
        (0..self.counts.len()).map(|class| self.get(class, split)).sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut splits: Vec<Option<Split>> = Split::ALL.map(Some).to_vec();
        splits.push(None);
        splits.retain(|&split| self.of_split(split) > 0);
        let width = self.classes.iter().map(|c| c.chars().count()).max().unwrap_or(0).max(5);
        write!(f, "{:width$}", "class")?;
        for split in &splits {
            write!(f, " {:>9}", split.map_or("undecided", Split::name))?;
        }
        writeln!(f, " {:>9}", "total")?;
        for (class, name) in self.classes.iter().enumerate() {
            write!(f, "{name:width$}")?;
            for &split in &splits {
                write!(f, " {:>9}", self.get(class, split))?;
            }
            writeln!(f, " {:>9}", self.of_class(class))?;
        }
        write!(f, "{:width$}", "total")?;
        for &split in &splits {
            write!(f, " {:>9}", self.of_split(split))?;
        }
        let total: usize = (0..self.counts.len()).map(|class| self.of_class(class)).sum();
        writeln!(f, " {total:>9}")
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
