//! Bands and pictures of the same galaxies get the same labels: simulated, and of
//! four surveys. And what is not a galaxy gets none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::util::catalog::column;
use crate::util::command::{assert_code, code, errors, hiwl};
use crate::util::{real_data, root};

fn shipped() -> PathBuf {
    root().join("models/hiwl-b1.safetensors")
}

/// Classifies with the model that ships: the run's folder.
fn classify(inputs: &[&Path], flags: &[&str], output: &Path) {
    let run = hiwl()
        .env("HIWL_MODEL", shipped())
        .args(["classify", "--quiet", "--precision", "f32", "--output"])
        .arg(output)
        .args(inputs)
        .args(flags)
        .output()
        .unwrap();
    assert!(code(&run) < 2, "{}", errors(&run));
}

/// The labels of a run by id; a rejected cutout's is its status.
fn labels(output: &Path) -> BTreeMap<String, String> {
    let (label, status) = (column(output, "label"), column(output, "status"));
    let shown = label.into_iter().zip(status);
    let shown = shown.map(|(label, status)| if label.is_empty() { status } else { label });
    column(output, "id").into_iter().zip(shown).collect()
}

/// Of 1,000 galaxies of each of two seeds 99.5 and 98.8 % of the labels agree, and
/// accuracy is within 0.1 and 0.6 points. Those that do not agree have confidences
/// about 0.5: of 400 six are expected, and twelve would be too many.
#[test]
fn simulated_galaxies_look_the_same_as_bands_and_as_pictures() {
    let (mut agree, mut right, mut right_bands, mut all) = (0, 0, 0, 0);
    for seed in ["5", "13"] {
        let folder = tempfile::tempdir().unwrap();
        let of = |format: &str| {
            let images = folder.path().join(format);
            let made = hiwl()
                .arg("simulate")
                .arg(&images)
                .args(["--count", "200", "--seed", seed, "--format", format])
                .output()
                .unwrap();
            assert_code(&made, 0);
            let output = folder.path().join(format!("{format}-run"));
            classify(&[&images], &[], &output);
            labels(&output)
        };
        let (pictures, bands) = (of("jpeg"), of("fits"));
        let truth = fs::read_to_string(folder.path().join("jpeg/labels.csv")).unwrap();
        let truth: BTreeMap<String, String> = truth
            .lines()
            .skip(1)
            .map(|line| {
                let mut cells = line.split(',').map(str::to_owned);
                (cells.next().unwrap(), cells.next().unwrap())
            })
            .collect();
        assert_eq!((pictures.len(), bands.len()), (200, 200));
        let same = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| {
            a.iter().filter(|(id, label)| b.get(*id) == Some(label)).count()
        };
        agree += same(&pictures, &bands);
        right += same(&truth, &pictures);
        right_bands += same(&truth, &bands);
        all += pictures.len();
    }
    assert!(100 * agree >= 97 * all, "{agree} of {all} labels agree");
    assert!(10 * right >= 9 * all, "{right} of {all} are right as pictures");
    assert!(
        100 * right.abs_diff(right_bands) <= all,
        "{right} of {all} are right as pictures, {right_bands} as bands"
    );
}

/// EFIGI's images are SDSS's, in counts of the survey's own pixels.
#[test]
fn efigi_galaxies_get_the_labels_of_their_pictures() {
    let Some(data) = real_data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (pictures, bands) = (folder.path().join("pictures"), folder.path().join("bands"));
    let files: Vec<PathBuf> =
        fs::read_dir(data.join("fits")).unwrap().map(|entry| entry.unwrap().path()).collect();
    // PGC0000281's picture does not show what its FITS files hold.
    let of = |end: &str| -> Vec<&Path> {
        let wanted = |path: &&Path| {
            let name = path.to_str().unwrap();
            name.ends_with(end) && !name.contains("PGC0000281")
        };
        files.iter().map(PathBuf::as_path).filter(wanted).collect()
    };
    classify(&of(".png"), &[], &pictures);
    // 151, 201 and 275 counts are a nanomaggy in i, r and g.
    let counts = ["--zero-point", "27.947,28.258,28.598", "--flux-pixel", "0.396"];
    classify(&of(".fits"), &counts, &bands);
    let (pictures, bands) = (labels(&pictures), labels(&bands));
    assert_eq!((pictures.len(), bands.len()), (9, 9));
    let agree = pictures.iter().filter(|(id, label)| bands[*id] == **label).count();
    assert!(agree >= 8, "{agree} of 9: {pictures:?} {bands:?}");
}

