//! Common JPEGs, through `zune-jpeg` in its strict mode.

use std::cell::Cell;

use zune_core::bytestream::{ZByteIoError, ZByteReaderTrait, ZCursor, ZSeekFrom};
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::markers::{Colour, Outline, corrupt};
use crate::cutout::decode::Limits;
use crate::cutout::{Reason, Rejection, RgbImage, room};

/// The Adobe marker's code for luma and chroma.
const ADOBE_YCC: u8 = 1;

/// The marker EOI.
const END_MARKER: [u8; 2] = [0xFF, 0xD9];

/// Sixty-four 1-bits as entropy-coded data, a zero stuffed after each byte.
const ONES: [u8; 16] = [0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0];

/// Bytes that the decoder's bit reader asks for at once.
const WORD: usize = 4;

/// A picture, and whether the decoder came to the end of its data.
pub struct Decoded {
    pub image: RgbImage,
    /// Whether the bits of the last byte before the end marker were asked
    /// for. The decoder fetches at most eight bytes ahead, so that less than
    /// that is left over.
    pub reached_end: bool,
}

/// Decodes a picture that ends in EOI.
pub fn decode(
    picture: &[u8],
    outline: &Outline<'_>,
    limits: &Limits,
) -> Result<Decoded, Rejection> {
    let (width, height) = (usize::from(outline.frame.width), usize::from(outline.frame.height));
    let mut stream = guarded(picture, outline);
    let mut to = ColorSpace::RGB;
    let named_rgb = outline.frame.components.iter().map(|c| c.id).eq(*b"RGB");
    if let (Colour::Rgb, false, Some(at)) = (outline.colour, named_rgb, outline.adobe_transform_at)
    {
        // The decoder takes Adobe's "no transform" for CMYK, whatever the
        // number of components. Called YCbCr and asked for YCbCr, it hands
        // the samples through, and they are R, G and B.
        stream[at] = ADOBE_YCC;
        to = ColorSpace::YCbCr;
    }
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(limits.max_side)
        .set_max_height(limits.max_side)
        .jpeg_set_out_colorspace(to);
    let fetched = Cell::new(0);
    let reader = Reader { bytes: ZCursor::new(stream.as_slice()), fetched: &fetched };
    let mut decoder = JpegDecoder::new_with_options(reader, options);
    decoder.decode_headers().map_err(rejection)?;
    let len = width * height * 3;
    if decoder.dimensions() != Some((width, height)) || decoder.output_buffer_size() != Some(len) {
        return Err(corrupt("the decoder disagrees with the frame header"));
    }
    let mut pixels = room::BYTES.zeros(len);
    decoder.decode_into(&mut pixels).map_err(rejection)?;
    let reached_end = fetched.get() >= picture.len() - END_MARKER.len();
    Ok(Decoded { image: RgbImage { width, height, pixels }, reached_end })
}

/// The picture with 1-bits put before its end marker. Where a scan stops
/// early and an end marker follows all the same (a hole in the file, a mended
/// one), the decoder would go on with zeros, which are valid codes, and make
/// up the rest of the picture. No Huffman code consists of ones (T.81, annex
/// C), so with these it fails; a whole scan never reads them.
///
/// Left out of progressive files, in which the decoder needs the marker in
/// sight right after a scan; their scans are verified beforehand.
fn guarded(picture: &[u8], outline: &Outline<'_>) -> Vec<u8> {
    let body = &picture[..picture.len() - END_MARKER.len()];
    let guard: &[u8] = if outline.frame.progressive { &[] } else { &ONES };
    [body, guard, &END_MARKER].concat()
}

/// The bytes, and how far they were fetched as entropy-coded bits: by words,
/// or byte by byte near an FF. A search for markers, which takes single bytes
/// in the other way, does not count.
struct Reader<'a> {
    bytes: ZCursor<&'a [u8]>,
    fetched: &'a Cell<usize>,
}

impl Reader<'_> {
    #[inline(always)]
    fn note(&mut self) -> Result<(), ZByteIoError> {
        self.fetched.set(self.bytes.z_position()? as usize);
        Ok(())
    }
}

impl ZByteReaderTrait for Reader<'_> {
    #[inline(always)]
    fn read_byte_no_error(&mut self) -> u8 {
        let byte = self.bytes.read_byte_no_error();
        // The position of a slice is always known.
        let _ = self.note();
        byte
    }

    #[inline(always)]
    fn read_exact_bytes(&mut self, buf: &mut [u8]) -> Result<(), ZByteIoError> {
        self.bytes.read_exact_bytes(buf)?;
        if buf.len() == WORD { self.note() } else { Ok(()) }
    }

    #[inline(always)]
    fn read_bytes(&mut self, buf: &mut [u8]) -> Result<usize, ZByteIoError> {
        self.bytes.read_bytes(buf)
    }

    #[inline(always)]
    fn peek_bytes(&mut self, buf: &mut [u8]) -> Result<usize, ZByteIoError> {
        self.bytes.peek_bytes(buf)
    }

    #[inline(always)]
    fn peek_exact_bytes(&mut self, buf: &mut [u8]) -> Result<(), ZByteIoError> {
        self.bytes.peek_exact_bytes(buf)
    }

    #[inline(always)]
    fn z_seek(&mut self, from: ZSeekFrom) -> Result<u64, ZByteIoError> {
        self.bytes.z_seek(from)
    }

    #[inline(always)]
    fn is_eof(&mut self) -> Result<bool, ZByteIoError> {
        self.bytes.is_eof()
    }

    #[inline(always)]
    fn z_position(&mut self) -> Result<u64, ZByteIoError> {
        self.bytes.z_position()
    }

    fn read_remaining(&mut self, sink: &mut Vec<u8>) -> Result<usize, ZByteIoError> {
        self.bytes.read_remaining(sink)
    }
}

fn rejection(error: DecodeErrors) -> Rejection {
    let reason = match error {
        DecodeErrors::Unsupported(_) => Reason::Unsupported,
        DecodeErrors::LargeDimensions(_) => Reason::TooLarge,
        DecodeErrors::ExhaustedData => Reason::Truncated,
        _ => Reason::Corrupt,
    };
    // Some of the library's messages end in line breaks.
    Rejection::new(reason, format!("JPEG: {error}").trim_end().replace('\n', " "))
}
