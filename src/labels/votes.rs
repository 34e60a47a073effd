//! Vote fractions by id, made cumulative whatever the table holds.
//!
//! The schema says what a table's fractions are; the table is checked against
//! it, because nothing else would show a wrong schema: the same thresholds
//! would silently select other galaxies. What becomes of the votes is left to
//! [`super::clean`].
//!
//! Invariants of a [`VoteTable`]: ids are unique; fractions are finite, from 0
//! to 1 but for rounding, and cumulative.

use std::path::Path;

use super::schema::{Semantics, VoteSchema};
use super::table::Ids;
use super::{LabelError, cells};
use crate::tree::Tree;

/// How far a sum of fractions may be off before a row counts as evidence
/// against the schema: debiased fractions add up to 1 only nearly, and
/// published tables round to three digits.
const SLACK: f64 = 0.1;

/// Galaxies and what volunteers said of them.
#[derive(Debug, Clone, PartialEq)]
pub struct VoteTable {
    /// What the fractions answer.
    pub schema: VoteSchema,
    /// Ids, in the order of the file.
    pub ids: Vec<String>,
    /// Cumulative fractions, `ids.len()` rows of `schema.answers().len()`.
    pub fractions: Vec<f64>,
}

impl VoteTable {
    /// Reads a vote table and multiplies conditional fractions down the tree.
    ///
    /// # Errors
    /// [`LabelError`], with the row; [`LabelError::Semantics`] if most rows
    /// contradict what the schema says of the fractions.
    pub fn read(path: &Path, schema: VoteSchema) -> Result<Self, LabelError> {
        let (columns, semantics) = (&schema.columns, schema.of_questions());
        let select = |header: &[String]| {
            let id: Vec<&str> = schema.id.iter().map(String::as_str).collect();
            let needed = |names: &[&str]| {
                cells::place(header, names)
                    .ok_or_else(|| cells::missing(path, header, &names.join(" or ")))
            };
            let mut wanted = vec![cells::id_place(path, header, None, &id)?];
            for column in columns {
                wanted.push(needed(&[column])?);
            }
            Ok(wanted)
        };

        let mut ids = Vec::new();
        let mut fractions: Vec<f64> = Vec::new();
        let mut seen = Ids::new(path);
        let mut evidence = Evidence::new(&schema.tree, &semantics);
        cells::each_row(path, select, |row, cells| {
            let id = cells[0];
            seen.insert(row, id)?;
            let start = fractions.len();
            for (column, text) in columns.iter().zip(&cells[1..]) {
                let value = text.parse().ok().filter(|v| (-SLACK..=1.0 + SLACK).contains(v));
                fractions.push(value.ok_or_else(|| LabelError::NotAFraction {
                    path: path.to_owned(),
                    row,
                    id: id.to_owned(),
                    column: column.clone(),
                    value: (*text).to_owned(),
                })?);
            }
            let own = &mut fractions[start..];
            evidence.weigh(row, own);
            schema.tree.make_cumulative(&semantics, own);
            ids.push(id.to_owned());
            Ok(())
        })?;
        evidence.judge(path, &schema)?;
        Ok(Self { schema, ids, fractions })
    }

    /// The schema that the program holds for this table, by its columns; `id`
    /// names that of the ids, where it is none of the schema's.
    ///
    /// # Errors
    /// [`LabelError::UnknownTable`] if there is none.
    pub fn known_schema(path: &Path, id: Option<&str>) -> Result<VoteSchema, LabelError> {
        let header = cells::header(path)?;
        let mut schemas = VoteSchema::built_in()?;
        if let Some(id) = id {
            schemas.iter_mut().for_each(|schema| schema.id = vec![id.to_owned()]);
        }
        let names: Vec<String> = schemas.iter().map(|s| s.name.clone()).collect();
        let fits = |schema: &VoteSchema| {
            schema.id.iter().any(|id| header.contains(id))
                && schema.columns.iter().all(|column| header.contains(column))
        };
        schemas.into_iter().find(fits).ok_or_else(|| LabelError::UnknownTable {
            path: path.to_owned(),
            schemas: names.join(", "),
        })
    }

    /// The fractions of a galaxy, by its place, with these semantics.
    pub fn fractions(&self, row: usize, semantics: Semantics) -> Vec<f64> {
        let answers = self.fractions.len() / self.ids.len().max(1);
        let cumulative = &self.fractions[row * answers..(row + 1) * answers];
        match semantics {
            Semantics::Cumulative => cumulative.to_vec(),
            Semantics::Conditional => self.schema.tree.conditional(cumulative),
        }
    }
}

/// Counts rows whose sums contradict the schema, question by question.
struct Evidence<'a> {
    tree: &'a Tree,
    /// What each question's fractions are by the schema.
    semantics: &'a [Semantics],
    /// A question: rows that tell, rows that contradict, the first of them.
    counts: Vec<(u64, u64, u64)>,
}

impl<'a> Evidence<'a> {
    fn new(tree: &'a Tree, semantics: &'a [Semantics]) -> Self {
        Self { tree, semantics, counts: vec![(0, 0, 0); semantics.len()] }
    }

    /// Looks at the raw fractions of a row. Only questions that some but not
    /// nearly all volunteers reached tell the two semantics apart.
    fn weigh(&mut self, row: u64, raw: &[f64]) {
        let mut cumulative = raw.to_vec();
        self.tree.make_cumulative(self.semantics, &mut cumulative);
        let questions = self.tree.questions().iter().zip(self.semantics);
        for ((question, semantics), (telling, against, first)) in questions.zip(&mut self.counts) {
            let sum: f64 = raw[question.answers.clone()].iter().sum();
            let reach = question.reach(&cumulative);
            if sum == 0.0 || reach > 1.0 - 2.0 * SLACK {
                continue;
            }
            let expected = match semantics {
                Semantics::Cumulative => reach,
                Semantics::Conditional => 1.0,
            };
            *telling += 1;
            if (sum - expected).abs() > SLACK {
                if *against == 0 {
                    *first = row;
                }
                *against += 1;
            }
        }
    }

    /// An error if a question's rows contradict the schema more often than not.
    fn judge(&self, path: &Path, schema: &VoteSchema) -> Result<(), LabelError> {
        let guilty = self.counts.iter().position(|(telling, against, _)| 2 * against > *telling);
        match guilty {
            Some(question) => {
                let (of, rows, first) = self.counts[question];
                Err(LabelError::Semantics {
                    path: path.to_owned(),
                    claimed: self.semantics[question],
                    question: schema.tree.questions()[question].name.clone(),
                    rows,
                    of,
                    first,
                })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "votes_tests.rs"]
mod tests;
