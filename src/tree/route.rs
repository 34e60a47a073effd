//! From logits to probabilities and a class.
//!
//! The probability of an answer is its share of its question times the
//! probability that the question is asked; the class is found by going down
//! the tree with the most probable answer to each question, as the paper
//! routes (section 4.1), which is not always the class of the greatest
//! probability.
//!
//! Pure: the same logits give the same prediction, whatever computed them and
//! with whatever else.

use serde::{Deserialize, Serialize};

use super::{Head, Next, Scheme, Tree};

/// A question's logits, in the order of its head's outputs.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The question and what the logits mean.
    pub head: &'a Head,
    /// As many as the head has outputs.
    pub logits: &'a [f32],
}

/// What the networks say of one galaxy.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The place of its class among the tree's.
    pub class: usize,
    /// The class's probability.
    pub confidence: f32,
    /// The probability of every answer of the tree; `None` where it is not
    /// known because a network was not run.
    pub probabilities: Box<[Option<f32>]>,
    /// The concentration of every answer of the tree, where all of them were learned
    /// from numbers of votes; else none at all.
    pub concentrations: Box<[Option<f32>]>,
    /// How far it lies from what was learned from, as a percentile, 0 to 100;
    /// `None` where the model does not tell.
    pub oddness: Option<f32>,
    /// What the catalog keeps of its features; empty where it keeps nothing, and
    /// where they are not finite.
    pub feature: Vec<f32>,
}

/// What corrects a question's logits: they are divided by the temperature (Guo
/// et al. 2017, arXiv:1706.04599), then the offsets are added. That makes the
/// probabilities. To choose an answer, the decision's offsets are added to
/// them: where on purity against completeness the labels stand (logit
/// adjustment, Menon et al. 2021, arXiv:2007.07314) is no matter of how
/// probable an answer is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Greater than 0; above 1 it makes probabilities less extreme.
    pub temperature: f32,
    /// One for each output of the question, in their order; none for zeros.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offset: Vec<f32>,
    /// One for each output, which choose and make no probability; none for
    /// zeros.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decision: Vec<f32>,
    /// Whether the logits stand for concentrations of a Dirichlet distribution,
    /// 1 + 100 σ(z) (Walmsley et al. 2022, arXiv:2102.08414), whose shares are
    /// the expected fractions of votes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub concentrations: bool,
}

/// The concentration that a logit stands for, where logits do.
pub fn concentration(logit: f32) -> f32 {
    1.0 + 100.0 / (1.0 + (-logit).exp())
}

impl Calibration {
    /// Whether it is one for a question of so many answers.
    ///
    /// # Errors
    /// A phrase for a person.
    pub(super) fn check(&self, answers: usize) -> Result<(), String> {
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return Err("the temperature is not positive".into());
        }
        for offset in [&self.offset, &self.decision] {
            if !offset.is_empty() && offset.len() != answers {
                return Err(format!("{} offsets for {answers} answers", offset.len()));
            }
            if !offset.iter().all(|offset| offset.is_finite()) {
                return Err("an offset is not finite".into());
            }
        }
        Ok(())
    }

    /// Whether it can change which answer is the most probable.
    pub fn reorders(&self) -> bool {
        let uneven = |offset: &[f32]| offset.iter().any(|value| *value != offset[0]);
        uneven(&self.offset) || uneven(&self.decision)
    }
}

/// The answers given so far: of each question its most probable answer, if the
/// question is asked and was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given(Vec<Option<usize>>);

impl Given {
    /// No answers yet.
    pub fn none(tree: &Tree) -> Self {
        Self(vec![None; tree.questions.len()])
    }

    /// Whether a question is asked of who gave these answers.
    pub fn asks(&self, tree: &Tree, question: usize) -> bool {
        let after = &tree.questions[question].after;
        let given = |answer: &usize| self.0[tree.answers[*answer].question] == Some(*answer);
        after.is_empty() || after.iter().any(given)
    }

    /// Takes the most probable answer, where the question is asked.
    pub fn take(&mut self, tree: &Tree, answered: Answered<'_>) {
        let Answered { head, .. } = answered;
        if self.asks(tree, head.question) {
            self.0[head.question] = Some(head.answers[answered.choice()]);
        }
    }
}

