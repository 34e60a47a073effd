//! Which images an epoch shows, in which order.
//!
//! An order is a function of the classes of the images, the seed and the epoch
//! alone, so that a run that was cut off goes on as if it had not been.

use serde::{Deserialize, Serialize};

use crate::random::Stream;

/// How an epoch draws its images.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Every image once, in a random order.
    #[default]
    Shuffle,
    /// As many draws as there are images, with replacement, each image with
    /// the weight 1 / (images of its class): classes come out even (paper,
    /// section 3.2, equations 1–3).
    Weighted,
    /// The same with the weight 1 / (images of its class) to this power, between
    /// a shuffle's shares (0) and even classes (1).
    Power(f64),
}

/// An image of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// Its place in the list of images.
    pub image: usize,
    /// How often it was drawn before in this epoch: what tells its
    /// augmentations apart.
    pub repeat: u32,
}

impl Sampling {
    /// Whether it makes sense; if not, why.
    ///
    /// # Errors
    /// A phrase for a person.
    pub fn check(self) -> Result<(), String> {
        match self {
            Self::Power(power) if !(0.0..=2.0).contains(&power) => {
                Err("sampling's power is not in 0…2".into())
            }
            _ => Ok(()),
        }
    }

    /// The images of an epoch. `classes` holds the class of each image, in an
    /// order that does not change from run to run (sorted by id).
    pub fn epoch(self, classes: &[usize], seed: u64, epoch: u32) -> Vec<Drawn> {
        let mut stream = Stream::new("sampler", seed, &[&epoch.to_le_bytes()]);
        match self {
            Self::Shuffle => {
                let mut order: Vec<usize> = (0..classes.len()).collect();
                stream.shuffle(&mut order);
                order.into_iter().map(|image| Drawn { image, repeat: 0 }).collect()
            }
            Self::Weighted => weighted(classes, &mut stream),
            Self::Power(power) => by_power(classes, power, &mut stream),
        }
    }
}

/// With the weight `N^-power` an image of a class of `N` is drawn as often as a
/// class drawn by `N^(1 - power)`, and an image drawn evenly within it.
fn by_power(classes: &[usize], power: f64, stream: &mut Stream) -> Vec<Drawn> {
    let number = classes.iter().max().map_or(0, |&last| last + 1);
    let mut members = vec![Vec::new(); number];
    for (image, &class) in classes.iter().enumerate() {
        members[class].push(image);
    }
    members.retain(|images| !images.is_empty());
    let shares: Vec<f64> =
        members.iter().map(|images| (images.len() as f64).powf(1.0 - power)).collect();
    let total: f64 = shares.iter().sum();
    let mut times = vec![0; classes.len()];
    let mut draw = || {
        let mut rest = stream.unit() * total;
        let found = shares.iter().position(|share| {
            rest -= share;
            rest < 0.0
        });
        let class = &members[found.unwrap_or(members.len() - 1)];
        let image = class[stream.below(class.len())];
        let repeat = times[image];
        times[image] += 1;
        Drawn { image, repeat }
    };
    (0..classes.len()).map(|_| draw()).collect()
}

