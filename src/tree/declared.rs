//! A tree as files write it (TOML in recipes and schemas, JSON in model files
//! and `run.json`), and the checks that make it a [`Tree`].

use serde::{Deserialize, Serialize};

use super::{Answer, Class, Next, Question, Tree};
use crate::limits::shortened;
use crate::limits::tree::{ANSWERS, NAME, QUESTIONS, TITLE};

/// A tree with names in place of places.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// How the tree is called.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The questions, each after those that lead to it.
    pub questions: Vec<DeclaredQuestion>,
    /// The classes in the order of tables. Without them, every answer that
    /// leads nowhere is a class, in the order of the answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<DeclaredClass>,
}

/// A question of a declared tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredQuestion {
    /// Its name.
    pub name: String,
    /// The answers that lead to it, each as `question/answer`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// What may be answered.
    pub answers: Vec<DeclaredAnswer>,
}

/// An answer of a declared tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredAnswer {
    /// Its name.
    pub answer: String,
    /// Its name in words, where the name does not say enough.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
}

/// A class of a declared tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredClass {
    /// The label.
    pub class: String,
    /// The answer that means it, as `question/answer`.
    pub answer: String,
}

impl From<Tree> for Declared {
    fn from(tree: Tree) -> Self {
        let answers = |question: &Question| {
            let own = &tree.answers[question.answers.clone()];
            let declared =
                |a: &Answer| DeclaredAnswer { answer: a.name.clone(), title: a.title.clone() };
            own.iter().map(declared).collect()
        };
        let questions = tree.questions.iter().map(|question| DeclaredQuestion {
            name: question.name.clone(),
            after: question.after.iter().map(|&answer| tree.path(answer)).collect(),
            answers: answers(question),
        });
        let classes = tree.classes.iter().filter(|_| tree.declares_classes);
        let classes = classes.map(|class| DeclaredClass {
            class: class.name.clone(),
            answer: tree.path(class.answer),
        });
        Self { name: tree.name.clone(), questions: questions.collect(), classes: classes.collect() }
    }
}

impl TryFrom<Declared> for Tree {
    type Error = String;

    /// # Errors
    /// A phrase for a person: an answer that leads nowhere known, a question
    /// before one that leads to it, a name twice, a way down that does not end
    /// on one class.
    fn try_from(declared: Declared) -> Result<Self, String> {
        let (questions, answers) = resolved(&declared.questions)?;
        let mut tree = Self {
            name: declared.name,
            next: vec![Next::Aside; answers.len()],
            questions,
            answers,
            classes: Vec::new(),
            declares_classes: !declared.classes.is_empty(),
            start: 0,
        };
        if tree.declares_classes {
            for DeclaredClass { class, answer } in declared.classes {
                let place = tree.answer(&answer);
                let place = place
                    .ok_or_else(|| format!("class {class} is {answer}, which is no answer"))?;
                tree.add(class, place)?;
            }
            tree.lay_the_way()?;
        } else if tree.ends_in_leaves() {
            let leaves: Vec<usize> = (0..tree.answers.len())
                .filter(|answer| tree.following(*answer).next().is_none())
                .collect();
            // Two leaves of one name (yes of two questions) are no two labels.
            let names = leaves.iter().map(|&leaf| tree.answers[leaf].name.clone());
            let added = names.collect::<Vec<_>>().into_iter().zip(leaves);
            let added = added.into_iter().try_for_each(|(name, leaf)| tree.add(name, leaf));
            if added.and_then(|()| tree.lay_the_way()).is_err() {
                tree.classes.clear();
                tree.next.fill(Next::Aside);
            }
        }
        Ok(tree)
    }
}

/// Refuses names that cannot be columns, labels and lines of tables.
fn nameable(what: &str, name: &str, most: usize) -> Result<(), String> {
    if name.len() > most {
        let (bytes, name) = (name.len(), shortened(name, 40));
        return Err(format!("{what} has a name of {bytes} bytes, {name:?}: at most {most}"));
    }
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(format!("{what} cannot be called {name:?}"));
    }
    Ok(())
}

