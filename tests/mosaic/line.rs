//! `hiwl classify --sources --mosaics`, as a user runs it.

use std::fs;
use std::path::Path;

use super::cutouts::{fits, projection};
use crate::util::catalog::{column, parts, rows};
use crate::util::command::{Workplace, errors};

/// Two fields that overlap, in three bands each, and a table of sources.
pub(super) struct Scene {
    place: Workplace,
    sources: usize,
}

impl std::ops::Deref for Scene {
    type Target = Workplace;

    fn deref(&self) -> &Workplace {
        &self.place
    }
}

/// Where the fields' middles are, and how they are turned.
const FIELDS: [(f64, f64, f64); 2] = [(180.0, 0.0, 0.0), (180.06, 0.01, 25.0)];

/// Pixels a side of a field.
const SIDE: usize = 700;

impl Scene {
    pub(super) fn new() -> Self {
        let place = Workplace::new();
        fs::create_dir(place.path("frames")).unwrap();
        for (number, (ra, dec, angle)) in FIELDS.into_iter().enumerate() {
            for (k, band) in ["g", "r", "i", "z"].into_iter().enumerate() {
                let mut cards = projection((350.5 + k as f64 * 1.3, 350.0), (ra, dec), angle);
                cards.push(("BUNIT", "'nanomaggy'".to_owned()));
                // Half of the frames say their band by their name alone.
                if number == 0 {
                    cards.push(("FILTER", format!("'{band}       '")));
                }
                let bytes = fits((SIDE, SIDE), &cards, |x, y| light(x, y, k, number));
                let name = format!("frame-{band}-{number}.fits");
                fs::write(place.path("frames").join(name), bytes).unwrap();
            }
        }
        let mut table = "SourceID,RA,Dec,petroR90_r,z\n".to_owned();
        let mut sources = 0;
        for k in 0..24 {
            let (field, place) = (k % 2, k / 2);
            let (ra, dec, _) = FIELDS[field];
            let (dx, dy) = ((place % 4) as f64 - 1.5, (place / 4) as f64 - 1.0);
            let size = 4.0 + place as f64 / 4.0;
            table.push_str(&format!(
                "s{k},{:.6},{:.6},{size},0.0{k}\n",
                ra + dx * 0.01,
                dec + dy * 0.012
            ));
            sources += 1;
        }
        table.push_str("away,10.0,-40.0,5.0,0.5\nnowhere,,,5.0,\nsizeless,180.0,0.0,,0.1\n");
        fs::write(place.path("galaxies.csv"), table).unwrap();
        Self { place, sources: sources + 3 }
    }
}

/// Blobs on noise, close enough that every cutout shows some, however its field lies.
fn light(x: usize, y: usize, band: usize, field: usize) -> f32 {
    let hash = (x * 73_856_093) ^ (y * 19_349_663) ^ ((band * 4 + field) * 83_492_791);
    let noise = ((hash >> 7) % 1000) as f32 / 1000.0 - 0.5;
    let (u, v) = ((x % 30) as f32 - 15.0, (y % 36) as f32 - 18.0);
    let blob = (-(u * u + 2.0 * v * v) / 120.0).exp();
    0.03 * noise + blob * (0.2 + 0.1 * band as f32)
}

const RUN: &str = "classify --mosaics frames --sources galaxies.csv --band-pattern \
                   frame-{band}-{id}.fits --carry z --range-size 7 --quiet";

pub(super) fn statuses(run: &Path) -> Vec<String> {
    column(run, "status")
}

#[test]
fn sources_get_their_rows_in_the_order_of_the_mosaics() {
    let scene = Scene::new();
    scene.expect(1, &format!("{RUN} --output one --workers 1"));
    let one = scene.path("one");
    let ids = column(&one, "id");
    assert_eq!(ids.len(), scene.sources);
    let found = statuses(&one);
    assert_eq!(found.iter().filter(|status| *status == "ok").count(), 24, "{found:?}");
    assert_eq!(ids[24..], ["away", "nowhere", "sizeless"]);
    assert_eq!(found[24..], ["outside", "outside", "no_scale"]);
    // By mosaic, and by row in it: declinations rise within the field that is not turned.
    let sources = column(&one, "source");
    assert!(sources[..24].is_sorted(), "{sources:?}");
    assert!(sources[0].ends_with("frame-i-0.fits"), "{}", sources[0]);
    // What is carried stays with its source.
    let carried: Vec<f64> = column(&one, "z")[..24]
        .iter()
        .map(|bits| f64::from_bits(u64::from_str_radix(bits, 16).unwrap()))
        .collect();
    for (id, z) in ids[..24].iter().zip(carried) {
        let expected: f64 = format!("0.0{}", &id[1..]).parse().unwrap();
        assert_eq!(z, expected, "{id}");
    }
    scene.expect(0, "verify one");
    // Neither workers nor shards change a byte.
    scene.expect(1, &format!("{RUN} --output four --workers 4"));
    assert_eq!(rows(&one), rows(&scene.path("four")));
    scene.expect(0, &format!("{} --output shared --shards 2", RUN.replacen("classify", "plan", 1)));
    for shard in 0..2 {
        let run = scene.run(&format!("classify --plan shared --shard {shard} --quiet"));
        assert!(matches!(run.status.code(), Some(0 | 1)), "{}", errors(&run));
    }
    assert_eq!(rows(&one), rows(&scene.path("shared")));
    for (a, b) in parts(&one).iter().zip(parts(&scene.path("four"))) {
        assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap());
    }
}