/// With the weight `w_i = 1/N_i` (equation 1), an image of class `i` is drawn
/// with probability `p_i = w_i/k` (equation 2) for `k` classes: the same as a
/// class drawn evenly among the `k`, and an image drawn evenly within it.
/// Classes without an image do not count.
fn weighted(classes: &[usize], stream: &mut Stream) -> Vec<Drawn> {
    let number = classes.iter().max().map_or(0, |&last| last + 1);
    let mut members = vec![Vec::new(); number];
    for (image, &class) in classes.iter().enumerate() {
        members[class].push(image);
    }
    members.retain(|images| !images.is_empty());
    let mut times = vec![0; classes.len()];
    let mut draw = || {
        let class = &members[stream.below(members.len())];
        let image = class[stream.below(class.len())];
        let repeat = times[image];
        times[image] += 1;
        Drawn { image, repeat }
    };
    (0..classes.len()).map(|_| draw()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paper's second stage: 462 CSS, 3,122 EO.
    fn css_eo() -> Vec<usize> {
        let mut classes = vec![0; 462];
        classes.resize(462 + 3122, 1);
        classes
    }

    #[test]
    fn a_shuffle_shows_every_image_once() {
        let order = Sampling::Shuffle.epoch(&css_eo(), 3, 0);
        assert!(order.iter().all(|d| d.repeat == 0));
        let mut images: Vec<usize> = order.iter().map(|d| d.image).collect();
        assert!(!images.is_sorted());
        images.sort_unstable();
        assert_eq!(images, (0..3584).collect::<Vec<_>>());
    }

    #[test]
    fn an_epoch_depends_on_seed_and_epoch_alone() {
        for sampling in [Sampling::Shuffle, Sampling::Weighted] {
            let epoch = |seed, epoch| sampling.epoch(&css_eo(), seed, epoch);
            assert_eq!(epoch(3, 9), epoch(3, 9));
            assert_ne!(epoch(3, 9), epoch(3, 10));
            assert_ne!(epoch(3, 9), epoch(4, 9));
        }
    }

    #[test]
    fn weighted_sampling_follows_equations_1_to_3() {
        let classes = css_eo();
        let epochs = 200;
        let mut counts = vec![0u32; classes.len()];
        for epoch in 0..epochs {
            let order = Sampling::Weighted.epoch(&classes, 1, epoch);
            assert_eq!(order.len(), classes.len());
            for drawn in order {
                counts[drawn.image] += 1;
            }
        }
        let draws = f64::from(epochs) * classes.len() as f64;
        // Equation 3: m/k of each class, within five standard deviations.
        let css = f64::from(counts[..462].iter().sum::<u32>());
        assert!((css - draws / 2.0).abs() < 5.0 * (draws / 4.0).sqrt(), "{css} of {draws}");
        // Equation 2: 1/924 for each CSS, 1/6244 for each EO. Pearson's
        // statistic has the mean n − 1 and the variance 2 (n − 1).
        for (members, probability) in [(0..462, 1.0 / 924.0), (462..3584, 1.0 / 6244.0)] {
            let expected = draws * probability;
            let n = members.len() as f64;
            let pearson: f64 =
                counts[members].iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum();
            assert!((pearson - n).abs() < 5.0 * (2.0 * n).sqrt(), "{pearson} for {n}");
        }
    }

    /// Half way: of 462 and 3,122 images, classes as √462 to √3122.
    #[test]
    fn a_power_lies_between_a_shuffle_and_even_classes() {
        let classes = css_eo();
        for (power, share) in [
            (0.0, 462.0 / 3584.0),
            (0.5, 462f64.sqrt() / (462f64.sqrt() + 3122f64.sqrt())),
            (1.0, 0.5),
        ] {
            let epochs = 40;
            let mut css = 0;
            for epoch in 0..epochs {
                let order = Sampling::Power(power).epoch(&classes, 1, epoch);
                assert_eq!(order.len(), classes.len());
                css += order.iter().filter(|d| d.image < 462).count();
            }
            let draws = f64::from(epochs) * classes.len() as f64;
            let error = (share * (1.0 - share) / draws).sqrt();
            assert!((css as f64 / draws - share).abs() < 5.0 * error, "{power}: {css} of {draws}");
        }
        assert!(Sampling::Power(1.0).epoch(&[], 1, 0).is_empty());
        assert!(
            Sampling::Power(-0.1).check().is_err() && Sampling::Power(f64::NAN).check().is_err()
        );
        assert_eq!(Sampling::Power(0.5).check(), Ok(()));
        let text =
            toml::to_string(&std::collections::BTreeMap::from([("s", Sampling::Power(0.5))]));
        assert_eq!(text.unwrap().trim(), "[s]\npower = 0.5");
    }

    #[test]
    fn repeats_of_an_image_are_told_apart() {
        let order = Sampling::Weighted.epoch(&css_eo(), 1, 0);
        let mut seen = std::collections::HashSet::new();
        assert!(order.iter().all(|d| seen.insert((d.image, d.repeat))));
        assert!(order.iter().any(|d| d.repeat > 0));
    }

    #[test]
    fn classes_without_images_do_not_count() {
        let order = Sampling::Weighted.epoch(&[4, 4, 1], 1, 0);
        assert_eq!(order.len(), 3);
        assert!(Sampling::Weighted.epoch(&[], 1, 0).is_empty());
        assert!(Sampling::Shuffle.epoch(&[], 1, 0).is_empty());
    }
}
