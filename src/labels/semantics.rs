//! What the fractions of a table are fractions of, told from its numbers.
//!
//! Where a question was asked of some, its answers add up to 1 (conditional) or
//! to the fractions of the answers that lead to it (cumulative). Neither holds to
//! the letter: debiased fractions add up to 1 only nearly, in Hart et al. 2016 in
//! 43 % of the rows for some questions. So each row counts for the hypothesis
//! that is nearer, and many rows decide, never a handful.
//!
//! Invariant: what is not clear is refused.

use std::path::Path;

use super::LabelError;
use super::schema::{Semantics, VoteSchema};
use crate::words::counted;

/// Fewest answers to questions that decide.
pub const FEWEST: u64 = 20;

/// Least share of them that must be nearer to one hypothesis, where nothing else
/// says which it is. In the table of Hart et al. at most 11.7 % are nearer to the
/// wrong one.
const CLEAR: f64 = 0.75;

/// How far from 1 the fraction that was asked must be for a row to tell anything.
const TELLING: f64 = 0.2;

/// Rows nearer to each hypothesis, question by question.
#[derive(Debug)]
pub(super) struct Evidence {
    /// Conditional, cumulative, the first row of each.
    counts: Vec<[(u64, u64); 2]>,
}

impl Evidence {
    pub fn new(schema: &VoteSchema) -> Self {
        Self { counts: vec![[(0, 0); 2]; schema.tree.questions().len()] }
    }

    /// Looks at the fractions of a row (from 1) as they stand in the table.
    pub fn weigh(&mut self, schema: &VoteSchema, row: u64, raw: &[f64]) {
        // Where a question differs from the table, its answers as they would be.
        let mut cumulative = raw.to_vec();
        if !schema.assumed {
            schema.tree.make_cumulative(&schema.of_questions(), &mut cumulative);
        }
        for (question, counts) in schema.tree.questions().iter().zip(&mut self.counts) {
            let own = &raw[question.answers.clone()];
            let sum: f64 = own.iter().sum();
            let reach = question.reach(&cumulative);
            // Unknown, or reached by nobody or nearly everybody.
            if question.after.is_empty() || sum.is_nan() || sum == 0.0 || reach.is_nan() {
                continue;
            }
            if (1.0 - reach).abs() < TELLING {
                continue;
            }
            let nearer = usize::from((sum - reach).abs() < (sum - 1.0).abs());
            let (count, first) = &mut counts[nearer];
            if *count == 0 {
                *first = row;
            }
            *count += 1;
        }
    }

    /// What the fractions are, in words for a person; the schema takes it over
    /// where it had assumed it.
    ///
    /// # Errors
    /// [`LabelError::Semantics`] where the numbers contradict what the schema
    /// says, [`LabelError::Unclear`] where it does not say and they neither.
    pub fn judge(&self, path: &Path, schema: &mut VoteSchema) -> Result<String, LabelError> {
        let sum = |which: usize| self.counts.iter().map(|counts| counts[which].0).sum::<u64>();
        let (conditional, cumulative) = (sum(0), sum(1));
        let all = conditional + cumulative;
        if !schema.assumed {
            let claims = schema.of_questions();
            let sides = |place: usize| {
                let [conditional, cumulative] = self.counts[place];
                match claims[place] {
                    Semantics::Conditional => [conditional, cumulative],
                    Semantics::Cumulative => [cumulative, conditional],
                }
            };
            let contradicts = |near: u64, against: u64| near + against >= FEWEST && against > near;
            let questions = 0..self.counts.len();
            let all = |which: usize| questions.clone().map(|q| sides(q)[which].0).sum::<u64>();
            let worst = questions.clone().max_by_key(|&q| sides(q)[1].0);
            let alone = questions.clone().find(|&q| contradicts(sides(q)[0].0, sides(q)[1].0));
            let together = worst.filter(|_| contradicts(all(0), all(1)));
            if let Some(place) = alone.or(together) {
                let [(near, _), (against, first)] = sides(place);
                return Err(LabelError::Semantics {
                    path: path.to_owned(),
                    claimed: claims[place],
                    question: schema.tree.questions()[place].name.clone(),
                    rows: against,
                    of: near + against,
                    first,
                });
            }
            return Ok(schema.semantics.to_string());
        }
        if schema.tree.questions().iter().all(|question| question.after.is_empty()) {
            return Ok("fractions of questions that are asked of everybody".to_owned());
        }
        if all < FEWEST {
            let told = format!(
                "{}: assumed, as in every release but Kaggle's; {} in the table could tell, which is \
                 too few",
                schema.semantics,
                counted(all, "answer", "answers")
            );
            return Ok(told);
        }
        let (semantics, near) = if conditional >= cumulative {
            (Semantics::Conditional, conditional)
        } else {
            (Semantics::Cumulative, cumulative)
        };
        let share = near as f64 / all as f64;
        if share < CLEAR {
            return Err(LabelError::Unclear { path: path.to_owned(), conditional, cumulative });
        }
        schema.semantics = semantics;
        Ok(format!("{semantics}, as {:.1} % of {all} answers to questions show", 100.0 * share))
    }
}
