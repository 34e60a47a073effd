//! Masks and maps of weights: the pixels that are left are those of astropy and numpy, and
//! what could be of another mosaic is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use hiwl::cutout::decode::DecodeOptions;
use hiwl::cutout::{BandImage, Reason, Rejection, SkyPosition};
use hiwl::mosaic::{Masks, Mosaics, Place, Settings};
use serde::Deserialize;

use super::line::{Scene, statuses};
use crate::util::catalog::{column, parts, rows};
use crate::util::command::{Workplace, errors};
use crate::util::python::{environment, oracle_of};
use crate::util::{fixture, root};

#[derive(Clone, Deserialize)]
struct Case {
    name: String,
    file: String,
    masks: Masks,
    beside: Vec<(String, PathBuf)>,
    ra: f64,
    dec: f64,
    size: usize,
    expected: String,
}

impl Case {
    /// None open yet.
    fn mosaics(&self) -> Mosaics {
        let decode = Arc::new(DecodeOptions::for_bands(["r", "r", "r"].map(String::from)));
        Mosaics::new(Settings { decode, masks: self.masks.clone(), ..Settings::default() })
    }

    fn cut(&self, folder: &Path, scale: Option<f64>) -> Result<BandImage, Rejection> {
        self.cut_of(&self.mosaics(), folder, scale)
    }

    fn cut_of(
        &self,
        mosaics: &Mosaics,
        folder: &Path,
        scale: Option<f64>,
    ) -> Result<BandImage, Rejection> {
        let mut bands = vec![("r".to_owned(), folder.join(&self.file))];
        bands.extend(self.beside.iter().map(|(called, file)| (called.clone(), folder.join(file))));
        let position = SkyPosition { ra: self.ra, dec: self.dec };
        mosaics.cut(&bands, &Place { position, pixels: self.size, scale })
    }
}

/// Pixels that are not those that the oracle says.
fn other_pixels(image: &BandImage, folder: &Path, case: &Case) -> usize {
    let bytes = fs::read(folder.join(&case.expected)).unwrap();
    let expected: Vec<f32> =
        bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    assert!(expected.iter().filter(|value| value.is_nan()).count() > 50, "{}", case.name);
    let found = &image.planes[..expected.len()];
    let same = |a: f32, b: f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    found.iter().zip(&expected).filter(|(a, b)| !same(**a, **b)).count()
}