impl Answered<'_> {
    /// The logits as the head's calibration has them.
    fn corrected(&self) -> std::borrow::Cow<'_, [f32]> {
        let Some(Calibration { temperature, offset, concentrations, .. }) = &self.head.calibration
        else {
            return self.logits.into();
        };
        // Shares of concentrations are the softmax of their logarithms.
        let of = |z: f32| if *concentrations { concentration(z).ln() } else { z };
        let offsets = offset.iter().copied().chain(std::iter::repeat(0.0));
        self.logits.iter().zip(offsets).map(|(z, offset)| of(*z) / temperature + offset).collect()
    }

    /// The place of the output that is chosen.
    fn choice(&self) -> usize {
        let logits = self.corrected();
        match &self.head.calibration {
            Some(Calibration { decision, .. }) if !decision.is_empty() => {
                let moved: Vec<f32> = logits.iter().zip(decision).map(|(z, d)| z + d).collect();
                arg_max(&moved)
            }
            _ => arg_max(&logits),
        }
    }
}

impl Scheme {
    /// Whether a network is to be run on a galaxy that gave these answers, for
    /// it to have a class.
    pub fn wants(&self, network: usize, given: &Given) -> bool {
        self.networks()[network].heads.iter().any(|head| given.asks(self.tree(), head.question))
    }
}

/// Routes one galaxy's logits.
///
/// # Panics
/// If a question on its way down is not answered; see [`Scheme::wants`].
pub fn route(tree: &Tree, answered: &[Answered<'_>]) -> Prediction {
    let mut probabilities = vec![None; tree.answers.len()];
    // Shares of their questions; of those on the way down, the greatest.
    let mut shares = vec![None; tree.answers.len()];
    let mut winners = vec![None; tree.questions.len()];
    let mut concentrations = Vec::new();
    for answered in answered {
        let logits = answered.corrected();
        if answered.head.calibration.as_ref().is_some_and(|c| c.concentrations) {
            concentrations.resize(tree.answers.len(), None);
            for (&answer, logarithm) in answered.head.answers.iter().zip(&*logits) {
                concentrations[answer] = Some(logarithm.exp());
            }
        }
        for (&answer, share) in answered.head.answers.iter().zip(softmax(&logits)) {
            shares[answer] = Some(share);
        }
        winners[answered.head.question] = Some(answered.head.answers[answered.choice()]);
    }
    for question in &tree.questions {
        let Some(reach) = reach(&question.after, &probabilities) else { continue };
        for answer in question.answers.clone() {
            probabilities[answer] = shares[answer].map(|share: f32| share * reach);
        }
    }
    let mut question = tree.start;
    let mut along = 1.0;
    loop {
        let answer =
            winners[question].expect("whoever routes has run the networks that are wanted");
        along *= shares[answer].unwrap_or(0.0);
        match tree.next[answer] {
            Next::Question(next) => question = next,
            Next::Class(class) => {
                // Where several ways lead to it and not all were asked about,
                // what is known is this way's probability.
                let confidence = probabilities[answer].unwrap_or(along);
                let probabilities = probabilities.into();
                let concentrations = concentrations.into();
                return Prediction {
                    class,
                    confidence,
                    probabilities,
                    concentrations,
                    oddness: None,
                    feature: Vec::new(),
                };
            }
            Next::Aside => unreachable!("a way down that was laid ends on a class"),
        }
    }
}

impl Prediction {
    /// The share of an answer of its question, from the concentrations; `None` where they
    /// are not known.
    pub fn fraction(&self, tree: &Tree, answer: usize) -> Option<f32> {
        let question = &tree.questions[tree.answers[answer].question];
        let own = self.concentrations.get(question.answers.clone())?;
        let sum: f32 = own.iter().copied().sum::<Option<f32>>()?;
        Some(self.concentrations[answer]? / sum)
    }

    /// The probability that a question is asked; `None` where it is not known.
    pub fn asked(&self, tree: &Tree, question: usize) -> Option<f32> {
        reach(&tree.questions[question].after, &self.probabilities)
    }
}

/// The probability that a question is asked: the sum of those of the answers
/// that lead to it, if all are known.
fn reach(after: &[usize], probabilities: &[Option<f32>]) -> Option<f32> {
    if after.is_empty() {
        return Some(1.0);
    }
    after.iter().map(|&answer| probabilities[answer]).sum()
}

/// The first of the largest values. Logits are compared, not probabilities,
/// which may round to ties.
pub fn arg_max(logits: &[f32]) -> usize {
    logits.iter().enumerate().fold(0, |best, (i, &v)| if v > logits[best] { i } else { best })
}

/// Softmax shifted by the maximum, so that no exponential overflows.
pub(super) fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut exp: Vec<f32> = logits.iter().map(|v| (v - max).exp()).collect();
    let sum: f32 = exp.iter().sum();
    exp.iter_mut().for_each(|v| *v /= sum);
    exp
}
