//! How near predicted fractions of votes are to those that volunteers gave.
//!
//! | metric | of |
//! | --- | --- |
//! | RMSE | fractions of everybody who looked, over all answers and galaxies: the measure of Kaggle's Galaxy Challenge, where Dieleman et al. 2015 have 0.0749 |
//! | RMSE of the means | the same, if every galaxy were given the mean of all |
//! | accuracy of a question | galaxies of which it was asked: whether the most probable answer is the one that most gave |
//! | average precision of an answer | galaxies of which its question was asked: whether its fraction puts those of which it is the most frequent answer before the others |
//! | RMSE of a question | the same galaxies: fractions of those who were asked |
//! | calibration error | the share of the most probable answer against how often it is right, over all questions |
//!
//! Invariant: a question that nobody was asked of a galaxy counts for nothing, but in the
//! first two where nobody came to it: there its fractions are 0 of everybody. What is not
//! known, like an empty cell, or what follows an answer that is not known, counts nowhere.

use std::fmt;

use serde::Serialize;

use super::{Calibration, average_precision, macro_average};
use crate::tree::{Semantics, Tree};
use crate::words::counted;

/// How good predicted fractions are. What there is nothing to say of is NaN, and null in
/// JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VoteReport {
    /// Galaxies with votes.
    pub galaxies: usize,
    /// Over all answers, of everybody who looked.
    pub rmse: f64,
    /// The same if every galaxy were given the means.
    pub rmse_of_means: f64,
    /// How far the most probable answers' shares are from how often they are right.
    pub expected_calibration_error: f64,
    /// One by one, in the order of the tree.
    pub questions: Vec<QuestionReport>,
}

/// How good the answers to a question are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuestionReport {
    /// Its name.
    pub question: String,
    /// Galaxies of which it was asked.
    pub asked: usize,
    /// How often the most probable answer is the most frequent, 0 to 1; NaN if it
    /// was never asked.
    pub accuracy: f64,
    /// Of the fractions of those who were asked; NaN if nobody was.
    pub rmse: f64,
    /// Of its first answer where it has two (yes and no, say), else the mean over its
    /// answers; `None` if none was the most frequent of any galaxy.
    pub average_precision: Option<f64>,
    /// One by one, in the order of the tree.
    pub answers: Vec<AnswerReport>,
}

/// How well an answer's fraction finds the galaxies that have it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnswerReport {
    /// Its name.
    pub answer: String,
    /// Galaxies of which it was the most frequent answer.
    pub galaxies: usize,
    /// Average precision; `None` if there are none.
    pub average_precision: Option<f64>,
}

impl VoteReport {
    /// From what was predicted of each galaxy, as fractions of everybody, and what
    /// volunteers said, as fractions of those who were asked, NaN where nobody was or it is
    /// not known.
    ///
    /// # Panics
    /// Unless every row has a fraction for every answer.
    pub fn new(tree: &Tree, predicted: &[Vec<f64>], truth: &[Vec<f64>]) -> Self {
        assert_eq!(predicted.len(), truth.len());
        let answers = tree.answers().len();
        let semantics = vec![Semantics::Conditional; tree.questions().len()];
        let of_all = |own: &Vec<f64>| {
            let mut own = own.clone();
            tree.make_cumulative(&semantics, &mut own);
            own
        };
        let cumulative: Vec<Vec<f64>> = truth.iter().map(of_all).collect();
        let mean = |answer: usize| {
            let known = cumulative.iter().map(|row| row[answer]).filter(|v| !v.is_nan());
            let (sum, count) = known.fold((0.0, 0_usize), |(sum, count), v| (sum + v, count + 1));
            sum / count.max(1) as f64
        };
        let means: Vec<f64> = (0..answers).map(mean).collect();
        let rows = || cumulative.iter().map(Vec::as_slice);
        let rmse = root_mean_square(predicted.iter().map(Vec::as_slice).zip(rows()));
        let rmse_of_means = root_mean_square(rows().map(|row| (&means[..], row)));
        let conditional: Vec<Vec<f64>> =
            predicted.iter().map(|row| tree.conditional(row)).collect();
        let mut calibration = Calibration::new();
        let mut questions = Vec::new();
        for question in tree.questions() {
            let of = question.answers.clone();
            let (mut asked, mut right) = (0, 0);
            let mut pairs = Vec::new();
            for (found, expected) in conditional.iter().zip(truth) {
                let (found, expected) = (&found[of.clone()], &expected[of.clone()]);
                if expected.iter().any(|v| v.is_nan()) {
                    continue;
                }
                asked += 1;
                let best = most(found);
                let is_right = best == most(expected);
                right += usize::from(is_right);
                calibration.add(found[best].clamp(0.0, 1.0), is_right);
                pairs.push((found, expected));
            }
            let answers: Vec<AnswerReport> = of
                .clone()
                .enumerate()
                .map(|(place, answer)| {
                    let has = |expected: &[f64]| most(expected) == place;
                    let scores = pairs.iter().map(|(found, e)| (found[place], has(e)));
                    AnswerReport {
                        answer: tree.answers()[answer].name.clone(),
                        galaxies: pairs.iter().filter(|(_, e)| has(e)).count(),
                        average_precision: average_precision(scores),
                    }
                })
                .collect();
            let known: Vec<f64> = answers.iter().filter_map(|a| a.average_precision).collect();
            questions.push(QuestionReport {
                question: question.name.clone(),
                average_precision: match &answers[..] {
                    [first, _] => first.average_precision,
                    _ => (!known.is_empty()).then(|| macro_average(&known)),
                },
                answers,
                asked,
                accuracy: right as f64 / asked as f64,
                rmse: root_mean_square(pairs.into_iter()),
            });
        }
        Self {
            galaxies: truth.len(),
            rmse,
            rmse_of_means,
            expected_calibration_error: match questions.iter().any(|question| question.asked > 0) {
                true => calibration.expected_error(),
                false => f64::NAN,
            },
            questions,
        }
    }

