//! How fast rows become a catalog, how many bytes each takes, how fast a
//! catalog is verified, and what memory that takes: one core, local disk. Rows
//! are made a range at a time, outside the time that is told. With vectors, also
//! how fast the rows that are most like one, and ten, are found, on all cores.
//!
//! `cargo bench --bench catalog --profile release [-- ROWS [FOLDER [LENGTH]]]`: with a
//! folder, the catalog stays there (see `exports.sh`); with a length, rows have
//! vectors of so many numbers.
#![allow(clippy::print_stdout, missing_docs, reason = "a bench reports to the terminal")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hiwl::catalog::{PartWriter, Row, verify};
use hiwl::cli::terminal::format;
use hiwl::cutout::SkyPosition;
use hiwl::engine::Precision;
use hiwl::pipeline::{Stop, memory};
use hiwl::run::{Claimed, InputsWriter, ModelIdentity, RunError, RunFolder, Settings};
use hiwl::source::{Entry, Locator};
use hiwl::tree::{FeatureColumn, Naming, Prediction, Stage2};
use hiwl::vectors::{Distance, SimilarOptions, similar};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ROWS: u64 = 2_000_000;
const RANGE: u64 = 65_536;

fn entry(index: u64, random: &mut ChaCha8Rng) -> Entry {
    let id = format!("{}", 587_722_981_736_120_347 + index * 65_537);
    let source = format!("/survey/cutouts/gz2/{:03}/{id}.jpg", index / 10_000);
    let (ra, dec) = (random.random_range(0.0..360.0), random.random_range(-90.0..90.0));
    let locator = Locator::File(source.as_str().into());
    Entry { id, source, locator, position: Some(SkyPosition { ra, dec }) }
}

fn prediction(random: &mut ChaCha8Rng, length: usize) -> Prediction {
    let mut p: [f32; 4] = std::array::from_fn(|_| random.random_range(-6.0..6.0f32).exp());
    let sum: f32 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= sum);
    let best = (0..4).max_by(|a, b| p[*a].total_cmp(&p[*b])).unwrap_or(0);
    let css = random.random::<f32>();
    let fine = |share: f32| (best == 3).then_some(p[3] * share);
    let [a, b, c, d] = p.map(Some);
    let probabilities = [a, b, c, d, fine(css), fine(1.0 - css)].into();
    // CRS, IBS, SPI and, of CSS and EO, the latter.
    Prediction {
        class: [0, 1, 4, 3][best],
        confidence: p[best],
        probabilities,
        concentrations: Box::default(),
        oddness: None,
        feature: (0..length).map(|_| random.random_range(-1.0..1.0f32)).collect(),
    }
}

fn size(folder: &Path) -> Result<u64, Box<dyn Error>> {
    let sizes = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len()));
    sizes.collect::<Result<Vec<u64>, std::io::Error>>().map(|s| s.iter().sum()).map_err(Into::into)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let rows = arguments.next().map_or(Ok(ROWS), |rows| rows.parse())?;
    let temporary = tempfile::tempdir()?;
    let folder = arguments.next().map_or(temporary.path().to_owned(), PathBuf::from);
    let length: usize = arguments.next().map_or(Ok(0), |length| length.parse())?;
    let kept = FeatureColumn { length, components: true, half: false };
    let settings = Settings {
        inputs: vec!["/survey/cutouts".into()],
        band_pattern: None,
        bands: Vec::new(),
        id_column: None,
        image_column: None,
        mosaics: None,
        carry: Vec::new(),
        join: None,
        model: ModelIdentity {
            digest: "00".repeat(32),
            name: "B1".into(),
            untrained: true,
            scheme: None,
            oddness: false,
            features: (length > 0).then_some(kept),
            naming: Naming::default(),
        },
        preparation: serde_json::json!({ "size": 240 }),
        colours: None,
        colours_asked: false,
        stage2: Stage2::Routed,
        engine: None,
        precision: Precision::F32,
        range_size: RANGE,
        usual_ranges: false,
    };
    let report = |what: &str, time: Duration, bytes: Option<u64>| {
        let each = bytes.map(|b| format!(", {:.1} bytes a row", b as f64 / rows as f64));
        println!(
            "{what:7} {:>10.0} rows/s{}, peak memory {}",
            rows as f64 / time.as_secs_f64(),
            each.unwrap_or_default(),
            memory::peak_resident().map_or("unknown".into(), format::bytes)
        );
    };

    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut time = Duration::ZERO;
    let list = |writer: &mut InputsWriter| -> Result<(), RunError> {
        for first in (0..rows).step_by(RANGE as usize) {
            let indices = first..rows.min(first + RANGE);
            let entries: Vec<Entry> = indices.map(|index| entry(index, &mut random)).collect();
            let start = Instant::now();
            entries.iter().try_for_each(|entry| writer.push(entry))?;
            time += start.elapsed();
        }
        Ok(())
    };
    let run = RunFolder::open_or_create(&folder, &settings, &(), list)?;
    let inputs = folder.join("inputs.parquet").metadata()?.len();
    report("plan", time, Some(inputs));

    let mut time = Duration::ZERO;
    for range in run.missing_ranges(None)? {
        let Claimed::Ours(claim) = run.claim(range.index)? else { continue };
        let predictions: Vec<Prediction> =
            (0..range.count).map(|_| prediction(&mut random, length)).collect();
        let start = Instant::now();
        let (entries, carried) = run.inputs().range(range.index)?;
        let mut part = PartWriter::create(&run, claim, carried)?;
        for ((index, entry), prediction) in (range.first..).zip(entries).zip(predictions) {
            let Entry { id, source, position, .. } = entry;
            part.push(&Row { index, id, source, position, note: None, outcome: Ok(prediction) })?;
        }
        part.commit()?;
        time += start.elapsed();
    }
    report("write", time, Some(size(&run.catalog())?));

    let start = Instant::now();
    let found = verify(&folder)?;
    report("verify", start.elapsed(), None);
    assert!(found.is_complete() && found.rows_found == rows);

    let (first, _) = run.inputs().range(0)?;
    for many in [1, 10] {
        if length == 0 {
            break;
        }
        let to = first.iter().take(many).map(|entry| entry.id.clone()).collect();
        let options = SimilarOptions { to, top: 20, distance: Distance::Euclidean };
        let start = Instant::now();
        let found = similar(&folder, &options, &Stop::new())?;
        report(&format!("like {many}"), start.elapsed(), None);
        assert_eq!((found.compared, found.likes.len()), (rows, 20 * many));
    }
    Ok(())
}
