//! Crops, enlargement and scale.

use super::super::colour;
use super::*;

fn preparation(size: usize, resample: Option<Resample>) -> Preparation {
    let profile = colour::profile("lupton").unwrap().clone();
    Preparation { resample, ..Preparation::new(size, profile) }
}

fn picture(width: usize, height: usize) -> RgbImage {
    let pixels = (0..width * height * 3).map(|i| (i * 37 % 251) as u8).collect();
    RgbImage { width, height, pixels }
}

/// The picture of a cutout of unknown scale, whether or not it shows anything.
fn shown(decoded: &Decoded, preparation: &Preparation) -> Result<RgbImage, Rejection> {
    look(decoded, preparation, None).map(|prepared| prepared.picture)
}

fn bands(width: usize, height: usize) -> BandImage {
    let planes = (0..3 * width * height).map(|i| (i % 97) as f32 * 0.1 - 1.0).collect();
    BandImage::plain(width, height, planes)
}

#[test]
fn offsets_are_those_of_python() {
    // [int(round((n - 240) / 2.0)) for n in ...]
    let wanted = [
        (240, 0),
        (241, 0),
        (242, 1),
        (243, 2),
        (253, 6),
        (255, 8),
        (264, 12),
        (424, 92),
        (425, 92),
    ];
    for (length, wanted) in wanted {
        assert_eq!(offset(length, 240), wanted, "{length}");
    }
}

#[test]
fn crops_take_the_centre() {
    let image = picture(7, 5);
    let out = shown(&Decoded::Rgb(image.clone()), &preparation(3, None)).unwrap();
    assert_eq!((out.width, out.height), (3, 3));
    assert_eq!(out.pixels[..9], image.pixels[(7 + 2) * 3..(7 + 5) * 3]);
    let same = shown(&Decoded::Rgb(picture(4, 4)), &preparation(4, None)).unwrap();
    assert_eq!(same, picture(4, 4));
}

#[test]
fn cropping_first_changes_nothing() {
    let bands = bands(9, 8);
    let preparation = preparation(5, None);
    let whole = preparation.profile.compose(&bands, &Calibration::NONE);
    assert_eq!(
        shown(&Decoded::Bands(bands), &preparation).unwrap(),
        shown(&Decoded::Rgb(whole), &preparation).unwrap()
    );
}

#[test]
fn small_cutouts_are_rejected_with_their_size() {
    let e = shown(&Decoded::Rgb(picture(300, 239)), &preparation(240, None)).unwrap_err();
    assert_eq!(e.reason, Reason::TooSmall);
    assert!(e.detail.contains("300×239") && e.detail.contains("240×240"), "{}", e.detail);
}

#[test]
fn small_cutouts_are_enlarged_if_asked() {
    for resample in [Resample::Bilinear, Resample::Lanczos3] {
        for (width, height) in [(10, 15), (15, 10), (10, 10), (30, 1)] {
            let flat = RgbImage { width, height, pixels: vec![77; width * height * 3] };
            let out = shown(&Decoded::Rgb(flat), &preparation(20, Some(resample))).unwrap();
            assert_eq!((out.width, out.height), (20, 20));
            assert!(out.pixels.iter().all(|p| *p == 77), "{resample:?} keeps flat images flat");
        }
    }
    let large = shown(&Decoded::Rgb(picture(7, 5)), &preparation(3, Some(Resample::Bilinear)));
    assert_eq!(large, shown(&Decoded::Rgb(picture(7, 5)), &preparation(3, None)));
}

#[test]
fn a_line_is_not_enlarged_without_bound() {
    let line = RgbImage { width: 16_000, height: 1, pixels: vec![0; 48_000] };
    let e = shown(&Decoded::Rgb(line), &preparation(240, Some(Resample::Bilinear))).unwrap_err();
    assert_eq!(e.reason, Reason::TooSmall);
}

/// A galaxy of half-light radius `radius` pixels in a square of `side`.
fn galaxy(side: usize, radius: f64) -> RgbImage {
    let middle = (side as f64 - 1.0) / 2.0;
    let pixels = (0..side * side)
        .flat_map(|k| {
            let r = ((k % side) as f64 - middle).hypot((k / side) as f64 - middle);
            let light = 200.0 * (-1.68 * r / radius).exp();
            [light as u8, (0.8 * light) as u8, (0.6 * light) as u8]
        })
        .collect();
    RgbImage { width: side, height: side, pixels }
}

fn mean_difference(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!((a.width, a.height), (b.width, b.height));
    let total: u64 = a.pixels.iter().zip(&b.pixels).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    total as f64 / a.pixels.len() as f64
}

#[test]
fn an_object_has_one_size_whatever_the_pixels() {
    // A radius of 5 arcsec: the network knows pixels of 0.1 arcsec.
    let at = |pixel_scale: f64, side: usize| {
        let mut preparation = preparation(100, None);
        preparation.given.pixel_scale = Some(pixel_scale);
        let image = galaxy(side, 1.0 / pixel_scale);
        prepare(&Decoded::Rgb(image), &preparation, Some(5.0)).unwrap().picture
    };
    let native = at(0.1, 200);
    assert_eq!(native, shown(&Decoded::Rgb(galaxy(200, 10.0)), &preparation(100, None)).unwrap());
    for (pixel_scale, side) in [(0.05, 300), (0.033, 500), (0.16, 90), (0.2, 64)] {
        let differ = mean_difference(&native, &at(pixel_scale, side));
        assert!(differ < 1.0, "{pixel_scale}: {differ}");
    }
}

