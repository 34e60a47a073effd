//! Volunteers who look at simulated galaxies: `votes.csv`, as Zooniverse's tables
//! have it.
//!
//! Each class has known fractions for every question of Galaxy Zoo DECaLS
//! (campaign 5), and for three that are asked of every galaxy. A volunteer goes down
//! the tree, drawing an answer to each question that the answers so far lead to. What
//! is known of a galaxy beside its class does not enter, so that the fractions that
//! a model should predict are these.
//!
//! Invariant: votes depend on seed, index and number of volunteers alone.

use super::random::{Draw, Purpose, generator};
use crate::simulate::Class;
use crate::tree::{Declared, DeclaredAnswer, DeclaredQuestion, Tree, galaxy_zoo};

/// Questions that are asked of every galaxy, with how often the answer is yes, by
/// class in the order of [`Class::ALL`].
const ALWAYS: [(&str, [f64; 5]); 3] = [
    ("ring", [0.04, 0.04, 0.04, 0.05, 0.35]),
    ("dust-lane", [0.03, 0.05, 0.10, 0.60, 0.15]),
    ("round-outline", [0.90, 0.40, 0.05, 0.02, 0.50]),
];

/// Fractions of those who are asked, by class in the order of [`Class::ALL`]; the
/// answers of a question that is not here are equally frequent.
const ANSWERS: [(&str, [f64; 5]); 22] = [
    ("smooth-or-featured/smooth", [0.88, 0.85, 0.75, 0.22, 0.10]),
    ("smooth-or-featured/featured-or-disk", [0.09, 0.12, 0.22, 0.75, 0.87]),
    ("smooth-or-featured/artifact", [0.03, 0.03, 0.03, 0.03, 0.03]),
    ("disk-edge-on/yes", [0.05, 0.10, 0.55, 0.92, 0.04]),
    ("disk-edge-on/no", [0.95, 0.90, 0.45, 0.08, 0.96]),
    ("has-spiral-arms/yes", [0.20, 0.25, 0.30, 0.30, 0.90]),
    ("has-spiral-arms/no", [0.80, 0.75, 0.70, 0.70, 0.10]),
    ("how-rounded/round", [0.85, 0.15, 0.03, 0.05, 0.60]),
    ("how-rounded/in-between", [0.13, 0.75, 0.15, 0.15, 0.35]),
    ("how-rounded/cigar-shaped", [0.02, 0.10, 0.82, 0.80, 0.05]),
    ("edge-on-bulge/boxy", [0.10, 0.10, 0.10, 0.10, 0.10]),
    ("edge-on-bulge/none", [0.20, 0.20, 0.50, 0.30, 0.20]),
    ("edge-on-bulge/rounded", [0.70, 0.70, 0.40, 0.60, 0.70]),
    ("bulge-size/dominant", [0.40, 0.20, 0.10, 0.05, 0.05]),
    ("bulge-size/large", [0.30, 0.30, 0.20, 0.15, 0.10]),
    ("bulge-size/moderate", [0.20, 0.30, 0.30, 0.30, 0.45]),
    ("bulge-size/small", [0.07, 0.15, 0.30, 0.40, 0.35]),
    ("bulge-size/none", [0.03, 0.05, 0.10, 0.10, 0.05]),
    ("merging/none", [0.90, 0.90, 0.90, 0.85, 0.80]),
    ("merging/minor-disturbance", [0.06, 0.06, 0.06, 0.08, 0.12]),
    ("merging/major-disturbance", [0.02, 0.02, 0.02, 0.04, 0.05]),
    ("merging/merger", [0.02, 0.02, 0.02, 0.03, 0.03]),
];

/// What simulated volunteers are asked: the 34 answers of Galaxy Zoo DECaLS, campaign
/// 5, and three questions by themselves.
///
/// # Panics
/// Never, as the tests show.
pub fn tree() -> Tree {
    let decals = galaxy_zoo().iter().find(|tree| tree.name() == "galaxy-zoo-decals-5");
    let mut declared = Declared::from(decals.expect("the program holds it").clone());
    declared.name = "simulated".to_owned();
    let answer = |name: &str| DeclaredAnswer { answer: name.to_owned(), title: String::new() };
    declared.questions.extend(ALWAYS.iter().map(|(name, _)| DeclaredQuestion {
        name: (*name).to_owned(),
        after: Vec::new(),
        answers: vec![answer("yes"), answer("no")],
    }));
    Tree::try_from(declared).expect("questions of other names are added")
}

