//! What must hold for any bytes: no panic, and limits kept. Shared by the fuzz
//! targets and by `benches/mutate.rs`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use arrow::datatypes::{DataType, Field, Schema};
use hiwl::catalog::{self, Sample};
use hiwl::classify::{self, recipe};
use hiwl::cutout::decode::{DecodeOptions, Limits, decode as decode_payload};
use hiwl::cutout::{Decoded, Payload};
use hiwl::events::{Listener, Silent};
use hiwl::export::filter::Filter;
use hiwl::labels::clean::Rules;
use hiwl::labels::schema::VoteSchema;
use hiwl::labels::votes::VoteTable;
use hiwl::labels::{LabelColumns, LabelTable};
use hiwl::model::import;
use hiwl::model::model_file::Model;
use hiwl::pipeline::Stop;
use hiwl::run::{Plan, RunFolder};
use hiwl::source::Locator;
use hiwl::source::list::{ListOptions, Lister};
use hiwl::source::read::Reader;
use hiwl::tables::{Table, TableError};
use hiwl::train;

/// A check: it panics where something does not hold, and returns whether the
/// bytes are what it reads.
pub type Check = fn(&[u8]) -> bool;

/// All checks by name.
pub const CHECKS: [(&str, Check); 17] = [
    ("decode", decode),
    ("tiles", tiles),
    ("cards", cards),
    ("tar", tar),
    ("csv", csv),
    ("fits_table", fits_table),
    ("votable", votable),
    ("parquet", parquet),
    ("model", model),
    ("checkpoint", checkpoint),
    ("pickle", pickle),
    ("condition", condition),
    ("settings", settings),
    ("manifest", manifest),
    ("listing", listing),
    ("part", part),
    ("twice", decode_twice),
];

/// The check of this name.
pub fn named(name: &str) -> Option<Check> {
    CHECKS.iter().find(|(own, _)| *own == name).map(|(_, check)| *check)
}

/// Decodes bytes as a cutout; returns whether they are one.
pub fn decode(bytes: &[u8]) -> bool {
    // Smaller than a run's, so that a large claim is cheap to try.
    let limits = Limits { max_side: 4096, max_pixels: 1 << 20, max_decompressed_bytes: 16 << 20 };
    let options = DecodeOptions { limits, ..DecodeOptions::default() };
    match decode_payload(&Payload::Single(bytes.to_vec()), &options) {
        Ok(decoded) => {
            let (width, height) = decoded.size();
            assert!(width <= 4096 && height <= 4096 && width * height <= 1 << 20);
            match decoded {
                Decoded::Rgb(image) => assert_eq!(image.pixels.len(), 3 * width * height),
                Decoded::Bands(image) => {
                    assert_eq!(image.planes.len(), 3 * width * height);
                    assert!(!image.planes.iter().any(|value| value.is_infinite()));
                }
            }
            true
        }
        Err(rejection) => {
            assert!(!rejection.detail.is_empty());
            false
        }
    }
}

/// Decodes bytes as a cutout, twice; returns whether they are one.
pub fn decode_twice(bytes: &[u8]) -> bool {
    let bits = |bytes: &[u8]| match decode_payload(
        &Payload::Single(bytes.to_vec()),
        &DecodeOptions::default(),
    ) {
        Ok(Decoded::Bands(image)) => Ok(image.planes.iter().map(|v| v.to_bits()).collect()),
        Ok(Decoded::Rgb(image)) => Ok(image.pixels.into_iter().map(u32::from).collect()),
        Err(rejection) => Err(rejection),
    };
    let answer: Result<Vec<u32>, _> = bits(bytes);
    assert_eq!(answer, bits(bytes), "the same bytes");
    answer.is_ok()
}

