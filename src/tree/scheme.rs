//! A tree and the networks that answer its questions: HIWL's way is two
//! networks with a question each, Zoobot's one network with all of them.
//!
//! What the networks are made of is left to the model file; this is what a
//! catalog, a router and a run folder need to know of them.
//!
//! Invariant of a [`Scheme`]: every question is answered by exactly one
//! network, and by none before one that decides whether it is asked.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Calibration, Naming, Tree, hiwl};
use crate::limits::output::QUOTED;
use crate::limits::shortened;
use crate::limits::tree::NAME;

/// A tree and who answers its questions, in the order in which they run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Named", into = "Named")]
pub struct Scheme {
    tree: Tree,
    networks: Vec<Network>,
    /// Whether rows say how odd they are.
    tells_oddness: bool,
    /// What rows keep of the features, if anything.
    features: Option<FeatureColumn>,
    /// What a catalog's columns of answers are.
    naming: Naming,
}

/// A column of vectors: what the catalog keeps of the vector that the first
/// network's classifier sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureColumn {
    /// Values a row.
    pub length: usize,
    /// Whether they are principal components, and not the features themselves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub components: bool,
    /// Whether they are held in half precision.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub half: bool,
}

/// What a network's outputs mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its questions, in the order of its outputs.
    pub heads: Vec<Head>,
}

/// A question that a network answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Its place in the tree.
    pub question: usize,
    /// Which of the network's outputs are its.
    pub outputs: Range<usize>,
    /// Places of the answers that these mean, in the order of the outputs.
    pub answers: Vec<usize>,
    /// What corrects them, if anything.
    pub calibration: Option<Calibration>,
}

/// A scheme as files write it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    tree: Tree,
    networks: Vec<NamedNetwork>,
}

/// Name and outputs of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedNetwork {
    name: String,
    outputs: Vec<String>,
}

impl Scheme {
    /// A scheme of networks by name, each with what its outputs mean
    /// (`question/answer`), in order. The outputs for a question stand
    /// together, and there is one for each of its answers.
    ///
    /// # Errors
    /// A phrase for a person.
    pub fn new<N: AsRef<str>, O: AsRef<str>>(
        tree: Tree,
        networks: impl IntoIterator<Item = (N, Vec<O>)>,
    ) -> Result<Self, String> {
        if tree.classes().is_empty() {
            return Err("the tree declares no classes, and its leaves are not those of one way \
                        down"
                .into());
        }
        let mut scheme = Self {
            tree,
            networks: Vec::new(),
            tells_oddness: false,
            features: None,
            naming: Naming::default(),
        };
        for (name, outputs) in networks {
            scheme.add(name.as_ref(), &outputs)?;
        }
        let answered: Vec<usize> = scheme.heads().map(|head| head.question).collect();
        let all = scheme.tree.questions().iter().enumerate();
        match all
            .map(|(place, question)| (place, &question.name))
            .find(|(q, _)| !answered.contains(q))
        {
            Some((_, name)) => Err(format!("no network answers {name}")),
            None => Ok(scheme),
        }
    }

    /// HIWL's: its tree, asked of `stage1` and `stage2`, whose outputs are in
    /// the order of the tree's answers.
    pub fn hiwl() -> Self {
        let tree = hiwl().clone();
        let outputs = |question: usize| -> Vec<String> {
            let answers = tree.questions()[question].answers.clone();
            answers.map(|answer| tree.path(answer)).collect()
        };
        let networks = [("stage1", outputs(0)), ("stage2", outputs(1))];
        Self::new(tree.clone(), networks)
            .expect("the tree has these two questions, as a test shows")
    }

    /// The tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The networks, in the order in which they run.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// Whether a catalog of it has a column `oddness`.
    pub fn tells_oddness(&self) -> bool {
        self.tells_oddness
    }

    /// The same with that column, or without. It is no part of what files write of
    /// a scheme: who keeps one says so beside it.
    pub fn with_oddness(self, tells_oddness: bool) -> Self {
        Self { tells_oddness, ..self }
    }

