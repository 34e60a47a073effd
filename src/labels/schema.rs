//! Which column of a vote table answers which question, and what its
//! fractions are fractions of: the files under `schemas/votes-*.toml`.
//!
//! The same number means two things. *Conditional* fractions are of those
//! volunteers who were asked the question; *cumulative* ones are multiplied
//! down the decision tree, of all volunteers. The paper's thresholds are
//! applied to cumulative ones (Kaggle's), so a table of the other kind is
//! converted first, by [`Tree::reach`]; a schema that says nothing of it does
//! not exist.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::LabelError;

/// What a vote fraction is a fraction of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Semantics {
    /// Of everybody who looked at the galaxy.
    Cumulative,
    /// Of those who were asked the question.
    Conditional,
}

impl fmt::Display for Semantics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cumulative => "cumulative (of everybody who looked)",
            Self::Conditional => "conditional (of those who were asked)",
        })
    }
}

/// An answer in the volunteers' decision tree, such as
/// `how-rounded` / `cigar-shaped`. Names are Galaxy Zoo's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The question.
    pub question: String,
    /// What was answered.
    pub answer: String,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.question, self.answer)
    }
}

/// A question of the decision tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its name.
    pub name: String,
    /// The answers that lead to it, each as `question/answer`; none for the
    /// first question.
    #[serde(default)]
    pub after: Vec<String>,
    /// What this question's fractions are, where it differs from the table.
    pub semantics: Option<Semantics>,
    /// The column of each answer.
    pub answers: Vec<Column>,
}

/// A column and the answer it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// The answer.
    pub answer: String,
    /// The column's name, without [`VoteSchema::suffix`].
    pub column: String,
}

/// A vote table: its columns, their questions, their semantics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoteSchema {
    /// How the schema is called.
    pub name: String,
    /// What table it describes.
    pub title: String,
    /// Names that the column of ids may have.
    pub id: Vec<String>,
    /// What the fractions are, unless a question says otherwise.
    pub semantics: Semantics,
    /// Ends the name of every column: tables that hold several kinds of
    /// fractions of one answer name them by it.
    #[serde(default)]
    pub suffix: String,
    /// The decision tree, each question after those that lead to it.
    pub questions: Vec<Question>,
}

/// The schemas that the program holds.
const BUILT_IN: [(&str, &str); 2] = [
    ("schemas/votes-kaggle.toml", include_str!("../../schemas/votes-kaggle.toml")),
    ("schemas/votes-gz2.toml", include_str!("../../schemas/votes-gz2.toml")),
];

impl VoteSchema {
    /// Every schema that the program holds.
    ///
    /// # Errors
    /// Never, as the tests show; the signature is [`Self::parse`]'s.
    pub fn built_in() -> Result<Vec<Self>, LabelError> {
        BUILT_IN.iter().map(|(path, text)| Self::parse(text, Path::new(path))).collect()
    }

    /// A schema file, or the built-in one of this name.
    ///
    /// # Errors
    /// [`LabelError::Unreadable`], [`LabelError::Definition`].
    pub fn read(name_or_path: &Path) -> Result<Self, LabelError> {
        if let Some(schema) =
            Self::built_in()?.into_iter().find(|s| Path::new(&s.name) == name_or_path)
        {
            return Ok(schema);
        }
        let text = std::fs::read_to_string(name_or_path)
            .map_err(|source| LabelError::Unreadable { path: name_or_path.to_owned(), source })?;
        Self::parse(&text, name_or_path)
    }

    /// A schema from its text; `path` is for errors.
    ///
    /// # Errors
    /// [`LabelError::Definition`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, LabelError> {
        let wrong = |what: String| LabelError::Definition { path: path.to_owned(), what };
        let schema: Self = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        schema.tree().map_err(wrong)?;
        Ok(schema)
    }

    /// The name of a column in the table.
    pub fn column(&self, column: &Column) -> String {
        format!("{}{}", column.column, self.suffix)
    }

    /// Every answer, in the order of the schema.
    pub fn answers(&self) -> Vec<Answer> {
        self.questions
            .iter()
            .flat_map(|q| {
                q.answers
                    .iter()
                    .map(|a| Answer { question: q.name.clone(), answer: a.answer.clone() })
            })
            .collect()
    }

    /// The decision tree with names resolved to places.
    ///
    /// # Errors
    /// A phrase for a person: an answer that leads nowhere known, a question
    /// before one that leads to it, a name twice.
    pub fn tree(&self) -> Result<Tree, String> {
        let answers: Vec<String> = self.answers().iter().map(Answer::to_string).collect();
        for (i, answer) in answers.iter().enumerate() {
            if answers[..i].contains(answer) {
                return Err(format!("{answer} is there twice"));
            }
        }
        let mut first = 0;
        let mut nodes = Vec::new();
        for question in &self.questions {
            let place = |name: &String| {
                answers[..first].iter().position(|a| a == name).ok_or_else(|| {
                    format!("{} comes after {name}, which is not above it", question.name)
                })
            };
            nodes.push(Node {
                after: question.after.iter().map(place).collect::<Result<_, _>>()?,
                answers: first..first + question.answers.len(),
                semantics: question.semantics.unwrap_or(self.semantics),
            });
            first += question.answers.len();
        }
        Ok(Tree { nodes })
    }
}

