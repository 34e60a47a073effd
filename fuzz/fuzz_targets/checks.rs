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
