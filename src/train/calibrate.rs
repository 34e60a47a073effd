//! What is fitted on galaxies that were not learned from, once the weights
//! stand: each question's temperature and offsets, and where on purity against
//! completeness its answers are chosen.
//!
//! Probabilities and choices are apart: the fit makes probabilities mean what
//! they say, and the operating point moves no probability. It adds to each
//! corrected logit a share τ of `−ln` of the class's frequency. (To learn with
//! such offsets in the loss, Menon et al. 2021, arXiv:2007.07314, comes to the
//! same: a classifier's bias takes them up.)
//!
//! Nothing here runs a network.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::metrics::{Confusion, f1, fit, macro_average_of};
use crate::tree::{Answered, Calibration, Head, Scheme, route};
use crate::words::counted;

/// Where answers are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum OperatingPoint {
    /// The shares that give the best mean F1 of the classes without giving up
    /// accuracy, both on the galaxies at hand.
    #[default]
    Balanced,
    /// The most probable answer.
    Accurate,
    /// This share of every question's offsets: 0 is `Accurate`, 1 as if all
    /// classes were equally frequent.
    Share(f64),
}

impl FromStr for OperatingPoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "balanced" => Ok(Self::Balanced),
            "accurate" => Ok(Self::Accurate),
            _ => match text.parse::<f64>() {
                Ok(share) if (-4.0..=4.0).contains(&share) => Ok(Self::Share(share)),
                _ => Err("balanced, accurate, or a number from -4 to 4".into()),
            },
        }
    }
}

/// A galaxy: its class, and of each answer its logit, or the logarithm of its
/// share of the question, where it is known.
#[derive(Debug, Clone)]
pub struct Row {
    /// The place of its class in the tree.
    pub class: usize,
    /// By answer.
    pub logits: Vec<Option<f32>>,
}

/// What was fitted, by question.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Share of the decision's offsets.
    pub share: f64,
    /// Galaxies that the fit is of.
    pub galaxies: usize,
    /// Mean negative log-likelihood before and behind.
    pub likelihood: [f64; 2],
}

impl fmt::Display for Fitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { share, galaxies, likelihood: [before, behind] } = self;
        write!(
            f,
            "calibrated on {}, mean negative log-likelihood {before:.4} → {behind:.4}; share of the \
             operating point {share:.2}",
            counted(*galaxies as u64, "galaxy", "galaxies")
        )
    }
}

/// Steps of a share between 0 and 1.
const STEPS: u32 = 20;

/// Fits every question that the rows say something of. Rows whose logits are
/// those that the scheme's present calibrations made (`corrected`) correct
/// them further; else these are replaced.
///
/// # Errors
/// A phrase for a person, if no question can be fitted.
pub fn calibrate(
    scheme: &mut Scheme,
    rows: &[Row],
    corrected: bool,
    point: OperatingPoint,
) -> Result<BTreeMap<String, Fitted>, String> {
    let heads: Vec<Head> = scheme.heads().cloned().collect();
    // A scheme for the rows as they stand, in which nothing is corrected yet.
    let mut own = scheme.clone();
    let (mut found, mut directions) = (BTreeMap::new(), Vec::new());
    for head in &heads {
        let name = scheme.tree().questions()[head.question].name.clone();
        let (logits, outputs) = of_question(scheme, head, rows);
        let Some(fit) = fit(&logits, &outputs, head.answers.len()) else {
            // It stays as it is, and chooses in the search for others as it will then.
            let kept = head.calibration.clone().filter(|_| corrected).unwrap_or_else(plain);
            let accurate = point == OperatingPoint::Accurate;
            let decision = if accurate { Vec::new() } else { kept.decision.clone() };
            own.calibrate(&name, Calibration { decision: decision.clone(), ..plain() })?;
            if corrected && head.calibration.is_some() {
                scheme.calibrate(&name, Calibration { decision, ..kept })?;
            }
            continue;
        };
        let calibration = Calibration {
            temperature: fit.temperature as f32,
            offset: fit.offset.iter().map(|&b| b as f32).collect(),
            decision: Vec::new(),
            concentrations: false,
        };
        own.calibrate(&name, calibration.clone())?;
        let before = head.calibration.clone().filter(|_| corrected);
        scheme
            .calibrate(&name, before.map_or(calibration.clone(), |b| joined(&b, &calibration)))?;
        directions.push((name.clone(), direction(&outputs, head.answers.len())));
        let (galaxies, likelihood) = (outputs.len(), [fit.before, fit.behind]);
        found.insert(name, Fitted { share: 0.0, galaxies, likelihood });
    }
    if found.is_empty() {
        return Err("no question has two answers among these galaxies".into());
    }
    for (name, share) in shares(&mut own, rows, &directions, point)? {
        let places = directions.iter().find(|(of, _)| *of == name);
        let Some((_, direction)) = places else { continue };
        set(scheme, &name, direction, share)?;
        if let Some(fitted) = found.get_mut(&name) {
            fitted.share = share;
        }
    }
    Ok(found)
}

