//! Where the model saw its worst mistakes: heat maps of the answer that was wrong, and
//! of the one that would have been right, over the pictures.
//!
//! Both answers are of the question at which the ways down the tree part, and so of one
//! network: the one that went wrong. The maps are `hiwl explain`'s.

use std::collections::HashMap;

use super::galaxies::thumbnail;
use crate::classify::Explainer;
use crate::cutout::RgbImage;
use crate::draw::panels;
use crate::model::model_file::Model;
use crate::page::PageError;
use crate::page::pictures::Pictures;
use crate::run::RunFolder;

/// A heat map of an answer.
pub(super) struct HeatMap {
    /// What it is of.
    pub(super) answer: String,
    /// The address of the picture with the map over it, or why there is none.
    pub(super) picture: Result<String, String>,
}

/// Heat maps by row.
pub(super) struct Heat(HashMap<u64, Vec<HeatMap>>);

impl Heat {
    /// Of mistakes, each a row's place, the class that was said, and the known one.
    pub(super) fn of(
        run: &RunFolder,
        model: &Model,
        mistakes: &[(u64, usize, usize)],
    ) -> Result<Self, PageError> {
        let mut maps = HashMap::new();
        if mistakes.is_empty() {
            return Ok(Self(maps));
        }
        let explainer = match Explainer::new(model, None) {
            Ok(explainer) => explainer,
            // What cannot be explained has a page without explanations, which says so.
            Err(error) => {
                let none = |answer| HeatMap { answer, picture: Err(error.to_string()) };
                let of = |&(place, said, _): &(u64, usize, usize)| {
                    let class = &model.description.scheme.tree().classes()[said];
                    (place, vec![none(class.name.clone())])
                };
                return Ok(Self(mistakes.iter().map(of).collect()));
            }
        };
        let places: Vec<u64> = mistakes.iter().map(|(place, ..)| *place).collect();
        Pictures::of(run).each(&places, &mut |at, picture| {
            let (place, said, truth) = mistakes[at];
            // One without its picture says why in its place.
            if let Ok(picture) = picture {
                maps.insert(place, maps_of(&explainer, &picture, said, truth)?);
            }
            Ok(())
        })?;
        Ok(Self(maps))
    }

    /// Those of a row.
    pub(super) fn of_row(&self, place: u64) -> &[HeatMap] {
        self.0.get(&place).map_or(&[], Vec::as_slice)
    }
}

/// The maps of the two answers that part two classes.
fn maps_of(
    explainer: &Explainer,
    picture: &RgbImage,
    said: usize,
    truth: usize,
) -> Result<Vec<HeatMap>, PageError> {
    let tree = explainer.scheme().tree();
    let answers = tree.parting(said, truth).map(|(said, truth)| vec![said, truth]);
    let answers = answers.unwrap_or_else(|| vec![tree.classes()[said].answer]);
    let asked: Vec<(&[u8], usize)> =
        answers.iter().map(|answer| (picture.pixels.as_slice(), *answer)).collect();
    let seen = explainer.explain(&asked)?;
    let of = |(answer, seen): (&usize, crate::classify::Seen)| {
        let name = tree.answers()[*answer].name.clone();
        let over = panels::over(picture, seen.placed());
        Ok(HeatMap { answer: name, picture: Ok(thumbnail(&over)?) })
    };
    answers.iter().zip(seen).map(of).collect()
}
