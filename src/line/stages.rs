//! What the workers of every mode do, in the order in which a cutout meets them.
//!
//! Each is a thin hand on something that lives elsewhere: reading in
//! [`crate::source`], decoding and cropping in [`crate::cutout`].

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{cutout::Cutout, observed::Observed};
use crate::{
    cutout::{
        Decoded, Payload, Reason, Rejection, RgbImage,
        decode::{self, DecodeOptions},
        prepare::{self, Preparation},
        room,
    },
    pipeline::stage::panic_message,
    source::{Locator, read::Reader},
};

/// Where bytes are.
pub trait Fetch {
    /// Fetches them.
    ///
    /// # Errors
    /// Why there are none.
    fn fetch(self, reader: &mut Reader) -> Result<Payload, Rejection>;
}

impl Fetch for Locator {
    fn fetch(self, reader: &mut Reader) -> Result<Payload, Rejection> {
        reader.read(&self)
    }
}

/// Fetches the bytes.
pub fn read<L: Fetch>(reader: &mut Reader, listed: Cutout<L>) -> Cutout<Payload> {
    listed.advance(|place| shielded(|| place.fetch(reader)))
}

/// A panic over a cutout is a defect, and no reason for the others to have no
/// rows.
pub fn shielded<T>(work: impl FnOnce() -> Result<T, Rejection>) -> Result<T, Rejection> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let words = panic_message(&*panic);
        let words = format!("the program failed over it ({words}): please report this defect");
        Err(Rejection::new(Reason::Crashed, words))
    })
}

/// Turns bytes into pixels.
pub fn decode(options: &DecodeOptions, read: Cutout<Payload>) -> Cutout<Decoded> {
    let mut decoded = read.advance(|payload| shielded(|| decode::taken(payload, options)));
    // A table knows its objects better than a header does.
    if let (None, Ok(image)) = (decoded.position, &decoded.state) {
        decoded.position = image.centre();
        decoded.note = image.note().map(String::from);
    }
    decoded
}

/// Cuts out what the network sees.
pub fn crop(
    preparation: &Preparation,
    observed: &Observed,
    decoded: Cutout<Decoded>,
) -> Cutout<RgbImage> {
    let radius = decoded.radius;
    decoded.advance(|decoded| {
        let prepared = shielded(|| prepare::prepare(&decoded, preparation, radius));
        match decoded {
            Decoded::Rgb(image) => room::BYTES.give(image.pixels),
            Decoded::Bands(bands) => room::FLOATS.give(bands.planes),
        }
        let prepared = prepared?;
        observed.take(&prepared);
        Ok(prepared.picture)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cutout::SkyPosition;

    #[test]
    fn a_panic_over_a_cutout_is_its_row() {
        let told: Result<(), _> = shielded(|| panic!("out of luck"));
        let told = told.unwrap_err();
        assert_eq!(told.reason, Reason::Crashed);
        assert!(told.detail.contains("out of luck"), "{told}");
        assert_eq!(shielded(|| Ok(1)), Ok(1));
    }

    /// A FITS cube whose header names axes on the sky, and no place.
    fn cube() -> Vec<u8> {
        let cards = [
            "SIMPLE  =                    T",
            "BITPIX  =                    8",
            "NAXIS   =                    3",
            "NAXIS1  =                    1",
            "NAXIS2  =                    1",
            "NAXIS3  =                    3",
            "BANDS   = 'irg     '",
            "CTYPE1  = 'RA---TAN'",
            "CTYPE2  = 'DEC--TAN'",
            "END",
        ];
        let mut file: Vec<u8> = cards.iter().flat_map(|c| format!("{c:80}").into_bytes()).collect();
        file.resize(2880, b' ');
        file.extend([1, 2, 3]);
        file.resize(5760, 0);
        file
    }

    #[test]
    fn a_tables_position_leaves_nothing_to_say_of_the_headers() {
        let listed = |position| Cutout {
            index: 0,
            ends_batch: true,
            id: String::new(),
            source: String::new(),
            position,
            note: None,
            radius: None,
            state: Ok(Payload::Single(cube())),
        };
        let options = DecodeOptions::default();
        let alone = decode(&options, listed(None));
        assert!(alone.position.is_none() && alone.state.is_ok(), "{:?}", alone.state);
        assert!(alone.note.is_some_and(|note| note.contains("CRPIX1 is missing")));
        let known = SkyPosition { ra: 10.5, dec: -3.25 };
        let with_table = decode(&options, listed(Some(known)));
        assert_eq!((with_table.position, with_table.note), (Some(known), None));
    }
}