#[test]
fn three_surveys_agree_on_one_galaxy() {
    let Some(data) = real_data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    classify(&[&data.join("fits-surveys/cross_survey_sn2006bh")], &[], &output);
    let found = labels(&output);
    let expected = ["DES", "PS1", "SDSS"].map(|id| (id.to_owned(), "SPI".to_owned()));
    assert_eq!(found, BTreeMap::from(expected));
}

#[test]
fn a_decals_cube_gets_the_label_of_its_picture() {
    let Some(data) = real_data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let legacy = data.join("fits-surveys/legacy_decals");
    let of = |name: &str, flags: &[&str]| {
        let output = folder.path().join(format!("{name}{}", flags.len()));
        classify(&[&legacy.join(name)], flags, &output);
        labels(&output)["example_a"].clone()
    };
    let picture = of("example_a.png", &[]);
    assert_eq!(picture, "CRS");
    assert_eq!(of("example_a.fits", &["--bands", "z,r,g"]), picture);
    assert_eq!(of("example_a.fits", &["--profile", "legacy-grz", "--wide", "crop"]), picture);
}

/// A FITS cube of three planes of `side` pixels a side.
fn cube(side: usize, cards: &[&str], pixel: impl Fn(usize, usize, usize) -> f32) -> Vec<u8> {
    image(side, 3, cards, pixel)
}

/// A FITS image of some planes.
fn image(
    side: usize,
    planes: usize,
    cards: &[&str],
    pixel: impl Fn(usize, usize, usize) -> f32,
) -> Vec<u8> {
    let axis = |n: usize, length: usize| format!("NAXIS{n}  = {length:>20}");
    let fixed = [
        "SIMPLE  =                    T".to_owned(),
        "BITPIX  =                  -32".to_owned(),
        "NAXIS   =                    3".to_owned(),
        axis(1, side),
        axis(2, side),
        axis(3, planes),
    ];
    let more = cards.iter().map(|card| (*card).to_owned()).chain(["END".to_owned()]);
    let mut bytes: Vec<u8> =
        fixed.into_iter().chain(more).flat_map(|card| format!("{card:80}").into_bytes()).collect();
    bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    for plane in 0..planes {
        for y in 0..side {
            bytes.extend((0..side).flat_map(|x| pixel(plane, x, y).to_be_bytes()));
        }
    }
    bytes.resize(bytes.len().next_multiple_of(2880), 0);
    bytes
}

/// Light of a galaxy in the middle.
fn light(side: usize, x: usize, y: usize) -> f32 {
    let middle = (side as f32 - 1.0) / 2.0;
    let radius = (x as f32 - middle).hypot(y as f32 - middle) * 100.0 / side as f32;
    2.0 * (-radius / 6.0).exp()
}

/// A number of the catalog, which is shown as its bits.
fn bits(cell: &str) -> f64 {
    f64::from(f32::from_bits(u32::from_str_radix(cell, 16).unwrap()))
}

fn report(inputs: &[&Path], flags: &[&str], output: &Path) -> (i32, Value) {
    let run = hiwl()
        .args(["classify", "--json", "--output"])
        .arg(output)
        .args(inputs)
        .args(flags)
        .output()
        .unwrap();
    let text = String::from_utf8(run.stdout.clone()).unwrap();
    let last = text.lines().last().unwrap_or_else(|| panic!("{}", errors(&run)));
    (code(&run), serde_json::from_str(last).unwrap())
}

fn pinned(output: &Path) -> Value {
    serde_json::from_slice(&fs::read(output.join("run.json")).unwrap()).unwrap()
}

#[test]
fn what_is_assumed_of_a_unit_is_told_once_and_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("in");
    fs::create_dir(&images).unwrap();
    for name in ["a.fits", "b.fits"] {
        fs::write(
            images.join(name),
            cube(240, &["BUNIT   = 'ADU     '"], |_, x, y| light(240, x, y)),
        )
        .unwrap();
    }
    let out = |name: &str| folder.path().join(name);
    let (exit, told) = report(&[&images], &[], &out("unknown"));
    assert_eq!(exit, 0, "{told}");
    let notes = told["notes"].to_string();
    assert!(
        notes.contains("2 of 2") && notes.contains("ADU") && notes.contains("--zero-point"),
        "{notes}"
    );
    let settings = &pinned(&out("unknown"))["settings"];
    assert_eq!(settings["colours"]["profile"]["name"], "sdss");
    // The same command goes on with the run; another unit is another run.
    assert_eq!(report(&[&images], &[], &out("unknown")).0, 0);
    let again = hiwl()
        .args(["classify", "--output"])
        .args([&out("unknown"), &images])
        .args(["--zero-point", "25"])
        .output()
        .unwrap();
    assert_code(&again, 64);
    assert!(errors(&again).contains("zero_points"), "{}", errors(&again));

    let (_, told) =
        report(&[&images], &["--zero-point", "22.5", "--pixel-scale", "0.4"], &out("known"));
    assert_eq!(told["notes"], serde_json::json!([]));
    assert_eq!(pinned(&out("known"))["settings"]["colours"]["given"]["pixel_scale"], 0.4);
}