    /// What a catalog of it keeps of the features, in a column `feature`.
    pub fn features(&self) -> Option<FeatureColumn> {
        self.features
    }

    /// The same with that column, or without. As for oddness, who keeps a scheme
    /// says so beside it.
    #[must_use]
    pub fn with_features(self, features: Option<FeatureColumn>) -> Self {
        Self { features, ..self }
    }

    /// What a catalog's columns of answers are.
    pub fn naming(&self) -> Naming {
        self.naming
    }

    /// The same with such columns. It is no part of what files write of a scheme
    /// either.
    pub fn with_naming(self, naming: Naming) -> Self {
        Self { naming, ..self }
    }

    /// What a catalog's columns are where nobody asks for others: Galaxy Zoo's of
    /// networks that learned numbers of votes, else probabilities.
    pub fn usual_naming(&self) -> Naming {
        if self.tells_concentrations() { Naming::Fractions } else { Naming::Probabilities }
    }

    /// Whether every network learned numbers of votes, so that its logits stand for
    /// concentrations.
    pub fn tells_concentrations(&self) -> bool {
        self.heads().all(|head| head.calibration.as_ref().is_some_and(|c| c.concentrations))
    }

    /// Every question's head.
    pub fn heads(&self) -> impl Iterator<Item = &Head> {
        self.networks.iter().flat_map(|network| &network.heads)
    }

    /// Where there are two networks of one question each, the second asked
    /// after one answer to the first: the first's output that means it. A GPU
    /// runs such two as one, by the first's logits as they are, so an output
    /// is none that a calibration might move to another place.
    pub fn cascade(&self) -> Option<usize> {
        let [first, second] = &self.networks[..] else { return None };
        let ([first], [second]) = (&first.heads[..], &second.heads[..]) else { return None };
        let [lead] = self.tree.questions()[second.question].after[..] else { return None };
        let moved = first.calibration.as_ref().is_some_and(Calibration::reorders);
        let place = first.answers.iter().position(|&answer| answer == lead);
        place.filter(|_| !moved)
    }

    /// Whether the outputs of the network at a place mean these lists of classes,
    /// one after the other.
    pub fn means(&self, network: usize, outputs: &[Vec<String>]) -> bool {
        let tree = &self.tree;
        let answers: Vec<usize> =
            self.networks[network].heads.iter().flat_map(|head| head.answers.clone()).collect();
        let same = |(&answer, output): (&usize, &Vec<String>)| {
            let mut below: Vec<&String> =
                tree.classes_below(answer).into_iter().map(|c| &tree.classes[c].name).collect();
            let mut output: Vec<&String> = output.iter().collect();
            below.sort_unstable();
            output.sort_unstable();
            below == output
        };
        answers.len() == outputs.len() && answers.iter().zip(outputs).all(same)
    }

    /// Sets what corrects a question's logits.
    ///
    /// # Errors
    /// A phrase for a person, if there is no such question or the numbers make
    /// no sense.
    pub fn calibrate(&mut self, question: &str, calibration: Calibration) -> Result<(), String> {
        let place = self.tree.question(question);
        let heads = self.networks.iter_mut().flat_map(|network| &mut network.heads);
        let head = heads.into_iter().find(|head| Some(head.question) == place);
        let head = head.ok_or_else(|| format!("calibration: there is no question {question}"))?;
        calibration
            .check(head.answers.len())
            .map_err(|what| format!("calibration of {question}: {what}"))?;
        head.calibration = Some(calibration);
        Ok(())
    }

    /// Forgets what corrects the logits of the network at a place: it was fitted
    /// to other weights.
    pub fn uncalibrate(&mut self, network: usize) {
        for head in &mut self.networks[network].heads {
            head.calibration = None;
        }
    }

