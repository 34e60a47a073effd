//! A galaxy as the bytes of its files.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use jpeg_encoder::{ColorType, Encoder, EncodingError, SamplingFactor};

use super::{BANDS, SimulatedGalaxy, colours, fits};

/// Quality of the JPEGs: SDSS's image server writes 75, with 4:2:0.
const QUALITY: u8 = 75;

/// The colour picture, north up, as a JPEG.
pub(super) fn jpeg(galaxy: &SimulatedGalaxy) -> Result<Vec<u8>, EncodingError> {
    let picture = colours::picture(&galaxy.bands, galaxy.size, galaxy.pixel_scale);
    let side = galaxy.size as u16; // SIZES ends well below
    let mut bytes = Vec::with_capacity(galaxy.size * galaxy.size / 8);
    let mut encoder = Encoder::new(&mut bytes, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode(&picture.pixels, side, side, ColorType::Rgb)?;
    Ok(bytes)
}

/// One FITS file a band, in the order of [`BANDS`].
pub(super) fn fits(galaxy: &SimulatedGalaxy) -> [Vec<u8>; 3] {
    std::array::from_fn(|band| fits::image(galaxy, band))
}

/// The same, each gzipped: without a time, so that equal galaxies are equal
/// files.
pub(super) fn fits_gz(galaxy: &SimulatedGalaxy) -> [Vec<u8>; 3] {
    fits(galaxy).map(|bytes| {
        let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len()), Compression::default());
        encoder.write_all(&bytes).expect("writing to memory cannot fail");
        encoder.finish().expect("writing to memory cannot fail")
    })
}

/// The name of a band's file.
pub(super) fn band_file(id: &str, band: usize, extension: &str) -> String {
    format!("{id}_{}.{extension}", BANDS[band])
}
