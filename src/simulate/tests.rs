//! Galaxies measured back from their pixels.

use crate::simulate::Class;

use super::render::Canvas;
use super::render::noise::{SKY, SURVEY_PIXEL};
use super::scene::Galaxy;
use super::*;

/// The indices of one class where classes come in turn.
fn of_class(class: Class, count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |k| 5 * k + class as u64)
}

/// Axis ratio and area, in pixels, of the pixels brighter than a limit.
fn isophote(plane: &[f32], side: usize, limit: f32) -> (f64, usize) {
    let (mut area, mut x, mut y, mut xx, mut yy, mut xy) = (0usize, 0.0, 0.0, 0.0, 0.0, 0.0);
    for (k, _) in plane.iter().enumerate().filter(|&(_, &v)| v > limit) {
        let (column, row) = ((k % side) as f64, (k / side) as f64);
        area += 1;
        x += column;
        y += row;
        xx += column * column;
        yy += row * row;
        xy += column * row;
    }
    let n = area as f64;
    let (x, y) = (x / n, y / n);
    let (xx, yy, xy) = (xx / n - x * x, yy / n - y * y, xy / n - x * y);
    let (half, root) = (0.5 * (xx + yy), (0.25 * (xx - yy).powi(2) + xy * xy).sqrt());
    (((half - root) / (half + root)).sqrt(), area)
}

/// The axis ratio of a galaxy without seeing, noise and field, at an isophote
/// about as large as its R90 ellipse.
fn intrinsic_axis_ratio(index: u64) -> f64 {
    let simulation = Simulation::new(11);
    let truth = simulation.truth(index);
    let side = 401;
    let mut canvas = Canvas::new(side, (6.0 * truth.petro_r90 / side as f64) as f32);
    simulation.scene(index, &truth).galaxy.add_to(&mut canvas, 1e-6);
    let mut sorted = canvas.planes[1].clone();
    sorted.sort_unstable_by(f32::total_cmp);
    // The brightest pixels that together cover half of R90's square.
    let pixels = (side as f64 / 6.0).powi(2) * 0.5;
    let limit = sorted[sorted.len() - pixels as usize];
    isophote(&canvas.planes[1], side, limit).0
}

#[test]
fn axis_ratios_are_those_of_the_classes() {
    for (class, low, high) in [
        (Class::Crs, 0.85, 1.0),
        (Class::Ibs, 0.44, 0.81),
        (Class::Css, 0.19, 0.39),
        (Class::Eo, 0.05, 0.36),
        (Class::Spi, 0.35, 1.0),
    ] {
        for index in of_class(class, 20) {
            let q = intrinsic_axis_ratio(index);
            assert!((low..=high).contains(&q), "{class:?} {index}: {q}");
        }
    }
}

#[test]
fn classes_are_in_order_of_thickness_through_seeing_and_noise() {
    let simulation = Simulation::new(12);
    let median_q = |class| {
        let mut ratios: Vec<f64> = of_class(class, 21)
            .map(|index| {
                let galaxy = simulation.galaxy(index);
                // Ten times the sky's noise: the body of the galaxy, and few
                // neighbours within the inner part of the cutout.
                let area = (galaxy.pixel_scale as f32 / SURVEY_PIXEL).powi(2);
                let (first, side) = (112, 200);
                let inner: Vec<f32> = (first..first + side)
                    .flat_map(|row| {
                        galaxy.bands[1][row * 424 + first..row * 424 + first + side].to_vec()
                    })
                    .collect();
                isophote(&inner, side, 10.0 * SKY[1] * area).0
            })
            .collect();
        ratios.sort_unstable_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    };
    let [crs, ibs, css, eo, spi] = Class::ALL.map(median_q);
    assert!(eo < css - 0.03 && css < ibs - 0.1 && ibs < crs - 0.1, "{eo} {css} {ibs} {crs}");
    assert!(crs > 0.85 && spi > ibs, "{crs} {spi}");
}

