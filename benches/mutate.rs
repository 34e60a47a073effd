//! Mutations of good files through the checks of `fuzz/`, for a given time.
//!
//!     cargo bench --bench mutate --profile release -- TARGET SECONDS [SEED]
//!
//! TARGET is a function of `fuzz/fuzz_targets/checks.rs`, or a folder of files to
//! mutate for `decode`. A mutant that decodes to something new by
//! the length of its answer is no measure of coverage, as libFuzzer has; it
//! needs no other build, though, and finds what a few hundred thousand damaged
//! files find. A failure prints the seed and the number of the mutant, and
//! leaves its bytes in `target/`.
#![allow(clippy::print_stdout, reason = "a program whose output is its result")]

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use fitsio::FitsFile;
use fitsio::images::{ImageDescription, ImageType};
use hiwl::pipeline::memory;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression as Codec;
use parquet::file::properties::WriterProperties;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[path = "../fuzz/fuzz_targets/checks.rs"]
mod checks;

/// Longest that one file may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let (Some(target), Some(seconds)) = (arguments.first(), arguments.get(1)) else {
        println!("mutate: name a check or a folder, and a number of seconds");
        return;
    };
    let limit = Duration::from_secs(seconds.parse().expect("a number of seconds"));
    let seed = arguments.get(2).map_or(1, |seed| seed.parse().expect("a number as seed"));
    let seeds = match target.as_str() {
        "decode" | "twice" => {
            [corpus(&["cutouts/jpeg", "cutouts/fits"]), compressed().map(|c| c.file).collect()]
                .concat()
        }
        "tiles" => compressed().map(|c| c.stream).collect(),
        "tar" => archives(),
        "model" => corpus(&["models"]),
        "cards" => cards(),
        "csv" => csv(),
        "fits_table" => fits_tables(),
        "votable" => votables(),
        "parquet" => tables(),
        "pickle" => pickles(),
        "checkpoint" => corpus(&["golden/checkpoints", "models"]),
        "condition" => CONDITIONS.map(|text| text.into()).to_vec(),
        "settings" => files(&["pipelines", "schemas", "schemas/trees"], "toml"),
        "manifest" | "listing" | "part" => {
            let file = checks::file_of_run(target).expect("a file of the run");
            vec![fs::read(file).expect("a file of a run")]
        }
        folder if Path::new(folder).is_dir() => {
            let entries = fs::read_dir(folder).expect("a folder");
            let paths = entries.map(|entry| entry.expect("an entry").path());
            let read = paths.filter(|path| path.is_file()).map(fs::read);
            read.map(|bytes| bytes.expect("a file")).collect()
        }
        other => {
            let targets = checks::CHECKS.map(|(name, _)| name).join(", ");
            panic!("no target {other}: {targets} or a folder")
        }
    };
    let check = checks::named(target).unwrap_or(checks::decode_twice);
    assert!(!seeds.is_empty(), "no files to begin with");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (began, mut tried, mut accepted, mut slowest) =
        (Instant::now(), 0u64, 0u64, Duration::ZERO);
    let mut memory_early = None;
    while began.elapsed() < limit {
        let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
        for _ in 0..random.random_range(1..=4) {
            let other = &seeds[random.random_range(0..seeds.len())];
            mutate(&mut bytes, other, &mut random);
        }
        let one = Instant::now();
        let answer = catch_unwind(|| check(&bytes));
        let took = one.elapsed();
        tried += 1;
        if answer.is_err() || took > PATIENCE {
            let path = Path::new("target").join(format!("mutant-{target}-{seed}-{tried}"));
            fs::write(&path, &bytes).expect("room for a mutant");
            panic!("seed {seed}, mutant {tried} ({}): {answer:?} after {took:?}", path.display());
        }
        accepted += u64::from(answer.is_ok_and(|accepted| accepted));
        slowest = slowest.max(took);
        if tried == 2_000 {
            memory_early = memory::peak_resident();
        }
    }
    let mib = |bytes: Option<u64>| bytes.map_or(0, |bytes| bytes >> 20);
    println!(
        "{target}: {tried} mutants in {:.0} s, {accepted} accepted, slowest {slowest:?}, \
         peak memory {} MiB after 2,000 and {} MiB at the end, seed {seed}",
        began.elapsed().as_secs_f64(),
        mib(memory_early),
        mib(memory::peak_resident()),
    );
}

/// Conditions with every kind of token and operator.
const CONDITIONS: [&str; 5] = [
    "label = 'SPI' and confidence >= 0.9",
    "not (ra < 10.5e0 or stage2_ran is null) and id in ('a', 'b')",
    "n between 1 and 1237648720142400100",
    "id like '12%' or label <> \"EO\"",
    "((confidence)) != -1.5e-3 and stage2_ran",
];

