//! The pictures of a catalog's rows, as the networks saw them: read again from the
//! run's own sources, and prepared as its `run.json` says.
//!
//! Invariant: a picture is that of its row, or there is none and a reason. A source
//! that changed since it was listed (an archive or a mosaic written anew) shows nothing.
//! Plain files are taken as they are now.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::PageError;
use crate::cutout::RgbImage;
use crate::cutout::colour::Profile;
use crate::cutout::decode::{self, DecodeOptions};
use crate::cutout::prepare::{Preparation, Wide, prepare};
use crate::line::{Sources, radii};
use crate::mosaic::{Masks, Mosaics, Settings as Cutting};
use crate::pipeline::stage::panic_message;
use crate::run::{RunFolder, Settings};
use crate::source::Entry;
use crate::source::read::Reader;
use crate::source::rows::RowImages;

/// Reads pictures of a run's rows.
pub struct Pictures<'a> {
    run: &'a RunFolder,
    sources: Sources,
    reader: Reader,
    /// How its cutouts became pictures, or why that is not known.
    looks: Result<Looks, String>,
}

/// How cutouts became pictures.
struct Looks {
    decode: DecodeOptions,
    preparation: Preparation,
    radius_column: Option<String>,
    masks: Masks,
}

impl<'a> Pictures<'a> {
    /// For a run.
    pub fn of(run: &'a RunFolder) -> Self {
        let looks = looks(&run.manifest().settings);
        let reader = match &looks {
            Ok(Looks { decode, preparation, masks, .. }) => {
                let (decode, given) = (Arc::new(decode.clone()), preparation.given.clone());
                let cutting = Cutting::new(decode, given, &preparation.profile, masks.clone());
                Reader::sharing(RowImages::default(), Mosaics::new(cutting))
            }
            Err(_) => Reader::new(),
        };
        Self { run, sources: Sources::of(&run.manifest().listing, false), reader, looks }
    }

    /// The pictures of the rows at `places` of the run, which may come in any order,
    /// each handed to `take` with its place in `places`, or the reason for which
    /// there is none.
    ///
    /// # Errors
    /// If the listing cannot be read, and what `take` returns.
    pub fn each(
        &mut self,
        places: &[u64],
        take: &mut dyn FnMut(usize, Result<RgbImage, String>) -> Result<(), PageError>,
    ) -> Result<(), PageError> {
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by_key(|at| places[*at]);
        let size = self.run.manifest().settings.range_size.max(1);
        for of_range in order.chunk_by(|a, b| places[*a] / size == places[*b] / size) {
            let range = self.run.range(places[of_range[0]] / size)?;
            let wanted: Vec<u64> = of_range.iter().map(|at| places[*at] - range.first).collect();
            let (entries, carried) = self.run.inputs().rows(range.index, &wanted)?;
            let column = self.looks.as_ref().ok().and_then(|looks| looks.radius_column.as_deref());
            let radii = radii(column, carried.as_ref(), entries.len());
            for ((at, entry), radius) in of_range.iter().zip(&entries).zip(radii) {
                take(*at, self.picture(entry, radius))?;
            }
        }
        Ok(())
    }

    /// The picture of a cutout.
    fn picture(&mut self, entry: &Entry, radius: Option<f64>) -> Result<RgbImage, String> {
        let looks = self.looks.as_ref().map_err(Clone::clone)?;
        for path in entry.containers() {
            self.sources.check_archive(path).map_err(|error| error.to_string())?;
        }
        let reader = &mut self.reader;
        // A defect over one picture is no reason for the others not to be shown.
        let work = std::panic::AssertUnwindSafe(|| {
            let payload = reader.read(&entry.locator)?;
            let decoded = decode::taken(payload, &looks.decode)?;
            prepare(&decoded, &looks.preparation, radius)
        });
        match std::panic::catch_unwind(work) {
            Ok(Ok(prepared)) => Ok(prepared.picture),
            Ok(Err(rejection)) => Err(rejection.to_string()),
            Err(panic) => Err(format!("the program failed over it ({})", panic_message(&*panic))),
        }
    }
}

/// How the cutouts of a run became pictures, from what `run.json` pins.
fn looks(settings: &Settings) -> Result<Looks, String> {
    const UNKNOWN: &str = "how its pictures were made is not in run.json";
    let crop = &settings.preparation["crop"];
    let size = crop["size"].as_u64().and_then(|size| usize::try_from(size).ok());
    let size = size.filter(|size| (1..=4096).contains(size)).ok_or(UNKNOWN)?;
    let read = |value: &Value| -> Result<Profile, String> {
        Profile::deserialize(value).map_err(|_| UNKNOWN.to_owned())
    };
    let colours = settings.colours.as_ref();
    let mut preparation =
        Preparation::new(size, read(colours.map_or(&crop["profile"], |all| &all["profile"]))?);
    preparation.resample = optional(&crop["resample"])?;
    let mut radius_column = None;
    match colours {
        // The first version cut out the middle of whatever there was.
        None => preparation.wide = Wide::Crop,
        Some(colours) => {
            preparation.given = optional(&colours["given"])?.unwrap_or_default();
            preparation.wide = optional(&colours["wide"])?.unwrap_or_default();
            let scale = &colours["scale"];
            radius_column = optional::<String>(&scale["radius_column"])?;
            if let Some(per_radius) = optional(&scale["arcsec_per_pixel_per_radius"])? {
                preparation.scale_per_radius = per_radius;
            }
        }
    }
    let bands: [String; 3] = settings.bands.clone().try_into().map_err(|_| UNKNOWN)?;
    let mut decode = DecodeOptions::for_bands(bands);
    if let Some(planes) = optional(&settings.preparation["cube_bands"])? {
        decode.cube_bands = planes;
    }
    let mosaics = settings.mosaics.as_ref();
    let masks = mosaics.map_or(Ok(None), |mosaics| optional(&mosaics["masks"]))?;
    Ok(Looks { decode, preparation, radius_column, masks: masks.unwrap_or_default() })
}

fn optional<T: for<'de> Deserialize<'de>>(value: &Value) -> Result<Option<T>, String> {
    Option::deserialize(value).map_err(|error| format!("run.json: {error}"))
}