#[test]
fn light_is_averaged_before_it_is_stretched() {
    let mut preparation = preparation(8, None);
    preparation.profile = colour::profile("sdss").unwrap().clone();
    preparation.given =
        Given { unit: Some("nanomaggy".into()), pixel_scale: Some(0.198), ..Given::default() };
    // Light in every other pixel: twice the size has half of it in each.
    let planes = |light: fn(usize, usize) -> f32, side: usize| {
        let one = (0..side * side).map(|k| light(k % side, k / side)).collect::<Vec<f32>>();
        BandImage::plain(side, side, [&one[..], &one, &one].concat())
    };
    let fine = planes(|x, y| if (x + y) % 2 == 0 { x as f32 * 0.1 } else { 0.0 }, 16);
    let out = look(&Decoded::Bands(fine), &preparation, Some(19.8)).unwrap().picture;
    preparation.given.pixel_scale = Some(0.396);
    // (2x + 2x + 1) · 0.1 over four pixels, whose light four times the area sums.
    let coarse = planes(|x, _| (4 * x + 1) as f32 * 0.1, 8);
    let wanted = look(&Decoded::Bands(coarse), &preparation, Some(19.8)).unwrap().picture;
    assert_eq!(out, wanted);
}

#[test]
fn a_field_that_is_not_there_and_a_scale_that_is_not_known_are_rejections() {
    let image = Decoded::Rgb(galaxy(120, 10.0));
    let mut preparation = preparation(100, None);
    let reason = |preparation: &Preparation, radius: f64| {
        prepare(&image, preparation, Some(radius)).unwrap_err().reason
    };
    assert_eq!(reason(&preparation, 5.0), Reason::NoScale);
    preparation.given.pixel_scale = Some(0.1);
    assert!(prepare(&image, &preparation, Some(6.0)).is_ok());
    assert_eq!(reason(&preparation, 6.5), Reason::TooSmall);
    for radius in [0.0, -1.0, f64::NAN] {
        assert_eq!(reason(&preparation, radius), Reason::NoScale);
    }
}

#[test]
fn wide_pictures_are_told_or_refused() {
    let mut preparation = preparation(240, None);
    let of = |side: usize, preparation: &Preparation| {
        prepare(&Decoded::Rgb(galaxy(side, 60.0)), preparation, None)
    };
    assert!(!of(424, &preparation).unwrap().cut, "Galaxy Zoo's own");
    assert!(of(512, &preparation).unwrap().cut);
    assert_eq!(of(1024, &preparation).unwrap_err().reason, Reason::TooWide);
    preparation.wide = Wide::Crop;
    assert!(of(1024, &preparation).unwrap().cut);
}

#[test]
fn nothing_to_be_seen_is_a_rejection() {
    let flat = RgbImage { width: 20, height: 20, pixels: vec![77; 1200] };
    let e = prepare(&Decoded::Rgb(flat), &preparation(20, None), None).unwrap_err();
    assert_eq!(e.reason, Reason::Blank);
}

#[test]
fn the_whole_picture_is_what_crops_are_cut_from() {
    let bands = bands(9, 8);
    for resample in [None, Some(Resample::Bilinear)] {
        let same = preparation(5, resample);
        let picture = whole(Decoded::Bands(bands.clone()), &same, None).unwrap();
        assert_eq!((picture.width, picture.height), (9, 8));
        assert_eq!(
            shown(&Decoded::Rgb(picture), &same).unwrap(),
            shown(&Decoded::Bands(bands.clone()), &same).unwrap()
        );
    }
    let e = whole(Decoded::Rgb(picture(9, 8)), &preparation(16, None), None).unwrap_err();
    assert_eq!(e.reason, Reason::TooSmall);
    let enlarge = preparation(16, Some(Resample::Bilinear));
    let large = whole(Decoded::Rgb(picture(9, 8)), &enlarge, None).unwrap();
    assert_eq!((large.width, large.height), (18, 16));
}

#[test]
fn bands_with_large_holes_are_not_shown_as_if_they_were_dark() {
    let with = |hole: &dyn Fn(usize, usize, usize) -> bool| {
        let planes = (0..3 * 120 * 120).map(|i| {
            let (plane, y, x) = (i / 14_400, i / 120 % 120, i % 120);
            let light = 3.0 * (-((x as f32 - 59.5).hypot(y as f32 - 59.5)) / 9.0).exp();
            if hole(plane, x, y) { [f32::NAN, f32::INFINITY][i % 2] } else { light }
        });
        let bands = BandImage::plain(120, 120, planes.collect());
        prepare(&Decoded::Bands(bands), &preparation(100, None), None).map_err(|e| e.to_string())
    };
    assert!(with(&|_, _, _| false).is_ok());
    // A corner, a row of bad columns, a dead core of a few pixels.
    assert!(with(&|_, x, y| x < 40 && y < 40).is_ok());
    assert!(with(&|_, x, _| x % 9 == 0).is_ok());
    assert!(with(&|_, x, y| x.abs_diff(60) < 2 && y.abs_diff(60) < 2).is_ok());
    // Outside of the crop it does not matter.
    assert!(with(&|_, x, y| x < 10 || y >= 110).is_ok());
    let told = |hole: &dyn Fn(usize, usize, usize) -> bool| with(hole).unwrap_err();
    assert_eq!(told(&|_, x, _| x < 60), "no_data: 50 % of the pixels of the picture are undefined");
    let speckled = told(&|_, x, y| (x * 7 + y * 13) % 5 < 2);
    assert!(speckled.starts_with("no_data: "), "{speckled}");
    // One band is enough.
    let core = told(&|plane, x, y| plane == 1 && x.abs_diff(60) < 4 && y.abs_diff(60) < 4);
    assert!(core.contains("of its middle"), "{core}");
}