/// A calibration that changes nothing.
fn plain() -> Calibration {
    let (offset, decision) = (Vec::new(), Vec::new());
    Calibration { temperature: 1.0, offset, decision, concentrations: false }
}

/// What two corrections come to, one after the other.
fn joined(first: &Calibration, second: &Calibration) -> Calibration {
    let at = |offset: &[f32], i: usize| offset.get(i).copied().unwrap_or(0.0);
    let offset = (0..second.offset.len())
        .map(|i| at(&first.offset, i) / second.temperature + second.offset[i])
        .collect();
    let temperature = first.temperature * second.temperature;
    let (decision, concentrations) = (Vec::new(), first.concentrations);
    Calibration { temperature, offset, decision, concentrations }
}

/// The logits of a question, of rows whose class lies below one of its answers
/// and that know them all, and the outputs that these answers are.
fn of_question(scheme: &Scheme, head: &Head, rows: &[Row]) -> (Vec<f32>, Vec<usize>) {
    let below: Vec<Vec<usize>> =
        head.answers.iter().map(|&answer| scheme.tree().classes_below(answer)).collect();
    let (mut logits, mut outputs) = (Vec::new(), Vec::new());
    for row in rows {
        let mut places = (0..below.len()).filter(|&place| below[place].contains(&row.class));
        let (Some(output), None) = (places.next(), places.next()) else { continue };
        let Some(known) = known(head, row) else { continue };
        logits.extend(known);
        outputs.push(output);
    }
    (logits, outputs)
}

/// A row's logits of a question, if all are known and finite.
fn known(head: &Head, row: &Row) -> Option<Vec<f32>> {
    let logits: Option<Vec<f32>> = head.answers.iter().map(|&a| row.logits[a]).collect();
    logits.filter(|logits| logits.iter().all(|z| z.is_finite()))
}

/// `−ln` of how frequent each output is, about their mean; an output that does
/// not occur counts as one that occurs half a time.
fn direction(outputs: &[usize], number: usize) -> Vec<f64> {
    let count = |of: usize| outputs.iter().filter(|&&output| output == of).count() as f64;
    let logs: Vec<f64> = (0..number).map(|of| -count(of).max(0.5).ln()).collect();
    let mean = logs.iter().sum::<f64>() / number as f64;
    logs.iter().map(|log| log - mean).collect()
}

/// Sets the share of a question's offsets.
fn set(scheme: &mut Scheme, name: &str, direction: &[f64], share: f64) -> Result<(), String> {
    let place = scheme.tree().question(name);
    let head = scheme.heads().find(|head| Some(head.question) == place);
    let old = head.and_then(|head| head.calibration.clone()).unwrap_or_else(plain);
    let decision = match share {
        0.0 => Vec::new(),
        _ => direction.iter().map(|d| (share * d) as f32).collect(),
    };
    scheme.calibrate(name, Calibration { decision, ..old })
}