/// A question with its answers' places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Places of the answers that lead here.
    pub after: Vec<usize>,
    /// Places of its own answers.
    pub answers: std::ops::Range<usize>,
    /// What its fractions are in the table.
    pub semantics: Semantics,
}

/// A decision tree over the places of a schema's answers, parents first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The questions.
    pub nodes: Vec<Node>,
}

impl Tree {
    /// The fraction of all volunteers who were asked a question, given the
    /// cumulative fractions of the questions before it.
    pub fn reach(node: &Node, cumulative: &[f64]) -> f64 {
        if node.after.is_empty() {
            return 1.0;
        }
        node.after.iter().map(|&answer| cumulative[answer]).sum()
    }

    /// Multiplies conditional fractions down the tree, in place; cumulative
    /// ones stay as they are. A fraction that was not asked for (no volunteer
    /// came that far) is 0 in both.
    pub fn make_cumulative(&self, fractions: &mut [f64]) {
        for node in &self.nodes {
            if node.semantics == Semantics::Conditional {
                let reach = Self::reach(node, fractions);
                for value in &mut fractions[node.answers.clone()] {
                    *value *= reach;
                }
            }
        }
    }

    /// The conditional fractions that belong to cumulative ones: divided by
    /// the fraction of volunteers who were asked, 0 where nobody was.
    pub fn conditional(&self, cumulative: &[f64]) -> Vec<f64> {
        let mut conditional = cumulative.to_vec();
        for node in &self.nodes {
            let reach = Self::reach(node, cumulative);
            for value in &mut conditional[node.answers.clone()] {
                *value = if reach > 0.0 { *value / reach } else { 0.0 };
            }
        }
        conditional
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_LEVELS: &str = r#"
        name = "small"
        title = "two questions"
        id = ["id"]
        semantics = "conditional"
        [[questions]]
        name = "smooth-or-featured"
        answers = [{ answer = "smooth", column = "a" }, { answer = "featured", column = "b" }]
        [[questions]]
        name = "how-rounded"
        after = ["smooth-or-featured/smooth"]
        answers = [{ answer = "round", column = "c" }, { answer = "cigar", column = "d" }]
    "#;

    fn parse(text: &str) -> Result<VoteSchema, LabelError> {
        VoteSchema::parse(text, Path::new("small.toml"))
    }

    #[test]
    fn the_built_in_schemas_hold_all_37_answers_of_galaxy_zoo_2() {
        let schemas = VoteSchema::built_in().unwrap();
        for schema in &schemas {
            assert_eq!(schema.answers().len(), 37, "{}", schema.name);
            assert_eq!(schema.questions.len(), 11, "{}", schema.name);
        }
        // One tree, two tables.
        assert_eq!(schemas[0].answers(), schemas[1].answers());
        let after =
            |s: &VoteSchema| s.questions.iter().map(|q| q.after.clone()).collect::<Vec<_>>();
        assert_eq!(after(&schemas[0]), after(&schemas[1]));
    }

    #[test]
    fn conditional_fractions_are_multiplied_down() {
        let tree = parse(TWO_LEVELS).unwrap().tree().unwrap();
        let mut fractions = [0.4, 0.6, 0.25, 0.75];
        tree.make_cumulative(&mut fractions);
        for (found, expected) in fractions.iter().zip([0.4, 0.6, 0.1, 0.3]) {
            assert!((found - expected).abs() < 1e-15);
        }
        let back = tree.conditional(&fractions);
        for (found, expected) in back.iter().zip([0.4, 0.6, 0.25, 0.75]) {
            assert!((found - expected).abs() < 1e-15);
        }
        assert_eq!(tree.conditional(&[0.0, 1.0, 0.0, 0.0]), [0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn cumulative_fractions_stay() {
        let text = TWO_LEVELS.replace("conditional", "cumulative");
        let tree = parse(&text).unwrap().tree().unwrap();
        let mut fractions = [0.4, 0.6, 0.1, 0.3];
        tree.make_cumulative(&mut fractions);
        assert_eq!(fractions, [0.4, 0.6, 0.1, 0.3]);
    }

    #[test]
    fn a_schema_must_be_a_tree_and_say_its_semantics() {
        let cases = [
            (TWO_LEVELS.replace("featured/smooth", "featured/round"), "comes after"),
            (TWO_LEVELS.replace("semantics = \"conditional\"", ""), "semantics"),
            (TWO_LEVELS.replace("answer = \"cigar\"", "answer = \"round\""), "twice"),
            (TWO_LEVELS.replace("title", "titel"), "titel"),
        ];
        for (text, phrase) in cases {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(phrase), "{error}");
        }
    }
}
