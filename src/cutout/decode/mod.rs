//! Bytes to pixels: JPEG, PNG and FITS, told apart by their first bytes.
//!
//! One file a format; [`limits`] says what is too large, `gzip` and
//! `bzip2` unpack FITS files under those limits. Reading files belongs to
//! [`crate::source`], colours to [`super::colour`], cropping to
//! [`super::prepare`].
//!
//! Invariants: whatever the bytes are, the answer is pixels or a
//! [`Rejection`], the same on every thread (its text becomes a column of the
//! catalog), and nothing is allocated that [`Limits`] does not allow. File
//! names never count: survey archives are full of HTML error pages named
//! `.jpg` and of FITS files without an extension.

pub(crate) mod fits;
mod jpeg;
pub mod limits;
mod planes;
mod png;
mod unpack;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{BandImage, Decoded, Payload, Reason, Rejection, RgbImage};
pub use limits::Limits;

/// What a run knows of its cutouts before it sees one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Names of the bands that become R, G and B.
    pub bands: [String; 3],
    /// Names of the planes of a cube, or of the HDUs of a file with one HDU a
    /// band, in file order; used only where the file itself does not name
    /// them. A file with another number of planes is rejected: guessing would
    /// give wrong colours silently.
    pub cube_bands: Vec<String>,
    /// What is too large.
    pub limits: Limits,
}

impl DecodeOptions {
    /// Options for the bands that become R, G and B. Unnamed cubes are taken
    /// to run from the shortest wavelength to the longest, as cutout services
    /// write them: the reverse of R, G, B.
    pub fn for_bands(bands: [String; 3]) -> Self {
        let mut cube_bands: Vec<String> = bands.iter().rev().cloned().collect();
        // One band alone, grey, is one plane.
        cube_bands.dedup();
        Self { bands, cube_bands, limits: Limits::default() }
    }
}

impl Default for DecodeOptions {
    /// SDSS colours: i, r, g as R, G, B.
    fn default() -> Self {
        Self::for_bands(["i", "r", "g"].map(String::from))
    }
}

/// What the first bytes say a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Jpeg,
    Png,
    Fits,
    Gzip,
    Bzip2,
    Unknown,
}

/// The first bytes of each format.
const SIGNATURES: [&[u8]; 5] =
    [b"\xFF\xD8\xFF", b"\x89PNG\r\n\x1A\n", b"SIMPLE  =", b"\x1F\x8B", b"BZh"];

impl Format {
    fn of(bytes: &[u8]) -> Self {
        match SIGNATURES.iter().position(|signature| bytes.starts_with(signature)) {
            Some(0) => Self::Jpeg,
            Some(1) => Self::Png,
            Some(2) => Self::Fits,
            Some(3) => Self::Gzip,
            Some(4) => Self::Bzip2,
            _ => Self::Unknown,
        }
    }
}

/// Decodes one cutout.
///
/// # Errors
/// A [`Rejection`] for whatever keeps the bytes from being an image; see
/// [`Reason`] for the kinds.
pub fn decode(payload: &Payload, options: &DecodeOptions) -> Result<Decoded, Rejection> {
    match payload {
        Payload::Single(bytes) => decode_single(bytes, options),
        Payload::PerBand(files) => {
            let files = files
                .iter()
                .map(|(band, bytes)| {
                    let fits = band_bytes(bytes, &options.limits)
                        .map_err(|e| e.at(format_args!("band {band}")))?;
                    Ok((band.as_str(), fits))
                })
                .collect::<Result<Vec<_>, Rejection>>()?;
            fits::decode_files(&files, options).map(Decoded::Bands)
        }
        Payload::Planes(planes) => planes::decode(planes, options).map(Decoded::Bands),
        Payload::Bands(image) => Ok(Decoded::Bands(BandImage::clone(image))),
    }
}

/// The same of a payload that nobody needs any more: what is decoded is not copied.
///
/// # Errors
/// As [`decode`].
pub fn taken(payload: Payload, options: &DecodeOptions) -> Result<Decoded, Rejection> {
    match payload {
        Payload::Bands(image) => Ok(Decoded::Bands(*image)),
        payload => decode(&payload, options),
    }
}