/// Records of headers: bands, scales, and positions of every kind.
fn cards() -> Vec<Vec<u8>> {
    let headers: [&[&str]; 4] = [
        &["BANDS   = 'irg'", "BSCALE  = 2.0", "BZERO   = -1", "BUNIT   = 'nanomaggy'"],
        &[
            "CTYPE1  = 'RA---TAN'",
            "CTYPE2  = 'DEC--TAN'",
            "CRVAL1  = 10.5",
            "CRVAL2  = -3.25",
            "CRPIX1  = 4.5",
            "CRPIX2  = 4.5",
            "CD1_1   = -1.1E-4",
            "CD2_2   = 1.1E-4",
            "RADESYS = 'FK5'",
            "EQUINOX = 2000.0",
        ],
        &[
            "CTYPE1  = 'RA---TAN-SIP'",
            "CTYPE2  = 'DEC--TAN-SIP'",
            "CRVAL1  = 10.5",
            "CRVAL2  = -3.25",
            "CRPIX1  = 4.5",
            "CRPIX2  = 4.5",
            "PC001001= 1.0",
            "CDELT1  = -1E-4",
            "CDELT2  = 1E-4",
            "A_ORDER = 2",
            "B_ORDER = 2",
            "A_2_0   = 1E-6",
            "B_0_2   = 1E-6",
        ],
        &[
            "CTYPE1  = 'GLON-ZPN'",
            "CTYPE2  = 'GLAT-ZPN'",
            "CRVAL1  = 1",
            "CRVAL2  = 2",
            "CROTA2  = 30.0",
            "CDELT1  = -1D-4",
            "CDELT2  = 1D-4",
            "PV2_1   = 1.0",
            "PV2_3   = 42.0",
            "LONPOLE = 180.0",
            "HIERARCH ESO DET = 'x'",
            "FILTER  = 'r'",
        ],
    ];
    let record = |card: &&str| format!("{card:80}").into_bytes();
    headers.iter().map(|cards| cards.iter().flat_map(record).collect()).collect()
}

