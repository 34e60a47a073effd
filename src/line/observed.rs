//! What a run took for granted, counted, and what its pictures look like beside
//! the model's: told once, at its end.
//!
//! Invariant: sums of integers, so that neither threads nor their order matter.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::cutout::prepare::{Preparation, Prepared};
use crate::model::description::Input;
use crate::words::{counted, part_of};

/// Every so many pixels one is looked at: plenty for means over a run.
const STEP: usize = 7;

/// Pictures below which their statistics tell of them alone.
const ENOUGH: u64 = 24;

/// Kinds of unknown units that are told apart.
const KINDS: usize = 4;

/// Crops of training pictures have this much of the model's mean and standard
/// deviation, which are those of whole pictures: measured on 2,878 of Galaxy
/// Zoo 2.
const OF_CROPS: (f64, f64) = (1.65, 1.4);

/// What pictures may differ by from the model's, as factors: in mean, in standard
/// deviation, and in red over blue. Galaxies of one class alone differ by up to
/// 1.3; a stretch for other eyes, or swapped bands, by more than 2.
const FAR: [f64; 3] = [2.2, 2.0, 1.7];

/// Counts over a run.
#[derive(Debug, Default)]
pub struct Observed(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    pictures: u64,
    bands: u64,
    by_sky: u64,
    found: BTreeMap<String, u64>,
    zero_point: u64,
    pixel_scale: u64,
    cut: u64,
    pixels: u64,
    sums: [u64; 3],
    squares: [u64; 3],
}