#[test]
fn what_is_masked_or_has_no_weight_is_undefined() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let python = environment("mosaics-venv", "requirements-mosaics.txt");
    let cases = oracle_of(&python, "masks.py", &[folder.to_str().unwrap()]);
    let cases: Vec<Case> = serde_json::from_str(&cases).unwrap();
    assert_eq!(cases.len(), 88);
    for case in &cases {
        let image = case.cut(folder, None).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let other = other_pixels(&image, folder, case);
        assert_eq!(other, 0, "{}: {other} pixels differ", case.name);
    }
    // A mask without coordinates is of both mosaics that name it, whichever asks first.
    let named = |name: &str| cases.iter().filter(|case| case.name == name).collect::<Vec<_>>();
    let (here, there) = (named("no coordinates"), named("no coordinates, elsewhere"));
    for order in [[&here, &there], [&there, &here]] {
        let mosaics = here[0].mosaics();
        for case in order.into_iter().flatten() {
            let image = case.cut_of(&mosaics, folder, None);
            let image = image.unwrap_or_else(|e| panic!("{}: {e}", case.name));
            assert_eq!(other_pixels(&image, folder, case), 0, "{}", case.name);
        }
    }
    // Resampled, nothing of a masked pixel is left: the same with other light in it.
    let first = &cases[0];
    let before = first.cut(folder, Some(0.25)).unwrap();
    let mut bytes = fs::read(folder.join(&first.file)).unwrap();
    let mask = fs::read(folder.join("mask-1.fits")).unwrap();
    // Behind the first HDU's header and its own, in both.
    let (light, says) = (bytes.len() - 241_920, mask.len() - 120_960);
    for pixel in 0..260 * 230 {
        if mask[says + 2 * pixel..][..2] != [0, 0] {
            bytes[light + 4 * pixel..][..4].copy_from_slice(&1e6_f32.to_be_bytes());
        }
    }
    fs::write(folder.join(&first.file), bytes).unwrap();
    let after = first.cut(folder, Some(0.25)).unwrap();
    assert!(before.planes.iter().zip(&after.planes).all(|(a, b)| a.to_bits() == b.to_bits()));
    // What is of another grid, or could be one of two, and what is not there.
    let refused = |name: &str, file: &str| {
        let masks = serde_json::from_value(serde_json::json!({ "mask": name })).unwrap();
        let beside = vec![("r mask".to_owned(), PathBuf::from(file))];
        let Case { name, file, ra, dec, size, expected, .. } = first.clone();
        let case = Case { name, file, masks, beside, ra, dec, size, expected };
        case.cut(folder, None).unwrap_err()
    };
    for (name, file, reason, words) in [
        ("small-{id}.fits", "small-1.fits", Reason::Unsupported, "260×229 pixels"),
        ("moved-{id}.fits", "moved-1.fits", Reason::Unsupported, "elsewhere on the sky"),
        ("two-{id}.fits", "two-1.fits", Reason::Unsupported, "2 images"),
        (
            "multi-{id}.fits.fz",
            "multi-1.fits.fz",
            Reason::Unsupported,
            "[HDU 2]; there are HDU 2 (MASKBITS), HDU 3 (WISEM1), HDU 4 (WISEM2)",
        ),
        (
            "multi-{id}.fits.fz[WISE]",
            "multi-1.fits.fz",
            Reason::MissingBand,
            "no image called WISE: HDU 2 (MASKBITS), HDU 3",
        ),
        ("multi-{id}.fits.fz[HDU 1]", "multi-1.fits.fz", Reason::MissingBand, "called HDU 1"),
        ("cube-{id}.fits", "cube-1.fits", Reason::Unsupported, "[260, 230, 2]"),
        ("lossy-{id}.fits.fz", "lossy-1.fits.fz", Reason::Unsupported, "with loss"),
        ("coarse-{id}.fits.fz", "coarse-1.fits.fz", Reason::Unsupported, "with loss"),
        ("none-{id}.fits", "none-1.fits", Reason::Missing, "none-1.fits"),
        ("MSK", "sky-r-1.fits", Reason::MissingBand, "no image called MSK"),
    ] {
        let found = refused(name, file);
        assert_eq!(found.reason, reason, "{found}");
        assert!(found.to_string().contains(words), "{found}");
    }
}

/// The documentation's command on bricks as the Legacy Surveys have them: tile-compressed,
/// and with three masks in a file, of which the command means one.
#[test]
fn the_command_for_the_legacy_surveys_runs() {
    let place = Workplace::new();
    let python = environment("mosaics-venv", "requirements-mosaics.txt");
    oracle_of(&python, "bricks.py", &[place.folder().to_str().unwrap()]);
    let page = fs::read_to_string(root().join("docs/mosaics.md")).unwrap();
    let (_, command) = page.split_once("done\nhiwl classify --mosaics legacysurvey").unwrap();
    let (command, _) = command.split_once("```").unwrap();
    let command = format!("hiwl classify --mosaics legacysurvey{command}");
    assert!(command.contains("galaxies.parquet"), "{command}");
    let program = Path::new(env!("CARGO_BIN_EXE_hiwl")).parent().unwrap().display();
    let run = |command: &str| {
        let mut shell = Command::new("bash");
        shell.args([
            "-euo",
            "pipefail",
            "-c",
            &command.replace("galaxies.parquet", "galaxies.csv"),
        ]);
        shell.env("PATH", format!("{program}:{}", std::env::var("PATH").unwrap()));
        shell.env("HIWL_MODEL", fixture("models/untrained-nano.safetensors"));
        shell.current_dir(place.folder()).output().unwrap()
    };
    let output = run(&command);
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let rows = |run: &str| -> Vec<(String, String)> {
        let mut rows: Vec<_> =
            column(&place.path(run), "id").into_iter().zip(statuses(&place.path(run))).collect();
        rows.sort();
        rows
    };
    let expected = [("bright", "ok"), ("plain", "ok"), ("saturated", "no_data"), ("wise", "ok")];
    let expected = expected.map(|(id, status)| (id.to_owned(), status.to_owned()));
    assert_eq!(rows("legacy"), expected);
    // Without the HDU nothing is guessed.
    let unnamed = command.replace("[MASKBITS]", "").replace("legacy\n", "unnamed\n");
    let output = run(&unnamed);
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    assert!(errors(&output).contains("HDU 3 (WISEM1)"), "{}", errors(&output));
    assert!(statuses(&place.path("unnamed")).iter().all(|status| status == "outside"));
}

