//! The trees that the program holds.

use std::sync::LazyLock;

use super::{Question, Tree};

/// Files under `schemas/trees/`, compiled in.
const FILES: [&str; 2] = [
    include_str!("../../schemas/trees/hiwl.toml"),
    include_str!("../../schemas/trees/hiwl-flat.toml"),
];

static TREES: LazyLock<Vec<Tree>> = LazyLock::new(|| {
    let parse = |text| toml::from_str(text).expect("it is compiled in, and a test parses it");
    FILES.into_iter().map(parse).collect()
});

/// Files under `schemas/trees/` of Galaxy Zoo's releases.
const GALAXY_ZOO: [&str; 6] = [
    include_str!("../../schemas/trees/galaxy-zoo-2.toml"),
    include_str!("../../schemas/trees/galaxy-zoo-decals-5.toml"),
    include_str!("../../schemas/trees/galaxy-zoo-decals-1-2.toml"),
    include_str!("../../schemas/trees/galaxy-zoo-cosmic-dawn.toml"),
    include_str!("../../schemas/trees/galaxy-zoo-hubble.toml"),
    include_str!("../../schemas/trees/galaxy-zoo-candels.toml"),
];

static ZOO: LazyLock<Vec<Tree>> = LazyLock::new(|| {
    let parse = |text| toml::from_str(text).expect("it is compiled in, and a test parses it");
    GALAXY_ZOO.into_iter().map(parse).collect()
});

/// The trees of Galaxy Zoo's releases.
pub fn galaxy_zoo() -> &'static [Tree] {
    &ZOO
}

/// HIWL's tree, which model files of format 1 are of.
pub fn hiwl() -> &'static Tree {
    &TREES[0]
}

/// The tree that the program holds with the answers of `tree`, asked alike,
/// whatever their order and whatever its questions are called. It knows the
/// answers' names in words and the order of the classes.
pub fn like(tree: &Tree) -> Option<&'static Tree> {
    TREES.iter().find(|known| shape(known) == shape(tree))
}

/// Names of each question's answers and of those that lead to it, sorted.
fn shape(tree: &Tree) -> Vec<(Vec<&str>, Vec<&str>)> {
    let sorted = |places: &mut dyn Iterator<Item = usize>| {
        let mut names: Vec<&str> = places.map(|place| &*tree.answers[place].name).collect();
        names.sort_unstable();
        names
    };
    let of = |q: &Question| (sorted(&mut q.after.iter().copied()), sorted(&mut q.answers.clone()));
    let mut shape: Vec<_> = tree.questions.iter().map(of).collect();
    shape.sort_unstable();
    shape
}
