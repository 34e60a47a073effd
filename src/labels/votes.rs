//! Votes by id: fractions made cumulative whatever the table holds, and numbers
//! of votes where it has them.
//!
//! The schema says where the answers are; what the fractions are fractions of is
//! held against it, or told, by `semantics`, because nothing else would
//! show a wrong one: the same thresholds would silently select other galaxies.
//! What becomes of the votes is left to [`super::clean`] and to training.
//!
//! A question that nobody was asked is unknown, whether the table writes 0, an
//! empty cell or NaN.
//!
//! Invariants of a [`VoteTable`]: ids are unique; fractions are from 0 to 1 but
//! for rounding, and cumulative, or NaN where they are not known; numbers of
//! votes are not negative.

use std::path::Path;

use super::grammar::{self, Wanted};
use super::panoptes;
use super::schema::{Counted, Measure, Semantics, VoteSchema};
use super::semantics::Evidence;
use super::table::Ids;
use super::{LabelError, cells};
use crate::tree::{Question, Tree};

/// How far a fraction may lie outside of 0 to 1: debiased ones do by rounding.
const SLACK: f64 = 0.1;

/// Galaxies and what volunteers said of them.
#[derive(Debug, Clone, PartialEq)]
pub struct VoteTable {
    /// What the fractions answer.
    pub schema: VoteSchema,
    /// Ids, in the order of the file.
    pub ids: Vec<String>,
    /// Cumulative fractions, `ids.len()` rows of `schema.answers().len()`; NaN
    /// where they are not known.
    pub fractions: Vec<f64>,
    /// How many gave each answer, as many rows, where the table says.
    pub counts: Option<Vec<f32>>,
    /// What the fractions were found to be, in words for a person.
    pub told: String,
}

impl VoteTable {
    /// Reads a vote table and multiplies conditional fractions down the tree.
    ///
    /// # Errors
    /// [`LabelError`], with the row; [`LabelError::Semantics`] if many rows
    /// contradict what the schema says of the fractions, [`LabelError::Unclear`]
    /// if it does not say and they are nearer to neither.
    pub fn read(path: &Path, mut schema: VoteSchema) -> Result<Self, LabelError> {
        let raw = Raw::read(path, &schema)?;
        let Raw { ids, mut values, counts } = raw;
        if schema.measure == Measure::Counts && are_fractions(&values) {
            schema.measure = Measure::Fractions;
            schema.assumed = true;
            schema.counted = Counted::Nowhere;
            schema.notes.push("what looks like numbers of votes are fractions".to_owned());
        }
        let answers = schema.columns.len();
        let counts = match schema.measure {
            Measure::Fractions => counts,
            Measure::Counts => {
                Some(values.iter().map(|v| if v.is_nan() { 0.0 } else { *v as f32 }).collect())
            }
        };
        let mut evidence = Evidence::new(&schema);
        for (row, own) in (1..).zip(values.chunks_exact_mut(answers)) {
            for question in schema.tree.questions() {
                let own = &mut own[question.answers.clone()];
                let sum: f64 = own.iter().filter(|v| !v.is_nan()).sum();
                if sum == 0.0 {
                    own.fill(f64::NAN);
                } else if schema.measure == Measure::Counts {
                    own.iter_mut().for_each(|v| *v = if v.is_nan() { 0.0 } else { *v / sum });
                }
            }
            evidence.weigh(&schema, row, own);
        }
        let told = match schema.measure {
            Measure::Fractions => evidence.judge(path, &mut schema)?,
            Measure::Counts => "numbers of votes".to_owned(),
        };
        let semantics = schema.of_questions();
        for own in values.chunks_exact_mut(answers) {
            schema.tree.make_cumulative(&semantics, own);
        }
        Ok(Self { schema, ids, fractions: values, counts, told })
    }

    /// Votes from any table that holds some: of a schema that is named, of one
    /// that the program holds, of columns whose names say what they are, or
    /// Panoptes' exports. `id` names the column of ids.
    ///
    /// # Errors
    /// As [`read`](Self::read) and [`known_schema`](Self::known_schema).
    pub fn open(
        path: &Path,
        named: Option<&Path>,
        id: Option<&str>,
        wanted: &Wanted,
    ) -> Result<Self, LabelError> {
        if let Some(named) = named {
            let mut schema = VoteSchema::read(named)?;
            if let Some(id) = id {
                schema.id = vec![id.to_owned()];
            }
            return Self::read(path, schema);
        }
        let header = cells::header(path)?;
        match panoptes::Export::of(&header) {
            Some(export) => export.read(path, &header, id, wanted.campaign.as_deref()),
            None => Self::read(path, Self::of_header(path, &header, id, wanted)?),
        }
    }

