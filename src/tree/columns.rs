//! The columns that a scheme adds to a catalog.
//!
//! First the probability of every class in the order of the classes, then that
//! of every other answer, each `p_` and the answer's name (with the question's
//! before it where two questions share an answer); then, for each network
//! after the first, whether it was run, under its name; then, where the model
//! tells it, how odd the cutout is; last, where they are kept, its features. HIWL's
//! eight columns are an instance.
//!
//! Where networks learned numbers of votes, Galaxy Zoo's names take the place of the
//! probabilities ([`Naming`]): `<question>_<answer>_fraction` of those who are asked,
//! and for questions that are not asked of everybody
//! `<question>_proportion_volunteers_asked`, as GZ DECaLS' and DESI's catalogs have
//! them. Names keep their hyphens, which SQL wants quoted.

use serde::{Deserialize, Serialize};

use super::{FeatureColumn, Scheme};

/// What a catalog's columns of answers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Naming {
    /// Probabilities, of every galaxy: `p_<answer>`.
    #[default]
    Probabilities,
    /// Galaxy Zoo's expected fractions of votes.
    Fractions,
    /// These, and the Dirichlet concentrations that they are the shares of:
    /// `<question>_<answer>_concentration`.
    Concentrations,
}

/// A column of a catalog that follows from its scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name: lower-case letters, digits and `_`.
    pub name: String,
    /// What it says, in a sentence.
    pub description: String,
    /// What its values are.
    pub value: Value,
}

/// What a column holds of a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// The probability of the answer at this place of the tree.
    Probability(usize),
    /// The share of the answer at this place of its question.
    Fraction(usize),
    /// The probability that the question at this place is asked.
    Asked(usize),
    /// The concentration of the answer at this place.
    Concentration(usize),
    /// Whether the network at this place was run, which is whether the
    /// probabilities of the answer at the second place are known.
    Ran(usize, usize),
    /// How odd the cutout is.
    Oddness,
    /// What is kept of its features.
    Feature(FeatureColumn),
}

/// The name of the column of [`Value::Oddness`].
pub const ODDNESS: &str = "oddness";

/// The name of the column of [`Value::Feature`].
pub const FEATURE: &str = "feature";

impl Scheme {
    /// The columns, in order.
    ///
    /// # Errors
    /// A phrase for a person, if two columns would have the same name.
    pub fn columns(&self) -> Result<Vec<Column>, String> {
        let tree = self.tree();
        let mut order: Vec<usize> = tree.classes().iter().map(|class| class.answer).collect();
        let others = (0..tree.answers().len()).filter(|answer| !order.contains(answer));
        order.extend(others.collect::<Vec<_>>());
        let mut columns: Vec<Column> = match self.naming() {
            Naming::Probabilities => order.into_iter().map(|a| self.probability(a)).collect(),
            naming => self.votes(naming == Naming::Concentrations),
        };
        for (place, network) in self.networks().iter().enumerate().skip(1) {
            let first = network.heads[0].answers[0];
            columns.push(Column {
                name: plain(&network.name),
                description: format!("Whether {} was run on this cutout", network.spoken()),
                value: Value::Ran(place, first),
            });
        }
        if self.tells_oddness() {
            columns.push(Column {
                name: ODDNESS.to_owned(),
                description: "How far the cutout's features lie from those of the galaxies that \
                              the model learned from, as a percentile of galaxies that it did not \
                              learn from: half of these lie below 50, none above 100; null for a \
                              rejected cutout"
                    .to_owned(),
                value: Value::Oddness,
            });
        }
        if let Some(kept) = self.features() {
            let network = &self.networks()[0].name;
            let what = if kept.components {
                format!(
                    "The first {} principal components of the features that {network}'s \
                     classifier sees, along the directions that the model file holds",
                    kept.length
                )
            } else {
                format!(
                    "The {} features that {network}'s classifier sees: its last feature maps, \
                     averaged over their pixels",
                    kept.length
                )
            };
            columns.push(Column {
                name: FEATURE.to_owned(),
                description: format!("{what}; null for a rejected cutout"),
                value: Value::Feature(kept),
            });
        }
        for (place, column) in columns.iter().enumerate() {
            if columns[..place].iter().any(|earlier| earlier.name == column.name) {
                return Err(format!("two columns would be called {}", column.name));
            }
        }
        Ok(columns)
    }