#[test]
fn runs_of_pictures_alone_pin_what_they_always_did() {
    let folder = tempfile::tempdir().unwrap();
    let jpegs = root().join("fixtures/cutouts/jpeg");
    let pictures = folder.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    for entry in fs::read_dir(&jpegs).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jpg") {
            fs::copy(&path, pictures.join(path.file_name().unwrap())).unwrap();
        }
    }
    let output = folder.path().join("out");
    assert_eq!(report(&[&pictures], &[], &output).0, 0);
    let settings = pinned(&output)["settings"].clone();
    assert!(settings.get("colours").is_none(), "{settings}");
    assert_eq!(settings["preparation"]["crop"]["profile"]["name"], "lupton");
    assert_eq!(report(&[&pictures], &[], &output).0, 0, "it goes on");
}

#[test]
fn asinh_magnitudes_of_pan_starrs_are_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let cards = |compressed: bool| {
        let mut cards = vec!["MAGZERO =                 30.0"];
        if compressed {
            cards.extend(["BSOFTEN =                 10.0", "BOFFSET =                  5.0"]);
        }
        cards
    };
    let counts = |x, y| 500.0 * light(240, x, y);
    fs::write(path("linear.fits"), cube(240, &cards(false), |_, x, y| counts(x, y))).unwrap();
    let magnitude = |x, y| 1.085_736_2 * ((counts(x, y) - 5.0) / 20.0).asinh();
    fs::write(path("asinh.fits"), cube(240, &cards(true), |_, x, y| magnitude(x, y))).unwrap();
    fs::write(path("kept.fits"), cube(240, &cards(true), |_, x, y| counts(x, y))).unwrap();
    let output = path("out");
    let inputs = ["linear.fits", "asinh.fits", "kept.fits"].map(path);
    let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
    assert_eq!(report(&inputs, &[], &output).0, 1);
    assert_eq!(column(&output, "status"), ["ok", "ok", "unsupported"]);
    let confidence: Vec<f64> =
        column(&output, "confidence").iter().take(2).map(|c| bits(c)).collect();
    assert!((confidence[0] - confidence[1]).abs() < 1e-3, "{confidence:?}");
    assert!(column(&output, "error")[2].contains("BSOFTEN"));
}

#[test]
fn one_band_alone_is_grey_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let plane = |_: usize, x: usize, y: usize| light(240, x, y);
    fs::write(path("one.fits"), image(240, 1, &["BUNIT   = 'nanomaggy'"], plane)).unwrap();
    let (_, told) =
        report(&[&path("one.fits")], &["--profile", "grey", "--bands", "r,r,r"], &path("grey"));
    assert_eq!(told["rejected"], serde_json::json!({}), "{told}");
    assert_eq!(pinned(&path("grey"))["settings"]["colours"]["profile"]["name"], "grey");
}

#[test]
fn what_shows_nothing_has_no_label() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("in");
    fs::create_dir(&images).unwrap();
    let png = |name: &str, colour: &dyn Fn(usize, usize) -> u8| {
        let file = fs::File::create(images.join(name)).unwrap();
        let mut encoder = png::Encoder::new(file, 256, 256);
        encoder.set_color(png::ColorType::Rgb);
        let pixels: Vec<u8> = (0..256 * 256).flat_map(|k| [colour(k % 256, k / 256); 3]).collect();
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    };
    png("black.png", &|_, _| 0);
    png("star.png", &|x, y| {
        if x.abs_diff(128).pow(2) + y.abs_diff(128).pow(2) < 8000 { 255 } else { 9 }
    });
    png("text.png", &|x, y| if (60..70).contains(&y) && x % 9 < 3 { 255 } else { 0 });
    png("white.png", &|_, _| 255);
    fs::write(images.join("zeros.fits"), cube(256, &[], |_, _, _| 0.0)).unwrap();
    let output = folder.path().join("out");
    assert_eq!(report(&[&images], &[], &output).0, 1);
    let found: Vec<(String, String)> =
        column(&output, "id").into_iter().zip(column(&output, "status")).collect();
    let expected = [
        ("black", "blank"),
        ("star", "saturated"),
        ("text", "blank"),
        ("white", "blank"),
        ("zeros", "blank"),
    ];
    assert_eq!(found, expected.map(|(id, status)| (id.to_owned(), status.to_owned())));
}