    /// The schema that the program holds for this table, or that the names of its
    /// columns give; `id` names that of the ids, where it is none of the usual.
    ///
    /// # Errors
    /// [`LabelError::UnknownTable`] if there is none.
    pub fn known_schema(path: &Path, id: Option<&str>) -> Result<VoteSchema, LabelError> {
        Self::of_header(path, &cells::header(path)?, id, &Wanted::default())
    }

    fn of_header(
        path: &Path,
        header: &[String],
        id: Option<&str>,
        wanted: &Wanted,
    ) -> Result<VoteSchema, LabelError> {
        let mut schemas = VoteSchema::built_in()?;
        if let Some(id) = id {
            schemas.iter_mut().for_each(|schema| schema.id = vec![id.to_owned()]);
        }
        let names: Vec<String> = schemas.iter().map(|s| s.name.clone()).collect();
        let there = |name: &String| cells::place(header, &[name]).is_some();
        let fits =
            |schema: &VoteSchema| schema.id.iter().any(there) && schema.columns.iter().all(there);
        // What is asked for by name is looked for by names.
        if wanted.kind.is_none()
            && wanted.campaign.is_none()
            && let Some(schema) = schemas.into_iter().find(fits)
        {
            return Ok(schema);
        }
        let wrong = |what| LabelError::Definition { path: path.to_owned(), what };
        let found = grammar::schema(header, wanted).map_err(wrong)?;
        let mut found = found.ok_or_else(|| LabelError::UnknownTable {
            path: path.to_owned(),
            schemas: names.join(", "),
        })?;
        if let Some(id) = id {
            found.id = vec![id.to_owned()];
        }
        Ok(found)
    }

    /// How many answers there are.
    pub fn answers(&self) -> usize {
        self.schema.columns.len()
    }

    /// The fractions of a galaxy, by its place, with these semantics; NaN where
    /// they are not known.
    pub fn fractions(&self, row: usize, semantics: Semantics) -> Vec<f64> {
        let answers = self.answers();
        let cumulative = &self.fractions[row * answers..(row + 1) * answers];
        match semantics {
            Semantics::Cumulative => cumulative.to_vec(),
            Semantics::Conditional => self.schema.tree.conditional(cumulative),
        }
    }

    /// Fractions of those who were asked, of every answer of another tree, galaxy by
    /// galaxy: of its questions all of whose answers are here, in shares that add up to
    /// 1; NaN for others, and where they are not known. With them the names of the
    /// questions that are here.
    pub fn in_tree<'a>(&self, tree: &'a Tree) -> (Vec<Vec<f64>>, Vec<&'a str>) {
        let places: Vec<Option<usize>> = (0..tree.answers().len())
            .map(|answer| self.schema.tree.answer(&tree.path(answer)))
            .collect();
        let whole = |q: &&Question| places[q.answers.clone()].iter().all(Option::is_some);
        let there: Vec<&Question> = tree.questions().iter().filter(whole).collect();
        let row = |row: usize| {
            let own = self.fractions(row, Semantics::Conditional);
            let mut found = vec![f64::NAN; places.len()];
            for question in &there {
                let of: Vec<f64> =
                    places[question.answers.clone()].iter().flatten().map(|&a| own[a]).collect();
                let sum: f64 = of.iter().sum();
                if sum.is_finite() && sum > 0.0 {
                    let of = of.iter().map(|v| (v / sum).max(0.0));
                    found[question.answers.clone()].iter_mut().zip(of).for_each(|(f, v)| *f = v);
                }
            }
            found
        };
        let rows = (0..self.ids.len()).map(row).collect();
        (rows, there.into_iter().map(|question| question.name.as_str()).collect())
    }

    /// How many answered each question of a galaxy, by its place; `None` where the
    /// table does not say.
    pub fn asked(&self, row: usize) -> Option<Vec<f32>> {
        let answers = self.answers();
        let own = &self.counts.as_ref()?[row * answers..(row + 1) * answers];
        let sum = |question: &Question| own[question.answers.clone()].iter().sum();
        Some(self.schema.tree.questions().iter().map(sum).collect())
    }
}

/// The cells of a table as numbers.
struct Raw {
    ids: Vec<String>,
    values: Vec<f64>,
    counts: Option<Vec<f32>>,
}