/// The share of each question.
fn shares(
    scheme: &mut Scheme,
    rows: &[Row],
    directions: &[(String, Vec<f64>)],
    point: OperatingPoint,
) -> Result<BTreeMap<String, f64>, String> {
    let all = |share: f64| directions.iter().map(|(name, _)| (name.clone(), share)).collect();
    let mut found: BTreeMap<String, f64> = match point {
        OperatingPoint::Accurate => return Ok(all(0.0)),
        OperatingPoint::Share(share) => return Ok(all(share)),
        OperatingPoint::Balanced => all(0.0),
    };
    let (least, mut best) = score(scheme, rows);
    // One question after the other, twice: what one gives another may take.
    for _ in 0..2 {
        for (name, direction) in directions {
            let mut chosen = found.get(name).copied().unwrap_or(0.0);
            for step in 0..=STEPS {
                let share = f64::from(step) / f64::from(STEPS);
                set(scheme, name, direction, share)?;
                let (accuracy, f1) = score(scheme, rows);
                if accuracy >= least && f1 > best {
                    (best, chosen) = (f1, share);
                }
            }
            set(scheme, name, direction, chosen)?;
            found.insert(name.clone(), chosen);
        }
    }
    Ok(found)
}

/// Accuracy and the mean F1 of the classes; a row on whose way down a question
/// is not answered is a wrong one.
fn score(scheme: &Scheme, rows: &[Row]) -> (f64, f64) {
    let tree = scheme.tree();
    let names = tree.class_names();
    let mut matrix = Confusion::new(&names);
    let mut lost = 0;
    for row in rows {
        let known: Option<Vec<(&Head, Vec<f32>)>> =
            scheme.heads().map(|head| Some((head, known(head, row)?))).collect();
        let Some(known) = known else {
            lost += 1;
            continue;
        };
        let answered: Vec<Answered<'_>> =
            known.iter().map(|(head, logits)| Answered { head, logits }).collect();
        matrix.add(row.class, route(tree, &answered).class);
    }
    let accuracy = matrix.correct() as f64 / (matrix.total() + lost).max(1) as f64;
    (accuracy, macro_average_of(&matrix, &f1(&matrix)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// HIWL's tree with logits that are three times too large, one galaxy in
    /// twelve of the pair below a rare one.
    fn rows() -> Vec<Row> {
        let mut stream = Stream::new("calibrate", 1, &[]);
        let scheme = Scheme::hiwl();
        let tree = scheme.tree();
        let mut normal = || (0..12).map(|_| stream.unit()).sum::<f64>() - 6.0;
        let mut rows = Vec::new();
        for i in 0..6000 {
            let class = match i % 12 {
                0 => tree.class("CSS").unwrap(),
                1..4 => tree.class("EO").unwrap(),
                n => tree.class(["CRS", "IBS", "SPI"][n % 3]).unwrap(),
            };
            let mut logits = vec![None; tree.answers().len()];
            for question in tree.questions() {
                // Normal about 1.5 for the right answer, 0 for the others: the
                // logit of what is drawn so is 1.5 times the value and a prior.
                for answer in question.answers.clone() {
                    let right = tree.classes_below(answer).contains(&class);
                    let value = normal() + if right { 1.5 } else { 0.0 };
                    logits[answer] = Some((3.0 * 1.5 * value) as f32);
                }
            }
            rows.push(Row { class, logits });
        }
        rows
    }

    #[test]
    fn temperatures_are_found_and_a_balance_gives_up_no_accuracy() {
        let rows = rows();
        let mut scheme = Scheme::hiwl();
        let found = calibrate(&mut scheme, &rows, false, OperatingPoint::Accurate).unwrap();
        assert_eq!(found.len(), 2);
        for head in scheme.heads() {
            let calibration = head.calibration.as_ref().unwrap();
            assert!((calibration.temperature - 3.0).abs() < 0.2, "{calibration:?}");
            assert!(calibration.decision.is_empty());
        }
        let (accuracy, mean_f1) = score(&scheme, &rows);
        let mut balanced = Scheme::hiwl();
        let found = calibrate(&mut balanced, &rows, false, OperatingPoint::Balanced).unwrap();
        let better = score(&balanced, &rows);
        assert!(better.0 >= accuracy && better.1 >= mean_f1, "{better:?} {accuracy} {mean_f1}");
        // Probabilities are those of the other.
        for (a, b) in scheme.heads().zip(balanced.heads()) {
            let (a, b) = (a.calibration.as_ref().unwrap(), b.calibration.as_ref().unwrap());
            assert_eq!((a.temperature, &a.offset), (b.temperature, &b.offset));
        }
        assert!(found.values().all(|fitted| fitted.likelihood[1] < fitted.likelihood[0]));
        // To ask for more finds more of the rare class.
        let rare = scheme.tree().class("CSS").unwrap();
        let recall = |share: f64| {
            let mut scheme = Scheme::hiwl();
            calibrate(&mut scheme, &rows, false, OperatingPoint::Share(share)).unwrap();
            let mut right = 0;
            for row in rows.iter().filter(|row| row.class == rare) {
                let known: Vec<(&Head, Vec<f32>)> =
                    scheme.heads().map(|head| (head, known(head, row).unwrap())).collect();
                let answered: Vec<Answered<'_>> =
                    known.iter().map(|(head, logits)| Answered { head, logits }).collect();
                right += usize::from(route(scheme.tree(), &answered).class == rare);
            }
            right
        };
        assert!(recall(1.0) > recall(0.5) && recall(0.5) > recall(0.0));
    }

    /// What is calibrated once, and again from what that says, is the same.
    #[test]
    fn corrections_join() {
        let rows = rows();
        let mut once = Scheme::hiwl();
        calibrate(&mut once, &rows, false, OperatingPoint::Accurate).unwrap();
        let heads: Vec<Head> = once.heads().cloned().collect();
        let corrected: Vec<Row> = rows
            .iter()
            .map(|row| {
                let mut logits = row.logits.clone();
                for head in &heads {
                    let Calibration { temperature, offset, .. } =
                        head.calibration.as_ref().unwrap();
                    for (&answer, offset) in head.answers.iter().zip(offset) {
                        logits[answer] = Some(row.logits[answer].unwrap() / temperature + offset);
                    }
                }
                Row { class: row.class, logits }
            })
            .collect();
        let mut twice = once.clone();
        calibrate(&mut twice, &corrected, true, OperatingPoint::Accurate).unwrap();
        for (a, b) in once.heads().zip(twice.heads()) {
            let (a, b) = (a.calibration.as_ref().unwrap(), b.calibration.as_ref().unwrap());
            assert!((a.temperature / b.temperature - 1.0).abs() < 0.01, "{a:?} {b:?}");
            for (a, b) in a.offset.iter().zip(&b.offset) {
                assert!((a - b).abs() < 0.01, "{a} {b}");
            }
        }
    }

    #[test]
    fn operating_points_are_read() {
        assert_eq!("balanced".parse(), Ok(OperatingPoint::Balanced));
        assert_eq!("accurate".parse(), Ok(OperatingPoint::Accurate));
        assert_eq!("0.5".parse(), Ok(OperatingPoint::Share(0.5)));
        for wrong in ["", "best", "NaN", "7"] {
            assert!(wrong.parse::<OperatingPoint>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn rows_that_say_nothing_are_an_error() {
        let mut scheme = Scheme::hiwl();
        let answers = scheme.tree().answers().len();
        let rows = vec![Row { class: 0, logits: vec![None; answers] }; 5];
        assert!(calibrate(&mut scheme, &rows, false, OperatingPoint::Balanced).is_err());
        assert!(scheme.heads().all(|head| head.calibration.is_none()));
    }
}