#[test]
fn a_run_waits_for_a_mosaic_that_changed_and_goes_on_with_the_others() {
    let scene = Scene::new();
    scene.expect(1, &format!("{RUN} --output out"));
    let before = rows(&scene.path("out"));
    let all = parts(&scene.path("out"));
    fs::remove_file(&all[0]).unwrap();
    fs::remove_file(&all[3]).unwrap();
    // The first field's is gone: its range waits, the other is made.
    fs::rename(scene.path("frames/frame-r-0.fits"), scene.path("away.fits")).unwrap();
    let output = scene.run(&format!("{RUN} --output out"));
    assert!(!output.status.success(), "{}", errors(&output));
    assert!(errors(&output).contains("frame-r-0.fits"), "{}", errors(&output));
    assert_eq!(parts(&scene.path("out")).len(), all.len() - 1);
    // Written anew: the same bytes of another time are another mosaic.
    fs::copy(scene.path("away.fits"), scene.path("frames/frame-r-0.fits")).unwrap();
    let output = scene.run(&format!("{RUN} --output out"));
    assert!(errors(&output).contains("--copied"), "{}", errors(&output));
    scene.expect(1, &format!("{RUN} --output out --copied"));
    assert_eq!(rows(&scene.path("out")), before);
    scene.expect(0, "verify out");
}

#[test]
fn what_could_mean_two_things_is_refused() {
    let scene = Scene::new();
    let refused = |arguments: &str, words: &str| {
        let output = scene.run(arguments);
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(64), "{arguments}: {said}");
        assert!(said.contains(words), "{arguments}: {said}");
    };
    refused("classify --mosaics frames --output x", "--sources");
    refused("classify a --sources galaxies.csv --output x", "cannot be used with");
    refused(&format!("{RUN} --output x --pixel-scale 0.4"), "--pixel-scale");
    refused(&format!("{RUN} --output x --radius-column z --scale 0.2"), "both");
    fs::write(scene.path("two.csv"), "id,ra,dec,petroR90,diameter_arcsec\na,1,2,3,4\n").unwrap();
    refused("classify --mosaics frames --sources two.csv --output x", "both say how large");
    fs::write(scene.path("placeless.csv"), "id,x\na,1\n").unwrap();
    refused("classify --mosaics frames --sources placeless.csv --output x", "no column 'ra'");
}

#[test]
fn sizes_and_mosaics_come_from_the_table() {
    let scene = Scene::new();
    // Cutana's columns: the mosaics of a row, and the side of its cutout.
    let list = |field: usize| {
        let names = ["g", "r", "i"].map(|band| format!("\"\"frames/frame-{band}-{field}.fits\"\""));
        format!("\"[{}]\"", names.join(", "))
    };
    let table = format!(
        "SourceID,RA,Dec,diameter_pixel,fits_file_paths\n\
         a,180.005,0.002,120,{}\nb,180.06,0.01,90,{}\nc,180.06,0.01,90,\"['gone.fits']\"\n\
         d,10.0,10.0,90,{}\n",
        list(0),
        list(1),
        list(1)
    );
    fs::write(scene.path("cutana.csv"), table).unwrap();
    let run = "--sources cutana.csv --band-pattern frame-{band}-{id}.fits";
    scene.expect(1, &format!("classify {run} --output out --quiet"));
    let out = scene.path("out");
    let found: Vec<(String, String)> = column(&out, "id").into_iter().zip(statuses(&out)).collect();
    let expected = [("a", "ok"), ("b", "ok"), ("c", "missing"), ("d", "outside")];
    let expected = expected.map(|(id, status)| (id.to_owned(), status.to_owned()));
    assert_eq!(found, expected);
    // As pictures too.
    scene.expect(1, &format!("look {run} --output look"));
    assert!(scene.path("look/a.png").is_file() && scene.path("look/b.png").is_file());
}