impl Raw {
    fn read(path: &Path, schema: &VoteSchema) -> Result<Self, LabelError> {
        let answers = schema.columns.len();
        let mut counted = false;
        let select = |header: &[String]| {
            let id: Vec<&str> = schema.id.iter().map(String::as_str).collect();
            let needed = |name: &String| {
                cells::place(header, &[name]).ok_or_else(|| cells::missing(path, header, name))
            };
            let mut wanted = vec![cells::id_place(path, header, None, &id)?];
            for column in &schema.columns {
                wanted.push(needed(column)?);
            }
            let more: Vec<&String> = match &schema.counted {
                Counted::Nowhere => Vec::new(),
                Counted::Columns(columns) => columns.iter().collect(),
                Counted::Shares(shares, totals) => shares.iter().chain(totals).collect(),
            };
            // A table of the schema need not have them.
            let places: Option<Vec<usize>> =
                more.iter().map(|name| cells::place(header, &[name.as_str()])).collect();
            if let Some(places) = places.filter(|places| !places.is_empty()) {
                counted = true;
                wanted.extend(places);
            }
            Ok(wanted)
        };
        let mut raw = Self { ids: Vec::new(), values: Vec::new(), counts: None };
        let mut counts: Vec<f32> = Vec::new();
        let mut seen = Ids::new(path);
        cells::each_row(path, select, |row, cells| {
            let id = cells[0];
            seen.insert(row, id)?;
            let fraction = |v: f64| (-SLACK..=1.0 + SLACK).contains(&v);
            let count = |v: f64| v >= 0.0 && v.is_finite();
            let read = |place: usize, is: &dyn Fn(f64) -> bool, count: bool| {
                let text = cells[place];
                let value = number(text).filter(|value| value.is_none_or(is));
                value.ok_or_else(|| {
                    let column = schema.column(place);
                    let (path, id, value) = (path.to_owned(), id.to_owned(), text.to_owned());
                    match count {
                        true => LabelError::NotACount { path, row, id, column, value },
                        false => LabelError::NotAFraction { path, row, id, column, value },
                    }
                })
            };
            for place in 1..=answers {
                let value = match schema.measure {
                    Measure::Fractions => read(place, &fraction, false)?,
                    Measure::Counts => read(place, &count, true)?,
                };
                raw.values.push(value.unwrap_or(f64::NAN));
            }
            // Without columns of counts there are no further cells.
            if cells.len() > answers + 1 {
                match &schema.counted {
                    Counted::Nowhere => {}
                    Counted::Columns(_) => {
                        for place in answers + 1..=2 * answers {
                            counts.push(read(place, &count, true)?.unwrap_or(0.0) as f32);
                        }
                    }
                    Counted::Shares(..) => {
                        for answer in 0..answers {
                            let share = read(answers + 1 + answer, &fraction, false)?;
                            let question = schema.tree.answers()[answer].question;
                            let total = read(2 * answers + 1 + question, &count, true)?;
                            let votes = share.unwrap_or(0.0) * total.unwrap_or(0.0);
                            counts.push(votes.max(0.0) as f32);
                        }
                    }
                }
            }
            raw.ids.push(id.to_owned());
            Ok(())
        })?;
        raw.counts = counted.then_some(counts);
        Ok(raw)
    }
}

impl VoteSchema {
    /// The name of the column that is read as cell `place` of a row, that of the
    /// ids being the first.
    fn column(&self, place: usize) -> String {
        let answers = self.columns.len();
        let name = match (place.checked_sub(answers + 1), &self.counted) {
            (None, _) => place.checked_sub(1).and_then(|place| self.columns.get(place)),
            (Some(place), Counted::Columns(columns)) => columns.get(place),
            (Some(place), Counted::Shares(shares, totals)) => {
                shares.get(place).or_else(|| totals.get(place - shares.len()))
            }
            (Some(_), Counted::Nowhere) => None,
        };
        name.cloned().unwrap_or_else(|| "id".to_owned())
    }
}

/// A number, or none where the cell says that there is none; `None` for what is no
/// number.
#[allow(clippy::option_option, reason = "no number, and a cell without one")]
fn number(text: &str) -> Option<Option<f64>> {
    const MISSING: [&str; 8] = ["", "nan", "null", "none", "na", "n/a", "--", "masked"];
    if MISSING.iter().any(|missing| text.eq_ignore_ascii_case(missing)) {
        return Some(None);
    }
    text.parse::<f64>().ok().filter(|value| !value.is_nan()).map(Some)
}

/// Whether what is called numbers of votes are fractions: none is greater than 1,
/// and some are no whole numbers.
fn are_fractions(values: &[f64]) -> bool {
    let known = || values.iter().filter(|v| !v.is_nan());
    known().all(|v| *v <= 1.0) && known().any(|v| v.fract() != 0.0)
}

#[cfg(test)]
#[path = "votes_tests.rs"]
mod tests;
