//! Schemes that follow from lists of classes: a network's output that stands
//! for several classes is told apart by another network, whose outputs are of
//! just these.
//!
//! So recipes name their networks' outputs, and so do the weights that a
//! training run keeps.

use super::{Declared, DeclaredAnswer, DeclaredClass, DeclaredQuestion, Scheme, Tree, like};
use crate::limits::tree::ANSWERS;

/// A network's name, and of each output the classes that it stands for.
pub type Combined<'a> = (&'a str, &'a [Vec<String>]);

impl Scheme {
    /// The scheme of networks whose outputs are lists of classes. Every class
    /// of `classes` is one network's output of its own; without them, what no
    /// other network tells apart is a class, be it several in one.
    ///
    /// A hierarchy that the program holds (HIWL's) is taken for that one, with
    /// its names.
    ///
    /// # Errors
    /// A phrase for a person.
    pub fn combined(classes: Option<&[String]>, networks: &[Combined<'_>]) -> Result<Self, String> {
        let count: usize = networks.iter().flat_map(|(_, own)| own.iter().map(Vec::len)).sum();
        if count > ANSWERS || classes.is_some_and(|classes| classes.len() > ANSWERS) {
            return Err(format!("more than {ANSWERS} classes in all outputs"));
        }
        let order = |class: &str| {
            let known = classes.and_then(|classes| classes.iter().position(|c| c == class));
            known.unwrap_or(usize::MAX)
        };
        // One name for one set, whatever order a recipe writes it in.
        let name = |output: &[String]| {
            let mut output: Vec<&str> = output.iter().map(String::as_str).collect();
            output.sort_by_key(|class| order(class));
            output.join("+")
        };
        let mut questions: Vec<DeclaredQuestion> = Vec::new();
        // Outputs so far: path, classes, whether a network tells them apart.
        let mut outputs: Vec<(String, Vec<&String>, bool)> = Vec::new();
        for (place, (network, own)) in networks.iter().enumerate() {
            let all = sorted(own.iter().flatten());
            let mut after = Vec::new();
            if place > 0 {
                let lead = outputs.iter_mut().find(|(_, classes, told)| *classes == all && !told);
                let (path, _, told) = lead.ok_or_else(|| {
                    format!(
                        "{network} does not tell apart the classes that an earlier model combines"
                    )
                })?;
                *told = true;
                after.push(path.clone());
            }
            if own.len() < 2 || own.iter().any(Vec::is_empty) {
                return Err(format!("{network} has less than two outputs, or one without a class"));
            }
            if all.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(format!("{network} has a class in two outputs"));
            }
            for output in *own {
                let path = format!("{network}/{}", name(output));
                outputs.push((path, sorted(output), false));
            }
            let answer = |output: &Vec<String>| DeclaredAnswer {
                answer: name(output),
                title: String::new(),
            };
            questions.push(DeclaredQuestion {
                name: (*network).to_owned(),
                after,
                answers: own.iter().map(answer).collect(),
            });
        }
        let ends = outputs.iter().filter(|(.., told)| !told);
        let end = |(path, classes, _): &(String, Vec<&String>, bool)| {
            let class = path.split_once('/').map_or("", |(_, name)| name).to_owned();
            (class, path.clone(), classes.len())
        };
        let mut ends: Vec<_> = ends.map(end).collect();
        if let Some(classes) = classes {
            if let Some((class, ..)) = ends.iter().find(|(.., count)| *count > 1) {
                return Err(format!("no model tells apart {class}"));
            }
            let found = sorted(ends.iter().map(|(class, ..)| class));
            if found != sorted(classes) {
                return Err("the models' outputs are not every class once".into());
            }
            ends.sort_by_key(|(class, ..)| order(class));
        }
        let declared = ends.into_iter().map(|(class, answer, _)| DeclaredClass { class, answer });
        let declared = Declared { name: String::new(), questions, classes: declared.collect() };
        let tree = Tree::try_from(declared)?;
        let tree = like(&tree).cloned().unwrap_or(tree);
        let paths = |(network, own): &Combined<'_>| {
            let names: Vec<String> = own.iter().map(|output| name(output)).collect();
            // The question with these answers: in a tree that the program
            // holds it has a name of its own.
            let question = tree.questions().iter().find(|question| {
                let answers = tree.answers()[question.answers.clone()].iter();
                sorted(answers.map(|answer| &answer.name)) == sorted(&names)
            });
            let question = question.map_or(*network, |question| &question.name);
            names.iter().map(|name| format!("{question}/{name}")).collect::<Vec<_>>()
        };
        let named: Vec<_> = networks.iter().map(|network| (network.0, paths(network))).collect();
        Self::new(tree, named)
    }
}

fn sorted<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<&'a String> {
    let mut names: Vec<&String> = names.into_iter().collect();
    names.sort_unstable();
    names
}
