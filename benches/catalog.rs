//! How fast rows become a catalog, how many bytes each takes, and how fast a
//! catalog is verified: one core, local disk.
//!
//! `cargo bench --bench catalog [-- ROWS]`
#![allow(clippy::print_stdout, missing_docs, reason = "a bench reports to the terminal")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use hiwl::catalog::{
    CatalogError, Claimed, InputsWriter, ModelIdentity, Row, RunFolder, Settings, verify,
};
use hiwl::cutout::SkyPosition;
use hiwl::kernels::cpu::Precision;
use hiwl::network::hierarchy::{Class, Prediction, Stage2};
use hiwl::source::{Entry, Locator};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ROWS: u64 = 2_000_000;

fn entry(index: u64, random: &mut ChaCha8Rng) -> Entry {
    let id = format!("{}", 587_722_981_736_120_347 + index * 65_537);
    let source = format!("/survey/cutouts/gz2/{:03}/{id}.jpg", index / 10_000);
    let (ra, dec) = (random.random_range(0.0..360.0), random.random_range(-90.0..90.0));
    let locator = Locator::File(source.as_str().into());
    Entry { id, source, locator, position: Some(SkyPosition { ra, dec }) }
}

fn prediction(random: &mut ChaCha8Rng) -> Prediction {
    let mut p: [f32; 4] = std::array::from_fn(|_| random.random_range(-6.0..6.0f32).exp());
    let sum: f32 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= sum);
    let [p_crs, p_ibs, p_spi, p_css_eo] = p;
    let best = (0..4).max_by(|a, b| p[*a].total_cmp(&p[*b])).unwrap_or(0);
    let css = random.random::<f32>();
    Prediction {
        label: [Class::Crs, Class::Ibs, Class::Spi, Class::Eo][best],
        confidence: p[best],
        p_crs,
        p_ibs,
        p_spi,
        p_css_eo,
        p_css_and_eo: (best == 3).then_some((p_css_eo * css, p_css_eo * (1.0 - css))),
    }
}

fn size(folder: &Path) -> Result<u64, Box<dyn Error>> {
    let sizes = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len()));
    sizes.collect::<Result<Vec<u64>, std::io::Error>>().map(|s| s.iter().sum()).map_err(Into::into)
}

fn main() -> Result<(), Box<dyn Error>> {
    let rows = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(ROWS);
    let folder = tempfile::tempdir()?;
    let settings = Settings {
        version: env!("CARGO_PKG_VERSION").into(),
        inputs: vec!["/survey/cutouts".into()],
        band_pattern: None,
        bands: Vec::new(),
        image_column: None,
        carry: Vec::new(),
        model: ModelIdentity { digest: "00".repeat(32), name: "B1".into(), untrained: true },
        preparation: serde_json::json!({ "size": 240 }),
        stage2: Stage2::Routed,
        precision: Precision::F32,
        range_size: 65_536,
    };
    let report = |what: &str, start: Instant, bytes: Option<u64>| {
        let seconds = start.elapsed().as_secs_f64();
        let each = bytes.map(|b| format!(", {:.1} bytes a row", b as f64 / rows as f64));
        println!("{what:7} {:>10.0} rows/s{}", rows as f64 / seconds, each.unwrap_or_default());
    };

    let mut random = ChaCha8Rng::seed_from_u64(1);
    let entries: Vec<Entry> = (0..rows).map(|index| entry(index, &mut random)).collect();
    let start = Instant::now();
    let list = |writer: &mut InputsWriter| -> Result<(), CatalogError> {
        entries.iter().try_for_each(|entry| writer.push(entry))
    };
    let run = RunFolder::open_or_create(folder.path(), &settings, list)?;
    let inputs = folder.path().join("inputs.parquet").metadata()?.len();
    report("plan", start, Some(inputs));

    let predictions: Vec<Prediction> = (0..rows).map(|_| prediction(&mut random)).collect();
    let start = Instant::now();
    for range in run.missing_ranges(None)? {
        let Claimed::Ours(claim) = run.claim(range.index)? else { continue };
        let (entries, carried) = run.inputs().range(range.index)?;
        let mut part = run.part(claim, carried)?;
        for (index, entry) in (range.first..).zip(entries) {
            let Entry { id, source, position, .. } = entry;
            let outcome = Ok(predictions[index as usize]);
            part.push(&Row { index, id, source, position, outcome })?;
        }
        part.commit()?;
    }
    report("write", start, Some(size(&run.catalog())?));

    let start = Instant::now();
    let found = verify(folder.path())?;
    report("verify", start, None);
    assert!(found.is_complete() && found.rows_found == rows);
    Ok(())
}