/// Decodes bytes as the stream of each tile of a compressed image of 23 × 17
/// pixels; the first two say how it is compressed. Returns whether they are
/// such a stream.
pub fn tiles(bytes: &[u8]) -> bool {
    let Some(([how, of], stream)) = bytes.split_first_chunk() else { return false };
    let algorithms = ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS"];
    let algorithm = algorithms[usize::from(*how) % algorithms.len()];
    let bitpix = [8, 16, 32, 64, -32, -64][usize::from(of & 7) % 6];
    let bytepix = [1, 2, 4][usize::from(of >> 3 & 3) % 3];
    let smooth = of >> 5 & 1;
    let dither = if of >> 6 & 1 == 0 { "NO_DITHER" } else { "SUBTRACTIVE_DITHER_2" };
    let (form, element) = if algorithm == "PLIO_1" { ("1PI", 2) } else { ("1PB", 1) };
    let quantised = bitpix < 0 && algorithm != "NOCOMPRESS";
    let row = if quantised { 24 } else { 8 };
    let mut cards = vec![
        "XTENSION= 'BINTABLE'".to_owned(),
        "BITPIX  = 8".to_owned(),
        "NAXIS   = 2".to_owned(),
        format!("NAXIS1  = {row}"),
        "NAXIS2  = 3".to_owned(),
        format!("PCOUNT  = {}", stream.len()),
        "GCOUNT  = 1".to_owned(),
        format!("TFIELDS = {}", if quantised { 3 } else { 1 }),
        "TTYPE1  = 'COMPRESSED_DATA'".to_owned(),
        format!("TFORM1  = '{form}'"),
        "ZIMAGE  = T".to_owned(),
        format!("ZCMPTYPE= '{algorithm}'"),
        format!("ZBITPIX = {bitpix}"),
        "ZNAXIS  = 3".to_owned(),
        "ZNAXIS1 = 23".to_owned(),
        "ZNAXIS2 = 17".to_owned(),
        "ZNAXIS3 = 3".to_owned(),
        "ZTILE1  = 23".to_owned(),
        "ZTILE2  = 17".to_owned(),
    ];
    if algorithm == "RICE_1" {
        cards.extend(["ZNAME1  = 'BYTEPIX'".to_owned(), format!("ZVAL1   = {bytepix}")]);
    }
    if algorithm == "HCOMPRESS_1" {
        cards.extend(["ZNAME1  = 'SMOOTH'".to_owned(), format!("ZVAL1   = {smooth}")]);
    }
    if quantised {
        cards.extend(["TTYPE2  = 'ZSCALE'", "TFORM2  = '1D'"].map(String::from));
        cards.extend(["TTYPE3  = 'ZZERO'", "TFORM3  = '1D'", "ZDITHER0= 7"].map(String::from));
        cards.push(format!("ZQUANTIZ= '{dither}'"));
    }
    let mut file = header(&["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0"].map(String::from));
    file.extend(header(&cards));
    let length = (stream.len() / element) as u32;
    for _ in 0..3 {
        file.extend([length, 0].iter().flat_map(|n| n.to_be_bytes()));
        if quantised {
            file.extend([0.5_f64, 3.25].iter().flat_map(|n| n.to_be_bytes()));
        }
    }
    file.extend(stream);
    decode_twice(&file)
}

/// A FITS header of these records.
fn header(cards: &[String]) -> Vec<u8> {
    let end = "END".to_owned();
    let mut bytes: Vec<u8> =
        cards.iter().chain([&end]).flat_map(|card| format!("{card:80}").into_bytes()).collect();
    bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    bytes
}

/// Lists bytes as a tar archive and reads its members; returns whether there
/// are any.
pub fn tar(bytes: &[u8]) -> bool {
    let path = file("tar");
    fs::write(&path, bytes).expect("room for an archive");
    let mut lister = Lister::open(std::slice::from_ref(&path), ListOptions::default())
        .expect("a file named .tar is an archive, whatever it holds");
    let (mut reader, mut members) = (Reader::new(), 0);
    for chunk in lister.by_ref() {
        for entry in chunk.expect("what is wrong with an archive is no error").entries {
            members += 1;
            assert!(members <= bytes.len() / 512, "more members than headers fit");
            if let Locator::Member { offset, length, .. } = &entry.locator {
                assert!(offset + length <= bytes.len() as u64, "{entry:?}");
            }
            if let Ok(Payload::Single(member)) = reader.read(&entry.locator) {
                assert!(member.len() <= bytes.len());
            }
        }
    }
    members > 0
}

/// Reads bytes as a model file; returns whether they are one.
pub fn model(bytes: &[u8]) -> bool {
    let path = file("safetensors");
    fs::write(&path, bytes).expect("room for a model");
    let read = Model::read(&path);
    if let Err(error) = &read {
        assert!(!error.to_string().is_empty());
    }
    read.is_ok()
}