#[test]
fn pictures_can_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("in");
    fs::create_dir(&images).unwrap();
    fs::write(images.join("empty.jpg"), b"").unwrap();
    // 480 pixels of 0.1 arcsec; a radius of 10 arcsec asks for pixels of 0.2.
    let cards = ["BUNIT   = 'nanomaggy'"];
    fs::write(images.join("fine.fits"), cube(480, &cards, |_, x, y| light(480, x, y) / 4.0))
        .unwrap();
    fs::write(images.join("right.fits"), cube(240, &cards, |_, x, y| light(240, x, y))).unwrap();
    let table = folder.path().join("t.csv");
    let row = |id: &str, file: &str, radius: f64| {
        format!("{id},{},{radius}\n", images.join(file).display())
    };
    let rows =
        ["id,path,r90\n".to_owned(), row("a/1", "fine.fits", 10.0), row("none", "empty.jpg", 3.0)];
    fs::write(&table, rows.concat()).unwrap();
    let look = |inputs: &[&Path], flags: &[&str], output: &Path| {
        let run = hiwl().arg("look").args(inputs).args(flags).arg("--output").arg(output).output();
        let run = run.unwrap();
        (code(&run), String::from_utf8(run.stdout.clone()).unwrap() + &errors(&run))
    };
    let (scaled, plain) = (folder.path().join("scaled"), folder.path().join("plain"));
    let (exit, said) =
        look(&[&table], &["--radius-column", "r90", "--pixel-scale", "0.1"], &scaled);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("1 picture\n") && said.contains("none: empty"), "{said}");
    let (exit, said) = look(&[&images.join("right.fits")], &["--pixel-scale", "0.2"], &plain);
    assert_eq!(exit, 0, "{said}");
    let pixels = |path: &Path| {
        let mut reader = png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap()))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        pixels
    };
    let (scaled, plain) = (pixels(&scaled.join("a_1.png")), pixels(&plain.join("right.png")));
    assert_eq!(scaled.len(), 240 * 240 * 3);
    let far = scaled.iter().zip(&plain).filter(|(a, b)| a.abs_diff(**b) > 3).count();
    assert!(far < 100 && plain.iter().any(|v| *v > 100), "{far}");
    // What is there is not written over.
    assert_eq!(look(&[&images], &[], &images).0, 64);
}

#[test]
fn positions_that_are_left_out_are_counted_by_their_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("in");
    fs::create_dir(&images).unwrap();
    let axes = ["BUNIT   = 'nanomaggy'", "CTYPE1  = 'RA---TAN'", "CTYPE2  = 'DEC--TAN'"];
    let whole = [
        "CRPIX1  = 120.5",
        "CRPIX2  = 120.5",
        "CRVAL1  = 150.0",
        "CRVAL2  = 2.0",
        "CDELT1  = -1.1E-4",
        "CDELT2  = 1.1E-4",
    ];
    let odd = |value: &'static str| [&axes[..], &whole, &[value]].concat();
    for (name, cards) in [
        ("plain", axes[..1].to_vec()),
        ("a", axes.to_vec()),
        ("b", axes.to_vec()),
        ("c", odd("RADESYS = 'GAPPT'")),
        ("d", odd("RADESYS = 7")),
    ] {
        let bytes = cube(240, &cards, |_, x, y| light(240, x, y));
        fs::write(images.join(format!("{name}.fits")), bytes).unwrap();
    }
    let output = folder.path().join("out");
    let (exit, told) = report(&[&images], &[], &output);
    assert_eq!(exit, 0, "{told}");
    let notes = told["notes_of_rows"].as_object().unwrap();
    let rows = column(&output, "error");
    assert_eq!(rows.iter().filter(|error| !error.is_empty()).count(), 4, "{rows:?}");
    let counts: Vec<u64> = notes.values().map(|count| count.as_u64().unwrap()).collect();
    assert_eq!(counts.iter().sum::<u64>(), 4, "{notes:?}");
    assert!(notes.keys().all(|note| note.starts_with("no position: ")), "{notes:?}");
    assert_eq!(notes.len(), 2, "{notes:?}");
    // A person sees them too, also when every part is there.
    let again = hiwl().args(["classify", "--output"]).args([&output, &images]).output().unwrap();
    let text = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(notes.keys().all(|note| text.contains(note.as_str())), "{text}");
}