    /// Galaxy Zoo's columns, question by question.
    fn votes(&self, concentrations: bool) -> Vec<Column> {
        let tree = self.tree();
        let mut columns = Vec::new();
        for (place, question) in tree.questions().iter().enumerate() {
            let name = hyphened(&question.name);
            let answers = || {
                question.answers.clone().map(|answer| {
                    let own = &tree.answers()[answer];
                    (answer, own.words(), format!("{name}_{}", hyphened(&own.name)))
                })
            };
            if !question.after.is_empty() {
                let ways: Vec<String> =
                    question.after.iter().map(|&way| tree.path(way).replace('/', ": ")).collect();
                columns.push(Column {
                    name: format!("{name}_proportion_volunteers_asked"),
                    description: format!(
                        "Expected fraction of all volunteers who are asked about {}, having \
                         answered {}",
                        question.name,
                        ways.join(" or ")
                    ),
                    value: Value::Asked(place),
                });
            }
            columns.extend(answers().map(|(answer, words, name)| Column {
                name: format!("{name}_fraction"),
                description: format!(
                    "Expected fraction of those asked about {} who answer {words}",
                    question.name
                ),
                value: Value::Fraction(answer),
            }));
            if concentrations {
                columns.extend(answers().map(|(answer, words, name)| Column {
                    name: format!("{name}_concentration"),
                    description: format!(
                        "Dirichlet concentration of {words} among the answers about {} (Walmsley \
                         et al. 2022): fractions are their shares, and the larger their sum the \
                         surer",
                        question.name
                    ),
                    value: Value::Concentration(answer),
                }));
            }
        }
        columns
    }

    /// The column of an answer.
    fn probability(&self, answer: usize) -> Column {
        let tree = self.tree();
        let (found, question) = (&tree.answers()[answer], tree.answers()[answer].question);
        let question = &tree.questions()[question];
        let at = self
            .networks()
            .iter()
            .position(|network| network.heads.iter().any(|head| head.answers.contains(&answer)));
        let network = at.map_or_else(String::new, |at| self.networks()[at].spoken());
        let words = found.words();
        let description = match question.after[..] {
            [] if self.networks().len() == 1 => format!("Probability of {words}"),
            [] => format!("Probability of {words} ({network})"),
            [..] => {
                let ways: Vec<String> =
                    question.after.iter().map(|&way| self.column_name(way)).collect();
                let ways = ways.join(" + ");
                let ways = if question.after.len() > 1 { format!("({ways})") } else { ways };
                if at == Some(0) {
                    format!("Probability of {words}: {ways} times its share of {}", question.name)
                } else {
                    format!(
                        "Probability of {words}: {ways} times {network}'s; null where {network} was not run"
                    )
                }
            }
        };
        let name = self.column_name(answer);
        Column { name, description, value: Value::Probability(answer) }
    }

    /// The name of an answer's column.
    pub fn column_name(&self, answer: usize) -> String {
        let answers = self.tree().answers();
        let name = plain(&answers[answer].name);
        let shared = answers.iter().filter(|other| plain(&other.name) == name).count() > 1;
        if shared {
            let question = &self.tree().questions()[answers[answer].question];
            format!("p_{}_{name}", plain(&question.name))
        } else {
            format!("p_{name}")
        }
    }
}

/// The classes in a sentence: their labels, and what they are in words.
pub fn label_text(scheme: &Scheme) -> String {
    let tree = scheme.tree();
    let classes = tree.classes().iter().map(|class| {
        let title = &tree.answers()[class.answer].title;
        if title.is_empty() { class.name.clone() } else { format!("{} {title}", class.name) }
    });
    classes.collect::<Vec<_>>().join(", ")
}

/// A name as Galaxy Zoo writes it: whatever is no letter or digit becomes `-`.
fn hyphened(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect()
}

/// A name as SQL takes it without quotes: whatever is no letter or digit
/// becomes `_`.
fn plain(name: &str) -> String {
    let letter = |c: char| if c.is_alphanumeric() { c } else { '_' };
    name.to_lowercase().chars().map(letter).collect()
}
