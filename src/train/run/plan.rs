//! What one model of a run learns from, in which order, from which seeds.
//!
//! All of it follows from recipe and data, so that a run that goes on has the
//! plan it began with.

use super::data::{Dataset, Image};
use super::feed::{Shot, even_batches};
use crate::random;
use crate::train::recipe::{Model, Recipe, Training};

/// The plan of one model.
pub struct Plan {
    /// The model.
    pub model: Model,
    /// How it learns.
    pub training: Training,
    /// Seeds its initial weights, epochs, augmentation and dropout.
    pub seed: u64,
    /// Of each output, the places of its classes among the recipe's.
    pub classes: Vec<Vec<usize>>,
    /// Training images of its classes: place and output.
    train: Vec<(usize, usize)>,
    /// Validation images of its classes.
    pub val: Vec<Shot>,
    /// Images of each step of an epoch.
    batches: Vec<usize>,
}

impl Plan {
    /// The plan of `model`.
    pub fn new(recipe: &Recipe, model: &Model, data: &Dataset) -> Self {
        let training = recipe.training(model).clone();
        let of_model = |images: &[Image]| -> Vec<(usize, usize)> {
            let output = |image: &Image| match model.votes {
                None => model.output_of(&recipe.classes[image.class]),
                Some(_) => Some(0),
            };
            let places = images.iter().enumerate();
            places.filter_map(|(place, image)| Some((place, output(image)?))).collect()
        };
        let train = of_model(&data.train);
        let val = of_model(&data.val);
        let place = |class: &String| recipe.classes.iter().position(|known| known == class);
        let classes = |output: &Vec<String>| output.iter().filter_map(place).collect();
        Self {
            classes: model.outputs.iter().map(classes).collect(),
            model: model.clone(),
            seed: derived(recipe.seed, "model", model.name.as_bytes()),
            batches: even_batches(train.len(), training.batch),
            val: val.into_iter().map(|(image, output)| Shot { image, output, repeat: 0 }).collect(),
            train,
            training,
        }
    }

    /// Every image of an epoch once, in the order of the data.
    pub fn shots(&self) -> Vec<Shot> {
        let shot = |&(image, _): &(usize, usize)| Shot { image, output: image, repeat: 0 };
        self.train.iter().map(shot).collect()
    }

    /// Steps of an epoch.
    pub fn steps(&self) -> u64 {
        self.batches.len() as u64
    }

    /// Images of an epoch.
    pub fn images(&self) -> u64 {
        self.train.len() as u64
    }

    /// What is left of an epoch after `step` steps: its images in order, and
    /// how many make a batch.
    pub fn epoch(&self, epoch: u32, step: u64) -> (Vec<Shot>, Vec<usize>) {
        let outputs: Vec<usize> = self.train.iter().map(|(_, output)| *output).collect();
        let done = usize::try_from(step).unwrap_or(usize::MAX).min(self.batches.len());
        let seen: usize = self.batches[..done].iter().sum();
        let shots = self
            .model
            .sampling
            .epoch(&outputs, self.seed, epoch)
            .into_iter()
            .skip(seen)
            .map(|drawn| {
                // What is learned of it is looked up by the image.
                let (image, _) = self.train[drawn.image];
                Shot { image, output: image, repeat: drawn.repeat }
            })
            .collect();
        (shots, self.batches[done..].to_vec())
    }

    /// The output that stands for a training image's class.
    pub fn output(&self, image: usize) -> usize {
        let place = self.train.partition_point(|(place, _)| *place < image);
        self.train.get(place).map_or(0, |(_, output)| *output)
    }

    /// Seeds the dropout of a step, counted from 0 over all epochs.
    pub fn dropout_seed(&self, step: u64) -> u64 {
        derived(self.seed, "dropout", &step.to_le_bytes())
    }

    /// Pixels that are learned from epoch `epoch`, step `step` to the last.
    pub fn pixels_after(&self, epoch: u32, step: u64) -> f64 {
        let of = |epoch: u32| {
            let size = self.training.phase(epoch).map_or(0, |(_, phase)| phase.size);
            self.images() as f64 * (size * size) as f64
        };
        let epochs = epoch..self.training.epochs();
        let done = of(epoch) * step as f64 / self.steps().max(1) as f64;
        (epochs.map(of).sum::<f64>() - done).max(0.0)
    }
}

/// A seed of its own for each use of a seed.
fn derived(seed: u64, purpose: &str, what: &[u8]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = random::digest(purpose, seed, &[what]);
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
