//! What must hold for any bytes: no panic, and limits kept. Shared by the fuzz
//! targets and by `benches/mutate.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use hiwl::cutout::decode::{DecodeOptions, Limits, decode as decode_payload};
use hiwl::cutout::{Decoded, Payload};
use hiwl::model::model_file::Model;
use hiwl::source::Locator;
use hiwl::source::list::{ListOptions, Lister};
use hiwl::source::read::Reader;

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

/// A file of this process alone, in memory where there is a file system for it.
fn file(extension: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let thread = format!("{:?}", std::thread::current().id());
    let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
    folder.join(format!("hiwl-fuzz-{}-{thread}.{extension}", std::process::id()))
}