/// Tables of cutouts, of labels, and of nearly so.
fn csv() -> Vec<Vec<u8>> {
    let tables = [
        "id,path,ra,dec,note\n1,a.jpg,10.5,-3,x\n2,b.jpg,,,\n\"3\",\"c,d.fits\",nan,1,\"y\"\"\n",
        "\u{feff}id , label, split\r\n007, CRS ,train\r\n8,\"EO\",val\r\n",
        "objid,path,note\n1237648720142400100,{band}/x.fits,1.5\n1e5,y.jpg,true\n",
    ];
    tables.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// FITS tables of paths and of labels, with cells of every width, of bits and of lists.
fn fits_tables() -> Vec<Vec<u8>> {
    let header = |cards: &[String]| {
        let end = [String::from("END")];
        let records = cards.iter().chain(&end).map(|card| format!("{card:80}"));
        let mut bytes = records.collect::<String>().into_bytes();
        bytes.resize(bytes.len().next_multiple_of(2880), b' ');
        bytes
    };
    let table = |columns: &[(&str, &str, usize)], heap: usize| {
        let row: usize = columns.iter().map(|(_, _, bytes)| bytes).sum();
        let mut cards = vec![
            "XTENSION= 'BINTABLE'".to_owned(),
            "BITPIX  = 8".to_owned(),
            "NAXIS   = 2".to_owned(),
            format!("NAXIS1  = {row}"),
            "NAXIS2  = 3".to_owned(),
            format!("PCOUNT  = {heap}"),
            "GCOUNT  = 1".to_owned(),
            format!("TFIELDS = {}", columns.len()),
        ];
        for (place, (name, form, _)) in (1..).zip(columns) {
            cards.push(format!("{:8}= '{name}'", format!("TTYPE{place}")));
            cards.push(format!("{:8}= '{form}'", format!("TFORM{place}")));
        }
        cards.push("TNULL1  = 7".to_owned());
        let mut file = header(&["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0"].map(String::from));
        file.extend(header(&cards));
        file.extend((0..3 * row + heap).map(|at| b"1a.jpg\0 "[at % 8]));
        file.resize(file.len().next_multiple_of(2880), 0);
        file
    };
    vec![
        table(&[("id", "K", 8), ("path", "16A", 16), ("ra", "D", 8), ("note", "8A", 8)], 0),
        table(&[("objid", "J", 4), ("label", "3A", 3), ("n", "I", 2), ("flag", "L", 1)], 0),
        table(
            &[
                ("id", "B", 1),
                ("p", "E", 4),
                ("bits", "11X", 2),
                ("list", "3E", 12),
                ("z", "C", 8),
                ("far", "PE(9)", 8),
                ("path", "PA(9)", 8),
            ],
            64,
        ),
    ]
}

/// VOTables in each of their serialisations.
fn votables() -> Vec<Vec<u8>> {
    let table = |data: &str| {
        let fields = "<FIELD name='id' datatype='long'><VALUES null='-1'/></FIELD>\
            <FIELD name='path' datatype='char' arraysize='*'/><FIELD name='ra' datatype='double'/>\
            <FIELD name='list' datatype='float' arraysize='2'/>\
            <FIELD name='label' datatype='unicodeChar' arraysize='3'/>";
        format!(
            "<?xml version='1.0'?><VOTABLE version='1.4'><RESOURCE><TABLE>{fields}\
             <DATA>{data}</DATA></TABLE></RESOURCE></VOTABLE>"
        )
        .into_bytes()
    };
    let row = |id| {
        format!(
            "<TR><TD>{id}</TD><TD>a &lt;&#98;.jpg</TD><TD>1e-3</TD><TD>1 2</TD><TD>CRS</TD></TR>"
        )
    };
    // An id, a text of four bytes, a number, two, three letters: 38 bytes a row, and
    // with flags of what is missing.
    let row_of = "AAAAAAAAAAcAAAAEYS5qcD/wAAAAAAAAP4AAAEAAAAAAQwBSAFM=";
    let flagged = "AAAAAAAAAAAHAAAABGEuanA/8AAAAAAAAD+AAABAAAAAAEMAUgBT";
    vec![
        table(&format!("<TABLEDATA>{}{}</TABLEDATA>", row("5"), row("-1"))),
        table(&format!("<BINARY><STREAM encoding='base64'>{row_of}</STREAM></BINARY>")),
        table(&format!("<BINARY2><STREAM encoding='base64'>{flagged}</STREAM></BINARY2>")),
    ]
}

/// Parquet tables of paths and of images, with and without a dictionary.
fn tables() -> Vec<Vec<u8>> {
    let image = corpus(&["cutouts/jpeg"]).into_iter().min_by_key(Vec::len).expect("an image");
    let texts = |texts: [&str; 3]| -> ArrayRef { Arc::new(StringArray::from(texts.to_vec())) };
    let listed = RecordBatch::try_from_iter([
        ("id", texts(["1", "2", "3"])),
        ("path", texts(["a.jpg", "b.jpg", "a.jpg"])),
        ("note", texts(["x", "", "x"])),
        ("label", texts(["CRS", "EO", "EO"])),
    ]);
    let images: ArrayRef = Arc::new(BinaryArray::from_iter_values([&image, &image, &image]));
    let shown = RecordBatch::try_from_iter([("image", images), ("note", texts(["1", "2", "3"]))]);
    let mut files = Vec::new();
    for batch in [listed, shown] {
        let batch = batch.expect("columns of one length");
        for (dictionary, codec) in [
            (true, Codec::UNCOMPRESSED),
            (false, Codec::UNCOMPRESSED),
            (true, Codec::SNAPPY),
            (false, Codec::ZSTD(Default::default())),
        ] {
            let properties = WriterProperties::builder()
                .set_dictionary_enabled(dictionary)
                .set_compression(codec)
                .build();
            let mut file = Vec::new();
            let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties))
                .expect("a schema that Parquet has");
            writer.write(&batch).expect("memory");
            writer.close().expect("memory");
            files.push(file);
        }
    }
    files
}

/// The pickles of the fixtures' checkpoints.
fn pickles() -> Vec<Vec<u8>> {
    let archives = corpus(&["golden/checkpoints"]);
    let pickle = |bytes: Vec<u8>| {
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).ok()?;
        let names: Vec<String> =
            archive.file_names().filter_map(|name| name.ok().map(|n| n.into_owned())).collect();
        let name = names.iter().find(|name| name.ends_with("data.pkl"))?;
        let mut pickle = Vec::new();
        std::io::Read::read_to_end(&mut archive.by_name(name).ok()?, &mut pickle).ok()?;
        Some(pickle)
    };
    archives.into_iter().filter_map(pickle).collect()
}

/// The files of some folders of the project.
fn files(folders: &[&str], extension: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(root.join(folder)).expect(folder));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file")).collect()
}

/// The files of some folders of the fixtures.
fn corpus(folders: &[&str]) -> Vec<Vec<u8>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut files: Vec<_> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(fixtures.join(folder)).expect("fixtures"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_none_or(|e| e != "csv"))
        .collect();
    files.sort();
    let read = files.iter().map(|path| fs::read(path).expect("a fixture"));
    read.flat_map(
        |bytes| if bytes.starts_with(&[0x1F, 0x8B]) { unpacked(bytes) } else { vec![bytes] },
    )
    .collect()
}