/// Questions and answers with names resolved to places.
fn resolved(declared: &[DeclaredQuestion]) -> Result<(Vec<Question>, Vec<Answer>), String> {
    let count = declared.iter().map(|question| question.answers.len()).sum::<usize>();
    if declared.len() > QUESTIONS || count > ANSWERS {
        let found = declared.len();
        return Err(format!(
            "{found} questions with {count} answers: at most {QUESTIONS} and {ANSWERS}"
        ));
    }
    let mut questions: Vec<Question> = Vec::new();
    let mut answers: Vec<Answer> = Vec::new();
    let mut paths: Vec<String> = Vec::new();
    for (place, question) in declared.iter().enumerate() {
        let name = &question.name;
        nameable("a question", name, NAME)?;
        if name.contains('/') {
            return Err(format!("a question cannot be called {name:?}"));
        }
        if questions.iter().any(|earlier| earlier.name == *name) {
            return Err(format!("question {name} is there twice"));
        }
        if question.answers.is_empty() {
            return Err(format!("{name} has no answers"));
        }
        let lead = |path: &String| {
            paths
                .iter()
                .position(|known| known == path)
                .ok_or_else(|| format!("{name} comes after {path}, which is not above it"))
        };
        let after = question.after.iter().map(lead).collect::<Result<Vec<_>, _>>()?;
        let first = answers.len();
        for DeclaredAnswer { answer, title } in &question.answers {
            let path = format!("{name}/{answer}");
            if answer.is_empty() {
                return Err(format!("{name} has an answer without a name"));
            }
            // It may join the names of several classes.
            nameable("an answer", answer, TITLE)?;
            if title.len() > TITLE {
                return Err(format!("{path}: its title has more than {TITLE} bytes"));
            }
            if paths.contains(&path) {
                return Err(format!("{path} is there twice"));
            }
            paths.push(path);
            answers.push(Answer { name: answer.clone(), title: title.clone(), question: place });
        }
        questions.push(Question { name: name.clone(), after, answers: first..answers.len() });
    }
    if questions.is_empty() {
        return Err("there are no questions".into());
    }
    Ok((questions, answers))
}

impl Tree {
    /// The questions that an answer leads to.
    fn following(&self, answer: usize) -> impl Iterator<Item = usize> {
        (0..self.questions.len()).filter(move |&q| self.questions[q].after.contains(&answer))
    }

    /// Whether one question begins and no answer leads to two.
    fn ends_in_leaves(&self) -> bool {
        let roots = self.questions.iter().filter(|question| question.after.is_empty());
        roots.count() == 1 && (0..self.answers.len()).all(|a| self.following(a).count() < 2)
    }

    fn add(&mut self, name: String, answer: usize) -> Result<(), String> {
        nameable("a class", &name, NAME)?;
        if self.classes.iter().any(|class| class.name == name) {
            return Err(format!("class {name} is there twice"));
        }
        if self.next[answer] != Next::Aside {
            return Err(format!("{} is two classes", self.path(answer)));
        }
        self.next[answer] = Next::Class(self.classes.len());
        self.classes.push(Class { name, answer });
        Ok(())
    }

    /// Finds what follows each answer on the way to a class, children first.
    fn lay_the_way(&mut self) -> Result<(), String> {
        // Whether a question is on the way to a class.
        let mut leads = vec![false; self.questions.len()];
        for question in (0..self.questions.len()).rev() {
            for answer in self.questions[question].answers.clone() {
                let further: Vec<usize> = self.following(answer).filter(|&q| leads[q]).collect();
                match (self.next[answer], &further[..]) {
                    (Next::Aside, []) => {}
                    (Next::Aside, [next]) => self.next[answer] = Next::Question(*next),
                    (Next::Aside, [a, b, ..]) => {
                        let (a, b) = (&self.questions[*a].name, &self.questions[*b].name);
                        let path = self.path(answer);
                        return Err(format!("{path} leads to classes by {a} and by {b}"));
                    }
                    (_, []) => {}
                    (_, [next, ..]) => {
                        let below = &self.questions[*next].name;
                        let path = self.path(answer);
                        return Err(format!(
                            "{path} is a class, and so are answers to {below} below it"
                        ));
                    }
                }
            }
            let mut own = self.questions[question].answers.clone();
            leads[question] = own.clone().any(|answer| self.next[answer] != Next::Aside);
            if let Some(end) = own.find(|&a| leads[question] && self.next[a] == Next::Aside) {
                return Err(format!("{} ends on no class", self.path(end)));
            }
        }
        let roots: Vec<usize> = (0..self.questions.len())
            .filter(|&q| leads[q] && self.questions[q].after.is_empty())
            .collect();
        match roots[..] {
            [start] => {
                self.start = start;
                Ok(())
            }
            [] => Err("no question that is always asked leads to a class".into()),
            [a, b, ..] => {
                let (a, b) = (&self.questions[a].name, &self.questions[b].name);
                Err(format!("classes follow from {a} and from {b}"))
            }
        }
    }
}
