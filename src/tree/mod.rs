//! Decision trees: questions, their answers, and the classes at their ends.
//!
//! A question is asked of a galaxy if one of the answers that lead to it was
//! given. The way down begins with the question that none leads to and ends on
//! a class. Vote tables, recipes, model files, routing, metrics and catalogs
//! share this one type, and all that they know of classes is in it: HIWL is two
//! questions, flat classes are one, Galaxy Zoo DECaLS is ten.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `declared` | a tree as files write it, and the checks that make it a [`Tree`] |
//! | `built_in` | the trees that the program holds, `schemas/trees/` |
//! | `fractions` | cumulative and conditional fractions of votes |
//! | `scheme` | a tree and the networks that answer its questions |
//! | `combined` | schemes that follow from lists of classes |
//! | `route` | logits → probabilities and a class |
//! | `columns` | what a scheme adds to a catalog |
//!
//! Nothing here runs a network or reads a file. Invariant of a [`Tree`]:
//! parents come before children, names of questions, of a question's answers
//! and of classes are unique, and whatever answers are given, the way down
//! ends on exactly one class (if the tree has classes at all).

mod built_in;
mod columns;
mod combined;
mod declared;
mod fractions;
mod route;
mod scheme;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use self::built_in::{galaxy_zoo, hiwl, like};
pub use self::columns::{Column, FEATURE, Naming, ODDNESS, Value, label_text};
pub use self::combined::Combined;
pub use self::declared::{Declared, DeclaredAnswer, DeclaredClass, DeclaredQuestion};
pub use self::fractions::Semantics;
pub use self::route::{Answered, Calibration, Given, Prediction, arg_max, concentration, route};
pub use self::scheme::{FeatureColumn, Head, Network, Scheme};

/// Which rows a network after the first sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage2 {
    /// Those of which one of its questions is asked, by the most probable
    /// answers so far: the paper's routing.
    #[default]
    Routed,
    /// Every row, so that every row has the probabilities of all classes.
    All,
}

/// A question with the places of its answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its name.
    pub name: String,
    /// Places of the answers that lead to it; none for a question that is
    /// always asked.
    pub after: Vec<usize>,
    /// Places of its own answers.
    pub answers: Range<usize>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its name.
    pub name: String,
    /// Its name in words; "" where the name says enough.
    pub title: String,
    /// The place of its question.
    pub question: usize,
}

impl Answer {
    /// What it is called in a sentence.
    pub fn words(&self) -> &str {
        if self.title.is_empty() { &self.name } else { &self.title }
    }
}

/// What a row may be labelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// The label.
    pub name: String,
    /// The place of the answer that means it.
    pub answer: usize,
}

/// A checked decision tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Declared", into = "Declared")]
pub struct Tree {
    name: String,
    questions: Vec<Question>,
    answers: Vec<Answer>,
    classes: Vec<Class>,
    /// Whether classes were declared, or are the leaves.
    declares_classes: bool,
    /// Of each answer: where the way down goes on, or ends.
    next: Vec<Next>,
    /// The question with which the way down begins.
    start: usize,
}

/// What follows an answer on the way down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another question, by its place.
    Question(usize),
    /// A class, by its place.
    Class(usize),
    /// Nothing: the answer is not on the way to a class.
    Aside,
}

impl Tree {
    /// Its name; "" if it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The questions, parents first.
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// The answers, question by question.
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// The classes in their declared order; none for a tree whose ends were
    /// not declared and are not those of one way down.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// Names of the classes.
    pub fn class_names(&self) -> Vec<String> {
        self.classes.iter().map(|class| class.name.clone()).collect()
    }

    /// The place of the class with this name.
    pub fn class(&self, name: &str) -> Option<usize> {
        self.classes.iter().position(|class| class.name == name)
    }

    /// The place of the question with this name.
    pub fn question(&self, name: &str) -> Option<usize> {
        self.questions.iter().position(|question| question.name == name)
    }

    /// The place of `question/answer`.
    pub fn answer(&self, path: &str) -> Option<usize> {
        (0..self.answers.len()).find(|&place| self.path(place) == path)
    }

    /// `question/answer` of the answer at a place.
    pub fn path(&self, answer: usize) -> String {
        let Answer { name, question, .. } = &self.answers[answer];
        format!("{}/{name}", self.questions[*question].name)
    }

    /// Places of the classes that an answer may end in, in their order.
    pub fn classes_below(&self, answer: usize) -> Vec<usize> {
        let mut found = match self.next[answer] {
            Next::Class(class) => vec![class],
            Next::Aside => Vec::new(),
            Next::Question(question) => {
                let answers = self.questions[question].answers.clone();
                answers.flat_map(|answer| self.classes_below(answer)).collect()
            }
        };
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Where the ways down to two classes part: the answers of one question, of which
    /// the first leads to `one` alone and the second to `other`; of several such
    /// questions the first. None where no question parts them.
    pub fn parting(&self, one: usize, other: usize) -> Option<(usize, usize)> {
        self.questions.iter().find_map(|question| {
            let to = |class: usize, not: usize| {
                question.answers.clone().find(|&answer| {
                    let below = self.classes_below(answer);
                    below.contains(&class) && !below.contains(&not)
                })
            };
            Some((to(one, other)?, to(other, one)?))
        })
    }
}

#[cfg(test)]
mod tests;