    /// The accuracy of each question that was asked.
    pub fn accuracies(&self) -> impl Iterator<Item = (&str, f64)> {
        let asked = self.questions.iter().filter(|question| question.asked > 0);
        asked.map(|question| (&*question.question, question.accuracy))
    }

    /// Their mean.
    pub fn accuracy(&self) -> f64 {
        macro_average(&self.accuracies().map(|(_, accuracy)| accuracy).collect::<Vec<_>>())
    }
}

/// Of the differences of rows, over all of their values that are expected; NaN for none,
/// which is no figure at all.
fn root_mean_square<'a>(rows: impl Iterator<Item = (&'a [f64], &'a [f64])>) -> f64 {
    let (mut sum, mut number) = (0.0, 0_usize);
    for (found, expected) in rows {
        for (a, b) in found.iter().zip(expected).filter(|(_, b)| !b.is_nan()) {
            sum += (a - b).powi(2);
            number += 1;
        }
    }
    (sum / number as f64).sqrt()
}

/// A figure with four decimals, or a stroke where there is none.
fn figure(value: f64) -> String {
    if value.is_nan() { "-".to_owned() } else { format!("{value:.4}") }
}

/// The place of the greatest value, the first of equals.
fn most(values: &[f64]) -> usize {
    let better = |best: usize, (at, v): (usize, &f64)| if *v > values[best] { at } else { best };
    values.iter().enumerate().fold(0, better)
}

