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
    ] {
        assert!(wrong.check().is_err(), "{wrong:?}");
    }
}
