//! The flags of the commands that cut their inputs out of a survey's own images.

use std::path::PathBuf;

use clap::Args;

use super::{CliError, usage};
use crate::classify::ClassifyOptions;
use crate::cutout::colour::Given;
use crate::mosaic::Masks;
use crate::mosaic::masks::Beside;
use crate::source::list::{Mosaics, Scale};

/// Sources, and where they are cut out of.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Sources in mosaics")]
pub(super) struct MosaicFlags {
    /// A table of sources, in place of inputs: id, ra, dec and, where it has one, a size
    /// (petroR90_r, diameter_arcsec, diameter_pixel, or --radius-column). Each is cut out
    /// of the mosaics.
    #[arg(long, value_name = "TABLE", conflicts_with = "inputs")]
    sources: Option<PathBuf>,

    /// The survey's images: FITS files with coordinates, plain, tile-compressed (.fz) or
    /// packed (.gz, .bz2), their folders, or URLs; a band is known by --band-pattern or
    /// the header.  [default: those in the table's column fits_file_paths]
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "sources")]
    mosaics: Vec<PathBuf>,

    /// Size of the cutouts' pixels, whatever the table says: arcseconds, or native for
    /// those of the first band's mosaic.
    #[arg(long, value_name = "ARCSEC|native", requires = "sources", value_parser = scale)]
    scale: Option<Scale>,

    #[command(flatten)]
    masks: MaskFlags,
}

/// What says of a mosaic's pixels that they are undefined.
#[derive(Debug, Default, Args)]
pub(super) struct MaskFlags {
    /// Masks: pixels whose number is not zero are undefined. The name of a file beside each
    /// mosaic, with {id} as in --band-pattern and, where it has one, {band}, and behind it,
    /// where the file holds several images, the HDU: `{id}-mask.fits[MSK]`, or [HDU 2] of
    /// the second; or the EXTNAME of an HDU of the mosaic's own file.  [default: masks are
    /// passed over]
    #[arg(long, value_name = "NAME", requires = "sources")]
    mask: Option<Beside>,

    /// Bits of the masks that count, a number such as 2 or 0x0ffe.  [default: all]
    #[arg(long, value_name = "BITS", requires = "mask", value_parser = bits)]
    mask_bits: Option<u32>,

    /// Maps of weights, or of inverse variances, named as for --mask: pixels whose number is
    /// not above zero are undefined.
    #[arg(long, value_name = "NAME", requires = "sources")]
    weight: Option<Beside>,
}

impl From<MaskFlags> for Masks {
    fn from(MaskFlags { mask, mask_bits: bits, weight }: MaskFlags) -> Self {
        Self { mask, bits, weight }
    }
}

/// The value of `--mask-bits`.
fn bits(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number
        .ok()
        .filter(|bits| *bits > 0)
        .ok_or_else(|| "a number above 0, of 32 bits, with 0x where it is hexadecimal".to_owned())
}

/// The value of `--scale`.
pub(super) fn scale(text: &str) -> Result<Scale, String> {
    if text == "native" {
        return Ok(Scale::Native);
    }
    match text.parse::<f64>() {
        Ok(scale) if (1e-6..=3600.0).contains(&scale) => Ok(Scale::Arcsec(scale)),
        _ => Err("arcseconds per pixel, or native".to_owned()),
    }
}

/// Whether a size of pixels is given: of the images', or of those that the numbers are
/// the light of.
pub(super) fn has_pixel_scale(given: &Given) -> bool {
    given.pixel_scale.or(given.flux_pixel).is_some()
}

/// That a size of pixels was given, which mosaics say.
pub(super) fn no_pixel_scale() -> CliError {
    usage(anyhow::anyhow!(
        "mosaics say by their coordinates how large their pixels are, and their light \
         is kept: leave --pixel-scale and --flux-pixel out"
    ))
}

impl MosaicFlags {
    /// Puts the table in the place of the inputs, if there is one.
    pub(super) fn apply(self, options: &mut ClassifyOptions) -> Result<(), CliError> {
        let Some(sources) = self.sources else { return Ok(()) };
        if has_pixel_scale(&options.looks.given) {
            return Err(no_pixel_scale());
        }
        options.inputs = vec![sources];
        let (files, scale, masks) = (self.mosaics, self.scale, self.masks.into());
        options.mosaics = Some(Mosaics { files, scale, masks, ..Mosaics::default() });
        Ok(())
    }
}