/// Decodes records of a header, 80 bytes each, before the pixels of a small
/// colour image, so that bands, scales, units and positions are read from them.
pub fn cards(bytes: &[u8]) -> bool {
    let mut own = Vec::new();
    for card in ["SIMPLE  = T", "BITPIX  = -32", "NAXIS   = 3", "NAXIS1  = 8", "NAXIS2  = 8"] {
        own.extend(format!("{card:80}").into_bytes());
    }
    own.extend(format!("{:80}", "NAXIS3  = 3").into_bytes());
    own.extend(bytes);
    own.resize(own.len().next_multiple_of(80), b' ');
    own.extend(format!("{:80}", "END").into_bytes());
    own.resize(own.len().next_multiple_of(2880), b' ');
    for n in 0..8 * 8 * 3 {
        own.extend((n as f32 * 0.25 + 1.0).to_be_bytes());
    }
    own.resize(own.len().next_multiple_of(2880), 0);
    decode_twice(&own)
}

/// Lists bytes as a CSV table of cutouts, and reads them as labels and votes.
pub fn csv(bytes: &[u8]) -> bool {
    table("csv", bytes)
}

/// The same of a FITS table, whatever its rows hold.
pub fn fits_table(bytes: &[u8]) -> bool {
    table("fits", bytes) | columns("fits", bytes)
}

/// The same of a VOTable.
pub fn votable(bytes: &[u8]) -> bool {
    table("vot", bytes) | columns("vot", bytes)
}

/// Reads every column of cells of a table.
fn columns(extension: &str, bytes: &[u8]) -> bool {
    let path = file(extension);
    fs::write(&path, bytes).expect("room for a table");
    let said = |error: TableError| {
        assert!((1..4096).contains(&error.to_string().len()), "{error}");
        false
    };
    let table = match Table::open(&path) {
        Ok(table) => table,
        Err(error) => return said(error),
    };
    let selected: Vec<usize> =
        (0..table.columns().len()).filter(|&place| table.columns()[place].cells.is_ok()).collect();
    let rows = match table.rows(&selected) {
        Ok(rows) => rows,
        Err(error) => return said(error),
    };
    for batch in rows {
        match batch {
            Ok(batch) => assert_eq!(batch.num_columns(), selected.len()),
            Err(error) => return said(error),
        }
    }
    true
}

/// The same of a Parquet table, whose images are read too.
pub fn parquet(bytes: &[u8]) -> bool {
    table("parquet", bytes)
}

fn table(extension: &str, bytes: &[u8]) -> bool {
    let path = file(extension);
    fs::write(&path, bytes).expect("room for a table");
    let mut listed = 0;
    for carry in [vec![], vec!["note".to_owned()]] {
        let options = ListOptions { carry, ..ListOptions::default() };
        let lister = match Lister::open(std::slice::from_ref(&path), options) {
            Ok(lister) => lister,
            Err(error) => {
                assert!((1..4096).contains(&error.to_string().len()), "{error}");
                continue;
            }
        };
        let mut reader = Reader::new();
        for chunk in lister {
            let Ok(chunk) = chunk else { break };
            for entry in &chunk.entries {
                listed += 1;
                assert!(entry.id.len() <= 1030 && entry.source.len() <= (16 << 10) + 3);
                if let (Locator::Row { .. }, true) = (&entry.locator, listed < 50) {
                    let _ = reader.read(&entry.locator);
                }
            }
        }
    }
    let labels = LabelTable::read(&path, None, LabelColumns::default());
    if let Err(error) = &labels {
        assert!((1..4096).contains(&error.to_string().len()), "{error}");
    }
    if let Ok(schema) = VoteTable::known_schema(&path, None) {
        let _ = VoteTable::read(&path, schema);
    }
    listed > 0 || labels.is_ok()
}

/// Reads bytes as the pickle of a checkpoint; returns whether it describes
/// tensors.
pub fn pickle(bytes: &[u8]) -> bool {
    let path = file("pth");
    let mut archive = zip::ZipWriter::new(fs::File::create(&path).expect("room"));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("a/data.pkl", bytes), ("a/data/0", &[1; 256])] {
        archive.start_file(name, stored).expect("a new file");
        archive.write_all(bytes).expect("room");
    }
    archive.finish().expect("room for a checkpoint");
    weights(&path)
}

/// Reads bytes as weights of others, a zip archive or safetensors.
pub fn checkpoint(bytes: &[u8]) -> bool {
    let path = file("pth");
    fs::write(&path, bytes).expect("room for a checkpoint");
    weights(&path)
}

fn weights(path: &Path) -> bool {
    match import::read(path) {
        Ok(_) => true,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            matches!(error, import::ImportError::UnknownNames { .. })
        }
    }
}

