//! JPEGs of several sequential scans or of uncommon sampling, through
//! `jpeg-decoder`.

use jpeg_decoder::{ColorTransform, Decoder, Error, PixelFormat};

use super::frame::Component;
use super::markers::{Colour, Outline, corrupt, unsupported};
use crate::cutout::{Reason, Rejection, RgbImage};

/// Decodes a picture whose scans are known to be whole.
pub fn decode(picture: &[u8], outline: &Outline<'_>) -> Result<RgbImage, Rejection> {
    let frame = &outline.frame;
    if outline.colour == Colour::Ink {
        return Err(unsupported("CMYK JPEG of several scans or with sampling"));
    }
    // The decoder miscounts the blocks of a component that is alone in a scan
    // and sampled in between.
    let (h, v) = frame.largest();
    let between = |c: &Component| (1 < c.h && c.h < h) || (1 < c.v && c.v < v);
    let mut alone = outline.scans.iter().filter(|scan| scan.parts.len() == 1);
    if alone.any(|scan| between(&frame.components[scan.parts[0].component])) {
        return Err(unsupported("JPEG with a component of uncommon sampling in a scan of its own"));
    }
    let mut decoder = Decoder::new(picture);
    match outline.colour {
        Colour::YCbCr => decoder.set_color_transform(ColorTransform::YCbCr),
        Colour::Rgb => decoder.set_color_transform(ColorTransform::RGB),
        Colour::Grey | Colour::Ink => {}
    }
    let samples = decoder.decode().map_err(rejection)?;
    let (width, height) = (usize::from(frame.width), usize::from(frame.height));
    let info = decoder.info().ok_or_else(|| corrupt("the decoder found no picture"))?;
    let pixels = match info.pixel_format {
        PixelFormat::RGB24 => samples,
        PixelFormat::L8 => samples.iter().flat_map(|grey| [*grey; 3]).collect(),
        PixelFormat::L16 | PixelFormat::CMYK32 => {
            return Err(unsupported("JPEG of other samples than grey and colour"));
        }
    };
    if (info.width, info.height) != (frame.width, frame.height)
        || pixels.len() != width * height * 3
    {
        return Err(corrupt("the decoder disagrees with the frame header"));
    }
    Ok(RgbImage { width, height, pixels })
}

fn rejection(error: Error) -> Rejection {
    match error {
        Error::Unsupported(what) => unsupported(format!("JPEG: {what:?}")),
        Error::Io(_) => Rejection::new(Reason::Truncated, "JPEG: the data end early"),
        error => corrupt(error.to_string()),
    }
}
