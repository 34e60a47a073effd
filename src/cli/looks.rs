//! The flags for colours and scale: what is asked of pixels before a network sees
//! them.

use clap::Args;

use crate::classify::recipe::{Recipe, ZeroPoint};
use crate::cutout::colour::Given;
use crate::cutout::prepare::Wide;
use crate::line::Looks;

/// Colours and scale.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Colours and scale")]
pub(super) struct Arguments {
    /// How FITS bands become colours: sdss, sdss-zrg, des, panstarrs, auto (by
    /// the sky's noise), grey (one band), legacy-grz, legacy-griz, lupton.
    /// [default: the model's]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// Unit of FITS pixels, whatever their headers say: nanomaggy, Jy, uJy, nJy,
    /// MJy/sr, sky (by its noise), pixel (as they are).  [default: the headers', else
    /// sky]
    #[arg(long, value_name = "UNIT", conflicts_with = "zero_point")]
    unit: Option<String>,

    /// AB magnitude of one unit of FITS pixels, or one each for the bands of red,
    /// green and blue.  [default: the headers']
    #[arg(long, value_name = "MAG|R,G,B")]
    zero_point: Option<ZeroPoint>,

    /// Size of the images' pixels, whatever their headers say.  [default: the headers']
    #[arg(long, value_name = "ARCSEC")]
    pixel_scale: Option<f64>,

    /// Size of the pixels that the numbers are the light of, where images were
    /// resampled without keeping it.  [default: that of the pixels]
    #[arg(long, value_name = "ARCSEC")]
    flux_pixel: Option<f64>,

    /// Column of input tables with the objects' radii in arcsec (petroR90_r, or
    /// another that holds 90 % of the light): cutouts are brought to the scale
    /// that the model knows.
    #[arg(long, value_name = "COLUMN")]
    radius_column: Option<String>,

    /// What happens to pictures much wider than the network's input, where no
    /// radius is given: rejected, or their middle is cut out.  [default: reject]
    #[arg(long, value_name = "reject|crop", value_parser = wide)]
    wide: Option<Wide>,
}

fn wide(text: &str) -> Result<Wide, String> {
    match text {
        "reject" => Ok(Wide::Reject),
        "crop" => Ok(Wide::Crop),
        _ => Err("reject or crop".to_owned()),
    }
}

impl Arguments {
    /// The flags, and where they are silent the pipeline.
    pub(super) fn resolve(&self, recipe: &Recipe) -> Looks {
        let (input, prepare) = (&recipe.input, &recipe.prepare);
        // A flag for the one overrides a pipeline's other.
        let (unit, zero_point) = match (&self.unit, self.zero_point) {
            (None, None) => (&input.unit, input.zero_point),
            given => given,
        };
        Looks {
            profile: self.profile.as_ref().or(prepare.profile.as_ref()).cloned(),
            lupton: prepare.lupton,
            given: Given {
                unit: unit.clone(),
                zero_points: zero_point.map(ZeroPoint::bands),
                pixel_scale: self.pixel_scale.or(input.pixel_scale),
                flux_pixel: self.flux_pixel.or(input.flux_pixel),
            },
            radius_column: self.radius_column.as_ref().or(input.radius_column.as_ref()).cloned(),
            wide: self.wide.or(prepare.wide),
        }
    }
}