/// Reads bytes as the condition of `--where`.
pub fn condition(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let field = |name, data_type| Field::new(name, data_type, true);
    let schema = Schema::new(vec![
        field("id", DataType::Utf8),
        field("label", DataType::Utf8),
        field("confidence", DataType::Float32),
        field("ra", DataType::Float64),
        field("stage2_ran", DataType::Boolean),
        field("n", DataType::Int64),
    ]);
    match Filter::parse(text, &schema) {
        Ok(filter) => {
            assert!(filter.columns().iter().all(|column| *column < 6));
            true
        }
        Err(error) => {
            assert!(error.position <= text.chars().count() && !error.to_string().is_empty());
            false
        }
    }
}

/// Reads bytes as each kind of TOML file that a user may name.
pub fn settings(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let path = file("toml");
    fs::write(&path, bytes).expect("room for settings");
    let name = path.to_str().expect("ASCII");
    let answers = [
        train::recipe::Recipe::parse(text, &path).map(drop).map_err(|e| e.to_string()),
        recipe::Recipe::find(name).map(drop).map_err(|e| e.to_string()),
        VoteSchema::parse(text, &path).map(drop).map_err(|e| e.to_string()),
        Rules::parse(text, &path).map(drop).map_err(|e| e.to_string()),
    ];
    answers.iter().for_each(|answer| assert!(answer.as_ref().err().is_none_or(|e| !e.is_empty())));
    answers.iter().any(Result::is_ok)
}

/// Puts bytes in the place of a run's `run.json` and plan, and reads it.
pub fn manifest(bytes: &[u8]) -> bool {
    let run = run();
    let mut read = false;
    for name in ["run.json", "plan.json"] {
        with(&run.join(name), bytes, || {
            read |= RunFolder::open(run).is_ok() | Plan::read(run).is_ok();
            let _ = catalog::verify(run).map_err(|e| assert!(!e.to_string().is_empty()));
        });
    }
    read
}

/// Puts bytes in the place of a run's listing, and reads it.
pub fn listing(bytes: &[u8]) -> bool {
    let run = run();
    with(&run.join("inputs.parquet"), bytes, || RunFolder::open(run).is_ok())
}

/// Puts bytes in the place of a part of a catalog, and reads it.
pub fn part(bytes: &[u8]) -> bool {
    let run = run();
    with(&file_of_run("part").expect("a part"), bytes, || {
        let _ = catalog::verify(run);
        let seen = catalog::overview(run).is_ok();
        catalog::sample(run, Sample::First(5)).is_ok() & seen
    })
}

/// The original is back in its place when this returns.
fn with<T>(path: &Path, bytes: &[u8], read: impl FnOnce() -> T) -> T {
    let before = fs::read(path).ok();
    fs::write(path, bytes).expect("room");
    let answer = read();
    match before {
        Some(before) => fs::write(path, before).expect("room"),
        None => fs::remove_file(path).expect("it is there"),
    }
    answer
}

/// A run over a few fixtures, of this process alone.
pub fn run() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let fixtures = fixtures();
        let mut options =
            classify::ClassifyOptions::new(&fixtures.join("models/untrained-nano.safetensors"));
        options.inputs.push(fixtures.join("cutouts/jpeg"));
        options.output = file("run");
        let _ = fs::remove_dir_all(&options.output);
        let listener: std::sync::Arc<dyn Listener> = std::sync::Arc::new(Silent);
        let report = classify::run(&options, &listener, &Stop::new()).expect("a run");
        assert!(report.is_finished());
        options.output
    })
}

/// The file of the run that a check is of, if it is of one.
pub fn file_of_run(check: &str) -> Option<PathBuf> {
    match check {
        "manifest" => Some(run().join("run.json")),
        "listing" => Some(run().join("inputs.parquet")),
        "part" => {
            let parts = fs::read_dir(run().join("catalog")).expect("a catalog");
            parts.map(|entry| entry.expect("an entry").path()).min()
        }
        _ => None,
    }
}

/// The fixtures, of the project or beside `fuzz/`.
pub fn fixtures() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let here = own.join("fixtures");
    if here.is_dir() { here } else { own.join("../fixtures") }
}

/// A file of this process alone, in memory where there is a file system for it.
fn file(extension: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let thread = format!("{:?}", std::thread::current().id());
    let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
    folder.join(format!("hiwl-fuzz-{}-{thread}.{extension}", std::process::id()))
}