#[test]
fn spiral_arms_are_seen_through_seeing_and_noise() {
    let simulation = Simulation::new(13);
    let mut contrasts = Vec::new();
    for index in of_class(Class::Spi, 20) {
        let truth = simulation.truth(index);
        let Galaxy::Spiral { disk, .. } = simulation.scene(index, &truth).galaxy else {
            panic!("{index} is no spiral");
        };
        let galaxy = simulation.galaxy(index);
        let light = |ahead: f64| -> f64 {
            let places = (0..disk.arms).flat_map(|arm| {
                (0..12).map(move |k| (f64::from(disk.h) * (1.2 + 0.1 * f64::from(k)), arm))
            });
            places
                .map(|(radius, arm)| {
                    let (x, y) = disk.place(radius, arm, ahead);
                    let pixel = |offset: f32| {
                        (f64::from(offset) / galaxy.pixel_scale + 211.5).round() as usize
                    };
                    f64::from(galaxy.bands[0][pixel(y) * 424 + pixel(x)])
                })
                .sum()
        };
        contrasts.push(light(0.0) / light(std::f64::consts::PI / f64::from(disk.arms)));
    }
    contrasts.sort_unstable_by(f64::total_cmp);
    assert!(contrasts[0] > 1.1, "{contrasts:?}");
    assert!(contrasts[5] > 1.4, "{contrasts:?}");
}

#[test]
fn round_galaxies_are_redder_than_spirals() {
    let simulation = Simulation::new(14);
    let colour = |class| {
        let sum: f64 = of_class(class, 20)
            .map(|index| {
                let galaxy = simulation.galaxy(index);
                let flux = |band: usize| -> f64 {
                    (162..262)
                        .flat_map(|row| &galaxy.bands[band][row * 424 + 162..row * 424 + 262])
                        .map(|&v| f64::from(v))
                        .sum()
                };
                2.5 * (flux(1) / flux(0)).log10()
            })
            .sum();
        sum / 20.0
    };
    let (round, spiral) = (colour(Class::Crs), colour(Class::Spi));
    assert!(round > spiral + 0.2, "g - r {round} and {spiral}");
    assert!((0.4..1.1).contains(&round) && (0.2..0.8).contains(&spiral));
}

#[test]
fn the_sky_has_the_noise_of_the_survey() {
    // At 32 pixels a side every cutout's pixels are larger than the survey's,
    // and no interpolation touches the noise.
    let simulation = Simulation::new(15).with_size(32).expect("a valid size");
    for (band, sky) in SKY.into_iter().enumerate() {
        let mut ratios: Vec<f64> = (0..60)
            .map(|index| {
                let galaxy = simulation.galaxy(index);
                let border = (0..1024usize).filter(|k| {
                    let (row, column) = (k / 32, k % 32);
                    row.min(column).min(31 - row).min(31 - column) < 3
                });
                let mut deviations: Vec<f64> =
                    border.map(|k| f64::from(galaxy.bands[band][k]).abs()).collect();
                deviations.sort_unstable_by(f64::total_cmp);
                let sigma = 1.4826 * deviations[deviations.len() / 2];
                sigma / (f64::from(sky / SURVEY_PIXEL) * galaxy.pixel_scale)
            })
            .collect();
        ratios.sort_unstable_by(f64::total_cmp);
        // Faint neighbours and the galaxy's own wings add a little.
        assert!((0.95..1.25).contains(&ratios[30]), "band {band}: {}", ratios[30]);
    }
}

#[test]
fn a_galaxy_depends_on_seed_and_index_alone() {
    let simulation = Simulation::new(16);
    let later = simulation.galaxy(1_000_003);
    let _ = simulation.galaxy(2);
    assert_eq!(simulation.galaxy(1_000_003), later);
    assert_ne!(Simulation::new(17).galaxy(1_000_003).bands, later.bands);
    let small = simulation.clone().with_size(48).expect("a valid size").galaxy(1_000_003);
    assert_eq!(small.truth, later.truth);
    let ratio = small.pixel_scale * 48.0 / (later.pixel_scale * 424.0);
    assert!((ratio - 1.0).abs() < 1e-12, "the field of view stays");
}

#[test]
fn every_size_and_extreme_index_renders() {
    for size in [32, 33, 100, 1000] {
        for index in [0, 1, 2, 3, 4, u64::MAX] {
            let galaxy = Simulation::new(u64::MAX).with_size(size).expect("valid").galaxy(index);
            for plane in &galaxy.bands {
                assert_eq!(plane.len(), size * size);
                assert!(plane.iter().all(|v| v.is_finite()));
            }
        }
    }
}

#[test]
fn what_cannot_be_made_is_refused() {
    for size in [0, 31, 4097, usize::MAX] {
        let refused = Simulation::new(1).with_size(size);
        assert!(matches!(refused, Err(SimulateError::Size { size: s }) if s == size));
    }
    let refused = Simulation::new(1).with_classes(Classes::Weighted([0.0; 5]));
    assert!(matches!(refused, Err(SimulateError::Weights)));
}