/// Masks beside the frames of a scene, in which one source of the first field is hidden.
fn masked() -> (Scene, String) {
    let scene = Scene::new();
    let table = "id,ra,dec,petroR90_r\nmiddle,180.0,0.0,5\nbeside,179.99,-0.012,5\n";
    fs::write(scene.path("two.csv"), table).unwrap();
    let run = "--mosaics frames --sources two.csv --band-pattern frame-{band}-{id}.fits".to_owned();
    scene.expect(0, &format!("classify {run} --output plain --quiet"));
    for band in ["g", "r", "i", "z"] {
        for field in 0..2 {
            let frame = fs::read(scene.path(&format!("frames/frame-{band}-{field}.fits"))).unwrap();
            // The same header, of which the data become zeros: nothing is masked.
            let mut mask = frame[..frame.len() - 1_961_280].to_vec();
            let data = mask.len();
            mask.resize(frame.len(), 0);
            if field == 0 && band == "r" {
                // Around the middle of the field.
                for row in 320..380 {
                    for column in 320..380 {
                        let at = data + 4 * (row * 700 + column);
                        mask[at..at + 4].copy_from_slice(&2.0_f32.to_be_bytes());
                    }
                }
            }
            fs::write(scene.path(&format!("frames/mask-{band}-{field}.fits")), mask).unwrap();
        }
    }
    (scene, run)
}

#[test]
fn a_source_that_is_masked_has_a_row_that_says_so() {
    let (scene, run) = masked();
    let ids = |run: &str| -> Vec<(String, String)> {
        column(&scene.path(run), "id").into_iter().zip(statuses(&scene.path(run))).collect()
    };
    let both = |middle: &str| {
        [("beside", "ok"), ("middle", middle)].map(|(a, b)| (a.to_owned(), b.to_owned()))
    };
    assert_eq!(ids("plain"), both("ok"));
    // Masks lie among the mosaics, and are passed over as such.
    let mask = "--mask mask-{band}-{id}.fits";
    scene.expect(1, &format!("classify {run} {mask} --output masked --quiet"));
    assert_eq!(ids("masked"), both("no_data"));
    // A bit that no mask has hides nothing, and rows are those without.
    scene.expect(0, &format!("classify {run} {mask} --mask-bits 0x5 --output bits --quiet"));
    assert_eq!(ids("bits"), both("ok"));
    assert_eq!(rows(&scene.path("bits")), rows(&scene.path("plain")));
    scene.expect(1, &format!("classify {run} {mask} --mask-bits 2 --output two --quiet"));
    assert_eq!(rows(&scene.path("two")), rows(&scene.path("masked")));
    // The run's masks are what its settings, its plan and its pages know.
    scene.run(&format!("plan {run} {mask} --output planned --shards 1"));
    scene.run("classify --plan planned --shard 0 --quiet");
    assert_eq!(rows(&scene.path("planned")), rows(&scene.path("masked")));
    let other = scene.run(&format!("classify {run} --output masked --quiet"));
    assert!(!other.status.success(), "another run went on with it");
    scene.expect(0, "report masked --output masked.html");
    assert!(fs::read_to_string(scene.path("masked.html")).unwrap().contains("no_data"));
    // One that was changed is waited for.
    fs::remove_file(&parts(&scene.path("masked"))[0]).unwrap();
    let before = fs::read(scene.path("frames/mask-r-0.fits")).unwrap();
    fs::write(scene.path("frames/mask-r-0.fits"), [&before[..], &[0; 2880]].concat()).unwrap();
    let output = scene.run(&format!("classify {run} {mask} --output masked --quiet"));
    assert!(errors(&output).contains("mask-r-0.fits"), "{}", errors(&output));
    assert!(parts(&scene.path("masked")).is_empty());
}