/// Of two fields that hold a source it is taken from the one in which it lies deeper, whatever
/// their order.
#[test]
fn a_source_is_taken_from_where_it_lies_deepest() {
    let scene = Scene::new();
    // 72 and 144 arcsec from the middles of the fields, whose half sides are 140; and 126
    // and 90.
    let table = "id,ra,dec,petroR90_r\nfirst,180.02,0.005,4\nsecond,180.035,0.005,4\n";
    fs::write(scene.path("both.csv"), table).unwrap();
    let pattern = "--band-pattern frame-{band}-{id}.fits";
    let sources = |output: &str| -> Vec<(String, String)> {
        column(&scene.path(output), "id")
            .into_iter()
            .zip(column(&scene.path(output), "source"))
            .map(|(id, source)| (id, source.rsplit('/').next().unwrap().to_owned()))
            .collect()
    };
    let named = |field: [u32; 2]| {
        let of = |id: &str, field: u32| (id.to_owned(), format!("frame-i-{field}.fits"));
        vec![of("first", field[0]), of("second", field[1])]
    };
    scene.expect(
        0,
        &format!("classify --mosaics frames --sources both.csv {pattern} --output both --quiet"),
    );
    assert_eq!(sources("both"), named([0, 1]));
    // Each field holds both, so that the other was no need.
    for field in 0..2 {
        let files: Vec<String> = ["g", "r", "i"]
            .iter()
            .map(|band| format!("frames/frame-{band}-{field}.fits"))
            .collect();
        let files = files.join(" ");
        scene.expect(
            0,
            &format!(
                "classify --mosaics {files} --sources both.csv {pattern} --output of{field} --quiet"
            ),
        );
        let mut found = sources(&format!("of{field}"));
        found.sort();
        assert_eq!(found, named([field; 2]));
    }
}

/// Folders in a folder are not searched: who names the one above is told.
#[test]
fn a_folder_without_mosaics_is_told() {
    let scene = Scene::new();
    fs::create_dir(scene.path("above")).unwrap();
    fs::rename(scene.path("frames"), scene.path("above/frames")).unwrap();
    scene.expect(1, &format!("{} --output x", RUN.replace("frames ", "above ")));
    let listed = fs::read_to_string(scene.path("x/run.json")).unwrap();
    assert!(listed.contains("above: no FITS files in it"), "{listed}");
}

/// A mosaic that is damaged when the run is listed is a problem of the run; where a row names
/// it, its row says what is wrong.
#[test]
fn what_is_wrong_with_a_mosaic_is_a_problem_or_the_row_of_who_names_it() {
    let scene = Scene::new();
    scene.expect(1, &format!("{RUN} --output before"));
    let whole = fs::read(scene.path("frames/frame-r-0.fits")).unwrap();
    let no_place = String::from_utf8_lossy(&whole[..2880]).replace("CTYPE", "XTYPE");
    for (name, bytes) in [
        ("cut", &whole[..4000]),
        ("headless", &whole[..200]),
        ("html", b"<html>404</html>"),
        ("empty", b""),
        ("placeless", &[no_place.as_bytes(), &whole[2880..]].concat()),
    ] {
        fs::write(scene.path(&format!("frames/frame-r-{name}.fits")), bytes).unwrap();
    }
    scene.expect(1, &format!("{RUN} --output after"));
    // The others' sources have the rows that they had.
    assert_eq!(rows(&scene.path("after")), rows(&scene.path("before")));
    let listed = fs::read_to_string(scene.path("after/run.json")).unwrap();
    for (name, why) in [
        ("cut", "truncated"),
        ("headless", "truncated"),
        ("html", "not_an_image"),
        ("empty", "empty"),
        ("placeless", "no_scale"),
    ] {
        let told = format!("frames/frame-r-{name}.fits: {why}");
        assert!(listed.contains(&told), "{told}: {listed}");
    }
    // Where a row names one of them, or one that is not there, its row says so.
    let mut table = "id,ra,dec,petroR90_r,fits_file_paths\n".to_owned();
    let names = ["cut", "headless", "html", "empty", "placeless", "gone"];
    for name in names {
        table.push_str(&format!("{name},180.0,0.0,5,frames/frame-r-{name}.fits\n"));
    }
    fs::write(scene.path("own.csv"), table).unwrap();
    let run = "classify --sources own.csv --band-pattern frame-{band}-{id}.fits --output own";
    scene.expect(1, &format!("{run} --quiet"));
    let expected = ["truncated", "truncated", "not_an_image", "empty", "no_scale", "missing"];
    assert_eq!(column(&scene.path("own"), "id"), names);
    assert_eq!(statuses(&scene.path("own")), expected);
}