    /// Whether its catalogs are HIWL's, whose columns stand in every catalog
    /// that does not say otherwise.
    pub fn is_hiwl(&self) -> bool {
        let hiwl = Self::hiwl();
        let questions = |scheme: &Self| -> Vec<(String, Vec<usize>)> {
            let of = |n: &Network| (n.name.clone(), n.heads.iter().map(|h| h.question).collect());
            scheme.networks.iter().map(of).collect()
        };
        self.tree == hiwl.tree && questions(self) == questions(&hiwl)
    }

    /// Adds a network.
    fn add<O: AsRef<str>>(&mut self, name: &str, outputs: &[O]) -> Result<(), String> {
        // Part of the names of its tensors and of a column.
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > NAME || !name.chars().all(fine) {
            let name = shortened(name, QUOTED);
            return Err(format!("a network cannot be called {name:?}: letters, digits, - and _"));
        }
        if self.networks.iter().any(|network| network.name == name) {
            return Err(format!("network {name} is there twice"));
        }
        let mut network = Network { name: name.to_owned(), heads: Vec::new() };
        for (output, path) in outputs.iter().map(AsRef::as_ref).enumerate() {
            let answer = self.tree.answer(path);
            let answer =
                answer.ok_or_else(|| format!("{name} answers {path}, which is no answer"))?;
            let question = self.tree.answers()[answer].question;
            match network.heads.last_mut().filter(|head| head.question == question) {
                Some(head) if head.answers.contains(&answer) => {
                    return Err(format!("{name} has two outputs for {path}"));
                }
                Some(head) => {
                    head.answers.push(answer);
                    head.outputs.end = output + 1;
                }
                None => network.heads.push(Head {
                    question,
                    outputs: output..output + 1,
                    answers: vec![answer],
                    calibration: None,
                }),
            }
        }
        if network.heads.is_empty() {
            return Err(format!("{name} answers nothing"));
        }
        for (place, head) in network.heads.iter().enumerate() {
            let question = &self.tree.questions()[head.question];
            let earlier = network.heads[..place].iter().chain(self.heads());
            if earlier.into_iter().any(|other| other.question == head.question) {
                return Err(format!("{} is answered twice", question.name));
            }
            if question.answers.len() < 2 {
                return Err(format!("{} has less than two answers", question.name));
            }
            if head.answers.len() != question.answers.len() {
                return Err(format!("{name} has no output for some answer to {}", question.name));
            }
            let known = |answer: &usize| {
                let asked = self.tree.answers()[*answer].question;
                network.heads.iter().chain(self.heads()).any(|other| other.question == asked)
            };
            if !question.after.iter().all(known) {
                return Err(format!(
                    "{name} answers {} before it is known whether it is asked",
                    question.name
                ));
            }
        }
        self.networks.push(network);
        Ok(())
    }
}

impl Network {
    /// How many outputs it has.
    pub fn outputs(&self) -> usize {
        self.heads.last().map_or(0, |head| head.outputs.end)
    }

    /// What its outputs mean, as `question/answer`.
    pub fn paths(&self, tree: &Tree) -> Vec<String> {
        let answers = self.heads.iter().flat_map(|head| &head.answers);
        answers.map(|&answer| tree.path(answer)).collect()
    }

    /// Its name as it is spoken: `stage2` is stage 2.
    pub fn spoken(&self) -> String {
        let word = self.name.trim_end_matches(|c: char| c.is_ascii_digit());
        match &self.name[word.len()..] {
            "" => self.name.clone(),
            _ if word.is_empty() => self.name.clone(),
            number => format!("{word} {number}"),
        }
    }
}

impl From<Scheme> for Named {
    fn from(scheme: Scheme) -> Self {
        let networks = scheme.networks.iter().map(|network| NamedNetwork {
            name: network.name.clone(),
            outputs: network.paths(&scheme.tree),
        });
        Self { networks: networks.collect(), tree: scheme.tree }
    }
}

impl TryFrom<Named> for Scheme {
    type Error = String;

    fn try_from(named: Named) -> Result<Self, String> {
        Self::new(named.tree, named.networks.into_iter().map(|n| (n.name, n.outputs)))
    }
}
