//! Which column of a vote table answers which question, and what its
//! fractions are fractions of: the files under `schemas/votes-*.toml`, or what
//! [`super::grammar`] reads in the names of columns.
//!
//! The same number means two things. *Conditional* fractions are of those
//! volunteers who were asked the question; *cumulative* ones are multiplied
//! down the decision tree, of all volunteers. The paper's thresholds are
//! applied to cumulative ones (Kaggle's), so a table of the other kind is
//! converted first, by [`Tree::make_cumulative`]. A schema file says which they
//! are; of a table known by its names alone the numbers tell
//! (`semantics`).

use std::path::Path;

use serde::Deserialize;

use super::LabelError;
use crate::limits;
use crate::storage::file;
use crate::tree::{Declared, DeclaredAnswer, DeclaredQuestion, Tree};

pub use crate::tree::Semantics;

/// What the columns of answers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Fractions of votes, from 0 to 1.
    Fractions,
    /// Numbers of votes.
    Counts,
}

/// Where a table says how many gave an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Counted {
    /// Nowhere.
    #[default]
    Nowhere,
    /// In a column of each answer, in the order of the tree's.
    Columns(Vec<String>),
    /// As a fraction of those who were asked: a column of each answer, and a
    /// column of each question with how many that were.
    Shares(Vec<String>, Vec<String>),
}

/// A vote table: its columns, their questions, their semantics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoteSchema {
    /// How the schema is called.
    pub name: String,
    /// What table it describes.
    pub title: String,
    /// Names that the column of ids may have.
    pub id: Vec<String>,
    /// What the fractions are, unless a question says otherwise.
    pub semantics: Semantics,
    /// The decision tree, in the names of Galaxy Zoo.
    pub tree: Tree,
    /// The column of each answer, in the order of the tree's.
    pub columns: Vec<String>,
    /// What they hold.
    pub measure: Measure,
    /// Where numbers of votes are.
    pub counted: Counted,
    /// Whether the semantics are a guess, to be told from the numbers.
    pub assumed: bool,
    /// What a person should know of how the columns were understood.
    pub notes: Vec<String>,
    /// What a question's fractions are, where it differs from the table.
    exceptions: Vec<Option<Semantics>>,
}

/// A schema as its file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    title: String,
    id: Vec<String>,
    semantics: Semantics,
    /// Ends the name of every column: tables that hold several kinds of
    /// fractions of one answer name them by it.
    #[serde(default)]
    suffix: String,
    /// Ends the name of the column with the number of an answer's votes, in its
    /// place.
    counts: Option<String>,
    questions: Vec<Question>,
}

/// A question, with the columns that count its answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    name: String,
    #[serde(default)]
    after: Vec<String>,
    semantics: Option<Semantics>,
    /// The column with how many were asked.
    votes: Option<String>,
    answers: Vec<Column>,
}

/// A column and the answer it counts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    answer: String,
    column: String,
}

/// The schemas that the program holds.
const BUILT_IN: [(&str, &str); 4] = [
    ("schemas/votes-kaggle.toml", include_str!("../../schemas/votes-kaggle.toml")),
    ("schemas/votes-gz2.toml", include_str!("../../schemas/votes-gz2.toml")),
    ("schemas/votes-gz1.toml", include_str!("../../schemas/votes-gz1.toml")),
    ("schemas/votes-gz1-skyserver.toml", include_str!("../../schemas/votes-gz1-skyserver.toml")),
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
        let text = file::read_text(name_or_path, limits::settings::TOML)
            .map_err(|source| LabelError::Unreadable { path: name_or_path.to_owned(), source })?;
        Self::parse(&text, name_or_path)
    }

    /// A schema from its text; `path` is for errors.
    ///
    /// # Errors
    /// [`LabelError::Definition`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, LabelError> {
        let wrong = |what: String| LabelError::Definition { path: path.to_owned(), what };
        let file: File = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        let questions = file.questions.iter().map(|question| DeclaredQuestion {
            name: question.name.clone(),
            after: question.after.clone(),
            answers: question
                .answers
                .iter()
                .map(|a| DeclaredAnswer { answer: a.answer.clone(), title: String::new() })
                .collect(),
        });
        let declared = Declared { questions: questions.collect(), ..Declared::default() };
        let columns = || file.questions.iter().flat_map(|question| &question.answers);
        let named = |suffix: &str| -> Vec<String> {
            columns().map(|c| format!("{}{suffix}", c.column)).collect()
        };
        let totals: Option<Vec<String>> =
            file.questions.iter().map(|question| question.votes.clone()).collect();
        let counted = match (&file.counts, totals) {
            (Some(suffix), _) => Counted::Columns(named(suffix)),
            (None, Some(totals)) => Counted::Shares(named(&file.suffix), totals),
            (None, None) => Counted::Nowhere,
        };
        Ok(Self {
            tree: Tree::try_from(declared).map_err(wrong)?,
            columns: named(&file.suffix),
            measure: Measure::Fractions,
            counted,
            assumed: false,
            notes: Vec::new(),
            exceptions: file.questions.iter().map(|question| question.semantics).collect(),
            name: file.name,
            title: file.title,
            id: file.id,
            semantics: file.semantics,
        })
    }

    /// A schema of columns that were understood by their names: what their
    /// fractions are is to be told from the numbers.
    pub(super) fn found(
        (name, title): (String, String),
        tree: Tree,
        (columns, measure): (Vec<String>, Measure),
        counted: Counted,
        notes: Vec<String>,
    ) -> Self {
        Self {
            exceptions: vec![None; tree.questions().len()],
            id: super::ids::ID_COLUMNS.map(str::to_owned).to_vec(),
            semantics: Semantics::Conditional,
            assumed: measure == Measure::Fractions,
            name,
            title,
            tree,
            columns,
            measure,
            counted,
            notes,
        }
    }

    /// What each question's fractions are.
    pub fn of_questions(&self) -> Vec<Semantics> {
        self.exceptions.iter().map(|own| own.unwrap_or(self.semantics)).collect()
    }

    /// Every answer as `question/answer`, in the order of the tree.
    pub fn answers(&self) -> Vec<String> {
        (0..self.tree.answers().len()).map(|place| self.tree.path(place)).collect()
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
        for schema in &schemas[..2] {
            assert_eq!(schema.answers().len(), 37, "{}", schema.name);
            assert_eq!(schema.tree.questions().len(), 11, "{}", schema.name);
        }
        // One tree, two tables.
        assert_eq!(schemas[0].tree, schemas[1].tree);
        for schema in &schemas[2..] {
            assert_eq!((schema.answers().len(), schema.tree.questions().len()), (6, 1));
        }
    }

    #[test]
    fn conditional_fractions_are_multiplied_down() {
        let schema = parse(TWO_LEVELS).unwrap();
        let tree = &schema.tree;
        let mut fractions = [0.4, 0.6, 0.25, 0.75];
        tree.make_cumulative(&schema.of_questions(), &mut fractions);
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
        let schema = parse(&text).unwrap();
        let mut fractions = [0.4, 0.6, 0.1, 0.3];
        schema.tree.make_cumulative(&schema.of_questions(), &mut fractions);
        assert_eq!(fractions, [0.4, 0.6, 0.1, 0.3]);
        // Unless a question says otherwise.
        let own = text.replace("after =", "semantics = \"conditional\"\nafter =");
        let schema = parse(&own).unwrap();
        schema.tree.make_cumulative(&schema.of_questions(), &mut fractions);
        for (found, expected) in fractions.iter().zip([0.4, 0.6, 0.04, 0.12]) {
            assert!((found - expected).abs() < 1e-15);
        }
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