#[test]
fn masks_that_could_be_of_others_are_refused() {
    let (scene, run) = masked();
    let refused = |arguments: &str, words: &str| {
        let output = scene.run(&format!("classify {run} --output x --quiet {arguments}"));
        assert_eq!(output.status.code(), Some(64), "{arguments}: {}", errors(&output));
        assert!(errors(&output).contains(words), "{arguments}: {}", errors(&output));
    };
    refused("--mask mask.fits", "{id}");
    refused("--weight masks/{id}.fits", "folder");
    refused("--mask-bits 3", "--mask");
    refused("--mask {id}-mask.fits[2]", "[HDU 2]");
    refused("--mask MSK --mask-bits 0", "above 0");
    refused("--mask MSK --mask-bits 0x1ffffffff", "32 bits");
    // A mosaic without its mask is not used, and the run says so.
    fs::remove_file(scene.path("frames/mask-r-0.fits")).unwrap();
    let output =
        scene.run(&format!("classify {run} --output out --mask mask-{{band}}-{{id}}.fits --quiet"));
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let run_json = fs::read_to_string(scene.path("out/run.json")).unwrap();
    assert!(run_json.contains("frame-r-0.fits: mask"), "{run_json}");
    assert_eq!(statuses(&scene.path("out")), ["missing_band"; 2]);
    // Nor one whose name says no id.
    let output = scene.run(
        "classify --mosaics frames --sources two.csv --mask m-{id}.fits --output none --quiet",
    );
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let run_json = fs::read_to_string(scene.path("none/run.json")).unwrap();
    assert!(run_json.contains("does not fit --band-pattern"), "{run_json}");
}

/// Files of weights and masks that lie among the mosaics by their headers are none.
#[test]
fn files_of_masks_alone_are_no_mosaics() {
    let place = Workplace::new();
    let scene = Scene::new();
    let frame = fs::read(scene.path("frames/frame-r-0.fits")).unwrap();
    fs::create_dir(place.path("frames")).unwrap();
    for band in ["g", "r", "i"] {
        let name = format!("frames/frame-{band}-0.fits");
        fs::copy(scene.path(&name), place.path(&name)).unwrap();
    }
    // Its last card before END becomes the survey's word for what it is.
    let text = String::from_utf8_lossy(&frame[..2880]).into_owned();
    let filter = text.find("FILTER").unwrap();
    let mut mask = frame.clone();
    mask[filter..filter + 80].copy_from_slice(format!("{:<80}", "IMAGETYP= 'maskbits'").as_bytes());
    fs::write(place.path("frames/maskbits-0.fits"), &mask).unwrap();
    // Their names say that these are mosaics, and their headers that they are none.
    fs::write(place.path("frames/frame-r-8.fits"), &mask).unwrap();
    fs::write(place.path("frames/frame-r-9.fits"), &mask).unwrap();
    fs::copy(scene.path("frames/frame-z-0.fits"), place.path("frames/frame-z-0.fits")).unwrap();
    fs::write(place.path("one.csv"), "id,ra,dec,petroR90_r\na,180.0,0.0,5\n").unwrap();
    let run = "--mosaics frames --sources one.csv --band-pattern frame-{band}-{id}.fits";
    let output = place.expect(0, &format!("classify {run} --output out"));
    assert_eq!(statuses(&place.path("out")), ["ok"]);
    let run_json = fs::read_to_string(place.path("out/run.json")).unwrap();
    assert!(run_json.contains("\"skipped\": 4"), "{run_json}");
    let told = [
        "passed over, of band r by name and `maskbits` by header: 2 mosaics (such as \
         frames/frame-r-8.fits)",
        "passed over, of band z by name: 1 mosaic (frames/frame-z-0.fits)",
        "passed over, `maskbits` by header: 1 mosaic (frames/maskbits-0.fits)",
    ];
    let looked = place.expect(0, &format!("look {run} --output look"));
    let cut = place.expect(0, &format!("cut {run} --output cut"));
    for words in told {
        assert!(errors(&output).contains(words), "{words}: {}", errors(&output));
        for found in [&looked, &cut] {
            let said = String::from_utf8_lossy(&found.stdout);
            assert!(said.contains(words), "{words}: {said}");
        }
    }
    assert!(!errors(&output).contains("their names are not of cutouts"), "{}", errors(&output));
}
