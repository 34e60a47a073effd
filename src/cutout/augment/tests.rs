use serde::Deserialize;

use super::*;

fn picture(width: usize, height: usize) -> RgbImage {
    let pixels = (0..width * height * 3).map(|i| (i * 7 % 251) as u8).collect();
    RgbImage { width, height, pixels }
}

#[derive(Deserialize)]
struct Rectangle {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

#[derive(Deserialize)]
struct Case {
    side: usize,
    scale: [f64; 2],
    aspect: [f64; 2],
    drawn: Vec<f64>,
    window: Rectangle,
}

#[derive(Deserialize)]
struct Golden {
    windows: Vec<Case>,
}

/// `tests/oracles/live/training.py` made the windows with torchvision.
#[test]
fn windows_are_torchvisions() {
    let text = include_str!("../../../fixtures/golden/torch.json");
    let golden: Golden = serde_json::from_str(text).unwrap();
    let whole = golden.windows.iter().filter(|c| c.window.width == c.side).count();
    assert!(whole > 5 && whole < golden.windows.len() / 2, "cases of both kinds");
    for (number, case) in golden.windows.iter().enumerate() {
        let mut drawn = case.drawn.iter();
        let window = crop::random_window(case.side, case.scale, case.aspect, &mut || {
            *drawn.next().expect("no more numbers than torchvision draws")
        });
        let Rectangle { left, top, width, height } = case.window;
        assert_eq!(window, Window { left, top, width, height }, "case {number}");
        assert!(drawn.next().is_none(), "case {number}: as many numbers as torchvision draws");
    }
}

#[test]
fn draws_depend_on_seed_epoch_id_and_repeat() {
    let recipe = Augmentation::paper();
    let draws = |seed, epoch, id, repeat| Draws::new(&recipe, seed, epoch, id, repeat);
    let first = draws(1, 2, "125460", 0);
    assert_eq!(first, draws(1, 2, "125460", 0));
    for other in [
        draws(2, 2, "125460", 0),
        draws(1, 3, "125460", 0),
        draws(1, 2, "12546", 0),
        draws(1, 2, "125460", 1),
    ] {
        assert_ne!(first.angle, other.angle);
    }
}

#[test]
fn the_papers_draws_are_distributed_as_they_should_be() {
    let recipe = Augmentation::paper();
    let draws: Vec<Draws> =
        (0..20_000).map(|epoch| Draws::new(&recipe, 1, epoch, "7", 0)).collect();
    let mean = |f: &dyn Fn(&Draws) -> f64| draws.iter().map(f).sum::<f64>() / 20_000.0;
    // Five standard errors of a uniform variable and of a coin.
    assert!(mean(&|d| d.angle).abs() < 5.0 * 50.0 / (12.0f64 * 20_000.0).sqrt());
    assert!((mean(&|d| d.angle.powi(2)) - 625.0 / 3.0).abs() < 8.0);
    assert!(draws.iter().all(|d| d.angle.abs() <= 25.0 && !d.transpose));
    for flip in [|d: &Draws| d.horizontal_flip, |d: &Draws| d.vertical_flip] {
        assert!((mean(&|d| f64::from(u8::from(flip(d)))) - 0.5).abs() < 0.018);
    }
    let both = mean(&|d| f64::from(u8::from(d.horizontal_flip && d.vertical_flip)));
    assert!((both - 0.25).abs() < 0.016);
    for Draws { window: Window { left, top, width, height }, .. } in &draws {
        assert!(left + width <= 256 && top + height <= 256);
        let part = (width * height) as f64 / 65536.0;
        assert!((0.895..=1.0).contains(&part), "{width}×{height}");
    }
}

#[test]
fn nothing_is_the_central_square() {
    let image = picture(264, 260);
    let found = Augmenter::new().apply(&image, 240, &Draws::none(240), 240).unwrap();
    let expected: Vec<u8> = (10..250)
        .flat_map(|y| image.pixels[(y * 264 + 12) * 3..(y * 264 + 252) * 3].to_vec())
        .collect();
    assert_eq!((found.width, found.height), (240, 240));
    assert!(found.pixels == expected);
    let recipe = Augmentation::none(240);
    assert_eq!(Draws::new(&recipe, 1, 1, "7", 0), Draws::none(240));
}

#[test]
fn what_lies_outside_the_square_is_black_even_if_the_image_has_it() {
    let image = RgbImage { width: 300, height: 300, pixels: vec![200; 300 * 300 * 3] };
    let draws = Draws { angle: 20.0, ..Draws::none(256) };
    let turned = Augmenter::new().apply(&image, 256, &draws, 256).unwrap();
    assert_eq!(&turned.pixels[..3], [0; 3]);
    let centre = (128 * 256 + 128) * 3;
    assert_eq!(&turned.pixels[centre..centre + 3], [200; 3]);
}

/// A recipe without the new keys draws and says what it always did.
#[test]
fn more_keys_change_nothing_where_they_are_off() {
    let paper = Augmentation::paper();
    let text = serde_json::to_string(&paper).unwrap();
    for key in ["fill", "zoom", "stretch", "brightness", "colour", "blur", "noise"] {
        assert!(!text.contains(key), "{key} in {text}");
    }
    assert_eq!(serde_json::from_str::<Augmentation>(&text).unwrap(), paper);
    let more = Augmentation {
        stretch: [0.5, 2.0],
        colour: 0.2,
        blur: [0.0, 1.0],
        noise: [0.0, 0.05],
        ..paper.clone()
    };
    for epoch in 0..50 {
        let (old, new) =
            (Draws::new(&paper, 3, epoch, "7", 0), Draws::new(&more, 3, epoch, "7", 0));
        assert_eq!(old.light, Light::NONE);
        assert_ne!(new.light, Light::NONE);
        assert_eq!(Draws { light: Light::NONE, ..new }, old);
    }
}

#[test]
fn light_and_zoom_are_distributed_as_they_should_be() {
    let recipe = Augmentation {
        fill: Fill::Mirror,
        zoom: [0.7, 1.4],
        stretch: [0.5, 2.0],
        brightness: [0.8, 1.25],
        colour: 0.1,
        blur: [0.0, 1.2],
        noise: [0.0, 0.04],
        ..Augmentation::none(240)
    };
    assert_eq!(recipe.check(), Ok(()));
    let draws: Vec<Draws> =
        (0..10_000).map(|epoch| Draws::new(&recipe, 1, epoch, "7", 0)).collect();
    // The mean of what is uniform in a range, within five standard errors.
    let uniform = |low: f64, high: f64, f: &dyn Fn(&Draws) -> f64| {
        let values = draws.iter().map(f);
        assert!(values.clone().all(|v| low - 1e-9 <= v && v <= high + 1e-9), "{low}…{high}");
        let mean = values.sum::<f64>() / 10_000.0;
        let error = (high - low) / 12.0f64.sqrt() / 100.0;
        assert!((mean - (low + high) / 2.0).abs() < 5.0 * error, "{mean} of {low}…{high}");
    };
    uniform(240.0 / 1.4 - 0.5, 240.0 / 0.7 + 0.5, &|d| {
        // Log-uniform sides: as uniform as a map makes them.
        let part = ((d.side as f64 * 1.4 / 240.0).ln() / 2.0f64.ln()).clamp(0.0, 1.0);
        240.0 / 1.4 + part * (240.0 / 0.7 - 240.0 / 1.4)
    });
    uniform(0.5f64.ln(), 2.0f64.ln(), &|d| d.light.stretch.ln());
    uniform(0.0, 1.2, &|d| d.light.blur);
    uniform(0.0, 0.04, &|d| d.light.noise);
    for i in 0..3 {
        uniform(-0.1, 0.1, &|d| {
            let [r, g, b] = d.light.gains.map(f64::ln);
            // Brightness is common to all three.
            ([r, g, b][i] - [g, b, r][i]) / 2.0
        });
    }
    let seeds: std::collections::HashSet<u64> = draws.iter().map(|d| d.light.seed).collect();
    assert_eq!(seeds.len(), draws.len());
}

/// Twice as large: the middle half of the square; and half as large: the image
/// and what is mirrored around it.
#[test]
fn zoom_is_another_square() {
    let image = picture(260, 260);
    let mut augmenter = Augmenter::new();
    for (side, size) in [(120, 120), (360, 360)] {
        let draws = Draws { fill: Fill::Mirror, ..Draws::none(side) };
        let found = augmenter.apply(&image, 240, &draws, size).unwrap();
        for (y, x) in [(0, 0), (60, 7), (119, 118)] {
            let at = |v: usize| light::mirrored(v as isize + (260 - side as isize) / 2, 260);
            let from = 3 * (at(y) * 260 + at(x));
            assert_eq!(found.pixels[3 * (y * size + x)..][..3], image.pixels[from..from + 3]);
        }
    }
}

#[test]
fn half_a_pixel_goes_where_python_rounds() {
    // Room for 1 and 3 pixels: starts at round(0.5) = 0 and round(1.5) = 2.
    assert_eq!(centre(&picture(257, 259), 256).unwrap(), (0, 2));
    assert_eq!(centre(&picture(424, 424), 256).unwrap(), (84, 84));
}

#[test]
fn a_small_image_is_rejected() {
    let error = Augmenter::new().apply(&picture(300, 255), 256, &Draws::none(256), 240);
    assert_eq!(error.unwrap_err().reason, Reason::TooSmall);
}

#[test]
fn mirrors_make_all_eight_orientations() {
    let original: Vec<u8> = (0..27).collect();
    let pixel = |image: &[u8], x: usize, y: usize| image[(y * 3 + x) * 3] / 3;
    let mut seen = std::collections::HashSet::new();
    for bits in 0..8 {
        let (h, v, t) = (bits & 1 == 1, bits & 2 == 2, bits & 4 == 4);
        let mut image = original.clone();
        flip::in_place(&mut image, 3, h, v, t);
        for y in 0..3 {
            for x in 0..3 {
                let (mut from_x, mut from_y) = if t { (y, x) } else { (x, y) };
                from_x = if h { 2 - from_x } else { from_x };
                from_y = if v { 2 - from_y } else { from_y };
                assert_eq!(pixel(&image, x, y), pixel(&original, from_x, from_y));
            }
        }
        assert!(image.as_chunks::<3>().0.iter().all(|p| p[1] == p[0] + 1 && p[2] == p[0] + 2));
        seen.insert(image);
    }
    assert_eq!(seen.len(), 8);
}

#[test]
fn recipes_are_checked() {
    assert_eq!(Augmentation::paper().check(), Ok(()));
    assert_eq!(Augmentation::none(240).check(), Ok(()));
    let paper = Augmentation::paper;
    for wrong in [
        Augmentation { crop: 0, ..paper() },
        Augmentation { rotation: -1.0, ..paper() },
        Augmentation { scale: [0.0, 1.0], ..paper() },
        Augmentation { scale: [1.0, 0.9], ..paper() },
        Augmentation { aspect: [1.0, f64::NAN], ..paper() },
        Augmentation { vertical_flip: 1.5, ..paper() },
        Augmentation { zoom: [0.8, 1.25], ..paper() },
        Augmentation { zoom: [0.0, 1.0], fill: Fill::Mirror, ..paper() },
        Augmentation { stretch: [1.2, 1.1], ..paper() },
        Augmentation { brightness: [f64::NAN, 1.0], ..paper() },
        Augmentation { colour: -0.1, ..paper() },
        Augmentation { blur: [0.0, 9.0], ..paper() },
        Augmentation { noise: [-0.1, 0.1], ..paper() },
    ] {
        assert!(wrong.check().is_err(), "{wrong:?}");
    }
}