impl Observed {
    /// Counts a prepared picture.
    pub fn take(&self, prepared: &Prepared) {
        let (mut pixels, mut sums, mut squares) = (0, [0_u64; 3], [0_u64; 3]);
        for pixel in prepared.picture.pixels.as_chunks::<3>().0.iter().step_by(STEP) {
            pixels += 1;
            for (channel, value) in pixel.iter().enumerate() {
                let value = u64::from(*value);
                sums[channel] += value;
                squares[channel] += value * value;
            }
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.pictures += 1;
        counts.cut += u64::from(prepared.cut);
        counts.pixels += pixels;
        for channel in 0..3 {
            counts.sums[channel] += sums[channel];
            counts.squares[channel] += squares[channel];
        }
        let Some(assumed) = &prepared.assumed else { return };
        counts.bands += 1;
        counts.zero_point += u64::from(assumed.zero_point);
        counts.pixel_scale += u64::from(assumed.pixel_scale);
        if let Some(found) = &assumed.by_sky {
            counts.by_sky += 1;
            if counts.found.len() < KINDS || counts.found.contains_key(found) {
                *counts.found.entry(found.clone()).or_default() += 1;
            }
        }
    }

    /// What a person should know, a line each.
    /// Pictures are held against those of the model if it was `trained` on any.
    pub fn notes(&self, preparation: &Preparation, trained: Option<&Input>) -> Vec<String> {
        let (profile, size) = (&preparation.profile.name, preparation.size);
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let images = ["image with bands", "images with bands"];
        let with_bands = |some, verb| part_of(some, counts.bands, images, verb);
        let mut notes = Vec::new();
        if counts.by_sky > 0 {
            let found: Vec<&str> = counts.found.keys().map(String::as_str).collect();
            notes.push(format!(
                "{} in a unit that is not known ({}): brightness is by the noise of the sky; --unit or \
                 --zero-point says it",
                with_bands(counts.by_sky, ["is", "are"]),
                found.join("; "),
            ));
        }
        if counts.zero_point > 0 {
            notes.push(format!(
                "{} no unit: the zero points of the profile {profile} were taken",
                with_bands(counts.zero_point, ["says", "say"]),
            ));
        }
        if counts.pixel_scale > 0 {
            notes.push(format!(
                "{} nothing of the size of pixels: the profile {profile}'s was taken; --pixel-scale \
                 says it",
                with_bands(counts.pixel_scale, ["says", "say"]),
            ));
        }
        if counts.cut > 0 {
            notes.push(format!(
                "{} more than twice as wide as the {size}×{size} pixels that the network sees: what \
                 is judged is the middle",
                counted(counts.cut, "picture is", "pictures are"),
            ));
        }
        notes.extend(trained.and_then(|input| counts.unlike(input)));
        notes
    }
}

impl Counts {
    /// In what the pictures are unlike those that the model was trained on.
    fn unlike(&self, input: &Input) -> Option<String> {
        if self.pictures < ENOUGH || self.pixels == 0 {
            return None;
        }
        let pixels = self.pixels as f64;
        let mean = self.sums.map(|sum| sum as f64 / pixels / 255.0);
        let deviation = [0, 1, 2].map(|k| {
            let square = self.squares[k] as f64 / pixels / (255.0 * 255.0);
            (square - mean[k] * mean[k]).max(0.0).sqrt()
        });
        let average = |values: [f64; 3]| values.iter().sum::<f64>() / 3.0;
        let theirs = |values: [f32; 3]| values.map(f64::from);
        let (model_mean, model_std) = (theirs(input.mean), theirs(input.std));
        let hue = |values: [f64; 3]| values[0] / values[2].max(1e-6);
        let factors = [
            average(mean) / (OF_CROPS.0 * average(model_mean)),
            average(deviation) / (OF_CROPS.1 * average(model_std)),
            hue(mean) / hue(model_mean),
        ];
        let far =
            factors.iter().zip(FAR).any(|(factor, most)| *factor > most || *factor < 1.0 / most);
        far.then(|| {
            let shown = |values: [f64; 3]| values.map(|v| format!("{v:.3}")).join(", ");
            format!(
                "the pictures are unlike those that the model was trained on: in R, G and B they \
                 have means of {} and standard deviations of {}, where about {} and {} are usual; \
                 see a few with `hiwl look`",
                shown(mean),
                shown(deviation),
                shown(model_mean.map(|v| v * OF_CROPS.0)),
                shown(model_std.map(|v| v * OF_CROPS.1)),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cutout::RgbImage;
    use crate::cutout::colour::{self, Assumed};

    fn picture(colour: impl Fn(usize) -> [u8; 3]) -> Prepared {
        let pixels = (0..7 * 600).flat_map(|k| colour(k / 7)).collect();
        let picture = RgbImage { width: 70, height: 60, pixels };
        Prepared { picture, assumed: None, cut: false }
    }

    fn notes(prepared: &Prepared, count: usize) -> Vec<String> {
        let observed = Observed::default();
        (0..count).for_each(|_| observed.take(prepared));
        let profile = colour::profile("sdss").unwrap().clone();
        observed.notes(&Preparation::new(240, profile), Some(&Input::paper(240)))
    }

    #[test]
    fn usual_pictures_are_not_mentioned() {
        // One pixel in ten is bright, as in a picture of a galaxy.
        let usual = picture(|k| if k % 10 == 0 { [110, 95, 72] } else { [9, 8, 6] });
        assert_eq!(notes(&usual, 100), [""; 0]);
        let swapped = picture(|k| if k % 10 == 0 { [72, 95, 110] } else { [6, 8, 9] });
        assert!(notes(&swapped, 100)[0].contains("unlike"), "red and blue");
        assert_eq!(notes(&swapped, 3), [""; 0], "too few to tell");
        let bright = picture(|k| if k % 10 == 0 { [250, 240, 200] } else { [70, 60, 48] });
        assert!(notes(&bright, 100)[0].contains("unlike"));
    }

    #[test]
    fn what_was_assumed_is_told_with_its_count() {
        let mut bands = picture(|k| if k % 10 == 0 { [110, 95, 72] } else { [9, 8, 6] });
        bands.cut = true;
        bands.assumed = Some(Assumed {
            by_sky: Some("BUNIT is \"ADU\"".into()),
            zero_point: false,
            pixel_scale: true,
        });
        let notes = notes(&bands, 30);
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[0].contains("30 of 30") && notes[0].contains("ADU"), "{}", notes[0]);
        assert!(notes[1].contains("--pixel-scale") && notes[2].contains("240×240"));
    }
}
