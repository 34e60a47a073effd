//! Augmentation against PIL, pixel by pixel, with the random draws fixed.

use std::fs;
use std::time::Instant;

use hiwl::cutout::RgbImage;
use hiwl::cutout::augment::crop::Window;
use hiwl::cutout::augment::{Augmentation, Augmenter, Draws};
use serde_json::json;
use tempfile::TempDir;

use crate::util::python::oracle;

struct Case {
    crop: usize,
    size: usize,
    draws: Draws,
}

/// A galaxy-like picture with noise: bright centre, dark edge, no two pixels
/// alike.
fn picture(width: usize, height: usize) -> RgbImage {
    let mut state = 12345u32;
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let (dx, dy) = (x as f64 - width as f64 / 2.0, y as f64 - height as f64 / 2.0);
            let light = 230.0 * (-(dx * dx + 3.0 * dy * dy) / 4000.0).exp();
            for _ in 0..3 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                pixels.push((light + f64::from(state >> 24) * 0.098) as u8);
            }
        }
    }
    RgbImage { width, height, pixels }
}

/// Every case by the oracle.
fn by_pil(image: &RgbImage, cases: &[Case]) -> Vec<Vec<u8>> {
    let folder = TempDir::new().unwrap();
    let described: Vec<_> = cases
        .iter()
        .map(|Case { crop, size, draws }| {
            let Window { left, top, width, height } = draws.window;
            json!({
                "crop": crop, "size": size, "angle": draws.angle,
                "window": {"left": left, "top": top, "width": width, "height": height},
                "horizontal_flip": draws.horizontal_flip,
                "vertical_flip": draws.vertical_flip, "transpose": draws.transpose,
            })
        })
        .collect();
    let request = json!({"width": image.width, "height": image.height, "cases": described});
    fs::write(folder.path().join("cases.json"), request.to_string()).unwrap();
    fs::write(folder.path().join("input.rgb"), &image.pixels).unwrap();
    oracle("augment.py", &[folder.path().to_str().unwrap()]);
    (0..cases.len()).map(|i| fs::read(folder.path().join(format!("{i}.rgb"))).unwrap()).collect()
}

/// The largest difference of a pixel, and how many differ at all.
fn difference(a: &[u8], b: &[u8]) -> (u8, usize) {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    (differences.clone().max().unwrap_or(0), differences.filter(|&d| d > 0).count())
}

/// Rotations and mirrors alone: no pixel is mixed, so none may differ.
fn exact_cases() -> Vec<Case> {
    let angles = [-25.0, 25.0, 0.0, 1e-9, 0.1, -0.2238, 3.5, 12.345_678, -17.0, 24.999];
    let wide = [45.0, 90.0, -90.0, 180.0, -180.0, 135.7, -179.9];
    let mut cases = Vec::new();
    for (i, &angle) in angles.iter().chain(&wide).enumerate() {
        for crop in [256, 255] {
            let draws = Draws {
                angle,
                horizontal_flip: i % 2 == 0,
                vertical_flip: i % 3 == 0,
                transpose: i % 5 == 0,
                ..Draws::none(crop)
            };
            cases.push(Case { crop, size: crop, draws });
        }
    }
    cases
}

/// The paper's augmentation and that of other recipes, as they are drawn.
fn drawn_cases() -> Vec<Case> {
    let any = Augmentation { rotation: 180.0, transpose: 0.5, ..Augmentation::paper() };
    let low = Augmentation { rotation: 0.0, scale: [0.5, 1.0], ..Augmentation::none(240) };
    let mut cases = Vec::new();
    for (recipe, size) in [(Augmentation::paper(), 240), (any, 240), (low, 128)] {
        for epoch in 0..12 {
            let draws = Draws::new(&recipe, 3, epoch, "125460", 0);
            cases.push(Case { crop: recipe.crop, size, draws });
        }
    }
    // Validation at another size than the crop.
    for size in [128, 160, 300] {
        cases.push(Case { crop: 240, size, draws: Draws::none(240) });
    }
    cases
}

#[test]
fn pixels_are_pillows() {
    let image = picture(264, 271);
    let mut augmenter = Augmenter::new();
    let mut ours =
        |case: &Case| augmenter.apply(&image, case.crop, &case.draws, case.size).unwrap().pixels;
    let exact = exact_cases();
    for (case, theirs) in exact.iter().zip(by_pil(&image, &exact)) {
        assert_eq!(difference(&ours(case), &theirs), (0, 0), "{:?}", case.draws);
    }
    let drawn = drawn_cases();
    let (mut pixels, mut differing) = (0, 0);
    for (case, theirs) in drawn.iter().zip(by_pil(&image, &drawn)) {
        let (most, count) = difference(&ours(case), &theirs);
        assert!(most <= 1, "{most} in {:?}", case.draws);
        pixels += theirs.len();
        differing += count;
    }
    // Both round to bytes between the two passes of a resampling, each in its
    // own way: on noise a value in five then differs, by one and never more.
    assert!(differing * 4 < pixels, "{differing} of {pixels}");
}

/// Not a benchmark: a floor far below what one core does, so that nothing of
/// it becomes the bottleneck of training unnoticed.
#[test]
fn augmentation_keeps_up_with_training() {
    let image = picture(264, 264);
    let recipe = Augmentation { rotation: 180.0, transpose: 0.5, ..Augmentation::paper() };
    let mut augmenter = Augmenter::new();
    for size in [240, 128] {
        let started = Instant::now();
        for epoch in 0..200 {
            let draws = Draws::new(&recipe, 1, epoch, "7", 0);
            augmenter.apply(&image, recipe.crop, &draws, size).unwrap();
        }
        let rate = 200.0 / started.elapsed().as_secs_f64();
        eprintln!("{size} px: {rate:.0} images/s");
        assert!(rate > 200.0, "{rate} images/s at {size} px");
    }
}