/// The fraction of every answer of the tree among those who are asked, for galaxies
/// of a class.
pub fn fractions(tree: &Tree, class: Class) -> Vec<f64> {
    let place = Class::ALL.iter().position(|other| *other == class).unwrap_or(0);
    (0..tree.answers().len())
        .map(|answer| {
            let path = tree.path(answer);
            let (question, own) = path.split_once('/').unwrap_or((&path, ""));
            if let Some((_, yes)) = ALWAYS.iter().find(|(name, _)| *name == question) {
                return if own == "yes" { yes[place] } else { 1.0 - yes[place] };
            }
            match ANSWERS.iter().find(|(known, _)| *known == path) {
                Some((_, fractions)) => fractions[place],
                None => {
                    1.0 / tree.questions()[tree.answers()[answer].question].answers.len() as f64
                }
            }
        })
        .collect()
}

/// How many of `volunteers` give each answer of the tree to a galaxy.
pub(super) fn draw(tree: &Tree, class: Class, seed: u64, index: u64, volunteers: u32) -> Vec<u32> {
    let fractions = fractions(tree, class);
    let mut random = generator(seed, index, Purpose::Votes);
    let mut votes = vec![0; fractions.len()];
    for _ in 0..volunteers {
        let mut given = vec![false; fractions.len()];
        for question in tree.questions() {
            if !question.after.is_empty() && !question.after.iter().any(|&answer| given[answer]) {
                continue;
            }
            let mut rest = random.between(0.0, 1.0);
            let mut chosen = question.answers.end - 1;
            for answer in question.answers.clone() {
                if rest < fractions[answer] {
                    chosen = answer;
                    break;
                }
                rest -= fractions[answer];
            }
            given[chosen] = true;
            votes[chosen] += 1;
        }
    }
    votes
}

/// The line of names of `votes.csv`.
pub(super) fn header(tree: &Tree) -> String {
    let mut line = "id_str".to_owned();
    for question in tree.questions() {
        line += &format!(",{}_total-votes", question.name);
        for answer in &tree.answers()[question.answers.clone()] {
            line += &format!(",{}_{}", question.name, answer.name);
        }
    }
    line + "\n"
}

/// The line of a galaxy.
pub(super) fn line(tree: &Tree, id: &str, votes: &[u32]) -> String {
    let mut line = id.to_owned();
    for question in tree.questions() {
        let own = &votes[question.answers.clone()];
        line += &format!(",{}", own.iter().sum::<u32>());
        own.iter().for_each(|count| line += &format!(",{count}"));
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_of_every_question_add_up_to_one() {
        let tree = tree();
        assert_eq!((tree.questions().len(), tree.answers().len()), (13, 40));
        for (path, _) in ANSWERS {
            assert!(tree.answer(path).is_some(), "{path}");
        }
        for class in Class::ALL {
            let fractions = fractions(&tree, class);
            for question in tree.questions() {
                let sum: f64 = fractions[question.answers.clone()].iter().sum();
                assert!((sum - 1.0).abs() < 1e-12, "{}: {sum}", question.name);
            }
        }
    }

    #[test]
    fn volunteers_answer_what_they_are_asked() {
        let tree = tree();
        let votes = draw(&tree, Class::Spi, 3, 5, 4000);
        assert_eq!(votes, draw(&tree, Class::Spi, 3, 5, 4000));
        assert_ne!(votes, draw(&tree, Class::Spi, 3, 6, 4000));
        let of = |path: &str| f64::from(votes[tree.answer(path).unwrap()]);
        let asked = |name: &str| -> f64 {
            let question = &tree.questions()[tree.question(name).unwrap()];
            votes[question.answers.clone()].iter().map(|&v| f64::from(v)).sum()
        };
        assert_eq!(asked("smooth-or-featured"), 4000.0);
        assert_eq!(asked("ring"), 4000.0);
        assert_eq!(asked("disk-edge-on"), of("smooth-or-featured/featured-or-disk"));
        assert_eq!(asked("bar"), of("disk-edge-on/no"));
        assert!((of("smooth-or-featured/featured-or-disk") / 4000.0 - 0.87).abs() < 0.03);
        assert!((of("has-spiral-arms/yes") / asked("has-spiral-arms") - 0.9).abs() < 0.03);
        let line = line(&tree, "7", &votes);
        assert_eq!(line.matches(',').count(), header(&tree).matches(',').count());
    }
}