fn decode_single(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, Rejection> {
    match Format::of(bytes) {
        Format::Jpeg => shield(|| jpeg::decode(bytes, &options.limits)).map(Decoded::Rgb),
        Format::Png => shield(|| png::decode(bytes, &options.limits)).map(Decoded::Rgb),
        Format::Fits | Format::Gzip | Format::Bzip2 => {
            let bytes = band_bytes(bytes, &options.limits)?;
            fits::decode_file(&bytes, options).map(Decoded::Bands)
        }
        Format::Unknown => Err(unknown(bytes)),
    }
}

/// The FITS bytes in what should be a FITS file, unpacked if need be.
fn band_bytes<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Cow<'a, [u8]>, Rejection> {
    let limit = limits.max_decompressed_bytes;
    let (packed_by, unpacked) = match Format::of(bytes) {
        Format::Fits => return Ok(Cow::Borrowed(bytes)),
        Format::Gzip => ("gzip", unpack::gzip(bytes, limit)?),
        Format::Bzip2 => ("bzip2", unpack::bzip2(bytes, limit)?),
        Format::Jpeg | Format::Png => {
            let detail = "a picture where a FITS file is expected";
            return Err(Rejection::new(Reason::Unsupported, detail));
        }
        Format::Unknown => return Err(unknown(bytes)),
    };
    match Format::of(&unpacked) {
        Format::Fits => Ok(Cow::Owned(unpacked)),
        Format::Unknown if SIGNATURES[2].starts_with(&unpacked) => {
            let detail = format!("{packed_by} of {} bytes, within the signature", unpacked.len());
            Err(Rejection::new(Reason::Truncated, detail))
        }
        _ => {
            let detail = format!("{packed_by} that does not hold FITS");
            Err(Rejection::new(Reason::Unsupported, detail))
        }
    }
}

/// Whether these are the first bytes of a file that is packed as a whole.
pub(crate) fn is_packed(first: &[u8]) -> bool {
    matches!(Format::of(first), Format::Gzip | Format::Bzip2)
}

/// The FITS file in a packed one, of at most `limit` bytes.
///
/// # Errors
/// As [`decode`] of a packed file.
pub(crate) fn unpacked(packed: &[u8], limit: usize) -> Result<Vec<u8>, Rejection> {
    let limits = Limits { max_decompressed_bytes: limit, ..Limits::default() };
    band_bytes(packed, &limits).map(Cow::into_owned)
}

fn unknown(bytes: &[u8]) -> Rejection {
    if bytes.is_empty() {
        return Rejection::new(Reason::Empty, "zero bytes");
    }
    if SIGNATURES.iter().any(|signature| signature.starts_with(bytes)) {
        let detail = format!("only {} bytes, within the signature", bytes.len());
        return Rejection::new(Reason::Truncated, detail);
    }
    let start = bytes[..bytes.len().min(16)].escape_ascii();
    Rejection::new(
        Reason::NotAnImage,
        format!("neither JPEG, PNG nor FITS: starts with \"{start}\""),
    )
}

/// Runs a decoder that this project did not write, and turns a panic inside
/// it into a rejection: one hostile file must not end a run. The limits are
/// checked before the decoder starts, so this is for what they cannot see.
fn shield(decoder: impl FnOnce() -> Result<RgbImage, Rejection>) -> Result<RgbImage, Rejection> {
    // Unwind safety: a decoder that panicked is dropped with all it made.
    catch_unwind(AssertUnwindSafe(decoder)).unwrap_or_else(|_| {
        Err(Rejection::new(Reason::Corrupt, "the decoder gave up on this file"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(bytes: &[u8]) -> Reason {
        decode(&Payload::Single(bytes.to_vec()), &DecodeOptions::default()).unwrap_err().reason
    }

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        assert_eq!(reason(b""), Reason::Empty);
        assert_eq!(reason(b"<html>404</html>"), Reason::NotAnImage);
        assert_eq!(reason(b"SIMPLE of heart"), Reason::NotAnImage);
        assert_eq!(reason(b"SIMPLE"), Reason::Truncated);
        assert_eq!(reason(&[0xFF, 0xD8]), Reason::Truncated);
        assert_eq!(reason(&[0xFF, 0xD8, 0xFF]), Reason::Truncated);
        assert_eq!(reason(b"\x89PNG\r\n\x1a\n"), Reason::Truncated);
        assert_eq!(reason(&[0x1F, 0x8B, 8]), Reason::Truncated);
    }

    #[test]
    fn a_bad_band_file_is_named() {
        let files = vec![("r".to_owned(), Vec::new())];
        let e = decode(&Payload::PerBand(files), &DecodeOptions::default()).unwrap_err();
        assert_eq!((e.reason, e.detail.as_str()), (Reason::Empty, "band r: zero bytes"));
    }

    #[test]
    fn unnamed_cubes_run_from_blue_to_red() {
        assert_eq!(DecodeOptions::default().cube_bands, ["g", "r", "i"]);
    }
}
