use super::*;

fn flat(value: u8) -> RgbImage {
    RgbImage { width: 240, height: 240, pixels: vec![value; 240 * 240 * 3] }
}

fn moments(pixels: &[u8]) -> (f64, f64) {
    let n = pixels.len() as f64;
    let mean = pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / n;
    (mean, pixels.iter().map(|&p| (f64::from(p) - mean).powi(2)).sum::<f64>() / n)
}

#[test]
fn nothing_changes_no_pixel() {
    let mut image = flat(77);
    image.pixels[500] = 3;
    let before = image.clone();
    Lamp::default().apply(&mut image, &Light::NONE);
    assert!(image.pixels == before.pixels);
}

#[test]
fn noise_has_its_standard_deviation_and_its_seed() {
    let noisy = |seed| {
        let mut image = flat(128);
        let light = Light { noise: 0.03, seed, ..Light::NONE };
        Lamp::default().apply(&mut image, &light);
        image.pixels
    };
    let (mean, variance) = moments(&noisy(5));
    // Rounding to whole numbers adds a twelfth. Five standard errors.
    let expected = (255.0f64 * 0.03).powi(2) + 1.0 / 12.0;
    let n = (240 * 240 * 3) as f64;
    assert!((mean - 128.0).abs() < 5.0 * (expected / n).sqrt(), "{mean}");
    assert!((variance / expected - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "{variance} {expected}");
    assert!(noisy(5) == noisy(5) && noisy(5) != noisy(6));
    // Neighbours, also those of one pixel, know nothing of one another.
    let pixels = noisy(9);
    let (mean, variance) = moments(&pixels);
    for distance in [1, 3, 720] {
        let pairs = pixels.iter().zip(&pixels[distance..]);
        let covariance: f64 =
            pairs.map(|(a, b)| (f64::from(*a) - mean) * (f64::from(*b) - mean)).sum::<f64>() / n;
        assert!((covariance / variance).abs() < 5.0 / n.sqrt(), "{distance}: {covariance}");
    }
}

#[test]
fn a_blur_is_a_gaussian_and_keeps_the_light() {
    let mut image = flat(0);
    let centre = (120 * 240 + 120) * 3 + 1;
    image.pixels[centre] = 250;
    let sigma = 1.3;
    Lamp::default().apply(&mut image, &Light { blur: sigma, ..Light::NONE });
    for (dx, dy) in [(0i32, 0i32), (1, 0), (0, -2), (2, 1), (-3, 0)] {
        let r2 = f64::from(dx * dx + dy * dy);
        let peak = 250.0 / (2.0 * std::f64::consts::PI * sigma * sigma);
        let expected = peak * (-r2 / (2.0 * sigma * sigma)).exp();
        let at = (centre as i32 + 3 * (dy * 240 + dx)) as usize;
        let found = f64::from(image.pixels[at]);
        assert!((found - expected).abs() <= 0.6 + 0.02 * expected, "{dx} {dy}: {found} {expected}");
        assert_eq!((image.pixels[at - 1], image.pixels[at + 1]), (0, 0), "other colours");
    }
    // Edges mirror: a flat picture stays flat.
    let mut image = flat(90);
    Lamp::default().apply(&mut image, &Light { blur: 2.0, ..Light::NONE });
    assert!(image.pixels.iter().all(|&p| p == 90));
}

#[test]
fn a_stretch_is_that_of_another_flux() {
    for stretch in [0.5, 1.7] {
        let table = table(stretch, 1.0);
        for flux in [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0] {
            let shown = |flux: f64| (SOFTENING * flux).asinh() / SOFTENING * 255.0;
            let (before, after) = (shown(flux).round(), shown(stretch * flux));
            if before > 255.0 {
                continue;
            }
            let found = f64::from(table[before as usize]);
            // The value before is rounded, and what it stands for is stretched.
            assert!((found - after.min(255.0)).abs() < 0.6 + 0.6 * stretch, "{found} for {after}");
        }
        assert!(table.is_sorted() && table[0] == 0);
    }
    assert_eq!(table(1.0, 1.0), std::array::from_fn::<u8, 256, _>(|i| i as u8));
    let bright = table(1.0, 1.5);
    assert_eq!((bright[100], bright[200]), (150, 255));
}

#[test]
fn gains_are_by_channel() {
    let mut image = flat(100);
    let light = Light { gains: [0.5, 1.0, 2.0], ..Light::NONE };
    Lamp::default().apply(&mut image, &light);
    assert_eq!(&image.pixels[..6], [50, 100, 200, 50, 100, 200]);
}

#[test]
fn mirrors_do_not_repeat_the_edge() {
    let found: Vec<usize> = (-3..8).map(|at| mirrored(at, 5)).collect();
    assert_eq!(found, [3, 2, 1, 0, 1, 2, 3, 4, 3, 2, 1]);
    assert_eq!(mirrored(-7, 1), 0);
    assert_eq!((mirrored(-100, 5), mirrored(1000, 5)), (4, 0));
}