impl fmt::Display for VoteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { galaxies, rmse, rmse_of_means, .. } = self;
        writeln!(
            f,
            "fractions of votes of {}: RMSE {} (of the means {})",
            counted(*galaxies as u64, "galaxy", "galaxies"),
            figure(*rmse),
            figure(*rmse_of_means)
        )?;
        let width = self.questions.iter().map(|q| q.question.len()).max().unwrap_or(0).max(8);
        writeln!(
            f,
            "{:width$} {:>8} {:>9} {:>8} {:>17}",
            "question", "asked", "accuracy", "RMSE", "average precision"
        )?;
        for QuestionReport { question, asked, accuracy, rmse, average_precision, .. } in
            &self.questions
        {
            let precision = figure(average_precision.unwrap_or(f64::NAN));
            let (accuracy, rmse) = (figure(*accuracy), figure(*rmse));
            writeln!(f, "{question:width$} {asked:>8} {accuracy:>9} {rmse:>8} {precision:>17}")?;
        }
        writeln!(f, "expected calibration error {}", figure(self.expected_calibration_error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Declared, DeclaredAnswer, DeclaredQuestion};

    fn tree() -> Tree {
        let question = |name: &str, after: &[&str], answers: &[&str]| DeclaredQuestion {
            name: name.into(),
            after: after.iter().map(|a| (*a).into()).collect(),
            answers: answers
                .iter()
                .map(|a| DeclaredAnswer { answer: (*a).into(), title: String::new() })
                .collect(),
        };
        let questions = vec![
            question("shape", &[], &["smooth", "disk"]),
            question("bar", &["shape/disk"], &["yes", "no"]),
        ];
        Tree::try_from(Declared { questions, ..Declared::default() }).unwrap()
    }

    #[test]
    fn what_is_not_known_counts_nowhere() {
        let nan = f64::NAN;
        let predicted = vec![vec![0.8, 0.2, 0.1, 0.1], vec![0.4, 0.6, 0.15, 0.45]];
        let whole = vec![vec![1.0, 0.0, nan, nan], vec![0.5, 0.5, nan, nan]];
        // Of the second galaxy, which some said is a disk, bars are not known.
        let report = VoteReport::new(&tree(), &predicted, &whole);
        let sum: f64 = 0.04 + 0.04 + 0.01 + 0.01 + 0.01 + 0.01;
        assert!((report.rmse - (sum / 6.0).sqrt()).abs() < 1e-12, "{}", report.rmse);
        let means: f64 = 4.0 * 0.0625;
        assert!((report.rmse_of_means - (means / 6.0).sqrt()).abs() < 1e-12);
        // A question that was never asked has no accuracy, and says nothing in the mean.
        assert!(report.questions[1].accuracy.is_nan());
        assert_eq!(report.accuracies().collect::<Vec<_>>(), [("shape", 0.5)]);
        assert_eq!(report.accuracy(), 0.5);
        // Of a galaxy of which the first question is not known, nothing is.
        let unknown = [&whole[..], &[vec![nan, nan, nan, nan]]].concat();
        let more = [&predicted[..], &[vec![0.5, 0.5, 0.25, 0.25]]].concat();
        let same = VoteReport::new(&tree(), &more, &unknown);
        assert_eq!((same.rmse, same.rmse_of_means), (report.rmse, report.rmse_of_means));
        assert_eq!((same.galaxies, same.questions[0].asked), (3, 2));
    }

    #[test]
    fn of_nothing_there_is_no_figure() {
        let nan = f64::NAN;
        let report = VoteReport::new(&tree(), &[vec![0.8, 0.2, 0.1, 0.1]], &[vec![nan; 4]]);
        assert!(report.rmse.is_nan() && report.questions[0].accuracy.is_nan());
        let text = report.to_string();
        assert!(text.contains("RMSE - (of the means -)") && !text.contains("0.0000"), "{text}");
        let json = serde_json::to_value(&report).unwrap();
        assert!(json["rmse"].is_null(), "{json}");
    }

    #[test]
    fn a_report_by_hand() {
        let nan = f64::NAN;
        // Half of the second galaxy's volunteers were asked, three in four said yes.
        let truth = vec![vec![1.0, 0.0, nan, nan], vec![0.5, 0.5, 0.75, 0.25]];
        let predicted = vec![vec![0.8, 0.2, 0.1, 0.1], vec![0.4, 0.6, 0.15, 0.45]];
        let report = VoteReport::new(&tree(), &predicted, &truth);
        // Of everybody: (1, 0, 0, 0) and (0.5, 0.5, 0.375, 0.125).
        let sum: f64 =
            0.04 + 0.04 + 0.01 + 0.01 + 0.01 + 0.01 + 0.225f64.powi(2) + 0.325f64.powi(2);
        assert!((report.rmse - (sum / 8.0).sqrt()).abs() < 1e-12);
        let means: f64 = 4.0 * 0.0625 + 2.0 * 0.1875f64.powi(2) + 2.0 * 0.0625f64.powi(2);
        assert!((report.rmse_of_means - (means / 8.0).sqrt()).abs() < 1e-12);
        let [shape, bar] = &report.questions[..] else { panic!("two questions") };
        assert_eq!((shape.asked, shape.accuracy), (2, 0.5), "disk, where as many said smooth");
        assert_eq!((bar.asked, bar.accuracy), (1, 0.0));
        assert!((bar.rmse - 0.5).abs() < 1e-12);
        assert_eq!(report.accuracy(), 0.25);
        // Of both galaxies smooth is the most frequent answer, the first of equals; of the
        // one that was asked about a bar, yes.
        assert_eq!((shape.average_precision, bar.average_precision), (Some(1.0), Some(1.0)));
        let galaxies: Vec<usize> = shape.answers.iter().map(|answer| answer.galaxies).collect();
        assert_eq!(galaxies, [2, 0]);
        assert_eq!(shape.answers[1].average_precision, None);
    }
}