/// A compressed image, and its one tile as `checks::tiles` takes it.
struct Compressed {
    file: Vec<u8>,
    stream: Vec<u8>,
}

/// An image of 23 × 17 pixels by each algorithm, made by cfitsio.
fn compressed() -> impl Iterator<Item = Compressed> {
    let pixels: Vec<i16> = (0..23 * 17).map(|n| (n * n % 97 + n / 9) as i16).collect();
    let how = ["R", "G", "G2", "H", "P"];
    how.into_iter().enumerate().map(move |(n, how)| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("image.fits");
        let name = format!("{}[compress {how} 23,17]", path.display());
        let description = ImageDescription { data_type: ImageType::Short, dimensions: &[17, 23] };
        let mut fits = FitsFile::create(name).open().expect("a new file");
        let hdu = fits.create_image("r".to_owned(), &description).expect("a new image");
        hdu.write_image(&mut fits, &pixels).expect("room for an image");
        drop(fits);
        let file = fs::read(&path).expect("the new file");
        let head = file.windows(8).rposition(|w| w == b"XTENSION").expect("a table");
        let number = |keyword: &[u8]| -> usize {
            let at = head + file[head..].windows(10).position(|w| w == keyword).expect("a keyword");
            let value = std::str::from_utf8(&file[at + 10..at + 30]).expect("text");
            value.trim().parse().expect("a number")
        };
        let end = file.windows(8).rposition(|w| w == b"END     ").expect("an end");
        let heap = (end + 80).next_multiple_of(2880) + number(b"NAXIS1  = ");
        let stream = &file[heap..heap + number(b"PCOUNT  = ")];
        // Integers of 16 bits, and of as many in RICE codes.
        let stream = [&[n as u8, 1 + (1 << 3)], stream].concat();
        Compressed { file, stream }
    })
}

/// A gzipped file as it is and unpacked, where damage reaches the headers.
fn unpacked(bytes: Vec<u8>) -> Vec<Vec<u8>> {
    let mut inner = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut inner)
        .expect("a fixture");
    vec![bytes, inner]
}

/// The fixtures' archive, and small ones of each kind that tar writes.
fn archives() -> Vec<Vec<u8>> {
    let mut archives = corpus(&["cutouts/tar"]);
    for long in [false, true] {
        let mut builder = tar::Builder::new(Vec::new());
        for index in 0..4 {
            let mut header = tar::Header::new_gnu();
            header.set_size(40);
            let name =
                format!("{}{index}.jpg", if long { "folder/".repeat(40) } else { String::new() });
            if long {
                let records = [("path", name.as_bytes()), ("GNU.sparse.name", b"x.jpg")];
                builder.append_pax_extensions(records).expect("memory");
            }
            builder.append_data(&mut header, name, &[7u8; 40][..]).expect("memory");
        }
        archives.push(builder.into_inner().expect("memory"));
    }
    archives
}

/// One change, of the kinds that find most: bits, bytes that are limits,
/// stretches removed, repeated, cleared or taken from another file, numbers in
/// text.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        bytes.extend(other);
        return;
    }
    // Headers lie in front: half of all changes go there.
    let reach = if random.random_bool(0.5) { bytes.len().min(600) } else { bytes.len() };
    let at = random.random_range(0..reach);
    let end = bytes.len().min(at + random.random_range(1..=64));
    match random.random_range(0..9) {
        0 => bytes[at] ^= 1 << random.random_range(0..8),
        1 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF][random.random_range(0..6)],
        2 => bytes[at..end].fill([0, b' ', 0xFF][random.random_range(0..3)]),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        5 => bytes.truncate(at),
        6 => {
            let from = random.random_range(0..other.len());
            let stretch = &other[from..other.len().min(from + end - at)];
            bytes.splice(at..end, stretch.iter().copied());
        }
        7 => {
            for byte in &mut bytes[at..end] {
                if byte.is_ascii_digit() {
                    *byte = random.random_range(b'0'..=b'9');
                }
            }
        }
        _ => {
            let number = [0u32, 1, 0x7FFF_FFFF, 0x8000_0000, u32::MAX][random.random_range(0..5)];
            let big = number.to_be_bytes();
            let little = number.to_le_bytes();
            let number = if random.random_bool(0.5) { big } else { little };
            let end = bytes.len().min(at + 4);
            bytes[at..end].copy_from_slice(&number[..end - at]);
        }
    }
}
